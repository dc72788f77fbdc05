"""Occurrences in a window: times of all kinds, zones, changes of clocks."""

import pickle
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from brody_agents.communication.message_protocol import stable_id
from brody_agents.integrations.calendar.base import Attendee, Event
from brody_agents.integrations.calendar.expansion import (
    Expansion,
    StoredEvent,
    bounds,
    components,
    expand,
    expand_all,
    own_status,
)

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
ACCOUNT = "ics:/calendar"


def stored(*events: str, head: str = "", key: str = "u") -> StoredEvent:
    body = "".join(f"BEGIN:VEVENT\nUID:{key}\n{event}\nEND:VEVENT\n" for event in events)
    text = f"BEGIN:VCALENDAR\nVERSION:2.0\n{head}{body}END:VCALENDAR\n"
    return StoredEvent(ACCOUNT, key, "v1", text.replace("\n", "\r\n"), "work")


def days(raw: StoredEvent, first: str, last: str, zone: ZoneInfo = BERLIN, **options: Any) -> list[Event]:
    start, end = (datetime.fromisoformat(day).replace(tzinfo=zone) for day in (first, last))
    return expand(raw, start, end, zone, **options)


def starts(raw: StoredEvent, first: str, last: str, zone: ZoneInfo = BERLIN) -> list[str]:
    return [event.start.isoformat(timespec="minutes") for event in days(raw, first, last, zone)]


def problems(raw: StoredEvent, first: str, last: str) -> Expansion:
    start, end = (datetime.fromisoformat(day).replace(tzinfo=BERLIN) for day in (first, last))
    return expand_all([raw], start, end, BERLIN)


# -- one event -----------------------------------------------------------------------------------------


def test_single_event_has_the_id_of_its_uid_and_all_that_stands_in_it() -> None:
    raw = stored(
        "DTSTART;TZID=Europe/Berlin:20260330T100000\nDTEND;TZID=Europe/Berlin:20260330T113000\n"
        "SUMMARY:Budget\\, again\nLOCATION:Room 5\nDESCRIPTION:One\\nTwo\nSEQUENCE:3\n"
        "STATUS:TENTATIVE\nPRIORITY:1\nCATEGORIES:A,B\n"
        'ORGANIZER;CN=Bo:mailto:Bo@team.example\nATTENDEE;CN="Ann, A.";PARTSTAT=ACCEPTED:MAILTO:ann@team.example\n'
        "ATTENDEE;CUTYPE=ROOM:mailto:room5@team.example"
    )
    [event] = days(raw, "2026-03-30", "2026-03-31")

    assert event == Event(
        id=stable_id(ACCOUNT, "u"),
        account=ACCOUNT,
        uid="u",
        recurrence_id="",
        title="Budget, again",
        start=datetime(2026, 3, 30, 10, tzinfo=BERLIN),
        end=datetime(2026, 3, 30, 11, 30, tzinfo=BERLIN),
        calendar="work",
        location="Room 5",
        description="One\nTwo",
        organizer=Attendee("bo@team.example", "Bo"),
        attendees=(
            Attendee("ann@team.example", "Ann, A.", "accepted"),
            Attendee("room5@team.example", role="none"),
        ),
        status="tentative",
        sequence=3,
        version="v1",
        categories=("A", "B"),
        priority=1,
    )


@pytest.mark.parametrize(
    ("times", "start", "end"),
    [
        ("DTSTART:20260330T080000Z\nDURATION:PT90M", "2026-03-30T10:00+02:00", "2026-03-30T11:30+02:00"),
        ("DTSTART:20260330T100000\nDTEND:20260330T110000", "2026-03-30T10:00+02:00", "2026-03-30T11:00+02:00"),
        ("DTSTART:20260330T100000", "2026-03-30T10:00+02:00", "2026-03-30T10:00+02:00"),
        ("DTSTART:20260330T100000\nDURATION:P1DT2H", "2026-03-30T10:00+02:00", "2026-03-31T12:00+02:00"),
        # start and end confused
        ("DTSTART:20260330T100000\nDTEND:20260330T090000", "2026-03-30T09:00+02:00", "2026-03-30T10:00+02:00"),
        ("DTSTART;VALUE=DATE:20260330", "2026-03-30T00:00+02:00", "2026-03-31T00:00+02:00"),
        ("DTSTART;VALUE=DATE:20260330\nDTEND;VALUE=DATE:20260330", "2026-03-30T00:00+02:00", "2026-03-31T00:00+02:00"),
        ("DTSTART;VALUE=DATE:20260328\nDTEND;VALUE=DATE:20260331", "2026-03-28T00:00+01:00", "2026-03-31T00:00+02:00"),
        ("DTSTART;VALUE=DATE:20260330\nDURATION:P2D", "2026-03-30T00:00+02:00", "2026-04-01T00:00+02:00"),
        # a flight: each end on its own clock
        (
            "DTSTART;TZID=Europe/Berlin:20260330T100000\nDTEND;TZID=America/New_York:20260330T130000",
            "2026-03-30T10:00+02:00",
            "2026-03-30T19:00+02:00",
        ),
    ],
)
def test_times_of_all_kinds_are_shown_in_the_zone_that_was_asked_for(times: str, start: str, end: str) -> None:
    [event] = days(stored(times), "2026-03-30", "2026-03-31")

    assert (event.start.isoformat(timespec="minutes"), event.end.isoformat(timespec="minutes")) == (start, end)
    assert event.all_day is ("VALUE=DATE" in times)


