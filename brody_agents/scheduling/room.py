"""Where an item may be: its windows without the busy times of its participants, and the slots in there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ortools.sat.python.cp_model import Domain

from brody_agents.scheduling.problem import MICROSECOND, Item, Preference, Problem, Span, offset


class Room:
    """The times and slots that are open to an item, in microseconds and slots from the start of the problem.

    ``stay``: the first and the last microsecond of where it lies now, if it may stay there, to the microsecond.
    ``starts``: the other slots that it may start in, so that the whole slots that it takes are free.
    """

    def __init__(self, item: Item, problem: Problem) -> None:
        self._start, self._slot = problem.start, problem.slot // MICROSECOND
        self.length = -(-(item.duration // MICROSECOND) // self._slot)
        busy = self._times(span for person in problem.people if person.id in item.participants for span in person.busy)
        free = self._windows(item, problem).intersection_with(busy.complement())
        self.stay = self._lying(item, free)
        self.starts = self._elsewhere(free) if item.movable else _domain([])

    def preferred(self, preference: Preference) -> tuple[bool, Domain]:
        """Say whether the item meets a preference where it lies, and the slots to start in that meet it."""
        window = self._times([preference.window])
        return self.stay is not None and _domain([self.stay]).is_included_in(window), self._slots(window)

    def _windows(self, item: Item, problem: Problem) -> Domain:
        allowed = Domain.all_values() if item.windows is None else self._times(item.windows)
        return allowed.intersection_with(self._times([(problem.start, problem.end)])) if item.movable else allowed

    def _lying(self, item: Item, free: Domain) -> tuple[int, int] | None:
        if item.at is None:
            return None
        first = offset(item.at, self._start)
        span = (first, first + item.duration // MICROSECOND - 1)
        return span if _domain([span]).is_included_in(free) else None

    def _elsewhere(self, free: Domain) -> Domain:
        slots = self._slots(free)
        if self.stay is None or self.stay[0] % self._slot:
            return slots
        here = self.stay[0] // self._slot
        return slots.intersection_with(_domain([(here, here)]).complement())

    def _slots(self, times: Domain) -> Domain:
        ends = times.flattened_intervals()
        pairs = [
            (-(-first // self._slot), (last + 1) // self._slot - self.length)
            for first, last in zip(ends[::2], ends[1::2], strict=True)
        ]
        return _domain([(first, last) for first, last in pairs if first <= last])

    def _times(self, spans: Iterable[Span]) -> Domain:
        pairs = [(offset(first, self._start), offset(end, self._start)) for first, end in spans]
        return _domain([(first, end - 1) for first, end in pairs if first < end])


def _domain(pairs: Sequence[tuple[int, int]]) -> Domain:
    domain: Domain = Domain.from_intervals(pairs)
    return domain
