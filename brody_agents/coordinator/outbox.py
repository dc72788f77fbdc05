"""The outbox: publish what the ledger has, in order, while the streams are short; publish again what got lost."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from brody_agents.communication.bus.base import Bus, partition_of
from brody_agents.coordinator.partitions import Share
from brody_agents.coordinator.task_scheduler import AGEING, SHARE, in_turn
from brody_agents.errors import TooLargeForBus
from brody_agents.ledger import messages
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.messages import Stored, Waiting
from brody_agents.ledger.outages import Outages

M = TypeVar("M", Stored, Waiting)
A = TypeVar("A")
Refused = tuple[Stored, TooLargeForBus]
"""A message that the bus does not carry, and why."""

STREAM_LIMIT = 1024
"""How many messages are on the bus or being handled at most; the rest wait in the ledger."""
USER_LIMIT = 256
"""How many of them may be one user's, so that nobody's flood is another's delay."""
LOST_AFTER = 5.0
"""Seconds after which a message that was published and never arrived is published again."""
SWEEP = 0.5
"""Seconds between looks at the whole backlog, for what is due now, lost, or was opened again by somebody else."""


_Sent = tuple[float, Stored]
"""When a message was published, and what; ``begun`` says that the ledger has to be asked how far it is."""


class Outbox:
    """Keep account of what is under way, and fill the bus from the backlog."""

    def __init__(self, ledger: Ledger, bus: Bus, share: Share | None = None, outages: Outages | None = None) -> None:
        self._ledger = ledger
        self.bus = bus
        self._share = share or Share()
        self._outages = outages or Outages()
        self._published: dict[str, _Sent] = {}
        self._users: dict[str, str] = {}
        self._count: Counter[str] = Counter()
        self._behind: set[str] | None = None
        """Users with messages that wait in the ledger; ``None`` when anybody may have some."""
        self._missed = False
        self._swept = -SWEEP
        self._sending = asyncio.Lock()
        """Held from choosing to having sent: what is chosen first is on the bus first, whoever sends it."""
        self._later: datetime | None = None
        """When the next of the messages that are to wait is due."""
        self._refused: list[Refused] = []

    def wrote(self, message_id: str, data: bytes) -> Stored | None:
        """Return the message that this is, to the byte, if it was published here and nobody has handled it yet."""
        sent = self._published.get(message_id)
        return sent[1] if sent and not sent[1].begun and sent[1].body == data else None

    def arrived(self, message_id: str, user_id: str) -> None:
        """Learn that a message is being handled."""
        self._published.pop(message_id, None)
        self._track(message_id, user_id)

    def closed(self, message_ids: Iterable[str]) -> None:
        """Learn that messages are done with, or wait in the ledger again."""
        for message_id in message_ids:
            self._published.pop(message_id, None)
            user_id = self._users.pop(message_id, None)
            if user_id is not None:
                self._count[user_id] -= 1
                if not self._count[user_id]:
                    del self._count[user_id]

    def take_refused(self) -> list[Refused]:
        """Return what the bus does not carry, each once, with the error that says so."""
        refused, self._refused = self._refused, []
        return refused

    async def publish(self, stored: Sequence[Stored]) -> None:
        """Publish what was just written as far as there is room; the rest waits in the ledger for ``fill``.

        Other workers are told of what is theirs.
        """
        if others := {m.partition for m in stored if not self._share.has(m.user_id)}:
            await self._share.announce(others)
            stored = [m for m in stored if m.partition not in others]
        async with self._sending:
            if self._behind is None:
                self._missed = True
                return  # older ones may wait: the ledger's order decides
            chosen = self._chosen(stored)
            self._missed |= len(chosen) < len(stored)
            await self._send(chosen)

    async def fill(self, *, sweep: bool = False) -> None:
        """Publish from the backlog where there is room; ``sweep`` looks through all of it, and for what is lost."""
        async with self._sending:
            await self._fill(sweep)

    async def _fill(self, sweep: bool) -> None:
        if sweep or time.monotonic() - self._swept >= SWEEP or self.seconds_until_due() == 0:
            self._swept = time.monotonic()
            await self._send(await self._lost())
            late = await self._ask(messages.overdue, self._ledger, STREAM_LIMIT, self._share.among)
            overdue = self._chosen(late)  # to be recorded
            await self._send(await self._read({message.id for message in overdue}))
            self._later = await self._ask(messages.next_due, self._ledger, self._share.among)
        elif not self._worth_a_look():
            return
        await self._send(await self._next())
        while self._missed and self._worth_a_look():  # something was written while the ledger was read
            await self._send(await self._next())

    def look(self) -> None:
        """Learn that others have written to the ledger, so that anybody may have something there."""
        self._behind, self._missed, self._swept = None, True, -SWEEP

    def let_go(self, partitions: Collection[int]) -> None:
        """Forget what is under way in partitions that another worker has now."""
        self.closed([i for i, user_id in self._users.items() if partition_of(user_id) in partitions])

    def due_at(self, time: datetime) -> None:
        """Learn that a message waits until a time."""
        self._later = min(time, self._later or time)

    def seconds_until_due(self) -> float | None:
        """Return how long it is until a message that waits is due, as far as is known."""
        return None if self._later is None else max(0.0, (self._later - datetime.now(UTC)).total_seconds())

    def forget(self) -> None:
        """Take everything that was published as lost: the bus has lost its data."""
        for message_id, (_, message) in self._published.items():
            self._published[message_id] = (-LOST_AFTER, message)
        self._swept = -SWEEP

    def _worth_a_look(self) -> bool:
        """Say whether so much room has come free that a look at the ledger pays."""
        if self._behind is None:
            return len(self._users) <= STREAM_LIMIT // 2
        return any(self._count[user_id] <= USER_LIMIT // 2 for user_id in self._behind)

    async def _next(self) -> list[Stored]:
        """Choose from the backlog, passing over users who have as much under way as they may."""
        self._missed = False
        chosen: list[Waiting] = []
        for _ in range(STREAM_LIMIT // USER_LIMIT + 1):
            full = {user_id for user_id, count in self._count.items() if count >= USER_LIMIT}
            rows, more = await self._waiting(full)
            turns = in_turn(rows, await self._longest(rows, full, more=more))
            self._behind = full
            chosen += self._chosen([row for row in turns if row.id not in self._users])
            if self._behind is None or not more:
                break
        else:
            self._behind = None
        if self._missed:
            self._behind = None
        return await self._read({waiting.id for waiting in chosen})

    async def _waiting(self, full: Collection[str]) -> tuple[list[Waiting], bool]:
        """Return what is next of the backlog, and whether there is more.

        Where nobody else is at work one user's share is looked at first: mostly the others have nothing there.
        """
        rows: list[Waiting] = []
        for limit in (STREAM_LIMIT,) if len(self._count) > 1 else (USER_LIMIT, STREAM_LIMIT):
            among = self._share.among
            rows = await self._ask(messages.backlog, self._ledger, limit + 1, without=full, among=among)
            if len(rows) <= limit:
                return rows, False
            if len({row.user_id for row in rows}) == 1:
                break
        return rows, True

    async def _longest(self, rows: Sequence[Waiting], full: Collection[str], *, more: bool) -> list[Waiting]:
        """Return who has waited longest; the ledger is asked only if it has more than these rows."""
        since = datetime.now(UTC) - AGEING
        if more:
            limit, among = STREAM_LIMIT // SHARE, self._share.among
            return await self._ask(messages.longest_waiting, self._ledger, limit, since, without=full, among=among)
        return sorted((m for m in rows if m.created_at <= since), key=lambda m: m.seq)

    async def _lost(self) -> list[Stored]:
        late = time.monotonic() - LOST_AFTER
        return await self._read({message_id for message_id, (at, _) in self._published.items() if at < late})

    async def _read(self, ids: set[str]) -> list[Stored]:
        """Return what is to be published of messages that are taken on; those that are closed by now are let go."""
        found = await self._ask(messages.still_open, self._ledger, ids)
        self.closed(ids - {message.id for message in found})
        return found

    async def _ask(self, question: Callable[..., Awaitable[A]], *about: Any, **more: Any) -> A:
        """Ask the ledger, when it is there: what is taken on by then must not be forgotten half-way."""
        return await self._outages.ride_out(lambda: question(*about, **more))

    async def _send(self, chosen: Sequence[Stored]) -> None:
        now = time.monotonic()
        for message in chosen:
            self._published[message.id] = (now, message)
        if chosen:
            await self._publish(chosen)

    async def _publish(self, chosen: Sequence[Stored]) -> None:
        try:
            await self.bus.publish([(m.partition, m.body) for m in chosen])
        except TooLargeForBus as error:
            self._refused += [(m, error) for m in chosen if len(m.body) > error.largest]
            await self._publish([m for m in chosen if len(m.body) <= error.largest])

    def _chosen(self, waiting: Sequence[M]) -> list[M]:
        """Take on what there is room for, and note whose messages are left."""
        chosen: list[M] = []
        for message in waiting:
            if self._behind is None or len(self._users) >= STREAM_LIMIT:
                self._behind = None
                break
            if message.user_id in self._behind or self._count[message.user_id] >= USER_LIMIT:
                self._behind.add(message.user_id)
            elif message.id not in self._users:
                self._track(message.id, message.user_id)
                chosen.append(message)
        return chosen

    def _track(self, message_id: str, user_id: str) -> None:
        if message_id not in self._users:
            self._users[message_id] = user_id
            self._count[user_id] += 1
