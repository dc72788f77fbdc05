"""Find another time: the constraint solver's answer, or, where there is none, three ways out for the person.

Pure functions of plain values, made for a process pool. Times are aware; the solver is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from importlib import import_module
from typing import Any
from zoneinfo import ZoneInfo

from brody_agents.errors import BrodyError

QUARTER = timedelta(minutes=15)
SHORTEST = timedelta(minutes=30)
"""A block that is shorter than this is of no use."""
HORIZON = timedelta(days=7)
"""How far ahead another time is looked for, where nothing has to end earlier."""
DAY = (time(9), time(18))
"""When a working day begins and ends, unless what is placed lay outside of it."""

Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be placed: where it was, and within what it may be."""

    title: str
    start: datetime
    end: datetime
    after: datetime
    before: datetime | None
    busy: tuple[Span, ...]
    zone: ZoneInfo
    soft: bool = False
    """Whether it may be shortened and split: a block before a due date."""

    @property
    def length(self) -> timedelta:
        """Return how long it takes."""
        return self.end - self.start

    @property
    def limit(self) -> datetime:
        """Return when it has to be over."""
        return self.before or max(self.end, self.after) + HORIZON


@dataclass(frozen=True, slots=True)
class Placed:
    """Where it goes, and how; with no spans it goes nowhere, and ``options`` are three ways out."""

    spans: tuple[Span, ...] = ()
    how: str = ""
    options: tuple[str, ...] = ()


def place(wanted: Wanted) -> Placed:
    """Return where something goes: shortened, split or moved where it is soft, else only moved."""
    ways = (_shortened, _split, _moved, _halved) if wanted.soft else (_moved,)
    for way in ways:
        spans = way(wanted)
        if spans:
            return Placed(tuple(sorted(spans)), way.__name__.removeprefix("_"))
    return Placed(options=three_options(wanted))


def _shortened(wanted: Wanted) -> list[Span]:
    """Let it end when it has to, if half of it is left."""
    head = _head(wanted)
    return [head] if head and head[1] - head[0] >= wanted.length / 2 else []


def _split(wanted: Wanted) -> list[Span]:
    """Leave what comes in time where it is, and place the rest."""
    head = _head(wanted)
    rest = wanted.length - (head[1] - head[0]) if head else timedelta()
    if head is None or rest < SHORTEST:
        return []
    found = _solved(replace(wanted, busy=(*wanted.busy, head)), [rest])
    return [head, *found] if found else []


def _moved(wanted: Wanted) -> list[Span]:
    return _solved(wanted, [wanted.length])


def _halved(wanted: Wanted) -> list[Span]:
    half = _up(wanted.length / 2)
    rest = wanted.length - half
    return _solved(wanted, [half, rest]) if rest >= SHORTEST else []


def _head(wanted: Wanted) -> Span | None:
    """Return the part that is over in time, if it is long enough, free and not begun."""
    end = min(wanted.end, wanted.limit)
    if wanted.start < wanted.after or end - wanted.start < SHORTEST or _taken(wanted.busy, wanted.start, end):
        return None
    return wanted.start, end


def _taken(busy: Sequence[Span], start: datetime, end: datetime) -> bool:
    return any(begins < end and start < ends for begins, ends in busy)


# -- the solver --------------------------------------------------------------------------------------


