"""Focus blocks: time for open tasks that are due soon, put into the gaps of a day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from brody_agents.integrations.calendar.base import Event
from brody_agents.items import TaskItem
from brody_calendar.day import Day, Slice
from brody_calendar.occasion import FOCUS
from brody_calendar.options import quarter

AHEAD = timedelta(days=3)
MOST_A_DAY = 3
SHORTEST = timedelta(minutes=30)
_LENGTHS = {"urgent": 90, "high": 90, "normal": 60, "low": 30}
_RANKS = tuple(_LENGTHS)
_WEEKEND = (5, 6)


@dataclass(frozen=True, slots=True)
class Block:
    """A block of time for a task."""

    task_id: str
    title: str
    start: datetime
    end: datetime
    due: datetime | None = None

    def value(self) -> dict[str, Any]:
        """Return the block as it is kept with the day (JSON)."""
        return {
            "task_id": self.task_id,
            "title": self.title,
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
        }

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Block:
        """Return the block that was kept."""
        start, end = (datetime.fromisoformat(value[name]) for name in ("start", "end"))
        return cls(value["task_id"], value["title"], start, end)


def title_of(task: TaskItem) -> str:
    """Return the title of a task's focus block; a task that has an event like that has its block."""
    return f"{FOCUS}{' '.join(task.title.split())[:200]}"


def due_soon(tasks: Iterable[TaskItem], now: datetime) -> list[TaskItem]:
    """Return the user's own tasks that are due within three days, the most pressing first; late ones are left out."""
    soon = [t for t in tasks if t.due and now < t.due <= now + AHEAD and not t.assignee]
    return sorted(soon, key=lambda t: (t.due, _RANKS.index(t.priority), t.id))


def blocks(
    day: Day, tasks: Sequence[TaskItem], planned: Iterable[Event], earlier: Sequence[Block], now: datetime
) -> list[Block]:
    """Return new blocks for a working day, each before its task is due; with those there are, at most three.

    ``planned`` are the events up to the last due date, ``earlier`` the blocks proposed for the day before: a task
    that has a block among them gets no second one.
    """
    if day.date.weekday() in _WEEKEND:
        return []
    taken = {event.title for event in planned} | {block.title for block in earlier}
    today = {event.title for event in day.agenda if event.title.startswith(FOCUS)} | {b.title for b in earlier}
    free = [replace(gap, start=quarter(max(gap.start, now))) for gap in day.gaps if gap.end > now]
    for proposed in earlier:
        free = _without(free, proposed)
    found: list[Block] = []
    for task in due_soon(tasks, now):
        fits = len(today) + len(found) < MOST_A_DAY and title_of(task) not in taken
        if fits and (block := _block(task, free)):
            found.append(block)
            free = _without(free, block)
    return found


def _block(task: TaskItem, free: Sequence[Slice]) -> Block | None:
    """Return the first gap that takes the whole of it, else the longest that takes half an hour."""
    assert task.due is not None
    wanted = timedelta(minutes=_LENGTHS[task.priority])
    room = [(gap.start, _length(gap.start, min(gap.end, task.due))) for gap in free]
    fitting = [(start, wanted) for start, length in room if length >= wanted]
    shorter = sorted((pair for pair in room if pair[1] >= SHORTEST), key=lambda pair: -pair[1])
    if not (fitting or shorter):
        return None
    start, length = (fitting or shorter)[0]
    end = (start.astimezone(UTC) + length - length % timedelta(minutes=5)).astimezone(start.tzinfo)
    return Block(task.id, title_of(task), start, end, task.due)


def _length(start: datetime, end: datetime) -> timedelta:
    return end.astimezone(UTC) - start.astimezone(UTC)


def _without(free: Iterable[Slice], block: Block) -> list[Slice]:
    """Return what is left of free times when a block is taken out of them."""
    left = []
    for gap in free:
        if block.end <= gap.start or gap.end <= block.start:
            left.append(gap)
            continue
        before, after = replace(gap, end=block.start), replace(gap, start=quarter(block.end))
        left += [part for part in (before, after) if part.start < part.end]
    return left
