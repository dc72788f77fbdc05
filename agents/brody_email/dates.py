"""Find the date that a sentence names, in English and German.

``dateparser`` finds dates that are none ("may", "second", "5.2"), and it is slow. So a pattern of our own decides what
is a date at all; the common words are counted out here, and only calendar dates are given to ``dateparser``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
END_OF_WORK = time(17, 0)
_END_OF_DAY = time(23, 59)
_NO_YEAR_FAR = timedelta(days=300)

_WEEKDAYS = {
    "mo": 0, "tu": 1, "we": 2, "th": 3, "fr": 4, "sa": 5, "su": 6,
    "di": 1, "mi": 2, "do": 3, "so": 6,
}  # fmt: skip
_WEEKDAY = (
    r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun|mon|tues|wednes|thurs|fri|satur|sun)day(?!s\b)"
    r"|(?:Mon|Tue|Tues|Wed|Thu|Thur|Thurs|Fri|Sat|Sun)\b\.?"
    r"|Montag|Dienstag|Mittwoch|Donnerstag|Freitag|Samstag|Sonnabend|Sonntag"
)
_MONTH = (
    r"(?i:jan(?:uary|uar)?|feb(?:ruary|ruar)?|mar(?:ch)?|märz|apr(?:il)?|may|mai|june?|juni|july?|juli|aug(?:ust)?"
    r"|sept?(?:ember)?|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?)\b\.?"
)
_YEAR = r"(?:,?\s+(?:19|20)\d\d\b)?"
_CALENDAR = (
    rf"\d{{1,2}}(?:st|nd|rd|th|\.)?\s+(?:of\s+)?{_MONTH}{_YEAR}|{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?\b{_YEAR}"
    r"|(?:19|20)\d\d-\d\d-\d\d|\d{1,2}\.\s?\d{1,2}\.(?:\s?(?:(?:19|20)\d\d|\d\d)\b)?|\d{1,2}/\d{1,2}(?:/(?:\d{4}|\d\d))?(?![/\d])"
)
_PART = r"(?:\s+(?P<part>(?i:morning|noon|afternoon|evening|night|früh|vormittag|mittag|nachmittag|abend)))?"
_HOUR = (
    r"\d{1,2}[:.]\d\d(?:\s*(?:[ap]\.?m\b\.?|[AP]M\b|Uhr\b|h\b))?|\d{1,2}\s*(?:[ap]\.?m\b\.?|[AP]M\b|Uhr\b|o'clock\b)"
    r"|noon\b|midday\b|midnight\b"
)
_NUMBER = r"(?:an?|one|two|three|four|five|six|seven|ten|couple\s+of|ein(?:e[mnr]?)?|zwei|drei|vier|fünf|\d{1,2})"
_SPAN = (
    rf"(?:in|within|innerhalb\s+von)\s+(?:the\s+next\s+)?(?P<count>{_NUMBER})\s+"
    r"(?P<unit>hours?|days?|weeks?|months?|Stunden?|Tage?n?|Wochen?|Monate?n?)\b"
)
_LAST_DAY = (
    r"(?:the\s+)?(?:end\s+of\s+(?:the\s+|this\s+|next\s+|my\s+|your\s+)?(?:business\s+)?(?:day|week|month|business)"
    r"|close\s+of\s+business|COB|EOD|EOB|EOW|EOM|eod|cob|weekend|Wochenende|Monatsende|Ende\s+(?:der|dieser)\s+Woche"
    r"|Ende\s+des\s+(?:Tages|Monats)|Feierabend)\b"
)
_PERIOD = r"(?:this|next|diese[rn]?|nächste[rn]?|kommende[rn]?)\s+(?:week|month|Woche|Monat)\b"
_DAY = (
    rf"(?:(?P<which>this|next|coming|diese[nm]|nächste[nmr]|kommende[nmr])\s+)?(?P<weekday>{_WEEKDAY})(?![\w-])"
    rf"(?:,?\s+(?:the\s+|den\s+|dem\s+)?(?P<with_weekday>{_CALENDAR}))?{_PART}"
    r"|(?P<near>(?:the\s+)?day\s+after\s+tomorrow|[Tt]oday|[Tt]onight|[Tt]omorrow|[Hh]eute|[Üü]bermorgen|morgen)\b"
    rf"{_PART.replace('part', 'near_part')}"
    rf"|(?P<calendar>{_CALENDAR})|(?P<last_day>{_LAST_DAY})|(?P<period>{_PERIOD})|(?P<span>{_SPAN})"
)
_LEAD = (
    r"(?P<lead>(?i:no\s+later\s+than|not\s+later\s+than|at\s+the\s+latest|due(?:\s+(?:on|by))?|by|before|until|till|for|on"
    r"|from|of|since|last|past|over|bis(?:\s+(?:zum|spätestens|am|kommenden))?|spätestens(?:\s+(?:am|bis|zum))?|vor(?:\s+dem)?"
    r"|vom|seit|letzten|letzte|am|ab|zum|für)\s+(?:(?i:the|den|dem|next)\s+)?(?:(?i:EOD|COB|end\s+of(?:\s+day)?|close\s+of\s+business)\s+(?:on\s+)?)?)?"
)
_CLOCK_FIRST = rf"(?:(?:at\s+|um\s+)?(?P<clock_first>{_HOUR})\s*,?\s+(?:on\s+|am\s+)?)?"
_CLOCK_LAST = (
    rf"(?:,?\s+(?:at|by|before|um|bis|gegen|vor)?\s*(?P<clock_last>{_HOUR})"
    r"|,?\s+(?:at|um)\s+(?P<bare>\d{1,2})(?![\d:.,%]\d))?"
)
_DATE = re.compile(rf"(?<![\w@/.§$€-]){_LEAD}{_CLOCK_FIRST}(?:{_DAY}){_CLOCK_LAST}(?![\w@%]|[/-]\w)")
_TIME_ONLY = re.compile(
    rf"(?<![\w@/.])(?P<lead>(?i:no\s+later\s+than|by|before|until|till|bis|vor|spätestens(?:\s+um)?)\s+)(?:um\s+)?"
    rf"(?P<clock>{_HOUR})(?![\w@%])"
)
_PAST_LEADS = frozenset({"from", "of", "since", "last", "past", "vom", "seit", "letzten", "letzte"})
_DEADLINES = ("by", "before", "until", "till", "due", "no later", "not later", "bis", "spätestens", "vor")
_PARTS = {
    "morning": 12, "noon": 12, "afternoon": 17, "evening": 20, "night": 22,
    "früh": 10, "vormittag": 12, "mittag": 12, "nachmittag": 17, "abend": 20,
}  # fmt: skip
_COUNTS = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "ten": 10,
    "ein": 1, "eine": 1, "einem": 1, "einen": 1, "einer": 1, "zwei": 2, "drei": 3, "vier": 4, "fünf": 5,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Due:
    """A date that a sentence names: when (aware), in which words, and whether they set a deadline."""

    when: datetime
    words: str
    deadline: bool


def day_of(when: datetime) -> str:
    """Return a day as people write it, such as ``4 Mar 2026``."""
    return f"{when.day} {_MONTHS[when.month - 1]} {when.year}"


def moment_of(when: datetime) -> str:
    """Return a day and a time as people write them, such as ``Wed 4 Mar 2026, 17:00``."""
    return f"{_DAYS[when.weekday()]} {day_of(when)}, {when:%H:%M}"


def find_due(sentence: str, base: datetime) -> Due | None:
    """Return the date until when, else the first date at which, something is to happen; seen from ``base``.

    ``base`` is the mail's time in the user's zone. A day without a time means the end of its work, 17:00. Of two
    readings the future one counts; what lies before ``base`` is returned as it is.
    """
    found = list(_dates(sentence, base))
    return next((due for due in found if due.deadline), found[0] if found else None)


def without_due(sentence: str, due: Due | None) -> str:
    """Return the sentence without the words of the date, unless it is made of them ("whether Thursday works")."""
    if due is None:
        return sentence
    before, _, after = sentence.partition(due.words)
    if not re.match(_LEAD + r"\S", due.words)["lead"] and before.strip() and re.match(r"\s*\w", after):  # type: ignore[index]
        return sentence
    if not re.match(r"\s*,\s+(?:so|since|because|as|otherwise|and|but|then|we|i|denn|weil|da)\b", after, re.IGNORECASE):
        after = after.lstrip().removeprefix(",")
    return re.sub(r"\s+([,.;:?!])", r"\1", " ".join(f"{before.rstrip()} {after}".split()))


def _dates(sentence: str, base: datetime) -> Iterator[Due]:
    for match in _DATE.finditer(sentence):
        lead = (match["lead"] or "").casefold().strip()
        if lead.split(" ")[0] in _PAST_LEADS or (_needs_lead(match) and not lead):
            continue
        when = _instant(match, lead, base)
        if when is not None:
            yield Due(when, _shown(match[0]), lead.startswith(_DEADLINES) or bool(match["last_day"]))
    for match in _TIME_ONLY.finditer(sentence):
        clock = _clock(match["clock"])
        if clock:
            when = datetime.combine(base.date(), clock, base.tzinfo)
            yield Due(when if when > base else when + timedelta(days=1), match[0].strip(), deadline=True)


def _shown(words: str) -> str:
    """Return the words of a date without the full stop that ends their sentence."""
    words = words.strip()
    return words if words.endswith("m.") else words.rstrip(".")


def _needs_lead(match: re.Match[str]) -> bool:
    """Say whether the words are a date only after a preposition: ``1/2``, ``3.4.`` and ``weekend`` are often none."""
    words = match["calendar"] or ""
    numeric = bool(words) and not re.search(r"[^\W\d]", words) and not re.search(r"\b(?:19|20)\d\d", words)
    short = re.fullmatch(r"(?:sun|sat|mon|wed)\.?", (match["weekday"] or "").casefold()) and not match["with_weekday"]
    vague = (match["last_day"] or "").casefold().endswith(("weekend", "wochenende", "feierabend"))
    return numeric or bool(short) or vague


def _instant(match: re.Match[str], lead: str, base: datetime) -> datetime | None:
    if match["span"]:
        return _after(match["count"], match["unit"], base)
    day = _day(match, base)
    if day is None:
        return None
    clock = _clock(match["clock_last"] or match["clock_first"] or "") or _bare_hour(match["bare"])
    part = (match["part"] or match["near_part"] or "").casefold()
    if (match["near"] or "").casefold() == "tonight":
        part = part or "evening"
    if clock is None and lead.startswith(("before", "vor")) and not part and match["weekday"]:
        day -= timedelta(days=1)  # "before Wednesday" is done on Tuesday
    return _at(day, clock or (time(_PARTS[part]) if part else None), base)


def _at(day: datetime, clock: time | None, base: datetime) -> datetime:
    when = datetime.combine(day.date(), clock or END_OF_WORK, base.tzinfo)
    if clock is None and when.date() == base.date() and when <= base:
        return datetime.combine(day.date(), _END_OF_DAY, base.tzinfo)
    return when


def _day(match: re.Match[str], base: datetime) -> datetime | None:
    calendar = match["with_weekday"] or match["calendar"]
    if calendar:
        return _calendar_day(calendar, base)
    if match["weekday"]:
        return _weekday(match["weekday"], (match["which"] or "").casefold(), base)
    if match["near"]:
        near = match["near"].casefold()
        far = near in ("übermorgen",) or "after" in near
        return base + timedelta(days=2 if far else 1 if near in ("tomorrow", "morgen") else 0)
    return _end_of((match["last_day"] or match["period"]).casefold(), base)


def _weekday(name: str, which: str, base: datetime) -> datetime:
    target = _WEEKDAYS[name[:2].casefold()]
    if which in ("next", "nächsten", "nächster", "nächstem"):
        return base + timedelta(days=7 - base.weekday() + target)
    return base + timedelta(days=(target - base.weekday()) % 7 or 7)


def _end_of(words: str, base: datetime) -> datetime:
    following = bool(re.search(r"\bnext\b|nächste|kommende", words))
    if "month" in words or "monat" in words or words == "eom":
        first = base.replace(day=1)
        for _ in range(2 if following else 1):
            first = (first + timedelta(days=32)).replace(day=1)
        return first - timedelta(days=1)
    if words.endswith(("weekend", "wochenende")):
        return base + timedelta(days=max(0, 4 - base.weekday()))
    if "week" in words or "woche" in words or words == "eow":
        ahead = 4 - base.weekday()
        return base + timedelta(days=ahead + 7 if following or ahead < 0 else ahead)
    return base


def _after(count: str, unit: str, base: datetime) -> datetime:
    number = int(count) if count.isdigit() else 2 if count.startswith("couple") else _COUNTS[count.casefold()]
    kind = unit.casefold()[0]
    if kind in "hs":
        return base + timedelta(hours=number)
    days = {"d": 1, "t": 1, "w": 7, "m": 30}[kind] * number
    return datetime.combine((base + timedelta(days=days)).date(), END_OF_WORK, base.tzinfo)


def _clock(words: str) -> time | None:
    words = words.casefold().strip()
    if words in ("noon", "midday", "midnight"):
        return _END_OF_DAY if words == "midnight" else time(12)
    found = re.match(r"(\d{1,2})(?:[:.](\d\d))?\s*([ap])?", words)
    if not found:
        return None
    hour, minute = int(found[1]), int(found[2] or 0)
    if found[3] and hour <= 12:
        hour = hour % 12 + (12 if found[3] == "p" else 0)
    return time(hour, minute) if hour < 24 and minute < 60 else None


def _bare_hour(words: str | None) -> time | None:
    """Read "at 3" as people mean it at work: from eight to seven."""
    hour = int(words) if words else 24
    return time(hour + 12 if hour < 8 else hour) if hour < 24 else None


def _calendar_day(words: str, base: datetime) -> datetime | None:
    import dateparser

    order = "MDY" if "/" in words and str(base.tzinfo).startswith(("America/", "US/")) else "DMY"
    parsed = dateparser.parse(
        words.replace(" of ", " "),
        languages=["en", "de"],
        settings={"RELATIVE_BASE": base.replace(tzinfo=None), "PREFER_DATES_FROM": "future", "DATE_ORDER": order},
    )
    if parsed is None:
        return None
    day = parsed.replace(tzinfo=base.tzinfo)
    if not re.search(r"\d{4}|\d[./]\d{1,2}[./]\d\d", words) and day - base > _NO_YEAR_FAR:
        day = day.replace(year=day.year - 1, day=min(day.day, 28))  # "3 March", written on 10 March, is over
    return day