def test_floating_time_and_date_belong_to_whoever_looks() -> None:
    floating, day = stored("DTSTART:20260330T090000"), stored("DTSTART;VALUE=DATE:20260330")

    assert starts(floating, "2026-03-30", "2026-03-31", NEW_YORK) == ["2026-03-30T09:00-04:00"]
    assert starts(day, "2026-03-30", "2026-03-31", NEW_YORK) == ["2026-03-30T00:00-04:00"]
    assert starts(day, "2026-03-29", "2026-03-30", NEW_YORK) == []


def test_window_takes_what_overlaps_it_and_nothing_that_only_touches_it() -> None:
    raw = stored("DTSTART:20260330T220000\nDTEND:20260331T000000")
    instant = stored("DTSTART:20260331T000000\nDTEND:20260331T000000")

    assert len(days(raw, "2026-03-30", "2026-03-31")) == 1
    assert days(raw, "2026-03-31", "2026-04-01") == []
    assert days(instant, "2026-03-30", "2026-03-31") == []
    assert len(days(instant, "2026-03-31", "2026-04-01")) == 1


def test_cancelled_is_left_out_unless_asked_for_and_never_busy() -> None:
    raw = stored("DTSTART:20260330T100000\nSTATUS:CANCELLED")
    [event] = days(raw, "2026-03-30", "2026-03-31", cancelled=True)

    assert days(raw, "2026-03-30", "2026-03-31") == []
    assert (event.status, event.busy) == ("cancelled", False)


def test_transparent_is_shown_but_not_busy() -> None:
    [event] = days(stored("DTSTART:20260330T100000\nTRANSP:TRANSPARENT"), "2026-03-30", "2026-03-31")

    assert not event.busy


# -- clocks --------------------------------------------------------------------------------------------

WEEKLY_AT_TEN = "DTSTART;TZID={0}:20260101T100000\nDTEND;TZID={0}:20260101T110000\nRRULE:FREQ=WEEKLY"


@pytest.mark.parametrize(
    ("zone", "before", "after"),
    [
        ("Europe/Berlin", "2026-03-26T10:00+01:00", "2026-04-02T10:00+02:00"),
        ("Europe/Berlin", "2026-10-22T10:00+02:00", "2026-10-29T10:00+01:00"),
        ("America/New_York", "2026-03-05T10:00-05:00", "2026-03-12T10:00-04:00"),
        ("America/New_York", "2026-10-29T10:00-04:00", "2026-11-05T10:00-05:00"),
    ],
)
def test_weekly_at_ten_stays_at_ten_when_the_clocks_change(zone: str, before: str, after: str) -> None:
    raw = stored(WEEKLY_AT_TEN.format(zone))
    last = (date.fromisoformat(after[:10]) + timedelta(days=1)).isoformat()

    assert starts(raw, before[:10], last, ZoneInfo(zone)) == [before, after]


def test_series_of_another_continent_moves_here_while_only_its_clock_has_changed() -> None:
    raw = stored(WEEKLY_AT_TEN.format("America/New_York"))

    assert starts(raw, "2026-03-01", "2026-04-10") == [
        "2026-03-05T16:00+01:00",
        "2026-03-12T15:00+01:00",
        "2026-03-19T15:00+01:00",
        "2026-03-26T15:00+01:00",
        "2026-04-02T16:00+02:00",
        "2026-04-09T16:00+02:00",
    ]


def test_time_that_the_clock_skips_is_an_hour_later_and_one_that_comes_twice_is_the_first() -> None:
    raw = stored(
        "DTSTART;TZID=Europe/Berlin:20260101T023000\nDTEND;TZID=Europe/Berlin:20260101T024500\nRRULE:FREQ=DAILY"
    )

    assert starts(raw, "2026-03-29", "2026-03-30") == ["2026-03-29T03:30+02:00"]
    assert starts(raw, "2026-10-25", "2026-10-26") == ["2026-10-25T02:30+02:00"]


@pytest.mark.parametrize(
    ("length", "end"), [("DTEND;TZID=Europe/Berlin:20260322T060000", "06:00"), ("DURATION:PT8H", "07:00")]
)
def test_night_shift_ends_by_the_clock_unless_its_hours_are_counted(length: str, end: str) -> None:
    raw = stored(f"DTSTART;TZID=Europe/Berlin:20260321T220000\n{length}\nRRULE:FREQ=WEEKLY")
    [event] = days(raw, "2026-03-28", "2026-03-29")

    assert event.end.isoformat(timespec="minutes") == f"2026-03-29T{end}+02:00"


