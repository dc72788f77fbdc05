"""When an action is tried again: by the branch of its error, longer each time, never longer than an hour."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brody_agents.coordinator import pauses
from brody_agents.coordinator.pauses import ATTEMPTS, HELD_BACK, LONGEST, OUTCOME, UNREACHABLE, Policy
from brody_agents.errors import (
    ConfigurationError,
    Denied,
    NotFound,
    ProviderUnavailable,
    Refused,
    SourceLocked,
    Stale,
    Unsettled,
)

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


@given(st.sampled_from([UNREACHABLE, OUTCOME, HELD_BACK]), st.integers(1, 99))
def test_a_pause_grows_with_the_tries_up_to_its_longest(policy: Policy, tries: int) -> None:
    first, pause = policy.pause(1), policy.pause(tries)
    assert first is not None
    assert pause is not None
    assert 1 <= first <= 3.1
    assert min(2.0 ** (tries - 1), 30) <= pause <= LONGEST


@pytest.mark.parametrize(("policy", "tries"), [(ATTEMPTS, 6), (UNREACHABLE, 100)])
def test_after_so_many_tries_it_is_given_up(policy: Policy, tries: int) -> None:
    assert policy.pause(tries - 1) is not None
    assert policy.pause(tries) is None


@given(st.integers(0, 10**6))
def test_an_outcome_is_asked_about_for_ever(tries: int) -> None:
    pause = OUTCOME.pause(tries)
    assert pause is not None
    assert pause <= LONGEST


@pytest.mark.parametrize(
    "error",
    [
        *(Refused("No."), NotFound("It is gone."), Stale("It moved."), ConfigurationError("No."), KeyError("x")),
        *(FileNotFoundError("x"), FileExistsError("x"), PermissionError("x"), IsADirectoryError("x")),
    ],
)
def test_what_will_fail_again_is_not_tried_again(error: Exception) -> None:
    assert pauses.until(error, 1) is None


@pytest.mark.parametrize(
    "error",
    [
        *(ProviderUnavailable("It is away."), SourceLocked("Held."), TimeoutError()),
        *(ConnectionResetError(), ConnectionRefusedError(), BrokenPipeError(), socket.gaierror(), OSError(113, "")),
    ],
)
def test_what_may_pass_is_tried_again(error: Exception) -> None:
    when = pauses.until(error, 3, NOW)
    assert when is not None
    assert timedelta(seconds=8) <= when - NOW <= timedelta(seconds=9)


def test_who_says_when_to_come_again_is_not_asked_earlier() -> None:
    error = ProviderUnavailable("Too many requests.")
    error.retry_after = 120.0
    assert pauses.until(error, 1, NOW) == NOW + timedelta(seconds=120)


@pytest.mark.parametrize(
    ("denied", "seconds"),
    [
        (Denied("Full.", budget="b", retry_after=0.5), 0.5),
        (Denied("Full.", budget="b", retry_after=90_000.0), 90_000),
        (Denied("Used up.", budget="b"), LONGEST),
    ],
    ids=["it frees soon", "it frees tomorrow", "somebody must raise it"],
)
def test_what_was_denied_waits_as_long_as_it_was_told(denied: Denied, seconds: float) -> None:
    assert pauses.until(denied, 50, NOW) == NOW + timedelta(seconds=seconds)


def test_what_no_waiting_helps_is_given_up() -> None:
    assert pauses.until(Denied("Too much.", budget="b", never=True), 1) is None
    assert pauses.until(Unsettled("Open."), 1) is None
