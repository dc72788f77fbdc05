"""One VEVENT as it stands in a calendar: its times on their own clock, its people, its words.

All text is what others wrote and is never trusted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Literal, cast

from brody_agents.errors import ItemUnreadable
from brody_agents.integrations.calendar import ics_text
from brody_agents.integrations.calendar.base import Attendee
from brody_agents.integrations.calendar.rules import Rule, fault
from brody_agents.integrations.calendar.zones import Zones
from brody_agents.integrations.charsets import clean

DAY = timedelta(days=1)
_TIMES = ("DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "RECURRENCE-ID")
_ZONED = re.compile(r"^(?:DTSTART|DTEND|DUE|RDATE|EXDATE|RECURRENCE-ID);.*", re.IGNORECASE | re.MULTILINE)
_TZID = re.compile(r";TZID=", re.IGNORECASE)
_EMPTY = re.compile(r"^(?:EXDATE|RDATE|RRULE)(?:;[^:\n]*)?:[ \t]*\r?\n", re.IGNORECASE | re.MULTILINE)
_STATUS: dict[str, Literal["confirmed", "tentative", "cancelled"]] = {
    "TENTATIVE": "tentative",
    "CANCELLED": "cancelled",
    "CANCELED": "cancelled",
}
_ROLES = {"OPT-PARTICIPANT": "optional", "CHAIR": "chair", "NON-PARTICIPANT": "none"}
_PARTSTATS = ("accepted", "declined", "tentative", "delegated")
_FIRST, _LAST = datetime(2, 1, 1), datetime(9998, 12, 31)
"""Times outside of these are taken as these: near the ends of the calendar no zone can be converted."""


@dataclass(frozen=True, slots=True)
class When:
    """A date or a time on some clock; a date and a floating time have no ``zone`` of their own."""

    wall: datetime
    zone: tzinfo | None = None
    whole_day: bool = False

    def at(self, zone: tzinfo) -> datetime:
        """Return the instant, in ``zone``; a time that the clock skips is read by the offset before the gap."""
        return self.wall.replace(tzinfo=self.zone or zone).astimezone(UTC).astimezone(zone)

    def on_clock_of(self, other: When) -> datetime:
        """Return what the clock of ``other`` shows."""
        if self.zone is None or other.zone is None or self.zone is other.zone:
            return self.wall
        return self.at(other.zone).replace(tzinfo=None, fold=0)

    def moved_to(self, wall: datetime) -> When:
        """Return another time on the same clock."""
        return When(wall, self.zone, self.whole_day)

    @property
    def name(self) -> str:
        """Return the canonical RECURRENCE-ID: a date, a floating time, or UTC."""
        if self.whole_day:
            return f"{self.wall:%Y%m%d}"
        return f"{self.at(UTC):%Y%m%dT%H%M%SZ}" if self.zone else f"{self.wall:%Y%m%dT%H%M%S}"


@dataclass(frozen=True, slots=True)
class Vevent:
    """A master, an exception (``recurrence``), or an exception for all that follows too (``and_future``)."""

    start: When
    end: When | None
    duration: timedelta | None
    recurrence: When | None
    and_future: bool
    rules: tuple[Rule, ...]
    added: tuple[When | tuple[When, When | timedelta], ...]
    removed: tuple[When, ...]
    component: Any
    problems: tuple[str, ...] = ()

    @property
    def recurs(self) -> bool:
        """Say whether it is the master of a series."""
        return self.recurrence is None and bool(self.rules or self.added)

    @property
    def length(self) -> timedelta:
        """Return how long it takes on its own clock, which is how long each occurrence shows on it."""
        if self.end is not None:
            length = self.end.on_clock_of(self.start) - self.start.wall
        else:
            length = self.duration or timedelta()
        length = min(length, _LAST - self.start.wall)
        if self.start.whole_day:
            return max(DAY, -(-length // DAY) * DAY)  # whole days, rounded up
        return max(length, timedelta())

    def ends(self, start: When, length: timedelta, zone: tzinfo) -> datetime:
        """Return where an occurrence ends: an end keeps to the clock, the hours of a DURATION are exact."""
        if self.duration is None or self.end is not None or start.whole_day or length != self.length:
            return start.moved_to(start.wall + length).at(zone)
        days = start.moved_to(start.wall + length.days * DAY).at(zone).astimezone(UTC)
        return (days + (length - length.days * DAY)).astimezone(zone)

    def span(self, zone: tzinfo) -> tuple[datetime, datetime]:
        """Return start and end of the component itself."""
        start = self.start.at(zone)
        if self.end is None or self.start.whole_day:
            return start, self.ends(self.start, self.length, zone)
        return start, max(start, self.end.at(zone))

    # -- words and people ------------------------------------------------------------------------------

    def text(self, name: str) -> str:
        """Return a text property, else an empty text."""
        return clean(str(_first(self.component.get(name, "")))).strip()

    def line(self, name: str) -> str:
        """Return a text property on one line."""
        return " ".join(self.text(name).split())

    def number(self, name: str) -> int:
        """Return a number, else 0."""
        found = re.match(r"-?\d{1,9}", self.text(name))
        return int(found.group()) if found else 0

    @property
    def status(self) -> Literal["confirmed", "tentative", "cancelled"]:
        """Return the STATUS."""
        return _STATUS.get(self.text("STATUS").upper(), "confirmed")

    @property
    def categories(self) -> tuple[str, ...]:
        """Return all CATEGORIES."""
        return tuple(str(c) for value in _listed(self.component.get("CATEGORIES")) for c in getattr(value, "cats", ()))

    @property
    def organizer(self) -> Attendee | None:
        """Return the ORGANIZER."""
        return next(iter(people(_listed(self.component.get("ORGANIZER"))[:1])), None)

    @property
    def attendees(self) -> tuple[Attendee, ...]:
        """Return the ATTENDEEs; rooms and other resources have the role ``none``."""
        return tuple(people(_listed(self.component.get("ATTENDEE"))))


def people(values: Iterable[Any]) -> Iterable[Attendee]:
    """Yield the persons that calendar addresses name; those without a mail address are left out."""
    for value in values:
        parameters = getattr(value, "params", {})
        address = re.sub(r"^mailto:", "", str(value).strip(), flags=re.IGNORECASE)
        address = address if "@" in address else str(parameters.get("EMAIL", ""))
        if address:
            yield _attendee(address.strip().lower(), parameters)


def _attendee(address: str, parameters: Any) -> Attendee:
    status = str(parameters.get("PARTSTAT", "")).lower()
    thing = str(parameters.get("CUTYPE", "")).upper() in ("ROOM", "RESOURCE")
    return Attendee(
        address=address,
        name=" ".join(clean(str(parameters.get("CN", ""))).split()),
        status=cast(Any, status if status in _PARTSTATS else "needs-action"),
        role=cast(Any, "none" if thing else _ROLES.get(str(parameters.get("ROLE", "")).upper(), "required")),
    )


# -- reading -------------------------------------------------------------------------------------------


def read(data: str) -> tuple[list[Vevent], str]:
    """Return the VEVENTs of an iCalendar text, and its METHOD; raise ``ItemUnreadable``."""
    raw = data.encode("utf-8", "surrogatepass")
    sheets = ics_text.cut(raw)
    events, method = [], ""
    for sheet in sheets:
        blocks = [block for block in sheet.blocks if block.kind == "VEVENT"]
        if not all(block.closed for block in blocks):
            raise ItemUnreadable("An event is cut off.", "Export the calendar again.")
        zones = Zones(_definitions(raw, sheet))
        method = method or sheet.property("METHOD").upper()
        events += [_vevent(component, zones) for component in _components(raw, blocks)]
    if not events:
        raise ItemUnreadable("There is no event in it.", "Export the calendar again.")
    return events, method


def _definitions(raw: bytes, sheet: ics_text.Sheet) -> dict[str, str]:
    texts = [ics_text.text(ics_text.unfold(raw[b.start : b.end])) for b in sheet.blocks if b.kind == "VTIMEZONE"]
    named = ((re.search(r"^TZID(?:;[^:\n]*)?:(.*?)\s*$", t, re.MULTILINE | re.IGNORECASE), t) for t in texts)
    return {found.group(1): definition for found, definition in named if found}


def _components(raw: bytes, blocks: Iterable[ics_text.Block]) -> list[Any]:
    """Parse VEVENTs; icalendar does not see their TZIDs, because it would keep zones for the whole process."""
    from icalendar import Event

    text = ics_text.text(ics_text.unfold(b"".join(raw[b.start : b.end] for b in blocks)))
    try:
        text = _ZONED.sub(lambda line: _TZID.sub(";X-TZID=", line.group()), _EMPTY.sub("", text))
        return list(Event.from_ical(text, multiple=True)) if text else []
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ItemUnreadable(f"The event is no iCalendar: {error}.", "Export the calendar again.") from error


def _vevent(component: Any, zones: Zones) -> Vevent:
    for name, reason in component.errors:
        if name in _TIMES:
            raise ItemUnreadable(f"{name} cannot be read: {reason}.", "Mend the event in its calendar.")
    recurrence = _first(component.get("RECURRENCE-ID"))
    when = _when(recurrence, zones) if recurrence is not None else None
    start = _first(component.get("DTSTART"))
    if start is None and when is None:
        raise ItemUnreadable("The event has no DTSTART.", "Mend the event in its calendar.")
    end, duration = _first(component.get("DTEND")), _first(component.get("DURATION"))
    begins = _when(start, zones) if start is not None else cast(When, when)
    ends = _when(end, zones) if end is not None else None
    if ends and not begins.whole_day and ends.on_clock_of(begins) < begins.wall:
        begins, ends = ends, begins  # some programs confuse the two
    return Vevent(
        start=begins,
        end=ends,
        duration=_length(duration) if duration is not None else None,
        recurrence=when,
        and_future=str(getattr(recurrence, "params", {}).get("RANGE", "")).upper() == "THISANDFUTURE",
        rules=tuple(_rule(rule) for rule in _listed(component.get("RRULE"))),
        added=tuple(_moments(component.get("RDATE"), zones)),
        removed=tuple(w for w in _moments(component.get("EXDATE"), zones) if isinstance(w, When)),
        component=component,
        problems=tuple(_strangers(component, zones)),
    )


def _length(prop: Any) -> timedelta:
    value = getattr(prop, "dt", None)
    if not isinstance(value, timedelta):
        raise ItemUnreadable("DURATION cannot be read: it is no length.", "Mend the event in its calendar.")
    return value


def _rule(rule: Any) -> Rule:
    parts = {str(name).upper(): values for name, values in rule.items()} if isinstance(rule, dict) else {}
    if reason := fault(parts):
        raise ItemUnreadable(f"RRULE cannot be read: {reason}.", "Mend the event in its calendar.")
    return parts


def _strangers(component: Any, zones: Zones) -> Iterable[str]:
    values = (_first(component.get(name)) for name in ("DTSTART", "DTEND", "RECURRENCE-ID"))
    names = {str(v.params["X-TZID"]) for v in values if v is not None and "X-TZID" in v.params}
    for name in sorted(names - {""}):
        if zones.get(name) is None:
            yield f"nobody knows the time zone {name!r}; its times are taken as local ones"


def _when(prop: Any, zones: Zones) -> When:
    return _moment(getattr(prop, "dt", None), prop.params, zones)


def _moments(value: Any, zones: Zones) -> Iterable[When | tuple[When, When | timedelta]]:
    for prop in _listed(value):
        for item in getattr(prop, "dts", ()):
            if isinstance(item.dt, tuple):
                start, end = item.dt
                until = end if isinstance(end, timedelta) else _moment(end, prop.params, zones)
                yield _moment(start, prop.params, zones), until
            else:
                yield _moment(item.dt, prop.params, zones)


def _moment(value: Any, parameters: Any, zones: Zones) -> When:
    if isinstance(value, datetime) and str(parameters.get("VALUE", "")).upper() != "DATE":
        tzid = str(parameters.get("X-TZID", ""))
        zone = UTC if value.tzinfo else zones.get(tzid) if tzid else None
        return When(_within(value.replace(tzinfo=None)), zone)
    if isinstance(value, date):
        return When(_within(datetime.combine(value, time())), whole_day=True)
    raise ItemUnreadable("A time of the event is neither a date nor a time.", "Mend the event in its calendar.")


def _within(value: datetime) -> datetime:
    return min(max(value, _FIRST), _LAST)


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value


def _listed(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list) else [value]
