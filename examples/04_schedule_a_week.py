"""Place a week's meetings by constraints: what must hold, what it costs, and what to do if there is no way.

Nothing here touches an account. An agent calls `await ctx.compute(solve, problem)` and proposes what the plan says.
"""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from brody_agents.scheduling import Item, Person, Preference, Problem, solve

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = datetime(2026, 10, 26, tzinfo=BERLIN)
MINUTE = timedelta(minutes=1)


def hours(day: int, first: int, end: int) -> tuple[datetime, datetime]:
    return MONDAY + timedelta(days=day, hours=first), MONDAY + timedelta(days=day, hours=end)


WORK = [hours(day, 9, 17) for day in range(5)]
ADA = Person("ada", busy=[hours(0, 9, 12), hours(1, 13, 17), hours(2, 9, 17)])
BEN = Person("ben", busy=[hours(0, 13, 17), hours(1, 9, 11)])

REVIEW = Item("review", 90 * MINUTE, ["ada", "ben"], windows=WORK, at=hours(1, 10, 11)[0], move_cost=3)
PLANNING = Item("planning", 60 * MINUTE, ["ada", "ben"], windows=[hours(0, 9, 17), hours(1, 9, 17)])
FOCUS = Item("focus", 120 * MINUTE, ["ada"], windows=WORK, preferences=[Preference(hours(3, 9, 12), weight=2)])
GYM = Item("gym", 60 * MINUTE, ["ben"], windows=[hours(0, 12, 13)], drop_cost=5)


async def main() -> None:
    week = Problem(MONDAY, MONDAY + timedelta(days=5), 15 * MINUTE, [ADA, BEN], [REVIEW, PLANNING, FOCUS, GYM])
    plan = await asyncio.to_thread(solve, week)
    print(f"{plan.status}, cost {plan.cost}, moved {list(plan.moved)}, dropped {list(plan.dropped)}")
    for name, start in plan.placements.items():
        print(f"  {name}: {start:%a %H:%M}" if start else f"  {name}: not this week")

    too_long = replace(PLANNING, duration=150 * MINUTE)
    plan = await asyncio.to_thread(solve, replace(week, items=[REVIEW, too_long, FOCUS, GYM]))
    print(f"{plan.status}: {plan.clash}")


if __name__ == "__main__":
    asyncio.run(main())
