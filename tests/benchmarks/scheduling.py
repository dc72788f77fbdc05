"""Measure scheduling by constraints: what is promised, and the largest problems that still end in the same time.

``python -m tests.benchmarks.scheduling`` prints all sizes; ``make bench`` has the promised one.
"""

from __future__ import annotations

import random
import sys
import time
from datetime import UTC, datetime, timedelta

from brody_agents.scheduling import Item, Person, Plan, Preference, Problem, solve
from tests.benchmarks.roads import Figure

MONDAY = datetime(2026, 10, 26, tzinfo=UTC)
DAY, HOUR, QUARTER = timedelta(days=1), timedelta(hours=1), timedelta(minutes=15)
SIZES = ((10, 20), (10, 40), (10, 60), (20, 80), (20, 120), (40, 160))


def week(people: int, items: int, seed: int = 0) -> Problem:
    """Return five working days at 15 minutes: everybody has three appointments a day, and meetings are to be placed.

    A third of them lie somewhere already, mostly where somebody is busy; most would rather be on one morning.
    """
    choose = random.Random(seed)
    days = [(MONDAY + n * DAY + 9 * HOUR, MONDAY + n * DAY + 17 * HOUR) for n in range(5)]
    staff = [Person(f"person-{n}", [_busy(choose, day) for day, _ in days for _ in range(3)]) for n in range(people)]
    return Problem(MONDAY, MONDAY + 5 * DAY, QUARTER, staff, [_item(n, choose, staff, days) for n in range(items)])


def _busy(choose: random.Random, day: datetime) -> tuple[datetime, datetime]:
    start = day + QUARTER * choose.randrange(30)
    return start, start + QUARTER * choose.choice((2, 3, 4))


def _item(number: int, choose: random.Random, staff: list[Person], days: list[tuple[datetime, datetime]]) -> Item:
    morning = choose.choice(days)[0]
    return Item(
        id=f"item-{number}",
        duration=QUARTER * choose.choice((2, 3, 4, 6)),
        participants=[person.id for person in choose.sample(staff, choose.choice((1, 2, 2, 3, 4)[: len(staff)]))],
        windows=days,
        preferences=[Preference((morning, morning + 3 * HOUR), choose.randrange(1, 5))]
        if choose.random() < 0.6
        else [],
        at=choose.choice(days)[0] + QUARTER * choose.randrange(26) if choose.random() < 0.3 else None,
        move_cost=choose.randrange(1, 4),
        drop_cost=20,
    )


def measure(people: int, items: int, seed: int = 0) -> tuple[Plan, float]:
    """Return the plan and the seconds that it took."""
    problem = week(people, items, seed)
    began = time.perf_counter()
    plan = solve(problem)
    return plan, time.perf_counter() - began


async def promised() -> list[Figure]:
    """Measure what is promised (optimal within 2 s), on five problems, the slowest of them."""
    measure(2, 2)  # imports the solver
    results = [measure(10, 20, seed) for seed in range(5)]
    statuses = ", ".join(sorted({plan.status for plan, _ in results}))
    slowest = max(seconds for _, seconds in results)
    return [Figure("10 people, 5 days, 20 items", slowest * 1000, "ms", statuses, wanted="optimal, 2,000 ms")]


def main() -> None:
    """Print a line for every size."""
    measure(2, 2)
    for people, items in SIZES:
        results = [measure(people, items, seed) for seed in range(5)]
        optimal = sum(plan.status == "optimal" for plan, _ in results)
        seconds = sorted(seconds for _, seconds in results)
        gaps = [(plan.cost or 0) - (plan.bound or 0) for plan, _ in results]
        line = f"{people} people, {items} items: {optimal} of {len(results)} optimal"
        sys.stdout.write(f"{line}, {seconds[2]:.2f} s median, {seconds[-1]:.2f} s most, largest gap {max(gaps)}\n")


if __name__ == "__main__":
    main()
