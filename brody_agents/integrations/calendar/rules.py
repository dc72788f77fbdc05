"""Recurrence rules (RFC 5545, 3.3.10) made harmless: never counted through from 1900, never longer than a window.

All times here are naive, on the clock of the series.
"""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

MAX_STEPS = 10_000
"""How many steps of a rule are counted through for one window."""
MAX_COUNTED = 50_000
"""How many steps are counted through from the start of a rule with a COUNT, which cannot be entered midway."""
_SCANNED_DAYS = 400
_STEPS = {
    "SECONDLY": timedelta(seconds=1),
    "MINUTELY": timedelta(minutes=1),
    "HOURLY": timedelta(hours=1),
    "DAILY": timedelta(days=1),
    "WEEKLY": timedelta(weeks=1),
}
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_TIMES = ("BYHOUR", "BYMINUTE", "BYSECOND")
_DAYS = ("BYDAY", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO")

Rule = dict[str, Any]
"""The parts of a rule as ``icalendar.vRecur`` holds them: a list of values each, by upper-case name."""


@dataclass(frozen=True, slots=True)
class Tamed:
    """A rule that is safe to be counted through: ``None`` if it gives nothing in the window.

    ``start`` is a start that gives the same occurrences in the window; ``problem`` says what was cut off.
    """

    rule: Rule | None
    start: datetime
    problem: str = ""


def fault(rule: Rule) -> str:
    """Say why a rule means nothing, or return an empty text."""
    if _one(rule, "FREQ") is None:
        return "the rule has no FREQ"
    if any(int(interval) < 1 for interval in _all(rule, "INTERVAL")):
        return "the rule's INTERVAL is not positive"
    if not all(isinstance(until, date) for until in _all(rule, "UNTIL")):
        return "the rule's UNTIL is neither a date nor a time of a day"
    if {"RSCALE", "SKIP"} & set(rule):
        return "the rule counts in another calendar (RFC 7529)"
    return ""


def tame(rule: Rule, start: datetime, low: datetime, high: datetime, reach: timedelta) -> Tamed:
    """Return ``rule`` cut down to what may touch ``low`` to ``high``, beginning at most ``reach`` earlier."""
    rule = _without_count(rule, start)
    if not _possible(rule, start, low - reach, high + reach):
        return Tamed(None, start)
    step = _step(rule)
    if step is None:
        return Tamed(rule, start)
    if "COUNT" in rule:
        if (high - start) // step > MAX_COUNTED:
            return Tamed(None, start, "its rule would be counted through for too long; only its start is used")
        return Tamed(rule, start)
    entry = _entry(start, step, low - reach)
    if (high + reach - entry) // step <= MAX_STEPS:
        return Tamed(rule, entry)
    return _shortened(rule, _entry(start, step, low), step)


def _entry(start: datetime, step: timedelta, low: datetime) -> datetime:
    """Return the last start but one before ``low``, in step with ``start``."""
    return start + max(0, (low - start) // step - 1) * step


def _shortened(rule: Rule, start: datetime, step: timedelta) -> Tamed:
    last = start + MAX_STEPS * step
    until = min(last, _one(rule, "UNTIL") or last)
    return Tamed({**rule, "UNTIL": [until]}, start, f"its rule is followed until {until:%Y-%m-%d %H:%M} only")


def _without_count(rule: Rule, start: datetime) -> Rule:
    """Return a rule of even steps with the last occurrence's time in place of their number."""
    step, count = _step(rule), _one(rule, "COUNT")
    if step is None or count is None or any(name.startswith("BY") for name in rule):
        return rule
    try:
        last = start + max(0, count - 1) * step
    except OverflowError:
        last = datetime.max
    until = min(last, _one(rule, "UNTIL") or last)
    return {**{name: value for name, value in rule.items() if name != "COUNT"}, "UNTIL": [until]}


def _step(rule: Rule) -> timedelta | None:
    """Return the even step of a rule; months and years have none."""
    unit = _STEPS.get(str(_one(rule, "FREQ")))
    try:
        return unit and unit * (_one(rule, "INTERVAL") or 1)
    except OverflowError:
        return timedelta.max


def _one(rule: Rule, name: str) -> Any:
    values = _all(rule, name)
    return values[0] if values else None


def _all(rule: Rule, name: str) -> Sequence[Any]:
    values = rule.get(name)
    if values is None:
        return ()
    return values if isinstance(values, (list, tuple)) else (values,)


# -- days that a rule can fall on ----------------------------------------------------------------------


def _possible(rule: Rule, start: datetime, low: datetime, high: datetime) -> bool:
    """Say whether the rule may fall on a day of the window; only a "no" is certain.

    A rule that never matches (the 30th of February) would be counted through to the year 9999.
    """
    if (_one(rule, "UNTIL") and _one(rule, "UNTIL") < low) or high < start or not _fits_its_set(rule):
        return False
    days = (high.date() - low.date()).days + 1
    if days > _SCANNED_DAYS:
        return True
    test = _DayTest(rule, start.date())
    return any(test(low.date() + timedelta(days=i)) for i in range(days))


def _fits_its_set(rule: Rule) -> bool:
    """Say whether BYSETPOS can name a member of a set as small as the rule's."""
    positions = [abs(int(p)) for p in _all(rule, "BYSETPOS")]
    if not positions:
        return True
    times = 1
    for name in _TIMES:
        times *= len(_all(rule, name)) or 1
    by_day, by_date = len(_all(rule, "BYDAY")), len(_all(rule, "BYMONTHDAY"))
    days = {"YEARLY": 366, "MONTHLY": 5 * by_day or by_date or 1, "WEEKLY": by_day or 1}
    return min(positions) <= days.get(str(_one(rule, "FREQ")), 1) * max(times, 1)


class _DayTest:
    """Say of a day whether the rule's conditions on days let it through."""

    def __init__(self, rule: Rule, start: date) -> None:
        self.start, self.frequency = start, str(_one(rule, "FREQ"))
        self.interval = int(_one(rule, "INTERVAL") or 1)
        self.first = _WEEKDAYS.index(str(_one(rule, "WKST") or "MO")[-2:].upper())
        self.months = {int(m) for m in _all(rule, "BYMONTH")}
        self.weekdays = {_WEEKDAYS.index(str(d)[-2:].upper()) for d in _all(rule, "BYDAY")}
        self.month_days = {int(d) for d in _all(rule, "BYMONTHDAY")}
        self.year_days = {int(d) for d in _all(rule, "BYYEARDAY")}
        if not any(_all(rule, name) for name in _DAYS):
            self._follow_the_start()

    def _follow_the_start(self) -> None:
        if self.frequency == "WEEKLY":
            self.weekdays = {self.start.weekday()}
        if self.frequency in ("MONTHLY", "YEARLY"):
            self.month_days = {self.start.day}
        if self.frequency == "YEARLY":
            self.months = self.months or {self.start.month}

    def __call__(self, day: date) -> bool:
        return self._in_step(day) and self._matches(day)

    def _matches(self, day: date) -> bool:
        if (self.months and day.month not in self.months) or (self.weekdays and day.weekday() not in self.weekdays):
            return False
        if self.month_days:
            length = calendar.monthrange(day.year, day.month)[1]
            if not self.month_days & {day.day, day.day - length - 1}:
                return False
        if self.year_days:
            number, length = day.timetuple().tm_yday, 366 if calendar.isleap(day.year) else 365
            return bool(self.year_days & {number, number - length - 1})
        return True

    def _in_step(self, day: date) -> bool:
        if self.interval == 1:
            return True
        passed = {
            "DAILY": (day - self.start).days,
            "WEEKLY": (self._week(day) - self._week(self.start)) // 7,
            "MONTHLY": 12 * (day.year - self.start.year) + day.month - self.start.month,
            "YEARLY": day.year - self.start.year,
        }.get(self.frequency)
        return passed is None or passed % self.interval == 0

    def _week(self, day: date) -> int:
        return day.toordinal() - (day.weekday() - self.first) % 7
