"""The crash sweep: killed at every await between reading a message and acknowledging it, each effect is there once.

The short form tries a few points; all of them, on both databases, are tried by ``make soak``.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from brody_agents import Brody
from brody_agents.settings import Settings
from brody_agents.testing import CrashPoint, Report, crash_points, sweep
from tests import postgres
from tests.crash import office

pytestmark = [pytest.mark.crash, pytest.mark.timeout(3600)]
PARTS = 4
"""Into how many tests the points are divided, so that they run side by side."""
BUS = 1
"""The number of the Redis database in which the bus lies: it is emptied for each case."""
IN_SHORT = (
    "coordinator.coordinator await self.outbox.publish",
    "coordinator.questions await _answer",
    "coordinator.account_executor await self._tried",
    "account_effects.mail await job.provider.append",
    "account_effects.files await job.provider.write",
    "policy.approvals exit self._ledger.write",
    "bus.redis_streams await answers",
)


async def swept(folder: Path, points: list[CrashPoint], server: Path | None, redis: Path, **how: Any) -> Report:
    """Sweep the office on SQLite with its own server, or on a PostgreSQL and a Redis, where several may work.

    Each case begins with a ledger that is there already, and with an empty bus.
    """
    bus = f"unix://{redis}?db={BUS}"

    @asynccontextmanager
    async def furnished(case: Path) -> AsyncIterator[Mapping[str, str]]:
        office.furnish(case, office.local_wishes(case))
        shutil.copytree(folder / "home", case / "home")
        async with Redis.from_url(bus) as client:
            await client.flushdb()
        with database(server, template) as url:
            (case / "url").write_text(url)
            yield {"BRODY_DATABASE_URL": url, "BRODY_REDIS_URL": bus if url else ""}

    world = office.local_world if server is None else postgres_world
    with database(server) as template:
        async with Brody(folder / "home", agents=[], settings=Settings(database_url=template)):
            pass
        return await sweep(office.work, world, folder / "cases", points=points, surroundings=furnished, **how)


def database(server: Path | None, template: str = "") -> AbstractContextManager[str]:
    return nullcontext("") if server is None else postgres.database(server, template)


async def postgres_world(folder: Path) -> dict[str, Any]:
    import asyncpg  # type: ignore[import-untyped, unused-ignore]

    connection = await asyncpg.connect((folder / "url").read_text())
    try:
        found = {name: await connection.fetch(query) for name, query in office.LEDGER.items()}
    finally:
        await connection.close()
    return office.outside(folder) | {name: sorted(map(tuple, rows)) for name, rows in found.items()}


async def test_an_office_that_is_killed_does_each_thing_once(
    one_of_two_databases: Path | None, redis_server: Path, tmp_path: Path
) -> None:
    """At a few points in the turn, in the executor, in the accounts and on the bus."""
    report = await swept(tmp_path, office.points_at(*IN_SHORT), one_of_two_databases, redis_server, when=("after",))
    assert report.ok, str(report)
    assert len(report.survived) >= len(IN_SHORT), "each place is reached"


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
async def test_an_office_that_is_killed_anywhere_does_each_thing_once(
    one_of_two_databases: Path | None, redis_server: Path, part: int, tmp_path: Path
) -> None:
    """At every crash point that it comes to, the first time and the last."""
    report = await swept(tmp_path, crash_points()[part::PARTS], one_of_two_databases, redis_server, visits=2)
    print(f"part {part}: {report}")
    assert report.ok, str(report)
