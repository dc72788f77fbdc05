"""Fixtures that all tests share: homes, buses on every backend, small agents."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from brody_agents.communication.bus.base import Bus
from brody_agents.settings import Settings
from tests import brokers, postgres

BUSES = ("memory", "valkey", "redis-server")
BROKERED = [pytest.param(name, marks=pytest.mark.integration) for name in brokers.BROKERS]


def missing(reason: str) -> None:
    """Skip for want of an optional server; in CI everything must be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}, and CI needs it")
    pytest.skip(reason)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return the folder of a new home."""
    return tmp_path / "home"


@pytest.fixture
def settings() -> Settings:
    """Return settings for tests: no process pool, UTC, nothing held back."""
    return Settings(cpu_workers=0, timezone="UTC", lock_timeout=20, recall_seconds=0)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start a redis-server that somebody else wrote, on a unix socket; return the socket."""
    with _redis(tmp_path_factory.mktemp("redis"), f"{os.getpid()}") as (socket, _):
        yield socket


@pytest.fixture(scope="session")
def broker_url() -> Iterator[Callable[[str], str]]:
    """Return a function that gives the URL of a message broker, which it starts when it is first asked for."""
    started: dict[str, str] = {}
    with ExitStack() as servers:

        def url_of(name: str) -> str:
            if name not in started:
                if wanting := brokers.wanting(name):
                    missing(wanting)
                started[name] = servers.enter_context(brokers.broker(name))
            return started[name]

        yield url_of


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Path]:
    """Start a PostgreSQL that somebody else wrote; return the folder of its socket."""
    if postgres.binaries() is None:
        missing("there is no PostgreSQL server")
    with postgres.server() as socket:
        yield socket


@pytest.fixture
def database_url(postgres_server: Path) -> Iterator[str]:
    """Return the URL of a new, empty database."""
    with postgres.database(postgres_server) as url:
        yield url


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """Start a redis-server for one test, which may stop it; return its socket and its process."""
    with _redis(tmp_path, f"{os.getpid()}-own") as server:
        yield server


@contextmanager
def _redis(folder: Path, name: str) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    binary = shutil.which("redis-server")
    if binary is None:
        missing("there is no redis-server")
    socket = Path("/tmp") / f"brody-test-{name}.sock"
    command = [str(binary), "--port", "0", "--unixsocket", str(socket), "--dir", str(folder), "--save", ""]
    with (folder / "redis.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    for _ in range(1000):
        if socket.exists():
            break
        with suppress(subprocess.TimeoutExpired):
            pytest.fail(f"redis-server ended: {process.wait(timeout=0.01)}")
    yield socket, process
    process.terminate()
    process.wait(timeout=10)
    socket.unlink(missing_ok=True)


@pytest.fixture(params=[*BUSES, *BROKERED])
async def make_bus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Callable[[str], Awaitable[Bus]]]:
    """Return a function that connects one more client to the same bus, on each backend in turn."""
    from brody_agents.communication.bus.brokers import broker_bus
    from brody_agents.communication.bus.embedded import EmbeddedValkey
    from brody_agents.communication.bus.memory import MemoryBus
    from brody_agents.communication.bus.redis_streams import RedisStreamsBus

    opened: list[Bus] = []
    server: EmbeddedValkey | None = None
    if request.param == "memory":
        memory = MemoryBus()

        async def connect(consumer: str = "one") -> Bus:
            return memory

    elif request.param in brokers.BROKERS:
        url = request.getfixturevalue("broker_url")(request.param)

        async def connect(consumer: str = "one") -> Bus:
            opened.append(broker_bus(url, prefix=f"test:{tmp_path.name}", values=MemoryBus()))
            return opened[-1]

    else:
        from redis.asyncio import Redis

        if request.param == "valkey":
            server = await EmbeddedValkey.of_home(tmp_path)
            socket = server.socket
        else:
            socket = request.getfixturevalue("redis_server")

        async def connect(consumer: str = "one") -> Bus:
            client = Redis(unix_socket_path=str(socket))
            bus = RedisStreamsBus(client, prefix=f"test:{tmp_path.name}", consumer=consumer, where=str(socket))
            opened.append(bus)
            return bus

    yield connect
    for bus in opened:
        await bus.close()
    if server is not None:
        await server.stop()


@pytest.fixture
async def bus(make_bus: Callable[[str], Awaitable[Bus]]) -> Bus:
    """Return one client of the bus."""
    return await make_bus("one")
