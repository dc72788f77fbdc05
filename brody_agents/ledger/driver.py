"""A connection to SQLite that leaves the event loop's thread only for what waits for the disk or for a lock.

aiosqlite hands every statement to a thread. A statement that an index answers takes some ten microseconds, the way to
the thread and back some hundred, and far more when both threads want the interpreter.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiosqlite


class NearConnection(aiosqlite.Connection):
    """Run statements where they are asked; commit and close in the thread, and wait there for others who write."""

    def __init__(self, file: Path | None) -> None:
        place = file or ":memory:"
        super().__init__(lambda: sqlite3.connect(place, check_same_thread=False), iter_chunk_size=64)
        self._in_memory = file is None  # where nothing waits
        self._thread.daemon = True  # as SQLAlchemy has it for connections that it makes itself
        self._away: set[object] = set()
        """What the thread has not done yet; nobody else may use the connection meanwhile."""
        self._writing = False

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if args and args[0] == BEGIN_WRITE:
            return await self._begin(fn, *args)
        if self._away or self._ends(fn):
            return await self._in_thread(fn, *args, **kwargs)
        if not self._running or not self._connection:
            raise ValueError("Connection closed")
        return fn(*args, **kwargs)

    async def _begin(self, fn: Callable[..., Any], *args: Any) -> Any:
        """Begin a write transaction here; where another connection has the lock, wait for it in the thread."""
        self._writing = not self._in_memory
        if self._in_memory:
            await asyncio.sleep(0)  # nothing else would wait, and nobody else have a turn
        if not self._away:
            with suppress(sqlite3.OperationalError):
                return self._at_once(fn, *args)
        return await self._in_thread(fn, *args)

    def _at_once(self, fn: Callable[..., Any], *args: Any) -> Any:
        """Call without waiting for a lock."""
        (patience,) = self._conn.execute("PRAGMA busy_timeout").fetchone()
        self._conn.execute("PRAGMA busy_timeout=0")
        try:
            return fn(*args)
        finally:
            self._conn.execute(f"PRAGMA busy_timeout={patience}")

    def _ends(self, fn: Callable[..., Any]) -> bool:
        """Say whether a call is the end of a write transaction, which may wait for the disk, or of the connection."""
        what = fn.__name__ if getattr(fn, "__self__", None) is self._connection else ""  # not a cursor's own close
        ends = what in ("commit", "rollback", "close")
        waits, self._writing = ends and self._writing, self._writing and not ends
        return waits or what == "close"

    async def _in_thread(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        token = object()

        def call() -> Any:
            try:
                return fn(*args, **kwargs)
            finally:
                self._away.discard(token)  # also when nobody waits for it any more

        self._away.add(token)
        return await super()._execute(call)  # type: ignore[no-untyped-call]


BEGIN_WRITE = "BEGIN IMMEDIATE"
_CACHE = 16_000
"""KiB of pages. Ids are random, so each message is anywhere in two indexes, and SQLite's 2,000 hold a few thousand."""


async def connect(file: Path | None = None) -> aiosqlite.Connection:
    """Return an open connection to a database file, or to a new database in memory."""
    connection = await NearConnection(file)
    await connection.execute(f"PRAGMA cache_size=-{_CACHE}")
    return connection
