"""The recurrence set of one UID: master, exceptions, and what changes all that follows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from brody_agents.errors import ItemUnreadable
from brody_agents.integrations.calendar.rules import Rule, Tamed, tame
from brody_agents.integrations.calendar.vevent import Vevent, When

_PART = "X-PART"
_SLACK = timedelta(hours=2)
"""No clock is put forward or back by more."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One occurrence of ``part``; ``recurrence`` is its canonical RECURRENCE-ID, empty for a single event."""

    part: Vevent
    start: datetime
    end: datetime
    recurrence: str = ""


def occurrences(
    parts: Sequence[Vevent], start: datetime, end: datetime, zone: ZoneInfo, problems: list[str]
) -> Iterator[Occurrence]:
    """Yield what overlaps [start, end); an occurrence of no length belongs to where it starts.

    ``problems`` gets what had to be left out. Raises ``ItemUnreadable``.
    """
    try:
        yield from _inside(_all(parts, start, end, zone, problems), start, end)
    except OverflowError as error:
        raise ItemUnreadable("It reaches beyond the end of the calendar.", "Mend it in its calendar.") from error


def _inside(found: Iterable[Occurrence], start: datetime, end: datetime) -> Iterator[Occurrence]:
    seen: set[str] = set()
    low, high = start.astimezone(UTC), end.astimezone(UTC)  # in one zone, Python compares the clock, not the time
    for occurrence in found:
        begins, ends = occurrence.start.astimezone(UTC), occurrence.end.astimezone(UTC)
        inside = begins < high and (ends > low or begins >= low)
        if inside and occurrence.recurrence not in seen:
            seen.add(occurrence.recurrence)
            yield occurrence


def _all(
    parts: Sequence[Vevent], start: datetime, end: datetime, zone: ZoneInfo, problems: list[str]
) -> Iterator[Occurrence]:
    masters = sorted((p for p in parts if p.recurrence is None), key=lambda p: p.number("SEQUENCE"))
    if masters and (masters[-1].recurs or len(masters) < len(parts)):
        yield from _series(masters[-1], parts, start, end, zone, problems)
        return
    for part in masters[-1:] or parts:
        yield _itself(part, zone)


def _itself(part: Vevent, zone: ZoneInfo) -> Occurrence:
    return Occurrence(part, *part.span(zone), part.recurrence.name if part.recurrence else "")


def _series(
    master: Vevent, parts: Sequence[Vevent], start: datetime, end: datetime, zone: ZoneInfo, problems: list[str]
) -> Iterator[Occurrence]:
    clock = _Clock(master.start, zone)
    parts = [master, *(part for part in parts if part.recurrence is not None)]
    reach = max(part.length + abs(_shift(part, clock)) for part in parts if _spreads(part))
    low, high = clock.shows(start) - _SLACK, clock.shows(end) + _SLACK
    tamed = _tamed(master, clock, low, high, reach)
    problems += [t.problem for t in tamed if t.problem]
    if _silent(parts, tamed, low - reach, high + reach):
        return
    for rule in tamed or [Tamed(None, master.start.wall)]:
        for component in _found(_calendar(parts, clock, rule), low, high):
            yield _occurrence(component, parts[int(component[_PART])], clock, zone)


def _found(calendar: Any, low: datetime, high: datetime) -> list[Any]:
    from recurring_ical_events import CalendarQuery

    try:
        return list(CalendarQuery(calendar).between(low, high))
    except (ValueError, TypeError) as error:
        raise ItemUnreadable(f"The series cannot be worked out: {error}.", "Mend it in its calendar.") from error


def _tamed(master: Vevent, clock: _Clock, low: datetime, high: datetime, reach: timedelta) -> list[Tamed]:
    """Return the rules that may give something in the window."""
    tamed = [tame(_on_clock(rule, clock), master.start.wall, low, high, reach) for rule in master.rules]
    return [t for t in tamed if t.rule is not None or t.problem]


def _silent(parts: Sequence[Vevent], tamed: Sequence[Tamed], low: datetime, high: datetime) -> bool:
    """Say that nothing of a series lies in a window: most series of a calendar on most days."""
    master = parts[0]
    quiet = not any(t.rule for t in tamed) and not master.added and len(parts) == 1
    return quiet and not low <= master.start.wall <= high


def _spreads(part: Vevent) -> bool:
    return part.recurrence is None or part.and_future


def _shift(part: Vevent, clock: _Clock) -> timedelta:
    return clock.of(part.start) - clock.of(part.recurrence) if part.recurrence else timedelta()


