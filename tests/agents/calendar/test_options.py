"""An overlap as the coordinator hears of it: the parties, why, and three ways out."""

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from brody_agents.communication.payloads import ConflictFound
from brody_agents.integrations.calendar.base import Attendee, Event
from brody_calendar.day import review
from brody_calendar.options import conflict_of

BERLIN = ZoneInfo("Europe/Berlin")
OWN = frozenset({"me@home.example"})
BO, ANN = Attendee("bo@team.example", "Bo"), Attendee("ann@team.example")


def event(title: str, start: str, end: str, **more: Any) -> Event:
    begins, ends = (datetime.fromisoformat(f"2026-03-30T{clock}").replace(tzinfo=BERLIN) for clock in (start, end))
    facts: dict[str, Any] = {
        "id": f"id-{title}",
        "account": "ics:/c",
        "uid": title,
        "recurrence_id": "",
        "title": title,
    }
    facts |= {"start": begins, "end": ends}
    return Event(**(facts | more))


def conflict(*events: Event, now: str = "07:00") -> ConflictFound:
    day = review(date(2026, 3, 30), events, OWN, BERLIN)
    [overlap] = day.overlaps
    return conflict_of(overlap, day, OWN, datetime.fromisoformat(f"2026-03-30T{now}").replace(tzinfo=BERLIN))


def test_resource_and_parties_name_what_meets_and_where() -> None:
    found = conflict(
        event("a", "10:00", "11:00", calendar="work", organizer=BO), event("b", "10:30", "11:30", priority=1)
    )

    assert (found.kind, found.resource) == ("slot", "ics:/c/slots/2026-03-30T10:30:00+02:00")
    assert found.parties[0] == {
        "id": "id-a",
        "title": "a",
        "start": "2026-03-30T10:00:00+02:00",
        "end": "2026-03-30T11:00:00+02:00",
        "calendar": "work",
        "organizer": "bo@team.example",
        "priority": 0,
        "movable": False,
    }
    assert [party["id"] for party in found.parties] == ["id-a", "id-b"]


def test_series_gives_way_to_one_date_and_its_organizer_is_asked() -> None:
    review_, sync = (
        event("review", "14:30", "15:30", organizer=BO, attendees=(BO,)),
        event("sync", "15:00", "15:45", organizer=BO, attendees=(BO, ANN), recurrence_id="20260330T130000Z"),
    )
    found = conflict(review_, sync)

    assert found.why == (
        "“review” (14:30–15:30) and “sync” (15:00–15:45) overlap from 15:00 to 15:30. "
        "“sync” comes again, “review” is one date."
    )
    assert found.options == [
        "Ask Bo to move “sync” to 15:45–16:30, which is free",
        "Leave “review” at 15:00, when “sync” begins",
        "Decline “sync” and tell Bo",
    ]


def test_own_entry_gives_way_to_a_meeting_with_others_and_is_moved_by_the_user() -> None:
    found = conflict(
        event("alone", "10:00", "11:00"), event("meeting", "10:00", "11:00", organizer=BO, attendees=(BO,))
    )

    assert found.options == [
        "Move “alone” to 11:00–12:00, which is free",
        "Go to “meeting” until 10:30 and to “alone” from then on",
        "Call off “alone”",
    ]


def test_tentative_gives_way_to_firm() -> None:
    firm, soft = event("firm", "10:00", "11:00"), event("soft", "10:00", "10:30", status="tentative", organizer=BO)

    assert "“soft” is not firm yet." in conflict(firm, soft).why


def test_meeting_of_the_users_own_is_called_off_with_a_word_to_all() -> None:
    own = event("own", "10:00", "11:00", organizer=Attendee("me@home.example"), attendees=(BO, ANN), recurrence_id="x")
    other = event("other", "10:00", "11:00", organizer=BO, attendees=(BO, ANN))

    assert conflict(own, other).options[2] == "Call off “own” and tell the 2 others"


def test_full_day_offers_another_one() -> None:
    full = event("full", "09:00", "18:00", organizer=BO, attendees=(BO,))

    assert conflict(full, event("a", "10:00", "11:00")).options[0] == (
        "Move “a” to another day: today no 60 minutes are free"
    )


def test_time_that_is_past_is_not_offered() -> None:
    found = conflict(event("a", "15:00", "16:00"), event("b", "15:30", "16:30", organizer=BO), now="16:40")

    assert found.options[0] == "Move “a” to 16:45–17:45, which is free"
