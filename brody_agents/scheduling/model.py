"""A problem as CP-SAT sees it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple, TypeAlias

from ortools.sat.python.cp_model import CpModel, CpSolver, IntervalVar, IntVar, LinearExpr

from brody_agents.errors import InvalidProblem
from brody_agents.scheduling.problem import MICROSECOND, Item, Plan, Preference, Problem, offset
from brody_agents.scheduling.room import Room

_Expression: TypeAlias = LinearExpr | int


class Seat:
    """An item in the model: exactly one of stays where it lies, placed on the grid, dropped."""

    def __init__(self, model: CpModel, item: Item, room: Room) -> None:
        self.item, self.room, self._model = item, room, model
        self.stays = self._if(room.stay is not None)
        self.placed = self._if(not room.starts.is_empty())
        self.dropped = self._if(item.drop_cost is not None)
        self.slot = model.new_constant(0) if room.starts.is_empty() else model.new_int_var_from_domain(room.starts, "")
        model.add_exactly_one(self.stays, self.placed, self.dropped)

    def _if(self, possible: bool) -> IntVar:
        return self._model.new_bool_var("") if possible else self._model.new_constant(0)

    def intervals(self, slot: int, unit: int) -> list[IntervalVar]:
        """Return the times it may take, in units."""
        make, found = self._model.new_optional_fixed_size_interval_var, []
        if self.room.stay:
            first, last = self.room.stay
            found.append(make(first // unit, (last + 1 - first) // unit, self.stays, ""))
        if not self.room.starts.is_empty():
            found.append(make(self.slot * (slot // unit), self.room.length * slot // unit, self.placed, ""))
        return found

    def cost(self) -> _Expression:
        """Return what it costs."""
        moved = self.item.move_cost * self.placed if self.item.at is not None else 0
        missed = sum(p.weight * (1 - self._met(p)) for p in self.item.preferences)
        return moved + (self.item.drop_cost or 0) * self.dropped + missed

    def _met(self, preference: Preference) -> _Expression:
        stays, starts = self.room.preferred(preference)
        met = self._model.new_bool_var("")
        self._model.add_implication(met, self.placed)
        self._model.add_linear_expression_in_domain(self.slot, starts).only_enforce_if(met)
        missed = (self.placed, met.negated())
        self._model.add_linear_expression_in_domain(self.slot, starts.complement()).only_enforce_if(*missed)
        return met + self.stays if stays else met

    def start(self, slot: int, unit: int, end: int) -> _Expression:
        """Return when it starts, in units; the least possible where the slot says nothing."""
        first = 0 if self.room.starts.is_empty() else self.room.starts.min()
        placed = (self.slot - first) * (slot // unit) + first * (slot // unit) * self.placed
        stays = self.room.stay[0] // unit * self.stays if self.room.stay else 0
        return placed + stays + end // unit * self.dropped


class Search:
    """The model of a problem, and how it is searched."""

    def __init__(self, problem: Problem, seed: int, deadline: float) -> None:
        self._problem, self._seed, self._deadline = problem, seed, deadline
        self._model = CpModel()
        self._seats = [Seat(self._model, item, Room(item, problem)) for item in problem.items]
        slot, end = problem.slot // MICROSECOND, offset(problem.end, problem.start)
        stays = [seat.room.stay for seat in self._seats if seat.room.stay]
        unit = math.gcd(slot, end, *(moment for first, last in stays for moment in (first, last + 1)))
        self._keep_apart({seat.item.id: seat.intervals(slot, unit) for seat in self._seats})
        self._order_alike()
        self._cost: _Expression = sum(seat.cost() for seat in self._seats)
        self._starts: _Expression = sum(seat.start(slot, unit, end) for seat in self._seats)

    def _keep_apart(self, intervals: Mapping[str, list[IntervalVar]]) -> None:
        theirs = {tuple(i.id for i in self._problem.items if p.id in i.participants) for p in self._problem.people}
        for ids in sorted(theirs):
            self._model.add_no_overlap([interval for name in ids for interval in intervals[name]])

    def _order_alike(self) -> None:
        """Keep unplaced items that differ in their ids only in their order: exchanging them would win nothing."""
        kinds = [replace(seat.item, id="") for seat in self._seats]
        for n, seat in enumerate(self._seats):
            alike = next((i for i in reversed(range(n)) if kinds[i] == kinds[n]), None)
            if alike is not None and seat.item.at is None:
                before, length = self._seats[alike], seat.room.length if seat.item.participants else 0
                self._model.add_implication(seat.placed, before.placed)
                self._model.add(seat.slot >= before.slot + length).only_enforce_if(seat.placed)

    def cheapest(self) -> Answer:
        """Look for the least cost."""
        self._model.minimize(self._cost)
        return self._run()

    def earliest(self, cheapest: Answer, effort: float) -> Answer:
        """Look for the earliest starts at the least cost, beginning with the answer that has it."""
        self._model.add(self._cost <= cheapest.cost)
        for index in range(len(self._model.proto.variables)):
            variable = self._model.get_int_var_from_proto_index(index)
            self._model.add_hint(variable, cheapest.solver.value(variable))
        self._model.minimize(self._starts)
        # Level 2 bounds sums of starts well; a limit of the solver's own steps ends at the same answer everywhere.
        found = self._run(linearization_level=2, max_deterministic_time=effort)
        return found if found.ending in ("optimal", "feasible") else cheapest

    def plan(self, cheapest: Answer, earliest: Answer) -> Plan:
        """Return the plan that an answer is."""
        placements = {seat.item.id: self._placement(seat, earliest.solver) for seat in self._seats}
        return Plan(
            status="optimal" if cheapest.ending == "optimal" else "feasible",
            placements=placements,
            cost=cheapest.cost,
            bound=cheapest.bound,
            moved=tuple(s.item.id for s in self._seats if s.item.at and earliest.solver.boolean_value(s.placed)),
            dropped=tuple(name for name, start in placements.items() if start is None),
        )

    def _placement(self, seat: Seat, solver: CpSolver) -> datetime | None:
        if solver.boolean_value(seat.placed):
            start = self._problem.start
            return (start.astimezone(UTC) + solver.value(seat.slot) * self._problem.slot).astimezone(start.tzinfo)
        return seat.item.at if solver.boolean_value(seat.stays) else None

    def _run(self, **parameters: float) -> Answer:
        solver = CpSolver()
        parameters |= {"num_workers": 1, "random_seed": self._seed}
        parameters |= {"max_time_in_seconds": max(0.0, self._deadline - time.monotonic())}
        parameters |= {"catch_sigint_signal": False}  # Ctrl-C is the program's
        for name, value in parameters.items():
            setattr(solver.parameters, name, value)
        ending = solver.status_name(solver.solve(self._model)).lower()
        if ending == "model_invalid":
            raise InvalidProblem(f"The solver refuses the problem: {self._model.validate()}")
        return Answer(ending, solver)


class Answer(NamedTuple):
    """How a search ended, and the solver that holds what it found."""

    ending: str
    solver: CpSolver

    @property
    def cost(self) -> int:
        """Return what the answer costs, if that is what was minimised."""
        return round(self.solver.objective_value)

    @property
    def bound(self) -> int:
        """Return what the cost cannot be below."""
        return max(0, math.ceil(self.solver.best_objective_bound - 1e-6))
