"""Find the words that name a date, and the date they name.

``dateparser`` sees dates in "may", "second" and "5.2"; so only what the pattern of this module finds is given to it.
English and German.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta

_WEEKDAY = (
    r"(?:mon|tues|wednes|thurs|fri|satur|sun)day|(?:mon|tue|wed|thu|fri|sat|sun)\b\.?"
    r"|montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonnabend|sonntag"
)
_MONTH = (
    r"jan(?:uary|uar)?|feb(?:ruary|ruar)?|mar(?:ch)?|märz|apr(?:il)?|may|mai|june?|juni|july?|juli|aug(?:ust)?"
    r"|sep(?:t(?:ember)?)?|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?"
)
_YEAR = r"(?:,?\s+(?:19|20)\d\d)?"
_DAY = (
    rf"\d{{1,2}}(?:st|nd|rd|th|\.)?\s+(?:of\s+)?(?:{_MONTH})\b\.?{_YEAR}"
    rf"|(?:{_MONTH})\.?\s+\d{{1,2}}(?:st|nd|rd|th)?\b{_YEAR}"
)
_NUMERIC = r"\d{4}-\d\d-\d\d|\d{1,2}\.\d{1,2}\.(?:\d{4}|\d\d)?(?!\d)"
_NEAR = (
    r"(?:the\s+day\s+after\s+tomorrow|today|tonight|tomorrow|heute|übermorgen|morgen)"
    r"(?:\s+(?:morning|afternoon|evening|night|früh|vormittag|nachmittag|abend))?"
    r"|(?:in|within)\s+(?:a|an|one|two|three|\d{1,2})\s+(?:hour|day|week)s?"
    r"|in\s+(?:einem|einer|zwei|drei|\d{1,2})\s+(?:stunden?|tag(?:en)?|wochen?)"
)
_END = (
    r"(?:the\s+)?(?:end\s+of\s+(?:the\s+|this\s+)?|eo)(?:business(?:\s+day)?|day|week|month|[dwm]\b)|cob\b"
    r"|(?:this|next)\s+(?:week|month)|ende\s+(?:der|dieser)\s+woche|monatsende|(?:diese|nächste)\s+woche"
)
_HOUR = r"(?:\d{1,2}(?::\d\d)?\s*(?:am|pm|[ap]\.m\.|uhr)|\d{1,2}:\d\d|noon|midnight)"
_CLOCK = rf"(?:,?\s+(?:at|um|by)?\s*{_HOUR})?"
_LEAD = (
    r"(?:(?P<lead>no\s+later\s+than|not\s+later\s+than|due(?:\s+(?:on|by))?|by|before|until|till|on|from|for|at"
    r"|bis(?:\s+(?:zum|spätestens))?|spätestens(?:\s+(?:am|bis))?|vor|am)\s+)?"
    r"(?:(?:this|next|coming|diesen|nächsten|kommenden)\s+(?=[a-zä]{3,}))?"
)
_NAMED = rf"(?P<day>(?:(?:{_WEEKDAY}),?\s+(?:the\s+|den\s+)?)?(?:{_DAY}|{_NUMERIC})|{_WEEKDAY}|{_NEAR}|{_END})"
_EARLY = rf"(?:(?P<early>{_HOUR})\s+(?:on\s+)?)?"
_DATE = re.compile(rf"(?<![\w@/.-]){_LEAD}{_EARLY}{_NAMED}(?P<clock>{_CLOCK})(?![\w@/]|[.-]\w)", re.IGNORECASE)

_END_OF_DAY = time(23, 59)
_LONGEST = 2000
_NEARBY = timedelta(days=90)
_YEARS = 20
"""Dates that are farther away are a slip of the pen."""


@dataclass(frozen=True, slots=True)
class Found:
    """A date in a text: when, and the words that name it."""

    when: datetime
    words: str


def without_dates(text: str) -> str:
    """Return ``text`` without the words that name dates, their prepositions included."""
    return _DATE.sub(lambda match: " " if _means_it(match) else match[0], text[:_LONGEST])


def find_due(text: str, base: datetime) -> Found | None:
    """Return the first date in ``text`` by which something is due, seen from ``base`` (aware), in the zone of ``base``.

    A date without a time of day means the end of that day. Of two readings the future one counts. A day of the month
    needs a preposition that makes it a deadline: "the minutes of 12 March" are due on no day.
    """
    for match in filter(_means_it, _DATE.finditer(text[:_LONGEST])):
        when = _instant(" ".join(match["day"].casefold().split()), (match["early"] or match["clock"]).casefold(), base)
        if when is not None and abs(when.year - base.year) <= _YEARS and _is_deadline(match, when, base):
            return Found(when, " ".join(match[0].split()))
    return None


def end_of_day(moment: datetime) -> datetime:
    """Return the last minute of the local day of ``moment``."""
    return datetime.combine(moment.date(), _END_OF_DAY, moment.tzinfo)


def _means_it(match: re.Match[str]) -> bool:
    """Say no to "sat" and "sun" unless a preposition stands before them."""
    return bool(match["lead"]) or len(match["day"].rstrip(".")) > 3 or match["day"].casefold() in ("eod", "eow", "cob")


def _is_deadline(match: re.Match[str], when: datetime, base: datetime) -> bool:
    if not any(map(str.isdigit, match["day"])) or match["day"].casefold().startswith(("in ", "within ")):
        return True
    lead = (match["lead"] or "").casefold()
    return lead not in ("", "from", "on", "am", "at") or (lead in ("on", "am") and when - base < _NEARBY)


def _instant(day: str, clock: str, base: datetime) -> datetime | None:
    parsed = _end_of(day, base) or _parsed(day, base)
    if parsed is None or "hour" in day or "stunde" in day:
        return parsed
    return datetime.combine(parsed.date(), _time_of_day(clock) or _END_OF_DAY, base.tzinfo)


def _end_of(words: str, base: datetime) -> datetime | None:
    """Read what ``dateparser`` does not: the end of a day, a week, a month."""
    ahead = words.startswith(("next", "nächste"))
    if words.startswith(("in ", "within ")):
        return None
    if "week" in words or "woche" in words or words == "eow":
        friday = base + timedelta(days=4 - base.weekday() + 7 * ahead)
        return max(friday, base)
    if "month" in words or "monatsende" in words or words == "eom":
        return _last_of_month(base, next_one=ahead)
    return base if re.fullmatch(r"(?:the )?(?:end of.*(?:day|business)|eob.*|eod|cob)", words) else None


def _last_of_month(base: datetime, *, next_one: bool) -> datetime:
    first = base.replace(day=1)
    for _ in range(1 + next_one):
        first = (first + timedelta(days=32)).replace(day=1)
    return first - timedelta(days=1)


def _parsed(words: str, base: datetime) -> datetime | None:
    import dateparser

    words = re.sub(r"^within\b", "in", words.replace("the day after tomorrow", "in 2 days"))
    words = re.sub(r"^(today|tonight|tomorrow|heute|übermorgen|morgen) .*", r"\1", words)
    words = re.sub(r"^\w+day,? the ", "", words)
    result = dateparser.parse(
        words,
        languages=["en", "de"],
        settings={"RELATIVE_BASE": base.replace(tzinfo=None), "PREFER_DATES_FROM": "future", "DATE_ORDER": "DMY"},
    )
    return result and result.replace(tzinfo=base.tzinfo)


def _time_of_day(words: str) -> time | None:
    if "noon" in words or "midnight" in words:
        return time(12) if "noon" in words else _END_OF_DAY
    match = re.search(r"(\d{1,2})(?::(\d\d))?\s*([ap])?", words)
    if match is None:
        return None
    hour, minute = int(match[1]), int(match[2] or 0)
    if match[3]:
        hour = hour % 12 + 12 * (match[3] == "p")
    return time(hour, minute) if hour < 24 and minute < 60 else None
