"""What scenarios need at their end: the person's answers, and to know that nothing is under way any more."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from brody_agents.action import ActionState
from brody_agents.brody import Brody
from brody_agents.ledger.settling import waits_for_a_person

_UNDER_WAY = (ActionState.APPROVED, ActionState.EXECUTING, ActionState.UNKNOWN)
_SOON = timedelta(minutes=5)
"""What is looked at again later than that waits for a budget, or for somebody to decide."""


async def approve_all(brody: Brody, user_id: str | None = None) -> int:
    """Answer every open card with yes, as a person would, and return how many there were."""
    cards = await brody.approvals.list(user_id)
    for card in cards:
        await brody.approvals.decide(card.id, "approve", digest=card.digest)
    return len(cards)


async def settled(brody: Brody, timeout: float = 45.0) -> None:
    """Wait until every message is handled and every approved action has ended, is known, or is left to a person.

    Raises ``TimeoutError`` when that takes longer than ``timeout`` seconds.
    """
    async with asyncio.timeout(timeout):
        while True:
            busy = await _busy(brody)
            await brody.drain()
            if not busy and not await _busy(brody):
                return
            await asyncio.sleep(0.02)


async def _busy(brody: Brody) -> bool:
    soon = datetime.now(UTC) + _SOON
    found = [action for state in _UNDER_WAY for action in await brody.actions.list(state=state)]
    open_ones = [action for action in found if not waits_for_a_person(action)]
    return any(action.not_before is None or action.not_before < soon for action in open_ones)
