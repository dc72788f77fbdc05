"""A bus that several workers share: each reads its own partitions, and who has lost one takes nothing from it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from brody_agents.communication.bus.base import PARTITIONS, partition_of
from brody_agents.communication.bus.redis_streams import RedisStreamsBus, client_of
from brody_agents.coordinator.rate_windows import Rate, window_of
from tests import redis_cluster
from tests.conftest import missing

Connect = Callable[[], RedisStreamsBus]


@pytest.fixture(scope="session")
def redis_cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a Redis Cluster; return its URL."""
    if not redis_cluster.available():
        missing("there is no redis-server with redis-cli")
    with redis_cluster.cluster(tmp_path_factory.mktemp("cluster")) as url:
        yield url


@pytest.fixture(params=["redis", pytest.param("cluster", marks=pytest.mark.integration)])
async def connect(request: pytest.FixtureRequest, tmp_path: Path, redis_server: Path) -> AsyncIterator[Connect]:
    """Return a function that makes one more worker's bus, on a server and on a cluster."""
    url = request.getfixturevalue("redis_cluster_url") if request.param == "cluster" else f"unix://{redis_server}"
    opened: list[RedisStreamsBus] = []

    def one_more() -> RedisStreamsBus:
        opened.append(RedisStreamsBus(client_of(url), prefix=f"test:{tmp_path.name}", where=url))
        return opened[-1]

    yield one_more
    for bus in opened:
        await bus.close()


async def received(bus: RedisStreamsBus, count: int) -> list[bytes]:
    """Read until as many entries have come."""
    found: list[bytes] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            found += [entry.data for entry in await bus.read(timeout=0.2)]
    return found


async def test_each_worker_reads_its_own_partitions(connect: Connect) -> None:
    """Whoever publishes, and in the order in which it was published."""
    one, two, other = connect(), connect(), connect()
    await one.hold(dict.fromkeys(range(0, PARTITIONS, 2), 1))
    await two.hold(dict.fromkeys(range(1, PARTITIONS, 2), 1))
    await other.publish([(n % PARTITIONS, b"%d" % n) for n in range(256)])
    for bus, rest in ((one, 0), (two, 1)):
        numbers = [int(data) for data in await received(bus, 128)]
        assert {n % 2 for n in numbers} == {rest}
        for partition in range(rest, PARTITIONS, 2):
            assert [n for n in numbers if n % PARTITIONS == partition] == [partition + 64 * k for k in range(4)]


async def test_what_a_worker_had_read_comes_again_for_the_next_holder(connect: Connect) -> None:
    dead, heir = connect(), connect()
    await dead.hold({7: 1, 8: 1})
    await dead.publish([(7, b"a"), (7, b"b"), (8, b"other")])
    assert sorted(await received(dead, 3)) == [b"a", b"b", b"other"]
    await heir.hold({7: 2})
    assert await received(heir, 2) == [b"a", b"b"]


async def test_what_is_done_with_does_not_come_again(connect: Connect) -> None:
    one, heir = connect(), connect()
    await one.hold({7: 1})
    await one.publish([(7, b"a"), (7, b"b")])
    entries = await one.read(timeout=5)
    await one.acknowledge(entries[:1])
    await one.read(timeout=0.01)
    await heir.hold({7: 2})
    assert await received(heir, len(entries[1:])) == [entry.data for entry in entries[1:]]


async def test_who_has_lost_a_partition_takes_nothing_from_the_new_holder(connect: Connect) -> None:
    """A worker that slept through its lease goes on reading; the new holder gets every entry all the same."""
    stale, holder = connect(), connect()
    await stale.hold({7: 1})
    await stale.read(timeout=0.01)
    await holder.hold({7: 2})
    await holder.publish([(7, b"%d" % n) for n in range(10)])
    for _ in range(3):
        await stale.read(timeout=0.01)
    assert await received(holder, 10) == [b"%d" % n for n in range(10)]
    await stale.hold({})
    await holder.publish([(7, b"last")])
    assert await stale.read(timeout=0.05) == []
    assert await received(holder, 1) == [b"last"]


async def test_a_single_worker_and_many_may_follow_one_another(connect: Connect) -> None:
    single, shared = connect(), connect()
    await single.publish([(7, b"a")])
    assert await received(single, 1) == [b"a"]
    await shared.hold(dict.fromkeys(range(PARTITIONS), 1))
    assert await received(shared, 1) == [b"a"]
    again = connect()
    assert await received(again, 1) == [b"a"]


async def test_an_announcement_reaches_all_workers(connect: Connect) -> None:
    buses, heard = [connect(), connect()], asyncio.Queue[frozenset[int]]()
    for bus in buses:
        bus.on_announcement = heard.put_nowait
        await bus.hold({})
    async with asyncio.timeout(10), aclosing(_announced(connect(), heard)) as announcements:
        assert [await anext(announcements) for _ in buses] == [frozenset({3, 5})] * 2


async def test_a_rate_window_counts_for_all_workers(connect: Connect) -> None:
    """Its script has one key, so that it runs on a cluster."""
    one, two = (window_of(connect()) for _ in range(2))
    rate = Rate(2, 60)
    assert [await window.take("mail:one", rate, 1) for window in (one, two)] == [0, 0]
    assert await one.take("mail:one", rate, 1) > 0


async def _announced(bus: RedisStreamsBus, heard: asyncio.Queue[frozenset[int]]) -> AsyncGenerator[frozenset[int]]:
    """Announce until it is heard: whoever subscribes a moment later hears the next one."""
    while True:
        await bus.announce({3, 5})
        while not heard.empty():
            yield heard.get_nowait()
        await asyncio.sleep(0.01)


@given(st.text(min_size=1), st.text())
def test_all_keys_of_a_partition_lie_in_one_slot(user_id: str, key: str) -> None:
    """Whatever a user or a value is called: braces in a name come after the hash tag."""
    bus = RedisStreamsBus(None, prefix="brody:0123")  # type: ignore[arg-type]
    partition = partition_of(user_id)
    names = [bus._stream(partition), bus._value(user_id, key)]
    slots = {key_slot(name.encode("utf-8", "surrogatepass")) for name in names}
    assert slots == {key_slot(b"%d" % partition)}
