"""What agents read: the ledger's copies of mail, tasks, documents and contacts.

Ids are stable: UUIDv5 of (account, the provider's key). Texts are what others wrote and are never trusted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from brody_agents.arguments import SourceRef
from brody_agents.integrations.mail.base import Address, Attachment
from brody_agents.pickling import pickled_by_values


@pickled_by_values
@dataclass(frozen=True, slots=True, kw_only=True)
class MailHead:
    """A mail without its body, with what triage last said of it."""

    id: str
    account: str
    key: str
    version: str
    message_id: str
    subject: str
    sender: Address
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    received_at: datetime
    """Aware; the mail's own date, or when it was first seen if it has none."""
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    signals: dict[str, str] = field(default_factory=dict)
    """Headers by lower-case name, see ``integrations.mail.parsing.SIGNALS``."""
    folder: str = ""
    flags: frozenset[str] = frozenset()
    thread_id: str = ""
    category: str = ""
    urgency: str = ""
    needs_reply: bool = False
    reasons: tuple[str, ...] = ()
    reply_state: str = "none"
    waiting_on: tuple[str, ...] = ()
    run_id: str | None = None
    """The run in which it was first seen."""


@pickled_by_values
@dataclass(frozen=True, slots=True, kw_only=True)
class MailItem(MailHead):
    """A mail with its body."""

    text: str = ""
    reply: str = ""
    """The part of ``text`` that the sender wrote now: quotes and signature cut."""
    html_hidden: bool = False
    invite: str = ""
    json_ld: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskItem:
    """A task of the ledger's own list."""

    id: str
    title: str
    description: str = ""
    priority: Literal["urgent", "high", "normal", "low"] = "normal"
    status: Literal["pending", "in_progress", "completed", "cancelled"] = "pending"
    due: datetime | None = None
    assignee: str = ""
    root: str = ""
    normalised: str = ""
    sources: tuple[SourceRef, ...] = ()
    reasons: tuple[str, ...] = ()
    version: int = 1
    created_at: datetime
    completed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentItem:
    """A file of a folder, with its text."""

    id: str
    account: str
    key: str
    """Relative path with ``/``."""
    version: str
    name: str
    media_type: str
    size: int
    modified: datetime
    title: str = ""
    text: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactItem:
    """A card of the user's address book."""

    id: str
    account: str
    name: str
    addresses: tuple[str, ...] = ()
    organisation: str = ""
    title: str = ""
