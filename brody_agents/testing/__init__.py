"""The kit for people who write agents: kill a process at every await, and see from outside that nothing was lost.

The names below are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from brody_agents.testing.faults import bus_delivers_twice, bus_lost, database_gone
    from brody_agents.testing.harness import ChildFailed, Ended, Harness, Run, Scenario
    from brody_agents.testing.hits import Hit, jump_clock_at, kill_at, lose_answer_at, stop_at
    from brody_agents.testing.points import CrashPoint, NoSuchModule, crash_points
    from brody_agents.testing.road import Road
    from brody_agents.testing.scenarios import approve_all, settled
    from brody_agents.testing.sweeping import Case, Report, sweep

_WHERE = {
    # where a process can be hit
    "crash_points": "points",
    "CrashPoint": "points",
    "NoSuchModule": "points",
    # what happens there
    "Hit": "hits",
    "kill_at": "hits",
    "stop_at": "hits",
    "lose_answer_at": "hits",
    "jump_clock_at": "hits",
    # what happens to the world
    "bus_lost": "faults",
    "bus_delivers_twice": "faults",
    "database_gone": "faults",
    "Road": "road",
    # what is run, and what is said of it
    "Harness": "harness",
    "Scenario": "harness",
    "Run": "harness",
    "Ended": "harness",
    "ChildFailed": "harness",
    "approve_all": "scenarios",
    "settled": "scenarios",
    "sweep": "sweeping",
    "Report": "sweeping",
    "Case": "sweeping",
}

__all__ = [
    "Case",
    "ChildFailed",
    "CrashPoint",
    "Ended",
    "Harness",
    "Hit",
    "NoSuchModule",
    "Report",
    "Road",
    "Run",
    "Scenario",
    "approve_all",
    "bus_delivers_twice",
    "bus_lost",
    "crash_points",
    "database_gone",
    "jump_clock_at",
    "kill_at",
    "lose_answer_at",
    "settled",
    "stop_at",
    "sweep",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
