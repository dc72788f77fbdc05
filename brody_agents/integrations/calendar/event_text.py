"""The components of one UID as text that can be edited: the series itself, and one occurrence of it.

An occurrence that is to differ gets a component of its own (RECURRENCE-ID, RFC 5545, 3.8.4.4), a copy of the one that
it comes from. Times keep to the clock that they were written in: TZID, UTC, date or floating.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from brody_agents.errors import InvalidArguments, NotFound
from brody_agents.integrations.calendar import ics_text
from brody_agents.integrations.calendar.ics_text import ContentLine
from brody_agents.integrations.calendar.lines import Lines, property_line, utc_line
from brody_agents.integrations.calendar.series import Occurrence, occurrences
from brody_agents.integrations.calendar.vevent import DAY, Vevent, When, read

_ZONE = ZoneInfo("UTC")
"""Floating times and dates are read in it, so that what its clock shows is what they say."""
_FLOATING = When(datetime(2000, 1, 1))
_NEAR = timedelta(days=2)
_OF_A_SERIES = ("RRULE", "RDATE", "EXDATE", "EXRULE", "RECURRENCE-ID")


@dataclass(slots=True)
class Component:
    """One VEVENT: its lines, the times that it was read with, and when it takes place."""

    lines: Lines
    form: Vevent
    start: datetime
    end: datetime

    @property
    def start_line(self) -> ContentLine:
        """Return the line that says when it starts."""
        line = self.lines.first("DTSTART") or self.lines.first("RECURRENCE-ID")
        assert line is not None  # read() has seen one of them
        return line

    def set_times(self, start: datetime | None, end: datetime | None) -> None:
        """Move it on its own clock; what is ``None`` stays, the length too where only the start is given.

        A floating time becomes an instant, because nobody here knows whose clock it was, and so does a whole day that
        is given hours. Raises ``InvalidArguments``.
        """
        given = [moment for moment in (start, end) if moment is not None]
        if self.form.start.whole_day and all(moment.time() == time() for moment in given):
            start, end = (moment and moment.replace(tzinfo=UTC) for moment in (start, end))
        elif self.form.start.whole_day and len(given) < 2:
            raise InvalidArguments("It takes whole days.", "Give the start and the end.")
        elif self.form.start.zone is None:
            self._to_utc()
        self.write_times(start or self.start, end)

    def write_times(self, start: datetime, end: datetime | None) -> None:
        """Write when it takes place, in the form that its times have; without ``end`` it keeps its length."""
        ends = end or start + (self.end - self.start)
        if ends < start:
            raise InvalidArguments("The end lies before the start.", "Give both.")
        clock, like, last = self.form.start, self.start_line, self.lines.first("DTEND")
        self.lines.put(time_line("DTSTART", like, clock, _wall(clock, start)))
        if last or end:
            self.lines.drop("DURATION")
            until = self.form.end if last and self.form.end else clock
            ends = max(ends, start + DAY) if until.whole_day else ends
            self.lines.put(time_line("DTEND", last or like, until, _wall(until, ends)))
        self.start, self.end = start, ends

    def _to_utc(self) -> None:
        begins, ends = When(_wall(_FLOATING, self.start), UTC), When(_wall(_FLOATING, self.end), UTC)
        self.lines.put(utc_line("DTSTART", self.start))
        if self.lines.first("DTEND"):
            self.lines.put(utc_line("DTEND", self.end))
        self.form = replace(self.form, start=begins, end=ends if self.form.end else None)


class EventText:
    """All components of a UID; raises ``ItemUnreadable`` where they cannot be read."""

    def __init__(self, data: str) -> None:
        self._raw = data.encode("utf-8", "surrogatepass")
        self._blocks = [b for sheet in ics_text.cut(self._raw) for b in sheet.blocks if b.kind == "VEVENT"]
        texts = [self._raw[b.start : b.end].decode("utf-8", "surrogatepass") for b in self._blocks]
        self._old = [_component(form, Lines(text)) for form, text in zip(read(data)[0], texts, strict=True)]
        self.components = [*self._old]
        masters = [c for c in self._old if c.form.recurrence is None]
        self.master = max(masters, key=lambda c: c.form.number("SEQUENCE"), default=None)

    @property
    def first(self) -> Component:
        """Return the master, or where only single occurrences came, the first of them."""
        return self.master or self.components[0]

    @property
    def exceptions(self) -> list[Component]:
        """Return the components of single occurrences, and of those that change all that follows."""
        return [c for c in self.components if c.form.recurrence is not None]

    @property
    def recurs(self) -> bool:
        """Say whether it is a series."""
        return self.master is not None and self.master.form.recurs

    def exception(self, recurrence: str) -> Component | None:
        """Return the component of one occurrence, if it has one of its own."""
        wanted = self.wall(recurrence)
        own = (c for c in self.exceptions if not c.form.and_future)
        return next((c for c in own if self._clock(c.form.recurrence or c.form.start) == wanted), None)

    def occurrence(self, recurrence: str) -> Component:
        """Return the component of one occurrence, made now if it had none of its own; raise ``NotFound``."""
        found = self.exception(recurrence)
        if found is None:
            found = self._made(recurrence)
            self.components.append(found)
        return found

    def demand(self, recurrence: str) -> None:
        """Raise ``NotFound`` if there is no such occurrence."""
        if self.exception(recurrence) is None:
            self._expanded(recurrence)

    def wall(self, recurrence: str) -> datetime:
        """Return what the series' own clock shows at a RECURRENCE-ID; raise ``NotFound`` if it is none."""
        return self._clock(_moment(recurrence))

    def text(self) -> str:
        """Return the whole VCALENDAR; what was not edited is as it was."""
        raw, kept = self._raw, {id(c) for c in self.components}
        made = [c.lines.text() for c in self.components if c not in self._old]
        for block, old in reversed([*zip(self._blocks, self._old, strict=True)]):
            put = [old.lines.text()] if id(old) in kept else []
            put += ["\r\n"] if made and put and not put[0].endswith("\n") else []
            raw = raw[: block.start] + "".join([*put, *made]).encode("utf-8", "surrogatepass") + raw[block.end :]
            made = []  # they are behind the last
        return raw.decode("utf-8", "surrogatepass")

    # -- one occurrence -------------------------------------------------------------------------------

    def _clock(self, when: When) -> datetime:
        series = self.first.form.start
        wall = when.on_clock_of(series)
        if series.whole_day:
            return datetime.combine(wall.date(), time())
        return datetime.combine(wall.date(), series.wall.time()) if when.whole_day else wall

    def _expanded(self, recurrence: str) -> Occurrence:
        wall, series = self.wall(recurrence), self.first.form.start
        instant, forms = series.moved_to(wall).at(_ZONE), [c.form for c in self.components]
        names = {recurrence, series.moved_to(wall).name}
        for found in occurrences(forms, instant - _NEAR, instant + _NEAR, _ZONE, []):
            if found.recurrence in names and self.recurs:
                return found
        raise NotFound(f"There is no occurrence {recurrence} in this event.", "Read the calendar again.")

    def _made(self, recurrence: str) -> Component:
        found = self._expanded(recurrence)
        source = next(c for c in self.components if c.form is found.part)
        like, series = self.first.start_line, self.first.form.start
        named = series.moved_to(self.wall(recurrence))
        form = replace(source.form, recurrence=named, and_future=False, rules=(), added=(), removed=())
        made = Component(source.lines.copy(), form, found.start, found.end)
        made.lines.drop(*_OF_A_SERIES)
        made.write_times(found.start, found.end if source.lines.first("DTEND") else None)
        made.lines.add(time_line("RECURRENCE-ID", like, series, named.wall))
        return made


