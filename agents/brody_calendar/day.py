"""A day in the user's zone: what takes their time, what overlaps, what is free in working hours.

All reckoning is done in UTC and shown in the zone, so that days of 23 and 25 hours come out right.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any, Literal
from zoneinfo import ZoneInfo

from brody_agents.integrations.calendar.base import Event
from brody_calendar.occasion import far, is_meeting, place_of, same, takes_time

WORK_BEGINS, WORK_ENDS = time(9), time(18)
TRAVEL = timedelta(minutes=30)
"""Left free before and after an event elsewhere; between two places it is one way, before the second."""
LEAST_GAP = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of the working day; slices follow each other without a hole."""

    kind: Literal["busy", "travel", "free"]
    start: datetime
    end: datetime

    @property
    def minutes(self) -> int:
        """Return how long it is."""
        return minutes_of(self.start, self.end)


@dataclass(frozen=True, slots=True)
class Overlap:
    """Events that all take the user's time from ``start`` to ``end``."""

    start: datetime
    end: datetime
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Day:
    """A day with all that was made of it."""

    date: date
    zone: ZoneInfo
    agenda: tuple[Event, ...]
    overlaps: tuple[Overlap, ...]
    timeline: tuple[Slice, ...]
    meeting_minutes: int

    @property
    def gaps(self) -> list[Slice]:
        """Return the free times that are long enough to be used."""
        return [s for s in self.timeline if s.kind == "free" and s.minutes >= LEAST_GAP / timedelta(minutes=1)]

    def value(self) -> dict[str, Any]:
        """Return the day as it is shared with other agents (JSON)."""
        return {
            "timezone": self.zone.key,
            "agenda": [event.id for event in self.agenda],
            "gaps": [_times(gap.start, gap.end) for gap in self.gaps],
            "overlaps": [{**_times(o.start, o.end), "events": [event.id for event in o.events]} for o in self.overlaps],
            "meeting_minutes": self.meeting_minutes,
            "busy_minutes": sum(s.minutes for s in self.timeline if s.kind == "busy"),
            "free_minutes": sum(gap.minutes for gap in self.gaps),
        }


def _times(start: datetime, end: datetime) -> dict[str, Any]:
    return {"start": start.isoformat(), "end": end.isoformat(), "minutes": minutes_of(start, end)}


def minutes_of(start: datetime, end: datetime) -> int:
    """Return the minutes between two instants, also across a change of clocks."""
    return int((end.astimezone(UTC) - start.astimezone(UTC)) / timedelta(minutes=1))


def whole_day(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the midnights between which a day lies."""
    return _local(day, time(), zone), _local(day + timedelta(days=1), time(), zone)


def working_hours(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return where the working day begins and ends."""
    return _local(day, WORK_BEGINS, zone), _local(day, WORK_ENDS, zone)


def _local(day: date, clock: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, clock, zone).astimezone(UTC).astimezone(zone)


def review(day: date, events: Sequence[Event], own: Collection[str], zone: ZoneInfo) -> Day:
    """Return what a day is made of; ``events`` are those that overlap it."""
    start, end = whole_day(day, zone)
    agenda = sorted(events, key=lambda e: (not e.all_day, e.start, e.end, e.id))
    meetings = [e for e in agenda if is_meeting(e, own)]
    return Day(
        date=day,
        zone=zone,
        agenda=tuple(agenda),
        overlaps=tuple(overlaps(events, own)),
        timeline=tuple(timeline(day, events, own, zone)),
        meeting_minutes=sum(minutes_of(max(e.start, start), min(e.end, end)) for e in meetings),
    )


# -- overlaps ------------------------------------------------------------------------------------------


def overlaps(events: Sequence[Event], own: Collection[str]) -> list[Overlap]:
    """Return the largest sets of different events that take the user's time at once, in order of time."""
    found: list[Overlap] = []
    running: list[Event] = []
    grown = False
    for _, begins, event in _turns(events, own):
        if begins:
            running.append(event)
            grown = True
            continue
        if grown and (overlap := _overlap(running)):
            found.append(overlap)
        running.remove(event)
        grown = False
    return found


def _turns(events: Sequence[Event], own: Collection[str]) -> list[tuple[datetime, bool, Event]]:
    busy = sorted((e for e in events if takes_time(e, own)), key=lambda e: (e.start, e.end, e.id))
    turns = [(e.start.astimezone(UTC), True, e) for e in busy] + [(e.end.astimezone(UTC), False, e) for e in busy]
    return sorted(turns, key=lambda turn: turn[:2])  # at the same time one ends before the next begins


def _overlap(running: Sequence[Event]) -> Overlap | None:
    different: list[Event] = []
    for event in running:
        if not any(same(event, other) for other in different):
            different.append(event)
    if len(different) < 2 or all(event.all_day for event in different):
        return None
    return Overlap(max(e.start for e in different), min(e.end for e in different), tuple(different))


# -- the working day -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Stay:
    """Busy time without a hole: where the user has to be when it begins, and is when it ends."""

    start: datetime
    end: datetime
    comes_to: str = ""
    leaves: str = ""


def timeline(day: date, events: Sequence[Event], own: Collection[str], zone: ZoneInfo) -> list[Slice]:
    """Return the working day cut into busy, travel and free."""
    begins, ends = (moment.astimezone(UTC) for moment in working_hours(day, zone))
    slices = []
    for part in _slices(events, own, *whole_day(day, zone)):
        start, end = max(part.start, begins), min(part.end, ends)
        if start < end:
            slices.append(Slice(part.kind, start.astimezone(zone), end.astimezone(zone)))
    return slices


def _slices(events: Sequence[Event], own: Collection[str], start: datetime, end: datetime) -> Iterator[Slice]:
    first, last = _Stay(start.astimezone(UTC), start.astimezone(UTC)), _Stay(end.astimezone(UTC), end.astimezone(UTC))
    for left, right in pairwise([first, *_stays(events, own), last]):
        yield Slice("busy", left.start, left.end)
        if left.end < right.start:
            yield from _between(left, right)


def _between(left: _Stay, right: _Stay) -> Iterator[Slice]:
    start, end = left.end, right.start
    if not far(left.leaves, right.comes_to):
        yield Slice("free", start, end)
    elif right.comes_to:
        leaves = max(start, end - TRAVEL)
        yield Slice("free", start, leaves)
        yield Slice("travel", leaves, end)
    else:
        back = min(end, start + TRAVEL)
        yield Slice("travel", start, back)
        yield Slice("free", back, end)


def _stays(events: Sequence[Event], own: Collection[str]) -> list[_Stay]:
    busy = sorted((e for e in events if takes_time(e, own)), key=lambda e: (e.start, e.end, e.id))
    stays: list[_Stay] = []
    for event in busy:
        start, end, place = event.start.astimezone(UTC), event.end.astimezone(UTC), place_of(event)
        if not stays or stays[-1].end < start:
            stays.append(_Stay(start, end, place, place))
        elif end >= stays[-1].end:
            stays[-1] = _Stay(stays[-1].start, end, stays[-1].comes_to, place)
    return stays
