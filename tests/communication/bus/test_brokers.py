"""What only the brokers do: order after a lost connection, a broker that goes, shared values elsewhere, their URLs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis

from brody_agents import Brody
from brody_agents.communication.bus.base import Bus, Entry
from brody_agents.communication.bus.brokers import BrokerBus, broker_bus
from brody_agents.communication.bus.memory import MemoryBus
from brody_agents.errors import BusUnavailable, ConfigurationError
from brody_agents.ledger.vault import Vault
from brody_agents.settings import Settings
from tests import brokers
from tests.conftest import missing
from tests.coordinator.kit import Recorder, note, until

pytestmark = pytest.mark.integration


@pytest.fixture(params=brokers.BROKERS)
def url(request: pytest.FixtureRequest, broker_url: Callable[[str], str]) -> str:
    """Return the URL of each broker in turn."""
    return broker_url(request.param)


async def read(bus: Bus, count: int) -> list[Entry]:
    """Read until ``count`` entries came."""
    entries: list[Entry] = []
    async with asyncio.timeout(20):
        while len(entries) < count:
            entries += await bus.read(timeout=1)
    return entries


async def use(bus: Bus) -> None:
    """Publish and read until it fails."""
    while True:
        await bus.publish([(1, b"y")])
        await bus.read(timeout=0.1)


def connect(url: str, path: Path) -> BrokerBus:
    """Return one more client of the bus that belongs to a test."""
    return broker_bus(url, prefix=f"test:{path.name}", values=MemoryBus())


async def test_what_was_open_comes_again_in_order_before_what_is_new(url: str, tmp_path: Path) -> None:
    """A worker that is killed acknowledges nothing; whoever follows it gets each partition's entries in order."""
    killed = connect(url, tmp_path)
    await killed.publish([(n % 2, b"%d" % n) for n in range(300)])
    await read(killed, 300)
    await killed._broker.stop()  # as a kill: nothing is acknowledged
    follower = connect(url, tmp_path)
    await follower.publish([(n % 2, b"%d" % n) for n in range(300, 320)])
    entries = await read(follower, 320)
    await follower.close()
    for partition in range(2):
        numbers = [int(e.data) for e in entries if e.partition == partition]
        assert numbers == list(range(partition, 320, 2))


async def test_kafka_forgets_only_what_nothing_open_stands_before(
    broker_url: Callable[[str], str], tmp_path: Path
) -> None:
    """It keeps one offset a partition: what was acknowledged out of order comes again, and nothing open is lost."""
    first = connect(broker_url("kafka"), tmp_path)
    await first.publish([(3, b"done"), (3, b"open"), (3, b"done behind it")])
    done, _, behind = await read(first, 3)
    await first.acknowledge([behind])
    await first.acknowledge([done])
    await first.close()
    second = connect(broker_url("kafka"), tmp_path)
    assert [e.data for e in await read(second, 2)] == [b"open", b"done behind it"]
    await second.close()


@pytest.mark.parametrize("name", brokers.BROKERS)
async def test_a_broker_that_is_lost_is_unavailable(name: str, tmp_path: Path) -> None:
    """Who reads or publishes hears of it within seconds, as of every other bus."""
    if wanting := brokers.wanting(name):
        missing(wanting)
    with brokers.broker(name) as url:
        bus = connect(url, tmp_path)
        await bus.publish([(1, b"x")])
        await read(bus, 1)
    async with asyncio.timeout(60):
        with pytest.raises(BusUnavailable, match=r"127\.0\.0\.1"):
            await use(bus)
    await bus.close()


@pytest.mark.parametrize("name", brokers.BROKERS)
async def test_work_goes_on_without_the_broker(name: str, home: Path, settings: Settings) -> None:
    """When it goes, the worker goes on in memory, with all that the ledger has."""
    if wanting := brokers.wanting(name):
        missing(wanting)
    recorder = Recorder()
    with brokers.broker(name) as url:
        brody = Brody(home=home, agents=[recorder], settings=settings.model_copy(update={"bus_url": url}))
        await brody.__aenter__()
        await brody.send(note(text="before"))
        await until(lambda: recorder.seen == ["before"], "the first message")
    try:
        for n in range(20):
            await brody.send(note(text=f"{n}"))
        async with asyncio.timeout(60):
            await brody.drain()
        assert recorder.seen == ["before", *(f"{n}" for n in range(20))]
        assert "failed" in await brody.bus()
    finally:
        await brody.__aexit__(None, None, None)


async def test_a_broker_that_is_not_there_is_said_so(home: Path, settings: Settings) -> None:
    """The work begins in memory."""
    (port,) = brokers.free_ports(1)
    async with Brody(home=home, settings=settings.model_copy(update={"bus_url": f"nats://127.0.0.1:{port}"})) as brody:
        said = await brody.bus()
    assert said == {"bus": "memory", "failed": {"bus": "NATS JetStream", "at": f"127.0.0.1:{port}"} | IN_MEMORY}


IN_MEMORY = {"shared values": "memory"}


async def test_shared_values_stay_on_redis(url: str, redis_server: Path, home: Path, settings: Settings) -> None:
    """A broker carries messages only; with BRODY_REDIS_URL beside it, the live copies are where they were."""
    urls = {"bus_url": url, "redis_url": f"unix://{redis_server}"}
    async with Brody(home=home, settings=settings.model_copy(update=urls)) as brody:
        said = await brody.bus()
        client = Redis(unix_socket_path=str(redis_server))
        keys = [key async for key in client.scan_iter(f"brody:{Vault.of_home(home).mark}:*")]
        await client.aclose()
    assert said["shared values"] == "redis streams"
    assert [key.rpartition(b":")[2] for key in keys] == [b"ping"]


async def test_what_is_shown_of_a_url_is_where_it_is_and_no_password() -> None:
    for url in ("amqp://me:secret@host:5672/home", "nats://me:secret@host:4222", "kafka://host:9092"):
        bus = broker_bus(url, prefix="x", values=MemoryBus())
        assert str(bus.describe()["at"]).startswith("host:")
        assert "secret" not in str(bus.describe())
        await bus.close()


@pytest.mark.parametrize("wrong", ["redis://localhost", "rabbit", "amqp", "nats//x", "http://user:secret@host"])
async def test_a_wrong_url_says_what_to_write(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match=r"BRODY_BUS_URL .*amqp://") as caught:
        broker_bus(wrong, prefix="x", values=MemoryBus())
    assert "secret" not in str(caught.value)


async def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faststream.nats", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'brody-agents\[brokers\]'"):
        broker_bus("nats://localhost", prefix="x", values=MemoryBus())
