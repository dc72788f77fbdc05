"""What rules have to know of the world: the calendar, the mails of a thread, versions and due dates.

Read in the settling's own transaction, and only what the proposals are about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel

from brody_agents.coordinator.conflicts.own_drafts import written_by_us
from brody_agents.integrations.calendar.base import Event
from brody_agents.integrations.calendar.expansion import StoredEvent, expand_all
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import CalendarEvent, Document, Email, Task
from brody_agents.ledger.vault import Vault

ZoneOf = Callable[[str | None], ZoneInfo]
"""Give the zone that a run works in, or the person's own for none; floating times are taken in it."""

_APART = timedelta(days=7)
"""Windows of a calendar that lie closer together than this are expanded as one."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail as rules see it."""

    id: str
    thread_id: str
    received_at: datetime
    flags: frozenset[str]
    ours: bool = False
    """Whether it is a draft as the executor wrote it."""


@dataclass(slots=True)
class World:
    """What is known; what is absent is not known to the ledger."""

    busy: defaultdict[tuple[str, str], list[Event]] = field(default_factory=lambda: defaultdict(list))
    """The occurrences that take a user's time, by (user, calendar account)."""
    mails: dict[tuple[str, str], Mail] = field(default_factory=dict)
    threads: defaultdict[tuple[str, str], list[Mail]] = field(default_factory=lambda: defaultdict(list))
    versions: dict[tuple[str, str], str] = field(default_factory=dict)
    due: dict[tuple[str, str], datetime] = field(default_factory=dict)
    """The due dates of open tasks, by (user, task)."""

    def thread(self, action: ActionRecord) -> list[Mail]:
        """Return the mails of the thread that an action writes in."""
        mail = self.mails.get((action.user_id, str(action.arguments.get("email_id"))))
        thread = action.arguments.get("thread_id") or (mail.thread_id if mail else "")
        return self.threads.get((action.user_id, str(thread)), [])


async def world_around(tx: AsyncConnection, vault: Vault, proposals: Sequence[ActionRecord], zone_of: ZoneOf) -> World:
    """Read what the proposals are about."""
    world = World()
    await _read_busy(tx, vault, proposals, zone_of, world)
    await _read_mails(tx, vault, proposals, world)
    await _read_versions(tx, proposals, world)
    await _read_due(tx, proposals, world)
    return world


# -- the calendar ------------------------------------------------------------------------------------


async def _read_busy(
    tx: AsyncConnection, vault: Vault, proposals: Sequence[ActionRecord], zone_of: ZoneOf, world: World
) -> None:
    spans: defaultdict[tuple[str, str], list[tuple[datetime, datetime]]] = defaultdict(list)
    zones: dict[tuple[str, str], ZoneInfo] = {}
    for p in proposals:
        for claim in p.claims:
            if claim.mode == "interval" and claim.start and claim.end:
                of = (p.user_id, str(p.arguments.get("account", "")))
                spans[of].append((claim.start, claim.end))
                zones.setdefault(of, zone_of(p.run_id))
    for (user_id, account), wanted in spans.items():
        zone = zones[user_id, account]
        for start, end in _windows(wanted):
            found = await busy_between(tx, vault, user_id, start, end, zone, account=account)
            world.busy[user_id, account] += found


def _windows(spans: Iterable[tuple[datetime, datetime]]) -> Iterator[tuple[datetime, datetime]]:
    """Join spans that are near each other."""
    ordered = sorted(spans)
    start, end = ordered[0]
    for begins, ends in ordered[1:]:
        if begins > end + _APART:
            yield start, end
            start = begins
        end = max(end, ends)
    yield start, end


