"""Accounts side by side: each in order, none held up by another, and what they write at once in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from brody_agents.action import ActionState
from brody_agents.communication.bus.base import partition_of
from brody_agents.coordinator import account_executor
from brody_agents.errors import OutcomeUnknown
from brody_agents.ledger import actions
from brody_agents.ledger.budgets import Budgets
from brody_agents.ledger.ledger import Ledger, LedgerBusy
from tests.coordinator.court import propose
from tests.coordinator.executor_kit import (
    Source,
    create,
    ends,
    executor,
    let_time_pass,
    put,
    running,
    shown,
    stands,
    states,
)
from tests.coordinator.kit import until

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
async def ledger(home: Path) -> AsyncIterator[Ledger]:
    """Give the ledger of a home."""
    home.mkdir()  # noqa: ASYNC240
    opened = await Ledger.open(home)
    yield opened
    await opened.close()


async def test_an_account_that_hangs_holds_up_no_other(ledger: Ledger, tmp_path: Path) -> None:
    """However much waits for it; and what waits is done in its order when it answers again."""
    source = Source.at(tmp_path, "hangs", "works")
    hanging, working = source
    hanging.may.clear()
    waiting = await put(ledger, [create(hanging, f"{n:03}") for n in range(2 * account_executor.AT_ONCE)])
    others = await put(ledger, [create(working, f"{n}") for n in range(5)])
    async with running(executor(ledger, source)):
        await ends(ledger, others)
        assert hanging.written == ["000"]
        hanging.may.set()
        assert {a.state for a in await ends(ledger, waiting)} == {ActionState.DONE}
    assert working.written == [f"{n}" for n in range(5)]
    assert hanging.written == sorted(hanging.written) == hanging.names


async def test_an_account_that_is_late_gives_its_place_and_is_not_called_twice_at_once(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_executor, "PLACES", 1)
    source = Source.at(tmp_path, "late", "works")
    late, working = source
    late.may.clear()
    first = await put(ledger, [create(late, f"{n}") for n in range(3)])
    others = await put(ledger, [create(working, "0")])
    one = executor(ledger, source, limit=0.05)
    async with running(one):
        await ends(ledger, others)
        assert await states(ledger, first) == ["unknown", "approved", "approved"]
        assert one.at_work() == {partition_of("me")}  # its call may still write
        late.may.set()
        await ends(ledger, first)
    assert (late.written, late.most) == (["0", "1", "2"], 1)


async def test_so_many_accounts_are_worked_on_at_once_and_no_more(ledger: Ledger, tmp_path: Path) -> None:
    source = Source.at(tmp_path, *(f"a{n:02}" for n in range(account_executor.PLACES + 3)))
    for account in source:
        account.may.clear()
    ids = await put(ledger, [create(account, "x") for account in source])
    async with running(executor(ledger, source)):
        await until(lambda: sum(a.running for a in source) == account_executor.PLACES, "all places are taken")
        assert await states(ledger, ids) == ["executing"] * account_executor.PLACES + ["approved"] * 3
        for account in source:
            account.may.set()
        await ends(ledger, ids)
    assert [account.names for account in source] == [["x"]] * len(ids)


async def test_what_many_accounts_write_at_once_shares_a_transaction(ledger: Ledger, tmp_path: Path) -> None:
    """Else it were an intent and a result for each: 80."""
    source = Source.at(tmp_path, *(f"a{n}" for n in range(8)))
    ids = await put(ledger, [create(account, f"{n}") for n in range(5) for account in source])
    writes: list[Any] = []
    event.listen(ledger._engine.sync_engine, "commit", writes.append)
    async with running(executor(ledger, source)):
        await ends(ledger, ids)
    assert len([c for c in writes if c.get_execution_options().get("brody_write")]) < 50


async def test_a_stop_ends_what_is_under_way_and_begins_nothing(ledger: Ledger, tmp_path: Path) -> None:
    source = Source.at(tmp_path, "files")
    (account,) = source
    account.may.clear()
    ids = await put(ledger, [create(account, f"{n}") for n in range(3)])
    one = executor(ledger, source)
    async with running(one):
        await until(lambda: account.running, "the first is under way")
        one.stop()
        account.may.set()
    assert await states(ledger, ids) == ["done", "approved", "approved"]


async def test_a_stop_does_not_wait_for_an_account_that_hangs(ledger: Ledger, tmp_path: Path) -> None:
    source = Source.at(tmp_path, "files")
    (account,) = source
    account.may.clear()
    ids = await put(ledger, [create(account, "0")])
    async with running(executor(ledger, source, limit=0.05)):
        await stands(ledger, ids[0], ActionState.UNKNOWN)
    assert await states(ledger, ids) == ["unknown"]
    account.may.set()


async def test_while_the_ledger_is_away_it_waits_and_goes_on(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The effect has happened; its result is written when the ledger is back, and nothing is done twice."""
    source = Source.at(tmp_path, "files")
    (account,) = source
    account.may.clear()
    ids = await put(ledger, [create(account, "0"), create(account, "1")])
    async with running(executor(ledger, source)):
        await until(lambda: account.running, "the first is under way")
        refused = 0
        write = Ledger.write

        def away(self: Ledger) -> Any:
            nonlocal refused
            if (refused := refused + 1) <= 3:
                raise LedgerBusy("Another process writes.")
            return write(self)

        monkeypatch.setattr(Ledger, "write", away)
        account.may.set()
        assert {a.state for a in await ends(ledger, ids)} == {ActionState.DONE}
    assert (account.written, refused > 3) == (["0", "1"], True)


