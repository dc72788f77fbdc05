"""What to answer to an invitation, and when not to."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from brody_agents.communication.payloads import MeetingRequest
from brody_agents.integrations.calendar.base import Attendee, Event
from brody_calendar.invites import Nothing, Remove, Respond, Tell, answer, key_of, screened

BERLIN = ZoneInfo("Europe/Berlin")
OWN = frozenset({"me@home.example"})
START = datetime(2026, 3, 30, 14, tzinfo=BERLIN)
HOUR = timedelta(hours=1)
BO = Attendee("bo@team.example", "Bo")


def request(**more: Any) -> MeetingRequest:
    facts: dict[str, Any] = {
        "email_id": "mail-1",
        "uid": "plan",
        "title": "Plan",
        "start": START,
        "end": START + HOUR,
        "organizer": "bo@team.example",
        "sender": "bo@team.example",
        "attendees": ["me@home.example"],
        "sequence": 1,
    }
    return MeetingRequest(**(facts | more))


def event(title: str = "Plan", hours: float = 0, length: float = 1, mine: str = "", **more: Any) -> Event:
    start = START + hours * HOUR
    people = {"attendees": (Attendee("me@home.example", status=mine),), "organizer": BO} if mine else {}  # type: ignore[arg-type]
    facts: dict[str, Any] = {
        "id": f"id-{title}",
        "account": "ics:/c",
        "uid": title.lower(),
        "recurrence_id": "",
        "title": title,
    }
    return Event(**(facts | {"start": start, "end": start + length * HOUR} | people | more))


def respond(*around: Event, slots: int = 1, **more: Any) -> Respond:
    asked = request(**more)
    times = [(asked.start + timedelta(weeks=i), asked.end + timedelta(weeks=i)) for i in range(slots)]
    return answer(asked, times, around, OWN)


# -- the answer ----------------------------------------------------------------------------------------


def test_free_time_is_accepted() -> None:
    neighbours = event("Before", -1), event("After", 1), event("Free", 0, busy=False)

    assert respond(*neighbours) == Respond(
        "accepted", "“Plan”, Mon 30 Mar 14:00–15:00, by bo@team.example: the time is free."
    )


def test_taken_time_is_declined_and_the_person_hears_by_what_but_the_organizer_does_not() -> None:
    decision = respond(event("Dentist", 0.5))

    assert decision.answer == "declined"
    assert "you have “Dentist” (14:30–15:30) then" in decision.why
    assert decision.comment
    assert "Dentist" not in decision.comment


@pytest.mark.parametrize(
    "soft",
    [
        event("Maybe", status="tentative"),
        event("Maybe", mine="tentative"),
        event("Maybe", mine="needs-action"),
        event("Focus: Maybe"),
        event("Maybe", categories=("Focus",)),
    ],
)
def test_what_may_give_way_makes_it_tentative(soft: Event) -> None:
    decision = respond(soft)

    assert decision.answer == "tentative"
    assert "Maybe" in decision.why


def test_one_firm_event_among_soft_ones_declines() -> None:
    assert respond(event("Maybe", status="tentative"), event("Firm")).answer == "declined"


@pytest.mark.parametrize("mine", ["declined"])
def test_what_the_user_has_declined_is_free(mine: str) -> None:
    assert respond(event("Other", mine=mine)).answer == "accepted"


def test_own_entry_of_the_invitation_is_no_obstacle_nor_is_its_copy() -> None:
    assert respond(event("Plan", -0.5), event("plan", uid="copy")).answer == "accepted"


def test_day_off_declines_and_a_note_to_the_day_does_not() -> None:
    off = event("Vacation", -14, 24, all_day=True)

    assert respond(off).answer == "declined"
    assert respond(event("Release day", -14, 24, all_day=True)).answer == "accepted"


def test_whole_day_is_tentative_over_meetings_and_declined_over_a_day_off() -> None:
    day: dict[str, Any] = {
        "start": START.replace(hour=0),
        "end": START.replace(hour=0) + timedelta(days=1),
        "all_day": True,
    }

    assert respond(event("Meeting"), **day).answer == "tentative"
    assert respond(event("Vacation", -14, 24, all_day=True), **day).answer == "declined"


def test_series_is_judged_by_all_its_times() -> None:
    taken = [event("Taken", 24 * 7 * week) for week in range(4)]

    assert respond(slots=4).answer == "accepted"
    assert respond(*taken, slots=4).answer == "declined"
    some = respond(taken[1], slots=4)
    assert some.answer == "tentative"
    assert "1 of the next 4 times are taken (06 Apr)" in some.why


def test_evening_is_accepted_with_a_word() -> None:
    assert respond(start=START + 5 * HOUR, end=START + 6 * HOUR).why.endswith("free, though outside of working hours.")


# -- when not to answer ----------------------------------------------------------------------------------


def screen(*known: Event, over: bool = False, **more: Any) -> Nothing | Tell | Remove | None:
    return screened(request(**more), known, OWN, over)


def test_new_invitation_of_its_organizer_is_to_be_answered() -> None:
    assert screen() is None
    assert screen(sender="Bo@Team.example") is None


@pytest.mark.parametrize(
    "more", [{"method": "REPLY"}, {"method": "PUBLISH"}, {"over": True}, {"organizer": "me@home.example"}]
)
def test_what_asks_nothing_gets_nothing(more: dict[str, Any]) -> None:
    assert isinstance(screen(**more), Nothing)


@pytest.mark.parametrize("method", ["REQUEST", "CANCEL"])
@pytest.mark.parametrize(
    ("known", "more"),
    [
        ((), {"sender": "mallory@elsewhere.example"}),
        ((), {"sender": "mallory@elsewhere.example", "organizer": ""}),
        ((event(mine="accepted"),), {"sender": "mallory@elsewhere.example"}),
        # who names himself the organizer of somebody else's meeting
        ((event(mine="accepted"),), {"sender": "mallory@elsewhere.example", "organizer": "mallory@elsewhere.example"}),
    ],
)
def test_only_the_organizers_word_counts(method: str, known: tuple[Event, ...], more: dict[str, Any]) -> None:
    decision = screen(*known, method=method, sequence=9, **more)

    assert isinstance(decision, Tell)
    assert "mallory@elsewhere.example" in decision.text
    assert "Nothing is changed" in decision.text


@pytest.mark.parametrize("mine", ["accepted", "declined", "tentative"])
def test_answered_invitation_is_not_answered_again_but_a_newer_one_is(mine: str) -> None:
    assert isinstance(screen(event(mine=mine, sequence=1)), Nothing)
    assert isinstance(screen(event(mine=mine, sequence=2)), Nothing)
    assert screen(event(mine=mine, sequence=0)) is None


def test_invitation_in_the_calendar_without_an_answer_is_to_be_answered() -> None:
    assert screen(event(mine="needs-action", sequence=1)) is None


def test_occurrence_is_looked_up_before_its_series() -> None:
    series, moved = (
        event(mine="accepted", sequence=1),
        event(mine="needs-action", sequence=1, recurrence_id="20260330T120000Z"),
    )

    assert screen(series, moved, recurrence_id="20260330T120000Z") is None
    assert isinstance(screen(series, moved, recurrence_id="20260406T120000Z"), Nothing)


def test_cancellation_by_the_organizer_takes_the_event_out() -> None:
    known = event(mine="accepted", sequence=0)
    decision = screen(known, method="CANCEL")

    assert decision == Remove(known, "bo@team.example has cancelled “Plan”, Mon 30 Mar 14:00–15:00.")


def test_cancellation_of_what_is_not_there_is_told_and_of_what_is_cancelled_is_not() -> None:
    assert isinstance(screen(method="CANCEL"), Tell)
    assert isinstance(screen(event(status="cancelled", sequence=1), method="CANCEL"), Nothing)
    assert isinstance(screen(event(mine="accepted", sequence=2), method="CANCEL"), Nothing)


def test_other_time_is_told_to_who_has_called_the_meeting_only() -> None:
    assert isinstance(screen(method="COUNTER", organizer="me@home.example"), Tell)
    assert isinstance(screen(method="COUNTER"), Nothing)


def test_cause_is_the_invitation_not_the_mail() -> None:
    assert key_of(request()) == key_of(request(email_id="mail-2")) == "plan/None@1"
