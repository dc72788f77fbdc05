"""The interface of a bus: publish, read, acknowledge, close.

A bus carries bytes in partitions, in order, at least once. It is the road, not the truth: the ledger publishes
again what was lost on it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

PARTITIONS = 64
BATCH = 256
"""How many entries a read returns at most, and a turn holds."""


def partition_of(user_id: str) -> int:
    """Return the partition of a user: the same in every process and version."""
    return zlib.crc32(user_id.encode("utf-8", "surrogatepass")) % PARTITIONS


class Entry(NamedTuple):
    """One entry as it was read; ``id`` is the bus's own, for acknowledging."""

    partition: int
    id: str
    data: bytes
    fence: int | None = None
    """The fencing number under which it was published; none by a worker that is alone, and by anybody else."""


class Bus(Protocol):
    """What the coordinator needs of a message bus."""

    async def publish(self, entries: Sequence[tuple[int, bytes]]) -> None:
        """Append entries, each to its partition, in order.

        Raises ``TooLargeForBus``, and appends none, where one is larger than the bus carries.
        """

    async def read(self, limit: int = BATCH, timeout: float = 1.0) -> list[Entry]:
        """Return up to ``limit`` new entries of all partitions; wait ``timeout`` seconds for the first one.

        Entries that were read and never acknowledged, by this consumer or by one that has gone, come again after a
        restart.
        """

    async def acknowledge(self, entries: Sequence[Entry]) -> None:
        """Say that entries are done with; it takes effect with the next ``read`` at the latest."""

    async def get_shared(self, user_id: str, key: str) -> bytes | None:
        """Return the live copy of a shared context value, or ``None``."""

    async def set_shared(self, user_id: str, values: dict[str, tuple[bytes | None, int | None]]) -> None:
        """Set live copies; each is (bytes or ``None`` to drop it, milliseconds to live or ``None``)."""

    async def close(self) -> None:
        """Give up the connection; pending acknowledgements are sent."""

    def describe(self) -> dict[str, Any]:
        """Return what ``brody doctor`` shows."""


Heard = Callable[[frozenset[int]], None]
"""Called with partitions for which there is something new in the ledger; none: the division of work has changed."""


@runtime_checkable
class SharedBus(Bus, Protocol):
    """A bus that several workers share, each with partitions of its own."""

    on_announcement: Heard

    async def hold(self, fences: Mapping[int, int]) -> None:
        """Read these partitions only, under their fencing numbers: whoever held one before takes nothing from it.

        What lies on the stream of a partition that is new here comes again, whoever has read it before.
        """

    async def announce(self, partitions: Collection[int] = ()) -> None:
        """Tell all workers that something for these partitions was written to the ledger; at best, not for sure."""
