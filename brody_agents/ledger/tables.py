"""The tables of the ledger, declared with SQLModel; Alembic's migrations make and change them.

The first five have the columns of the original architecture document (with text ids), and what the framework adds.
Sealed columns hold what others wrote, encrypted with the user's key.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, Index, Integer, LargeBinary, false, text
from sqlmodel import Field

from brody_agents.ledger.resource_tables import Breaker as Breaker
from brody_agents.ledger.resource_tables import BudgetLimit as BudgetLimit
from brody_agents.ledger.resource_tables import BudgetReservation as BudgetReservation
from brody_agents.ledger.resource_tables import BudgetUse as BudgetUse
from brody_agents.ledger.resource_tables import ResourceLease as ResourceLease
from brody_agents.ledger.rows import SEQUENCE, json_column, sealed_column, time_column
from brody_agents.ledger.rows import Row as Row
from brody_agents.ledger.types import Sealed, SealedBytes, UtcTime
from brody_agents.ledger.worker_tables import LiveWorker as LiveWorker
from brody_agents.ledger.worker_tables import PartitionLease as PartitionLease


def _count() -> Any:
    return Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))


_OPEN: Any = {"sqlite_where": text("open = 1"), "postgresql_where": text("open")}
"""Which rows the index of the backlog has, in the very words of the queries: SQLite uses it for no others."""
_OF_A_RUN: Any = dict.fromkeys(("sqlite_where", "postgresql_where"), text("run_id IS NOT NULL"))
_ASKS = text("state = 'open'")
_LATER: Any = {where: text(f"{is_open} AND not_before IS NOT NULL") for where, is_open in _OPEN.items()}
_NEVER = text("'9999-12-31 00:00:00.000000'")
NO_DEADLINE = datetime(9999, 12, 31, tzinfo=UTC)
"""What stands for no deadline, so that one index has those with and those without in their order."""


class User(Row, table=True):
    """A person for whom the agents work."""

    __tablename__ = "users"

    id: str = Field(primary_key=True)
    email: str | None = Field(default=None, unique=True)
    name: str = ""
    password_hash: str | None = None
    created_at: datetime = time_column(nullable=False)
    updated_at: datetime = time_column(nullable=False)
    preferences: dict[str, Any] | None = json_column()
    api_keys: dict[str, Any] | None = json_column()


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
    access_token: SealedBytes | None = sealed_column()
    refresh_token: SealedBytes | None = sealed_column()
    last_sync: datetime | None = time_column()
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
    body: SealedBytes | None = sealed_column()
    sender: str = ""
    recipients: dict[str, Any] | None = json_column()
    timestamp: datetime = time_column(nullable=False)
    urgency: str | None = None
    category: str | None = None
    ai_summary: SealedBytes | None = sealed_column()
    action_items: SealedBytes | None = sealed_column()
    processed_at: datetime | None = time_column()
    message_id: str = ""
    head: dict[str, Any] | None = json_column()
    folder: str = ""
    thread_id: str = ""
    needs_reply: bool = False
    reasons: SealedBytes | None = sealed_column()
    reply_state: str = "none"
    waiting_on: list[str] | None = json_column()
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
    description: SealedBytes | None = sealed_column()
    priority: str = "normal"
    status: str = "pending"
    due_date: datetime | None = time_column()
    source_type: str = "manual"
    source_id: str | None = None
    ai_generated: bool = False
    created_at: datetime = time_column(nullable=False)
    completed_at: datetime | None = time_column()
    sources: list[dict[str, Any]] | None = json_column()
    reasons: SealedBytes | None = sealed_column()
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
    description: SealedBytes | None = sealed_column()
    start_time: datetime | None = time_column()
    end_time: datetime | None = time_column()
    attendees: list[dict[str, Any]] | None = json_column()
    meeting_type: str | None = None
    preparation_status: str | None = None
    ai_brief: SealedBytes | None = sealed_column()
    agenda: SealedBytes | None = sealed_column()
    created_at: datetime = time_column(nullable=False)
    version: str = ""
    data: SealedBytes | None = sealed_column()
    recurs: bool = False
    problem: str = ""
    removed: bool = False
    unread: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    """Written by an effect, and not seen by a read since, which is to tell the agents of it."""


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
    modified: datetime | None = time_column()
    title: str = ""
    body: SealedBytes | None = sealed_column()
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
    addresses: list[str] | None = json_column()
    organisation: str = ""
    title: str = ""
    problem: str = ""
    removed: bool = False


class Message(Row, table=True):
    """A message: backlog and outbox at once. ``open`` until every recipient has handled it."""

    __tablename__ = "messages"
    __table_args__ = (
        Index("ix_messages_backlog", "priority", "deadline", "seq", "user_id", **_OPEN),
        Index("ix_messages_later", "not_before", **_LATER),
        Index("ix_messages_run", "run_id", "open", **_OF_A_RUN),
    )

    seq: int | None = Field(default=None, sa_column=Column(SEQUENCE, primary_key=True, autoincrement=True))
    id: str = Field(unique=True)
    partition: int
    user_id: str
    run_id: str | None = None
    sender: str
    recipient: str
    message_type: str
    priority: int
    deadline: datetime = Field(sa_column=Column(UtcTime, nullable=False, server_default=_NEVER))
    not_before: datetime | None = time_column()
    attempts: int = _count()
    """How often handlers have tried it before its present pause."""
    deaths: int = _count()
    """How often the process ended while it was handled."""
    body: SealedBytes = Field(sa_column=Column(Sealed, nullable=False))
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    open: bool = True
    created_at: datetime = time_column(nullable=False)


class Handled(Row, table=True):
    """The fact that an agent has handled a message; its key is what makes handling happen once."""

    __tablename__ = "handled"

    message_id: str = Field(primary_key=True)
    agent: str = Field(primary_key=True)
    handled_at: datetime = time_column(nullable=False)


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
    reason: SealedBytes | None = sealed_column()
    body: SealedBytes | None = sealed_column()
    run_id: str | None = None
    created_at: datetime = time_column(nullable=False)
    replayed_at: datetime | None = time_column()


class Run(Row, table=True):
    """A playbook's execution: ``syncing``, ``working`` (at ``step``), ``complete`` or ``failed``."""

    __tablename__ = "runs"

    id: str = Field(primary_key=True)
    user_id: str = Field(index=True)
    playbook: str
    now: datetime = time_column(nullable=False)
    timezone: str = "UTC"
    state: str = "syncing"
    step: int = 0
    dry_run: bool = False
    accounts: list[str] | None = json_column()
    started_at: datetime = time_column(nullable=False)
    completed_at: datetime | None = time_column()
    delivered_at: datetime | None = time_column()
    """When the process that ran it ended in order; a brief that was not delivered is given again."""
    brief: SealedBytes | None = sealed_column()
    problems: list[dict[str, Any]] | None = json_column()