def time_line(name: str, like: ContentLine, clock: When, wall: datetime) -> str:
    """Return a line with a time written as ``like`` is, whose clock is ``clock``."""
    if clock.whole_day:
        return property_line(name, f"{wall:%Y%m%d}", {"VALUE": "DATE"})
    tzid = like.parameters.get("TZID", "")
    utc = "Z" if like.value.upper().endswith("Z") else ""
    return property_line(name, f"{wall:%Y%m%dT%H%M%S}{utc}", {"TZID": tzid} if tzid and not utc else {})


def _wall(clock: When, instant: datetime) -> datetime:
    return instant.astimezone(clock.zone or UTC).replace(tzinfo=None)


def _component(form: Vevent, lines: Lines) -> Component:
    return Component(lines, form, *form.span(_ZONE))


def _moment(recurrence: str) -> When:
    """Read a canonical RECURRENCE-ID: a date, a floating time, or UTC."""
    found = re.fullmatch(r"(\d{8})(?:T(\d{6})(Z?))?", recurrence)
    try:
        if found is None or found.group(2) is None:
            return When(datetime.strptime(recurrence, "%Y%m%d"), whole_day=True)
        wall = datetime.strptime(found.group(1) + found.group(2), "%Y%m%d%H%M%S")
    except ValueError as error:
        raise NotFound(f"{recurrence!r} names no occurrence.", "Use the event's recurrence_id.") from error
    return When(wall, UTC if found.group(3) else None)
