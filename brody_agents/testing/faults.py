"""What happens to the world around a process: the bus is lost or delivers twice, the database is gone for a while.

Each is an asynchronous context manager: the fault is there when its body begins. They are made from outside, by means
that the process under test does not know of.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from sqlalchemy import make_url

from brody_agents.communication.bus.embedded import folder_of, socket_of

_PATIENCE = 60.0


@asynccontextmanager
async def bus_lost(home: Path) -> AsyncIterator[None]:
    """Kill a home's embedded server with SIGKILL and delete all of its files; nothing happens where there is none."""
    socket = socket_of(home)
    client = _client(socket)
    with suppress(RedisError):
        os.kill((await client.info("server"))["process_id"], signal.SIGKILL)
    await client.aclose()
    socket.unlink(missing_ok=True)
    await asyncio.to_thread(shutil.rmtree, folder_of(socket), ignore_errors=True)
    yield


@asynccontextmanager
async def bus_delivers_twice(home: Path) -> AsyncIterator[None]:
    """Put a second copy of every message that is on a home's embedded server beside it."""
    client = _client(socket_of(home))
    try:
        for stream in [key async for key in client.scan_iter(match="*:messages", count=1000)]:
            rows: Any = await client.xrange(stream)
            for _, fields in rows:
                await client.xadd(stream, fields)
        yield
    finally:
        await client.aclose()


def database_gone(database: Path | str, seconds: float = 10.0) -> AbstractAsyncContextManager[None]:
    """Take the database away for some seconds, or until the body has ended if that is sooner.

    A ``database`` that is a home's folder is locked by somebody else as soon as no transaction writes: nobody else can
    write, SQLite's readers see their snapshots as ever. In a PostgreSQL, named by its URL, all connections are ended
    at once and new ones are refused; that takes the rights of a superuser, and ``asyncpg``.
    """
    return _file_gone(database, seconds) if isinstance(database, Path) else _server_gone(database, seconds)


@asynccontextmanager
async def _file_gone(home: Path, seconds: float) -> AsyncIterator[None]:
    over = threading.Event()
    gone = asyncio.ensure_future(asyncio.to_thread(_locked, home / "brody.db", seconds, over))
    try:
        yield
    finally:
        over.set()
        await gone


def _locked(file: Path, seconds: float, over: threading.Event) -> None:
    with closing(sqlite3.connect(file, timeout=_PATIENCE, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        over.wait(seconds)
        connection.execute("ROLLBACK")


@asynccontextmanager
async def _server_gone(address: str, seconds: float) -> AsyncIterator[None]:
    import asyncpg  # type: ignore[import-untyped, unused-ignore]

    url = make_url(address)
    maintenance = url.set(drivername="postgresql", database="postgres").render_as_string(hide_password=False)
    connection = await asyncpg.connect(maintenance)
    over, name = asyncio.Event(), url.database
    try:
        alter = await connection.fetchval("SELECT format('ALTER DATABASE %I ALLOW_CONNECTIONS', $1::text)", name)
        await connection.execute(f"{alter} false")
        await connection.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        back = asyncio.ensure_future(_after(over, seconds, connection.execute(f"{alter} true")))
        try:
            yield
        finally:
            over.set()
            await back
    finally:
        await connection.close()


async def _after(over: asyncio.Event, seconds: float, work: Awaitable[object]) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(over.wait(), seconds)
    await work


def _client(socket: Path) -> Redis:
    return Redis(unix_socket_path=str(socket), socket_timeout=5, retry=Retry(NoBackoff(), 0))
