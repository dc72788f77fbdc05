"""Attempts at effects on accounts: every step is one conditional update on the action's state and fence."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.action import ActionState
from brody_agents.ledger import actions
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Action, Document, Email
from brody_agents.ledger.vault import Vault

_A, _E, _D = table(Action).c, table(Email).c, table(Document).c


@dataclass(frozen=True, slots=True)
class Item:
    """Where an item lies, as it was last read."""

    account: str
    key: str
    version: str


async def due(tx: AsyncConnection, vault: Vault, kinds: Collection[str], limit: int) -> list[ActionRecord]:
    """Return the actions of these kinds that are to be carried out or reconciled now, oldest first."""
    states = _A.state.in_((ActionState.APPROVED, ActionState.UNKNOWN))
    return await actions.load(
        tx, vault, states, _A.kind.in_(sorted(kinds)), actions.is_due(datetime.now(UTC)), limit=limit
    )


async def begin(tx: AsyncConnection, vault: Vault, action: ActionRecord, intent: dict[str, Any]) -> ActionRecord | None:
    """Write the intent of an approved action and return it with its new fence; ``None`` when another was first."""
    values = {
        "state": ActionState.EXECUTING,
        "fence": action.fence + 1,
        "intent": vault.seal(action.user_id, intent),
        "not_before": None,
        "updated_at": datetime.now(UTC),
    }
    mine = (_A.id == action.id, _A.state == ActionState.APPROVED, _A.fence == action.fence)
    changed = await tx.execute(update(table(Action)).where(*mine).values(**values))
    if changed.rowcount != 1:
        return None
    return replace(action, state=ActionState.EXECUTING, fence=action.fence + 1, intent=intent, not_before=None)


async def leave(tx: AsyncConnection, vault: Vault, was: ActionState, now: ActionRecord) -> bool:
    """Move an action on from the state ``was`` if it still has this state and fence; say whether it had."""
    mine = (_A.id == now.id, _A.state == was, _A.fence == now.fence)
    changed = await tx.execute(update(table(Action)).where(*mine).values(state=now.state, not_before=now.not_before))
    if changed.rowcount == 1:
        await actions.move(tx, vault, [now])
    return changed.rowcount == 1


async def executing_for(tx: AsyncConnection, kinds: Collection[str]) -> list[str]:
    """Return the users for whom something is ``executing``."""
    left = (_A.state == ActionState.EXECUTING, _A.kind.in_(sorted(kinds)))
    return list((await tx.execute(select(_A.user_id).where(*left).distinct())).scalars())


async def orphan(tx: AsyncConnection, kinds: Collection[str], users: Collection[str] | None = None) -> int:
    """Make ``unknown`` what a dead process left ``executing``; to be called by the one worker of these users."""
    left = [_A.state == ActionState.EXECUTING, _A.kind.in_(sorted(kinds))]
    left += [] if users is None else [_A.user_id.in_(users)]
    changed = await tx.execute(update(table(Action)).where(*left).values(state=ActionState.UNKNOWN, not_before=None))
    return changed.rowcount


async def mail(tx: AsyncConnection, user_id: str, item_id: str) -> Item | None:
    """Return where a mail of the user lies."""
    query = select(_E.email_account_id, _E.external_id, _E.version).where(_E.id == item_id, _E.user_id == user_id)
    row = (await tx.execute(query)).first()
    return Item(*row) if row else None


async def document(tx: AsyncConnection, user_id: str, item_id: str) -> Item | None:
    """Return where a document of the user lies."""
    query = select(_D.account, _D.external_id, _D.version).where(_D.id == item_id, _D.user_id == user_id)
    row = (await tx.execute(query)).first()
    return Item(*row) if row else None
