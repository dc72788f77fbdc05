"""Focus blocks: time for open tasks that are due soon, put into the gaps of a day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from brody_agents.errors import ConfigurationError, NoPlanInTime
from brody_agents.integrations.calendar.base import Event
from brody_agents.items import TaskItem
from brody_agents.scheduling import Item, Person, Problem, Span, solve
from brody_calendar.day import Day, Slice
from brody_calendar.occasion import FOCUS
from brody_calendar.options import quarter

AHEAD = timedelta(days=3)
MOST_A_DAY = 3
SHORTEST = timedelta(minutes=30)
_LENGTHS = {"urgent": 90, "high": 90, "normal": 60, "low": 30}
_RANKS = tuple(_LENGTHS)
_WEEKEND = (5, 6)
_NONE = timedelta()
_USER = "the user"


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

    The first time that fits serves. Only where that leaves a block out, or short, the solver is asked for a better way.
    ``planned`` are the events up to the last due date, ``earlier`` the blocks proposed for the day before: a task
    that has a block among them gets no second one.
    """
    if day.date.weekday() in _WEEKEND:
        return []
    taken = {event.title for event in planned} | {block.title for block in earlier}
    today = {event.title for event in day.agenda if event.title.startswith(FOCUS)} | {b.title for b in earlier}
    later = [replace(gap, start=quarter(max(gap.start, now))) for gap in day.gaps]
    free = [gap for gap in later if gap.start < gap.end]
    for proposed in earlier:
        free = _without(free, proposed)
    wishes, room = [t for t in due_soon(tasks, now) if title_of(t) not in taken], max(0, MOST_A_DAY - len(today))
    found, pressing = _first_fit(wishes, free, room), wishes[:room]
    if [b.task_id for b in found] == [t.id for t in pressing] and _use(found)[1] == sum(map(_wanted, pressing), _NONE):
        return found
    return max(found, _by_constraints(wishes, free, room), key=_use)


def _use(found: Sequence[Block]) -> tuple[int, timedelta]:
    """Say how good blocks are: how many, and how long together."""
    return len(found), sum((_length(block.start, block.end) for block in found), _NONE)


def _wanted(task: TaskItem) -> timedelta:
    return timedelta(minutes=_LENGTHS[task.priority])


def _first_fit(wishes: Iterable[TaskItem], free: Sequence[Slice], room: int) -> list[Block]:
    found: list[Block] = []
    for task in wishes:
        if len(found) < room and (block := _block(task, free)):
            found.append(block)
            free = _without(free, block)
    return found


def _by_constraints(wishes: Sequence[TaskItem], free: Sequence[Slice], room: int) -> list[Block]:
    """Return blocks at their whole length, as many as can be, and what still fits beside them."""
    whole = _placed(wishes[:room], free) if free else []
    for block in whole:
        free = _without(free, block)
    placed = {block.task_id for block in whole}
    return [*whole, *_first_fit([t for t in wishes if t.id not in placed], free, room - len(whole))]


def _placed(tasks: Sequence[TaskItem], free: Sequence[Slice]) -> list[Block]:
    items = [
        Item(task.id, _wanted(task), [_USER], windows=_windows(task, free), drop_cost=_LENGTHS[task.priority])
        for task in tasks
    ]
    try:
        plan = solve(Problem(free[0].start, free[-1].end, timedelta(minutes=15), [Person(_USER)], items))
    except (ConfigurationError, NoPlanInTime):  # the solver is an extra; the first fit stands without it
        return []
    return [
        Block(task.id, title_of(task), start, _after(start, _wanted(task)), task.due)
        for task in tasks
        if (start := plan.placements[task.id])
    ]


def _windows(task: TaskItem, free: Iterable[Slice]) -> list[Span]:
    assert task.due is not None
    return [(gap.start, min(gap.end, task.due)) for gap in free if gap.start < task.due]


def _after(start: datetime, length: timedelta) -> datetime:
    return (start.astimezone(UTC) + length).astimezone(start.tzinfo)


def _block(task: TaskItem, free: Sequence[Slice]) -> Block | None:
    """Return the first gap that takes the whole of it, else the longest that takes half an hour."""
    assert task.due is not None
    wanted = _wanted(task)
    room = [(gap.start, _length(gap.start, min(gap.end, task.due))) for gap in free]
    fitting = [(start, wanted) for start, length in room if length >= wanted]
    shorter = sorted((pair for pair in room if pair[1] >= SHORTEST), key=lambda pair: -pair[1])
    if not (fitting or shorter):
        return None
    start, length = (fitting or shorter)[0]
    end = _after(start, length - length % timedelta(minutes=5))
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
