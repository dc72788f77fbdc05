"""Wishes to undo and levels of autonomy in the ledger, on both databases: one conditional statement decides."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import create_engine

from brody_agents.action import ActionState
from brody_agents.ledger import actions, attempts, autonomy, undo
from brody_agents.ledger.actions import ActionRecord, Actions
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.migrations import configuration
from tests.coordinator.court import propose


async def action(ledger: Ledger, state: ActionState) -> ActionRecord:
    """Have an action in a state, with the claim that it makes while it is open."""
    proposed = propose("task.create", {"title": "Report"})
    async with ledger.write() as tx:
        await actions.add(tx, ledger.vault, [proposed])
        await actions.move(tx, ledger.vault, [proposed.moved(state, "So it is.")])
    return await Actions(ledger).show(proposed.id)


async def test_a_wish_is_written_once_and_only_on_what_was_seen(ledger: Ledger) -> None:
    """Of many at once one is; whoever comes later finds that the action has moved on."""
    done = await action(ledger, ActionState.DONE)

    async def ask() -> bool:
        async with ledger.write() as tx:
            return await undo.ask(tx, ledger.vault, done, "Undo it.")

    assert sorted(await asyncio.gather(*(ask() for _ in range(5)))) == [False] * 4 + [True]
    now = await Actions(ledger).show(done.id)
    assert (now.state, now.undoing, now.reason, now.done_at) == (ActionState.APPROVED, True, "Undo it.", done.done_at)


async def test_what_is_taken_back_holds_nothing_any_more(ledger: Ledger) -> None:
    waiting = await action(ledger, ActionState.AWAITING_APPROVAL)
    claims = propose("task.create", {"title": "Report"}).claims
    async with ledger.write() as tx:
        assert await actions.held(tx, [c.resource for c in claims])
        gone = await undo.take_back(tx, ledger.vault, waiting, "Taken back.")
        assert gone is not None
        assert await undo.take_back(tx, ledger.vault, waiting, "Again.") is None
        assert await actions.held(tx, [c.resource for c in claims]) == []
    assert (await Actions(ledger).show(waiting.id)).reason == "Taken back."


async def test_an_undo_has_an_intent_of_its_own(ledger: Ledger) -> None:
    """What the effect has noted stays, and the time when it was done too."""
    done = await action(ledger, ActionState.DONE)
    async with ledger.write() as tx:
        await actions.move(tx, ledger.vault, [done.moved(ActionState.DONE, "", intent={"a": 1}, result={"b": 2})])
    done = await Actions(ledger).show(done.id)
    async with ledger.write() as tx:
        await undo.ask(tx, ledger.vault, done, "Undo it.")
    wanted = await Actions(ledger).show(done.id)
    async with ledger.write() as tx:
        begun = await attempts.begin(tx, ledger.vault, wanted, {"c": 3})
        assert begun is not None
        assert await attempts.leave(tx, ledger.vault, ActionState.EXECUTING, begun.moved(ActionState.UNKNOWN, "?"))
    now = await Actions(ledger).show(done.id)
    assert (now.intent, now.result, now.undo, now.done_at) == ({"a": 1}, {"b": 2}, {"c": 3}, done.done_at)


async def test_levels_are_replaced_and_removed(ledger: Ledger) -> None:
    async with ledger.write() as tx:
        for level in ("act", "observe"):
            await autonomy.put(tx, "me", "mail.*", level)
        await autonomy.put(tx, "ada", "*", "suggest")
        assert await autonomy.load(tx, {"me", "ada"}) == {"me": {"mail.*": "observe"}, "ada": {"*": "suggest"}}
        assert await autonomy.load(tx, set()) == {}
        assert [await autonomy.remove(tx, "me", None), await autonomy.remove(tx, "me", None)] == [1, 0]
        assert await autonomy.load(tx, {"me", "ada"}) == {"ada": {"*": "suggest"}}


@pytest.mark.parametrize("state", ["done", "failed"])
def test_what_an_older_home_has_done_was_done_when_it_was_last_changed(state: str, tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/brody.db")
    config = configuration()
    at = "2026-03-02 09:00:00.000000"
    row: dict[str, Any] = {"id": "a", "key": "k", "user_id": "me", "kind": "notify", "state": state, "proposed_by": "x"}
    row |= {"message_id": "", "cause": "", "priority": 2, "confidence": 1, "fence": 1, "created_at": at}
    names, marks = ", ".join([*row, "updated_at"]), ", ".join("?" * (len(row) + 1))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0006")
        connection.exec_driver_sql(f"INSERT INTO actions ({names}) VALUES ({marks})", (*row.values(), at))
        command.upgrade(config, "head")
    engine.dispose()
    with closing(sqlite3.connect(tmp_path / "brody.db")) as db:
        assert db.execute("SELECT done_at FROM actions").fetchall() == [(at if state == "done" else None,)]
