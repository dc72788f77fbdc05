"""What can be done to an event as text: made, changed, called off, answered, opened to more people.

Pure functions from a VCALENDAR to a VCALENDAR. ``recurrence`` names one occurrence (its canonical RECURRENCE-ID), an
empty one the event or the whole series. DTSTAMP and LAST-MODIFIED follow every change; SEQUENCE grows where RFC 5546
(2.1.4) demands it, and only in the organizer's own copy: a guest's copy would otherwise outrank what the organizer
sends next.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time

from brody_agents.errors import InvalidArguments, NotInvited, ProviderError
from brody_agents.integrations.calendar.base import NewEvent
from brody_agents.integrations.calendar.event_text import Component, EventText, time_line
from brody_agents.integrations.calendar.ics_text import ContentLine
from brody_agents.integrations.calendar.lines import Lines, property_line, text_line, utc_line, with_parameter
from brody_agents.integrations.calendar.shifting import shift
from brody_agents.integrations.calendar.vevent import DAY

_HEAD = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Brody Agents//EN\r\n"
_TEXTS = {"title": "SUMMARY", "location": "LOCATION", "description": "DESCRIPTION"}
_ADDRESS = re.compile(r"[^\s@<>\"(),:;]+@[^\s@<>\"(),:;]+")


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be different; ``None`` stays."""

    title: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    location: str | None = None
    description: str | None = None


def made(event: NewEvent, own: Collection[str], now: datetime) -> str:
    """Return a new event: whole days for dates, else instants in UTC, which need no VTIMEZONE."""
    lines = Lines("BEGIN:VEVENT\r\nEND:VEVENT\r\n")
    for line in (property_line("UID", event.uid), utc_line("CREATED", now), *_times(event), "SEQUENCE:0"):
        lines.put(line)
    for name, value in (("SUMMARY", event.title), ("LOCATION", event.location), ("DESCRIPTION", event.description)):
        if value or name == "SUMMARY":
            lines.put(text_line(name, value if name == "DESCRIPTION" else " ".join(value.split())))
    _open(lines, event.attendees, own)
    _stamp(lines, now)
    return f"{_HEAD}{lines.text()}END:VCALENDAR\r\n"


def updated(data: str, recurrence: str, change: Change, own: Collection[str], now: datetime) -> str:
    """Return an event with a change; exceptions of a series that had the same words as the series follow it."""
    event = EventText(data)
    target = event.occurrence(recurrence) if recurrence else event.first
    touched = [target]
    for field, name in _TEXTS.items():
        if (value := getattr(change, field)) is not None:
            touched += _say(event, target, name, value if field == "description" else " ".join(value.split()))
    if change.start is not None or change.end is not None:
        moved = [target, *_move(event, target, change, whole=not recurrence)]
        for component in moved:
            _count(component, own)
        touched += moved
    for component in {id(c): c for c in touched}.values():
        _stamp(component.lines, now)
    return event.text()


def called_off(data: str, recurrence: str, own: Collection[str], now: datetime) -> str | None:
    """Return a series without one occurrence; ``None`` where nothing is left, and for a whole event."""
    if not recurrence:
        return None
    event = EventText(data)
    event.demand(recurrence)
    if (exception := event.exception(recurrence)) is not None:
        event.components.remove(exception)
    if not event.components:
        return None
    first = event.first
    if event.recurs:
        first.lines.add(time_line("EXDATE", first.start_line, first.form.start, event.wall(recurrence)))
        _count(first, own)
        _stamp(first.lines, now)
    return event.text()


def answered(data: str, recurrence: str, answer: str, own: Collection[str], now: datetime) -> str:
    """Return an event with the person's own PARTSTAT; raise ``NotInvited`` where no attendee is the person.

    What is declined takes no time any more (TRANSP). For a whole series the occurrences that were answered otherwise
    on their own keep that answer.
    """
    event = EventText(data)
    target = event.occurrence(recurrence) if recurrence else event.first
    before = own_answer(target.lines, own)
    if before is None:
        who = ", ".join(sorted(own)) or "none of your addresses is known"
        raise NotInvited(f"None of its attendees is you ({who}).")
    same = [c for c in event.exceptions if not recurrence and own_answer(c.lines, own) in (before, "NEEDS-ACTION")]
    for component in (target, *(c for c in same if c is not target)):
        _answer(component.lines, answer.upper(), own)
        _stamp(component.lines, now)
    return event.text()


def invited(data: str, recurrence: str, addresses: Sequence[str], own: Collection[str], now: datetime) -> str:
    """Return an event with more attendees, each once; only its organizer can do so."""
    event = EventText(data)
    if not _is_organizer(event.first.lines, own):
        raise ProviderError("Somebody else organizes it.", "Ask the organizer to invite them.")
    for component in [event.occurrence(recurrence)] if recurrence else event.components:
        _open(component.lines, addresses, own)
        _stamp(component.lines, now)
    return event.text()


