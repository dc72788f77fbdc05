"""What a person asks to have undone: each wish is one conditional update on the action's state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.action import ActionState, Claim
from brody_agents.ledger import actions
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.statements import insert_new, table
from brody_agents.ledger.tables import Action, ActionClaim
from brody_agents.ledger.vault import Vault

_A = table(Action).c


async def ask(
    tx: AsyncConnection, vault: Vault, action: ActionRecord, reason: str, claims: Sequence[Claim] = ()
) -> bool:
    """Have an action that is done, or approved and not begun, go backwards; ``False`` when it has moved on.

    It holds ``claims`` until it has ended.
    """
    now = datetime.now(UTC)
    values: dict[str, Any] = {"state": ActionState.APPROVED, "undo_asked_at": now, "not_before": None, "undo": None}
    values |= {"reason": vault.seal(action.user_id, reason), "updated_at": now}
    if (await tx.execute(update(table(Action)).where(*_as_seen(action)).values(**values))).rowcount != 1:
        return False
    if rows := actions.claim_rows(replace(action, claims=tuple(claims))):
        await tx.execute(insert_new(tx, ActionClaim), rows)
    return True


async def take_back(tx: AsyncConnection, vault: Vault, action: ActionRecord, reason: str) -> ActionRecord | None:
    """Make ``undone`` what nobody has begun; ``None`` when it has moved on."""
    gone = action.moved(ActionState.UNDONE, reason)
    values = {"state": gone.state, "undo_asked_at": datetime.now(UTC)}
    if (await tx.execute(update(table(Action)).where(*_as_seen(action)).values(**values))).rowcount != 1:
        return None
    await actions.move(tx, vault, [gone])
    return gone


def _as_seen(action: ActionRecord) -> tuple[Any, ...]:
    return _A.id == action.id, _A.state == action.state, _A.fence == action.fence
