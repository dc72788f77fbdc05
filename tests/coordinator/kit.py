"""Agents, messages and a look at the bus, for the tests of the turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from inspect import isawaitable
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from brody_agents import AgentMessage, Brody, BrodyAgent, Context, Payload, handles
from brody_agents.communication.bus.base import PARTITIONS, partition_of
from brody_agents.communication.message_protocol import new_context
from brody_agents.integrations.base import Known, Page
from brody_agents.integrations.mail.base import RawMail
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


class Mailbox:
    """A mail account that holds what it is given; ``broken`` is raised instead of reading."""

    def __init__(self, *subjects: str, account: str = "box:1", broken: Exception | None = None) -> None:
        self.account = account
        self.mails = [_mail(subject) for subject in subjects]
        self.broken = broken
        self.closed = False
        self.between: Callable[[], Awaitable[None]] | None = None
        """Called between two pages."""

    async def changes(self, cursor: str | None, known: Known) -> AsyncIterator[Page[RawMail]]:
        """Give what is new since the cursor, a mail a page."""
        begin = int(cursor or 0)
        for n in range(begin, len(self.mails)):
            if self.broken:
                raise self.broken
            yield Page([self.mails[n]], cursor=str(n + 1), total=len(self.mails))
            if self.between:
                await self.between()
        if self.broken:
            raise self.broken
        yield Page(cursor=str(len(self.mails)), total=len(self.mails))

    async def check(self) -> str:
        """Be well."""
        return "fine"

    async def close(self) -> None:
        """Note it."""
        self.closed = True


def _mail(subject: str) -> RawMail:
    lines = ("From: ann@b.example", "To: me@b.example", f"Subject: {subject}", f"Message-ID: <{subject}@b.example>")
    head = "\r\n".join((*lines, "Date: Mon, 2 Mar 2026 08:00:00 +0000"))
    return RawMail(subject, "1", f"{head}\r\n\r\nAbout {subject}.\r\n".encode())


@dataclass(frozen=True)
class Place:
    """A home and the bus that it works on."""

    home: Path | None
    settings: Settings
    server: Server

    def brody(self, *agents: BrodyAgent, **options: Any) -> Brody:
        """Return a ``Brody`` with these agents."""
        return Brody(home=self.home, agents=agents, settings=self.settings, **options)
