"""The person's word on an action whose outcome nobody else can tell; the executor closes the action by it."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.action import ActionState
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Action

_A = table(Action).c


async def settle(tx: AsyncConnection, action_id: str, done: bool) -> bool:
    """Write down whether an unknown action took place; say whether it was unknown, and nothing else was said before."""
    unclear = (_A.id == action_id, _A.state == ActionState.UNKNOWN, _A.settled.is_(None) | (_A.settled == done))
    values = {"settled": done, "not_before": None, "updated_at": datetime.now(UTC)}
    return (await tx.execute(update(table(Action)).where(*unclear).values(**values))).rowcount == 1


def settled(action: ActionRecord) -> ActionRecord:
    """Return an action as it ends by the person's word."""
    if action.settled:
        return action.moved(ActionState.DONE, "You said that it took place.", result={"settled": "done"})
    return action.moved(ActionState.FAILED, "You said that it did not take place.", result={"settled": "not done"})
