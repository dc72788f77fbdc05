"""Crash points are found in the source; their names last."""

from __future__ import annotations

from pathlib import Path

import pytest

from brody_agents.testing import CrashPoint, NoSuchModule, crash_points
from tests.testing import counting

SOURCE = """
class Clerk:
    async def on_mail(self, mail, ctx):
        async with self.lock, ctx.open() as file:
            await file.write(await ctx.read(mail))
            await file.write("end")

        async def inner():
            return [line async for line in ctx.lines()]

        async for part in mail.parts(1, 2):
            await inner()


def plain():
    return 1
"""
NAMES = [
    "mine:Clerk.on_mail enter self.lock",
    "mine:Clerk.on_mail exit self.lock",
    "mine:Clerk.on_mail enter ctx.open",
    "mine:Clerk.on_mail exit ctx.open",
    "mine:Clerk.on_mail await file.write",
    "mine:Clerk.on_mail await ctx.read",
    "mine:Clerk.on_mail await file.write#2",
    "mine:Clerk.on_mail.inner next ctx.lines",
    "mine:Clerk.on_mail next mail.parts",
    "mine:Clerk.on_mail await inner",
]


def named(folder: Path, source: str) -> list[str]:
    folder.mkdir()
    (folder / "mine.py").write_text(source)
    return [point.name for point in crash_points([folder / "mine.py"], framework=False)]


def test_every_place_where_a_coroutine_waits_is_a_point(tmp_path: Path) -> None:
    """Awaits, the ways into and out of managers, the steps of loops and of comprehensions."""
    assert named(tmp_path / "a", SOURCE) == NAMES


def test_a_name_stays_when_lines_and_arguments_around_it_change(tmp_path: Path) -> None:
    changed = SOURCE.replace('"end"', "'the end', 1").replace("class Clerk", '"""Doc."""\n# more\n\n\nclass Clerk')
    changed = changed.replace("        async with", "        number = 1\n        async with")

    assert named(tmp_path / "a", changed) == NAMES


def test_the_framework_has_points_wherever_it_waits() -> None:
    """Between reading a message and acknowledging it, and in the executor; no two have one name."""
    points = crash_points()
    names = {point.name for point in points}

    assert len(names) == len(points) > 500
    assert names >= {
        "brody_agents.coordinator.coordinator:Coordinator.turn await self._admission.admit",
        "brody_agents.coordinator.coordinator:Coordinator._transaction exit self._ledger.write",
        "brody_agents.coordinator.coordinator:Coordinator._after await self._bus.acknowledge",
        "brody_agents.coordinator.account_executor:AccountExecutor._admitted await self._tried",
        "brody_agents.ledger.group_commit:GroupCommit._commit exit self._ledger.write",
        "brody_agents.communication.bus.redis_streams:RedisStreamsBus._sent await answers",
        "brody_agents.ledger.ledger:Ledger.write exit self._transaction",
    }


@pytest.mark.parametrize("module", ["tests.testing.counting", counting, Path(counting.__file__ or "")], ids=type)
def test_a_module_is_named_in_three_ways(module: str) -> None:
    points = crash_points([module], framework=False)

    assert [p.name.partition(":")[2] for p in points if p.function == "careful"] == [
        "careful enter opened",
        "careful exit opened",
        "careful await write",
        "careful await asyncio.to_thread",
    ]


def test_the_modules_of_an_agent_come_after_the_framework_s() -> None:
    points = crash_points([counting])

    assert points[: len(crash_points())] == crash_points()
    assert {point.module for point in points[len(crash_points()) :]} == {"tests.testing.counting"}


@pytest.mark.parametrize("module", ["there.is.none", "sys", "math", Path("nowhere/agent.py")])
def test_a_module_without_source_is_refused(module: str | Path) -> None:
    with pytest.raises(NoSuchModule, match=str(module)):
        crash_points([module])


@pytest.mark.parametrize("point", crash_points([counting], framework=False), ids=str)
def test_points_are_parameters(point: CrashPoint) -> None:
    """They are known when tests are collected, and their names are ids."""
    assert str(point) == point.name
    assert point.line > 0
