"""Items of accounts in the ledger: mails, events, documents, contacts, written page by page."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import false, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.integrations.base import BadItem
from brody_agents.integrations.calendar.base import RawEvent
from brody_agents.integrations.contacts.base import RawContact
from brody_agents.integrations.files.base import RawFile
from brody_agents.integrations.mail.base import ParsedMail, RawMail
from brody_agents.integrations.tasks.base import RawTask
from brody_agents.ledger.bulk import Bulk
from brody_agents.ledger.owner import Owner as Owner
from brody_agents.ledger.pool_rows import MAIL_COLUMNS, MAIL_JSON, mail_row
from brody_agents.ledger.pool_rows import received_id as received_id
from brody_agents.ledger.statements import in_parts, table, upsert
from brody_agents.ledger.tables import CalendarEvent, Contact, Cursor, Document, Email, EmailAccount, Task
from brody_agents.ledger.vault import Vault

TABLES: Mapping[str, Any] = {
    "mail": Email,
    "calendar": CalendarEvent,
    "files": Document,
    "contacts": Contact,
    "tasks": Task,
}
_JUDGED = frozenset(
    {"run_id", "category", "urgency", "needs_reply", "reasons", "reply_state", "waiting_on", "thread_id"}
    | {"processed_at", "ai_summary", "action_items"}
)
"""What triage said of a mail, and when it was first seen: kept when the mail changes."""


UNREADABLE = "It cannot be read."
"""The problem of a bad item; why, which may quote it, is in its dead letter."""


async def known(tx: AsyncConnection, user_id: str, account: str, domain: str) -> dict[str, str]:
    """Return the versions that the ledger has of an account's items, by key.

    What an effect has written counts as another version until it is read.
    """
    t = table(TABLES[domain])
    unread = t.c.unread if "unread" in t.c else false()
    query = select(t.c.external_id, _version(t).label("version"), unread.label("unread")).where(
        t.c.user_id == user_id, _account(t) == account, t.c.removed.is_(False)
    )
    return {row.external_id: f"unread {row.version}" if row.unread else row.version for row in await tx.execute(query)}


async def cursor(tx: AsyncConnection, user_id: str, account: str) -> str | None:
    """Return how far an account was read."""
    c = table(Cursor).c
    found: str | None = (await tx.execute(select(c.cursor).where(c.account == account, c.user_id == user_id))).scalar()
    return found or None


async def move_cursor(tx: AsyncConnection, owner: Owner, domain: str, value: str) -> None:
    """Write how far an account was read, in the transaction of what was read."""
    now = datetime.now(UTC)
    row = {
        "account": owner.account,
        "user_id": owner.user_id,
        "domain": domain,
        "cursor": value,
        "updated_at": now,
    }
    await tx.execute(upsert(tx, Cursor), [row])
    if domain == "mail":
        names = {"id": owner.account, "user_id": owner.user_id, "provider": owner.account.partition(":")[0]}
        account = {**names, "last_sync": now, "is_active": True, "email_address": None}
        keep = frozenset({"email_address", "access_token", "refresh_token", "is_active"})
        await tx.execute(upsert(tx, EmailAccount, keep), [account | {"access_token": None, "refresh_token": None}])


async def remove(tx: AsyncConnection, owner: Owner, domain: str, keys: Collection[str]) -> None:
    """Note that items are no longer in the source; their rows stay."""
    t = table(TABLES[domain])
    ids = [owner.item_id(key) for key in keys]
    for some in in_parts(ids):
        await tx.execute(update(t).where(t.c.id.in_(some), t.c.user_id == owner.user_id).values(removed=True))


async def write_bad(tx: AsyncConnection, owner: Owner, domain: str, bad: Sequence[BadItem]) -> None:
    """Write items that could not be read, so that they count and are not read again as they are."""
    rows = [_bad_row(owner, domain, item) for item in bad]
    if rows:
        await tx.execute(upsert(tx, TABLES[domain], frozenset({"run_id"})), rows)


def _bad_row(owner: Owner, domain: str, item: BadItem) -> dict[str, Any]:
    t = table(TABLES[domain])
    row: dict[str, Any] = {
        column.name: _EMPTY.get(str(column.type), None) for column in t.columns if not column.nullable
    }
    row |= {"id": owner.item_id(item.key), "user_id": owner.user_id, _account(t).name: owner.account}
    row |= {"external_id": item.key, _version(t).name: item.version, "problem": UNREADABLE, "removed": False}
    if domain == "mail":
        row |= {"timestamp": owner.now, "run_id": owner.run_id, "reply_state": "none"}
    if domain in ("calendar", "tasks"):
        row |= {"created_at": owner.now}
    return row


async def read_again(tx: AsyncConnection, user_id: str, item_id: str) -> None:
    """Have the next run read an item again: take its version for another, and forget how far its account was read.

    An event keeps its version, since effects and the rule of stale reads go by it. Of anything else, what cannot be
    read was read by nobody, so that whoever has a version of it has another one.
    """
    c = table(Cursor)
    for model in TABLES.values():
        t = table(model)
        mine = (t.c.id == item_id, t.c.user_id == user_id)
        account = (await tx.execute(select(_account(t)).where(*mine))).scalar()
        if account is not None:
            another: dict[str, Any] = {"unread": True} if "unread" in t.c else {_version(t).name: ""}
            await tx.execute(update(t).where(*mine).values(another))
            unread = update(c).where(c.c.account == account, c.c.user_id == user_id)
            await tx.execute(unread.values(cursor=""))


_EMPTY: Mapping[str, Any] = {"VARCHAR": "", "BOOLEAN": False, "INTEGER": 0}


async def write_mail(
    tx: AsyncConnection, vault: Vault, owner: Owner, mails: Sequence[tuple[RawMail, ParsedMail]]
) -> None:
    """Write mails that are new or changed; what triage said of them stays."""
    await write_mail_rows(tx, vault, owner, [mail_row(owner, raw, mail) for raw, mail in mails])


async def write_mail_rows(tx: AsyncConnection, vault: Vault, owner: Owner, rows: Sequence[tuple[Any, ...]]) -> None:
    """Write mails as ``mail_row`` gives them, and seal their bodies."""
    if rows:
        await _MAILS.insert(tx, [(*row[:-1], vault.seal_bytes(owner.user_id, row[-1])) for row in rows])


_MAILS = Bulk(Email, *MAIL_COLUMNS, keep=_JUDGED, written=MAIL_JSON)


async def mail_accounts(tx: AsyncConnection, mails: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return the accounts that mails belong to, by (user, mail)."""
    if not mails:
        return {}
    c = table(Email).c
    query = select(c.user_id, c.id, c.email_account_id).where(tuple_(c.user_id, c.id).in_(sorted(mails)))
    rows = await tx.execute(query)
    return {(row.user_id, row.id): row.email_account_id for row in rows}


