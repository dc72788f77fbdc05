"""The audit log: one hash chain a partition, over digests only, so that erasing a user keeps it valid."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.communication.bus.base import PARTITIONS, partition_of
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Audit

_A = table(Audit).c
START = bytes(32)
PRUNED = "older links pruned"
WORTHWHILE = 64
"""Links that a pruning takes away at least, since it adds one."""


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
    rows = []
    for partition, group in sorted(partitions.items()):
        links = [(e.subject, e.event, hashlib.sha256(orjson.dumps(e.content, default=str)).digest()) for e in group]
        rows += await _linked(tx, partition, links)
    if rows:
        await tx.execute(table(Audit).insert(), rows)


async def _linked(tx: AsyncConnection, partition: int, links: Sequence[tuple[str, str, bytes]]) -> list[dict[str, Any]]:
    """Return the rows that add links (subject, event, digest of the content) to a chain."""
    now, rows = datetime.now(UTC), []
    last, previous = await _head(tx, partition)
    for position, (subject, event, content) in enumerate(links, last + 1):
        previous = link(previous, now, subject, event, content)
        names = ("partition", "position", "at", "subject", "event", "content", "hash")
        values = (partition, position, now, subject, event, content, previous)
        rows.append(dict(zip(names, values, strict=True)))
    return rows


def link(previous: bytes, at: datetime, subject: str, event: str, content: bytes) -> bytes:
    """Return the hash of a link, which covers the one before it."""
    words = f"{at.astimezone(UTC).isoformat()}\x1f{subject}\x1f{event}\x1f".encode("utf-8", "surrogatepass")
    return hashlib.sha256(previous + words + content).digest()


async def broken_link(tx: AsyncConnection, partition: int) -> int | None:
    """Return the position of the first link that does not fit, or ``None`` for a sound chain.

    A chain whose beginning was pruned begins with a link that a later one vouches for.
    """
    query = select(table(Audit)).where(_A.partition == partition).order_by(_A.position)
    rows = (await tx.execute(query)).all()
    previous, first = START, 1
    if rows and rows[0].position > 1:
        oldest, *rows = rows
        if not any(row.event == PRUNED and row.content == _vouched(oldest.position, oldest.hash) for row in rows):
            return first
        previous, first = oldest.hash, oldest.position + 1
    for expected, row in enumerate(rows, first):
        if row.position != expected or link(previous, row.at, row.subject, row.event, row.content) != row.hash:
            return expected
        previous = row.hash
    return None


async def worth_pruning(tx: AsyncConnection, before: datetime) -> list[int]:
    """Return the partitions whose chains have enough old links."""
    chains = (select(_A.partition, _A.at).where(_A.partition == n).order_by(_A.position) for n in range(PARTITIONS))
    marks = (chain.offset(WORTHWHILE).limit(1).subquery() for chain in chains)
    return [row.partition for row in await tx.execute(union_all(*map(select, marks))) if row.at < before]


async def prune(partition: int, before: datetime, limit: int, tx: AsyncConnection) -> int:
    """Delete the oldest links of a chain, at most ``limit``, and return how many.

    The newest of the old links stays as the chain's new beginning, and a link at its end vouches for that one, so
    that nobody can shorten a chain unseen. Less than ``WORTHWHILE`` old links are left alone.
    """
    query = select(_A.position, _A.hash, _A.at).where(_A.partition == partition).order_by(_A.position)
    old = [row for row in await tx.execute(query.limit(limit + 1)) if row.at < before]
    if len(old) <= WORTHWHILE:
        return 0
    beginning = old[-1]
    await tx.execute(table(Audit).delete().where(_A.partition == partition, _A.position < beginning.position))
    vouched = _vouched(beginning.position, beginning.hash)
    await tx.execute(table(Audit).insert(), await _linked(tx, partition, [(f"audit {partition}", PRUNED, vouched)]))
    return len(old) - 1


def _vouched(position: int, found: bytes) -> bytes:
    return hashlib.sha256(b"%d\x1f" % position + found).digest()


async def _head(tx: AsyncConnection, partition: int) -> tuple[int, bytes]:
    query = select(_A.position, _A.hash).where(_A.partition == partition).order_by(_A.position.desc()).limit(1)
    row = (await tx.execute(query)).first()
    return (row.position, row.hash) if row else (0, START)
