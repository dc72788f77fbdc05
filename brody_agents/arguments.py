"""The arguments of every action kind; the catalogue in ``action.py`` says which kind takes which.

Field names are a public contract. ``account`` is the key of the account that is written to; a ``version`` is the
one that was read and makes the write conditional.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from brody_agents.communication.message_protocol import AnyPriority, Identifier, Priority, Time

_SURROGATES = re.compile("[\ud800-\udfff]")


class Arguments(BaseModel):
    """Base of all argument models; unknown arguments are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _storable(cls, values: Any) -> Any:
        if not is_storable(values):
            raise ValueError("a text has a NUL, or half of a character, in it")
        return values


def is_storable(value: object) -> bool:
    """Say whether all texts of a value can be stored: PostgreSQL takes no NUL, and nothing takes a lone surrogate."""
    if isinstance(value, str):
        return "\0" not in value and (value.isascii() or not _SURROGATES.search(value))
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return all(map(is_storable, parts))


def _in_reach(time: datetime) -> datetime:
    """Refuse a time without years before and after it, which calendars are searched for what is near."""
    if not 2 <= time.year <= 9998:
        raise ValueError("an event lies between the years 2 and 9998")
    return time


Moment = Annotated[Time, AfterValidator(_in_reach)]


class SourceRef(BaseModel):
    """Name the item that something comes from."""

    model_config = ConfigDict(frozen=True)

    type: Literal["email", "calendar", "file", "manual"]
    id: Identifier


class MailCompose(Arguments):
    """A new mail; ``account`` is the key of the mail account it leaves from."""

    account: str = ""
    to: list[str]
    cc: list[str] = []
    bcc: list[str] = []
    subject: str
    text: str
    email_id: str | None = None
    """The mail that it answers, for a draft of a reply."""
    thread_id: str | None = None


class MailReply(Arguments):
    """An answer to a mail, in its thread."""

    account: str = ""
    email_id: Identifier
    thread_id: str | None = None
    to: list[str] = []
    """Without anybody: whoever wrote the mail."""
    cc: list[str] = []
    bcc: list[str] = []
    subject: str = ""
    text: str


class MailForward(Arguments):
    """A mail passed on."""

    account: str = ""
    email_id: Identifier
    to: list[str]
    text: str = ""


class MailLabel(Arguments):
    """A label put on, or taken off, a mail."""

    account: str = ""
    email_id: Identifier
    label: Identifier


class MailTarget(Arguments):
    """One mail; ``version`` is the one that was read (precondition)."""

    account: str = ""
    email_id: Identifier
    version: str | None = None


class _Span(Arguments):
    start: Moment
    end: Moment

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end < self.start:
            raise ValueError("the end lies before the start")
        return self


class CalendarCreate(_Span):
    """A new event; without ``movable`` it is placed just there."""

    account: str
    title: str
    all_day: bool = False
    location: str = ""
    description: str = ""
    attendees: list[str] = []
    movable: bool = False
    task_id: str | None = None
    """The task that a focus block is for."""


class CalendarUpdate(Arguments):
    """A change of an event; ``version`` is the ETag that was read (precondition)."""

    account: str
    event_id: Identifier
    recurrence_id: str | None = None
    """One occurrence of the series; also an ``event_id`` that is an occurrence's own names it."""
    version: str | None = None
    title: str | None = None
    start: Moment | None = None
    end: Moment | None = None
    location: str | None = None
    description: str | None = None


class CalendarTarget(Arguments):
    """One event; ``version`` is the ETag that was read (precondition)."""

    account: str
    event_id: Identifier
    recurrence_id: str | None = None
    version: str | None = None


class CalendarRespond(_Span):
    """An answer to an invitation."""

    account: str
    uid: Identifier
    recurrence_id: str | None = None
    answer: Literal["accepted", "declined", "tentative"]
    title: str = ""
    organizer: str = ""
    comment: str = ""
    email_id: str | None = None
    sequence: int = 0


class CalendarInvite(Arguments):
    """More people for an event."""

    account: str
    event_id: Identifier
    recurrence_id: str | None = None
    attendees: list[str]


class TaskCreate(Arguments):
    """A new task; root, normalised action and assignee are what makes two wordings the same task."""

    title: Annotated[str, Field(min_length=1, max_length=500)]
    description: str = ""
    priority: AnyPriority = Priority.NORMAL
    due: Time | None = None
    assignee: str = ""
    """Empty for the user."""
    root: str = ""
    """The thread, event or document that it comes from."""
    normalised: str = ""
    """The action in its plainest words, for comparison; by default the title in lower case."""
    sources: list[SourceRef] = []
    reasons: list[str] = []

    @property
    def action(self) -> str:
        """Return the normalised action."""
        return self.normalised or " ".join(self.title.casefold().split())

    @property
    def task_key(self) -> str:
        """Return (root, action, assignee) as one text."""
        return f"{self.root}|{self.action}|{self.assignee}"


class TaskUpdate(Arguments):
    """A change of a task: what is ``None`` stays; ``add_sources`` and ``reasons`` are added."""

    task_id: Identifier
    version: int | None = None
    title: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    priority: AnyPriority | None = None
    due: Time | None = None
    status: Literal["pending", "in_progress", "completed", "cancelled"] | None = None
    add_sources: list[SourceRef] = []
    reasons: list[str] = []


class TaskTarget(Arguments):
    """One task."""

    task_id: Identifier
    version: int | None = None


class TaskMerge(Arguments):
    """Two tasks that are one: ``task_id`` goes into ``into``, its sources are kept there."""

    task_id: Identifier
    into: Identifier


class FileCreate(Arguments):
    """A new file from ``text``, or from an attachment of a mail."""

    account: str
    path: Annotated[str, Field(min_length=1)]
    text: str | None = None
    email_id: str | None = None
    attachment: int | None = None
    document_id: str | None = None


class FileAppend(Arguments):
    """Text put at the end of a file; ``version`` is the ETag that was read."""

    account: str
    document_id: Identifier
    text: str
    version: str | None = None


class FileMove(Arguments):
    """A file put elsewhere in its account."""

    account: str
    document_id: Identifier
    path: Annotated[str, Field(min_length=1)]
    version: str | None = None


class FileShare(Arguments):
    """Access to a file for somebody, given or taken."""

    account: str
    document_id: Identifier
    person: Identifier
    role: Literal["reader", "commenter", "writer"] = "reader"


class FileTarget(Arguments):
    """One file."""

    account: str
    document_id: Identifier
    version: str | None = None


class ChatPost(Arguments):
    """A message in a channel."""

    account: str = ""
    channel: Identifier
    text: str


class Notify(Arguments):
    """A word to the person."""

    text: Annotated[str, Field(min_length=1, max_length=2000)]
    level: Literal["info", "warning", "urgent"] = "info"
    about: list[str] = []
