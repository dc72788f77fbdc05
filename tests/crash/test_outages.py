"""The database is away for a while: a worker waits, says so once, and goes on; all is done, nothing twice."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from brody_agents.home import prepare_home
from brody_agents.ledger.ledger import Ledger
from tests import postgres
from tests.coordinator.kit import until
from tests.crash.counting import install
from tests.crash.kit import Kit, Run
from tests.crash.test_killed_workers import Team, everything_is_there_once, finished, waited

pytestmark = [pytest.mark.crash, pytest.mark.timeout(240)]
USERS = [f"user-{n}" for n in range(40)]
EACH = 50
QUIET = {"BRODY_CPU_WORKERS": "0", "BRODY_LOG_LEVEL": "WARNING"}
AWAY, BACK = "the database is away", "the database is back"


@pytest.fixture
async def team(kit: Kit, home: Path, tmp_path: Path) -> AsyncIterator[Team]:
    """Return a team on a home's file, without a ledger yet."""
    install(tmp_path / "plug-ins")
    kit.paths = [str(tmp_path / "plug-ins")]
    kit.environment = {**QUIET, "BRODY_REDIS_URL": "memory:"}
    for name in ("cur", "new", "tmp"):
        (tmp_path / "mail" / name).mkdir(parents=True)
    team = Team(kit, home, tmp_path / "mail", await Ledger.open(prepare_home(home)))
    yield team
    await team.ledger.close()


def noticed(worker: Run) -> None:
    """Wait until a worker has noticed; SQLite itself waits for 15 seconds."""
    for _ in waited(lambda: AWAY in worker.said):
        worker.process.join(0.02)


async def goes_on(team: Team, take: Callable[[], object], give: Callable[[], object], seconds: float) -> None:
    """Have a worker work, take the database away in the middle of it, and see how it ends."""
    await team.send(USERS, range(1, EACH + 1))
    worker = team.start()
    await until(lambda: team.drafts().total(), "some are done")
    await asyncio.to_thread(take)
    await asyncio.to_thread(noticed, worker)
    due = time.monotonic() + seconds
    await until(lambda: time.monotonic() >= due, "it has been away for long enough")
    await asyncio.to_thread(give)
    await finished(team, 120)
    assert worker.process.is_alive(), worker.said
    await everything_is_there_once(team, USERS, EACH)
    worker.signal(signal.SIGTERM)
    ended = await asyncio.to_thread(worker.wait)
    assert ended.code == 0, ended.err
    assert (ended.err.count(AWAY), ended.err.count(BACK)) == (1, 1), ended.err


@pytest.mark.integration
@pytest.mark.parametrize("seconds", [1.0, pytest.param(10.0, marks=pytest.mark.slow)])
async def test_a_worker_rides_out_a_server_that_is_stopped_and_started(
    team: Team, redis_server: Path, seconds: float
) -> None:
    with postgres.own_server() as server, postgres.database(server.folder) as url:
        team.kit.environment = {**QUIET, "BRODY_DATABASE_URL": url, "BRODY_REDIS_URL": f"unix://{redis_server}"}
        await team.ledger.close()
        team.ledger = await Ledger.open(team.home, url)
        await goes_on(team, server.stop, server.start, seconds)
        await team.ledger.close()


@pytest.mark.slow
async def test_a_worker_rides_out_a_file_that_somebody_else_has_locked(team: Team) -> None:
    """For longer than SQLite itself waits."""
    with closing(sqlite3.connect(team.home / "brody.db", isolation_level=None, check_same_thread=False)) as other:
        await goes_on(team, lambda: other.execute("BEGIN IMMEDIATE"), lambda: other.execute("ROLLBACK"), 1)
