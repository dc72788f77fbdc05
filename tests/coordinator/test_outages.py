"""The database is away while agents are at work: they wait, and go on; nothing is lost, nothing is there twice."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, func, select

from brody_agents import Brody, BrodyAgent, Context, handles
from brody_agents.coordinator.coordinator import Coordinator
from brody_agents.errors import LedgerFull
from brody_agents.ledger.ledger import LedgerBusy
from brody_agents.ledger.outages import Outages
from brody_agents.ledger.postgres import LedgerUnavailable
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Handled
from brody_agents.ledger.tables import Note as Said
from tests.coordinator.kit import Mailbox, Note, Place, note, until

AWAY, BACK = "the database is away", "the database is back"


class Teller(BrodyAgent):
    """Leave a word for the person about every note; ``broken`` is raised as often as it says."""

    def __init__(self, broken: int = 0) -> None:
        super().__init__("recorder")
        self.broken = broken
        self.may = asyncio.Event()
        self.may.set()

    @handles
    async def on_note(self, message: Note, ctx: Context) -> None:
        """Say so."""
        await self.may.wait()
        if self.broken:
            self.broken -= 1
            raise LedgerBusy("The ledger is in use by another process.")
        ctx.propose("notify", {"text": message.text}, why="You want to know.")


async def count(brody: Brody, model: type) -> int:
    async with brody.ledger.glance() as tx:
        return int((await tx.execute(select(func.count()).select_from(table(model)))).scalar_one())


def stranger(home: Path) -> sqlite3.Connection:
    """Return somebody else's connection to the file."""
    return sqlite3.connect(home / "brody.db", isolation_level=None, check_same_thread=False)


@asynccontextmanager
async def impatient(brody: Brody) -> AsyncIterator[None]:
    """Have SQLite wait for a lock for a moment only."""
    engine = brody.ledger._engine
    await engine.dispose()
    event.listen(engine.sync_engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=50"))
    yield


async def test_while_the_file_is_locked_the_work_waits_and_then_goes_on(
    quick: Place, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says so once, however many wait; who sends hears of it, since nothing was taken in."""
    agent = Teller()
    async with quick.brody(agent) as brody, impatient(brody):
        await brody.send(note(text="before"))
        await brody.drain()
        agent.may.clear()
        with closing(stranger(home)) as other:
            await asyncio.gather(*(brody.send(note(text=f"{n}", user=f"user-{n}")) for n in range(20)))
            await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
            agent.may.set()
            await until(lambda: AWAY in caplog.text, "it is noticed")
            with pytest.raises(LedgerBusy):
                await brody.send(note(text="in vain"))
            working = asyncio.ensure_future(brody.drain())
            await asyncio.wait({working}, timeout=0.5)
            assert not working.done()
            other.execute("ROLLBACK")
        await working
        assert (await count(brody, Handled), await count(brody, Said)) == (21, 21)
    assert (caplog.text.count(AWAY), caplog.text.count(BACK)) == (1, 1)


async def test_a_handler_that_cannot_read_the_ledger_is_called_again(quick: Place) -> None:
    """However often that is: it says nothing of the message."""
    agent = Teller(broken=5)
    async with quick.brody(agent) as brody:
        await brody.send(note(text="once"))
        await brody.drain()
        assert (agent.broken, await count(brody, Said), await brody.dead_letters.list()) == (0, 1, [])


@pytest.fixture
def unanswered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every commit of a turn take place twice in vain: a lost connection, then no answer at all."""
    commit, commits = Coordinator._commit, 0

    async def in_vain(self: Coordinator, *arguments: Any) -> Any:
        nonlocal commits
        turn = await commit(self, *arguments)
        commits += 1
        if commits % 3 == 1:
            raise LedgerUnavailable("The connection was lost.")
        if commits % 3 == 2:
            raise TimeoutError
        return turn

    monkeypatch.setattr(Coordinator, "_commit", in_vain)


@pytest.mark.usefixtures("unanswered")
async def test_a_turn_whose_commit_was_not_answered_is_found_to_be_committed(quick: Place) -> None:
    async with quick.brody(Teller()) as brody:
        await brody.send(note(text="once"))
        await brody.drain()
        assert (await count(brody, Handled), await count(brody, Said)) == (1, 1)
        assert not await brody.dead_letters.list()


@pytest.mark.usefixtures("unanswered")
async def test_a_run_that_nobody_knows_to_be_complete_is_found_to_be(quick: Place) -> None:
    """Whoever waits for it looks; its brief is given."""
    async with quick.brody(accounts={"mail": Mailbox("Hello", "Again")}) as brody:
        brief = await brody.run("inbox-scan")
        assert (brief.complete, brief.counts.messages_read) == (True, 2)


async def test_whoever_stops_does_not_wait_for_the_database(quick: Place, home: Path) -> None:
    """What was not written is in the ledger, for the next start."""
    agent = Teller()
    async with quick.brody(agent) as brody, impatient(brody):
        await brody.send(note(text="before"))
        await brody.drain()
        agent.may.clear()
        await brody.send(note(text="after"))
        other = stranger(home)
        await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
        agent.may.set()
    other.close()
    async with quick.brody(Teller()) as brody:
        await brody.drain()
        assert await count(brody, Said) == 2


async def test_what_does_not_pass_by_itself_is_raised() -> None:
    async def full() -> None:
        raise LedgerFull("The disk is full.")

    with pytest.raises(LedgerFull):
        await Outages().ride_out(full)


async def test_who_gives_up_hears_why() -> None:
    outages = Outages()

    async def away() -> None:
        raise LedgerBusy("The ledger is in use by another process.")

    waiting = asyncio.ensure_future(outages.ride_out(away))
    await asyncio.wait({waiting}, timeout=0.3)
    assert not waiting.done()
    outages.give_up()
    with pytest.raises(LedgerBusy):
        await waiting
