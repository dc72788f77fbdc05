"""Messages in the ledger: the outbox and the backlog, what was handled, and the dead letters."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import case, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.communication.bus.base import partition_of
from brody_agents.communication.message_protocol import AgentMessage, encode
from brody_agents.ledger.statements import insert_new, table
from brody_agents.ledger.tables import DeadLetter, Handled, Message, Run

_M, _H, _D = table(Message).c, table(Handled).c, table(DeadLetter).c


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as it lies in the ledger and travels on the bus."""

    id: str
    user_id: str
    run_id: str | None
    partition: int
    body: bytes

    @property
    def digest(self) -> bytes:
        """Return what tells the same message from another with its id."""
        return digest_of(self.body)


@dataclass(slots=True)
class Standing:
    """What the ledger knows of a message: its digest and the agents that are done with it."""

    digest: bytes
    open: bool
    done: set[str] = field(default_factory=set)


def digest_of(body: bytes) -> bytes:
    """Return 16 bytes of BLAKE2b."""
    return hashlib.blake2b(body, digest_size=16).digest()


async def write(tx: AsyncConnection, messages: Sequence[AgentMessage]) -> list[Stored]:
    """Put messages in the backlog; one that is there already stays as it is."""
    now = datetime.now(UTC)
    stored = [Stored(m.id, m.user_id, m.run_id, partition_of(m.user_id), encode(m)) for m in messages]
    if stored:
        rows = [_row(m, s, now) for m, s in zip(messages, stored, strict=True)]
        await tx.execute(insert_new(tx, Message), rows)
    return stored


def _row(message: AgentMessage, stored: Stored, now: datetime) -> dict[str, Any]:
    return {
        "id": message.id,
        "partition": stored.partition,
        "user_id": message.user_id,
        "run_id": message.run_id,
        "sender": message.sender,
        "recipient": message.recipient,
        "message_type": message.message_type,
        "priority": message.priority.rank,
        "not_before": message.not_before,
        "body": stored.body,
        "digest": stored.digest,
        "open": True,
        "created_at": now,
    }


async def standing(tx: AsyncConnection, ids: Collection[str]) -> dict[str, Standing]:
    """Return what the ledger knows of messages; those that it does not have are left out."""
    found = {
        row.id: Standing(row.digest, row.open)
        for row in await tx.execute(select(_M.id, _M.digest, _M.open).where(_M.id.in_(ids)))
    }
    for message_id, agent in await done(tx, found):
        found[message_id].done.add(agent)
    return found


async def done(tx: AsyncConnection, ids: Collection[str]) -> set[tuple[str, str]]:
    """Return the (message, agent) pairs that are handled, or dead and not replayed."""
    if not ids:
        return set()
    handled = await tx.execute(select(_H.message_id, _H.agent).where(_H.message_id.in_(ids)))
    buried = await tx.execute(select(_D.message_id, _D.agent).where(_D.message_id.in_(ids), _D.replayed_at.is_(None)))
    return {(message_id, agent) for message_id, agent in [*handled, *buried]}


async def mark_handled(tx: AsyncConnection, pairs: Iterable[tuple[str, str]]) -> None:
    """Write the fact that agents have handled messages."""
    now = datetime.now(UTC)
    rows = [{"message_id": message_id, "agent": agent, "handled_at": now} for message_id, agent in pairs]
    if rows:
        await tx.execute(insert_new(tx, Handled), rows)


async def close(tx: AsyncConnection, ids: Collection[str]) -> None:
    """Take messages out of the backlog."""
    if ids:
        await tx.execute(update(table(Message)).where(_M.id.in_(ids)).values(open=False))


async def backlog(tx: AsyncConnection, limit: int) -> list[Stored]:
    """Return open messages that are due: by priority, then in the order in which they were written.

    Those of a run that still reads its accounts wait until it has read them all, so that what handlers see does
    not depend on how fast accounts are read.
    """
    r = table(Run).c
    reading = select(r.id).where(r.id == _M.run_id, r.state == "syncing").exists()
    query = (
        select(_M.id, _M.user_id, _M.run_id, _M.partition, _M.body)
        .where(_M.open, or_(_M.not_before.is_(None), _M.not_before <= datetime.now(UTC)), ~reading)
        .order_by(_M.priority, _M.seq)
        .limit(limit)
    )
    return [Stored(*row) for row in await tx.execute(query)]


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
