"""Leases on partitions: which worker hands out the messages of which users, with a fencing number each.

All times are the database's. Leases keep order and spare double work; that nothing is done twice does not depend on
them. A turn looks its fencing numbers up in its own transaction (``held``), and nobody can take a partition over
before that transaction ends.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.ledger.budgets import ALWAYS
from brody_agents.ledger.direct import Statement, one_of
from brody_agents.ledger.statements import insert_new, table, upsert
from brody_agents.ledger.tables import LiveWorker, PartitionLease

LEASE = timedelta(seconds=6)
"""How long a worker that is not heard of keeps what it holds."""
_TURN = text("SELECT pg_advisory_xact_lock(:lock)").bindparams(lock=0x62726F6479_6C)
_W, _P = table(LiveWorker).c, table(PartitionLease).c


@dataclass(frozen=True, slots=True)
class Standing:
    """The workers that live, with the partitions that each may hold, and the (holder, fence) of the leases."""

    workers: Mapping[str, frozenset[int]]
    leases: Mapping[int, tuple[str, int]]
    """Leases that have expired or were given up are not here."""

    def of(self, worker: str) -> dict[int, int]:
        """Return the partitions of a worker, with their fencing numbers."""
        return {p: fence for p, (holder, fence) in self.leases.items() if holder == worker}


async def beat(tx: AsyncConnection, worker: str, allowed: Collection[int]) -> Standing:
    """Say that a worker lives and keeps what it holds; forget the dead; return how things stand.

    Transactions with a beat or a release come one after the other.
    """
    await _alone(tx)
    now = await _clock(tx)
    row = {"id": worker, "partitions": sorted(allowed), "expires_at": now + LEASE}
    await tx.execute(upsert(tx, LiveWorker), row)
    await tx.execute(delete(table(LiveWorker)).where(_W.expires_at <= now))
    kept = update(table(PartitionLease)).where(_P.holder == worker)
    await tx.execute(kept.values(expires_at=now + LEASE))
    return await _standing(tx, now)


async def acquire(tx: AsyncConnection, worker: str, partitions: Collection[int]) -> dict[int, int]:
    """Take partitions that are free, expired, or left by an earlier process of this worker; return their fences."""
    wanted = sorted(partitions)
    if not wanted:
        return {}
    now = await _clock(tx)
    new = [{"partition": p, "holder": "", "fence": 0, "expires_at": ALWAYS} for p in wanted]
    await tx.execute(insert_new(tx, PartitionLease), new)
    free = _P.partition.in_(wanted) & ((_P.expires_at <= now) | (_P.holder == worker))
    # A turn under way holds a share of the row, so that this waits for its end.
    rows = await tx.execute(select(_P.partition).where(free).order_by(_P.partition).with_for_update())
    values = {"holder": worker, "fence": _P.fence + 1, "expires_at": now + LEASE}
    taken = update(table(PartitionLease)).where(_P.partition.in_(list(rows.scalars()))).values(values)
    rows = await tx.execute(taken.returning(_P.partition, _P.fence))
    return {row.partition: row.fence for row in rows}


async def release(tx: AsyncConnection, worker: str, fences: Mapping[int, int]) -> None:
    """Give partitions up; what somebody else holds by now is left alone."""
    if not fences:
        return
    await _alone(tx)
    mine = (_P.partition.in_(sorted(fences)), _P.holder == worker)
    query = select(_P.partition, _P.fence).where(*mine).order_by(_P.partition).with_for_update()
    await _free(tx, [p for p, fence in await tx.execute(query) if fences[p] == fence])


async def leave(tx: AsyncConnection, worker: str) -> None:
    """Give everything up and be no worker any more."""
    await _alone(tx)
    mine = select(_P.partition).where(_P.holder == worker).order_by(_P.partition).with_for_update()
    await _free(tx, list((await tx.execute(mine)).scalars()))
    await tx.execute(delete(table(LiveWorker)).where(_W.id == worker))


async def held(tx: AsyncConnection, fences: Mapping[int, int]) -> set[int]:
    """Return those of the partitions that nobody has taken over; none can be before this transaction ends."""
    return {p for p, fence in await _HELD(tx, partitions=list(fences)) if fences[p] == fence}


def _held(tx: AsyncConnection) -> Any:
    query = select(_P.partition, _P.fence).where(one_of(tx, _P.partition, "partitions"))
    # A shared lock on the key: a beat goes on beside it, a takeover waits.
    return query.order_by(_P.partition).with_for_update(read=True, key_share=True)


_HELD = Statement(_held)


async def _free(tx: AsyncConnection, partitions: Collection[int]) -> None:
    freed = update(table(PartitionLease)).where(_P.partition.in_(partitions))
    await tx.execute(freed.values(holder="", expires_at=ALWAYS))


async def _alone(tx: AsyncConnection) -> None:
    if tx.dialect.name == "postgresql":
        await tx.execute(_TURN)


async def _standing(tx: AsyncConnection, now: datetime) -> Standing:
    workers = await tx.execute(select(_W.id, _W.partitions))
    leases = await tx.execute(select(_P.partition, _P.holder, _P.fence).where(_P.expires_at > now))
    return Standing(
        {row.id: frozenset(row.partitions or ()) for row in workers},
        {row.partition: (row.holder, row.fence) for row in leases},
    )


async def _clock(tx: AsyncConnection) -> datetime:
    """Return the database's time; that of SQLite is this machine's."""
    if tx.dialect.name != "postgresql":
        return datetime.now(UTC)
    now: datetime = (await tx.execute(select(func.clock_timestamp()))).scalar_one()
    return now
