"""Find what an event of the calendar asks of the user beforehand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from brody_agents.integrations.calendar.base import Event
from brody_task.dates import end_of_day
from brody_task.notes import open_lines

_DEADLINE = re.compile(
    r"^\W*(?:(?:(?:deadline|abgabe|frist)\b(?:\s+(?:for|of|für))?\s*[:–-]?|(?:due|submission)\s*:)\s*(?P<after>\S.*)"
    r"|(?P<before>\S.*?)\W*\b(?:is\s+)?(?:due|deadline|fällig|submission)\W*)$",
    re.IGNORECASE,
)
_TITLE = re.compile(
    r"^\W*(?P<text>(?:prepare|bring|submit|finish|hand\s+in|fill\s+(?:in|out)|print|rehearse"
    r"|vorbereiten|mitbringen|bereite|abgeben)\b[^\n]{3,})$",
    re.IGNORECASE,
)
_SENTENCE = re.compile(
    r"^\W*(?:please\s+|bitte\s+)?(?P<text>(?:prepare|bring|read|review|send|submit|finish|fill\s+(?:in|out)|print"
    r"|rehearse|practi[sc]e|draft|write|upload|lies|lesen|bereite|bring[et]?)\b[^\n]{3,})$",
    re.IGNORECASE,
)
_MARKED = re.compile(
    r"^\W*(?:to\s+(?:prepare|bring|read)|preparation|prep|homework|pre-?read(?:ing)?|vorbereitung|mitzubringen)\s*:\s*"
    r"(?P<text>\S.*)$",
    re.IGNORECASE,
)
_CUT = re.compile(r"(?<=[.!?;])\s+|\n+")
_SOCIAL = re.compile(
    r"^(?:bring|read)\s+(?:it|this|me|your\s*self|them|on|about)\b|^review\s+(?:of|meeting|with)\b", re.I
)
MOST = 5
_LONGEST = 10_000


@dataclass(frozen=True, slots=True)
class Preparation:
    """Something to be done for an event, or by it."""

    text: str
    due: datetime
    reason: str
    place: str = ""
    """Title of the event whose description asks for it; empty where the title itself does."""


def preparations(event: Event) -> list[Preparation]:
    """Return what an event asks for; it is due when the event starts, a deadline of a day at the end of that day.

    An event that is cancelled, or that the user has declined, is to be left out by the caller.
    """
    due = end_of_day(event.start) if event.all_day else event.start
    place = " ".join(event.title.split())
    own = (Preparation(text, due, reason) for text, reason in _from_title(place))
    asked = (Preparation(text, due, f'the description of "{place}" asks for it', place) for text in _from_text(event))
    found: dict[str, Preparation] = {}
    for preparation in (*own, *asked):
        found.setdefault(preparation.text.casefold(), preparation)
    return list(found.values())[:MOST]


def _from_title(title: str) -> Iterator[tuple[str, str]]:
    if match := _DEADLINE.match(title):
        yield match["after"] or match["before"], "your calendar has it as a deadline"
    elif match := _TITLE.match(title):
        yield match["text"], "your calendar has it as something to do"


def _from_text(event: Event) -> Iterator[str]:
    text = event.description[:_LONGEST]
    yield from open_lines(text)
    for sentence in map(str.strip, _CUT.split(text)):
        match = _MARKED.match(sentence) or _SENTENCE.match(sentence)
        if match and not _SOCIAL.match(match["text"]):
            yield match["text"].rstrip(" .")
