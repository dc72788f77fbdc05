"""Retention: what is done with is forgotten after a time, oldest first, a few rows a transaction.

Two times count. After the first, messages that are closed go, with the facts of who handled them. After the second,
records go: what an action was about, its verdicts, approvals and reservations, dead letters, notifications and runs.
An action's key stays for ever, and so does the fact that a mail which is still there was handled: whatever asks for
the same again, years later, is the same again.

Nothing here needs an index of its own: messages and actions are numbered in the order in which they were written,
so the oldest stand at the front of their tables, and the other tables grow with what people do.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import delete, exists, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel

from brody_agents.action import OPEN_STATES
from brody_agents.ledger import runs
from brody_agents.ledger.actions import WHOLE
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.resource_tables import BudgetReservation
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import (
    Action,
    ActionClaim,
    Approval,
    DeadLetter,
    Email,
    Handled,
    Message,
    Note,
    Run,
    TrackRecordEntry,
    Verdict,
)
from brody_agents.policy import audit

AT_A_TIME = 128
"""Rows that one transaction looks at: a turn that waits for it waits for a few milliseconds."""
PAUSE = 0.02
"""Seconds between two transactions, so that turns go first."""
SWEEP = 3600.0
FIRST = 5.0
"""Seconds before the first sweep: by then, all that waited on the bus has come, and met what the ledger knows of it."""

_M, _H, _D, _E, _A, _R = (table(model).c for model in (Message, Handled, DeadLetter, Email, Action, Run))
_P, _N = table(Approval).c, table(Note).c
_FORGOTTEN = ("arguments", "why", "reason", "result", "intent", "provenance")
_OVER = (runs.COMPLETE, runs.FAILED)


@dataclass(frozen=True, slots=True)
class Ages:
    """How long messages that are closed, and records, are kept."""

    messages: timedelta
    records: timedelta


class Retention:
    """Forget what is older than its age."""

    def __init__(self, ledger: Ledger, ages: Ages, mine: Callable[[], bool] = lambda: True) -> None:
        self._ledger, self._ages, self._mine = ledger, ages, mine
        self._over = asyncio.Event()

    async def run(self) -> None:
        """Sweep from time to time until ``stop``."""
        pause = FIRST
        while not await self._stopped(pause):
            if self._mine():  # among many workers, one sweeps
                await self.sweep(datetime.now(UTC))
            pause = SWEEP

    def stop(self) -> None:
        """End after the transaction under way."""
        self._over.set()

    async def sweep(self, now: datetime) -> Counter[str]:
        """Forget all that is too old by then; return how many rows of what."""
        gone: Counter[str] = Counter()
        closed, records = now - self._ages.messages, now - max(self._ages.messages, self._ages.records)
        await self._walk(gone, Message, closed, _forget_messages)
        await self._walk(gone, Action, records, _forget_actions)
        for part, forget in await self._parts(records):
            await self._repeat(gone, part, forget)
        return gone

    async def _parts(self, before: datetime) -> list[tuple[str, _Part]]:
        """Return the small tables and the chains of the audit that have something old, and how it is forgotten."""
        parts: list[tuple[str, _Part]] = []
        async with self._ledger.glance() as tx:
            for model, column, conditions in _BY_TIME:
                chosen = (column < before, *conditions)
                if (await tx.execute(select(column).where(*chosen).limit(1))).first():
                    parts.append((str(model.__tablename__), partial(_delete, model, chosen)))
            chains = await audit.worth_pruning(tx, before)
            parts += [("audit", partial(audit.prune, partition, before, AT_A_TIME)) for partition in chains]
        return parts

    async def _walk(self, gone: Counter[str], model: type[SQLModel], before: datetime, forget: _Forget) -> None:
        """Go through a table in the order in which it was written, as far as it is old."""
        c, last = table(model).c, 0
        oldest = select(c.seq, c.id, c.created_at).order_by(c.seq).limit(AT_A_TIME)
        while not await self._stopped(PAUSE if last else 0):
            async with self._ledger.glance() as tx:
                rows = (await tx.execute(oldest.where(c.seq > last))).all()
            old = [row for row in rows if row.created_at < before]
            if old:
                async with self._ledger.write() as tx:
                    gone[str(model.__tablename__)] += await forget(tx, [row.id for row in old], before)
                last = old[-1].seq
            if len(old) < AT_A_TIME:
                return

    async def _repeat(self, gone: Counter[str], name: str, forget: _Part) -> None:
        """Forget a part at a time until a part is not full."""
        count, last = AT_A_TIME, 0
        while count == AT_A_TIME and not await self._stopped(PAUSE if last else 0):
            async with self._ledger.write() as tx:
                count = last = await forget(tx)
            gone[name] += count

    async def _stopped(self, pause: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), pause)
        return self._over.is_set()


_Forget = Callable[[AsyncConnection, Sequence[str], datetime], Awaitable[int]]
_Part = Callable[[AsyncConnection], Awaitable[int]]


async def _forget_messages(tx: AsyncConnection, ids: Sequence[str], before: datetime) -> int:
    """Delete messages that are closed, that nobody handled lately, that no letter replays and no run sends again."""
    lately = exists().where(_H.message_id == _M.id, _H.handled_at >= before)
    letter = exists().where(_D.message_id == _M.id)
    run = exists().where(_R.id == _M.run_id, _R.state.not_in(_OVER))
    chosen = (_M.id.in_(ids), _M.open.is_(False), ~lately, ~letter, ~run)
    gone = list((await tx.execute(delete(table(Message)).where(*chosen).returning(_M.id))).scalars())
    still_there = exists().where(_E.received_id == _H.message_id)
    await tx.execute(delete(table(Handled)).where(_H.message_id.in_(gone), ~still_there))
    return len(gone)


async def _forget_actions(tx: AsyncConnection, ids: Sequence[str], before: datetime) -> int:
    """Empty actions that have ended, and delete what hangs on them; their keys stay."""
    ended = (_A.state.not_in(OPEN_STATES), _A.updated_at < before, WHOLE)
    emptied: Any = dict.fromkeys(_FORGOTTEN)
    statement = update(table(Action)).where(_A.id.in_(ids), *ended).values(emptied).returning(_A.id)
    gone = list((await tx.execute(statement)).scalars())
    for model in (Verdict, ActionClaim, BudgetReservation, TrackRecordEntry):
        await tx.execute(delete(table(model)).where(table(model).c.action_id.in_(gone)))
    return len(gone)


async def _delete(model: type[SQLModel], conditions: Collection[Any], tx: AsyncConnection) -> int:
    """Delete some rows of a table that is small."""
    c = table(model).c
    some = select(c.id).where(*conditions).limit(AT_A_TIME)
    return (await tx.execute(delete(table(model)).where(c.id.in_(some)))).rowcount


_BY_TIME: tuple[tuple[type[SQLModel], Any, tuple[Any, ...]], ...] = (
    (Approval, _P.expires_at, (_P.state != "open",)),
    (DeadLetter, _D.created_at, ()),
    (Note, _N.created_at, ()),
    (Run, _R.started_at, (_R.state.in_(_OVER),)),
)
