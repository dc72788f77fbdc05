"""Undo of a whole run: the last action first, as far as the world has not moved past it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from brody_agents import ActionState, AgentAction, Brody
from brody_agents.coordinator.undoing import UndoneRun
from brody_agents.errors import NotFound
from brody_agents.ledger import runs
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.runs import RunRecord
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Action
from brody_agents.settings import Settings
from tests.coordinator.accounts_kit import NOTES, World, carried_out

pytestmark = pytest.mark.timeout(30)
RUN = "a-run"
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture
async def world(tmp_path: Path) -> World:
    """Return accounts with one mail and one file."""
    world = World.at(tmp_path)
    await world.fill()
    return world


@pytest.fixture
async def brody(world: World, settings: Settings) -> AsyncIterator[Brody]:
    """Give a ``Brody`` in memory over the accounts, with a run that is over."""
    async with Brody(accounts=world.accounts, agents=[], settings=settings) as brody:
        await brody.ledger.ensure_users({"me"})
        run = RunRecord(id=RUN, user_id="me", playbook="inbox-scan", now=NOW, timezone="UTC", started_at=NOW)
        async with brody.ledger.write() as tx:
            await runs.start(tx, run)
            await runs.change(tx, RUN, state=runs.COMPLETE)
        yield brody


async def do(brody: Brody, world: World, kind: str, *, wait: bool = False, **arguments: Any) -> ActionRecord:
    """Have an action of the run carried out, or leave it waiting."""
    if kind.startswith("file."):
        arguments = {"account": world.files.account} | arguments
    if kind in ("file.append", "file.move"):
        arguments = {"document_id": (await world.read_into(brody))[1]} | arguments
    wish = AgentAction(kind=kind, arguments=arguments)
    action_id = (await brody.execute(wish)).action_id if wait else (await carried_out(brody, wish)).id
    async with brody.ledger.write() as tx:
        await tx.execute(table(Action).update().where(table(Action).c.id == action_id).values(run_id=RUN))
    return await brody.actions.show(action_id)


def ids(result: UndoneRun) -> tuple[list[str], list[str], list[str]]:
    """Return the actions of each of the three ends."""
    left, impossible = ([x.action.id for x in part] for part in (result.left, result.impossible))
    return [a.id for a in result.undone], left, impossible


async def test_everything_is_undone_from_the_last_to_the_first(brody: Brody, world: World) -> None:
    """Each step finds the world as its own effect has left it, since those after it are undone already."""
    made = await do(brody, world, "file.create", path="a.txt", text="One")
    grown = await do(brody, world, "file.append", text="Two.\n")
    task = await do(brody, world, "task.create", title="Water the plants")
    changed = await do(brody, world, "task.update", task_id=(task.result or {})["task_id"], title="Sow")
    moved = await do(brody, world, "file.move", path="b/notes.txt")
    result = await brody.runs.undo(RUN)
    assert ids(result) == ([moved.id, changed.id, task.id, grown.id, made.id], [], [])
    assert await world.texts() == {"notes.txt": NOTES}


async def test_it_stops_at_the_first_that_the_world_has_moved_past(brody: Brody, world: World) -> None:
    """What was done before may be what that one stands on: it is left, and said so. Called again, it goes on."""
    first = await do(brody, world, "task.create", title="Water the plants")
    grown = await do(brody, world, "file.append", text="Two.\n")
    last = await do(brody, world, "file.create", path="a.txt", text="One")
    await world.files.write("notes.txt", b"Mine.\n", await world.files.version("notes.txt"))
    result = await brody.runs.undo(RUN)
    assert ids(result) == ([last.id], [grown.id, first.id], [])
    assert "notes.txt has changed since." in result.left[0].why
    assert "done before what could not be undone" in result.left[1].why
    await world.files.write("notes.txt", NOTES + b"Two.\n", await world.files.version("notes.txt"))
    assert ids(await brody.runs.undo(RUN)) == ([grown.id, first.id], [], [])
    assert ids(await brody.runs.undo(RUN)) == ([], [], [])


async def test_what_nothing_undoes_is_passed_over_and_named(brody: Brody, world: World) -> None:
    task = await do(brody, world, "task.create", title="Water the plants")
    said = await do(brody, world, "notify", text="Hello")
    result = await brody.runs.undo(RUN)
    assert ids(result) == ([task.id], [], [said.id])
    assert result.impossible[0].why == "A notification may have been read."


async def test_what_waits_for_an_answer_is_taken_back_first(brody: Brody, world: World) -> None:
    task = await do(brody, world, "task.create", title="Water the plants")
    asked = await do(brody, world, "mail.send", wait=True, account="a", to=["a@b.example"], subject="S", text="T")
    assert ids(await brody.runs.undo(RUN[:3])) == ([asked.id, task.id], [], [])


async def test_what_is_under_way_stops_it(brody: Brody, world: World) -> None:
    task = await do(brody, world, "task.create", title="Water the plants")
    asked = await do(brody, world, "mail.send", wait=True, account="a", to=["a@b.example"], subject="S", text="T")
    async with brody.ledger.write() as tx:
        doing = {"state": ActionState.EXECUTING}
        await tx.execute(table(Action).update().where(table(Action).c.id == asked.id).values(**doing))
    assert ids(await brody.runs.undo(RUN)) == ([], [asked.id, task.id], [])


async def test_the_actions_of_other_runs_stay(brody: Brody, world: World) -> None:
    other = await carried_out(brody, AgentAction(kind="task.create", arguments={"title": "Sow"}))
    await do(brody, world, "task.create", title="Water the plants")
    await brody.runs.undo(RUN)
    assert (await brody.actions.show(other.id)).state is ActionState.DONE


async def test_a_run_that_there_is_not_cannot_be_undone(brody: Brody) -> None:
    with pytest.raises(NotFound):
        await brody.runs.undo("nothing")
