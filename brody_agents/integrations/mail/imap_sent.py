"""Sent mail in a folder of an IMAP server (RFC 9051): ``sent=imaps://USER@HOST/FOLDER``.

Nothing is noted before a message leaves: what is found there has left; what is not may have left or not. Many servers
file what they send by themselves, so that a lost answer is found; else a person decides. Nothing can be concluded from
absence: a server that files does so when it likes, so that an unchanged UIDNEXT says nothing, and a note in a folder
that people see may be sent or deleted by them. That a message was not even begun, the ledger knows.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

from brody_agents.errors import BrodyError, ConfigurationError, ProviderError, ProviderUnavailable
from brody_agents.integrations import remote

if TYPE_CHECKING:
    from aioimaplib import IMAP4

PORTS = {"imap": 143, "imaps": 993}
_ENDS = re.compile(rb"\r\n|\r|\n")
_PLAIN = re.compile(r"[ !#-\[\]-~]+")
"""What can be quoted as it is: printable ASCII without quote and backslash."""


class ImapSent:
    """A folder of sent mail; stands where ``outbox.Outbox`` does."""

    def __init__(self, url: str, timeout: float) -> None:
        """Take ``imaps://me@mail.example/Sent``; ``imap:`` is for the loopback interface only. Opens no connection."""
        self._place = remote.place_of(url, PORTS)
        if self._place.scheme == "imap" and not self._place.loopback:
            raise ConfigurationError(f"sent={url} is not encrypted.", "Write sent=imaps://USER@HOST/FOLDER.")
        self._folder = unquote(self._place.path.strip("/")) or "Sent"
        if not _PLAIN.fullmatch(self._folder):
            raise ConfigurationError(f"{self._folder!r} is no folder.", "Write it as IMAP does, in modified UTF-7.")
        self._timeout = timeout

    @property
    def account(self) -> str:
        """Return the URL of the folder."""
        return self._place.key

    async def begin(self, message_id: str, data: bytes) -> None:
        """Do nothing: a folder of people's mail is no place for notes."""

    async def refused(self, message_id: str) -> None:
        """Do nothing."""

    async def left(self, message_id: str) -> None:
        """Do nothing."""

    def state(self, message_id: str) -> Literal["sending"]:
        """Say that it cannot be told without looking."""
        return "sending"

    async def arrived(self, message_id: str) -> bool:
        """Look for a message that is no draft; raise ``ProviderUnavailable`` where the server cannot be asked."""
        async with self._session() as server:
            return await self._holds(server, message_id)

    async def file(self, message_id: str, data: bytes = b"") -> None:
        """Put a copy there, unless the server did so itself; without the message there is nothing to put."""
        if not data:
            return
        async with self._session() as server:
            if await self._holds(server, message_id):
                return
            if not await self._append(server, data):
                await server.create(f'"{self._folder}"')
                if not await self._append(server, data):
                    raise ProviderError(f"{self.account} does not take mail.", "Check the name of the folder.")

    async def _holds(self, server: IMAP4, message_id: str) -> bool:
        if not _PLAIN.fullmatch(message_id):
            raise ProviderError(f"{message_id!r} cannot be looked for.", "Look for it by hand.")
        if (await server.select(f'"{self._folder}"')).result != "OK":
            return False  # there is no such folder yet
        found = await server.uid_search("UNDRAFT", "HEADER", "Message-ID", f'"{message_id}"', charset=None)
        if found.result != "OK":
            raise ProviderUnavailable(f"{self.account} did not search.", "Try again later.")
        return bool(found.lines[0].split())

    async def _append(self, server: IMAP4, data: bytes) -> bool:
        return bool((await server.append(_ENDS.sub(b"\r\n", data), f'"{self._folder}"', r"\Seen")).result == "OK")

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[IMAP4]:
        aioimaplib = remote.required("aioimaplib")
        kind = aioimaplib.IMAP4_SSL if self._place.scheme == "imaps" else aioimaplib.IMAP4
        secret = remote.password("IMAP", self._place)
        server = kind(self._place.host, self._place.port, timeout=self._timeout)
        try:
            await server.wait_hello_from_server()
            if (await server.login(self._place.user, secret)).result != "OK":
                raise ProviderError(f"{self.account} refused user or password.", "Check them.")
            yield server
            with suppress(Exception):  # what was to be said is said
                await server.logout()
        except BrodyError:
            raise
        except (OSError, TimeoutError, aioimaplib.AioImapException) as error:
            what = f"{self.account} cannot be asked: {error or type(error).__name__}."
            raise ProviderUnavailable(what, "Try again later.") from error
        finally:
            if server.protocol.transport is not None:
                server.protocol.transport.close()
