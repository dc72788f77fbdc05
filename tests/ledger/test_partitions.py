"""Leases on partitions: one holder at a time, a fence that grows, the dead are forgotten; on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from brody_agents.ledger import partitions
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.partitions import Standing

ALL = range(64)


async def beat(ledger: Ledger, worker: str, allowed: Collection[int] = ALL) -> Standing:
    async with ledger.beside() as tx:
        return await partitions.beat(tx, worker, allowed)


async def acquire(ledger: Ledger, worker: str, wanted: Collection[int]) -> dict[int, int]:
    async with ledger.beside() as tx:
        await partitions.beat(tx, worker, ALL)
        return await partitions.acquire(tx, worker, wanted)


async def held(ledger: Ledger, fences: dict[int, int]) -> set[int]:
    async with ledger.write() as tx:
        return await partitions.held(tx, fences)


async def dies(ledger: Ledger, worker: str) -> None:
    """Let as much time go by for a worker as makes it dead."""
    past: dict[str, object] = {"past": datetime(2020, 1, 1, tzinfo=UTC), "worker": worker}
    async with ledger.beside() as tx:
        if tx.dialect.name == "sqlite":
            past["past"] = "2020-01-01 00:00:00.000000"
        await tx.execute(text("UPDATE workers SET expires_at = :past WHERE id = :worker"), past)
        await tx.execute(text("UPDATE partition_leases SET expires_at = :past WHERE holder = :worker"), past)


async def test_a_partition_has_one_holder(ledger: Ledger) -> None:
    assert await acquire(ledger, "a", [1, 2]) == {1: 1, 2: 1}
    assert await acquire(ledger, "b", [2, 3]) == {3: 1}
    standing = await beat(ledger, "b", {2, 3})
    assert standing.leases == {1: ("a", 1), 2: ("a", 1), 3: ("b", 1)}
    assert standing.workers == {"a": frozenset(ALL), "b": frozenset({2, 3})}
    assert standing.of("a") == {1: 1, 2: 1}


async def test_the_fence_grows_with_every_holder_and_the_old_one_no_longer_holds(ledger: Ledger) -> None:
    old = await acquire(ledger, "a", [1, 2])
    await dies(ledger, "a")
    assert await held(ledger, old) == {1, 2}, "nobody has taken it over yet"
    assert await acquire(ledger, "b", [1]) == {1: 2}
    assert await held(ledger, old) == {2}
    assert await held(ledger, {1: 2}) == {1}
    assert (await beat(ledger, "b")).workers.keys() == {"b"}


async def test_a_late_beat_keeps_what_nobody_has_taken(ledger: Ledger) -> None:
    await acquire(ledger, "a", [1, 2])
    await dies(ledger, "a")
    await acquire(ledger, "b", [1])
    assert (await beat(ledger, "a")).leases == {1: ("b", 2), 2: ("a", 1)}


async def test_what_is_given_up_is_free_at_once_unless_it_was_lost_before(ledger: Ledger) -> None:
    old = await acquire(ledger, "a", [1, 2])
    async with ledger.beside() as tx:
        await partitions.release(tx, "a", {1: old[1], 2: 99})
    assert await acquire(ledger, "b", [1, 2]) == {1: 2}
    async with ledger.beside() as tx:
        await partitions.leave(tx, "b")
    standing = await beat(ledger, "a")
    assert standing.workers.keys() == {"a"}
    assert standing.leases == {2: ("a", 1)}


async def test_a_worker_that_starts_again_takes_its_own_leases_over(ledger: Ledger) -> None:
    """Its earlier process is dead, so nobody has to wait; the number tells the two apart."""
    before = await acquire(ledger, "a", [1])
    assert await acquire(ledger, "a", [1]) == {1: 2}
    assert await held(ledger, before) == set()


@pytest.mark.integration
async def test_nobody_takes_a_partition_over_from_a_turn_under_way(database_url: str) -> None:
    """A beat goes on beside the turn, and the turn goes on beside a beat; a takeover waits for its end."""
    one, two = await Ledger.open(None, database_url), await Ledger.open(None, database_url)
    mine = await acquire(one, "a", [1])
    await dies(one, "a")
    async with one.write() as turn:
        assert await partitions.held(turn, mine) == {1}
        takeover = asyncio.create_task(acquire(two, "b", [1]))
        while not (await turn.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted"))).scalar():
            assert not takeover.done()
    assert await takeover == {1: 2}
    assert await held(one, mine) == set()
    async with one.write() as turn:
        assert await partitions.held(turn, {1: 2}) == {1}
        await beat(two, "b")
    await one.close()
    await two.close()