def _solved(wanted: Wanted, lengths: Sequence[timedelta]) -> list[Span]:
    """Return a span for each length, none of them busy, or nothing: there is no room, or no solver."""
    windows = list(_windows(wanted, wanted.limit))
    start = _up_to_quarter(wanted.after)
    if not windows or start >= wanted.limit:
        return []
    try:
        s: Any = import_module("brody_agents.scheduling")
        same_day = s.Preference(window=_day_of(wanted.start, wanted.zone), weight=1)
        items = [
            s.Item(
                id=str(n),
                duration=_up(length),
                participants=["person"],
                windows=windows,
                preferences=[same_day],
                at=None,
                movable=True,
                move_cost=0,
                drop_cost=None,
            )
            for n, length in enumerate(lengths)
        ]
        busy = [span for span in wanted.busy if span[1] > start and span[0] < wanted.limit]
        people = [s.Person(id="person", busy=busy)]
        plan = s.solve(s.Problem(start=start, end=wanted.limit, slot=QUARTER, people=people, items=items))
    except (ImportError, BrodyError):  # the extra is not installed
        return []
    if plan.status == "infeasible" or any(plan.placements.get(item.id) is None for item in items):
        return []
    starts = [plan.placements[item.id].astimezone(wanted.zone) for item in items]
    return [(at, _plus(at, length)) for at, length in zip(starts, lengths, strict=True)]


def _windows(wanted: Wanted, limit: datetime) -> Iterator[Span]:
    """Give the working hours of each day until the limit: weekdays, and the day of the week that it lay on."""
    begins, ends = wanted.start.astimezone(wanted.zone), wanted.end.astimezone(wanted.zone)
    opens, closes = min(DAY[0], begins.time()), DAY[1]
    if ends.date() == begins.date():
        closes = max(closes, ends.time())
    day = wanted.after.astimezone(wanted.zone).date()
    while datetime.combine(day, opens, wanted.zone) < limit:
        if day.weekday() < 5 or day.weekday() == begins.weekday():
            start = max(datetime.combine(day, opens, wanted.zone), wanted.after)
            end = min(datetime.combine(day, closes, wanted.zone), limit)
            if start.astimezone(UTC) < end.astimezone(UTC):
                yield start, end
        day += timedelta(days=1)


def _day_of(moment: datetime, zone: ZoneInfo) -> Span:
    midnight = datetime.combine(moment.astimezone(zone).date(), time(), zone)
    return midnight, datetime.combine(midnight.date() + timedelta(days=1), time(), zone)


def _up(length: timedelta) -> timedelta:
    return -(-length // QUARTER) * QUARTER


def _up_to_quarter(moment: datetime) -> datetime:
    late = timedelta(minutes=moment.minute % 15, seconds=moment.second, microseconds=moment.microsecond)
    return _plus(moment, QUARTER - late) if late else moment


def _plus(moment: datetime, length: timedelta) -> datetime:
    """Add exact time, across changes of the clock."""
    return (moment.astimezone(UTC) + length).astimezone(moment.tzinfo)


# -- three ways out ----------------------------------------------------------------------------------


def three_options(wanted: Wanted) -> tuple[str, ...]:
    """Return three ways out in words: free times that a scan finds, then what is left to do."""
    found = [f"Put it on {_said(span, wanted.zone)}" + _late(span, wanted) for span in _free(wanted)][:2]
    last = ("Move the due date", "Do without it") if wanted.soft else ("Keep both at the same time", "Do without it")
    return (*found, *last, "Decide later")[:3] if len(found) < 2 else (*found, last[-1])


def _free(wanted: Wanted) -> Iterator[Span]:
    """Give free times of the length on different days, the first of each day, with or without its limit."""
    limit = max(wanted.limit, wanted.after + HORIZON, wanted.end + HORIZON)
    for begins, ends in _windows(wanted, limit):
        start = _up_to_quarter(begins)
        while _plus(start, wanted.length) <= ends:
            if not _taken(wanted.busy, start, _plus(start, wanted.length)):
                yield start, _plus(start, wanted.length)
                break
            start = _plus(start, QUARTER)


def _said(span: Span, zone: ZoneInfo) -> str:
    start, end = (moment.astimezone(zone) for moment in span)
    return f"{start:%a %d %b %H:%M}–{end:%H:%M}"


def _late(span: Span, wanted: Wanted) -> str:
    return ", after the due date" if wanted.before and span[1] > wanted.before else ""
