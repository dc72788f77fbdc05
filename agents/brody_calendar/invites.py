"""Invitations: what to answer, and when not to (RFC 5546). Only the organizer's word counts.

Pure: a request, what the calendar knows of it, and what stands at that time come in; a decision goes out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from brody_agents.communication.payloads import MeetingRequest
from brody_agents.integrations.calendar.base import Event
from brody_calendar.day import WORK_BEGINS, WORK_ENDS
from brody_calendar.occasion import is_soft, quoted, takes_time
from brody_calendar.options import span

Answer = Literal["accepted", "declined", "tentative"]
Slot = tuple[datetime, datetime]
_ANSWERED = ("accepted", "declined", "tentative")


@dataclass(frozen=True, slots=True)
class Nothing:
    """There is nothing to do, and why."""

    why: str


@dataclass(frozen=True, slots=True)
class Tell:
    """Nothing may change; the person hears of it."""

    text: str


@dataclass(frozen=True, slots=True)
class Remove:
    """The organizer has cancelled an event that is in the calendar."""

    event: Event
    why: str


@dataclass(frozen=True, slots=True)
class Respond:
    """An answer to propose."""

    answer: Answer
    why: str
    comment: str = ""


# -- may it change anything? ----------------------------------------------------------------------------


def screened(
    request: MeetingRequest, known: Sequence[Event], own: Collection[str], over: bool
) -> Nothing | Tell | Remove | None:
    """Return what becomes of a request that asks for no answer; ``None`` if it has to be answered.

    ``known`` are the components with its UID in the user's calendars, ``over`` says that none of its times is to come.
    """
    called_by_user = request.organizer.lower() in own
    if over:
        return Nothing("it is over")
    if request.method == "COUNTER" and called_by_user:
        return Tell(f"{_sender(request)} proposes another time for {_title(request)}: {when(request)}.")
    if request.method not in ("REQUEST", "CANCEL") or called_by_user:
        return Nothing(f"a {request.method} of this meeting asks nothing of the user")
    if _not_the_organizer(request, known):
        return Tell(_warning(request, known))
    mine = component(known, request.recurrence_id)
    if mine and mine.sequence > request.sequence:
        return Nothing("the calendar has a newer version of it")
    return _cancelled(request, mine) if request.method == "CANCEL" else _answered(request, mine, own)


def answers_gone(request: MeetingRequest) -> dict[str, str]:
    """Return what the answers have in common that a cancellation makes void; nothing if it is not the organizer's."""
    if request.method != "CANCEL" or request.sender.lower() != request.organizer.lower():
        return {}
    occurrence = {"recurrence_id": request.recurrence_id} if request.recurrence_id else {}
    return {"uid": request.uid, "organizer": request.organizer} | occurrence


def component(known: Sequence[Event], recurrence_id: str | None) -> Event | None:
    """Return the component that a request is about: the exception, else the master of its series."""
    by_recurrence = {event.recurrence_id: event for event in known}
    return by_recurrence.get(recurrence_id or "") or by_recurrence.get("")


def _not_the_organizer(request: MeetingRequest, known: Sequence[Event]) -> bool:
    organizers = {event.organizer.address for event in known if event.organizer}
    return not request.organizer or {request.sender.lower(), *organizers} != {request.organizer.lower()}


def _warning(request: MeetingRequest, known: Sequence[Event]) -> str:
    known_organizer = next((event.organizer.address for event in known if event.organizer), "")
    organizer = known_organizer or request.organizer or "nobody"
    deed = "says that it is cancelled" if request.method == "CANCEL" else "sends an invitation to it"
    return (
        f"{_title(request)}, {when(request)}: {_sender(request)} {deed}, but its organizer is {organizer}. "
        "Nothing is changed and nothing is answered."
    )


def _cancelled(request: MeetingRequest, mine: Event | None) -> Nothing | Tell | Remove:
    if mine is None:
        return Tell(f"{_title(request)}, {when(request)}, is cancelled by {_sender(request)}.")
    if mine.status == "cancelled":
        return Nothing("the calendar has it as cancelled already")
    return Remove(mine, f"{_sender(request)} has cancelled {_title(request)}, {when(request)}.")


