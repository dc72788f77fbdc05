"""Many processes on one budget, and one that dies between reserving and settling."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from brody_agents.coordinator.resource_manager import ResourceManager, Spender, Unit, Want
from brody_agents.errors import Denied, Fenced
from brody_agents.ledger import reservations
from brody_agents.ledger.budgets import Budgets, Usage
from brody_agents.ledger.ledger import Ledger

pytestmark = pytest.mark.crash

PROCESSES, LIMIT, AMOUNT = 8, 100, 3
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["brody_agents.coordinator.resource_manager", "tests.crash.kit"])


@contextmanager
def processes(target: Any, *each: tuple[Any, ...]) -> Iterator[list[BaseProcess]]:
    """Start a process for each tuple of arguments; none is left behind."""
    started: list[BaseProcess] = [CONTEXT.Process(target=target, args=arguments) for arguments in each]
    for process in started:
        process.start()
    yield started
    for process in started:
        process.kill()
        process.join()


@pytest.fixture
async def ledger(home: Path) -> Any:
    """Return the ledger of a home with one budget."""
    home.mkdir()  # noqa: ASYNC240
    opened = await Ledger.open(home)
    await Budgets(opened).set("user", "ada", "tokens", LIMIT)
    yield opened
    await opened.close()


async def usage(ledger: Ledger) -> Usage:
    """Return how much of the budget is used."""
    [found] = await Budgets(ledger).usage()
    return found


# -- in the processes ---------------------------------------------------------------------------------


def _grab(home: Path, number: int, start: Any, answers: Any) -> None:
    asyncio.run(_grabbing(home, number, start, answers))


async def _grabbing(home: Path, number: int, start: Any, answers: Any) -> None:
    """Reserve until there is nothing left, settling every second time; say how much that was."""
    ledger = await Ledger.open(home)
    manager, taken = ResourceManager(ledger), 0
    start.wait()
    try:
        for count in range(LIMIT):
            spender = Spender(f"{number}/{count}", 1, user="ada")
            async with ledger.write() as tx:
                held = await manager.reserve(tx, spender, [Want(Unit.TOKENS, AMOUNT)])
            taken += AMOUNT
            if count % 2:
                async with ledger.write() as tx:
                    await manager.settle(tx, held)
    except Denied as denied:
        answers.put((taken, denied.left))
    await ledger.close()


def _hold(home: Path, holding: Any, woken: Any, answers: Any) -> None:
    asyncio.run(_holding(home, holding, woken, answers))


async def _holding(home: Path, holding: Any, woken: Any, answers: Any) -> None:
    """Reserve, then hang in the effect; if it wakes up again, try to settle."""
    ledger = await Ledger.open(home)
    manager = ResourceManager(ledger)
    async with ledger.write() as tx:
        held = await manager.reserve(tx, Spender("mail", 1, user="ada"), [Want(Unit.TOKENS, 60)])
    holding.set()
    woken.wait()
    try:
        async with ledger.write() as tx:
            await manager.settle(tx, held)
        answers.put("settled")
    except Fenced:
        answers.put("fenced")
    await ledger.close()


# -- what holds ---------------------------------------------------------------------------------------


async def test_eight_processes_never_reserve_more_than_there_is(ledger: Ledger, home: Path) -> None:
    """Nothing is handed out twice, and nothing is left that somebody could have had."""
    start, answers = CONTEXT.Barrier(PROCESSES), CONTEXT.Queue()
    with processes(_grab, *((home, number, start, answers) for number in range(PROCESSES))):
        told = [await asyncio.to_thread(answers.get, timeout=60) for _ in range(PROCESSES)]
    found = await usage(ledger)
    assert sum(taken for taken, _ in told) == found.used + found.reserved == LIMIT - LIMIT % AMOUNT
    assert {left for _, left in told} == {LIMIT % AMOUNT}
    async with ledger.read() as tx:
        assert sum(held.amount for r in await reservations.stranded(tx, datetime.now(UTC)) for held in r.held) == (
            found.reserved
        )


@pytest.mark.parametrize("sent", [True, False], ids=["it was done", "it was not done"])
async def test_what_a_killed_process_held_is_recovered(ledger: Ledger, home: Path, sent: bool) -> None:
    """It is found, and settled or released by the next fencing number, once it is known what has happened."""
    holding, answers = CONTEXT.Event(), CONTEXT.Queue()
    with processes(_hold, (home, holding, CONTEXT.Event(), answers)) as [process]:
        assert await asyncio.to_thread(holding.wait, 60)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        await asyncio.to_thread(process.join)
        assert process.exitcode == -signal.SIGKILL
    manager = ResourceManager(ledger)
    assert (await usage(ledger)).reserved == 60
    async with ledger.write() as tx:
        [found] = await reservations.stranded(tx, datetime.now(UTC))
        recovered = await manager.recover(tx, found.action_id, 2)
        assert recovered is not None
        await (manager.settle(tx, recovered) if sent else manager.release(tx, recovered))
    after = await usage(ledger)
    assert (after.used, after.reserved) == ((60, 0) if sent else (0, 0))


async def test_a_process_that_was_only_asleep_cannot_settle_after_its_recovery(ledger: Ledger, home: Path) -> None:
    holding, woken, answers = CONTEXT.Event(), CONTEXT.Event(), CONTEXT.Queue()
    manager = ResourceManager(ledger)
    with processes(_hold, (home, holding, woken, answers)):
        assert await asyncio.to_thread(holding.wait, 60)
        async with ledger.write() as tx:
            recovered = await manager.recover(tx, "mail", 2)
            assert recovered is not None
            await manager.release(tx, recovered)
        woken.set()
        assert await asyncio.to_thread(answers.get, timeout=60) == "fenced"
    after = await usage(ledger)
    assert (after.used, after.reserved) == (0, 0)
