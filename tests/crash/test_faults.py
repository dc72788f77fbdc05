"""The office goes on when its world fails: the bus is lost, delivers twice, the database is gone, the clock jumps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from brody_agents.testing import (
    Report,
    bus_delivers_twice,
    bus_lost,
    database_gone,
    jump_clock_at,
    lose_answer_at,
    stop_at,
    sweep,
)
from tests import postgres
from tests.crash import office
from tests.crash.test_crash_sweep import postgres_world

pytestmark = [pytest.mark.crash, pytest.mark.timeout(600)]
TURN = ("coordinator.coordinator await self.outbox.publish", "coordinator.coordinator await self._commit")
EFFECTS = ("account_effects.mail await job.provider.append", "account_effects.files await job.provider.write")
LONG_AND_SHORT = pytest.mark.parametrize(
    ("seconds", "points"), [(1.0, EFFECTS[:1]), pytest.param(10.0, (TURN[0], *EFFECTS), marks=pytest.mark.slow)]
)


@asynccontextmanager
async def furnished(case: Path) -> AsyncIterator[Mapping[str, str]]:
    office.furnish(case, office.local_wishes(case))
    yield {}


async def swept(folder: Path, *places: str, **how: Any) -> Report:
    """Sweep the office at these places, each of which is reached."""
    points = office.points_at(*places)
    options: dict[str, Any] = {"world": office.local_world, "surroundings": furnished, "when": ("after",)} | how
    report = await sweep(office.work, folder=folder, points=points, **options)
    assert report.ok, str(report)
    assert len(report.survived) >= len(places), str(report)
    return report


async def test_the_bus_is_lost(tmp_path: Path) -> None:
    """Valkey is killed and its files are deleted, while messages are on it."""
    await swept(tmp_path, *TURN, hit=stop_at, disturb=lambda case: bus_lost(case / "home"))


async def test_the_bus_delivers_twice(tmp_path: Path) -> None:
    """Every message comes a second time; each is handled once."""
    await swept(tmp_path, *TURN, hit=stop_at, disturb=lambda case: bus_delivers_twice(case / "home"))


@LONG_AND_SHORT
async def test_the_database_is_locked_by_somebody_else(seconds: float, points: Sequence[str], tmp_path: Path) -> None:
    """In the turn, and between an effect and its result."""

    def gone(case: Path) -> Any:
        return database_gone(case / "home", seconds)

    await swept(tmp_path, *points, hit=stop_at, disturb=gone)


@pytest.mark.integration
@LONG_AND_SHORT
async def test_the_database_server_is_gone(
    seconds: float, points: Sequence[str], postgres_server: Path, tmp_path: Path
) -> None:
    """All connections are cut and none is given for a while, in the turn and between an effect and its result."""

    @asynccontextmanager
    async def on_postgres(case: Path) -> AsyncIterator[Mapping[str, str]]:
        async with furnished(case):
            with postgres.database(postgres_server) as url:
                (case / "url").write_text(url)
                yield {"BRODY_DATABASE_URL": url}

    def gone(case: Path) -> Any:
        return database_gone((case / "url").read_text(), seconds)

    await swept(tmp_path, *points, hit=stop_at, disturb=gone, world=postgres_world, surroundings=on_postgres)


async def test_a_provider_answers_too_late(tmp_path: Path) -> None:
    """It has done what it was asked, and the answer is a time-out: the account is asked, nothing is done again."""
    await swept(tmp_path, *EFFECTS, hit=lose_answer_at)


@pytest.mark.parametrize("visits", [4, pytest.param(100, marks=pytest.mark.slow)])
async def test_a_commit_is_not_answered(visits: int, tmp_path: Path) -> None:
    """The database has committed the turn, the intent, the result; who waits for it hears of a time-out."""
    await swept(tmp_path, "ledger.ledger exit self._transaction", hit=lose_answer_at, visits=visits)


@pytest.mark.parametrize(
    ("hours", "points"),
    [
        (1, EFFECTS[:1]),
        (-1, EFFECTS[:1]),
        *(pytest.param(h, (*TURN, *EFFECTS), marks=pytest.mark.slow) for h in (1, -1)),
    ],
)
async def test_the_clock_jumps(hours: int, points: Sequence[str], tmp_path: Path) -> None:
    """In the turn and around effects, an hour forwards and back."""
    await swept(tmp_path, *points, hit=partial(jump_clock_at, by=timedelta(hours=hours)))
