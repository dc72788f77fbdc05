"""What every bus does: the same tests on the in-memory bus, embedded Valkey, a redis-server and three brokers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from brody_agents.communication.bus.base import PARTITIONS, Bus, Entry, partition_of

Connect = Callable[[str], Awaitable[Bus]]


async def read_all(bus: Bus, count: int) -> list[Entry]:
    """Read until ``count`` entries came."""
    entries: list[Entry] = []
    while len(entries) < count:
        entries += await bus.read(timeout=1)
    return entries


async def test_entries_come_in_the_order_of_their_partition(bus: Bus) -> None:
    """Within a partition nothing overtakes."""
    await bus.publish([(n % 3, b"%d" % n) for n in range(600)])
    entries = await read_all(bus, 600)
    for partition in range(3):
        numbers = [int(e.data) for e in entries if e.partition == partition]
        assert numbers == sorted(numbers)
        assert len(numbers) == 200


async def test_a_read_returns_at_most_its_limit(bus: Bus) -> None:
    """A flood in one partition comes in batches."""
    await bus.publish([(5, b"x")] * 600)
    sizes: list[int] = []
    while sum(sizes) < 600:
        if entries := await bus.read(limit=256, timeout=1):
            sizes.append(len(entries))
    assert max(sizes) <= 256


async def test_an_idle_read_is_woken_by_a_publish(bus: Bus) -> None:
    """Who waits hears of new entries without polling."""
    await bus.read(timeout=0.01)
    waiting = asyncio.create_task(read_all(bus, 1))
    await bus.publish([(9, b"wake up")])
    assert [e.data for e in await asyncio.wait_for(waiting, 5)] == [b"wake up"]


async def test_an_idle_read_ends_with_nothing(bus: Bus) -> None:
    """A time-out is no error."""
    await read_all(bus, 0)
    assert await bus.read(timeout=0.01) == []


async def test_what_is_acknowledged_does_not_come_again(make_bus: Connect) -> None:
    """After a restart only what was never acknowledged comes again."""
    first = await make_bus("worker")
    await first.publish([(1, b"done"), (1, b"open")])
    entries = await read_all(first, 2)
    await first.acknowledge([e for e in entries if e.data == b"done"])
    await first.read(timeout=0.01)
    second = await make_bus("worker")
    if second is not first:
        await first.close()  # a broker gives to another what was open when the connection ends
        assert [e.data for e in await read_all(second, 1)] == [b"open"]


async def test_shared_values_can_be_set_read_and_dropped(bus: Bus) -> None:
    """The live copy of shared context."""
    await bus.set_shared("me", {"a": (b"1", None), "b": (b"2", None)})
    await bus.set_shared("me", {"b": (None, None)})
    assert await bus.get_shared("me", "a") == b"1"
    assert await bus.get_shared("me", "b") is None
    assert await bus.get_shared("you", "a") is None


async def test_shared_values_end_with_their_time(bus: Bus) -> None:
    """A value with a time to live is gone when it has passed."""
    await bus.set_shared("me", {"short": (b"1", 1)})
    async with asyncio.timeout(5):
        while await bus.get_shared("me", "short") is not None:  # noqa: ASYNC110 - the server tells nobody of it
            await asyncio.sleep(0)
    assert await bus.get_shared("me", "short") is None


def test_partitions_are_stable_and_spread() -> None:
    """A user's partition never changes, whatever the version, and users spread over all of them."""
    assert partition_of("me") == 2
    assert {partition_of(f"user-{n}") for n in range(2000)} == set(range(PARTITIONS))
