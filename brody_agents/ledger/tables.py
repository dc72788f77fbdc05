"""The tables of the ledger, declared with SQLModel; Alembic's migrations make and change them.

The first five have the columns of the original architecture document (with text ids), and what the framework adds.
Sealed columns hold what others wrote, encrypted with the user's key.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Index, Integer, LargeBinary, MetaData, text
from sqlmodel import Field, SQLModel

from brody_agents.ledger.types import Sealed, SealedBytes, UtcTime


def _time(nullable: bool = True, index: bool = False) -> Any:
    return Field(default=None, sa_column=Column(UtcTime, nullable=nullable, index=index))


def _count() -> Any:
    return Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))


def _sealed() -> Any:
    return Field(default=None, sa_column=Column(Sealed, nullable=True))


def _json() -> Any:
    return Field(default=None, sa_column=Column(JSON, nullable=True))


_OPEN = text("open")
_NEVER = text("'9999-12-31 00:00:00.000000'")
_LATER = text("open AND not_before IS NOT NULL")
NO_DEADLINE = datetime(9999, 12, 31, tzinfo=UTC)
"""What stands for no deadline, so that one index has those with and those without in their order."""
_SEQ = BigInteger().with_variant(Integer, "sqlite")


class Row(SQLModel):
    """Base of all tables; its metadata is this package's own."""

    model_config = {"arbitrary_types_allowed": True}

    metadata = MetaData(
        naming_convention={"ix": "ix_%(table_name)s_%(column_0_name)s", "uq": "uq_%(table_name)s_%(column_0_name)s"}
    )


class User(Row, table=True):
    """A person for whom the agents work."""

    __tablename__ = "users"

    id: str = Field(primary_key=True)
    email: str | None = Field(default=None, unique=True)
    name: str = ""
    password_hash: str | None = None
    created_at: datetime = _time(nullable=False)
    updated_at: datetime = _time(nullable=False)
    preferences: dict[str, Any] | None = _json()
    api_keys: dict[str, Any] | None = _json()


class UserKey(Row, table=True):
    """A user's sealing key, itself sealed with the home's key."""

    __tablename__ = "user_keys"

    user_id: str = Field(primary_key=True)
    wrapped: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class EmailAccount(Row, table=True):
    """A mail account; ``id`` is the account's key."""

    __tablename__ = "email_accounts"

    id: str = Field(primary_key=True)
    user_id: str = Field(primary_key=True)
    provider: str = ""
    email_address: str | None = None
    access_token: SealedBytes | None = _sealed()
    refresh_token: SealedBytes | None = _sealed()
    last_sync: datetime | None = _time()
    is_active: bool = True


class Email(Row, table=True):
    """A mail. ``body`` holds text, reply, invite, JSON-LD and attachments; ``problem`` says why there is none."""

    __tablename__ = "emails"
    __table_args__ = (
        Index("ix_emails_user_received", "user_id", "timestamp"),
        Index("ix_emails_account", "email_account_id", "user_id"),
    )

    id: str = Field(primary_key=True)
    user_id: str = Field(primary_key=True)
    email_account_id: str
    external_id: str
    version: str = ""
    subject: str = ""
    body: SealedBytes | None = _sealed()
    sender: str = ""
    recipients: dict[str, Any] | None = _json()
    timestamp: datetime = _time(nullable=False)
    urgency: str | None = None
    category: str | None = None
    ai_summary: SealedBytes | None = _sealed()
    action_items: SealedBytes | None = _sealed()
    processed_at: datetime | None = _time()
    message_id: str = ""
    head: dict[str, Any] | None = _json()
    folder: str = ""
    thread_id: str = ""
    needs_reply: bool = False
    reasons: SealedBytes | None = _sealed()
    reply_state: str = "none"
    waiting_on: list[str] | None = _json()
    run_id: str | None = Field(default=None, index=True)
    received_id: str = Field(default="", index=True)
    problem: str = ""
    removed: bool = False


class Task(Row, table=True):
    """A task of the user's own list, or of a task account."""

    __tablename__ = "tasks"

    id: str = Field(primary_key=True)
    user_id: str = Field(primary_key=True, index=True)
    title: str
    description: SealedBytes | None = _sealed()
    priority: str = "normal"
    status: str = "pending"
    due_date: datetime | None = _time()
    source_type: str = "manual"
    source_id: str | None = None
    ai_generated: bool = False
    created_at: datetime = _time(nullable=False)
    completed_at: datetime | None = _time()
    sources: list[dict[str, Any]] | None = _json()
    reasons: SealedBytes | None = _sealed()
    assignee: str = ""
    root: str = ""
    normalised: str = ""
    version: int = 1
    account: str = ""
    """The task account that it was read from; empty for the ledger's own."""
    external_id: str = ""
    external_version: str = ""
    problem: str = ""
    removed: bool = False


