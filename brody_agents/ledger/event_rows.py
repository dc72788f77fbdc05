"""What effects on calendars need of the ledger: which event an id names, whose addresses, and the row after a write.

A row that an effect writes is marked as unread. So the event is there at once, for whoever asks what is busy, and the
next read of its account takes it for new all the same, and tells the agents of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select

from brody_agents.communication.message_protocol import stable_id
from brody_agents.integrations.calendar.base import Event, RawEvent
from brody_agents.integrations.calendar.expansion import StoredEvent, bounds, components, expand
from brody_agents.ledger import items
from brody_agents.ledger.items import EventSummary, Owner
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import CalendarEvent
from brody_agents.ledger.views import LedgerMail, Reading

_UTC = ZoneInfo("UTC")
_REACH = timedelta(days=400)
"""How far around now, and twice as far from its start, a series is searched for an occurrence by its id alone."""
_C = table(CalendarEvent).c


@dataclass(frozen=True, slots=True)
class Place:
    """Where an event lies: its account, UID and version as last read, and which occurrence is meant."""

    account: str
    uid: str
    version: str
    recurrence: str = ""


async def by_uid(ledger: Ledger, user_id: str, account: str, uid: str) -> Place | None:
    """Return an event of an account."""
    rows = await _rows(ledger, user_id, _C.account == account, _C.external_id == uid)
    return next((Place(r.account, r.external_id, r.version) for r in rows), None)


async def by_id(
    ledger: Ledger, user_id: str, account: str, event_id: str, recurrence: str | None = None
) -> Place | None:
    """Return what an id names: an event, a series, or one occurrence of a series.

    ``recurrence`` is one of the series' that ``event_id`` names, or that of the occurrence that it names. Without it
    an occurrence is looked for 400 days around now, and in the first 800 days of its series.
    """
    rows = await _rows(ledger, user_id, _C.account == account)
    for r in rows:
        place = Place(r.account, r.external_id, r.version, recurrence or "")
        if event_id in (r.id, stable_id(r.account, r.external_id, recurrence or "")):
            return place
    stored = [_stored(ledger, user_id, r) for r in rows]
    series = [(raw, r) for raw, r in zip(stored, rows, strict=True) if r.recurs or "RECURRENCE-ID" in raw.data]
    return await asyncio.to_thread(_searched, series, event_id)


def _stored(ledger: Ledger, user_id: str, row: Any) -> StoredEvent:
    data = ledger.vault.open(user_id, row.data) or ""
    return StoredEvent(row.account, row.external_id, row.version, data, row.calendar)


def _searched(series: Sequence[tuple[StoredEvent, Any]], event_id: str) -> Place | None:
    for raw, row in series:
        for event in _occurrences(raw, row.start_time if row.recurs else None):
            if event.id == event_id:
                return Place(raw.account, raw.key, raw.version, event.recurrence_id)
    return None


def _occurrences(raw: StoredEvent, start: datetime | None) -> Iterator[Event]:
    """Yield the components, and what a series that begins at ``start`` gives in reach."""
    yield from components(raw, _UTC)
    if start is not None and start.year < 9000:  # what never comes cannot be searched
        for middle in (datetime.now(UTC), start + _REACH):
            yield from expand(raw, middle - _REACH, middle + _REACH, _UTC, cancelled=True)


async def _rows(ledger: Ledger, user_id: str, *which: Any) -> Sequence[Any]:
    columns = (_C.id, _C.account, _C.external_id, _C.version, _C.data, _C.calendar, _C.recurs, _C.start_time)
    mine = (_C.user_id == user_id, _C.removed.is_(False), _C.problem == "", *which)
    async with ledger.read() as tx:
        return (await tx.execute(select(*columns).where(*mine).order_by(_C.id))).all()


# -- after a write -------------------------------------------------------------------------------------


async def written(ledger: Ledger, user_id: str, account: str, event: RawEvent) -> None:
    """Note an event as it was just written; raise ``ItemUnreadable``."""
    raw = StoredEvent(account, event.key, event.version, event.data, event.calendar)
    span = bounds(raw, _UTC)
    summary = EventSummary(components(raw, _UTC)[0].title, span.start, span.end, span.recurs)
    async with ledger.write() as tx:
        await items.write_events(tx, ledger.vault, _owner(user_id, account), [(event, summary)], unread=True)


async def removed(ledger: Ledger, user_id: str, account: str, uid: str) -> None:
    """Note that an event was just removed."""
    async with ledger.write() as tx:
        await items.remove(tx, _owner(user_id, account), "calendar", [uid])


def _owner(user_id: str, account: str) -> Owner:
    return Owner(user_id, account, None, datetime.now(UTC))


# -- people and invitations ----------------------------------------------------------------------------


async def own_addresses(ledger: Ledger, user_id: str) -> frozenset[str]:
    """Return the user's own addresses, see ``MailView.own_addresses``."""
    return await LedgerMail(Reading(ledger, user_id, _UTC)).own_addresses()


async def invitation(ledger: Ledger, user_id: str, email_id: str | None) -> str:
    """Return the text/calendar part of a mail, empty if there is none."""
    found = await LedgerMail(Reading(ledger, user_id, _UTC)).get([email_id] if email_id else [])
    return next((mail.invite for mail in found), "")
