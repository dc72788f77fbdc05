"""Occurrences of stored events in a window (RFC 5545), and what an invitation says (RFC 5546).

Pure functions of their arguments, made for a process pool. The recurrence set is worked out by
``recurring_ical_events`` on the naive clock of each series, so that a weekly ten o'clock stays ten o'clock when the
clocks change; zones come in only where a time becomes an instant. An end given as DTEND keeps to the clock too, the
hours of a DURATION are exact.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Literal, Protocol
from zoneinfo import ZoneInfo

from brody_agents.communication.message_protocol import stable_id
from brody_agents.errors import ItemUnreadable
from brody_agents.integrations.calendar.base import Attendee, Event
from brody_agents.integrations.calendar.series import occurrences
from brody_agents.integrations.calendar.vevent import Vevent, read

MAX_OCCURRENCES = 1_000
"""How many occurrences of one series are given for one window; what is cut off is reported."""
_METHODS = ("REQUEST", "CANCEL", "REPLY", "COUNTER", "PUBLISH")


class Stored(Protocol):
    """An event as an account holds it, with the account: a row of the ledger, or :class:`StoredEvent`."""

    @property
    def account(self) -> str:
        """Return the account's key."""

    @property
    def key(self) -> str:
        """Return the UID."""

    @property
    def version(self) -> str:
        """Return the ETag."""

    @property
    def data(self) -> str:
        """Return the VCALENDAR with all components of the UID."""

    @property
    def calendar(self) -> str:
        """Return the calendar's name."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A ``RawEvent`` with its account, as it goes to another process."""

    account: str
    key: str
    version: str
    data: str
    calendar: str = ""


@dataclass(frozen=True, slots=True)
class Expansion:
    """The occurrences, by start; for each event that could not be taken as it is, (UID, what is wrong)."""

    events: list[Event] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Bounds:
    """When an event begins and ends at all; an ``end`` of ``None`` may be never."""

    start: datetime
    end: datetime | None
    recurs: bool


def expand(raw: Stored, start: datetime, end: datetime, zone: ZoneInfo, *, cancelled: bool = False) -> list[Event]:
    """Return the occurrences of one event that overlap [start, end), by start.

    Cancelled ones are left out unless asked for. Raises ``ItemUnreadable``.
    """
    return _expand(raw, start, end, zone, cancelled).events


def expand_all(
    raws: Iterable[Stored], start: datetime, end: datetime, zone: ZoneInfo, *, cancelled: bool = False
) -> Expansion:
    """Return the occurrences of all events that overlap [start, end); what cannot be read becomes a problem."""
    whole = Expansion()
    for raw in raws:
        try:
            part = _expand(raw, start, end, zone, cancelled)
        except ItemUnreadable as error:
            whole.problems.append((raw.key, str(error)))
            continue
        whole.events.extend(part.events)
        whole.problems.extend(part.problems)
    whole.events.sort(key=_by_start)
    return whole


def _expand(raw: Stored, start: datetime, end: datetime, zone: ZoneInfo, cancelled: bool) -> Expansion:
    parts, _ = read(raw.data)
    problems = [problem for part in parts for problem in part.problems]
    found = list(islice(occurrences(parts, start, end, zone, problems), MAX_OCCURRENCES + 1))
    if len(found) > MAX_OCCURRENCES:
        problems.append(f"it recurs more than {MAX_OCCURRENCES} times in this window; the rest is left out")
    events = [_event(raw, o.part, o.start, o.end, o.recurrence) for o in found[:MAX_OCCURRENCES]]
    kept = [event for event in events if cancelled or event.status != "cancelled"]
    return Expansion(sorted(kept, key=_by_start), [(raw.key, problem) for problem in problems])


def _by_start(event: Event) -> tuple[datetime, datetime, str]:
    return event.start, event.end, event.id


def components(raw: Stored, zone: ZoneInfo) -> list[Event]:
    """Return the single event, or the master and the exceptions of a series, as they stand in the calendar."""
    parts, _ = read(raw.data)
    return [_event(raw, part, *part.span(zone), part.recurrence.name if part.recurrence else "") for part in parts]


def bounds(raw: Stored, zone: ZoneInfo) -> Bounds:
    """Return when an event begins and ends, for the choice of what to expand. Raises ``ItemUnreadable``."""
    parts, _ = read(raw.data)
    spans = [part.span(zone) for part in parts]
    recurs = any(part.recurs for part in parts)
    return Bounds(min(s for s, _ in spans), None if recurs else max(e for _, e in spans), recurs)


