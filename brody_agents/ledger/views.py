"""The read-only views that handlers get: one user's items, of the run's accounts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import or_, select

from brody_agents.arguments import SourceRef
from brody_agents.communication.message_protocol import Origin, Provenance
from brody_agents.context import Views
from brody_agents.integrations.calendar.base import Event
from brody_agents.integrations.calendar.expansion import StoredEvent, components, expand_all
from brody_agents.integrations.mail.base import Address, Attachment
from brody_agents.items import ContactItem, DocumentItem, MailHead, MailItem, TaskItem
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.statements import among, table
from brody_agents.ledger.tables import CalendarEvent, Contact, Cursor, Document, Email, Task

_E, _C, _T, _D, _P = (table(m) for m in (Email, CalendarEvent, Task, Document, Contact))
_HEAD = (
    "id", "email_account_id", "external_id", "version", "message_id", "subject", "sender", "recipients", "timestamp",
    "head", "folder", "thread_id", "category", "urgency", "needs_reply", "reasons", "reply_state", "waiting_on",
    "run_id",
)  # fmt: skip
"""The columns of a mail's head in the order of :func:`_head`."""
_HEAD_COLUMNS = [_E.c[name] for name in _HEAD]


@dataclass(slots=True)
class Reading:
    """Whose items are read, in which zone, and what was learnt of where they come from."""

    ledger: Ledger
    user_id: str
    zone: ZoneInfo
    accounts: Collection[str] | None = None
    """The accounts of the run; ``None`` for all."""
    seen: list[Provenance] = field(default_factory=list)
    cache: dict[str, Any] = field(default_factory=dict)
    """Kept by the caller between handlers, and cleared when an account was read."""

    def open(self, sealed: bytes | None) -> Any:
        """Open a sealed value of the user."""
        return self.ledger.vault.open(self.user_id, sealed)

    def saw(self, *sources: str, origin: Origin = Origin.UNTRUSTED) -> None:
        """Note what was read."""
        self.seen.append(Provenance(origin=origin, sources=sources))

    async def rows(self, query: Any) -> list[Any]:
        """Return the rows of a query."""
        async with self.ledger.read() as tx:
            return list((await tx.execute(query)).mappings())

    async def tuples(self, query: Any) -> Sequence[Any]:
        """Return the rows of a query as tuples: half the time of mappings, which counts where there are many."""
        async with self.ledger.read() as tx:
            found: Sequence[Any] = (await tx.execute(query)).all()
            return found

    def mine(self, t: Any, *, readable: bool = True) -> list[Any]:
        """Return the conditions that keep to the user's items of the run's accounts that are still there."""
        account = t.c.email_account_id if t is _E else t.c.account
        own = [t.c.user_id == self.user_id, t.c.removed.is_(False)]
        if readable:
            own.append(t.c.problem == "")
        return own if self.accounts is None else [*own, account.in_(sorted(self.accounts))]

    async def account_keys(self, domain: str) -> list[str]:
        """Return the keys of the user's accounts of a domain, in the order in which they were given."""
        c = table(Cursor).c
        query = select(c.account).where(c.user_id == self.user_id, c.domain == domain).order_by(c.account)
        found = [row["account"] for row in await self.rows(query)]
        if self.accounts is None:
            return found
        return [account for account in self.accounts if account in found]


def views(reading: Reading) -> Views:
    """Return the views of a reading."""
    return Views(
        mail=LedgerMail(reading),
        calendar=LedgerCalendar(reading),
        tasks=LedgerTasks(reading),
        files=LedgerFiles(reading),
        contacts=LedgerContacts(reading),
    )


class LedgerMail:
    """Read the user's mail."""

    def __init__(self, reading: Reading) -> None:
        self._r = reading

    async def own_addresses(self) -> frozenset[str]:
        """Return the user's own addresses: those of sent mail, else the one that most mail was delivered to."""
        if "own_addresses" not in self._r.cache:
            rows = await self._r.tuples(select(_E.c.sender, _E.c.head).where(*self._r.mine(_E)))
            self._r.saw("mail")
            self._r.cache["own_addresses"] = _own_addresses(rows)
        found: frozenset[str] = self._r.cache["own_addresses"]
        return found

    async def heads(self, since: datetime | None = None) -> list[MailHead]:
        """Return all mails without their bodies, oldest first."""
        query = select(*_HEAD_COLUMNS).where(*self._r.mine(_E)).order_by(_E.c.timestamp, _E.c.id)
        if since is not None:
            query = query.where(_E.c.timestamp >= since)
        rows = await self._r.tuples(query)
        self._r.saw("mail")
        return [MailHead(**_head(self._r, row)) for row in rows]

    async def get(self, ids: Sequence[str]) -> list[MailItem]:
        """Return the mails with these ids, in that order."""
        mine = (_E.c.user_id == self._r.user_id, _E.c.problem == "")
        async with self._r.ledger.read() as tx:
            chosen = select(*_HEAD_COLUMNS, _E.c.body).where(*mine, among(tx, _E.c.id, ids))
            rows = (await tx.execute(chosen)).all()
        found = {row[0]: _mail(self._r, row[:-1], row[-1]) for row in rows}
        self._r.saw(*found)
        return [found[i] for i in ids if i in found]


