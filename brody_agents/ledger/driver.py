"""A connection to SQLite that leaves the event loop's thread only for what waits for the disk or for a lock.

aiosqlite hands every statement to a thread. A statement that an index answers takes some ten microseconds, the way to
the thread and back some hundred, and far more when both threads want the interpreter.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiosqlite


class NearConnection(aiosqlite.Connection):
    """Run statements where they are asked; begin a write transaction, commit it and close in the thread."""

    def __init__(self, file: Path | None) -> None:
        place = file or ":memory:"
        super().__init__(lambda: sqlite3.connect(place, check_same_thread=False), iter_chunk_size=64)
        self._in_memory = file is None  # where nothing waits
        self._thread.daemon = True  # as SQLAlchemy has it for connections that it makes itself
        self._away: set[object] = set()
        """What the thread has not done yet; nobody else may use the connection meanwhile."""
        self._writing = False

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self._away or self._waits(fn, args):
            return await self._in_thread(fn, *args, **kwargs)
        if args and args[0] == BEGIN_WRITE:
            await asyncio.sleep(0)  # in memory nothing else would wait, and nobody else have a turn
        if not self._running or not self._connection:
            raise ValueError("Connection closed")
        return fn(*args, **kwargs)

    def _waits(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> bool:
        """Say whether a call may wait: for the lock of another process, or for the disk."""
        if args and args[0] == BEGIN_WRITE and not self._in_memory:
            self._writing = True
            return True
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


async def connect(file: Path | None = None) -> aiosqlite.Connection:
    """Return an open connection to a database file, or to a new database in memory."""
    return await NearConnection(file)
