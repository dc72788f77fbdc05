"""When an action is tried again: tenacity's policies; the ledger keeps the pause, so that it survives a restart."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tenacity import RetryCallState, stop_after_attempt, stop_never, wait_exponential_jitter
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from brody_agents.errors import Denied, Retryable, Stale

LONGEST = 3600.0
"""Seconds after which anything is looked at again."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How long to wait after so many tries, and after how many to give up."""

    wait: wait_base
    stop: stop_base = stop_never

    def pause(self, tries: int) -> float | None:
        """Return the seconds until the next try after ``tries`` (1 or more); ``None`` to give up."""
        state = RetryCallState(None, None, (), {})  # type: ignore[arg-type]  # the policies read the number only
        state.attempt_number = max(tries, 1)
        return None if self.stop(state) else self.wait(state)


ATTEMPTS = Policy(wait_exponential_jitter(max=LONGEST), stop_after_attempt(6))
"""For an attempt that surely did nothing: 1 to 2 seconds, then twice as long each time, six attempts in all."""
DEFERRED = Policy(wait_exponential_jitter(multiplier=30, max=LONGEST), stop_after_attempt(6))
"""For a message that a server did not take for now: many want minutes to pass before they do."""
UNREACHABLE = Policy(wait_exponential_jitter(multiplier=2, max=LONGEST), stop_after_attempt(100))
"""For an account that could not be asked: up to an hour, for some four days."""
OUTCOME = Policy(wait_exponential_jitter(multiplier=2, max=LONGEST))
"""For an outcome that nobody knows: it is asked about for ever, in the end every hour."""
HELD_BACK = Policy(wait_exponential_jitter(max=30))
"""For what waits for another action: that one may end at any time."""


_OF_A_FILE = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)
"""What the system says of a file, as it will the next time; its other errors are of the network or the disk."""


def policy_for(error: BaseException) -> Policy | None:
    """Return the policy of an error by its branch, before anything was done; a terminal one is not tried again."""
    passing = isinstance(error, Retryable) and not isinstance(error, Stale)
    away = isinstance(error, OSError) and not isinstance(error, _OF_A_FILE)  # a TimeoutError is one
    return UNREACHABLE if passing or away else None


def until(error: BaseException, tries: int, now: datetime | None = None) -> datetime | None:
    """Return when to try again after so many tries, this one among them; ``None`` to give up.

    What was denied waits as long as it was told, and where nobody could tell, an hour. An error's ``retry_after``
    (seconds) is the least that is waited.
    """
    at = now or datetime.now(UTC)
    told = error.retry_after if isinstance(error, Retryable) else None
    if isinstance(error, Denied):
        return None if error.never else at + timedelta(seconds=LONGEST if told is None else told)
    policy = policy_for(error)
    pause = policy.pause(tries) if policy else None
    return None if pause is None else at + timedelta(seconds=max(pause, told or 0.0))


def after(policy: Policy, tries: int) -> datetime:
    """Return when to look again; where the policy gives up, after the longest pause."""
    pause = policy.pause(tries)
    return datetime.now(UTC) + timedelta(seconds=LONGEST if pause is None else pause)
