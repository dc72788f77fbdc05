"""Mail: the neutral form of a message and the protocol of a mail account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from brody_agents.integrations.base import Provider
from brody_agents.pickling import pickled_by_values


@pickled_by_values
@dataclass(frozen=True, slots=True)
class RawMail:
    """A message as an account holds it: RFC 5322 bytes, where it lies, and its flags.

    ``key`` is the provider's key of the message, ``version`` changes whenever content, folder or flags do.
    """

    key: str
    version: str
    data: bytes
    folder: str = ""
    flags: frozenset[str] = frozenset()
    """Of ``seen``, ``answered``, ``flagged``, ``draft``, ``sent``, ``trash``, ``spam``."""


@pickled_by_values
@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox (RFC 5322, 3.4): a display name, perhaps empty, and a lower-case address."""

    address: str
    name: str = ""


@pickled_by_values
@dataclass(frozen=True, slots=True)
class Attachment:
    """A part of a mail that is a file; ``index`` counts the message's parts in document order."""

    index: int
    name: str
    media_type: str
    size: int
    sha256: str


@pickled_by_values
@dataclass(frozen=True, slots=True)
class ParsedMail:
    """A mail as agents read it. All text is what others wrote and is never trusted."""

    message_id: str
    """Without angle brackets; made from the content's hash where the header is missing."""
    subject: str
    sender: Address
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    date: datetime | None = None
    """Aware; the Date header, else the newest Received header, else ``None``."""
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    signals: dict[str, str] = field(default_factory=dict)
    """Headers that triage looks at, by lower-case name (see ``parsing.SIGNALS``); repeated ones joined by newline."""
    text: str = ""
    """The plain text of the body, HTML turned into text."""
    reply: str = ""
    """The part of ``text`` that the sender wrote now: quotes and signature cut."""
    html_hidden: bool = False
    """Whether the HTML hides text from the reader (display:none, white on white, size 0)."""
    invite: str = ""
    """The text/calendar part, else empty."""
    json_ld: tuple[str, ...] = ()
    """The application/ld+json blocks of the HTML, as text."""
    attachments: tuple[Attachment, ...] = ()
    size: int = 0


class MailProvider(Provider[RawMail], Protocol):
    """A mail account. Writes carry the version that was read and raise ``Stale`` when it has changed."""

    async def fetch(self, key: str) -> RawMail:
        """Return one message, or raise ``NotFound``."""

    async def append(self, data: bytes, folder: str, flags: frozenset[str] = frozenset()) -> str:
        """Store a message (draft, sent copy) and return its key."""

    async def flag(self, key: str, add: frozenset[str], remove: frozenset[str], version: str | None) -> str:
        """Change flags or labels of a message and return its new version."""

    async def move(self, key: str, folder: str, version: str | None) -> str:
        """Move a message to a folder and return its new key."""

    async def delete(self, key: str, version: str | None) -> None:
        """Remove a message for good."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What a server said of a message that it took: for whom it did, and why not for the others."""

    message_id: str
    """With angle brackets, as in the header."""
    accepted: tuple[str, ...]
    refused: Mapping[str, str] = field(default_factory=dict)
    """The answer to each recipient that was refused (``550 5.1.1 no such user``); nobody else missed the message."""
    answer: str = ""
    """The server's word to the message, often with its own id of it."""
    filed: bool = False
    """Whether a copy lies among the sent mail."""


class Outgoing(Protocol):
    """An account that mail leaves by.

    One with an attribute ``announces`` that is true takes ``about_to`` in :meth:`send`, which it awaits before a server
    can take the message: until then the message surely has not left, whatever happens, and if it raises, it must not.
    """

    @property
    def account(self) -> str:
        """Return the account's stable key, such as ``smtp://me@mail.example:587``; no secret is in it."""

    @property
    def author(self) -> str:
        """Return whom its mail is from: ``name@domain`` or ``Name <name@domain>``."""

    async def send(self, data: bytes, sender: str, recipients: Sequence[str]) -> Sent:
        """Send a message (RFC 5322) whose ``Message-ID`` the caller chose, the same one whenever it tries again.

        Returns when the server has taken the message for at least one recipient. Raises

        - ``NotSent`` (retryable): surely nobody got it, and the same call may succeed later;
        - ``Refused`` (terminal): surely nobody got it, and nobody will;
        - ``OutcomeUnknown``: it may have left. Never call again: ask :meth:`find_sent`. A cancellation or a crash
          inside of the call means the same.
        """

    async def find_sent(self, message_id: str) -> bool | None:
        """Say whether a message left: ``True`` it did, ``False`` it surely did not, ``None`` cannot be told.

        After ``False`` the same message may be sent (again); after ``None`` only a person may decide.
        """

    async def check(self) -> str:
        """Return one line for ``brody doctor`` or raise the error that says what to do."""

    async def close(self) -> None:
        """Give up handles and connections."""
