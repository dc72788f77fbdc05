"""Eight processes propose against the same slots on one ledger: each slot has one holder, and losers know why."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, text

from brody_agents.action import ActionState
from brody_agents.coordinator.conflict_resolver import ConflictResolver
from brody_agents.home import prepare_home
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.statements import serialise, table
from brody_agents.ledger.tables import Message
from tests.coordinator.court import NINE, Court, propose

PROCESSES, SLOTS = 8, 12
HOUR = timedelta(hours=1)


def wishes(process: int) -> list[ActionRecord]:
    """Return what a process proposes: every slot once, half of them movable, in an order of its own."""
    chooser = random.Random(process)
    slots = list(range(SLOTS))
    chooser.shuffle(slots)
    return [
        propose(
            "calendar.create",
            {
                "account": "cal",
                "title": f"{process} at {slot}",
                "start": NINE + slot * HOUR,
                "end": NINE + (slot + 1) * HOUR,
                "movable": slot % 2 == 0,
            },
            by=f"agent_{process}",
            cause=f"{process}",
            priority=chooser.randrange(4),
        )
        for slot in slots
    ]


async def propose_all(home: Path, url: str, process: int) -> None:
    """Settle them one by one, each in a transaction of its own."""
    ledger = await Ledger.open(home, url)
    try:
        await ledger.ensure_users({"me"})
        resolver = ConflictResolver(ledger.vault)
        for wish in wishes(process):
            async with ledger.write() as tx:
                await resolver.settle(tx, [wish])
    finally:
        await ledger.close()


def work(home: Path, url: str, process: int, ready: object) -> None:
    """Be one of the processes; begin when all are there."""
    ready.wait(60)  # type: ignore[attr-defined]
    asyncio.run(propose_all(home, url, process))


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.integration)])
def url(request: pytest.FixtureRequest) -> str:
    """Return where the ledger is: in the home's file, or in a PostgreSQL."""
    found: str = request.getfixturevalue("database_url") if request.param == "postgres" else ""
    return found


@pytest.mark.slow
async def test_eight_processes_propose_against_the_same_slots(home: Path, url: str) -> None:
    """Movable or not: exactly one holds each slot without a question, and everybody else has a verdict."""
    folder = prepare_home(home)
    ledger = await Ledger.open(folder, url)
    await ledger.ensure_users({"me"})
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(PROCESSES)
    workers = [context.Process(target=work, args=(folder, url, n, ready)) for n in range(PROCESSES)]
    for worker in workers:
        worker.start()
    for worker in workers:
        await asyncio.to_thread(worker.join, 90)
    assert [worker.exitcode for worker in workers] == [0] * PROCESSES

    court = Court(ledger)
    held, holders, losers = await court.held(), Counter[str](), 0
    found = await court.actions.list("me", limit=1000)
    for action in found:
        verdicts = await court.actions.verdicts(action.id)
        if action.id in held and not verdicts:
            holders[action.arguments["start"]] += 1
        else:
            losers += 1
            assert verdicts, action.arguments["title"]
            assert action.state is ActionState.AWAITING_APPROVAL
            assert action.id not in held or any(v.verdict == "ask" for v in verdicts)
    assert len(found) == PROCESSES * SLOTS
    assert sorted(holders.values()) == [1] * SLOTS
    assert losers == (PROCESSES - 1) * SLOTS
    async with ledger.read() as tx:
        asked_for = {row.id for row in await tx.execute(table(Message).select())}
    assert len(asked_for) == (PROCESSES - 1) * SLOTS // 2, "one replan for each that was movable and lost"
    await ledger.close()


class Postgres:
    """Note the statements that a PostgreSQL connection would be given."""

    def __init__(self) -> None:
        from sqlalchemy.dialects import postgresql

        self.dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
        self.locked: list[str] = []

    async def execute(self, statement: object) -> None:
        """Compile it and keep what is locked."""
        compiled = statement.compile(dialect=self.dialect)  # type: ignore[attr-defined]
        assert "pg_advisory_xact_lock(hashtextextended(" in str(compiled)
        self.locked += [v for v in compiled.params.values() if isinstance(v, str)]


async def test_postgresql_locks_accounts_in_one_order_so_that_nobody_waits_in_a_circle() -> None:
    connection = Postgres()
    await serialise(connection, ["me", "cal", "box", "cal"])  # type: ignore[arg-type]
    assert connection.locked == ["box", "cal", "me"]


async def test_sqlite_has_nothing_to_lock(home: Path) -> None:
    """A write transaction is alone there from its beginning."""
    ledger = await Ledger.open(prepare_home(home))
    asked: list[str] = []
    async with ledger.write() as tx:
        event.listen(
            tx.sync_connection, "before_cursor_execute", lambda c, cursor, statement, *more: asked.append(statement)
        )
        await serialise(tx, ["me"])
        assert asked == []
        await tx.execute(text("SELECT 1"))
    assert asked == ["SELECT 1"]
    await ledger.close()
