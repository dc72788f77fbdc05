"""The audit log: one hash chain a partition, over digests only, so that erasing a user keeps it valid."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.communication.bus.base import partition_of
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Audit

_A = table(Audit).c
START = bytes(32)


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Something that happened to a subject of a user; ``content`` is kept as a digest only."""

    user_id: str
    subject: str
    event: str
    content: object = None


async def append(tx: AsyncConnection, events: Iterable[AuditEvent]) -> None:
    """Add links to the chains, inside the transaction whose effects they tell of."""
    partitions: defaultdict[int, list[AuditEvent]] = defaultdict(list)
    for e in events:
        partitions[partition_of(e.user_id)].append(e)
    now = datetime.now(UTC)
    rows = []
    for partition, group in sorted(partitions.items()):
        last, previous = await _head(tx, partition)
        for position, e in enumerate(group, last + 1):
            content = hashlib.sha256(orjson.dumps(e.content, default=str)).digest()
            previous = link(previous, now, e.subject, e.event, content)
            names = ("partition", "position", "at", "subject", "event", "content", "hash")
            values = (partition, position, now, e.subject, e.event, content, previous)
            rows.append(dict(zip(names, values, strict=True)))
    if rows:
        await tx.execute(table(Audit).insert(), rows)


def link(previous: bytes, at: datetime, subject: str, event: str, content: bytes) -> bytes:
    """Return the hash of a link, which covers the one before it."""
    words = f"{at.astimezone(UTC).isoformat()}\x1f{subject}\x1f{event}\x1f".encode("utf-8", "surrogatepass")
    return hashlib.sha256(previous + words + content).digest()


async def broken_link(tx: AsyncConnection, partition: int) -> int | None:
    """Return the position of the first link that does not fit, or ``None`` for a sound chain."""
    previous = START
    query = select(table(Audit)).where(_A.partition == partition).order_by(_A.position)
    for expected, row in enumerate(await tx.execute(query), 1):
        if row.position != expected or link(previous, row.at, row.subject, row.event, row.content) != row.hash:
            return expected
        previous = row.hash
    return None


async def _head(tx: AsyncConnection, partition: int) -> tuple[int, bytes]:
    query = select(_A.position, _A.hash).where(_A.partition == partition).order_by(_A.position.desc()).limit(1)
    row = (await tx.execute(query)).first()
    return (row.position, row.hash) if row else (0, START)
