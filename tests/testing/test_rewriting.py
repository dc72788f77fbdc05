"""A rewritten module does what it did before, and is seen doing it."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from brody_agents.testing import crash_points, hooks, jump_clock_at, lose_answer_at, rewriting

SOURCE = '''
"""A docstring."""
from __future__ import annotations

import asyncio
import datetime as dt
import time
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime

trail = []


@asynccontextmanager
async def manager(name):
    trail.append("in")
    try:
        yield name
    except KeyError:
        trail.append("swallowed")
    finally:
        trail.append("out")


async def numbers(count):
    for n in range(count):
        await asyncio.sleep(0)
        yield n


class Worker:
    __private = 3

    async def double(self, n):
        await asyncio.sleep(0)
        return n * 2

    async def work(self, fails=False):
        async with manager("a") as a, manager("b") as b:
            trail.append(a + b)
            if fails:
                raise KeyError
            trail.append([await self.double(n) async for n in numbers(self.__private)])
            async for n in numbers(2):
                trail.append(await self.double(await self.double(n)))
        return trail

    async def refuses(self):
        await asyncio.wait_for(asyncio.get_running_loop().create_future(), 0)


def times():
    return [dt.datetime.now(UTC), datetime.now(tz=UTC), datetime.fromtimestamp(time.time(), UTC)], date.today()


async def wait():
    await asyncio.sleep(0)
    return times()
'''


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "rewritten_sample.py"
    file.write_text(SOURCE)
    return file


@pytest.fixture
def rewritten(file: Path) -> Iterator[ModuleType]:
    """Return the sample, rewritten and armed with nothing."""
    hooks.arm(())
    yield rewriting.load(file.stem, file)
    hooks.arm(())
    del sys.modules[file.stem]


def plain(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location("plain_sample", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("fails", [False, True])
async def test_it_does_what_it_did(file: Path, rewritten: Any, fails: bool) -> None:
    """Results, their order and what a manager makes of an error are the same."""
    for module in (other := plain(file), rewritten):
        await module.Worker().work(fails)

    assert rewritten.trail == other.trail
    assert rewritten.__doc__ == "A docstring."
    assert rewritten.trail[-1] == "out"


async def test_an_error_passes_and_is_no_result(rewritten: Any) -> None:
    with pytest.raises(TimeoutError):
        await rewritten.Worker().refuses()

    point = "rewritten_sample:Worker.refuses await asyncio.wait_for"
    assert hooks.visits.counts == {(point, "before"): 1}


async def test_every_point_that_is_passed_is_counted_on_both_sides(file: Path, rewritten: Any) -> None:
    await rewritten.Worker().work()

    points = [p for p in crash_points([file], framework=False) if p.function in ("Worker.work", "Worker.double")]
    assert {point for point, _ in hooks.visits.counts} >= {point.name for point in points}
    double = "rewritten_sample:Worker.double await asyncio.sleep"
    assert (hooks.visits.counts[double, "before"], hooks.visits.counts[double, "after"]) == (7, 7)


async def test_an_answer_is_lost_after_the_work_was_done(rewritten: Any) -> None:
    """Only the visit that was named; the next one is answered."""
    point = "rewritten_sample:Worker.work await self.double#2"
    hooks.arm([lose_answer_at(point, nth=2)])

    with pytest.raises(TimeoutError, match="double#2"):
        await rewritten.Worker().work()

    assert hooks.visits.counts["rewritten_sample:Worker.double await asyncio.sleep", "after"] == 7
    assert rewritten.trail[-1] == "out"


async def test_what_was_entered_is_left_when_that_answer_is_lost(rewritten: Any) -> None:
    hooks.arm([lose_answer_at("rewritten_sample:Worker.work enter manager#2")])

    with pytest.raises(TimeoutError, match="manager#2"):
        await rewritten.Worker().work()

    assert rewritten.trail == ["in", "in", "out", "out"]


@pytest.mark.parametrize("days", [40, -40])
async def test_the_clock_jumps_at_a_point(rewritten: Any, days: int) -> None:
    """For every way in which a module asks for the time."""
    hooks.arm([jump_clock_at("rewritten_sample:wait await asyncio.sleep", timedelta(days=days))])
    real = datetime.now(UTC)

    before, _ = rewritten.times()
    after, today = await rewritten.wait()

    assert all(timedelta(0) <= time - real < timedelta(minutes=1) for time in before)
    assert all(timedelta(0) <= time - real - timedelta(days=days) < timedelta(minutes=1) for time in after)
    assert abs((today - real.date()).days - days) <= 1


async def test_tasks_and_cancellation_go_on_as_ever(rewritten: Any) -> None:
    task = asyncio.create_task(rewritten.Worker().work())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert rewritten.trail.count("out") == 2
