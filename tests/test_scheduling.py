"""Scheduling by constraints: the cheapest plan, the earliest among those, and why there is none."""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import combinations, product
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brody_agents.compute import Pool
from brody_agents.errors import BrodyError, ConfigurationError, InvalidProblem, NoPlanInTime, Retryable
from brody_agents.scheduling import BusyTime, Clash, Item, Person, Plan, Preference, Problem, Span, solve
from tests.benchmarks.scheduling import week

ROOT = Path(__file__).parents[1]
NINE = datetime(2026, 10, 26, 9, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SLOT, SLOTS = 15 * MINUTE, 6
BERLIN = ZoneInfo("Europe/Berlin")


def at(minutes: int) -> datetime:
    """Return a time, in minutes after nine."""
    return NINE + minutes * MINUTE


def span(first: int, end: int) -> Span:
    """Return a time from and to minutes after nine."""
    return at(first), at(end)


def problem(*items: Item, busy: Sequence[Span] = (), minutes: int = SLOT * SLOTS // MINUTE) -> Problem:
    """Return a problem of Ada, who is busy, and Ben, who is not."""
    return Problem(NINE, at(minutes), SLOT, [Person("ada", busy), Person("ben")], items)


def item(name: str = "talk", minutes: int = 30, **rest: Any) -> Item:
    """Return an item of Ada."""
    return Item(name, minutes * MINUTE, ["ada"], **rest)


# -- all plans of a tiny problem, found by trying everything, in ticks of five minutes ------------------


class Way(NamedTuple):
    """One way to deal with an item."""

    item: Item
    start: int | None
    ticks: frozenset[int]
    moved: bool = False

    @property
    def cost(self) -> int:
        """Return what it costs."""
        missed = sum(p.weight for p in self.item.preferences if not self.ticks or not self.ticks <= ticks(p.window))
        dropped = self.item.drop_cost or 0 if self.start is None else 0
        return missed + dropped + self.item.move_cost * self.moved


def tick(moment: datetime) -> int:
    """Return the number of a moment's tick."""
    return (moment - NINE) // (5 * MINUTE)


def ticks(of: Span) -> frozenset[int]:
    """Return the ticks of a time."""
    return frozenset(range(tick(of[0]), tick(of[1])))


def ways(item: Item, whole: Problem) -> Iterator[Way]:
    """Return all ways to deal with an item that heed its windows and its participants' busy times."""
    horizon = ticks((whole.start, whole.end))
    allowed = frozenset(range(-1000, 1000)) if item.windows is None else frozenset().union(*map(ticks, item.windows))
    allowed -= frozenset().union(*(ticks(s) for p in whole.people if p.id in item.participants for s in p.busy))
    allowed &= horizon if item.movable else allowed
    here = ticks((item.at, item.at + item.duration)) if item.at else frozenset()
    if item.at and here <= allowed:
        yield Way(item, tick(item.at), here)
    for slot in range(SLOTS if item.movable else 0):
        taken = frozenset(range(3 * slot, 3 * (slot + -(-item.duration // SLOT))))
        if taken <= allowed and not (item.at == NINE + slot * SLOT and here <= allowed):
            yield Way(item, 3 * slot, taken, moved=item.at is not None)
    if item.drop_cost is not None:
        yield Way(item, None, frozenset())


def best(whole: Problem) -> tuple[int, int] | None:
    """Return the least cost and the least sum of starts at it."""
    plans = [plan for plan in product(*(ways(item, whole) for item in whole.items)) if apart(plan)]
    return min(((sum(way.cost for way in plan), starts([way.start for way in plan])) for plan in plans), default=None)


def apart(plan: Sequence[Way]) -> bool:
    """Say whether nobody is in two places."""
    shared = (a.ticks & b.ticks for a, b in combinations(plan, 2) if {*a.item.participants} & {*b.item.participants})
    return not any(shared)


def starts(found: Sequence[int | None]) -> int:
    """Return the sum of starts; what is dropped starts at the end."""
    return sum(3 * SLOTS if start is None else start for start in found)


fives = st.integers(-3, 24).map(lambda n: 5 * n)
spans = st.tuples(fives, st.integers(0, 12)).map(lambda pair: span(pair[0], pair[0] + 5 * pair[1]))


def items(name: str, drop_costs: st.SearchStrategy[int | None]) -> st.SearchStrategy[Item]:
    """Return a strategy for items, on the grid and off it."""
    preferences = st.builds(Preference, spans, st.integers(0, 3))
    lying = st.builds(
        Item,
        st.just(name),
        st.integers(1, 9).map(lambda n: n * 5 * MINUTE),
        st.lists(st.sampled_from(["ada", "ben"]), unique=True),
        windows=st.none() | st.lists(spans, max_size=2),
        preferences=st.lists(preferences, max_size=2),
        at=st.none() | fives.map(at),
        move_cost=st.integers(0, 3),
        drop_cost=drop_costs,
    )
    return st.builds(lambda one, fixed: replace(one, movable=one.at is None or not fixed), lying, st.booleans())


@st.composite
def problems(draw: st.DrawFn, drop_costs: st.SearchStrategy[int | None]) -> Problem:
    """Draw a problem of two people and at most three items."""
    number = draw(st.integers(0, 3))
    people = [Person(name, draw(st.lists(spans, max_size=2))) for name in ("ada", "ben")]
    found = [draw(items(f"item-{n}", drop_costs)) for n in range(number)]
    twin = draw(st.booleans())
    if found and twin:
        found.append(replace(found[0], id="its twin"))
    return Problem(NINE, NINE + SLOTS * SLOT + 5 * MINUTE * draw(st.integers(0, 2)), SLOT, people, found)


@given(problems(st.none() | st.integers(0, 4)))
@settings(max_examples=300, deadline=None)
def test_the_plan_is_the_cheapest_of_all_and_the_earliest_of_those(whole: Problem) -> None:
    """As trying everything has it; and what it says of itself is what can be seen of its placements."""
    whole = replace(whole, end=NINE + SLOTS * SLOT)
    plan, wanted = solve(whole), best(whole)

    if wanted is None:
        assert (plan.status, plan.cost, plan.bound, plan.placements) == ("infeasible", None, None, {})
        assert plan.clash is not None
        return
    found = [None if start is None else tick(start) for start in plan.placements.values()]
    assert (plan.status, plan.clash, plan.cost, starts(found)) == ("optimal", None, *wanted)
    assert plan.bound == plan.cost
    chosen = [
        next(way for way in ways(item, whole) if way.start == start)
        for item, start in zip(whole.items, found, strict=True)
    ]
    assert apart(chosen)
    assert sum(way.cost for way in chosen) == plan.cost
    assert plan.moved == tuple(way.item.id for way in chosen if way.moved)
    assert plan.dropped == tuple(way.item.id for way in chosen if way.start is None)


@given(problems(st.just(None)).filter(lambda whole: best(replace(whole, end=NINE + SLOTS * SLOT)) is None))
@settings(max_examples=150, deadline=None)
def test_a_clash_is_impossible_and_whatever_is_left_out_of_it_makes_it_possible(whole: Problem) -> None:
    whole = replace(whole, end=NINE + SLOTS * SLOT)
    clash = solve(whole).clash

    assert clash is not None
    assert clash.irreducible
    assert best(part(whole, clash)) is None
    for n, name in enumerate(clash.items):
        windows = tuple(other for other in clash.windows if other != name)
        assert best(part(whole, replace(clash, items=without(clash.items, n), windows=windows))) is not None
    for n in range(len(clash.busy)):
        assert best(part(whole, replace(clash, busy=without(clash.busy, n)))) is not None
    for n in range(len(clash.windows)):
        assert best(part(whole, replace(clash, windows=without(clash.windows, n)))) is not None


def without(parts: tuple[Any, ...], n: int) -> tuple[Any, ...]:
    """Return parts without the n-th."""
    return parts[:n] + parts[n + 1 :]


def part(whole: Problem, clash: Clash) -> Problem:
    """Return of a problem what a clash names."""
    kept = [item for item in whole.items if item.id in clash.items]
    busy = {person.id: [b[1:] for b in clash.busy if b.person == person.id] for person in whole.people}
    return replace(
        whole,
        people=[Person(name, spans) for name, spans in busy.items()],
        items=[one if one.id in clash.windows else replace(one, windows=None) for one in kept],
    )


# -- what a person expects ------------------------------------------------------------------------------


def test_an_empty_problem_has_an_empty_plan() -> None:
    assert solve(problem()) == Plan("optimal", {}, 0, 0)


def test_items_of_one_kind_come_in_their_order() -> None:
    assert solve(problem(item("first"), item("second"))).placements == {"first": at(0), "second": at(30)}


def test_what_can_be_placed_at_no_cost_is_not_dropped() -> None:
    assert solve(problem(item(drop_cost=0), busy=[span(0, 40)])).placements == {"talk": at(45)}


def test_an_item_stays_off_the_grid_beside_a_time_that_begins_when_it_ends() -> None:
    plan = solve(problem(item(at=at(10), minutes=50), busy=[span(0, 10), span(60, 90)]))

    assert (plan.placements, plan.cost, plan.moved) == ({"talk": at(10)}, 0, ())


def test_an_item_on_busy_time_moves_and_one_that_may_not_is_a_clash() -> None:
    busy = span(0, 20)
    plan = solve(problem(item(at=at(0), move_cost=3), busy=[busy]))
    clash = solve(problem(item(at=at(0), movable=False), busy=[busy])).clash

    assert (plan.placements, plan.cost, plan.moved) == ({"talk": at(30)}, 3, ("talk",))
    assert clash == Clash(("talk",), (BusyTime("ada", *busy),))


def test_a_dropped_item_has_missed_what_it_preferred() -> None:
    """So that a wish never makes it cheaper to leave the item out."""
    wish = Preference(span(0, 30), 5)

    assert solve(problem(item(preferences=[wish], drop_cost=2), busy=[span(0, 10)])).placements == {"talk": at(15)}
    assert solve(problem(item(preferences=[wish], drop_cost=2), busy=[span(0, 90)])).cost == 7


def test_windows_that_touch_count_as_one() -> None:
    assert solve(problem(item(windows=[span(15, 30), span(30, 45)]))).placements == {"talk": at(15)}


@pytest.mark.parametrize("windows", [[], [span(200, 260)], [span(10, 39)], [span(15, 15)]])
def test_windows_without_room_on_the_grid_are_a_clash_that_names_them(windows: list[Span]) -> None:
    assert solve(problem(item(windows=windows))).clash == Clash(("talk",), windows=("talk",))


def test_a_clash_reads_as_a_sentence() -> None:
    whole = problem(item("review", 45), item("lunch"), item("sync"), busy=[span(60, 75)])

    assert str(solve(whole).clash) == (
        "review, sync cannot all be placed: ada is busy from 2026-10-26 10:00 to 2026-10-26 10:15."
    )
    assert str(solve(problem(item(minutes=120))).clash) == "talk cannot be placed in the time there is."


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-10-26", 24)])
def test_a_day_has_as_many_hours_as_the_clocks_give_it(day: str, hours: int) -> None:
    midnight = datetime.fromisoformat(day).replace(tzinfo=BERLIN)
    whole = Problem(midnight, midnight + timedelta(days=1), HOUR, [Person("ada")], [])
    full = [item(f"{n}", 60) for n in range(hours)]

    plan = solve(replace(whole, items=full))
    assert plan.status == "optimal"
    assert [start and start.astimezone(UTC) for start in plan.placements.values()] == [
        midnight.astimezone(UTC) + n * HOUR for n in range(hours)
    ]
    assert solve(replace(whole, items=[*full, item("more", 60)])).status == "infeasible"


def test_placements_are_in_the_zone_of_the_problem_and_the_hour_that_comes_twice_is_told_apart() -> None:
    two = datetime(2026, 10, 25, 2, tzinfo=BERLIN)
    whole = Problem(two, two + timedelta(hours=3), HOUR, [Person("ada", [(two, two.replace(fold=1))])], [item()])

    start = solve(whole).placements["talk"]
    assert start is not None
    assert (start.isoformat(), start.tzinfo) == ("2026-10-25T02:00:00+01:00", BERLIN)


# -- what cannot be meant -------------------------------------------------------------------------------

NAIVE = datetime(2026, 10, 26, 9)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Problem(NAIVE, at(60), SLOT, [], []),
        lambda: Problem(NINE, NINE, SLOT, [], []),
        lambda: Problem(at(60), NINE, SLOT, [], []),
        lambda: Problem(NINE, at(60), timedelta(), [], []),
        lambda: Problem(NINE, at(60), SLOT, [Person("ada"), Person("ada")], []),
        lambda: problem(item(), item()),
        lambda: problem(Item("talk", HOUR, ["ada", "zoe"])),
        lambda: problem(item(move_cost=2**52), item("more", move_cost=2**52)),
        lambda: Person("ada", [(NAIVE, NAIVE)]),
        lambda: Person("ada", [span(30, 0)]),
        lambda: Preference(span(30, 0)),
        lambda: Preference(span(0, 30), -1),
        lambda: item(minutes=0),
        lambda: Item("talk", timedelta.max, ["ada"]),
        lambda: Person("ada", [(NINE, datetime.max.replace(tzinfo=timezone(-HOUR)))]),
        lambda: item(movable=False),
        lambda: item(at=NAIVE),
        lambda: item(windows=[(NINE, NAIVE)]),
        lambda: item(drop_cost=-1),
        lambda: item(move_cost=0.5),
        lambda: solve(problem(), time_limit=0),
        lambda: solve(problem(), time_limit=float("nan")),
        lambda: solve(problem(), seed=-(2**40)),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(make: Callable[[], object]) -> None:
    with pytest.raises(InvalidProblem) as refused:
        make()

    assert isinstance(refused.value, (BrodyError, ValueError))
    assert refused.value.code == "invalid_problem"


# -- time -----------------------------------------------------------------------------------------------


def test_ten_people_five_days_twenty_items_are_optimal_and_the_same_again() -> None:
    """Within the default limit of two seconds; far within, or else the limit would have made it `feasible`."""
    plans = [solve(week(10, 20, seed)) for seed in range(3)]

    assert {plan.status for plan in plans} == {"optimal"}
    assert plans == [solve(week(10, 20, seed), time_limit=2.0) for seed in range(3)]


def test_another_process_finds_the_same_plan() -> None:
    script = "from tests.test_scheduling import *; print(solve(week(10, 20)))"
    environments = [{"PYTHONHASHSEED": seed, "PYTHONPATH": ".:agents"} for seed in ("1", "2")]
    command = [sys.executable, "-c", script]
    printed = [
        subprocess.run(command, cwd=ROOT, env=os.environ | more, capture_output=True, text=True, check=True).stdout
        for more in environments
    ]

    assert "optimal" in printed[0]
    assert printed[0] == printed[1]


def test_at_the_limit_the_best_so_far_is_returned_with_its_bound() -> None:
    plan = solve(week(20, 120, 2), time_limit=1.0)

    assert plan.status == "feasible"
    assert plan.cost is not None
    assert plan.bound is not None
    assert 0 <= plan.bound < plan.cost
    assert len(plan.placements) == 120


def test_no_plan_within_the_limit_is_an_error_that_may_be_tried_again() -> None:
    with pytest.raises(NoPlanInTime) as ended:
        solve(week(20, 120), time_limit=1e-6)

    assert isinstance(ended.value, Retryable)


async def test_the_loop_goes_on_while_a_thread_solves() -> None:
    """The solver does not hold the interpreter."""
    solving = asyncio.create_task(asyncio.to_thread(solve, week(20, 120, 2), 1.0))
    turns = 0
    while not solving.done():
        await asyncio.sleep(0)
        turns += 1

    assert (await solving).status == "feasible"
    assert turns > 1000


async def test_problem_and_plan_travel_to_other_processes() -> None:
    whole = week(2, 4)

    assert pickle.loads(pickle.dumps(whole)) == whole
    assert await Pool(0).call(solve, whole) == pickle.loads(pickle.dumps(solve(whole)))


# -- the solver -----------------------------------------------------------------------------------------


def test_without_the_solver_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("model", "clash", "room"):
        monkeypatch.delitem(sys.modules, f"brody_agents.scheduling.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "ortools.sat.python.cp_model", None)

    with pytest.raises(ConfigurationError, match=r"brody-agents\[scheduling\]"):
        solve(problem())


def test_the_solver_is_imported_when_it_is_needed() -> None:
    script = "import sys, brody_agents.scheduling; sys.exit('ortools' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
