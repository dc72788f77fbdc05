"""Calendar: the neutral form of an event and the protocol of a calendar account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, Protocol

from brody_agents.integrations.base import Provider


@dataclass(frozen=True, slots=True)
class RawEvent:
    """One event as an account holds it: all components of one UID (the series and its exceptions).

    ``key`` is the UID, ``data`` a VCALENDAR with that UID only and the VTIMEZONEs that it uses, ``calendar`` the
    name of the calendar (X-WR-CALNAME, else the file's name), ``path`` the resource that holds it.
    """

    key: str
    version: str
    data: str
    calendar: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Attendee:
    """Somebody at a meeting, with the PARTSTAT of RFC 5545 in lower case."""

    address: str
    name: str = ""
    status: Literal["needs-action", "accepted", "declined", "tentative", "delegated"] = "needs-action"
    role: Literal["required", "optional", "chair", "none"] = "required"


@dataclass(frozen=True, slots=True)
class Event:
    """One occurrence, expanded: ``start`` and ``end`` are aware and in the zone that was asked for.

    ``id`` is the UUIDv5 of (account, UID) for a single event and of (account, UID, RECURRENCE-ID) for an occurrence
    of a series. An all-day event runs from local midnight to local midnight and has ``all_day``. A floating time
    is taken in the zone that was asked for.
    """

    id: str
    account: str
    uid: str
    recurrence_id: str
    title: str
    start: datetime
    end: datetime
    all_day: bool = False
    calendar: str = ""
    location: str = ""
    description: str = ""
    organizer: Attendee | None = None
    attendees: tuple[Attendee, ...] = ()
    status: Literal["confirmed", "tentative", "cancelled"] = "confirmed"
    busy: bool = True
    """False for TRANSP:TRANSPARENT and for cancelled events."""
    sequence: int = 0
    version: str = ""
    categories: tuple[str, ...] = field(default=())
    priority: int = 0


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to be written."""

    uid: str
    title: str
    start: datetime | date
    end: datetime | date
    location: str = ""
    description: str = ""
    attendees: Sequence[str] = ()


class CalendarProvider(Provider[RawEvent], Protocol):
    """A calendar account. Writes carry the ETag that was read and raise ``Stale`` when it has changed."""

    async def fetch(self, uid: str) -> RawEvent:
        """Return one event with its exceptions, or raise ``NotFound``."""

    async def find(self, uid: str) -> RawEvent | None:
        """Say what became of a write whose outcome is unknown: the event as it is now, ``None`` if it is surely not."""

    async def put(self, event: RawEvent, version: str | None) -> str:
        """Store all components of a UID; ``version=None`` means that it must not exist yet. Return the new ETag."""

    async def delete(self, uid: str, version: str | None) -> None:
        """Remove all components of a UID."""