class CalendarEvent(Row, table=True):
    """A calendar event: one row a UID, ``data`` being its components (RFC 5545)."""

    __tablename__ = "calendar_events"
    __table_args__ = (Index("ix_calendar_events_user", "user_id", "account"),)

    id: str = Field(primary_key=True)
    user_id: str = Field(primary_key=True)
    external_id: str
    account: str
    calendar: str = ""
    title: str = ""
    description: SealedBytes | None = _sealed()
    start_time: datetime | None = _time()
    end_time: datetime | None = _time()
    attendees: list[dict[str, Any]] | None = _json()
    meeting_type: str | None = None
    preparation_status: str | None = None
    ai_brief: SealedBytes | None = _sealed()
    agenda: SealedBytes | None = _sealed()
    created_at: datetime = _time(nullable=False)
    version: str = ""
    data: SealedBytes | None = _sealed()
    recurs: bool = False
    problem: str = ""
    removed: bool = False


class Document(Row, table=True):
    """A file of a folder, with its text."""

    __tablename__ = "documents"
    __table_args__ = (Index("ix_documents_user", "user_id", "account"),)

    id: str = Field(primary_key=True)
    user_id: str = Field(primary_key=True)
    account: str
    external_id: str
    version: str = ""
    name: str = ""
    media_type: str = ""
    size: int = 0
    modified: datetime | None = _time()
    title: str = ""
    body: SealedBytes | None = _sealed()
    problem: str = ""
    removed: bool = False


class Contact(Row, table=True):
    """A card of the user's address book."""

    __tablename__ = "contacts"
    __table_args__ = (Index("ix_contacts_user", "user_id", "account"),)

    id: str = Field(primary_key=True)
    user_id: str = Field(primary_key=True)
    account: str
    external_id: str
    version: str = ""
    name: str = ""
    addresses: list[str] | None = _json()
    organisation: str = ""
    title: str = ""
    problem: str = ""
    removed: bool = False


