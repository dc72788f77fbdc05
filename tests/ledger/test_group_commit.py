"""Group commit: who writes at the same time shares a transaction, and suffers only for itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import event, select
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.ledger.group_commit import BATCH, GroupCommit
from brody_agents.ledger.ledger import Ledger, LedgerBusy
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import ResourceLease
from tests.ledger.test_budgets import NOW


def put(name: str, error: Exception | None = None) -> Any:
    """Return work that writes a row, then raises."""

    async def work(tx: AsyncConnection) -> str:
        await tx.execute(table(ResourceLease).insert(), {"resource": name, "holder": "", "fence": 0, "expires_at": NOW})
        if error:
            raise error
        return name

    return work


async def rows(ledger: Ledger) -> list[str]:
    """Return what was written."""
    async with ledger.read() as tx:
        return sorted((await tx.execute(select(table(ResourceLease).c.resource))).scalars())


async def test_what_is_written_at_once_is_one_transaction(ledger: Ledger) -> None:
    group, commits = GroupCommit(ledger), list[Any]()
    event.listen(ledger._engine.sync_engine, "commit", commits.append)
    written = await asyncio.gather(*(group.write(put(f"{n:02}")) for n in range(BATCH)))
    assert (written, len(commits)) == ([f"{n:02}" for n in range(BATCH)], 1)
    assert await rows(ledger) == written


async def test_an_error_undoes_its_own_work_only(ledger: Ledger) -> None:
    group = GroupCommit(ledger)
    works = [put("a"), put("b", ValueError("b")), put("c")]
    outcomes = await asyncio.gather(*(group.write(work) for work in works), return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["a", "b", "c"]
    assert isinstance(outcomes[1], ValueError)
    with pytest.raises(ValueError, match="d"):
        await group.write(put("d", ValueError("d")))
    assert await rows(ledger) == ["a", "c"]


async def test_when_the_ledger_refuses_all_hear_of_it_and_nothing_is_written(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = GroupCommit(ledger)

    def busy(self: Ledger) -> Any:
        raise LedgerBusy("Another process writes.")

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "write", busy)
        outcomes = await asyncio.gather(*(group.write(put(n)) for n in "ab"), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [LedgerBusy, LedgerBusy]
    assert await rows(ledger) == []
    assert await group.write(put("c")) == "c"


async def test_who_gives_up_waiting_has_nothing_written(ledger: Ledger) -> None:
    group, begun, may = GroupCommit(ledger), asyncio.Event(), asyncio.Event()

    async def slow(tx: AsyncConnection) -> None:
        begun.set()
        await may.wait()

    first = asyncio.create_task(group.write(slow))
    await begun.wait()
    second, third = (asyncio.create_task(group.write(put(name))) for name in "ab")
    await asyncio.sleep(0)  # both wait now
    second.cancel()
    may.set()
    await asyncio.gather(first, third)
    assert (second.cancelled(), await rows(ledger)) == (True, ["b"])


async def test_more_than_a_transaction_holds_goes_into_the_next(ledger: Ledger) -> None:
    group = GroupCommit(ledger)
    wanted = [f"{n:03}" for n in range(2 * BATCH + 3)]
    assert await asyncio.gather(*(group.write(put(name)) for name in wanted)) == wanted
    assert await rows(ledger) == wanted