def test_all_day_series_fills_the_short_day_and_the_long_one() -> None:
    raw = stored("DTSTART;VALUE=DATE:20260101\nRRULE:FREQ=DAILY")
    short, long = days(raw, "2026-03-29", "2026-03-30"), days(raw, "2026-10-25", "2026-10-26")

    hours = [(e.end.astimezone(UTC) - e.start.astimezone(UTC)) / timedelta(hours=1) for e in (*short, *long)]
    assert hours == [23, 25]


CUSTOM = """BEGIN:VTIMEZONE
TZID:Customized Time Zone
BEGIN:STANDARD
DTSTART:16010101T030000
TZOFFSETFROM:{summer}
TZOFFSETTO:{winter}
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:16010101T020000
TZOFFSETFROM:{winter}
TZOFFSETTO:{summer}
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3
END:DAYLIGHT
END:VTIMEZONE
"""


def test_zone_that_only_the_calendar_knows_is_its_own_even_if_another_calendar_uses_the_name() -> None:
    event = "DTSTART;TZID=Customized Time Zone:20260101T100000\nRRULE:FREQ=DAILY"
    berlin = stored(event, head=CUSTOM.format(winter="+0100", summer="+0200"))
    athens = stored(event, head=CUSTOM.format(winter="+0200", summer="+0300"))

    assert starts(berlin, "2026-03-28", "2026-03-30") == ["2026-03-28T10:00+01:00", "2026-03-29T10:00+02:00"]
    assert starts(athens, "2026-03-28", "2026-03-30") == ["2026-03-28T09:00+01:00", "2026-03-29T09:00+02:00"]


@pytest.mark.parametrize(
    "name",
    ["W. Europe Standard Time", "/mozilla.example/20070129_1/Europe/Berlin", '"Europe/Berlin"', "/Europe/Berlin"],
)
def test_zone_by_the_names_that_other_programs_give_it(name: str) -> None:
    raw = stored(f"DTSTART;TZID={name}:20260330T100000")

    assert starts(raw, "2026-03-30", "2026-03-31", NEW_YORK) == ["2026-03-30T04:00-04:00"]


@pytest.mark.parametrize("name", ["Nowhere/Nothing", "Europe", "../../etc/passwd"])
def test_zone_that_nobody_knows_is_taken_as_local_and_reported(name: str) -> None:
    found = problems(stored(f"DTSTART;TZID={name}:20260330T100000"), "2026-03-30", "2026-03-31")

    assert [e.start for e in found.events] == [datetime(2026, 3, 30, 10, tzinfo=BERLIN)]
    assert [(key, name in what) for key, what in found.problems] == [("u", True)]


DAILY_AT_TEN = "DTSTART;TZID=Europe/Berlin:20260328T100000\nDTEND;TZID=Europe/Berlin:20260328T110000\nRRULE:FREQ=DAILY"

# -- the rest --------------------------------------------------------------------------------------------


def test_components_and_bounds_are_those_of_the_calendar_not_of_a_window() -> None:
    raw = stored(DAILY_AT_TEN, "RECURRENCE-ID:20260330T080000Z\nDTSTART:20260410T080000Z")
    single = stored("DTSTART:20260330T100000\nDTEND:20260330T110000")

    assert [(e.recurrence_id, e.start.day) for e in components(raw, BERLIN)] == [("", 28), ("20260330T080000Z", 10)]
    assert bounds(raw, BERLIN).end is None
    assert bounds(single, BERLIN).end == datetime(2026, 3, 30, 11, tzinfo=BERLIN)


def test_all_of_it_goes_to_another_process_and_back() -> None:
    raw = stored(
        "DTSTART;TZID=Customized Time Zone:20260101T100000\nRRULE:FREQ=DAILY",
        head=CUSTOM.format(winter="+0100", summer="+0200"),
    )
    start, end = (datetime(2026, 3, day, tzinfo=BERLIN) for day in (30, 31))

    assert pickle.loads(pickle.dumps(expand_all))(
        pickle.loads(pickle.dumps([raw])), start, end, BERLIN
    ) == pickle.loads(pickle.dumps(expand_all([raw], start, end, BERLIN)))


def test_own_answer_is_that_of_any_own_address_and_an_own_event_is_accepted() -> None:
    raw = stored(
        "DTSTART:20260330T100000\nATTENDEE;PARTSTAT=DECLINED:mailto:me@home.example\nATTENDEE:mailto:bo@team.example"
    )
    [event] = days(raw, "2026-03-30", "2026-03-31")

    assert own_status(event, {"Me@Home.example"}) == "declined"
    assert own_status(event, {"other@home.example"}) == "accepted"
