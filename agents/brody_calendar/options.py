"""Ways out of an overlap, in words: three concrete ones for the person to choose from."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from brody_agents.communication.payloads import ConflictFound
from brody_agents.integrations.calendar.base import Event
from brody_calendar.day import Day, Overlap, Slice, minutes_of
from brody_calendar.occasion import is_movable, is_own, is_soft, others, quoted

_WORTH_GOING = timedelta(minutes=5)


def conflict_of(overlap: Overlap, day: Day, own: Collection[str], now: datetime) -> ConflictFound:
    """Return an overlap as the coordinator hears of it."""
    keeps, yields = ranked(overlap, own)
    first = overlap.events[0]
    return ConflictFound(
        kind="slot",
        resource=f"{first.account}/slots/{overlap.start.isoformat()}"[-512:],
        parties=[_party(event) for event in overlap.events],
        why=_why(overlap, keeps, yields, own),
        options=[
            _move(yields, day, own, now),
            _shorten(overlap, keeps, yields),
            _decline(yields, own),
        ],
    )


def ranked(overlap: Overlap, own: Collection[str]) -> tuple[Event, Event]:
    """Return the event that is hardest to move and the one that is easiest."""
    ordered = sorted(overlap.events, key=lambda event: (*_weight(event, own), event.start, event.id))
    return ordered[-1], ordered[0]


def _weight(event: Event, own: Collection[str]) -> tuple[int, ...]:
    urgency = 10 - event.priority if event.priority else 5  # RFC 5545: 1 is the highest, 0 says nothing
    people = others(event, own)
    return event.all_day, not is_soft(event, own), bool(people), urgency, not event.recurrence_id, len(people)


def _party(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "title": event.title[:500],
        "start": event.start.isoformat(),
        "end": event.end.isoformat(),
        "calendar": event.calendar,
        "organizer": event.organizer.address if event.organizer else "",
        "priority": event.priority,
        "movable": is_movable(event),
    }


def _why(overlap: Overlap, keeps: Event, yields: Event, own: Collection[str]) -> str:
    names = [f"{quoted(event)} ({span(event.start, event.end)})" for event in overlap.events]
    joined = f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{joined} overlap from {overlap.start:%H:%M} to {overlap.end:%H:%M}. {_easier(keeps, yields, own)}"[:2000]


def _easier(keeps: Event, yields: Event, own: Collection[str]) -> str:
    if is_soft(yields, own) and not is_soft(keeps, own):
        return f"{quoted(yields)} is not firm yet."
    if others(keeps, own) and not others(yields, own):
        return f"At {quoted(yields)} nobody else takes part."
    if yields.recurrence_id and not keeps.recurrence_id:
        return f"{quoted(yields)} comes again, {quoted(keeps)} is one date."
    return f"{quoted(yields)} is easier to move than {quoted(keeps)}."


def span(start: datetime, end: datetime) -> str:
    """Return a time of one day as a person writes it."""
    return f"{start:%H:%M}–{end:%H:%M}"


# -- the three ways ------------------------------------------------------------------------------------


def _move(event: Event, day: Day, own: Collection[str], now: datetime) -> str:
    ask = "Move" if is_own(event, own) else f"Ask {_organizer(event)} to move"
    length = event.end.astimezone(UTC) - event.start.astimezone(UTC)
    slot = free_slot(day.gaps, length, max(event.start, now)) or free_slot(day.gaps, length, now)
    if slot is None:
        return f"{ask} {quoted(event)} to another day: today no {minutes_of(event.start, event.end)} minutes are free"
    return f"{ask} {quoted(event)} to {span(*slot)}, which is free"


def free_slot(gaps: Sequence[Slice], length: timedelta, after: datetime) -> tuple[datetime, datetime] | None:
    """Return the first free time of a length that begins at a quarter of an hour, not before ``after``."""
    for gap in gaps:
        start = quarter(max(gap.start, after.astimezone(gap.start.tzinfo)))
        if start.astimezone(UTC) + length <= gap.end.astimezone(UTC):
            return start, (start.astimezone(UTC) + length).astimezone(gap.start.tzinfo)
    return None


def quarter(moment: datetime) -> datetime:
    """Return the next quarter of an hour, or the moment itself."""
    late = timedelta(minutes=moment.minute % 15, seconds=moment.second, microseconds=moment.microsecond)
    rounded = moment.astimezone(UTC) + (timedelta(minutes=15) - late if late else timedelta())
    return rounded.astimezone(moment.tzinfo)


def _shorten(overlap: Overlap, keeps: Event, yields: Event) -> str:
    earlier, later = sorted((keeps, yields), key=lambda e: (e.start, e.end))
    if later.start - earlier.start >= _WORTH_GOING:
        return f"Leave {quoted(earlier)} at {later.start:%H:%M}, when {quoted(later)} begins"
    if later.end - earlier.end >= _WORTH_GOING:
        return f"Join {quoted(later)} at {earlier.end:%H:%M}, when {quoted(earlier)} is over"
    middle = overlap.start + (overlap.end - overlap.start) / 2
    return f"Go to {quoted(keeps)} until {middle:%H:%M} and to {quoted(yields)} from then on"


def _decline(event: Event, own: Collection[str]) -> str:
    if not is_own(event, own):
        return f"Decline {quoted(event)} and tell {_organizer(event)}"
    people = len(others(event, own))
    tell = f" and tell {'the other person' if people == 1 else f'the {people} others'}" if people else ""
    return f"Call off {quoted(event)}{tell}"


def _organizer(event: Event) -> str:
    assert event.organizer is not None
    return event.organizer.name or event.organizer.address
