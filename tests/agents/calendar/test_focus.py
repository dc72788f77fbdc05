"""Focus blocks for tasks that are due soon."""

import json
import sys
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from brody_agents.integrations.calendar.base import Event
from brody_agents.items import TaskItem
from brody_calendar.day import review
from brody_calendar.focus import Block, blocks

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 3, 30, 7, tzinfo=BERLIN)


def task(name: str, due: datetime | None, priority: Any = "normal", **more: Any) -> TaskItem:
    return TaskItem(id=name, title=f"Do {name}", due=due, priority=priority, created_at=NOW, **more)


def event(start: str, end: str, title: str = "busy") -> Event:
    begins, ends = (datetime.fromisoformat(f"2026-03-30T{clock}").replace(tzinfo=BERLIN) for clock in (start, end))
    return Event(title + start, "ics:/c", title + start, "", title, begins, ends)


def planned(
    *tasks: TaskItem, events: tuple[Event, ...] = (), now: datetime = NOW, earlier: tuple[Block, ...] = ()
) -> list[str]:
    day = review(now.date(), events, frozenset(), BERLIN)
    found = blocks(day, tasks, events, earlier, now)
    return [f"{b.task_id} {b.start:%H:%M}-{b.end:%H:%M}" for b in found]


TOMORROW = NOW + timedelta(days=1)


def test_length_goes_with_priority_and_the_earliest_due_comes_first() -> None:
    tasks = (
        task("low", TOMORROW, "low"),
        task("normal", NOW + timedelta(hours=30)),
        task("high", NOW + timedelta(days=2), "high"),
    )

    assert planned(*tasks) == ["low 09:00-09:30", "normal 09:30-10:30", "high 10:30-12:00"]


def test_at_most_three_a_day_with_those_that_are_there() -> None:
    tasks = [task(str(i), TOMORROW) for i in range(9)]

    assert len(planned(*tasks)) == 3
    assert len(planned(*tasks, events=(event("09:00", "10:00", "Focus: Something"),))) == 2


@pytest.mark.parametrize(
    "other",
    [
        task("a", None),
        task("a", NOW - timedelta(hours=1)),
        task("a", NOW + timedelta(days=3, seconds=1)),
        task("a", TOMORROW, assignee="bo@team.example"),
    ],
)
def test_only_the_users_own_tasks_that_are_due_within_three_days_get_one(other: TaskItem) -> None:
    assert planned(other) == []


def test_block_ends_before_the_task_is_due() -> None:
    assert planned(task("a", NOW.replace(hour=9, minute=45))) == ["a 09:00-09:45"]
    assert planned(task("a", NOW.replace(hour=9, minute=25))) == []


def test_block_begins_at_the_next_quarter_never_in_the_past() -> None:
    assert planned(task("a", TOMORROW), now=NOW.replace(hour=10, minute=7)) == ["a 10:15-11:15"]
    assert planned(task("a", TOMORROW), now=NOW.replace(hour=17, minute=40)) == []


def test_shorter_gap_serves_if_no_gap_takes_the_whole() -> None:
    day = event("09:40", "11:00"), event("11:50", "18:00")

    assert planned(task("a", TOMORROW, "high"), events=day) == ["a 11:00-11:50"]


def test_tasks_share_the_gaps_so_that_each_gets_its_whole_time() -> None:
    """The first that fits would take the long gap for the short block, and leave the other a short one."""
    day = event("10:30", "16:00"), event("17:00", "18:00")
    tasks = task("short", NOW + timedelta(hours=20)), task("long", TOMORROW, "high")

    assert planned(*tasks, events=day) == ["short 16:00-17:00", "long 09:00-10:30"]


def test_what_does_not_fit_at_its_whole_length_gets_what_is_left() -> None:
    day = event("10:30", "16:00"), event("16:45", "18:00")
    tasks = task("short", NOW + timedelta(hours=20)), task("long", TOMORROW, "high")

    assert planned(*tasks, events=day) == ["long 09:00-10:30", "short 16:00-16:45"]


def test_rest_of_a_gap_that_ends_before_the_next_quarter_is_no_time() -> None:
    day = event("09:00", "10:00"), event("10:22", "16:00"), event("16:45", "18:00")
    now = NOW.replace(hour=10, minute=20)

    assert planned(task("a", TOMORROW), now=now, events=day) == ["a 16:00-16:45"]
    assert planned(task("a", TOMORROW), now=now, events=(event("10:22", "18:00"),)) == []


def test_the_first_that_fits_serves_without_the_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("model", "clash", "room"):
        monkeypatch.delitem(sys.modules, f"brody_agents.scheduling.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "ortools.sat.python.cp_model", None)
    day = event("10:30", "16:00"), event("17:00", "18:00")
    tasks = task("short", NOW + timedelta(hours=20)), task("long", TOMORROW, "high")

    assert planned(*tasks, events=day) == ["short 09:00-10:00", "long 16:00-17:00"]


def test_task_with_a_block_gets_no_second_one_also_on_another_day() -> None:
    there = Event("x", "ics:/c", "x", "", "Focus: Do a", TOMORROW, TOMORROW + timedelta(hours=1))
    day = review(NOW.date(), (), frozenset(), BERLIN)

    assert blocks(day, [task("a", NOW + timedelta(days=2))], [there], (), NOW) == []


def test_block_proposed_earlier_stays_and_keeps_its_time_and_number() -> None:
    first = Block("a", "Focus: Do a", NOW.replace(hour=10), NOW.replace(hour=11))
    later = NOW.replace(hour=9, minute=50)

    assert planned(task("a", TOMORROW), task("b", TOMORROW), now=later, earlier=(first,)) == ["b 11:00-12:00"]
    assert len(planned(*(task(str(i), TOMORROW) for i in range(9)), earlier=(first,))) == 2


def test_weekend_has_none() -> None:
    saturday = datetime(2026, 3, 28, 7, tzinfo=BERLIN)

    assert saturday.date() == date(2026, 3, 28)
    assert planned(task("a", saturday + timedelta(days=1)), now=saturday) == []


def test_block_is_kept_as_json() -> None:
    block = Block("a", "Focus: Do a", NOW, NOW + timedelta(hours=1))

    assert Block.of(json.loads(json.dumps(block.value()))) == block
