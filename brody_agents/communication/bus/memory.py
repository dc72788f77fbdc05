"""A bus in memory, for one process: the same codec, no server."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from brody_agents.communication.bus.base import BATCH, Entry, Heard


class MemoryBus:
    """Keep entries in a queue and shared values in a dictionary."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._pending: dict[str, Entry] = {}
        self._shared: dict[tuple[str, str], tuple[bytes, float | None]] = {}
        self._numbers = itertools.count(1)
        self._fences: Mapping[int, int] = {}
        self.on_announcement: Heard = lambda partitions: None
        self._arrived = asyncio.Event()

    async def publish(self, entries: Sequence[tuple[int, bytes]]) -> None:
        """Append entries."""
        for partition, data in entries:
            self._entries.append(Entry(partition, str(next(self._numbers)), data, self._fences.get(partition)))
        self._arrived.set()

    async def read(self, limit: int = BATCH, timeout: float = 1.0) -> list[Entry]:
        """Return the oldest entries, or none after ``timeout`` seconds."""
        if not self._entries:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), timeout)
            except TimeoutError:
                return []
        entries = [self._entries.popleft() for _ in range(min(limit, len(self._entries)))]
        self._pending.update((entry.id, entry) for entry in entries)
        return entries

    async def acknowledge(self, entries: Sequence[Entry]) -> None:
        """Forget entries."""
        for entry in entries:
            self._pending.pop(entry.id, None)

    async def hold(self, fences: Mapping[int, int]) -> None:
        """Keep the entries of these partitions, under these fencing numbers, and of no others."""
        self._fences = dict(fences)
        self._entries = deque(entry for entry in self._entries if fences.get(entry.partition) == entry.fence)

    async def announce(self, partitions: Collection[int] = ()) -> None:
        """Do nothing: nobody else is on this bus."""

    async def get_shared(self, user_id: str, key: str) -> bytes | None:
        """Return a shared value unless its time has passed."""
        data, until = self._shared.get((user_id, key), (None, None))
        return data if until is None or until > time.monotonic() else None

    async def set_shared(self, user_id: str, values: dict[str, tuple[bytes | None, int | None]]) -> None:
        """Set or drop shared values."""
        for key, (data, milliseconds) in values.items():
            if data is None:
                self._shared.pop((user_id, key), None)
            else:
                until = None if milliseconds is None else time.monotonic() + milliseconds / 1000
                self._shared[user_id, key] = (data, until)

    async def close(self) -> None:
        """Do nothing: what is lost here comes again from the ledger."""

    def describe(self) -> dict[str, Any]:
        """Say what this is."""
        return {"bus": "memory"}
