"""What is to be scheduled and what comes of it: plain values, checked when they are made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple, TypeAlias

from brody_agents.errors import InvalidProblem

Span: TypeAlias = tuple[datetime, datetime]
"""A time from the first instant up to, and without, the second; both carry a zone."""

MICROSECOND = timedelta(microseconds=1)
_LONGEST = timedelta(days=365 * 10_000)
_LARGEST = 2**53
"""Sums stay below it: the solver reports objectives as doubles, which are exact up to here."""


# -- what is to be placed ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Person:
    """Whose time is planned. ``busy`` may overlap, lie off the grid, and reach beyond the problem."""

    id: str
    busy: Sequence[Span] = ()

    def __post_init__(self) -> None:
        """Refuse times without a zone, and ones that end before they begin."""
        _check_spans(self.busy, f"a busy time of {self.id!r}")


@dataclass(frozen=True)
class Preference:
    """An item had better lie in the window, all of it; if it does not, or is dropped, that costs ``weight``."""

    window: Span
    weight: int = 1

    def __post_init__(self) -> None:
        """Refuse a window that is none, and a weight below zero."""
        _check_spans([self.window], "the window of a preference")
        _check_costs(weight=self.weight)


@dataclass(frozen=True)
class Item:
    """Something that takes its participants' time for ``duration``.

    ``windows``: it has to lie in one of them, all of it; those that touch count as one; ``None`` is anywhere in the
    problem. ``at``: where it lies now, on the grid or not; ``None`` is not placed yet. To stay there costs nothing, to
    go elsewhere costs ``move_cost``. ``movable=False``: it stays there, or is dropped. ``drop_cost``: what it costs to
    leave it out; ``None`` is never. Costs are whole numbers from 0.
    """

    id: str
    duration: timedelta
    participants: Sequence[str]
    windows: Sequence[Span] | None = None
    preferences: Sequence[Preference] = ()
    at: datetime | None = None
    movable: bool = True
    move_cost: int = 1
    drop_cost: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant: no duration, immovable from nowhere, costs below zero, times without a zone."""
        if not timedelta() < self.duration < _LONGEST:
            raise InvalidProblem(
                f"Item {self.id!r} takes {self.duration}.", "Use more than nothing and at most centuries."
            )
        if self.at is None and not self.movable:
            raise InvalidProblem(f"Item {self.id!r} may not be moved, but is nowhere yet.", "Give it a time in `at`.")
        _check_spans(self.windows or (), f"a window of item {self.id!r}")
        _check_spans([(self.at, self.at)] if self.at else [], f"the time of item {self.id!r}")
        _check_costs(move_cost=self.move_cost, drop_cost=self.drop_cost or 0)


@dataclass(frozen=True)
class Problem:
    """What is to be placed between ``start`` and ``end``.

    Items start on the grid of slots that is counted from ``start``, and occupy whole slots; one that stays where it
    lies now occupies its own time, to the microsecond. An item that may not be moved may reach beyond the problem.
    """

    start: datetime
    end: datetime
    slot: timedelta
    people: Sequence[Person]
    items: Sequence[Item]

    def __post_init__(self) -> None:
        """Refuse an empty time, a slot of nothing, an id that comes twice, and participants whom nobody knows."""
        _check_spans([(self.start, self.end)], "the time of the problem")
        if offset(self.end, self.start) == 0 or self.slot <= timedelta():
            raise InvalidProblem("The problem has no time to place anything in.", "Give it an end and a slot.")
        _check_ids("person", (person.id for person in self.people))
        _check_ids("item", (item.id for item in self.items))
        for item in self.items:
            if unknown := sorted(set(item.participants) - {person.id for person in self.people}):
                raise InvalidProblem(f"Item {item.id!r} needs {unknown[0]!r}, who is not among the people.")
        if self._largest_sum() >= _LARGEST:
            raise InvalidProblem("The costs, or the number of slots, are too large to be summed exactly.")

    def _largest_sum(self) -> int:
        costs = sum(i.move_cost + (i.drop_cost or 0) + sum(p.weight for p in i.preferences) for i in self.items)
        return max(costs, len(self.items) * offset(self.end, self.start))


def _check_spans(spans: Iterable[Span], name: str) -> None:
    for span in spans:
        if any(moment.utcoffset() is None for moment in span):
            raise InvalidProblem(f"There is no time zone on {name}.", "Use datetimes with a tzinfo.")
        if _utc(span[1]) < _utc(span[0]):
            raise InvalidProblem(f"Before it begins ends {name}: {span[0].isoformat()} to {span[1].isoformat()}.")


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise InvalidProblem(f"{moment.isoformat()} is not a time in UTC.", "Use years from 2 to 9998.") from error


def _check_costs(**costs: int) -> None:
    for name, cost in costs.items():
        if not isinstance(cost, int) or cost < 0:
            raise InvalidProblem(f"{name} is {cost!r}.", "Use a whole number, 0 or more.")


def _check_ids(name: str, ids: Iterable[str]) -> None:
    if twice := [key for key, count in Counter(ids).items() if count > 1]:
        raise InvalidProblem(f"Two {name} ids are {twice[0]!r}.", "Give each an id of its own.")


def offset(moment: datetime, start: datetime) -> int:
    """Return the microseconds between two instants; datetimes of one zone would subtract as the clock on a wall."""
    return (moment.astimezone(UTC) - start.astimezone(UTC)) // MICROSECOND


# -- what comes of it ----------------------------------------------------------------------------------


class BusyTime(NamedTuple):
    """A person's busy time, as it stands in the problem."""

    person: str
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Clash:
    """Things that cannot all hold: leave out any one of them, and the others can.

    ``items`` have to be placed, outside the ``busy`` times, those in ``windows`` (ids of items) in their windows. Of
    the problem nothing else is needed to make it impossible. There may be other clashes beside this one.
    ``irreducible`` is false if time ran out before it was shown that nothing more can be left out.
    """

    items: tuple[str, ...]
    busy: tuple[BusyTime, ...] = ()
    windows: tuple[str, ...] = ()
    irreducible: bool = True

    def __str__(self) -> str:
        """Return the clash as a sentence for people."""
        reasons = [f"{b.person} is busy from {b.start:%Y-%m-%d %H:%M} to {b.end:%Y-%m-%d %H:%M}" for b in self.busy]
        reasons += [f"{name} has to lie in its windows" for name in self.windows]
        what = f"{', '.join(self.items)} cannot {'all ' if len(self.items) > 1 else ''}be placed"
        return f"{what}: {'; '.join(reasons)}." if reasons else f"{what} in the time there is."


@dataclass(frozen=True)
class Plan:
    """The answer to a problem.

    ``optimal``: nothing is cheaper; starts are the earliest at this cost, in large problems the earliest that a fixed
    amount of work finds. ``feasible``: the best that was found when time ran out; no plan costs less than ``bound``.
    ``infeasible``: there is no plan, and ``clash`` says why; nothing is placed, ``cost`` and ``bound`` are ``None``.
    ``placements`` has every item, in the order of the problem, and its start: as it was given where the item stays,
    else in the zone of the problem; ``None`` is dropped.
    """

    status: Literal["optimal", "feasible", "infeasible"]
    placements: Mapping[str, datetime | None]
    cost: int | None
    bound: int | None
    moved: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    clash: Clash | None = None
