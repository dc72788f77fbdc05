"""The outbox: publish what the ledger has, in order, while the streams are short; publish again what got lost."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence

from brody_agents.communication.bus.base import Bus
from brody_agents.ledger import messages
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.messages import Stored

STREAM_LIMIT = 1024
"""How many messages are on the bus or being handled at most; the rest wait in the ledger."""
USER_LIMIT = 256
"""How many of them may be one user's, so that nobody's flood is another's delay."""
LOST_AFTER = 5.0
"""Seconds after which a message that was published and never arrived is published again."""


class Outbox:
    """Keep account of what is under way, and fill the bus from the backlog."""

    def __init__(self, ledger: Ledger, bus: Bus) -> None:
        self._ledger = ledger
        self.bus = bus
        self._published: dict[str, float] = {}
        self._users: dict[str, str] = {}
        self._count: Counter[str] = Counter()
        self._held_back = True

    def knows(self, message_id: str) -> bool:
        """Say whether this process published the message, so that the ledger need not be asked for it."""
        return message_id in self._published

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

    async def publish(self, stored: Sequence[Stored]) -> None:
        """Publish as many as there is room for; the others wait in the ledger for ``fill``."""
        if self._held_back and stored:
            return  # older ones wait: the ledger's order decides
        chosen = self._chosen(stored)
        self._held_back = len(chosen) < len(stored)
        await self._send(chosen)

    async def fill(self, *, sweep: bool = False) -> None:
        """Publish from the backlog when there is room; ``sweep`` looks for lost messages as well."""
        room = STREAM_LIMIT - len(self._users)
        if not sweep and (not self._held_back or room < STREAM_LIMIT // 2):
            return
        async with self._ledger.read() as tx:
            rows = await messages.backlog(tx, room + len(self._users) + 1)
        waiting = [row for row in rows if row.id not in self._users or self._is_lost(row.id)]
        chosen = self._chosen(waiting)
        self._held_back = len(chosen) < len(waiting)
        await self._send(chosen)

    def forget(self) -> None:
        """Take everything that was published as lost: the bus has lost its data."""
        for message_id in self._published:
            self._published[message_id] = 0.0

    async def _send(self, chosen: Sequence[Stored]) -> None:
        now = time.monotonic()
        for message in chosen:
            self._published[message.id] = now
            self._track(message.id, message.user_id)
        if chosen:
            await self.bus.publish([(m.partition, m.body) for m in chosen])

    def _chosen(self, waiting: Sequence[Stored]) -> list[Stored]:
        room, count = STREAM_LIMIT - len(self._users), Counter(self._count)
        chosen: list[Stored] = []
        for message in waiting:
            again = message.id in self._users
            if again or (len(chosen) < room and count[message.user_id] < USER_LIMIT):
                chosen.append(message)
                count[message.user_id] += not again
        return chosen

    def _track(self, message_id: str, user_id: str) -> None:
        if message_id not in self._users:
            self._users[message_id] = user_id
            self._count[user_id] += 1

    def _is_lost(self, message_id: str) -> bool:
        at = self._published.get(message_id)
        return at is not None and time.monotonic() - at > LOST_AFTER
