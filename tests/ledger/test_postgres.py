"""PostgreSQL in place of the home's file: what is set, how writers take turns, what is said when it is not there."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import text

from brody_agents import AgentAction, Brody
from brody_agents.coordinator.intake import BackPressure, Intake
from brody_agents.errors import ConfigurationError, LedgerError
from brody_agents.ledger import messages
from brody_agents.ledger.ledger import Ledger, LedgerBusy
from brody_agents.ledger.postgres import LedgerUnavailable, WriteConflict
from brody_agents.ledger.scopes import scopes
from brody_agents.settings import Settings
from tests.ledger.test_messages import message

ADA = "INSERT INTO users (id, name, created_at, updated_at) VALUES ('ada', '', now(), now())"
TASK = AgentAction(kind="task.create", arguments={"title": "Water the plants"}, why="They are dry.")


@pytest.mark.integration
async def test_what_is_committed_is_on_disk(database_url: str) -> None:
    ledger = await Ledger.open(None, database_url)
    async with ledger.write() as tx:
        assert (await tx.execute(text("SHOW synchronous_commit"))).scalar() == "on"
    async with ledger.read() as tx:
        assert (await tx.execute(text("SHOW transaction_isolation"))).scalar() == "repeatable read"
    await ledger.close()


@pytest.mark.integration
async def test_two_workers_write_one_after_the_other(database_url: str) -> None:
    """The second sees all that the first has written, as with the lock of SQLite."""
    one, two = await Ledger.open(None, database_url), await Ledger.open(None, database_url)
    async with one.write() as tx:
        await tx.execute(text(ADA))
        second = asyncio.create_task(_users(two))
        while not (await tx.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted"))).scalar():
            assert not second.done()
    assert await second == 1
    await one.close()
    await two.close()


@pytest.mark.integration
@pytest.mark.parametrize(
    ("first", "second", "waits"),
    [
        (scopes(["ada"]), scopes(["bob"]), False),
        (scopes(["ada"], ["run"]), scopes(["ada"]), True),
        (scopes(["ada"], ["run"]), scopes(["bob"], ["run"]), True),
        (scopes(["ada"]), None, True),
        (None, scopes(["ada"]), True),
    ],
    ids=["other users", "the same user", "the same run", "only writer second", "only writer first"],
)
async def test_only_writers_within_the_same_scope_wait(
    database_url: str, first: frozenset[str] | None, second: frozenset[str] | None, waits: bool
) -> None:
    """What crosses partitions waits for everybody, and everybody for it."""
    one, two = await Ledger.open(None, database_url), await Ledger.open(None, database_url)
    async with one.write(within=first) as tx:
        await tx.execute(text(ADA))
        other = asyncio.create_task(_users(two, second))
        while not other.done():
            if (await tx.execute(text(WAITING))).scalar():
                break
        assert other.done() is not waits
    assert await other == (1 if waits else 0)
    await one.close()
    await two.close()


@pytest.mark.integration
async def test_whoever_sends_the_same_in_another_order_does_not_wait_in_a_circle(made: Path, database_url: str) -> None:
    """Two processes take in messages of the same ids for other users: one is tried again, and finds who was first."""
    one, two = await Ledger.open(made, database_url), await Ledger.open(made, database_url)
    await one.ensure_users({"ada", "bob"})
    await two.ensure_users({"ada", "bob"})
    intake = Intake(two, _nowhere, BackPressure(two, 10, lambda: 0))
    with suppress(WriteConflict):  # on a machine where the first one comes late
        async with one.write(within=scopes(["ada"])) as tx:
            await messages.write(tx, one.vault, [message(user="ada", id="a")])
            sent = [asyncio.create_task(intake.put(message(user="bob", id=id))) for id in ("b", "a")]
            while not (await tx.execute(text(WAITING))).scalar():
                assert not sent[0].done()
            await messages.write(tx, one.vault, [message(user="ada", id="b")])
    await asyncio.gather(*sent)
    async with two.read() as tx:
        standing = await messages.standing(tx, {"a", "b"})
    assert standing.keys() == {"a", "b"}
    await one.close()
    await two.close()


async def _nowhere(stored: object) -> None:
    return None


WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"


async def _users(ledger: Ledger, within: frozenset[str] | None = None) -> int:
    async with ledger.write(within=within) as tx:
        return int((await tx.execute(text("SELECT count(*) FROM users"))).scalar() or 0)


@pytest.mark.integration
async def test_a_writer_that_sleeps_does_not_hold_up_the_others_for_ever(database_url: str) -> None:
    """The server ends a write transaction of a process that was stopped in it."""
    ledger = await Ledger.open(None, database_url)
    async with ledger.write() as tx:
        assert (await tx.execute(text("SHOW idle_in_transaction_session_timeout"))).scalar() == "10s"
    async with ledger.beside() as tx:
        assert (await tx.execute(text("SHOW idle_in_transaction_session_timeout"))).scalar() == "0"
    await ledger.close()


@pytest.mark.integration
async def test_one_process_at_a_time_runs_the_same(database_url: str) -> None:
    """Others wait, and say so; the server frees it when it loses the process."""
    one, two = await Ledger.open(None, database_url), await Ledger.open(None, database_url)
    async with one.only_one("a run", 5):
        async with two.only_one("another run", 5):
            pass
        with pytest.raises(LedgerBusy, match="a run"):
            async with two.only_one("a run", 0.1):
                pass
    async with two.only_one("a run", 0.1), two.write() as tx:
        await tx.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1"
                " AND granted AND pid <> pg_backend_pid()"
            )
        )
        async with one.only_one("a run", 5):
            pass
    await one.close()
    await two.close()


@pytest.mark.integration
async def test_a_home_may_keep_its_ledger_there(database_url: str, home: Path) -> None:
    """What one process has written the next one finds; the home has no file of its own."""
    settings = Settings(cpu_workers=0, redis_url="memory:", database_url=database_url)
    async with Brody(home=home, agents=[], settings=settings) as brody:
        await brody.execute(TASK, user_id="ada")
    async with Brody(home=home, agents=[], settings=settings) as brody:
        assert [a.kind for a in await brody.actions.list("ada")] == ["task.create"]
    assert (home / "brody.db").stat().st_size == 0


@pytest.mark.integration
async def test_a_database_that_does_not_exist_is_named(postgres_server: Path) -> None:
    with pytest.raises(LedgerError, match="does not exist") as caught:
        await Ledger.open(None, f"postgresql://brody@/nowhere?host={postgres_server}")
    assert "BRODY_DATABASE_URL" in caught.value.remedy


@pytest.mark.integration
async def test_a_server_that_gives_up_a_connection_is_asked_again(database_url: str) -> None:
    """Whoever was in the middle hears of it, and what was begun is not there; the next one goes through."""
    ledger = await Ledger.open(None, database_url)
    with pytest.raises(LedgerUnavailable):
        await _lost_in_the_middle(ledger)
    assert await _users(ledger) == 0
    await ledger.close()


async def _lost_in_the_middle(ledger: Ledger) -> None:
    async with ledger.write() as tx:
        await tx.execute(text(ADA))
        await tx.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


async def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match="database"):
        await Ledger.open(None, f"postgresql://brody@/brody?host={tmp_path}")


@pytest.mark.parametrize("url", ["no url", "mysql://host/x", "sqlite:///x.db"])
async def test_a_url_of_something_else_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="BRODY_DATABASE_URL"):
        await Ledger.open(None, url)