@dataclass(frozen=True, slots=True)
class EventSummary:
    """What the ledger keeps readable of an event, for finding it."""

    title: str
    start: datetime | None
    end: datetime | None
    recurs: bool


async def write_events(
    tx: AsyncConnection,
    vault: Vault,
    owner: Owner,
    events: Sequence[tuple[RawEvent, EventSummary]],
    *,
    unread: bool = False,
) -> None:
    """Write events that are new or changed; ``unread`` if they were not read but have just been written."""
    rows = [_event_row(vault, owner, raw, summary) | {"unread": unread} for raw, summary in events]
    if rows:
        keep = frozenset({"created_at", "preparation_status", "ai_brief", "agenda", "meeting_type"})
        await tx.execute(upsert(tx, CalendarEvent, keep), rows)


def _event_row(vault: Vault, owner: Owner, raw: RawEvent, summary: EventSummary) -> dict[str, Any]:
    return {
        "id": owner.item_id(raw.key),
        "user_id": owner.user_id,
        "external_id": raw.key,
        "account": owner.account,
        "calendar": raw.calendar,
        "title": summary.title,
        "start_time": summary.start,
        "end_time": summary.end,
        "created_at": owner.now,
        "version": raw.version,
        "data": vault.seal(owner.user_id, raw.data),
        "recurs": summary.recurs,
        "problem": "",
        "removed": False,
    }


async def write_documents(tx: AsyncConnection, vault: Vault, owner: Owner, files: Sequence[RawFile]) -> None:
    """Write files that are new or changed."""
    rows = [
        {
            "id": owner.item_id(f.key),
            "user_id": owner.user_id,
            "account": owner.account,
            "external_id": f.key,
            "version": f.version,
            "name": f.name,
            "media_type": f.media_type,
            "size": f.size,
            "modified": f.modified,
            "title": f.title,
            "body": vault.seal(owner.user_id, f.text),
            "problem": f.problem,
            "removed": False,
        }
        for f in files
    ]
    if rows:
        await tx.execute(upsert(tx, Document), rows)


async def write_contacts(tx: AsyncConnection, owner: Owner, cards: Sequence[RawContact]) -> None:
    """Write cards that are new or changed."""
    rows = [
        {
            "id": owner.item_id(c.key),
            "user_id": owner.user_id,
            "account": owner.account,
            "external_id": c.key,
            "version": c.version,
            "name": c.name,
            "addresses": [a.lower() for a in c.addresses],
            "organisation": c.organisation,
            "title": c.title,
            "problem": "",
            "removed": False,
        }
        for c in cards
    ]
    if rows:
        await tx.execute(upsert(tx, Contact), rows)


async def write_tasks(tx: AsyncConnection, vault: Vault, owner: Owner, tasks: Sequence[RawTask]) -> None:
    """Write tasks of a task account that are new or changed."""
    rows = [_task_row(vault, owner, task) for task in tasks]
    if rows:
        await tx.execute(upsert(tx, Task, frozenset({"created_at", "normalised", "root", "reasons", "sources"})), rows)


def _task_row(vault: Vault, owner: Owner, task: RawTask) -> dict[str, Any]:
    return {
        "id": owner.item_id(task.key),
        "user_id": owner.user_id,
        "title": task.title,
        "description": vault.seal(owner.user_id, task.notes),
        "priority": task.priority,
        "status": task.status,
        "due_date": task.due,
        "source_type": "manual",
        "source_id": None,
        "ai_generated": False,
        "created_at": owner.now,
        "completed_at": owner.now if task.status == "completed" else None,
        "sources": [],
        "reasons": vault.seal(owner.user_id, []),
        "assignee": "",
        "root": "",
        "normalised": "",
        "version": 1,
        "account": owner.account,
        "external_id": task.key,
        "external_version": task.version,
        "problem": "",
        "removed": False,
    }


def _version(t: Any) -> Any:
    return t.c.external_version if "external_version" in t.c else t.c.version


def _account(t: Any) -> Any:
    return t.c.email_account_id if "email_account_id" in t.c else t.c.account
