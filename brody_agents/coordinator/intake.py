"""The intake: messages that are sent at the same time are written in one transaction (group commit)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from sqlalchemy.ext.asyncio import AsyncConnection
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random

from brody_agents.communication.bus.base import BATCH
from brody_agents.communication.message_protocol import AgentMessage, encode
from brody_agents.coordinator.admission import id_taken
from brody_agents.coordinator.task_scheduler import wait_for_room
from brody_agents.errors import Overloaded
from brody_agents.ledger import messages
from brody_agents.ledger.dead_letters import bury
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.messages import Stored, digest_of, length
from brody_agents.ledger.outages import AWAY
from brody_agents.ledger.postgres import WriteConflict
from brody_agents.ledger.scopes import scopes

LOOK = 0.5
"""Seconds between counts of the backlog."""
PACE = 2.0
"""Seconds over which the pace of the work is measured."""

Encoded = tuple[AgentMessage, bytes]
"""A message with its wire form."""
Publish = Callable[[Sequence[Stored]], Awaitable[None]]


class BackPressure:
    """Refuse what comes from outside while the backlog is longer than its limit."""

    def __init__(self, ledger: Ledger, limit: int, closed: Callable[[], int]) -> None:
        self._ledger, self._limit, self._closed = ledger, limit, closed
        self._length = self._taken = 0
        self._pace = 0.0
        self._looked = (-LOOK, 0)
        self._since = (time.monotonic(), 0)

    def check(self) -> None:
        """Take one more in, or raise ``Overloaded`` with the time after which there is room at the present pace.

        It waits for nothing, so that what is sent at the same time keeps its order.
        """
        waiting = self._length - (self._closed() - self._looked[1])
        if waiting >= self._limit:
            what = f"{waiting} messages wait, and {self._limit} may."
            raise Overloaded(what, wait_for_room(waiting, self._limit, self._pace))
        self._length += 1
        self._taken += 1

    async def look(self, on_the_way: int = 0) -> None:
        """Count the backlog, twice a second at most; ``on_the_way`` were taken in and are not written yet."""
        now, closed = time.monotonic(), self._closed()
        if now - self._since[0] >= PACE:
            self._pace = (closed - self._since[1]) / (now - self._since[0])
            self._since = (now, closed)
        if now - self._looked[0] >= LOOK:
            self._looked = (now, closed)
            before, counted = self._taken, await length(self._ledger, self._limit + 1)
            self._length = counted + on_the_way + self._taken - before


class Intake:
    """Take messages in from outside; each is on disk when its ``put`` returns."""

    def __init__(self, ledger: Ledger, publish: Publish, pressure: BackPressure) -> None:
        self._ledger = ledger
        self._publish = publish
        self._pressure = pressure
        self._waiting: list[tuple[AgentMessage, bytes, asyncio.Future[None]]] = []
        self._turn = asyncio.Lock()

    async def put(self, message: AgentMessage) -> None:
        """Write a message; whoever comes while another transaction is under way shares the next one.

        Raises ``ProtocolError`` for what cannot be sent, ``Overloaded`` when the backlog is longer than its limit.
        """
        data = encode(message)  # whoever shares the transaction must not suffer for it
        try:
            self._pressure.check()
        except Overloaded:
            await self._pressure.look(len(self._waiting))  # there may be room by the next try
            raise
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        leads = len(self._waiting) % BATCH == 0
        self._waiting.append((message, data, done))
        if leads:
            await asyncio.shield(self._write())  # whoever else is in the group needs its end
        await done

    async def _write(self) -> None:
        """Write the next group; the first of each group sees to it, so that a thousand wait for four turns."""
        async with self._turn:
            group, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            error = await self._written([(message, data) for message, data, _ in group])
            for done in (done for *_, done in group if not done.cancelled()):
                done.set_exception(error) if error else done.set_result(None)
            if not error:
                with suppress(*AWAY):  # they are written: what is counted next says nothing of them
                    await self._pressure.look(len(self._waiting))

    async def _written(self, group: Sequence[Encoded]) -> Exception | None:
        """Write and publish messages; return what went wrong."""
        try:
            await self._publish(await self._stored(group))
        except Exception as error:
            return error
        return None

    @retry(
        retry=retry_if_exception_type(WriteConflict), stop=stop_after_attempt(5), wait=wait_random(0, 0.2), reraise=True
    )
    async def _stored(self, group: Sequence[Encoded]) -> list[Stored]:
        encoded = {message.id: data for message, data in reversed(group)}  # the first one counts
        async with self._ledger.write(within=scopes(m.user_id for m, _ in group)) as tx:
            stored = await messages.write(tx, self._ledger.vault, [message for message, _ in group], encoded)
            if len(stored) < len(group):
                await self._bury_others(tx, group)
        return stored

    async def _bury_others(self, tx: AsyncConnection, group: Sequence[Encoded]) -> None:
        """Bury the messages whose id another one has; the same message sent again is nothing to mind."""
        standing = await messages.standing(tx, {m.id for m, _ in group})
        others = [(m, data) for m, data in group if standing[m.id].digest != digest_of(data)]
        await bury(tx, self._ledger.vault, [id_taken(m, data) for m, data in others])
