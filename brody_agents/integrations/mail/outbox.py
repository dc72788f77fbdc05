"""What has left by a sending account, remembered beside the sent mail: ``sent=maildir:DIR``.

One file a message, in ``DIR/brody-outbox``, named by a hash of its Message-ID:

====================  ===============================================================  ======================
file                  since when                                                       did the message leave?
====================  ===============================================================  ======================
none                                                                                   surely not
``….sending``         before the command DATA; the message itself is in it             cannot be told by this
``….sent``            after the server has taken the message; empty when it is filed   yes
====================  ===============================================================  ======================

A ``.sending`` file is made exclusively, so that two who send the same message never both do; it goes when the server
refuses. The copy among the sent mail comes last and is for people: they may move or delete it, so nothing is concluded
from its absence. The files stay, empty, as long as the Maildir does. Whoever asks must see the same file system as
whoever sent, as with every account of this machine.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, ParamSpec, TypeVar

from brody_agents.errors import BrodyError, NotSent, OutcomeUnknown, Refused, Retryable
from brody_agents.integrations.local import locked, make_folder, remove, sync_folder, write_atomic
from brody_agents.integrations.mail.maildir import Maildir

P = ParamSpec("P")
T = TypeVar("T")

FOLDER = "brody-outbox"
_DAY = 86_400.0


class Outbox:
    """The messages that went, or may have gone, into a Maildir's sent mail."""

    def __init__(self, maildir: Maildir) -> None:
        self.maildir = maildir
        self._folder = maildir.root / FOLDER

    @property
    def account(self) -> str:
        """Return the account of the sent mail."""
        return self.maildir.account

    async def begin(self, message_id: str, data: bytes) -> None:
        """Note that a message is about to leave; raise ``OutcomeUnknown`` if it may have left before.

        Raises ``NotSent`` or ``Refused`` when it cannot be noted: then it must not be sent.
        """
        try:
            free = await self._locked(self._begin, message_id, data)
        except Retryable as error:
            raise NotSent(error.what, error.remedy) from error
        except (BrodyError, OSError) as error:
            raise Refused(f"{self._folder} cannot be written: {error}", "Mend it; nothing was sent.") from error
        if not free:
            raise OutcomeUnknown(f"{message_id} was handed over before.", "Ask whether it left before anything else.")

    async def refused(self, message_id: str) -> None:
        """Note that a message did not leave after all."""
        await self._locked(remove, self._file(message_id, "sending"))

    async def left(self, message_id: str) -> None:
        """Note that a server has taken a message."""
        await self._locked(os.replace, self._file(message_id, "sending"), self._file(message_id, "sent"))
        await asyncio.to_thread(sync_folder, self._folder)

    async def file(self, message_id: str, data: bytes = b"") -> None:
        """Put the copy among the sent mail, unless the server did so itself; do it once."""
        path = self._file(message_id, "sent")
        if data := await asyncio.to_thread(path.read_bytes):
            if not await asyncio.to_thread(self.maildir.holds, message_id, _begun(path)):
                await self.maildir.append(data, self.maildir.sent_folder(), frozenset({"seen"}))
            await asyncio.to_thread(write_atomic, path, b"")

    def state(self, message_id: str) -> Literal["none", "sending", "sent"]:
        """Return how far a message got."""
        if self._file(message_id, "sent").exists():
            return "sent"
        return "sending" if self._file(message_id, "sending").exists() else "none"

    async def arrived(self, message_id: str) -> bool:
        """Say whether the Maildir has the message of a ``.sending`` file: the server filed or delivered it there."""
        since = _begun(self._file(message_id, "sending"))
        return await asyncio.to_thread(self.maildir.holds, message_id, since)

    def _begin(self, message_id: str, data: bytes) -> bool:
        make_folder(self._folder, 0o700)
        free = self.state(message_id) == "none"
        if free:
            write_atomic(self._file(message_id, "sending"), data, new=True, mode=0o600)
        return free

    async def _locked(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await locked(self.maildir.root, str(self._folder), work, *args, **kwargs)

    def _file(self, message_id: str, state: str) -> Path:
        name = hashlib.sha256(message_id.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        return self._folder / f"{name}.{state}"


def _begun(path: Path) -> float:
    """Return from when on a copy can have arrived; a day of grace for clocks that differ."""
    try:
        return path.stat().st_mtime - _DAY
    except FileNotFoundError:  # somebody else moved the note on in this moment
        return 0.0