def check(raw: Stored) -> None:
    """Raise ``ItemUnreadable`` if an event could not be expanded."""
    parts, _ = read(raw.data)
    for part in parts:
        if part.recurs:
            start = part.start.at(UTC)
            next(occurrences(parts, start, start + timedelta(days=1), ZoneInfo("UTC"), []), None)


def _event(raw: Stored, part: Vevent, start: datetime, end: datetime, recurrence: str) -> Event:
    return Event(
        id=stable_id(raw.account, raw.key, *([recurrence] if recurrence else [])),
        account=raw.account,
        uid=raw.key,
        recurrence_id=recurrence,
        title=part.line("SUMMARY"),
        start=start,
        end=end,
        all_day=part.start.whole_day,
        calendar=raw.calendar,
        location=part.line("LOCATION"),
        description=part.text("DESCRIPTION"),
        organizer=part.organizer,
        attendees=part.attendees,
        status=part.status,
        busy=part.status != "cancelled" and part.text("TRANSP").upper() != "TRANSPARENT",
        sequence=part.number("SEQUENCE"),
        version=raw.version,
        categories=part.categories,
        priority=part.number("PRIORITY"),
    )


def own_status(
    event: Event, own_addresses: Collection[str]
) -> Literal["needs-action", "accepted", "declined", "tentative", "delegated"]:
    """Return the user's own answer; an event that does not ask the user counts as accepted."""
    own = {address.lower() for address in own_addresses}
    return next((a.status for a in event.attendees if a.address in own), "accepted")


# -- invitations ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Invite:
    """One VEVENT of an invitation, with the fields of ``MeetingRequest``; all of it is what the sender wrote."""

    uid: str
    method: Literal["REQUEST", "CANCEL", "REPLY", "COUNTER", "PUBLISH"]
    title: str
    start: datetime
    end: datetime
    all_day: bool = False
    location: str = ""
    organizer: str = ""
    attendees: tuple[Attendee, ...] = ()
    sequence: int = 0
    recurrence_id: str | None = None
    recurs: bool = False

    def fields(self) -> dict[str, Any]:
        """Return the arguments for ``MeetingRequest``, texts cut to what a payload may hold."""
        return {
            "uid": self.uid[:512],
            "method": self.method,
            "title": self.title[:2000],
            "start": self.start,
            "end": self.end,
            "all_day": self.all_day,
            "location": self.location[:2000],
            "organizer": self.organizer[:2000],
            "attendees": [attendee.address[:2000] for attendee in self.attendees],
            "sequence": self.sequence,
            "recurrence_id": self.recurrence_id,
        }


def parse_invite(text: str, zone: ZoneInfo) -> list[Invite]:
    """Return what a text/calendar part asks for; nothing if it is unreadable or another method.

    Floating times are taken in ``zone``. Without a METHOD it is a REQUEST if it has organizer and attendees, else
    a PUBLISH.
    """
    try:
        parts, method = read(text)
    except ItemUnreadable:
        return []
    return list(_invites(parts, method, zone))


def _invites(parts: Sequence[Vevent], method: str, zone: ZoneInfo) -> Iterator[Invite]:
    for part in parts:
        asks = "REQUEST" if part.organizer and part.attendees else "PUBLISH"
        kind = next((known for known in _METHODS if known == (method or asks)), None)
        if kind is None or not part.text("UID"):
            continue
        start, end = part.span(zone)
        yield Invite(
            uid=part.text("UID"),
            method="CANCEL" if part.status == "cancelled" and kind == "REQUEST" else kind,  # type: ignore[arg-type]
            title=part.line("SUMMARY"),
            start=start,
            end=end,
            all_day=part.start.whole_day,
            location=part.line("LOCATION"),
            organizer=part.organizer.address if part.organizer else "",
            attendees=part.attendees,
            sequence=part.number("SEQUENCE"),
            recurrence_id=part.recurrence.name if part.recurrence else None,
            recurs=part.recurs,
        )


def invite_occurrences(text: str, uid: str, start: datetime, end: datetime, zone: ZoneInfo) -> list[Event]:
    """Return when an invited series would take place in [start, end); nothing if it is unreadable."""
    try:
        parts, _ = read(text)
        raw = StoredEvent("", uid, "", text)
        mine = [part for part in parts if part.text("UID") == uid]
        return [_event(raw, o.part, o.start, o.end, o.recurrence) for o in occurrences(mine, start, end, zone, [])]
    except ItemUnreadable:
        return []
