"""Raw limits of this machine, measured in the same run: what no framework can beat on the same road."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

BATCH = 256


def timed(count: int, work: Callable[[], object]) -> float:
    """Return how many of ``count`` a second a piece of work does."""
    began = time.perf_counter()
    work()
    return count / (time.perf_counter() - began)


async def timed_async(count: int, work: Callable[[], Awaitable[object]]) -> float:
    """Return how many of ``count`` a second a piece of asynchronous work does."""
    began = time.perf_counter()
    await work()
    return count / (time.perf_counter() - began)


def fdatasync(folder: Path, count: int = 200) -> float:
    """Return how many writes of 4 KiB a second this disk makes durable, one after the other."""
    handle, page = os.open(folder / "probe", os.O_CREAT | os.O_WRONLY), os.urandom(4096)

    def work() -> None:
        for _ in range(count):
            os.write(handle, page)
            os.fdatasync(handle)

    try:
        return timed(count, work)
    finally:
        os.close(handle)


class _Body(BaseModel):
    n: int
    text: str


class _Head(BaseModel):
    user_id: str
    workspace_id: str
    timestamp: datetime


class _Message(BaseModel):
    id: str
    sender: str
    recipient: str
    message_type: str
    payload: _Body
    context: _Head


class _Wire(BaseModel):
    """The wire form of a ping, as somebody would write it who needs nothing else."""

    agent_message: _Message


async def queue(data: bytes, count: int) -> float:
    """Return the rate of an ``asyncio.Queue``, ``validate_json`` and an awaited handler that does nothing."""
    road: asyncio.Queue[bytes] = asyncio.Queue(BATCH)

    async def handler(message: _Wire) -> None:
        """Do nothing."""

    async def produce() -> None:
        for _ in range(count):
            await road.put(data)

    async def consume() -> None:
        for _ in range(count):
            await handler(_Wire.model_validate_json(await road.get()))

    return await timed_async(count, lambda: asyncio.gather(produce(), consume()))


async def stream(client: Any, data: bytes, count: int) -> float:
    """Return the rate of a pipelined redis-py loop: add, read and acknowledge 256 at a time."""
    await client.xgroup_create("raw", "g", id="0", mkstream=True)

    async def work() -> None:
        for _ in range(0, count, BATCH):
            pipeline = client.pipeline(transaction=False)
            for _ in range(BATCH):
                pipeline.xadd("raw", {b"m": data})
            await pipeline.execute()
            answer: Any = await client.xreadgroup("g", "c", {"raw": ">"}, count=BATCH)
            found = next(iter(answer.values()))[0] if isinstance(answer, dict) else answer[0][1]
            await client.xack("raw", "g", *[i for i, _ in found])

    return await timed_async(count, work)


_TABLES = """
CREATE TABLE m (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, user_id TEXT, priority INTEGER, body BLOB, open INTEGER);
CREATE INDEX m_open ON m (priority, seq) WHERE open = 1;
CREATE TABLE h (id TEXT, agent TEXT, at TEXT, PRIMARY KEY (id, agent));
"""


def group_commit(folder: Path, data: bytes, count: int, group: int = BATCH) -> float:
    """Return the rate of a bare loop that writes what a turn writes, durably: the message, that it was handled, closed.

    Plain ``sqlite3``, WAL, ``synchronous=FULL``, ``group`` messages a transaction; nothing is encrypted or encoded.
    """
    connection = sqlite3.connect(folder / f"raw-{group}.db", isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")
    connection.executescript(_TABLES)

    def work() -> None:
        for start in range(0, count, group):
            ids = [f"{n:032x}" for n in range(start, start + group)]
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO m (id, user_id, priority, body, open) VALUES (?, 'u', 2, ?, 1)", [(i, data) for i in ids]
            )
            connection.execute("COMMIT")
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO h VALUES (?, 'a', '2026-01-01')", [(i,) for i in ids])
            connection.executemany("UPDATE m SET open = 0 WHERE id = ?", [(i,) for i in ids])
            connection.execute("COMMIT")

    try:
        return timed(count, work)
    finally:
        connection.close()
