"""Why there is no plan: a part of the problem that is impossible, and of which nothing can be left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias, TypeVar

from brody_agents.scheduling.model import Search
from brody_agents.scheduling.problem import BusyTime, Clash, Item, Person, Problem, Span

T = TypeVar("T")


def find_clash(problem: Problem, seed: int, deadline: float) -> Clash:
    """Return an irreducible clash: first of items, with all that stands in their way, then of that."""
    unsure = []

    def impossible(items: Sequence[Item], obstacles: Sequence[_Obstacle]) -> bool:
        ending = Search(_part(problem, items, obstacles), seed, deadline).cheapest().ending
        if ending == "unknown":
            unsure.append(ending)
        return ending == "infeasible"

    needed = [item for item in problem.items if item.drop_cost is None]
    items = _shrink(needed, lambda kept: impossible(kept, _obstacles(problem, kept)))
    left = _shrink(_obstacles(problem, items), lambda kept: impossible(items, kept))
    return Clash(
        items=tuple(item.id for item in items),
        busy=tuple(o for o in left if isinstance(o, BusyTime)),
        windows=tuple(o for o in left if isinstance(o, str)),
        irreducible=not unsure,
    )


_Obstacle: TypeAlias = BusyTime | str
"""What can be in the way of items: a busy time, or the windows of the item with an id."""


def _obstacles(problem: Problem, items: Sequence[Item]) -> list[_Obstacle]:
    participants = {name for item in items for name in item.participants}
    windows = [item.id for item in items if item.windows is not None]
    return [*windows, *(BusyTime(p.id, *span) for p in problem.people if p.id in participants for span in p.busy)]


def _part(problem: Problem, items: Sequence[Item], obstacles: Sequence[_Obstacle]) -> Problem:
    """Return a problem of some items with some obstacles, at no cost."""
    spans: dict[str, list[Span]] = {person.id: [] for person in problem.people}
    for obstacle in obstacles:
        if isinstance(obstacle, BusyTime):
            spans[obstacle.person].append((obstacle.start, obstacle.end))
    windows = {item.id: item.windows if item.id in obstacles else None for item in items}
    return replace(
        problem,
        people=[Person(name, busy) for name, busy in spans.items()],
        items=[replace(item, windows=windows[item.id], preferences=(), move_cost=0) for item in items],
    )


def _shrink(parts: Sequence[T], impossible: Callable[[Sequence[T]], bool]) -> list[T]:
    """Return an irreducible part of what is impossible: less stays possible, so what is needed once stays needed."""
    kept, size = list(parts), len(parts)
    while size:
        n = 0
        while n < len(kept):
            rest = kept[:n] + kept[n + size :]
            kept, n = (rest, n) if impossible(rest) else (kept, n + size)
        size //= 2
    return kept
