"""Messages in the ledger: the outbox and the backlog, and what was handled. Their bodies are sealed."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import bindparam, case, false, func, or_, select, union_all, update
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.communication.bus.base import partition_of
from brody_agents.communication.message_protocol import AgentMessage, Priority
from brody_agents.ledger.bulk import Bulk
from brody_agents.ledger.direct import Rows, Statement, one_of
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.pool_rows import MessageRow, message_row
from brody_agents.ledger.statements import among, table
from brody_agents.ledger.tables import NO_DEADLINE, DeadLetter, Handled, Message, Run
from brody_agents.ledger.vault import Vault

_M, _H, _D = table(Message).c, table(Handled).c, table(DeadLetter).c
_PRIORITIES = range(len(Priority))


class Stored(NamedTuple):
    """A message as it lies in the ledger and travels on the bus."""

    id: str
    user_id: str
    run_id: str | None
    partition: int
    body: bytes
    digest: bytes
    """What tells the same message from another with its id."""
    begun: bool = False
    """Whether some agent may be done with it, or has tried it."""


class Waiting(NamedTuple):
    """A message of the backlog, as much of it as its order needs."""

    id: str
    user_id: str
    seq: int
    created_at: datetime


@dataclass(slots=True)
class Standing:
    """What the ledger knows of a message: its digest, how it went so far, and the agents that are done with it."""

    digest: bytes
    open: bool
    not_before: datetime | None = None
    attempts: int = 0
    deaths: int = 0
    done: set[str] = field(default_factory=set)


def digest_of(body: bytes) -> bytes:
    """Return 16 bytes of BLAKE2b."""
    return hashlib.blake2b(body, digest_size=16).digest()


async def write(
    tx: AsyncConnection, vault: Vault, messages: Sequence[AgentMessage], encoded: Mapping[str, bytes] | None = None
) -> list[Stored]:
    """Put messages in the backlog and return those that are new; one that is there already stays as it is.

    ``encoded`` has the wire forms, by id, that are known already.
    """
    each: dict[str, AgentMessage] = {}
    for m in messages:
        each.setdefault(m.id, m)
    known = encoded or {}
    return await write_rows(tx, vault, [message_row(m, known.get(m.id)) for m in each.values()])


async def write_rows(tx: AsyncConnection, vault: Vault, rows: Sequence[MessageRow]) -> list[Stored]:
    """Put messages in the backlog, each id once, and return those that are new."""
    if not rows:
        return []
    now = datetime.now(UTC)
    stored = [Stored(r.id, r.user_id, r.run_id, partition_of(r.user_id), r.body, digest_of(r.body)) for r in rows]
    new = await _added(tx, [_row(vault, row, s, now) for row, s in zip(rows, stored, strict=True)])
    return stored if new is None else [s for s in stored if s.id in new]


async def _added(tx: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> set[str] | None:
    """Insert rows of ``_ROWS``; return the ids of the new ones, ``None`` if all are."""
    if tx.dialect.name == "postgresql":
        return await _ROWS.new(tx, rows)
    count = await _ROWS.insert(tx, rows)
    if count == len(rows):
        return None
    newest = select(_M.id).order_by(_M.seq.desc()).limit(count)  # SQLite has one writer, and it counts upwards
    return set((await tx.execute(newest)).scalars())


_ROWS = Bulk(
    Message,
    *("id", "partition", "user_id", "run_id", "sender", "recipient", "message_type", "priority", "deadline"),
    *("not_before", "attempts", "deaths", "body", "digest", "open", "created_at"),
)


def _row(vault: Vault, message: MessageRow, stored: Stored, now: datetime) -> tuple[Any, ...]:
    """Return the values of ``_ROWS``."""
    return (
        *(message.id, stored.partition, message.user_id, message.run_id, message.sender, message.recipient),
        *(message.message_type, message.priority, message.deadline or NO_DEADLINE, message.not_before, 0, 0),
        *(vault.seal_bytes(message.user_id, message.body), stored.digest, True, now),
    )


_STANDING = (_M.id, _M.digest, _M.open, _M.not_before, _M.attempts, _M.deaths)


async def standing(tx: AsyncConnection, ids: Collection[str]) -> dict[str, Standing]:
    """Return what the ledger knows of messages; those that it does not have are left out."""
    found = {
        row.id: Standing(row.digest, row.open, row.not_before, row.attempts, row.deaths)
        for row in await tx.execute(select(*_STANDING).where(among(tx, _M.id, ids)))
    }
    for message_id, agent in await done(tx, found):
        found[message_id].done.add(agent)
    return found


async def done(tx: AsyncConnection, ids: Collection[str]) -> set[tuple[str, str]]:
    """Return the (message, agent) pairs that are handled, or dead and not replayed."""
    return {(message_id, agent) for message_id, agent in await _DONE(tx, ids=list(ids))} if ids else set()


def _done(tx: AsyncConnection) -> Any:
    handled = select(_H.message_id, _H.agent).where(one_of(tx, _H.message_id, "ids"))
    buried = select(_D.message_id, _D.agent).where(one_of(tx, _D.message_id, "ids"), _D.replayed_at.is_(None))
    return union_all(handled, buried)


_DONE = Statement(_done)


async def mark_handled(tx: AsyncConnection, pairs: Iterable[tuple[str, str]]) -> None:
    """Write the fact that agents have handled messages."""
    now = datetime.now(UTC)
    rows = [(message_id, agent, now) for message_id, agent in pairs]
    if rows:
        await _HANDLED.insert(tx, rows)


_HANDLED = Bulk(Handled, "message_id", "agent", "handled_at")


async def close(tx: AsyncConnection, ids: Collection[str]) -> None:
    """Take messages out of the backlog."""
    if ids:
        await _CLOSE(tx, ids=list(ids))


_CLOSE = Statement(lambda tx: update(table(Message)).where(one_of(tx, _M.id, "ids")).values(open=false()))


async def backlog(
    ledger: Ledger, limit: int, *, without: Collection[str] = (), among: Collection[int] | None = None
) -> list[Waiting]:
    """Return open messages that are due: by priority, then the earliest deadline, then as they were written.

    Those of a run that still reads its accounts wait until it has read them all, so that what handlers see does
    not depend on how fast accounts are read. Users in ``without`` are passed over, and all that are of other
    partitions than those in ``among``.
    """
    query = _due(*_WAITING).where(*_others(without), *_of(among)).order_by(*_ORDER)
    return await _waiting(ledger, query.limit(limit))


async def longest_waiting(
    ledger: Ledger,
    limit: int,
    since: datetime,
    *,
    without: Collection[str] = (),
    among: Collection[int] | None = None,
) -> list[Waiting]:
    """Return those that have waited since a time among what is next of each priority, the oldest first.

    Next are, of each, those with the earliest deadlines, and the oldest of those without one: so the index of the
    backlog answers, and nothing needs an index of age.
    """
    due = _due(*_WAITING).where(*_others(without), *_of(among))
    old = _M.created_at <= since
    heads = [
        due.where(_M.priority == priority, *which).order_by(*_ORDER).limit(limit).subquery()
        for priority in _PRIORITIES
        for which in ((_M.deadline < NO_DEADLINE, old), (_M.deadline == NO_DEADLINE,))  # these go by age in any case
    ]
    found = await _waiting(ledger, union_all(*(select(head).where(head.c.created_at <= since) for head in heads)))
    return sorted(found, key=lambda m: m.seq)[:limit]


async def overdue(ledger: Ledger, limit: int, among: Collection[int] | None = None) -> list[Waiting]:
    """Return open messages whose deadline has passed, whether they are due or not."""
    late = (_M.priority.in_(_PRIORITIES), _M.deadline <= datetime.now(UTC))
    return await _waiting(ledger, select(*_WAITING).where(_M.open, *late, *_of(among)).limit(limit))


async def next_due(ledger: Ledger, among: Collection[int] | None = None) -> datetime | None:
    """Return when the next of the messages that are to wait is due."""
    query = select(func.min(_M.not_before, type_=_M.not_before.type))
    async with ledger.glance() as tx:
        waiting = (_M.open, _M.not_before > datetime.now(UTC), *_of(among))
        due: datetime | None = (await tx.execute(query.where(*waiting))).scalar()
    return due


async def length(ledger: Ledger, limit: int) -> int:
    """Return how many messages are open, counted up to a limit."""
    few = select(_M.priority).where(_M.open).limit(limit).subquery()
    async with ledger.read() as tx:
        return (await tx.execute(select(func.count()).select_from(few))).scalar_one()


async def postpone(tx: AsyncConnection, pauses: Iterable[tuple[str, datetime, int]]) -> None:
    """Have messages wait until a time, and write how often they were tried."""
    rows = [{"this": message_id, "until": until, "tries": tries} for message_id, until, tries in pauses]
    if rows:
        values: dict[str, Any] = {"not_before": bindparam("until"), "attempts": bindparam("tries")}
        await tx.execute(update(table(Message)).where(_M.id == bindparam("this")).values(values), rows)


async def count_deaths(tx: AsyncConnection, ids: Collection[str], limit: int) -> set[str]:
    """Note that the process ended while messages were handled; return those with as many deaths as the limit."""
    chosen = (_M.id.in_(ids), _M.open)
    await tx.execute(update(table(Message)).where(*chosen).values(deaths=_M.deaths + 1))
    return set((await tx.execute(select(_M.id).where(*chosen, _M.deaths >= limit))).scalars())


async def bodies(ledger: Ledger, ids: Collection[str]) -> list[Stored]:
    """Return messages as they are on the bus."""
    return await _stored(ledger, await ledger.ask(_BODIES, ids=list(ids))) if ids else []


async def still_open(ledger: Ledger, ids: Collection[str]) -> list[Stored]:
    """Return those of the messages that are open and to be published: due, or too late and to be recorded as such."""
    if not ids:
        return []
    return await _stored(ledger, await ledger.ask(_STILL_OPEN, ids=list(ids), now=datetime.now(UTC)))


def due() -> Any:
    """Return the question for a message that is open and due at the time ``now``."""
    return _due(_M.id, now=bindparam("now", type_=_M.not_before.type)).limit(1)


def _due(*columns: Any, late: Sequence[Any] = (), now: Any = None) -> Any:
    r, now = table(Run).c, datetime.now(UTC) if now is None else now
    reading = select(r.id).where(r.id == _M.run_id, r.state == "syncing").exists()
    return select(*columns).where(_M.open, or_(_M.not_before.is_(None), _M.not_before <= now, *late), ~reading)


def _others(without: Collection[str]) -> list[Any]:
    return [_M.user_id.not_in(without)] if without else []


def _of(partitions: Collection[int] | None) -> list[Any]:
    return [] if partitions is None else [_M.partition.in_(sorted(partitions))]


def _begun() -> Any:
    handled = select(_H.agent).where(_H.message_id == _M.id).exists()
    buried = select(_D.agent).where(_D.message_id == _M.id, _D.replayed_at.is_(None)).exists()
    return or_(_M.attempts > 0, _M.deaths > 0, handled, buried).label("begun")


_ORDER = (_M.priority, _M.deadline, _M.seq)
_WAITING = (_M.id, _M.user_id, _M.seq, _M.created_at)
_STORED = (_M.id, _M.user_id, _M.run_id, _M.partition, _M.body, _M.digest, _begun())


async def _waiting(ledger: Ledger, query: Any) -> list[Waiting]:
    async with ledger.glance() as tx:
        return [Waiting(*row) for row in await tx.execute(query)]


def _still_open(tx: AsyncConnection) -> Any:
    now = bindparam("now", type_=_M.deadline.type)
    return _due(*_STORED, late=[_M.deadline <= now], now=now).where(one_of(tx, _M.id, "ids")).order_by(*_ORDER)


_BODIES = Statement(lambda tx: select(*_STORED).where(one_of(tx, _M.id, "ids")))
_STILL_OPEN = Statement(_still_open)


async def _stored(ledger: Ledger, rows: Rows) -> list[Stored]:
    """Return what rows of ``_STORED`` are."""
    await ledger.ensure_users({row[1] for row in rows})
    opened = ledger.vault.open_bytes
    return [Stored(i, u, run, p, opened(u, body), digest, bool(begun)) for i, u, run, p, body, digest, begun in rows]


async def open_users(tx: AsyncConnection) -> set[str]:
    """Return the users that have open messages."""
    return set((await tx.execute(select(_M.user_id).where(_M.open).distinct())).scalars())


async def open_runs(tx: AsyncConnection, run_ids: Collection[str]) -> set[str]:
    """Return those of the runs that have an open message."""
    found = set()
    for run_id in run_ids:
        query = select(_M.id).where(_M.open, _M.run_id == run_id).limit(1)
        if (await tx.execute(query)).first() is not None:
            found.add(run_id)
    return found


async def progress(tx: AsyncConnection, run_id: str) -> tuple[int, int]:
    """Return how many messages of a run are closed, and how many there are."""
    query = select(func.count(), func.sum(case((_M.open, 0), else_=1))).where(_M.run_id == run_id)
    total, closed = (await tx.execute(query)).one()
    return int(closed or 0), int(total)