def _answered(request: MeetingRequest, mine: Event | None, own: Collection[str]) -> Nothing | None:
    status = next((a.status for a in mine.attendees if a.address in own), "") if mine else ""
    if mine and mine.sequence == request.sequence and status in _ANSWERED:
        return Nothing(f"the calendar says {status}")
    return None


# -- which answer? --------------------------------------------------------------------------------------


def answer(request: MeetingRequest, slots: Sequence[Slot], around: Iterable[Event], own: Collection[str]) -> Respond:
    """Return the answer to an invitation.

    ``slots`` are its times, several for a series; ``around`` are the events of that time, its own included.
    """
    others = [e for e in around if not _is_this(e, request) and takes_time(e, own)]
    hits = {slot: [e for e in others if _meets(e, slot)] for slot in slots}
    hard = {slot: [e for e in found if not _gives_way(e, request, own)] for slot, found in hits.items()}
    blocked = [slot for slot in slots if hard[slot]]
    head = f"{_title(request)}, {when(request)}, by {request.organizer}: "
    if blocked and len(blocked) == len(slots):
        return Respond("declined", head + _busy(hard[blocked[0]]), "I have another appointment at that time.")
    if blocked:
        times = ", ".join(f"{start:%d %b}" for start, _ in blocked[:5])
        return Respond("tentative", f"{head}{len(blocked)} of the next {len(slots)} times are taken ({times}).")
    if soft := [event for slot in slots for event in hits[slot]]:
        return Respond("tentative", f"{head}{_named(soft[:1])} is there too, but it can still give way.")
    return Respond("accepted", f"{head}the time is free{_late(request)}.")


def _is_this(event: Event, request: MeetingRequest) -> bool:
    copy = (event.title.casefold(), event.start, event.end) == (request.title.casefold(), request.start, request.end)
    return copy or event.uid == request.uid


def _meets(event: Event, slot: Slot) -> bool:
    return event.start < slot[1] and slot[0] < event.end


def _gives_way(event: Event, request: MeetingRequest, own: Collection[str]) -> bool:
    return is_soft(event, own) or (request.all_day and not event.all_day)


def _busy(events: Sequence[Event]) -> str:
    return f"you have {_named(events)} then."


def _named(events: Sequence[Event]) -> str:
    return ", ".join(f"{quoted(e)} ({'all day' if e.all_day else span(e.start, e.end)})" for e in events[:3])


def _late(request: MeetingRequest) -> str:
    inside = request.start.time() >= WORK_BEGINS and request.end.time() <= WORK_ENDS and request.start.weekday() < 5
    return "" if inside or request.all_day else ", though outside of working hours"


# -- words ----------------------------------------------------------------------------------------------


def when(request: MeetingRequest) -> str:
    """Return the request's time as a person reads it."""
    return f"{request.start:%a %d %b}" + ("" if request.all_day else f" {span(request.start, request.end)}")


def without_calendar(request: MeetingRequest) -> str:
    """Return what to say of an invitation that no calendar can be asked about."""
    return f"{_sender(request)} invites you to {_title(request)}, {when(request)}; there is no calendar to look at."


def key_of(request: MeetingRequest) -> str:
    """Return the cause of what is done about a request: the same invitation in two mails is one cause."""
    return f"{request.uid}/{request.recurrence_id}@{request.sequence}"


def in_zone(request: MeetingRequest, zone: ZoneInfo) -> MeetingRequest:
    """Return the request with its times in the user's zone."""
    times = {"start": request.start.astimezone(zone), "end": request.end.astimezone(zone)}
    return request.model_copy(update=times)


def _title(request: MeetingRequest) -> str:
    return f"“{request.title[:120] or 'A meeting without a title'}”"


def _sender(request: MeetingRequest) -> str:
    return request.sender or "somebody"
