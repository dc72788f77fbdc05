"""The policy of order: urgent first, deadlines in their order, and nothing starves or is tried for ever."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tenacity import wait_fixed

from brody_agents.agent import Retry
from brody_agents.coordinator.task_scheduler import SHARE, in_turn, pause, wait_for_room
from brody_agents.errors import Overloaded, ProviderUnavailable


@dataclass(frozen=True)
class Item:
    """A message that waits."""

    id: str


def items(ids: list[int]) -> list[Item]:
    return [Item(str(i)) for i in ids]


NUMBERS = st.lists(st.integers(0, 200), unique=True, max_size=60)


@given(NUMBERS, NUMBERS)
def test_everybody_gets_one_turn(ordered: list[int], aged: list[int]) -> None:
    turns = [m.id for m in in_turn(items(ordered), items(aged))]
    assert sorted(turns) == sorted({str(i) for i in (*ordered, *aged)})


@given(NUMBERS)
def test_where_nobody_has_aged_the_order_stands(ordered: list[int]) -> None:
    assert in_turn(items(ordered), []) == items(ordered)


@given(st.integers(1, 40), st.integers(0, 400))
def test_an_aged_message_waits_for_a_bounded_number_of_places(aged: int, urgent: int) -> None:
    """However many urgent ones there are: with k older ones before it, its place is below SHARE * (k + 1)."""
    old = [Item(f"old {k}") for k in range(aged)]
    turns = in_turn([Item(f"urgent {n}") for n in range(urgent)], old)
    for k, message in enumerate(old):
        assert turns.index(message) < SHARE * (k + 1)


def test_a_constant_stream_of_urgent_ones_does_not_starve_a_low_one() -> None:
    """Each round brings as many urgent messages as there is room for; those that have aged all get through."""
    waiting, rounds, done = [Item(f"low {n}") for n in range(10)], 0, 0
    while waiting:
        turns = in_turn([Item(f"urgent {rounds} {n}") for n in range(SHARE)], waiting)[:SHARE]
        waiting = [m for m in waiting if m not in turns]
        rounds += 1
        done += sum(m.id.startswith("urgent") for m in turns)
    assert rounds == 10
    assert done == 10 * (SHARE - 1)


def test_only_errors_worth_another_try_get_one_and_not_for_ever() -> None:
    away = ProviderUnavailable("It is away.")
    assert pause(ValueError(), 1, Retry()) is None
    assert pause(ValueError(), 1, Retry(on=ValueError, wait=wait_fixed(7))) == 7
    assert pause(away, 3, Retry()) is None
    assert pause(away, 4, Retry(tries=5, wait=wait_fixed(7))) == 7


def test_the_pause_doubles_and_never_ends_before_the_error_says_that_it_pays() -> None:
    away = ProviderUnavailable("It is away.")
    pauses = [pause(away, n, Retry(tries=10)) or 0 for n in range(1, 8)]
    for n, seconds in enumerate(pauses):
        assert 0.1 * 2**n <= seconds <= 0.1 * 2**n + 0.1
    away.retry_after = 30.0
    assert pause(away, 1, Retry()) == 30.0


@pytest.mark.parametrize(("rate", "seconds"), [(0.0, 60.0), (10.0, 20.0), (1e6, 1.0), (1.0, 60.0)])
def test_who_is_refused_is_told_when_there_is_room(rate: float, seconds: float) -> None:
    assert wait_for_room(1_100, 1_000, rate) == pytest.approx(seconds)
    assert Overloaded("Full.", seconds).retry_after == seconds
