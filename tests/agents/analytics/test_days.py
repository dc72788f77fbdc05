"""Local days are 23, 24 or 25 hours long."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from brody_analytics.days import hours_between, minutes_within, monday_of, span_of

BERLIN = ZoneInfo("Europe/Berlin")
DAY = datetime(2026, 5, 11, tzinfo=UTC)


def test_a_day_with_a_change_of_clocks_has_25_or_23_hours() -> None:
    for day, hours in ((date(2026, 10, 25), 25), (date(2026, 3, 29), 23), (date(2026, 5, 11), 24)):
        assert hours_between(*span_of(day, 1, BERLIN)) == hours


def test_a_meeting_across_a_change_of_clocks_lasts_as_long_as_it_lasts() -> None:
    """From 1:30 to 3:30 on the wall, when 3:00 has become 2:00, are three hours."""
    start, end = (datetime(2026, 10, 25, hour, 30, tzinfo=BERLIN) for hour in (1, 3))
    assert minutes_within([(start, end)], span_of(date(2026, 10, 25), 1, BERLIN)) == 180


def test_a_week_begins_on_monday() -> None:
    assert monday_of(date(2026, 5, 17)) == monday_of(date(2026, 5, 11)) == date(2026, 5, 11)


_MINUTES = st.tuples(st.integers(-600, 2000), st.integers(0, 600))


@settings(deadline=None)
@given(st.lists(_MINUTES, max_size=8), st.randoms())
def test_each_minute_within_the_day_counts(spans: list[tuple[int, int]], random: Random) -> None:
    minutes = [minute for start, length in spans for minute in range(start, start + length) if 0 <= minute < 1440]
    instants = [(DAY + timedelta(minutes=a), DAY + timedelta(minutes=a + n)) for a, n in spans]
    random.shuffle(instants)
    assert minutes_within(instants, (DAY, DAY + timedelta(days=1))) == len(minutes)
