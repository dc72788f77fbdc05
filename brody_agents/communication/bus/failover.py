"""Go on in memory when the server of the bus is gone: the ledger has everything and publishes it again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from brody_agents.communication.bus.base import BATCH, Bus, Entry, Heard, SharedBus
from brody_agents.communication.bus.memory import MemoryBus
from brody_agents.errors import BusUnavailable, ConfigurationError
from brody_agents.observability import logger

log = logger(__name__)
R = TypeVar("R")


class FailoverBus:
    """Use ``bus`` until it fails, then the in-memory bus until this process ends."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._failed: Bus | None = None
        self._fences: Mapping[int, int] = {}
        self.on_failover: Callable[[], None] = lambda: None
        """Called once, when what was on the bus is lost."""

    async def publish(self, entries: Sequence[tuple[int, bytes]]) -> None:
        """Append entries."""
        await self._try(lambda bus: bus.publish(entries))

    async def read(self, limit: int = BATCH, timeout: float = 1.0) -> list[Entry]:
        """Return new entries."""
        return await self._try(lambda bus: bus.read(limit, timeout))

    async def acknowledge(self, entries: Sequence[Entry]) -> None:
        """Say that entries are done with."""
        await self._bus.acknowledge(entries)

    @property
    def on_announcement(self) -> Heard:
        """Return what hears the other workers; after a failover there is nothing to hear."""
        return self._shared().on_announcement

    @on_announcement.setter
    def on_announcement(self, heard: Heard) -> None:
        self._shared().on_announcement = heard

    def _shared(self) -> SharedBus:
        if not isinstance(self._bus, SharedBus):
            what = f"Several workers cannot share the bus {self._bus.describe()['bus']}."
            raise ConfigurationError(what, "Set BRODY_REDIS_URL to a Redis or Valkey.")
        return self._bus

    async def hold(self, fences: Mapping[int, int]) -> None:
        """Read these partitions only, under their fencing numbers."""
        self._fences = fences
        await self._try(lambda bus: self._shared().hold(fences))

    async def announce(self, partitions: Collection[int] = ()) -> None:
        """Tell all workers that there is something new."""
        await self._try(lambda bus: self._shared().announce(partitions))

    async def get_shared(self, user_id: str, key: str) -> bytes | None:
        """Return a live copy."""
        return await self._bus.get_shared(user_id, key)

    async def set_shared(self, user_id: str, values: dict[str, tuple[bytes | None, int | None]]) -> None:
        """Set live copies."""
        await self._try(lambda bus: bus.set_shared(user_id, values))

    async def close(self) -> None:
        """Close both."""
        await asyncio.gather(*(bus.close() for bus in (self._bus, self._failed) if bus))

    def describe(self) -> dict[str, Any]:
        """Say what is in use."""
        return self._bus.describe() | ({"failed": self._failed.describe()} if self._failed else {})

    async def _try(self, call: Callable[[Bus], Awaitable[R]]) -> R:
        try:
            return await call(self._bus)
        except BusUnavailable as error:
            if self._failed is None:
                log.warning("bus lost; going on in memory", error=str(error))
                self._failed, self._bus = self._bus, (memory := MemoryBus())
                await memory.hold(self._fences)
                self.on_failover()
            return await call(self._bus)
