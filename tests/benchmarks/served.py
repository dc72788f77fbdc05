"""The full turn on servers: Redis with its append-only file on, and PostgreSQL, beside a bare loop of group commits."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from brody_agents import Brody
from brody_agents.communication.message_protocol import encode
from brody_agents.settings import Settings
from tests import postgres
from tests.benchmarks import limits
from tests.benchmarks.limits import BATCH
from tests.benchmarks.roads import Figure, Relay, message, relayed

_TABLES = """
CREATE TABLE m (seq BIGSERIAL PRIMARY KEY, id TEXT UNIQUE, user_id TEXT, priority INT, body BYTEA, open BOOL);
CREATE INDEX m_open ON m (priority, seq) WHERE open;
CREATE TABLE h (id TEXT, agent TEXT, at TIMESTAMPTZ, PRIMARY KEY (id, agent));
"""
_WRITE = "INSERT INTO m (id, user_id, priority, body, open) SELECT i, 'u', 2, $2, true FROM unnest($1::text[]) AS i"
_HANDLE = "INSERT INTO h SELECT i, 'a', now() FROM unnest($1::text[]) AS i"
_CLOSE = "UPDATE m SET open = false WHERE id = ANY($1::text[])"


async def turn(folder: Path, count: int = 20_000) -> list[Figure]:
    """Measure the full turn on both servers, where this machine has them."""
    if postgres.binaries() is None or shutil.which("redis-server") is None:
        return []
    with _redis(folder) as bus, postgres.server() as server:
        with postgres.database(server) as url:
            limit = await group_commit(url, encode(message(1, 1)), count)
        with postgres.database(server) as url:
            settings = Settings(cpu_workers=0, redis_url=f"unix://{bus}", database_url=url)
            async with Brody(home=folder / "served", agents=[Relay("relay")], settings=settings) as brody:
                measured = await relayed(brody, count)
    return [Figure("full turn, Redis and PostgreSQL", measured, "/s", "bare group commit", limit, "0.5")]


async def group_commit(url: str, data: bytes, count: int) -> float:
    """Return the rate of a bare loop that writes what a turn writes, durably, an array a statement: see ``limits``."""
    import asyncpg  # type: ignore[import-untyped, unused-ignore]

    connection: Any = await asyncpg.connect(url)
    await connection.execute(_TABLES)

    async def work() -> None:
        for start in range(0, count, BATCH):
            ids = [f"{n:032x}" for n in range(start, start + BATCH)]
            async with connection.transaction():
                await connection.execute(_WRITE, ids, data)
            async with connection.transaction():
                await connection.execute(_HANDLE, ids)
                await connection.execute(_CLOSE, ids)

    try:
        return await limits.timed_async(count, work)
    finally:
        await connection.close()


@contextmanager
def _redis(folder: Path) -> Iterator[Path]:
    socket = folder / "redis.sock"
    command = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--dir", str(folder), "--appendonly", "yes"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not socket.exists() and process.poll() is None:
            time.sleep(0.01)
        yield socket
    finally:
        process.terminate()
        process.wait(timeout=10)
