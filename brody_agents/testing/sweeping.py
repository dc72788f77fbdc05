"""The sweep: hit a scenario at one crash point after the other, restart it, compare the world with an unhurt one."""

from __future__ import annotations

import asyncio
import inspect
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from brody_agents.testing.faults import bus_lost
from brody_agents.testing.harness import ChildFailed, Ended, Harness, Run, Scenario
from brody_agents.testing.hits import Hit, When, kill_at
from brody_agents.testing.points import CrashPoint, Module, crash_points, evenly

World = Callable[[Path], Any]
"""Look at a case's folder, and at servers, from outside and return what can be compared; may be asynchronous."""
Surroundings = Callable[[Path], AbstractAsyncContextManager[Mapping[str, str]]]
"""Make what a case needs around it, give the environment of its processes, and take it away again."""
Disturbance = Callable[[Path], AbstractAsyncContextManager[Any]]
"""What is done to the world of a case while its process is stopped, and undone when the process has ended."""
RESTARTS = 3


class MakeHit(Protocol):
    """Say what happens at a point: ``kill_at``, ``stop_at``, ``lose_answer_at`` …"""

    def __call__(self, point: CrashPoint, /, *, nth: int, when: When) -> Hit:
        """Return the hit of a visit."""


@dataclass(frozen=True, slots=True)
class Case:
    """What became of one hit.

    ``same``: hit, started again, and the world is as if nothing had happened. ``differs``: it is not. ``failed``: it
    could not be brought to its end. ``missed``: this time the process did not come to the point; nothing was tried.
    """

    hit: Hit
    outcome: Literal["same", "differs", "failed", "missed"]
    world: Any = None
    said: str = ""

    def __str__(self) -> str:
        return f"{self.outcome}: {self.hit}" + (f"\n{self.said}" if self.said else "")


@dataclass(frozen=True, slots=True)
class Report:
    """What a sweep found; ``str(report)`` says it."""

    expected: Any
    cases: Sequence[Case]
    unreached: Sequence[CrashPoint]
    """Points that the scenario does not come to: nothing is known of them."""
    left_out: int = 0
    """Hits for which the budget did not suffice."""

    @property
    def survived(self) -> list[Case]:
        """Return the cases after which the world was the same."""
        return [case for case in self.cases if case.outcome == "same"]

    @property
    def broken(self) -> list[Case]:
        """Return the cases after which it was not."""
        return [case for case in self.cases if case.outcome in ("differs", "failed")]

    @property
    def ok(self) -> bool:
        """Say whether nothing was broken, and something was tried."""
        return bool(self.survived) and not self.broken

    def __str__(self) -> str:
        points = {case.hit.point for case in self.cases}
        missed = sum(case.outcome == "missed" for case in self.cases)
        said = f"{len(self.survived)} hits at {len(points)} points survived, {len(self.broken)} not"
        more = ((missed, "missed"), (len(self.unreached), "points never reached"), (self.left_out, "hits left out"))
        lines = [", ".join([said, *(f"{count} {what}" for count, what in more if count)]) + "."]
        return "\n".join([*lines, *map(str, self.broken)])


async def sweep(
    scenario: Scenario | str,
    world: World,
    folder: Path,
    *,
    points: Iterable[CrashPoint] | None = None,
    hit: MakeHit = kill_at,
    when: Sequence[When] = ("before", "after"),
    visits: int = 1,
    budget: int | None = None,
    disturb: Disturbance | None = None,
    modules: Iterable[Module] = (),
    expected: Any = None,
    environment: Mapping[str, str] | None = None,
    surroundings: Surroundings | None = None,
) -> Report:
    """Hit a scenario at every point that it comes to; each case has a folder of its own inside of ``folder``.

    First the scenario runs unhurt, twice on one folder: its world is what is ``expected``, and its visits say which
    points can be hit. ``visits`` is how many visits of a point are tried: the first, the last, those between.
    ``budget`` is how many hits at most, spread evenly. With ``hit=stop_at`` and ``disturb``, the process is not killed
    but stopped while the world is disturbed. ``modules`` are those under test beside the framework and the scenario's
    own: points of any other are never reached. Raises ``ChildFailed`` if the scenario does not run unhurt.
    """
    async with Harness(scenario, modules=modules, environment=environment) as harness:
        this = _Sweep(harness, world, folder, surroundings or _nothing, disturb)
        counts = await this.rehearse(expected)
        wanted = list(crash_points(harness.modules) if points is None else points)
        reached = [point for point in wanted if any((point.name, w) in counts for w in when)]
        hits = [
            hit(point, nth=nth, when=w) for point in reached for w in when for nth in _some(counts, point, w, visits)
        ]
        chosen = evenly(hits, budget)
        cases = [await this.case(number, one) for number, one in enumerate(chosen)]
    unreached = [point for point in wanted if point not in reached]
    return Report(this.expected, cases, unreached, len(hits) - len(chosen))


