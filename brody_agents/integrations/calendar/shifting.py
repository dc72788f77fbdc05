"""Move a series: what names its occurrences, or was written for them, moves along on the series' own clock."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from brody_agents.errors import ProviderError
from brody_agents.integrations.calendar.event_text import Component, EventText
from brody_agents.integrations.calendar.ics_text import ContentLine

_MOMENT = re.compile(r"(?<![0-9A-Za-z])\d{8}(?:T\d{6}Z?)?(?![0-9])")
_UNTIL = re.compile(r"(?<=UNTIL=)\d{8}(?:T\d{6}Z?)?", re.IGNORECASE)
_BY_DAY = re.compile(r"\bBY(?:DAY|MONTHDAY|YEARDAY|WEEKNO|MONTH|SETPOS)=", re.IGNORECASE)
_BY_TIME = re.compile(r"\bBY(?:HOUR|MINUTE|SECOND)=", re.IGNORECASE)
_BY_HAND = "Move the series in its calendar."


def shift(event: EventText, by: timedelta) -> list[Component]:
    """Move EXDATE, RDATE, UNTIL, RECURRENCE-ID, and exceptions that still stood at their time; return the exceptions.

    ``by`` is on the series' clock; DTSTART has moved already. Raises ``ProviderError`` where the rule itself names days
    or hours that would change.
    """
    master = event.first
    _demand_movable(master, by)
    like = master.start_line

    def moved(line: ContentLine, text: str) -> str:
        if line.parameters.get("TZID", "") not in ("", like.parameters.get("TZID", "")):
            raise ProviderError("Its exceptions are written in another time zone.", _BY_HAND)
        head = text[: text.rindex(line.value)]
        return head + _MOMENT.sub(lambda found: _later(found.group(), master, by), line.value)

    master.lines.rewrite(("EXDATE", "RDATE"), moved)
    master.lines.rewrite(("RRULE",), lambda _, text: _UNTIL.sub(lambda found: _later(found.group(), master, by), text))
    for component in event.exceptions:
        stays = component.form.recurrence is None or component.form.start.name != component.form.recurrence.name
        component.lines.rewrite(("RECURRENCE-ID",), moved)
        if not stays:
            clock = component.form.start
            component.write_times(clock.moved_to(clock.wall + by).at(UTC), None)
    return event.exceptions


def _demand_movable(master: Component, by: timedelta) -> None:
    old = master.form.start.wall
    for rule in master.lines.all("RRULE"):
        days = _BY_DAY.search(rule.value) and (old + by).date() != old.date()
        if days or _BY_TIME.search(rule.value):
            raise ProviderError(f"Its rule says when it is ({rule.value[:100]}).", _BY_HAND)


def _later(text: str, master: Component, by: timedelta) -> str:
    """Return a date, a time of the series' clock, or an instant, moved on that clock."""
    if "T" not in text:
        return f"{datetime.strptime(text, '%Y%m%d') + timedelta(days=by.days):%Y%m%d}"
    if not text.endswith("Z"):
        return f"{datetime.strptime(text, '%Y%m%dT%H%M%S') + by:%Y%m%dT%H%M%S}"
    zone = master.form.start.zone or UTC
    wall = datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None) + by
    return f"{wall.replace(tzinfo=zone).astimezone(UTC):%Y%m%dT%H%M%SZ}"