async def test_a_file_is_shared_before_it_is_moved(ledger: Ledger, tmp_path: Path) -> None:
    """The move waits for the answer about the share, whatever it is."""
    source = Source.at(tmp_path, "files")
    (account,) = source
    item = {"account": account.account, "document_id": "d"}
    share = propose("file.share", item | {"person": "ann@b.example"}, state=ActionState.AWAITING_APPROVAL)
    move = propose("file.move", item | {"path": "new"}, state=ActionState.APPROVED)
    ids = await put(ledger, [share, move])
    one = executor(ledger, source)
    async with running(one):
        held = await stands(ledger, move.id, ActionState.APPROVED, waits=True)
        assert "until it is decided with whom the file is shared" in held.reason
        async with ledger.write() as tx:
            await actions.move(tx, ledger.vault, [share.moved(ActionState.REJECTED, "No.")])
        await let_time_pass(ledger)
        one.wake()
        (moved,) = await ends(ledger, ids[1:])
    assert "There is no item d" in moved.reason  # it has been tried


async def test_what_was_tried_often_enough_is_given_up(ledger: Ledger, tmp_path: Path) -> None:
    """Each attempt surely did nothing; after the last one the action fails, and holds no budget."""
    source = Source.at(tmp_path, "files")
    (account,) = source
    account.fails = OutcomeUnknown("The line went dead.", "")
    await Budgets(ledger).set("user", "me", "calls", 100)
    ids = await put(ledger, [create(account, "0")])
    one = executor(ledger, source)

    async def failed() -> bool:
        await let_time_pass(ledger)
        one.wake()
        return await states(ledger, ids) == ["failed"]

    async with running(one):
        await until(failed, "it was given up")
    (action,) = await shown(ledger, ids)
    assert (action.fence, len(account.written)) == (6, 6)
    assert action.reason == "It did not happen. Given up after 6 attempts."
    assert [(u.used, u.reserved) for u in await Budgets(ledger).usage()] == [(0, 0)]


async def test_all_is_asked_of_many_actions_without_reading_them_all_each_time(ledger: Ledger, tmp_path: Path) -> None:
    source = Source.at(tmp_path, "files")
    (account,) = source
    ids = await put(ledger, [create(account, f"{n:04}") for n in range(100)])
    async with running(executor(ledger, source)):
        await asyncio.wait_for(ends(ledger, [ids[-1]]), 30)
    assert account.written == [f"{n:04}" for n in range(100)]