class Message(Row, table=True):
    """A message: backlog and outbox at once. ``open`` until every recipient has handled it."""

    __tablename__ = "messages"
    __table_args__ = (
        Index(
            *("ix_messages_order", "priority", "deadline", "seq", "user_id"),
            sqlite_where=_OPEN,
            postgresql_where=_OPEN,
        ),
        Index("ix_messages_age", "seq", sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("ix_messages_later", "not_before", sqlite_where=_LATER, postgresql_where=_LATER),
        Index("ix_messages_run", "run_id", sqlite_where=_OPEN, postgresql_where=_OPEN),
    )

    seq: int | None = Field(default=None, sa_column=Column(_SEQ, primary_key=True, autoincrement=True))
    id: str = Field(unique=True)
    partition: int
    user_id: str
    run_id: str | None = None
    sender: str
    recipient: str
    message_type: str
    priority: int
    deadline: datetime = Field(sa_column=Column(UtcTime, nullable=False, server_default=_NEVER))
    not_before: datetime | None = _time()
    attempts: int = _count()
    """How often handlers have tried it before its present pause."""
    deaths: int = _count()
    """How often the process ended while it was handled."""
    body: SealedBytes = Field(sa_column=Column(Sealed, nullable=False))
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    open: bool = True
    created_at: datetime = _time(nullable=False)


class Handled(Row, table=True):
    """The fact that an agent has handled a message; its key is what makes handling happen once."""

    __tablename__ = "handled"

    message_id: str = Field(primary_key=True)
    agent: str = Field(primary_key=True)
    handled_at: datetime = _time(nullable=False)


class DeadLetter(Row, table=True):
    """What could not be handled, with the reason and the bytes; it can be replayed."""

    __tablename__ = "dead_letters"

    id: str = Field(primary_key=True)
    user_id: str = Field(index=True)
    message_id: str | None = Field(default=None, index=True)
    agent: str = ""
    item_id: str | None = Field(default=None, index=True)
    message_type: str = ""
    code: str
    reason: SealedBytes | None = _sealed()
    body: SealedBytes | None = _sealed()
    run_id: str | None = None
    created_at: datetime = _time(nullable=False)
    replayed_at: datetime | None = _time()


class Run(Row, table=True):
    """A playbook's execution: ``syncing``, ``working`` (at ``step``), ``complete`` or ``failed``."""

    __tablename__ = "runs"

    id: str = Field(primary_key=True)
    user_id: str = Field(index=True)
    playbook: str
    now: datetime = _time(nullable=False)
    timezone: str = "UTC"
    state: str = "syncing"
    step: int = 0
    dry_run: bool = False
    accounts: list[str] | None = _json()
    started_at: datetime = _time(nullable=False)
    completed_at: datetime | None = _time()
    delivered_at: datetime | None = _time()
    """When the process that ran it ended in order; a brief that was not delivered is given again."""
    brief: SealedBytes | None = _sealed()
    problems: list[dict[str, Any]] | None = _json()


class Action(Row, table=True):
    """An action from its proposal to its end; ``fence`` grows with every attempt to carry it out."""

    __tablename__ = "actions"
    __table_args__ = (Index("ix_actions_user_state", "user_id", "state"), Index("ix_actions_run", "run_id", "state"))

    seq: int | None = Field(default=None, sa_column=Column(_SEQ, primary_key=True, autoincrement=True))
    id: str = Field(unique=True)
    key: str = Field(unique=True)
    user_id: str
    run_id: str | None = None
    kind: str
    arguments: SealedBytes | None = _sealed()
    state: str
    why: SealedBytes | None = _sealed()
    reason: SealedBytes | None = _sealed()
    proposed_by: str
    message_id: str
    cause: str = ""
    priority: int = 2
    deadline: datetime | None = _time()
    confidence: float = 1.0
    provenance: dict[str, Any] | None = _json()
    result: SealedBytes | None = _sealed()
    fence: int = 0
    redo_of: str | None = None
    merged_into: str | None = Field(default=None, index=True)
    created_at: datetime = _time(nullable=False)
    updated_at: datetime = _time(nullable=False)


class ActionClaim(Row, table=True):
    """A resource that an open action holds."""

    __tablename__ = "claims"
    __table_args__ = (Index("ix_claims_resource", "resource"),)

    action_id: str = Field(primary_key=True)
    position: int = Field(primary_key=True)
    resource: str
    mode: str
    start: datetime | None = _time()
    end: datetime | None = _time()


class Verdict(Row, table=True):
    """What the conflict resolver decided: the rule, the inputs, and what would have happened otherwise."""

    __tablename__ = "verdicts"
    __table_args__ = (Index("ix_verdicts_user", "user_id", "created_at"),)

    id: str = Field(primary_key=True)
    user_id: str
    run_id: str | None = None
    action_id: str | None = Field(default=None, index=True)
    kind: str
    resource: str
    verdict: str
    rule: str
    detail: SealedBytes | None = _sealed()
    """Sealed: ``{"parties", "why", "otherwise", "options"}``."""
    created_at: datetime = _time(nullable=False)


class ContextValue(Row, table=True):
    """A shared value of a user, with its version."""

    __tablename__ = "context"

    user_id: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    version: int
    value: Any = _json()
    expires_at: datetime | None = _time()
    provenance: dict[str, Any] | None = _json()
    writer: str = ""
    updated_at: datetime = _time(nullable=False)


class Cursor(Row, table=True):
    """How far an account was read; it moves in the transaction of the rows it stands for."""

    __tablename__ = "cursors"

    account: str = Field(primary_key=True)
    user_id: str = Field(primary_key=True)
    domain: str
    cursor: str = ""
    updated_at: datetime = _time(nullable=False)


class Note(Row, table=True):
    """A notification to the person."""

    __tablename__ = "notifications"

    id: str = Field(primary_key=True)
    user_id: str = Field(index=True)
    run_id: str | None = None
    text: SealedBytes | None = _sealed()
    level: str = "info"
    about: list[str] | None = _json()
    created_at: datetime = _time(nullable=False)


class Audit(Row, table=True):
    """One link of a partition's hash chain; it holds digests only, so that erasing a user keeps it valid."""

    __tablename__ = "audit"

    partition: int = Field(primary_key=True)
    position: int = Field(sa_column=Column(_SEQ, primary_key=True, autoincrement=False))
    at: datetime = _time(nullable=False)
    subject: str
    event: str
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
