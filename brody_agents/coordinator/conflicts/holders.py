"""Who holds what: the claims of open actions, indexed by resource, and on calendars by day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from brody_agents.action import Claim

_LONG = 62
"""An interval of more days than these is compared with every other."""

Held = tuple[int, str, Claim]
"""A claim with its place in the order of the claims, and its holder."""


@dataclass(slots=True)
class _Resource:
    others: list[Held] = field(default_factory=list)
    days: defaultdict[int, list[Held]] = field(default_factory=lambda: defaultdict(list))
    intervals: list[Held] = field(default_factory=list)

    def add(self, held: Held) -> None:
        days = _days(held[2])
        if days is None:
            self.others.append(held)
            return
        self.intervals.append(held)
        for day in days:
            self.days[day].append(held)

    def near(self, claim: Claim) -> Iterator[Held]:
        yield from self.others
        days = _days(claim)
        if days is None:
            yield from self.intervals
        else:
            for day in days:
                yield from self.days.get(day, ())


class Holders:
    """The claims that are held; adding one and finding those that clash take time for what is near, not for all."""

    def __init__(self, claims: Iterable[tuple[str, Claim]] = ()) -> None:
        self._resources: defaultdict[str, _Resource] = defaultdict(_Resource)
        self._count = 0
        self._without_time: set[str] = set()
        for holder, claim in claims:
            self.add(holder, claim)

    def add(self, holder: str, claim: Claim) -> None:
        """Note a claim."""
        self._resources[claim.resource].add((self._count, holder, claim))
        self._count += 1

    def release_time(self, holder: str) -> None:
        """Forget the intervals of a holder."""
        self._without_time.add(holder)

    def clashing(self, claims: Iterable[Claim]) -> list[str]:
        """Return who holds a claim that does not go with one of these, each once, the oldest claim first."""
        found = sorted(
            (order, holder)
            for claim in claims
            if claim.resource in self._resources
            for order, holder, held in self._resources[claim.resource].near(claim)
            if claim.clashes(held) and not (held.mode == "interval" and holder in self._without_time)
        )
        return list(dict.fromkeys(holder for _, holder in found))


def _days(claim: Claim) -> range | None:
    """Return the days that an interval touches; ``None`` for what has to be compared with everything."""
    if claim.mode != "interval" or claim.start is None or claim.end is None:
        return None
    first, last = _day(claim.start), _day(claim.end)
    return range(first, last + 1) if last - first <= _LONG else None


def _day(moment: datetime) -> int:
    return moment.astimezone(UTC).toordinal()
