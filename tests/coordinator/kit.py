"""Agents, messages and a look at the bus, for the tests of the turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from inspect import isawaitable
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from brody_agents import AgentMessage, Brody, BrodyAgent, Context, Payload, handles
from brody_agents.communication.bus.base import PARTITIONS, partition_of
from brody_agents.communication.message_protocol import new_context
from brody_agents.ledger.vault import Vault
from brody_agents.settings import Settings


class Note(Payload, message_type="note"):
    """Something to handle."""

    text: str = ""
    n: int = 0


class Unheard(Payload, message_type="unheard"):
    """Something that nobody handles."""


def note(recipient: str = "recorder", text: str = "", user: str = "me", n: int = 0, **envelope: Any) -> AgentMessage:
    """Return a note."""
    payload = Note(text=text, n=n)
    return AgentMessage(sender="x", recipient=recipient, payload=payload, context=new_context(user), **envelope)


class Recorder(BrodyAgent):
    """Remember what was handled, in order."""

    def __init__(self, name: str = "recorder") -> None:
        super().__init__(name)
        self.seen: list[str] = []
        self.messages: list[AgentMessage] = []

    @handles
    async def on_note(self, message: Note, ctx: Context) -> None:
        """Write the text down."""
        self.seen.append(message.text)
        self.messages.append(ctx.message)


async def until(holds: Callable[[], Any], what: str) -> Any:
    """Wait until ``holds``, a function or a coroutine function, gives something, and return it."""
    for _ in range(2_000):
        found = holds()
        if found := (await found if isawaitable(found) else found):
            return found
        await asyncio.sleep(0.005)
    raise AssertionError(f"waited in vain: {what}")


@dataclass(frozen=True)
class Server:
    """The server of a bus and where a home's streams are on it."""

    name: str
    socket: Path | None
    home: Path

    @property
    def prefix(self) -> str:
        """Return what the keys of the home begin with, once it has been opened."""
        return f"brody:{Vault.of_home(self.home).mark}"

    def client(self) -> Redis:
        """Connect as a stranger would."""
        return Redis(unix_socket_path=str(self.socket))

    def stream(self, user_id: str) -> str:
        """Return the stream of a user's partition."""
        return f"{self.prefix}:{{{partition_of(user_id)}}}:messages"

    async def lengths(self, client: Redis) -> list[int]:
        """Return the lengths of all streams."""
        streams = [f"{self.prefix}:{{{n}}}:messages" for n in range(PARTITIONS)]
        pipeline = client.pipeline(transaction=False)
        for stream in streams:
            pipeline.xlen(stream)
        return list(await pipeline.execute())


@dataclass(frozen=True)
class Place:
    """A home and the bus that it works on."""

    home: Path | None
    settings: Settings
    server: Server

    def brody(self, *agents: BrodyAgent, **options: Any) -> Brody:
        """Return a ``Brody`` with these agents."""
        return Brody(home=self.home, agents=agents, settings=self.settings, **options)
