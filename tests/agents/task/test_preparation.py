"""Events ask for preparation in their title or description."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from brody_agents.integrations.calendar.base import Event
from brody_task.preparation import preparations

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 5, 13, 10, tzinfo=BERLIN)


def event(title: str, description: str = "", *, all_day: bool = False) -> Event:
    start = START.replace(hour=0) if all_day else START
    end = start + (timedelta(days=1) if all_day else timedelta(hours=1))
    return Event(
        id="e", account="ics:x", uid="u", recurrence_id="", title=title, start=start, end=end, all_day=all_day,
        description=description,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("title", "task"),
    [
        ("Deadline: grant application", "grant application"),
        ("VAT return due", "VAT return"),
        ("Abgabe Steuererklärung", "Steuererklärung"),
        ("Bring cake for Mia", "Bring cake for Mia"),
        ("Prepare slides", "Prepare slides"),
    ],
)
def test_a_title_may_be_a_task(title: str, task: str) -> None:
    assert [p.text for p in preparations(event(title))] == [task]


@pytest.mark.parametrize(
    "title", ["Board meeting", "Review meeting", "Lunch", "Due diligence call", "Reading club", "Dues"]
)
def test_most_titles_are_none(title: str) -> None:
    assert preparations(event(title)) == []


def test_a_description_may_ask_for_several() -> None:
    text = "Agenda\nPlease prepare the slides on hiring. See you!\n- [ ] bring the NDA\nPrep: read the minutes"
    found = preparations(event("Board", text))
    assert [p.text for p in found] == ["bring the NDA", "prepare the slides on hiring", "read the minutes"]
    assert {p.reason for p in found} == {'the description of "Board" asks for it'}


def test_it_is_due_when_the_event_starts() -> None:
    assert [p.due for p in preparations(event("Board", "Please bring the NDA"))] == [START]


def test_a_deadline_of_a_day_is_due_at_the_end_of_that_day() -> None:
    [found] = preparations(event("VAT return due", all_day=True))
    assert found.due == START.replace(hour=23, minute=59)
