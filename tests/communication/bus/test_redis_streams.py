"""The bus on a server: several uses at a time, what no wake-up tells of, and a server that refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from brody_agents.communication.bus.base import PARTITIONS, Entry
from brody_agents.communication.bus.redis_streams import RedisStreamsBus
from brody_agents.errors import BusUnavailable


@pytest.fixture
async def client(redis_server: Path) -> AsyncIterator[Redis]:
    """Give a client of its own for a test that looks behind the bus."""
    client = Redis(unix_socket_path=str(redis_server))
    yield client
    await client.aclose()


@pytest.fixture
async def streams(redis_server: Path, tmp_path: Path) -> AsyncIterator[RedisStreamsBus]:
    """Give a bus that has not spoken to its server yet."""
    bus = RedisStreamsBus(Redis(unix_socket_path=str(redis_server)), prefix=f"test:{tmp_path.name}")
    yield bus
    await bus.close()


def stream(tmp_path: Path, partition: int) -> str:
    """Return the key of a stream."""
    return f"test:{tmp_path.name}:{{{partition}}}:messages"


async def test_many_may_begin_at_the_same_time(streams: RedisStreamsBus) -> None:
    """The groups are made once, under readers and writers alike."""
    entries: list[Entry] = []

    async def read() -> None:
        while len(entries) < 200:
            entries.extend(await streams.read(timeout=0.05))

    await asyncio.gather(read(), *(streams.publish([(n % PARTITIONS, b"%d" % n)]) for n in range(200)))
    assert sorted(int(e.data) for e in entries) == list(range(200))


async def test_a_busy_partition_does_not_hide_what_no_wake_up_told_of(
    streams: RedisStreamsBus, client: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All partitions are looked at now and then, however many wake-ups others cause."""
    monkeypatch.setattr("brody_agents.communication.bus.redis_streams.POLL", 0.1)
    await streams.read(timeout=0.01)
    await client.xadd(stream(tmp_path, 7), {"m": b"unannounced"})
    async with asyncio.timeout(5):
        seen: set[bytes] = set()
        while b"unannounced" not in seen:
            await streams.publish([(3, b"busy")])
            entries = await streams.read(timeout=1)
            await streams.acknowledge(entries)
            seen |= {e.data for e in entries}


async def test_a_server_that_refuses_is_unavailable(streams: RedisStreamsBus, client: Redis, tmp_path: Path) -> None:
    """Whatever the server answers, it is the bus's own error, on which the worker goes on without it."""
    await client.set(stream(tmp_path, 5), "no stream")
    with pytest.raises(BusUnavailable, match="WRONGTYPE"):
        await streams.publish([(5, b"x")])
    await client.delete(stream(tmp_path, 5))
    await streams.publish([(5, b"x")])
    async with asyncio.timeout(5):
        while not (entries := await streams.read(timeout=1)):
            pass
    assert [e.data for e in entries] == [b"x"]
