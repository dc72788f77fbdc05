"""Attempts at effects on accounts: every step is one conditional update on the action's state and fence."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, or_, select, update
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


async def due(
    tx: AsyncConnection,
    vault: Vault,
    kinds: Collection[str],
    limit: int,
    *,
    partitions: Collection[int] | None = None,
    busy: Collection[str] = (),
) -> list[ActionRecord]:
    """Return the actions of these kinds that are to be carried out or reconciled now, oldest first.

    ``partitions`` are those of the users (``None`` for all); what works on an account that is ``busy`` is left out.
    """
    states = _A.state.in_((ActionState.APPROVED, ActionState.UNKNOWN))
    conditions = [states, _A.kind.in_(sorted(kinds)), actions.is_due(datetime.now(UTC)), *_of(partitions)]
    if busy:
        conditions.append(or_(_A.account.is_(None), _A.account.not_in(sorted(busy))))
    return await actions.load(tx, vault, *conditions, limit=limit)


def _of(partitions: Collection[int] | None) -> list[ColumnElement[bool]]:
    return [] if partitions is None else [_A.partition.in_(sorted(partitions))]


async def locate(tx: AsyncConnection, accounts: Mapping[str, str]) -> None:
    """Note which account each of some actions works on, so that ``due`` can leave out those of a busy one."""
    note = update(table(Action)).where(_A.id == bindparam("of")).values(account=bindparam("on"))
    if accounts:
        await tx.execute(note, [{"of": action_id, "on": account} for action_id, account in accounts.items()])


async def begin(tx: AsyncConnection, vault: Vault, action: ActionRecord, intent: dict[str, Any]) -> ActionRecord | None:
    """Write the intent of an approved action and return it with its new fence; ``None`` when another was first."""
    handed_over = False if intent.get("announced") else None
    values = {
        "state": ActionState.EXECUTING,
        "fence": action.fence + 1,
        "undo" if action.undoing else "intent": vault.seal(action.user_id, intent),
        "account": intent.get("account"),
        "not_before": None,
        "tries": 0,
        "settled": None,
        "asks_person": None,
        "handed_over": handed_over,
        "updated_at": datetime.now(UTC),
    }
    mine = _still(action, ActionState.APPROVED)
    changed = await tx.execute(update(table(Action)).where(*mine).values(**values))
    if changed.rowcount != 1:
        return None
    begun = replace(action, state=ActionState.EXECUTING, fence=action.fence + 1, not_before=None, tries=0)
    begun = replace(begun, account=intent.get("account"), settled=None)
    begun = replace(begun, asks_person=None, handed_over=handed_over)
    return replace(begun, undo=intent) if action.undoing else replace(begun, intent=intent)


async def hand_over(tx: AsyncConnection, action: ActionRecord) -> bool:
    """Note that a message is about to be handed over; ``False`` when the attempt is another's by now: then it must not.

    Until this is written, it surely has not left.
    """
    mine = _still(action, ActionState.EXECUTING)
    return (await tx.execute(update(table(Action)).where(*mine).values(handed_over=True))).rowcount == 1


async def leave(tx: AsyncConnection, vault: Vault, was: ActionState, now: ActionRecord) -> bool:
    """Move an action on from the state ``was`` if it still has this state and fence; say whether it had."""
    mine = _still(now, was)
    values: dict[str, Any] = {"not_before": now.not_before, "tries": now.tries, "held_until": now.held_until}
    values |= {"state": now.state, "asks_person": now.asks_person}
    changed = await tx.execute(update(table(Action)).where(*mine).values(**values))
    if changed.rowcount == 1:
        await actions.move(tx, vault, [now])
    return changed.rowcount == 1


def _still(action: ActionRecord, state: ActionState) -> tuple[Any, ...]:
    """Choose an action as long as nobody else has moved it, or asked to have it undone."""
    same_way = _A.undo_asked_at.is_not(None) if action.undoing else _A.undo_asked_at.is_(None)
    return _A.id == action.id, _A.state == state, _A.fence == action.fence, same_way


async def orphan(
    tx: AsyncConnection,
    kinds: Collection[str],
    *,
    partitions: Collection[int] | None = None,
    but: Collection[str] = (),
    not_before: datetime | None = None,
) -> int:
    """Make ``unknown`` what another process left ``executing``, for the one worker that has these partitions.

    ``but`` are the actions that this worker is at itself. The account is asked from ``not_before`` on. Whoever began
    an attempt and is not dead after all cannot write its result any more.
    """
    left = [_A.state == ActionState.EXECUTING, _A.kind.in_(sorted(kinds)), _A.id.not_in(sorted(but)), *_of(partitions)]
    values = {"state": ActionState.UNKNOWN, "not_before": not_before, "tries": 0}
    return (await tx.execute(update(table(Action)).where(*left).values(**values))).rowcount


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
