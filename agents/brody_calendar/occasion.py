"""What an event is to the user: whether it takes their time, who else is there, where it is."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC

from brody_agents.integrations.calendar.base import Attendee, Event
from brody_agents.integrations.calendar.expansion import own_status

FOCUS = "Focus: "
"""Begins the title of a focus block; blocks like that may be moved."""

_ABSENCE = re.compile(
    r"\b(?:vacation|holidays?|annual leave|on leave|parental leave|sick(?: leave)?|day off|out of (?:the )?office"
    r"|ooo|pto|absent|urlaub|krank|abwesend|abwesenheit|elternzeit|freier tag|betriebsausflug)\b",
    re.IGNORECASE,
)
_ELSEWHERE = re.compile(
    r"https?:|www\.|\b(?:zoom|teams|webex|google meet|skype|jitsi|slack|discord|facetime|whatsapp|online|virtual(?:ly)?"
    r"|remote|call|phone|telephone|telefon(?:isch)?|anruf|video\w*|tel|dial[- ]?in|tb[ad])\b|\+?\d[\d\s()/-]{7,}",
    re.IGNORECASE,
)
_IN_HOUSE = re.compile(
    r"\W*(?:(?:my|our|mein|unser)\s+)?(?:(?:meeting|conference|board|besprechungs|konferenz|sitzungs)[ -]?)?"
    r"(?:room|raum|office|büro|desk|floor|etage|kitchen|küche|lobby|zimmer)\b[\s\w.,#-]{0,12}\Z",
    re.IGNORECASE,
)


def takes_time(event: Event, own: Collection[str]) -> bool:
    """Say whether the user cannot be elsewhere: busy, not declined; a whole day only if it is an absence."""
    if not event.busy or event.status == "cancelled" or own_status(event, own) == "declined":
        return False
    return is_absence(event) if event.all_day else event.start.astimezone(UTC) < event.end.astimezone(UTC)


def is_absence(event: Event) -> bool:
    """Say whether a whole day is one off or away; other whole days are notes to the day."""
    return event.all_day and bool(_ABSENCE.search(" ".join((event.title, *event.categories))))


def is_soft(event: Event, own: Collection[str]) -> bool:
    """Say whether the event may give way: tentative, not yet answered, or a block that may be moved."""
    return event.status == "tentative" or own_status(event, own) in ("tentative", "needs-action") or is_movable(event)


def is_movable(event: Event) -> bool:
    """Say whether it is a focus block of the user's own."""
    return event.title.startswith(FOCUS) or "focus" in {category.casefold() for category in event.categories}


def is_own(event: Event, own: Collection[str]) -> bool:
    """Say whether the user can change it: their own meeting, or an entry without an organizer."""
    return event.organizer is None or event.organizer.address in own


def others(event: Event, own: Collection[str]) -> list[Attendee]:
    """Return the other people at a meeting, without rooms and without those who have declined."""
    everybody = [*([event.organizer] if event.organizer else []), *event.attendees]
    people = {p.address: p for p in everybody if p.address not in own and p.role != "none" and p.status != "declined"}
    return list(people.values())


def is_meeting(event: Event, own: Collection[str]) -> bool:
    """Say whether it is a timed meeting with others that takes the user's time."""
    return not event.all_day and takes_time(event, own) and bool(others(event, own))


def same(one: Event, other: Event) -> bool:
    """Say whether two entries are the same thing: one series, or copies in two calendars."""
    if one.uid == other.uid:
        return True
    facts = ((e.title.casefold(), e.start, e.end) for e in (one, other))
    return len(set(facts)) == 1


def place_of(event: Event) -> str:
    """Return where the user has to go, or an empty text: nowhere, a call, a room of the house."""
    place = event.location.casefold().strip()
    return "" if _ELSEWHERE.search(place) or _IN_HOUSE.match(place) else place


def far(one: str, other: str) -> bool:
    """Say whether two places are different ones; ``hall 3`` and ``berlin, hall 3`` are not."""
    return one != other and not (one and other and (one in other or other in one))


def quoted(event: Event) -> str:
    """Return the title as a person reads it in a sentence."""
    return f"“{event.title[:120] or 'without a title'}”"
