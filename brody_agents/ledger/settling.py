"""The person's word on an action whose outcome nobody else can tell; the executor closes the action by it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.action import ActionState
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Action

_A = table(Action).c


def asking(action: ActionRecord, why: str) -> ActionRecord:
    """Return an unknown action whose account cannot tell its outcome, so that a person has to."""
    command = f"brody actions settle {action.id[:8]}"
    return replace(action, asks_person=True, reason=f"{why} Then say so: {command} --done, or --not-done.")


def waits_for_a_person(action: ActionRecord) -> bool:
    """Say whether the account of an unknown action could not tell its outcome, and no person has said it yet."""
    return action.state is ActionState.UNKNOWN and action.settled is None and bool(action.asks_person)


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
