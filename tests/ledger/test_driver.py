"""Statements run where they are asked; what waits for a lock or for the disk does so in a thread."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from brody_agents.ledger.driver import BEGIN_WRITE, NearConnection, connect
from brody_agents.ledger.ledger import Ledger


@pytest.fixture
async def near(tmp_path: Path) -> AsyncIterator[NearConnection]:
    """Return a connection to a database with one empty table."""
    connection = await connect(tmp_path / "some.db")
    assert isinstance(connection, NearConnection)
    connection._conn.isolation_level = None
    await connection.execute("PRAGMA journal_mode=WAL")
    await connection.execute("CREATE TABLE t (n INTEGER)")
    yield connection
    await connection.close()


async def thread_of(connection: NearConnection, statement: str) -> str:
    """Return the name of the thread in which SQLite works on a statement."""
    seen: list[str] = []
    connection._conn.set_trace_callback(lambda text: seen.append(threading.current_thread().name))
    await connection.execute(statement)
    connection._conn.set_trace_callback(None)
    return seen[0]


async def test_nothing_but_the_end_of_a_write_leaves_the_thread(near: NearConnection) -> None:
    """Unless another connection writes: see below."""
    here = threading.current_thread().name
    assert await thread_of(near, BEGIN_WRITE) == here
    assert await thread_of(near, "INSERT INTO t VALUES (1)") == here
    await near.commit()
    assert await thread_of(near, "BEGIN") == here
    assert await thread_of(near, "SELECT n FROM t") == here
    await near.commit()


async def test_the_end_of_a_cursor_is_not_the_end_of_its_write(near: NearConnection) -> None:
    """SQLAlchemy closes the cursor of each statement; that waits for nothing, and the commit still does."""
    here = threading.current_thread().name
    cursor = await near.execute(BEGIN_WRITE)
    await cursor.close()
    cursor = await near.execute("INSERT INTO t VALUES (1)")
    seen: list[str] = []
    near._conn.set_trace_callback(lambda text: seen.append(threading.current_thread().name))
    await cursor.close()
    await near.commit()
    near._conn.set_trace_callback(None)
    assert seen
    assert here not in seen


async def test_a_ledger_commits_in_the_thread(tmp_path: Path) -> None:
    ledger, seen = await Ledger.open(tmp_path), list[str]()

    def note(text: str) -> None:
        if text == "COMMIT":
            seen.append(threading.current_thread().name)

    async with ledger.write() as tx:
        raw = await tx.get_raw_connection()
        near = raw.driver_connection
        assert isinstance(near, NearConnection)
        near._conn.set_trace_callback(note)
        await tx.execute(select(1))
    near._conn.set_trace_callback(None)
    await ledger.close()
    assert seen
    assert seen != [threading.current_thread().name]


@pytest.mark.parametrize(("written", "end"), [(True, "commit"), (True, "rollback"), (False, "commit")])
async def test_only_the_end_of_a_write_leaves_the_thread(near: NearConnection, written: bool, end: str) -> None:
    await near.execute(BEGIN_WRITE if written else "BEGIN")
    await near.execute("INSERT INTO t VALUES (1)" if written else "SELECT n FROM t")
    seen: list[str] = []
    near._conn.set_trace_callback(lambda text: seen.append(threading.current_thread().name))
    await getattr(near, end)()
    near._conn.set_trace_callback(None)
    assert (seen[0] != threading.current_thread().name) is written


async def test_nothing_that_is_in_memory_leaves_the_thread() -> None:
    near = await connect()
    assert isinstance(near, NearConnection)
    near._conn.isolation_level = None
    assert await thread_of(near, BEGIN_WRITE) == threading.current_thread().name
    seen: list[str] = []
    near._conn.set_trace_callback(lambda text: seen.append(threading.current_thread().name))
    await near.commit()
    near._conn.set_trace_callback(None)
    assert seen == [threading.current_thread().name]
    await near.close()


async def test_the_loop_goes_on_while_another_process_holds_the_lock(near: NearConnection, tmp_path: Path) -> None:
    """And whatever is asked meanwhile, by whoever gave up waiting, comes after it."""
    await near.execute("PRAGMA busy_timeout=15000")
    with closing(sqlite3.connect(tmp_path / "some.db", isolation_level=None)) as other:
        other.execute(BEGIN_WRITE)
        waiting = asyncio.create_task(near.execute(BEGIN_WRITE))
        await asyncio.sleep(0)
        waiting.cancel()
        behind = asyncio.create_task(near.rollback())
        await asyncio.sleep(0)
        assert not behind.done()
        other.execute("COMMIT")
        await behind
    assert not near.in_transaction
    await near.execute(BEGIN_WRITE)
    await near.rollback()
    cursor = await near.execute("PRAGMA busy_timeout")
    assert await cursor.fetchone() == (15000,)


async def test_a_closed_connection_says_so(tmp_path: Path) -> None:
    connection = await connect(tmp_path / "some.db")
    await connection.close()
    with pytest.raises(ValueError, match="onnection"):
        await connection.execute("SELECT 1")
