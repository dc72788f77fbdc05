"""The intake: messages that are sent at the same time are written in one transaction (group commit)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.communication.bus.base import BATCH
from brody_agents.communication.message_protocol import AgentMessage, encode
from brody_agents.coordinator.admission import id_taken
from brody_agents.ledger import messages
from brody_agents.ledger.dead_letters import bury
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.messages import Stored, digest_of

Encoded = tuple[AgentMessage, bytes]
"""A message with its wire form."""
Publish = Callable[[Sequence[Stored]], Awaitable[None]]


class Intake:
    """Take messages in from outside; each is on disk when its ``put`` returns."""

    def __init__(self, ledger: Ledger, publish: Publish) -> None:
        self._ledger = ledger
        self._publish = publish
        self._waiting: list[tuple[AgentMessage, bytes, asyncio.Future[None]]] = []
        self._turn = asyncio.Lock()

    async def put(self, message: AgentMessage) -> None:
        """Write a message; whoever comes while another transaction is under way shares the next one.

        Raises ``ProtocolError`` for what cannot be sent.
        """
        data = encode(message)  # whoever shares the transaction must not suffer for it
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((message, data, done))
        async with self._turn:
            if not done.done():
                await asyncio.shield(self._write())  # whoever else is in the group needs its end
        await done

    async def _write(self) -> None:
        group, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
        try:
            stored = await self._stored([(message, data) for message, data, _ in group])
            await self._publish(stored)
        except Exception as error:
            for *_, done in group:
                done.set_exception(error)
            return
        for *_, done in group:
            done.set_result(None)

    async def _stored(self, group: Sequence[Encoded]) -> list[Stored]:
        encoded = {message.id: data for message, data in reversed(group)}  # the first one counts
        async with self._ledger.write() as tx:
            stored = await messages.write(tx, self._ledger.vault, [message for message, _ in group], encoded)
            if len(stored) < len(group):
                await self._bury_others(tx, group)
        return stored

    async def _bury_others(self, tx: AsyncConnection, group: Sequence[Encoded]) -> None:
        """Bury the messages whose id another one has; the same message sent again is nothing to mind."""
        standing = await messages.standing(tx, {m.id for m, _ in group})
        others = [(m, data) for m, data in group if standing[m.id].digest != digest_of(data)]
        await bury(tx, self._ledger.vault, [id_taken(m, data) for m, data in others])