def _some(counts: Mapping[tuple[str, When], int], point: CrashPoint, when: When, most: int) -> list[int]:
    """Return which visits of a point are tried: the first, the last, and those that lie evenly between."""
    count = counts.get((point.name, when), 0)
    if count <= most:
        return list(range(1, count + 1))
    return sorted({1 + i * (count - 1) // max(most - 1, 1) for i in range(most)})


@asynccontextmanager
async def _nothing(folder: Path) -> AsyncIterator[Mapping[str, str]]:
    yield {}


class _Sweep:
    def __init__(
        self,
        harness: Harness,
        world: World,
        folder: Path,
        surroundings: Surroundings,
        disturb: Disturbance | None,
    ) -> None:
        self._harness, self._world, self._folder = harness, world, folder
        self._surroundings, self._disturb = surroundings, disturb
        self.expected: Any = None

    async def rehearse(self, expected: Any) -> Mapping[tuple[str, When], int]:
        folder = self._new("unhurt")
        async with self._surroundings(folder) as environment:
            ended = await self._harness.run(folder, environment=environment)
            _require(ended, "The scenario does not run unhurt.")
            self.expected = await self._look(folder)
            _require(
                await self._harness.run(folder, environment=environment), "The scenario does not run a second time."
            )
            again = await self._look(folder)
        for wanted, what in ((again, "run a second time"), (expected, "expected")):
            if wanted is not None and wanted != self.expected:
                raise ChildFailed(f"Unhurt, the world is not the one {what}.", _difference(wanted, self.expected))
        shutil.rmtree(folder)
        return ended.visits

    async def case(self, number: int, hit: Hit) -> Case:
        folder = self._new(f"{number:04}")
        try:
            async with self._surroundings(folder) as environment:
                case = await self._case(folder, hit, environment)
        finally:
            for lock in folder.rglob("lock"):  # a server that a killed process has left, and no restart has stopped
                async with bus_lost(lock.parent):
                    pass
        if case.outcome in ("same", "missed"):
            shutil.rmtree(folder)
        return case

    async def _case(self, folder: Path, hit: Hit, environment: Mapping[str, str]) -> Case:
        try:
            run = await self._harness.start(folder, hit, environment=environment)
            ended = await self._disturbed(run, folder) if hit.what == "stop" else await run.wait()
            struck = ended.code == -9 or ended.visits.get((hit.point, hit.when), 0) >= hit.nth
            for _ in range(RESTARTS):
                if ended.code != 0:
                    ended = await self._harness.run(folder, environment=environment)
        except ChildFailed as error:
            return Case(hit, "failed", said=str(error))
        if ended.code != 0:
            return Case(hit, "failed", said=ended.err[-4000:])
        if not struck:
            return Case(hit, "missed")
        seen = await self._look(folder)
        if seen != self.expected:
            return Case(hit, "differs", seen, _difference(self.expected, seen))
        return Case(hit, "same", seen)

    async def _disturbed(self, run: Run, folder: Path) -> Ended:
        ended = await run.stopped()
        if ended is not None:
            return ended
        if self._disturb is None:
            run.resume()
            return await run.wait()
        async with self._disturb(folder):
            run.resume()
            return await run.wait()

    async def _look(self, folder: Path) -> Any:
        if inspect.iscoroutinefunction(self._world):
            return await self._world(folder)
        return await asyncio.to_thread(self._world, folder)

    def _new(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir(parents=True)
        return folder


def _require(ended: Ended, what: str) -> None:
    if ended.code != 0:
        raise ChildFailed(what, ended.err[-4000:])


def _difference(expected: Any, seen: Any) -> str:
    from pprint import pformat

    return f"expected {pformat(expected)}\nseen     {pformat(seen)}"
