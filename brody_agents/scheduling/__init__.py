"""Place items on people's calendars by constraints: say what must hold and what it costs, and get the cheapest plan.

The solver is CP-SAT of Google OR-Tools, the extra ``scheduling``, which is imported when :func:`solve` is first called.
All reckoning is done in UTC, in whole microseconds, so that changes of clocks come out right.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from brody_agents.errors import ConfigurationError, InvalidProblem, NoPlanInTime
from brody_agents.scheduling.problem import BusyTime, Clash, Item, Person, Plan, Preference, Problem, Span

if TYPE_CHECKING:
    from brody_agents.scheduling.model import Search

__all__ = ["BusyTime", "Clash", "Item", "Person", "Plan", "Preference", "Problem", "Span", "solve"]

_EFFORT = 1 / 16
"""Of the time limit, in the solver's own units of work: how long the earliest starts are looked for."""


def solve(problem: Problem, time_limit: float = 2.0, seed: int = 0) -> Plan:
    """Place the items so that no person is in two places, at the least cost, and among those the earliest.

    The cost is the sum of ``move_cost`` of what moves, ``drop_cost`` of what is dropped and the weights of missed
    preferences. The earliest is the least sum of starts, where what is dropped counts as starting at the end. It is
    pure CPU work in one thread, which does not hold the interpreter: in a handler ``await ctx.compute(solve,
    problem)``, elsewhere ``await asyncio.to_thread(solve, problem)``. The same arguments give the same plan whenever it
    ends before ``time_limit`` (seconds); looking for a clash may take as long again.

    Raises :class:`NoPlanInTime` if by then neither a plan was found nor that there is none, :class:`InvalidProblem`
    for a limit or a seed that is none, :class:`ConfigurationError` if OR-Tools is not installed.
    """
    if not time_limit > 0:
        raise InvalidProblem(f"The time limit is {time_limit} seconds.", "Use more than 0.")
    if not 0 <= seed < 2**31:
        raise InvalidProblem(f"The seed is {seed}.", "Use one from 0 up to 2147483647.")
    find_clash, search_of = _solver()  # the import is not on the clock
    search = search_of(problem, seed, time.monotonic() + time_limit)
    cheapest = search.cheapest()
    if cheapest.ending == "infeasible":
        return Plan("infeasible", {}, None, None, clash=find_clash(problem, seed, time.monotonic() + time_limit))
    if cheapest.ending == "unknown":
        raise NoPlanInTime(f"In {time_limit:g} seconds no plan was found, nor that there is none.")
    last = search.earliest(cheapest, time_limit * _EFFORT) if cheapest.ending == "optimal" else cheapest
    return search.plan(cheapest, last)


def _solver() -> tuple[Callable[[Problem, int, float], Clash], type[Search]]:
    try:
        from brody_agents.scheduling.clash import find_clash
        from brody_agents.scheduling.model import Search
    except ModuleNotFoundError as error:
        remedy = "Install it with: pip install 'brody-agents[scheduling]'"
        raise ConfigurationError("Scheduling needs OR-Tools, which is not installed.", remedy) from error
    return find_clash, Search