def _occurrence(component: Any, part: Vevent, clock: _Clock, zone: ZoneInfo) -> Occurrence:
    wall: datetime = component["DTSTART"].dt
    original = wall - (_shift(part, clock) if part.and_future else timedelta())
    if part.recurrence is not None and (not part.and_future or original == clock.of(part.recurrence)):
        return replace(_itself(part, zone), recurrence=clock.name(clock.of(part.recurrence)))
    start = clock.when(wall)
    end = part.ends(start, component["DTEND"].dt - wall, zone)
    return Occurrence(part, start.at(zone), end, clock.name(original))


@dataclass(frozen=True, slots=True)
class _Clock:
    """The clock that a series goes by: its master's; ``zone`` is that of the person who asks."""

    start: When
    zone: ZoneInfo

    def shows(self, instant: datetime) -> datetime:
        return instant.astimezone(self.start.zone or self.zone).replace(tzinfo=None)

    def when(self, wall: datetime) -> When:
        return self.start.moved_to(wall)

    def name(self, wall: datetime) -> str:
        return self.when(wall).name

    def of(self, when: When) -> datetime:
        """Return a time of the series on this clock, also where it is written as another type than the start."""
        if self.start.whole_day:
            local = when.at(self.zone) if when.zone and when.wall.time() != time() else when.wall
            return datetime.combine(local.date(), time())
        if when.whole_day:
            return datetime.combine(when.wall.date(), self.start.wall.time())
        return when.on_clock_of(self.start)

    def until(self, value: datetime | date) -> datetime:
        """Return UNTIL on this clock; a date includes the whole of its day."""
        if not isinstance(value, datetime):
            return datetime.combine(value, time() if self.start.whole_day else time(23, 59, 59))
        if self.start.whole_day:
            return datetime.combine(value.date(), time())
        return self.shows(value) if value.tzinfo else value


# -- the series as the library takes it: naive times, nothing but what the recurrence set needs ---------------


def _calendar(parts: Sequence[Vevent], clock: _Clock, rule: Tamed) -> Any:
    from icalendar import Calendar

    calendar = Calendar()
    calendar.add_component(_bare_master(parts[0], clock, rule))
    for number, part in enumerate(parts[1:], 1):
        calendar.add_component(_bare_exception(number, part, clock))
    return calendar


def _bare_master(part: Vevent, clock: _Clock, rule: Tamed) -> Any:
    from icalendar.prop import vDDDLists, vRecur

    event = _bare(0, part, rule.start)
    if rule.rule:
        event["RRULE"] = vRecur(rule.rule)
    if part.added:
        event["RDATE"] = vDDDLists([_added(item, clock) for item in part.added])
    if part.removed:
        event["EXDATE"] = vDDDLists([_removed(when, clock) for when in part.removed])
    return event


def _bare_exception(number: int, part: Vevent, clock: _Clock) -> Any:
    from icalendar.prop import vDDDTypes, vRecur

    event = _bare(number, part, clock.of(part.start))
    future = {"RANGE": "THISANDFUTURE"} if part.and_future else {}
    event["RECURRENCE-ID"] = vDDDTypes(clock.of(part.recurrence or part.start), params=future)
    if part.rules:  # a part that was cut off from its series; the library knows when it counts no more
        event["RRULE"] = vRecur(part.rules[0])
    return event


def _bare(number: int, part: Vevent, start: datetime) -> Any:
    from icalendar import Event
    from icalendar.prop import vDDDTypes, vText

    event = Event()
    event["UID"], event[_PART] = vText("series"), vText(str(number))
    event["SEQUENCE"] = part.number("SEQUENCE")
    event["DTSTART"], event["DTEND"] = vDDDTypes(start), vDDDTypes(start + part.length)
    return event


def _on_clock(rule: Rule, clock: _Clock) -> Rule:
    if "UNTIL" not in rule:
        return rule
    until = rule["UNTIL"][0] if isinstance(rule["UNTIL"], list) else rule["UNTIL"]
    return {**rule, "UNTIL": [clock.until(until)]}


def _added(item: When | tuple[When, When | timedelta], clock: _Clock) -> Any:
    if isinstance(item, When):
        return clock.of(item)
    start, end = clock.of(item[0]), item[1]
    return start, end if isinstance(end, timedelta) else max(timedelta(), clock.of(end) - start)


def _removed(when: When, clock: _Clock) -> datetime | date:
    whole = when.whole_day and not clock.start.whole_day
    return when.wall.date() if whole else clock.of(when)
