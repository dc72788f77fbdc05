"""Partitions among workers: a fair division, and the keeper that holds one worker's share of it by leases.

Every worker computes the same division from the same rows, so that nobody has to lead. A worker that has too much
gives up first, after its turn; who has too little takes only what is free.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from brody_agents.communication.bus.base import PARTITIONS, Entry, partition_of
from brody_agents.errors import ConfigurationError, Retryable
from brody_agents.ledger import partitions
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.outages import Outages
from brody_agents.ledger.partitions import Standing
from brody_agents.observability import logger

log = logger(__name__)
ALL = frozenset(range(PARTITIONS))
BEAT = 2.0
"""Seconds between the heartbeats; three are missed before a lease is over."""

Fences = dict[int, int]
"""Partitions that are held, each with its fencing number."""
Apply = Callable[[Fences], Coroutine[Any, Any, None]]
"""Work on these partitions from now on and on no others; return when that is so."""


def partitions_from(text: str) -> frozenset[int]:
    """Return the partitions that a text such as ``0-31,40`` names, all for none; raise ``ConfigurationError``."""
    try:
        ranges = [tuple(map(int, part.split("-"))) for part in text.split(",") if part.strip()]
        found = frozenset(p for first, *last in ranges for p in range(first, (last or [first])[0] + 1))
    except ValueError:
        found = frozenset({-1})
    if not found <= ALL or (text.strip() and not found):
        what = f"{text!r} names no partitions of 0 to {PARTITIONS - 1}."
        raise ConfigurationError(what, "Write them as in 0-31,40.")
    return found or ALL


def divided(workers: Mapping[str, frozenset[int]], holders: Mapping[int, str]) -> dict[int, str]:
    """Return who is to hold each partition that anybody may hold, given who holds it now.

    What is free goes to whoever has least; then one after the other moves from who has more to who has at least two
    less, so that nothing moves that need not, and what comes out is its own division.
    """
    division = {p: holder for p, holder in holders.items() if p in workers.get(holder, ())}
    load = Counter(division.values())
    able = {p: sorted(w for w in workers if p in workers[w]) for p in frozenset[int]().union(*workers.values())}
    for partition in sorted(able.keys() - division.keys(), key=lambda p: (len(able[p]), p)):
        division[partition] = min(able[partition], key=lambda w: load[w])
        load[division[partition]] += 1
    while move := _best_move(able, division, load):
        partition, worker = move
        load[division[partition]] -= 1
        load[worker] += 1
        division[partition] = worker
    return division


def _best_move(
    able: Mapping[int, list[str]], division: Mapping[int, str], load: Counter[str]
) -> tuple[int, str] | None:
    """Return the partition and its new holder that make the shares most even; ``None`` when nothing does."""
    moves = ((load[division[p]] - load[w], p, w) for p, workers in sorted(able.items()) for w in workers)
    gain, partition, worker = max(moves, key=lambda move: move[0], default=(0, 0, ""))
    return (partition, worker) if gain > 1 else None


async def _nobody(partitions: Collection[int]) -> None:
    return None


def _ignored(partitions: Collection[int]) -> None:
    return None


@dataclass(slots=True)
class Share:
    """The partitions that a worker works on: those with a fencing number, or all of them where it is alone."""

    fences: Fences | None = None
    announce: Callable[[Collection[int]], Awaitable[None]] = _nobody
    """Tell the other workers of partitions for which there is something new in the ledger."""
    lost: Callable[[Collection[int]], None] = _ignored
    """Learn that partitions were taken over by another worker."""

    @property
    def partitions(self) -> frozenset[int]:
        """Return the partitions."""
        return ALL if self.fences is None else frozenset(self.fences)

    @property
    def alone(self) -> bool:
        """Say whether there are no other workers, so that no lease is needed."""
        return self.fences is None

    @property
    def among(self) -> frozenset[int] | None:
        """Return the partitions to which a look at the ledger is to keep; ``None`` for all."""
        return None if self.fences is None or len(self.fences) == PARTITIONS else frozenset(self.fences)

    def published(self, entry: Entry) -> bool:
        """Say whether this worker has published an entry since it holds the partition; alone, it reads everything."""
        return self.fences is None or (entry.fence is not None and self.fences.get(entry.partition) == entry.fence)

    def has(self, user_id: str) -> bool:
        """Say whether a user's messages are handed out here."""
        return self.fences is None or partition_of(user_id) in self.fences


