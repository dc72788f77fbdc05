"""Series: exceptions, exclusions, additions, ends, and rules that no calendar should contain."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import DAILY, MONTHLY, WEEKLY, YEARLY, rrule  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from brody_agents.communication.message_protocol import stable_id
from brody_agents.errors import ItemUnreadable
from brody_agents.integrations.calendar.base import Event
from brody_agents.integrations.calendar.expansion import (
    MAX_OCCURRENCES,
    Expansion,
    StoredEvent,
    expand,
    expand_all,
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


DAILY_AT_TEN = "DTSTART;TZID=Europe/Berlin:20260328T100000\nDTEND;TZID=Europe/Berlin:20260328T110000\nRRULE:FREQ=DAILY"


def at(*days_of_march: int, hour: str = "10") -> list[str]:
    return [f"2026-03-{day}T{hour}:00+0{1 if day < 29 else 2}:00" for day in days_of_march]


def test_occurrence_has_the_id_of_its_recurrence_and_keeps_it_when_it_is_moved() -> None:
    series = stored(DAILY_AT_TEN)
    moved = stored(DAILY_AT_TEN, "RECURRENCE-ID;TZID=Europe/Berlin:20260330T100000\nDTSTART:20260330T150000Z")
    [before], [after] = (days(raw, "2026-03-30", "2026-03-31") for raw in (series, moved))

    assert before.recurrence_id == after.recurrence_id == "20260330T080000Z"
    assert before.id == after.id == stable_id(ACCOUNT, "u", "20260330T080000Z")
    assert after.start.hour == 17


def test_recurrence_id_of_a_date_and_of_a_floating_time_are_written_as_such() -> None:
    day = days(stored("DTSTART;VALUE=DATE:20260101\nRRULE:FREQ=DAILY"), "2026-03-30", "2026-03-31")
    floating = days(stored("DTSTART:20260101T100000\nRRULE:FREQ=DAILY"), "2026-03-30", "2026-03-31")

    assert [e.recurrence_id for e in (*day, *floating)] == ["20260330", "20260330T100000"]


@pytest.mark.parametrize(
    "line",
    [
        "EXDATE;TZID=Europe/Berlin:20260330T100000",
        "EXDATE:20260330T080000Z",
        "EXDATE;TZID=America/New_York:20260330T040000",
        "EXDATE;VALUE=DATE:20260330",
        "EXDATE:20260330T100000",
        "EXDATE;TZID=Europe/Berlin:20260315T100000,20260330T100000",
    ],
)
def test_excluded_date_is_found_however_it_is_written(line: str) -> None:
    assert starts(stored(f"{DAILY_AT_TEN}\n{line}"), "2026-03-29", "2026-04-01") == at(29, 31)


@pytest.mark.parametrize("line", ["EXDATE;VALUE=DATE:20260330", "EXDATE:20260330T000000", "EXDATE:20260329T220000Z"])
def test_excluded_day_of_an_all_day_series_is_found_however_it_is_written(line: str) -> None:
    raw = stored(f"DTSTART;VALUE=DATE:20260328\nRRULE:FREQ=DAILY\n{line}")

    assert [s[:10] for s in starts(raw, "2026-03-29", "2026-04-01")] == ["2026-03-29", "2026-03-31"]


def test_exclusion_in_utc_takes_one_of_two_occurrences_a_day_not_the_one_that_shows_that_hour() -> None:
    raw = stored(f"{DAILY_AT_TEN};BYHOUR=8,10\nEXDATE:20260330T080000Z")

    assert starts(raw, "2026-03-30", "2026-03-31") == at(30, hour="08")


def test_added_dates_and_periods_join_the_series() -> None:
    raw = stored(
        "DTSTART;TZID=Europe/Berlin:20260330T100000\nDTEND;TZID=Europe/Berlin:20260330T110000\n"
        "RDATE;TZID=Europe/Berlin:20260331T100000,20260331T140000\nRDATE;VALUE=PERIOD:20260330T120000Z/PT3H"
    )
    events = days(raw, "2026-03-30", "2026-04-01")

    assert [(f"{e.start:%d %H}", (e.end - e.start) / timedelta(hours=1)) for e in events] == [
        ("30 10", 1),
        ("30 14", 3),
        ("31 10", 1),
        ("31 14", 1),
    ]


@pytest.mark.parametrize(
    ("until", "last"),
    [
        ("20260330T080000Z", 30),  # just the start of the 30th, in UTC as the RFC wants it
        ("20260330T075959Z", 29),
        ("20260330", 30),  # a date, though the start is a time: the whole of that day
        ("20260330T100000", 30),  # floating: on the clock of the series
    ],
)
def test_until_includes_its_moment(until: str, last: int) -> None:
    assert starts(stored(f"{DAILY_AT_TEN};UNTIL={until}"), "2026-03-28", "2026-04-05") == at(*range(28, last + 1))


def test_until_of_an_all_day_series_may_be_a_time() -> None:
    raw = stored("DTSTART;VALUE=DATE:20260328\nRRULE:FREQ=DAILY;UNTIL=20260330T000000Z")

    assert [s[8:10] for s in starts(raw, "2026-03-28", "2026-04-05", NEW_YORK)] == ["28", "29", "30"]


@pytest.mark.parametrize("line", ["EXDATE:", "EXDATE;VALUE=DATE:", "RDATE:"])
def test_line_without_a_value_says_nothing(line: str) -> None:
    assert starts(stored(f"{DAILY_AT_TEN}\n{line}"), "2026-03-29", "2026-03-31") == at(29, 30)


def test_count_counts_excluded_ones_too() -> None:
    raw = stored(f"{DAILY_AT_TEN};COUNT=3\nEXDATE:20260329T080000Z")

    assert starts(raw, "2026-03-28", "2026-04-05") == at(28, 30)


def test_exception_replaces_its_occurrence_and_may_leave_or_enter_the_window() -> None:
    raw = stored(
        DAILY_AT_TEN,
        "RECURRENCE-ID:20260330T080000Z\nDTSTART:20260410T080000Z\nSUMMARY:Out",
        "RECURRENCE-ID:20260420T080000Z\nDTSTART:20260330T120000Z\nSUMMARY:In",
    )
    [event] = days(raw, "2026-03-30", "2026-03-31")

    assert (event.title, event.recurrence_id) == ("In", "20260420T080000Z")
    assert [e.title for e in days(raw, "2026-04-10", "2026-04-11")] == ["Out", ""]
    assert days(raw, "2026-04-20", "2026-04-21") == []


def test_cancelled_exception_takes_only_its_own_occurrence() -> None:
    raw = stored(DAILY_AT_TEN, "RECURRENCE-ID:20260330T080000Z\nDTSTART:20260330T080000Z\nSTATUS:CANCELLED")

    assert starts(raw, "2026-03-29", "2026-04-01") == at(29, 31)


def test_exception_without_its_series_stands_for_itself() -> None:
    raw = stored("RECURRENCE-ID:20260330T080000Z\nDTSTART:20260330T120000Z")
    [event] = days(raw, "2026-03-30", "2026-03-31")

    assert (event.start.hour, event.id) == (14, stable_id(ACCOUNT, "u", "20260330T080000Z"))


def test_change_of_this_and_all_that_follow_moves_them_and_leaves_each_its_id() -> None:
    raw = stored(
        DAILY_AT_TEN,
        "RECURRENCE-ID;RANGE=THISANDFUTURE:20260330T080000Z\nDTSTART:20260330T120000Z\nDTEND:20260330T123000Z\nSUMMARY:New",
    )
    events = days(raw, "2026-03-29", "2026-04-02")

    assert [(f"{e.start:%d %H:%M}", f"{e.end:%H:%M}", e.title) for e in events] == [
        ("29 10:00", "11:00", ""),
        ("30 14:00", "14:30", "New"),
        ("31 14:00", "14:30", "New"),
        ("01 14:00", "14:30", "New"),
    ]
    assert [e.recurrence_id for e in events] == [f"2026{d}T080000Z" for d in ("0329", "0330", "0331", "0401")]


def test_long_occurrence_is_found_days_after_it_began() -> None:
    raw = stored("DTSTART;VALUE=DATE:20260105\nDTEND;VALUE=DATE:20260119\nRRULE:FREQ=MONTHLY")

    assert [s[:10] for s in starts(raw, "2026-03-18", "2026-03-19")] == ["2026-03-05"]


def test_of_two_masters_the_later_sequence_counts() -> None:
    raw = stored(f"SEQUENCE:1\n{DAILY_AT_TEN}", "SEQUENCE:2\nDTSTART:20260330T120000Z")

    assert starts(raw, "2026-03-28", "2026-04-05") == ["2026-03-30T14:00+02:00"]


FREQUENCIES = {DAILY: "DAILY", WEEKLY: "WEEKLY", MONTHLY: "MONTHLY", YEARLY: "YEARLY"}
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


@settings(max_examples=150, deadline=None)
@given(
    frequency=st.sampled_from(list(FREQUENCIES)),
    interval=st.integers(1, 5),
    weekdays=st.sets(st.integers(0, 6), max_size=3),
    count=st.none() | st.integers(1, 60),
    until=st.none() | st.integers(0, 3000),
    start=st.datetimes(datetime(1990, 1, 1), datetime(2026, 1, 1)).map(lambda d: d.replace(second=0, microsecond=0)),
    window=st.integers(0, 12_000),
    length=st.integers(1, 60),
)
def test_simple_rule_gives_what_dateutil_counts_through(
    frequency: int,
    interval: int,
    weekdays: set[int],
    count: int | None,
    until: int | None,
    start: datetime,
    window: int,
    length: int,
) -> None:
    ends = None if until is None else start + timedelta(days=until)
    parts = [f"FREQ={FREQUENCIES[frequency]}", f"INTERVAL={interval}"]
    parts += [f"BYDAY={','.join(WEEKDAYS[d] for d in sorted(weekdays))}"] if weekdays else []
    parts += [f"COUNT={count}"] if count and ends is None else []
    parts += [f"UNTIL={ends:%Y%m%dT%H%M%S}"] if ends else []
    plain = rrule(
        frequency,
        dtstart=start,
        interval=interval,
        byweekday=sorted(weekdays) or None,
        count=count if ends is None else None,
        until=ends,
    )
    low = start + timedelta(days=window) - timedelta(days=20)
    high = low + timedelta(days=length)
    wanted = {when for when in plain.between(low, high, inc=True) if when < high} | (
        {start} if low <= start < high else set()
    )

    raw = stored(f"DTSTART:{start:%Y%m%dT%H%M%S}\nRRULE:{';'.join(parts)}")
    found = expand(raw, low.replace(tzinfo=UTC), high.replace(tzinfo=UTC), ZoneInfo("UTC"))

    assert [event.start.replace(tzinfo=None) for event in found] == sorted(wanted)


# -- what no calendar should contain ---------------------------------------------------------------------

ENDLESS = [
    "FREQ=SECONDLY",
    "FREQ=MINUTELY",
    "FREQ=SECONDLY;COUNT=2000000000",
    "FREQ=SECONDLY;BYDAY=MO;COUNT=2000000000",
    "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=DAILY;INTERVAL=7;BYDAY=TU",
    "FREQ=DAILY;BYSETPOS=2",
    "FREQ=WEEKLY;BYDAY=MO;BYSETPOS=3",
    "FREQ=YEARLY;BYYEARDAY=366;BYMONTH=1",
    "FREQ=HOURLY;INTERVAL=2000000000",
]


@pytest.mark.parametrize("rule", ENDLESS)
def test_absurd_rule_since_1900_neither_hangs_nor_floods(rule: str) -> None:
    raw = stored(f"DTSTART;TZID=Europe/Berlin:19000101T101500\nDURATION:PT1H\nRRULE:{rule}")
    began = time.perf_counter()
    found = problems(raw, "2026-03-30", "2026-03-31")

    assert time.perf_counter() - began < 10
    assert len(found.events) <= MAX_OCCURRENCES


def test_what_is_cut_off_is_reported_and_what_is_left_is_in_the_window() -> None:
    found = problems(stored("DTSTART:19000101T000000Z\nRRULE:FREQ=MINUTELY"), "2026-03-30", "2026-03-31")

    assert len(found.events) == MAX_OCCURRENCES
    assert found.events[0].start == datetime(2026, 3, 30, tzinfo=BERLIN)
    assert "the rest is left out" in found.problems[0][1]


def test_daily_since_1900_is_there_today_with_nothing_to_report() -> None:
    found = problems(stored("DTSTART:19000101T080000\nRRULE:FREQ=DAILY"), "2026-03-30", "2026-03-31")

    assert ([e.start.hour for e in found.events], found.problems) == ([8], [])


@pytest.mark.parametrize(
    "event",
    [
        "SUMMARY:no start",
        "DTSTART:tomorrow",
        "DTSTART:20260330T100000\nDTEND:never",
        "DTSTART:20260330T100000\nRRULE:FREQ=SOMETIMES",
        "DTSTART:20260330T100000\nRRULE:COUNT=3",
        "DTSTART:20260330T100000\nRRULE:FREQ=DAILY;INTERVAL=0",
        "DTSTART:20260330T100000\nRRULE:FREQ=DAILY;UNTIL=soon",
        "DTSTART:20260330T100000\nRRULE:FREQ=DAILY\nEXDATE:x",
    ],
)
def test_event_without_readable_times_is_refused_and_the_others_go_on(event: str) -> None:
    good = stored("DTSTART:20260330T120000", key="good")
    start, end = (datetime(2026, 3, day, tzinfo=BERLIN) for day in (30, 31))
    found = expand_all([stored(event), good], start, end, BERLIN)

    assert [e.uid for e in found.events] == ["good"]
    assert [key for key, _ in found.problems] == ["u"]
    with pytest.raises(ItemUnreadable):
        expand(stored(event), start, end, BERLIN)


def test_end_of_time_is_no_problem() -> None:
    raw = stored("DTSTART:00010101T000000Z\nDTEND:99991231T235959Z")

    assert len(days(raw, "2026-03-30", "2026-03-31", NEW_YORK)) == 1
