"""The day in the user's zone: overlaps, travel, gaps."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brody_agents.integrations.calendar.base import Attendee, Event
from brody_calendar.day import TRAVEL, Day, minutes_of, overlaps, review, timeline, whole_day, working_hours
from brody_calendar.occasion import place_of

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
DAY = date(2026, 3, 30)
OWN = frozenset({"me@home.example"})
BO = Attendee("bo@team.example", "Bo")


def event(start: str, end: str, title: str = "", *, zone: ZoneInfo = BERLIN, **more: Any) -> Event:
    """Return an event of the day from HH:MM to HH:MM."""
    times = [datetime.combine(DAY, datetime.strptime(t, "%H:%M").time(), zone) for t in (start, end)]
    title = title or start
    facts = {"id": f"id-{title}", "account": "ics:/c", "uid": title, "recurrence_id": "", "title": title}
    return Event(**(facts | {"start": times[0], "end": times[1]} | more))


def day_long(title: str, **more: Any) -> Event:
    start, end = whole_day(DAY, BERLIN)
    return replace(event("00:00", "00:00", title, all_day=True, **more), start=start, end=end)


def answered(status: Any) -> dict[str, Any]:
    return {"organizer": BO, "attendees": (Attendee("me@home.example", status=status), BO)}


def gaps(*events: Event) -> list[str]:
    return [f"{gap.start:%H:%M}-{gap.end:%H:%M}" for gap in review(DAY, events, OWN, BERLIN).gaps]


def clashes(*events: Event) -> list[tuple[str, ...]]:
    return [tuple(e.title for e in overlap.events) for overlap in overlaps(events, OWN)]


# -- overlaps ------------------------------------------------------------------------------------------


def test_overlap_is_the_time_that_both_take() -> None:
    [overlap] = overlaps([event("10:00", "11:00", "a"), event("10:30", "12:00", "b")], OWN)

    assert [e.title for e in overlap.events] == ["a", "b"]
    assert (f"{overlap.start:%H:%M}", f"{overlap.end:%H:%M}") == ("10:30", "11:00")


def test_one_after_the_other_is_no_overlap() -> None:
    assert clashes(event("10:00", "11:00"), event("11:00", "12:00")) == []


def test_chain_is_two_overlaps_and_three_at_once_are_one() -> None:
    chain = event("09:00", "10:30", "a"), event("10:00", "12:00", "b"), event("11:00", "13:00", "c")
    heap = event("09:00", "12:00", "a"), event("10:00", "12:00", "b"), event("11:00", "13:00", "c")

    assert clashes(*chain) == [("a", "b"), ("b", "c")]
    assert clashes(*heap) == [("a", "b", "c")]


@pytest.mark.parametrize(
    "free",
    [
        event("10:00", "11:00", "b", busy=False),
        event("10:00", "11:00", "b", status="cancelled", busy=False),
        event("10:00", "11:00", "b", **answered("declined")),
        event("10:00", "10:00", "b"),
        event("10:00", "11:00", "A"),  # the same meeting in another calendar
        event("09:30", "10:30", "b", uid="a"),  # another occurrence of one series
        day_long("Birthday of Ann"),
    ],
)
def test_what_takes_no_time_or_is_the_same_thing_overlaps_nothing(free: Event) -> None:
    assert clashes(event("10:00", "11:00", "a", uid="a"), free) == []


def test_meeting_on_a_day_off_overlaps_it_and_two_days_off_are_fine() -> None:
    off, holiday = day_long("Vacation"), day_long("Urlaub")

    assert clashes(off, holiday, event("10:00", "11:00", "a")) == [("Urlaub", "Vacation", "a")]
    assert clashes(off, holiday) == []


def test_unanswered_and_tentative_ones_count() -> None:
    one, two = (
        event("10:00", "11:00", "a", **answered("needs-action")),
        event("10:00", "11:00", "b", status="tentative"),
    )

    assert clashes(one, two) == [("a", "b")]


# -- gaps ----------------------------------------------------------------------------------------------


def test_empty_day_is_free_from_nine_to_six() -> None:
    assert gaps() == ["09:00-18:00"]


def test_gaps_lie_between_what_takes_time() -> None:
    day = event("08:00", "09:30"), event("11:00", "12:00"), event("11:30", "13:00"), event("17:00", "19:00")

    assert gaps(*day) == ["09:30-11:00", "13:00-17:00"]


def test_gap_too_short_to_be_used_is_none() -> None:
    assert gaps(event("09:10", "12:00"), event("12:14", "18:00")) == []


def test_day_off_has_no_gaps_and_a_note_to_the_day_takes_none() -> None:
    assert gaps(day_long("Out of office")) == []
    assert gaps(day_long("Release day")) == ["09:00-18:00"]


def test_event_elsewhere_leaves_time_to_get_there_and_back() -> None:
    assert timedelta(minutes=30) == TRAVEL
    assert gaps(event("12:00", "13:00", location="Main Street 5")) == ["09:00-11:30", "13:30-18:00"]


@pytest.mark.parametrize(
    "location",
    [
        "",
        "Zoom",
        "https://meet.team.example/x",
        "Telefon",
        "+49 30 1234567",
        "Room 5",
        "Besprechungsraum 2.14",
        "My office",
    ],
)
def test_call_and_room_of_the_house_need_no_way(location: str) -> None:
    assert gaps(event("12:00", "13:00", location=location)) == ["09:00-12:00", "13:00-18:00"]


def test_between_two_places_there_is_one_way_and_within_one_there_is_none() -> None:
    here, there = event("09:00", "11:00", location="Hall 3, Berlin"), event("13:00", "18:00", location="Main Street 5")

    assert gaps(here, there) == ["11:00-12:30"]
    assert gaps(here, replace(there, location="hall 3")) == ["11:00-13:00"]


def test_way_longer_than_the_gap_takes_all_of_it() -> None:
    assert gaps(event("09:00", "12:00"), event("12:20", "17:30", location="Main Street 5")) == []


def test_way_home_from_before_the_working_day_counts() -> None:
    assert gaps(event("08:00", "08:45", location="Main Street 5")) == ["09:15-18:00"]


@st.composite
def days(draw: st.DrawFn) -> list[Event]:
    minutes = st.integers(-120, 1500)
    places = st.sampled_from(["", "Main Street 5", "Hall 3", "Zoom"])
    midnight = whole_day(DAY, BERLIN)[0].astimezone(UTC)
    events = []
    for number in range(draw(st.integers(0, 8))):
        start = midnight + timedelta(minutes=draw(minutes))
        end = start + timedelta(minutes=draw(st.integers(0, 400)))
        made = event("00:00", "00:00", f"e{number}", location=draw(places), busy=draw(st.booleans()))
        events.append(replace(made, start=start.astimezone(BERLIN), end=end.astimezone(BERLIN)))
    return events


@given(days())
def test_busy_travel_and_free_make_up_the_working_day(events: list[Event]) -> None:
    slices = timeline(DAY, events, OWN, BERLIN)
    busy = [e for e in events if e.busy and e.start < e.end]
    begins, ends = working_hours(DAY, BERLIN)

    assert (slices[0].start, slices[-1].end) == (begins, ends)
    assert all(one.end == other.start and one.start < one.end for one, other in pairwise(slices))
    for minute in range(minutes_of(begins, ends)):
        moment = begins + timedelta(minutes=minute)
        [part] = [s for s in slices if s.start <= moment < s.end]
        assert (part.kind == "busy") is any(e.start <= moment < e.end for e in busy)
        near = any(place_of(e) and e.start - TRAVEL <= moment < e.end + TRAVEL for e in busy)
        assert part.kind != "travel" or near


@given(days())
def test_overlaps_are_exactly_where_two_take_the_same_time(events: list[Event]) -> None:
    found = overlaps(events, OWN)
    busy = [e for e in events if e.busy and e.start < e.end]
    pairs = {(a.id, b.id) for a in busy for b in busy if a.id < b.id and a.start < b.end and b.start < a.end}

    assert {(a.id, b.id) for o in found for a in o.events for b in o.events if a.id < b.id} == pairs
    assert all(e.start <= o.start < o.end <= e.end for o in found for e in o.events)
    assert len({o.start for o in found}) == len(found)


# -- the whole -----------------------------------------------------------------------------------------


def test_meeting_minutes_count_meetings_with_others_only() -> None:
    day = review(
        DAY,
        [
            event("09:00", "10:00", "with Bo", attendees=(BO,)),
            event("10:00", "11:30", "unanswered", **answered("needs-action")),
            event("12:00", "13:00", "alone"),
            event("13:00", "14:00", "declined", **answered("declined")),
            event("14:00", "15:00", "room", attendees=(Attendee("room@team.example", role="none"),)),
            day_long("Fair", attendees=(BO,)),
        ],
        OWN,
        BERLIN,
    )

    assert day.meeting_minutes == 150


def test_value_is_json_and_names_times_with_their_offset() -> None:
    value = review(DAY, [event("10:00", "11:00", "a"), event("10:30", "12:00", "b")], OWN, BERLIN).value()

    assert json.loads(json.dumps(value)) == {
        "timezone": "Europe/Berlin",
        "agenda": ["id-a", "id-b"],
        "gaps": [
            {"start": "2026-03-30T09:00:00+02:00", "end": "2026-03-30T10:00:00+02:00", "minutes": 60},
            {"start": "2026-03-30T12:00:00+02:00", "end": "2026-03-30T18:00:00+02:00", "minutes": 360},
        ],
        "overlaps": [
            {
                "start": "2026-03-30T10:30:00+02:00",
                "end": "2026-03-30T11:00:00+02:00",
                "minutes": 30,
                "events": ["id-a", "id-b"],
            }
        ],
        "meeting_minutes": 0,
        "busy_minutes": 120,
        "free_minutes": 420,
    }


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        (BERLIN, date(2026, 3, 29), 23),
        (BERLIN, date(2026, 10, 25), 25),
        (NEW_YORK, date(2026, 3, 8), 23),
        (NEW_YORK, date(2026, 11, 1), 25),
    ],
)
def test_day_on_which_the_clocks_change_is_whole(zone: ZoneInfo, day: date, hours: int) -> None:
    start, end = whole_day(day, zone)
    night = replace(
        event("00:00", "00:00", "night", organizer=BO),
        start=datetime.combine(day, datetime.min.time(), zone),
        end=datetime(day.year, day.month, day.day, 9, 30, tzinfo=zone),
    )
    made: Day = review(day, [night], OWN, zone)

    assert minutes_of(start, end) == hours * 60
    assert made.meeting_minutes == 570 + (hours - 24) * 60
    assert [(f"{g.start:%H:%M}", g.minutes) for g in made.gaps] == [("09:30", 510)]