class PartitionKeeper:
    """Hold this worker's share of the partitions: beat, take what is free, give up what is too much.

    ``apply`` has the worker work on what is held, ``busy`` says where it is in the middle of something that only it
    can end, ``announce`` tells the others to look.
    """

    def __init__(
        self,
        ledger: Ledger,
        worker: str,
        allowed: frozenset[int],
        apply: Apply,
        busy: Callable[[], Collection[int]],
        announce: Callable[[], Awaitable[None]],
        outages: Outages | None = None,
    ) -> None:
        self._ledger, self.worker, self._allowed = ledger, worker, allowed
        self._apply, self._busy, self._announce = apply, busy, announce
        self._outages = outages or Outages()
        self.fences: Fences = {}
        self._applying: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self._closing = self._over = False

    async def start(self) -> None:
        """Take a first share and tell the others that there is one more."""
        await self._round()
        if self._applying:
            await self._applying
        await self._announce()

    async def run(self) -> None:
        """Keep the share until ``stop``; a database that is away is asked again."""
        while not self._over:
            self._wanted.clear()
            try:
                await self._outages.ride_out(self._round)
            except Retryable as error:
                log.warning("the leases could not be renewed", worker=self.worker, error=str(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), BEAT)

    def look(self) -> None:
        """See now what others have changed."""
        self._wanted.set()

    def lost(self, gone: Collection[int]) -> None:
        """Learn from a turn that somebody else has taken partitions over."""
        log.warning("partitions were taken over", worker=self.worker, partitions=sorted(gone))
        self.look()

    def close(self) -> None:
        """Take nothing more; what is held is kept until ``leave``."""
        self._closing = True

    async def leave(self) -> None:
        """Hand everything over at once; nothing is worked on any more."""
        if self._applying:
            await asyncio.gather(self._applying, return_exceptions=True)
        try:
            async with self._ledger.beside() as tx:
                await partitions.leave(tx, self.worker)
            await self._announce()
        except Retryable as error:  # then the leases expire
            log.warning("the leases could not be handed over", worker=self.worker, error=str(error))

    def stop(self) -> None:
        """End after the round under way."""
        self._over = True
        self.look()

    async def _round(self) -> None:
        async with self._ledger.beside() as tx:
            standing = await partitions.beat(tx, self.worker, self._allowed)
            if self._closing or not self._followed():
                return
            mine = standing.of(self.worker)
            known = {p: fence for p, fence in mine.items() if self.fences.get(p) == fence}
            share = self._share(standing)
            others = {p for p, (holder, _) in standing.leases.items() if holder != self.worker}
            gained = await partitions.acquire(tx, self.worker, share - others - set(known))
            surplus = {p: fence for p, fence in mine.items() if p not in {*self.fences, *share, *self._busy()}}
            await partitions.release(tx, self.worker, surplus)
        if surplus:
            await self._announce()
        self._hold({p: fence for p, fence in known.items() if p in share} | gained)

    def _followed(self) -> bool:
        """Say whether the worker has followed the last change; raise what kept it from that."""
        if self._applying and not self._applying.done():
            return False
        if self._applying:
            self._applying.result()
        return True

    def _share(self, standing: Standing) -> set[int]:
        holders = {p: holder for p, (holder, _) in standing.leases.items()}
        return {p for p, worker in divided(standing.workers, holders).items() if worker == self.worker}

    def _hold(self, fences: Fences) -> None:
        """Have the worker follow; what it lets go of is released when it has."""
        if fences != self.fences:
            self.fences = fences
            self._applying = asyncio.create_task(self._apply(dict(fences)), name="partitions")
            self._applying.add_done_callback(lambda _: self.look())