def _own_addresses(rows: Sequence[tuple[str, Any]]) -> frozenset[str]:
    """Find the user's own addresses by (sender, head) of all mail."""
    heads = [(sender, head or {}) for sender, head in rows]
    sent = {sender for sender, head in heads if "sent" in head.get("flags", ()) and sender}
    if sent:
        return frozenset(sent)
    signals = (head.get("signals", {}) for _, head in heads)
    delivered = Counter(
        address.strip().lower()
        for s in signals
        for address in (s.get("delivered-to") or s.get("x-original-to") or "").splitlines()[:1]
        if "@" in address
    )
    return frozenset(address for address, n in delivered.items() if n >= max(2, len(heads) // 4))


def _head(reading: Reading, row: Sequence[Any]) -> dict[str, Any]:
    mail_id, account, key, version, message_id, subject, sender, recipients, received_at, head, *rest = row
    folder, thread_id, category, urgency, needs_reply, reasons, reply_state, waiting_on, run_id = rest
    head, recipients = head or {}, recipients or {}
    return {
        "id": mail_id,
        "account": account,
        "key": key,
        "version": version,
        "message_id": message_id,
        "subject": subject,
        "sender": Address(sender, head.get("sender_name", "")),
        "to": _addresses(recipients.get("to")),
        "cc": _addresses(recipients.get("cc")),
        "reply_to": _addresses(head.get("reply_to")),
        "received_at": received_at,
        "in_reply_to": head.get("in_reply_to", ""),
        "references": tuple(head.get("references", ())),
        "signals": head.get("signals", {}),
        "folder": folder,
        "flags": frozenset(head.get("flags", ())),
        "thread_id": thread_id,
        "category": category or "",
        "urgency": urgency or "",
        "needs_reply": needs_reply,
        "reasons": tuple(reading.open(reasons) or ()),
        "reply_state": reply_state,
        "waiting_on": tuple(waiting_on or ()),
        "run_id": run_id,
    }


def _mail(reading: Reading, head: Sequence[Any], sealed: bytes) -> MailItem:
    body = reading.open(sealed)
    return MailItem(
        **_head(reading, head),
        text=body["text"],
        reply=body["reply"],
        html_hidden=body["html_hidden"],
        invite=body["invite"],
        json_ld=tuple(body["json_ld"]),
        attachments=tuple(Attachment(**a) for a in body["attachments"]),
    )


def _addresses(pairs: Any) -> tuple[Address, ...]:
    return tuple(Address(address, name) for address, name in pairs or ())


class LedgerCalendar:
    """Read the user's calendars."""

    def __init__(self, reading: Reading) -> None:
        self._r = reading

    async def accounts(self) -> list[str]:
        """Return the account keys of the user's calendars."""
        return await self._r.account_keys("calendar")

    async def events(self, start: datetime, end: datetime) -> list[Event]:
        """Return the occurrences that overlap [start, end), by start."""
        day = timedelta(days=2)  # floating and all-day times lie within two days of any zone's
        near = (_C.c.start_time < end + day) & or_(_C.c.end_time.is_(None), _C.c.end_time > start - day)
        query = select(_C).where(*self._r.mine(_C), or_(_C.c.recurs, _C.c.start_time.is_(None), near))
        return self._expanded(await self._r.rows(query), start, end)

    async def find(self, uid: str) -> list[Event]:
        """Return the single event, or the master and the exceptions of a series, with a UID."""
        rows = await self._r.rows(select(_C).where(*self._r.mine(_C), _C.c.external_id == uid))
        self._r.saw(*(row["id"] for row in rows))
        return [event for row in rows for event in components(self._stored(row), self._r.zone)]

    def _expanded(self, rows: Sequence[Any], start: datetime, end: datetime) -> list[Event]:
        self._r.saw(*(row["id"] for row in rows))
        return expand_all(map(self._stored, rows), start, end, self._r.zone).events

    def _stored(self, row: Any) -> StoredEvent:
        data = self._r.open(row["data"])
        return StoredEvent(row["account"], row["external_id"], row["version"], data, row["calendar"])


class LedgerTasks:
    """Read the user's tasks."""

    def __init__(self, reading: Reading) -> None:
        self._r = reading

    async def open(self) -> list[TaskItem]:
        """Return the tasks that are pending or in progress, the oldest first."""
        return await self._tasks(_T.c.status.in_(("pending", "in_progress")))

    async def completed(self, since: datetime) -> list[TaskItem]:
        """Return the tasks completed since then."""
        return await self._tasks(_T.c.status == "completed", _T.c.completed_at >= since)

    async def _tasks(self, *conditions: Any) -> list[TaskItem]:
        order = (_T.c.created_at, _T.c.id)
        mine = (_T.c.user_id == self._r.user_id, _T.c.removed.is_(False), _T.c.problem == "")
        rows = await self._r.rows(select(_T).where(*mine, *conditions).order_by(*order))
        self._r.saw(*(row["id"] for row in rows))
        return [self._task(row) for row in rows]

    def _task(self, row: Any) -> TaskItem:
        due = row["due_date"]
        return TaskItem(
            id=row["id"],
            title=row["title"],
            description=self._r.open(row["description"]) or "",
            priority=row["priority"],
            status=row["status"],
            due=due.astimezone(self._r.zone) if due else None,
            assignee=row["assignee"],
            root=row["root"],
            normalised=row["normalised"],
            sources=tuple(SourceRef.model_validate(s) for s in row["sources"] or ()),
            reasons=tuple(self._r.open(row["reasons"]) or ()),
            version=row["version"],
            created_at=row["created_at"],
            completed_at=row["completed_at"],
        )


class LedgerFiles:
    """Read the index of the user's files."""

    def __init__(self, reading: Reading) -> None:
        self._r = reading

    async def accounts(self) -> list[str]:
        """Return the account keys of the user's folders."""
        return await self._r.account_keys("files")

    async def all(self) -> list[DocumentItem]:
        """Return all documents without their text, by path."""
        columns = [c for c in _D.c if c.name != "body"]
        rows = await self._r.rows(select(*columns).where(*self._r.mine(_D, readable=False)).order_by(_D.c.external_id))
        self._r.saw("files")
        return [self._document(row, "") for row in rows]

    async def get(self, ids: Sequence[str]) -> list[DocumentItem]:
        """Return the documents with these ids and their text, in that order."""
        rows = await self._r.rows(select(_D).where(*self._r.mine(_D, readable=False), _D.c.id.in_(ids)))
        found = {row["id"]: self._document(row, self._r.open(row["body"]) or "") for row in rows}
        self._r.saw(*found)
        return [found[i] for i in ids if i in found]

    def _document(self, row: Any, text: str) -> DocumentItem:
        names = ("id", "account", "version", "name", "media_type", "size", "title", "problem")
        modified = row["modified"] or datetime.fromtimestamp(0, self._r.zone)
        values = {name: row[name] for name in names}
        return DocumentItem(**values, key=row["external_id"], modified=modified, text=text)


class LedgerContacts:
    """Read the user's address book."""

    def __init__(self, reading: Reading) -> None:
        self._r = reading

    async def all(self) -> list[ContactItem]:
        """Return all cards, by name."""
        if "contacts" not in self._r.cache:
            rows = await self._r.rows(select(_P).where(*self._r.mine(_P)).order_by(_P.c.name, _P.c.id))
            self._r.cache["contacts"] = [_contact(row) for row in rows]
        self._r.saw("contacts", origin=Origin.DIRECTORY)
        cards: list[ContactItem] = self._r.cache["contacts"]
        return cards

    async def find(self, address: str) -> ContactItem | None:
        """Return the card with this mail address."""
        wanted = address.lower()
        return next((card for card in await self.all() if wanted in card.addresses), None)


def _contact(row: Any) -> ContactItem:
    return ContactItem(
        id=row["id"],
        account=row["account"],
        name=row["name"],
        addresses=tuple(row["addresses"] or ()),
        organisation=row["organisation"],
        title=row["title"],
    )
