"""The policy of order: what goes first, what has waited long enough, when a failed message is tried again.

Pure functions; the outbox, the lanes and the coordinator have the mechanics. In front is the more urgent, then the
earlier deadline (none comes last), then the older. So that nothing starves, every ``SHARE``-th place goes to the
message that has waited longest among those that have waited ``AGEING``: with *k* older ones before it, a message is
in its turn within ``SHARE * (k + 1)`` places after that, however urgent the ones are that keep coming.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Protocol, TypeVar

from tenacity import RetryCallState, wait_exponential_jitter

from brody_agents.agent import Retry
from brody_agents.errors import Retryable

AGEING = timedelta(seconds=30)
"""How long a message waits before it counts as one that may starve."""
SHARE = 8
"""Every how many places one goes to the message that has waited longest."""
PATIENCE = 1.0
"""Seconds that a lane waits for the next try itself, in order; a longer pause is held in the ledger."""


class Waiting(Protocol):
    """What is known of a message in the backlog."""

    @property
    def id(self) -> str:
        """Return its id."""


W = TypeVar("W", bound=Waiting)


def in_turn(ordered: Sequence[W], longest: Sequence[W], share: int = SHARE) -> list[W]:
    """Return all messages once, in the order in which they get their turn.

    ``ordered`` goes by priority and deadline; ``longest`` are those that have aged, the oldest first.
    """
    if not longest:  # as nearly always
        return list({m.id: m for m in ordered}.values())
    turns: list[W] = []
    taken: set[str] = set()
    by_order, by_age = iter(ordered), iter(longest)
    while True:
        sources = (by_age, by_order) if len(turns) % share == share - 1 else (by_order, by_age)
        chosen = next((m for source in sources for m in source if m.id not in taken), None)
        if chosen is None:
            return turns
        taken.add(chosen.id)
        turns.append(chosen)


def pause(error: BaseException, tries: int, retry: Retry) -> float | None:
    """Return the seconds until the next try after ``tries`` failed ones; ``None`` when it is not tried again.

    A ``retry_after`` of the error is the least that is waited.
    """
    if tries >= retry.tries or not isinstance(error, retry.on):
        return None
    state = RetryCallState(None, None, (), {})  # type: ignore[arg-type]  # tenacity's policies read the number only
    state.attempt_number = tries
    wait: Callable[[RetryCallState], float] = retry.wait or _WAIT
    least = error.retry_after if isinstance(error, Retryable) else None
    return max(wait(state), least or 0.0)


_WAIT = wait_exponential_jitter(multiplier=0.1, max=600, jitter=0.1)


def wait_for_room(backlog: int, limit: int, closed_per_second: float) -> float:
    """Return the seconds, 1 to 60, after which a backlog at this pace is a tenth below its limit."""
    surplus = backlog - 0.9 * limit
    return min(60.0, max(1.0, surplus / closed_per_second if closed_per_second > 0 else 60.0))