class Action(Row, table=True):
    """An action from its proposal to its end; ``fence`` grows with every attempt to carry it out."""

    __tablename__ = "actions"
    __table_args__ = (
        Index("ix_actions_state", "state", "seq"),
        Index("ix_actions_user_state", "user_id", "state"),
        Index("ix_actions_run", "run_id", "state"),
    )

    seq: int | None = Field(default=None, sa_column=Column(SEQUENCE, primary_key=True, autoincrement=True))
    id: str = Field(unique=True)
    key: str = Field(unique=True)
    user_id: str
    run_id: str | None = None
    kind: str
    arguments: SealedBytes | None = sealed_column()
    state: str
    why: SealedBytes | None = sealed_column()
    reason: SealedBytes | None = sealed_column()
    proposed_by: str
    message_id: str
    cause: str = ""
    priority: int = 2
    deadline: datetime | None = time_column()
    confidence: float = 1.0
    provenance: dict[str, Any] | None = json_column()
    result: SealedBytes | None = sealed_column()
    intent: SealedBytes | None = sealed_column()
    not_before: datetime | None = time_column()
    held_until: datetime | None = time_column()
    settled: bool | None = None
    handed_over: bool | None = None
    asks_person: bool | None = None
    fence: int = 0
    tries: int | None = None
    partition: int | None = None
    account: str | None = None
    redo_of: str | None = None
    merged_into: str | None = Field(default=None, index=True)
    created_at: datetime = time_column(nullable=False)
    updated_at: datetime = time_column(nullable=False)
    done_at: datetime | None = time_column()
    undo_asked_at: datetime | None = time_column()
    """When the person asked to have it undone; from then on it is only ever carried out backwards."""
    undo: SealedBytes | None = sealed_column()


