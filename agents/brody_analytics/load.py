"""Compare the load of a day with the user's own past weeks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from brody_analytics.figure import Figure, figure

LEAST_WEEKS = 4


@dataclass(frozen=True, slots=True)
class Component:
    """A part of the load, in hours: today, and on the same weekday of those past weeks that are known."""

    name: str
    today: float
    past: tuple[float, ...]
    """The latest week first."""

    @property
    def comparable(self) -> bool:
        """Say whether enough weeks are known."""
        return len(self.past) >= LEAST_WEEKS


def load(components: Sequence[Component], weekday: str) -> dict[str, Figure]:
    """Return the load of today, the usual one, and their ratio; only what has a past is compared."""
    comparable = [c for c in components if c.comparable]
    weeks = min((len(c.past) for c in comparable), default=0)
    usual = median(sum(c.past[week] for c in comparable) for week in range(weeks)) if weeks else None
    return {
        "load_today": figure(
            sum(c.today for c in components) if components else None,
            "hours",
            "Meeting time, half an hour for each open task due today, a quarter for each reply owed."
            if components
            else "There is no calendar, task or mail to count.",
        ),
        "load_usual": figure(usual, "hours", _usual_words(components, comparable, weeks, weekday)),
        "load_against_usual": _ratio(comparable, usual, weeks, weekday),
    }


def _ratio(comparable: Sequence[Component], usual: float | None, weeks: int, weekday: str) -> Figure:
    if usual is None:
        return figure(None, "times", f"No comparison: fewer than {LEAST_WEEKS} past weeks are known.")
    if not usual:
        return figure(None, "times", f"No comparison: your last {weeks} {weekday}s had no load.")
    names = _listed([c.name for c in comparable])
    definition = f"Today's load of {names}, divided by the median of your last {weeks} {weekday}s; 1 is as usual."
    return figure(sum(c.today for c in comparable) / usual, "times", definition)


def _usual_words(components: Sequence[Component], comparable: Sequence[Component], weeks: int, weekday: str) -> str:
    if not weeks:
        return f"Unknown: your calendar, tasks and mail reach back fewer than {LEAST_WEEKS} weeks."
    left_out = [c.name for c in components if not c.comparable]
    without = f"; without {_listed(left_out)}, of which fewer than {LEAST_WEEKS} weeks are known" if left_out else ""
    names = _listed([c.name for c in comparable])
    return f"Median load of your last {weeks} {weekday}s, from {names}{without}."


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