async def busy_between(
    tx: AsyncConnection,
    vault: Vault,
    user_id: str,
    start: datetime,
    end: datetime,
    zone: ZoneInfo,
    *,
    account: str | None = None,
) -> list[Event]:
    """Return the timed occurrences in [start, end) that take the user's time, of one calendar or of all."""
    c, day = table(CalendarEvent).c, timedelta(days=2)  # floating times lie within two days of any zone's
    near = (c.start_time < end + day) & or_(c.end_time.is_(None), c.end_time > start - day)
    mine = [c.user_id == user_id, c.removed.is_(False), c.problem == ""]
    mine += [c.account == account] if account is not None else []
    columns = (c.account, c.external_id, c.version, c.data, c.calendar)
    query = select(*columns).where(*mine, or_(c.recurs, c.start_time.is_(None), near)).order_by(c.id)
    rows = list(await tx.execute(query))
    stored = (StoredEvent(r.account, r.external_id, r.version, vault.open(user_id, r.data), r.calendar) for r in rows)
    return [e for e in expand_all(stored, start, end, zone).events if e.busy and not e.all_day and e.start < e.end]


# -- mails, versions, due dates ------------------------------------------------------------------------


async def _read_mails(tx: AsyncConnection, vault: Vault, proposals: Sequence[ActionRecord], world: World) -> None:
    mails = [p for p in proposals if p.kind.startswith("mail.")]
    ids = {str(i) for p in mails if (i := p.arguments.get("email_id"))}
    threads = {str(i) for p in mails if (i := p.arguments.get("thread_id"))}
    e = table(Email).c
    if not ids and not threads:
        return
    users = {p.user_id for p in mails}
    for user_id, mail in await _mails(tx, vault, users, e.id.in_(ids)):
        world.mails[user_id, mail.id] = mail
        threads |= {mail.thread_id} - {""}
    for user_id, mail in await _mails(tx, vault, users, e.thread_id.in_(threads)):
        world.threads[user_id, mail.thread_id].append(mail)
        world.mails[user_id, mail.id] = mail


async def _mails(tx: AsyncConnection, vault: Vault, users: set[str], condition: Any) -> list[tuple[str, Mail]]:
    e = table(Email).c
    columns = (e.user_id, e.id, e.thread_id, e.timestamp, e.head, e.message_id, e.external_id)
    query = select(*columns).where(e.user_id.in_(users), e.removed.is_(False), condition).order_by(e.timestamp, e.id)
    rows = list(await tx.execute(query))
    ours = await written_by_us(tx, vault, rows)
    return [(row.user_id, _mail(row, (row.user_id, row.id) in ours)) for row in rows]


def _mail(row: Any, ours: bool) -> Mail:
    return Mail(row.id, row.thread_id, row.timestamp, frozenset((row.head or {}).get("flags", ())), ours)


ITEMS: dict[str, tuple[type[SQLModel], str]] = {
    "mail": (Email, "email_id"),
    "calendar": (CalendarEvent, "event_id"),
    "file": (Document, "document_id"),
}
"""Where items of a domain are kept, and the argument that names one; the version is what was read of it."""


async def _read_versions(tx: AsyncConnection, proposals: Sequence[ActionRecord], world: World) -> None:
    versioned = [p for p in proposals if p.arguments.get("version") is not None]
    for domain, (model, argument) in (ITEMS | {"task": (Task, "task_id")}).items():
        wanted = {(p.user_id, str(p.arguments.get(argument))) for p in versioned if p.kind.startswith(f"{domain}.")}
        if wanted:
            t = table(model).c
            ids, users = {i for _, i in wanted}, {u for u, _ in wanted}
            query = select(t.user_id, t.id, t.version).where(t.id.in_(ids), t.user_id.in_(users), t.removed.is_(False))
            world.versions |= {(row.user_id, row.id): str(row.version) for row in await tx.execute(query)}


async def _read_due(tx: AsyncConnection, proposals: Sequence[ActionRecord], world: World) -> None:
    ids = {str(i) for p in proposals if p.kind == "calendar.create" and (i := p.arguments.get("task_id"))}
    if ids:
        t = table(Task).c
        open_ones = (t.id.in_(ids), t.status.in_(("pending", "in_progress")), t.due_date.is_not(None))
        for row in await tx.execute(select(t.user_id, t.id, t.due_date).where(*open_ones)):
            world.due[row.user_id, row.id] = row.due_date