class ActionClaim(Row, table=True):
    """A resource that an open action holds."""

    __tablename__ = "claims"
    __table_args__ = (Index("ix_claims_resource", "resource"),)

    action_id: str = Field(primary_key=True)
    position: int = Field(primary_key=True)
    resource: str
    mode: str
    start: datetime | None = time_column()
    end: datetime | None = time_column()


class Approval(Row, table=True):
    """A card that asks the person about one action; at most one is open for an action at a time."""

    __tablename__ = "approvals"
    __table_args__ = (
        Index("ix_approvals_one_open", "action_id", unique=True, sqlite_where=_ASKS, postgresql_where=_ASKS),
        Index("ix_approvals_user", "user_id", "state"),
        Index("ix_approvals_expiry", "state", "expires_at"),
    )

    id: str = Field(primary_key=True)
    action_id: str
    number: int
    """1 for the first card of an action; each one that takes another's place has the next."""
    user_id: str
    run_id: str | None = None
    kind: str
    state: str = "open"
    digest: str
    card: SealedBytes | None = sealed_column()
    answer: SealedBytes | None = sealed_column()
    answer_digest: str = ""
    replaced_by: str | None = None
    created_at: datetime = time_column(nullable=False)
    expires_at: datetime = time_column(nullable=False)
    decided_at: datetime | None = time_column()


class Verdict(Row, table=True):
    """What the conflict resolver decided: the rule, the inputs, and what would have happened otherwise."""

    __tablename__ = "verdicts"
    __table_args__ = (Index("ix_verdicts_user", "user_id", "created_at"), Index("ix_verdicts_resource", "resource"))

    id: str = Field(primary_key=True)
    user_id: str
    run_id: str | None = None
    action_id: str | None = Field(default=None, index=True)
    kind: str
    resource: str
    verdict: str
    rule: str
    detail: SealedBytes | None = sealed_column()
    """Sealed: ``{"parties", "why", "otherwise", "options"}``."""
    created_at: datetime = time_column(nullable=False)


class TrackRecordEntry(Row, table=True):
    """What the person made of one action of an agent: ``accepted``, ``edited`` or ``rejected``; one row an action."""

    __tablename__ = "track_records"
    __table_args__ = (Index("ix_track_records_agent", "user_id", "kind", "agent", "answered_at"),)

    action_id: str = Field(primary_key=True)
    user_id: str
    agent: str
    kind: str
    answer: str
    answered_at: datetime = time_column(nullable=False)


class AutonomySetting(Row, table=True):
    """How far a user lets a kind of action (``mail.draft``), a domain (``mail.*``) or everything (``*``) go."""

    __tablename__ = "autonomy"

    user_id: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    level: str
    changed_at: datetime = time_column(nullable=False)


class ContextValue(Row, table=True):
    """A shared value of a user, with its version."""

    __tablename__ = "context"

    user_id: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    version: int
    value: Any = json_column()
    expires_at: datetime | None = time_column()
    provenance: dict[str, Any] | None = json_column()
    writer: str = ""
    updated_at: datetime = time_column(nullable=False)


class Cursor(Row, table=True):
    """How far an account was read; it moves in the transaction of the rows it stands for."""

    __tablename__ = "cursors"

    account: str = Field(primary_key=True)
    user_id: str = Field(primary_key=True)
    domain: str
    cursor: str = ""
    updated_at: datetime = time_column(nullable=False)


class Outlet(Row, table=True):
    """An account that is only written to, with the word that opens it: where mail leaves, where chat is posted."""

    __tablename__ = "outlets"

    account: str = Field(primary_key=True)
    user_id: str = Field(primary_key=True)
    domain: str
    word: str


class Note(Row, table=True):
    """A notification to the person."""

    __tablename__ = "notifications"

    id: str = Field(primary_key=True)
    user_id: str = Field(index=True)
    run_id: str | None = None
    text: SealedBytes | None = sealed_column()
    level: str = "info"
    about: list[str] | None = json_column()
    created_at: datetime = time_column(nullable=False)


class Audit(Row, table=True):
    """One link of a partition's hash chain; it holds digests only, so that erasing a user keeps it valid."""

    __tablename__ = "audit"

    partition: int = Field(primary_key=True)
    position: int = Field(sa_column=Column(SEQUENCE, primary_key=True, autoincrement=False))
    at: datetime = time_column(nullable=False)
    subject: str
    event: str
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
