"""Dates by which something is due are found, and nothing else is taken for one."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brody_task.dates import find_due, without_dates

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = datetime(2026, 5, 11, 9, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("send it by Wednesday", "2026-05-13T23:59"),
        ("before Wednesday at 5pm", "2026-05-13T17:00"),
        ("no later than next Friday", "2026-05-15T23:59"),
        ("by noon tomorrow", "2026-05-12T12:00"),
        ("until May 12th, 2026", "2026-05-12T23:59"),
        ("by 2026-06-05", "2026-06-05T23:59"),
        ("on Friday, 15 May at 14:30", "2026-05-15T14:30"),
        ("within two weeks", "2026-05-25T23:59"),
        ("the day after tomorrow", "2026-05-13T23:59"),
        ("by end of day", "2026-05-11T23:59"),
        ("by EOW please", "2026-05-15T23:59"),
        ("end of this month", "2026-05-31T23:59"),
        ("next month", "2026-06-30T23:59"),
        ("bis zum 14.5.", "2026-05-14T23:59"),
        ("bis Freitag um 17 Uhr", "2026-05-15T17:00"),
        ("morgen früh", "2026-05-12T23:59"),
        ("bis spätestens Ende der Woche", "2026-05-15T23:59"),
    ],
)
def test_a_due_date_is_read_from_the_day_it_was_written(text: str, due: str) -> None:
    found = find_due(text, MONDAY)
    assert found is not None
    assert found.when == datetime.fromisoformat(due).replace(tzinfo=BERLIN)


@pytest.mark.parametrize(
    "text",
    [
        "may I ask you something",
        "the second version 5.2 of it",
        "I sat down with Jan",
        "the sun is shining",
        "10.0.0.1 and 1.2.3",
        "march on",
        "on 5/6",
        "the budget 2026",
        "the minutes of 12 March",
        "by 31.02.2026",
        "by 9999-12-31",
    ],
)
def test_what_only_looks_like_a_due_date_is_none(text: str) -> None:
    assert find_due(text, MONDAY) is None


def test_due_dates_keep_their_wall_time_across_a_change_of_clocks() -> None:
    """From Saturday to Sunday, 25 October 2026, Berlin leaves summer time."""
    found = find_due("by tomorrow at 10:00", datetime(2026, 10, 24, 12, tzinfo=BERLIN))
    assert found is not None
    assert found.when.isoformat() == "2026-10-25T10:00:00+01:00"


def test_the_words_of_dates_go_and_the_others_stay() -> None:
    assert without_dates("send it by Wednesday at 5pm to Jan").split() == ["send", "it", "to", "Jan"]


_WORDS = """
by on the of next this end day week month in 99 31 0 February may. 12. 5pm 25:00 24:00 noon Friday due EOD 2026-02-30
"""
_TEXTS = st.lists(st.sampled_from(_WORDS.split()), max_size=7).map(" ".join) | st.text()


@settings(deadline=None)
@given(_TEXTS, st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)))
def test_any_text_gives_an_aware_date_or_none(text: str, base: datetime) -> None:
    found = find_due(text, base.replace(tzinfo=UTC))
    assert found is None or found.when.tzinfo is UTC