def restored(earlier: str, latest: str, own: Collection[str], now: datetime) -> str:
    """Return the earlier text; where people were asked it counts as one more change, which replaces the latest."""
    event, then = EventText(earlier), EventText(latest)
    if not any(c.lines.all("ATTENDEE") for c in event.components) or not _is_organizer(event.first.lines, own):
        return earlier
    for component in event.components:
        number = max(c.lines.number("SEQUENCE") for c in then.components) + 1
        component.lines.put(property_line("SEQUENCE", str(number)))
        _stamp(component.lines, now)
    return event.text()


def sequence_of(data: str, recurrence: str = "") -> int:
    """Return the SEQUENCE of an event, or of one occurrence."""
    event = EventText(data)
    found = event.exception(recurrence) if recurrence else None
    return (found or event.first).lines.number("SEQUENCE")


def own_answer(lines: Lines, own: Collection[str]) -> str | None:
    """Return the PARTSTAT of the person, ``None`` if no attendee is the person."""
    mine = [line for line in lines.all("ATTENDEE") if address_of(line) in own]
    return mine[0].parameters.get("PARTSTAT", "NEEDS-ACTION").upper() if mine else None


def address_of(line: ContentLine) -> str:
    """Return the mail address of an ATTENDEE or ORGANIZER line in lower case; empty if it has none."""
    value = re.sub(r"^mailto:", "", line.value.strip(), flags=re.IGNORECASE)
    return (value if "@" in value else line.parameters.get("EMAIL", "")).strip().lower()


# -- parts of the above --------------------------------------------------------------------------------


def _times(event: NewEvent) -> list[str]:
    if isinstance(event.start, datetime) and isinstance(event.end, datetime):
        return [utc_line("DTSTART", event.start), utc_line("DTEND", event.end)]
    end = max(event.end, event.start + DAY)
    days = (("DTSTART", event.start), ("DTEND", end))
    return [property_line(name, f"{day:%Y%m%d}", {"VALUE": "DATE"}) for name, day in days]


def _stamp(lines: Lines, now: datetime) -> None:
    for name in ("DTSTAMP", "LAST-MODIFIED"):
        lines.put(utc_line(name, now))


def _count(component: Component, own: Collection[str]) -> None:
    if _is_organizer(component.lines, own):
        component.lines.put(property_line("SEQUENCE", str(component.lines.number("SEQUENCE") + 1)))


def _is_organizer(lines: Lines, own: Collection[str]) -> bool:
    organizer = lines.first("ORGANIZER")
    return organizer is None or address_of(organizer) in own


def _say(event: EventText, target: Component, name: str, value: str) -> list[Component]:
    """Set a text, and return the components that have followed."""
    old = target.lines.first(name)
    said = old.value if old else ""
    follows = [c for c in event.exceptions if target is event.master and _value(c, name) == said]
    for component in (target, *follows):
        if value or component.lines.first(name):
            component.lines.put(text_line(name, value))
    return follows


def _value(component: Component, name: str) -> str:
    line = component.lines.first(name)
    return line.value if line else ""


def _move(event: EventText, target: Component, change: Change, *, whole: bool) -> list[Component]:
    """Set the times; a series takes along what names its occurrences. Return what has followed."""
    if not (whole and event.recurs):
        target.set_times(change.start, change.end)
        return []
    old = target.form.start
    given = [moment.time() for moment in (change.start, change.end) if moment is not None]
    if old.zone is None and not (old.whole_day and all(hour == time() for hour in given)):
        raise ProviderError("Its times are on no clock that is known.", "Move the series in its calendar.")
    target.set_times(change.start, change.end)
    moved = target.start.astimezone(old.zone or UTC).replace(tzinfo=None) - old.wall
    return shift(event, moved) if moved else []


def _answer(lines: Lines, answer: str, own: Collection[str]) -> None:
    before = own_answer(lines, own)

    def say(line: ContentLine, text: str) -> str:
        return with_parameter(text, "PARTSTAT", answer) if address_of(line) in own else text

    lines.rewrite(("ATTENDEE",), say)
    if answer == "DECLINED":
        lines.put("TRANSP:TRANSPARENT")
    elif before == "DECLINED":
        lines.put("TRANSP:OPAQUE")


def _open(lines: Lines, addresses: Sequence[str], own: Collection[str]) -> None:
    """Add attendees; the person becomes the organizer where there is none and only one address can be meant."""
    there = {address_of(line) for line in lines.all("ATTENDEE")}
    for address in dict.fromkeys(addresses):
        if not _ADDRESS.fullmatch(address):
            raise InvalidArguments(f"{address!r} is no mail address.", "Write name@host.")
        if address.lower() not in there:
            there.add(address.lower())
            more = {"PARTSTAT": "NEEDS-ACTION", "ROLE": "REQ-PARTICIPANT", "RSVP": "TRUE"}
            lines.add(property_line("ATTENDEE", f"mailto:{address}", more))
    if addresses and lines.first("ORGANIZER") is None and len(own) == 1:
        lines.put(property_line("ORGANIZER", f"mailto:{next(iter(own))}"))
