"""Undo on the command line: an action, a whole run, and what stays."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from brody_agents import AgentAction, Brody
from brody_agents.settings import Settings
from tests.cli.kit import Commands, refused


@pytest.fixture
def scanned(brody: Commands, mail: Path) -> Commands:
    """Return commands on a home where a run has made a task."""
    (mail / "two.eml").unlink()  # the same is asked for in both, which would be the person's to sort out
    assert brody.scan("--mail", f"eml:{mail}")["tasks"]
    return brody


def made(brody: Commands) -> list[dict[str, Any]]:
    """Return the actions that made tasks."""
    return [a for a in brody.listed("actions") if a["kind"] == "task.create"]


def test_an_action_is_undone_and_shown_so(scanned: Commands) -> None:
    """The beginning of an id is enough, and a second time says the same."""
    action = made(scanned)[0]["id"]
    assert f"brody actions undo {action[:8]}" in scanned("actions", "show", action).out
    first = scanned("actions", "undo", action[:8])
    assert (first.code, first.out.strip()) == (0, "task.create is undone. You had it undone.")
    assert scanned("actions", "undo", action).out == first.out
    shown = json.loads(scanned("actions", "show", action, "--json").out)
    assert (shown["state"], shown["cannot_undo"]) == ("undone", "")
    assert shown["done_at"] < shown["undo_asked_at"]


def test_a_run_is_undone(scanned: Commands) -> None:
    """What it made is gone; what cannot be undone is named; a second time there is nothing."""
    run = scanned.listed("runs")[0]["id"]
    first = scanned("runs", "undo", run, "--json")
    assert first.code == 0, first.err
    told = json.loads(first.out)
    assert {a["id"] for a in told["undone"]} >= {a["id"] for a in made(scanned)}
    assert {a["state"] for a in made(scanned)} == {"undone"}
    assert told["left"] == []
    assert scanned("runs", "undo", run[:8]).out.strip() == "Nothing."


def test_what_cannot_be_undone_says_why(scanned: Commands) -> None:
    """Exit code 1 for what stays, as for every refusal."""

    async def change() -> str:
        async with Brody(home=scanned.home, agents=[], settings=Settings(redis_url="memory:")) as brody:
            (task, *_) = [a for a in await brody.actions.list() if a.kind == "task.create"]
            wish = {"task_id": (task.result or {})["task_id"], "title": "Mine"}
            await brody.execute(AgentAction(kind="task.update", arguments=wish))
            await brody.execute(AgentAction(kind="notify", arguments={"text": "Hello"}))
            return task.id

    changed = asyncio.run(change())
    stays = scanned("actions", "undo", changed)
    assert (stays.code, "stays done. It was not undone: Task" in stays.out) == (1, True)
    said = next(a["id"] for a in scanned.listed("actions") if a["kind"] == "notify")
    refused(scanned("actions", "undo", said), 1, "A notification may have been read.", "[cannot_undo]")
    refused(scanned("actions", "undo", "nothing"), 1, "[not_found]")
    refused(scanned("runs", "undo", "nothing"), 1, "[not_found]")
    left = scanned("runs", "undo", scanned.listed("runs")[0]["id"])
    assert (left.code, "left" in left.out) == (1, True)


async def test_another_process_that_works_on_the_home_undoes_it(scanned: Commands) -> None:
    """The command writes the wish; who holds the home carries it out."""
    action = (await asyncio.to_thread(made, scanned))[0]["id"]
    async with Brody(home=scanned.home, agents=[], settings=Settings(redis_url="memory:")) as brody:
        await brody.bus()
        ended = await asyncio.to_thread(scanned, "actions", "undo", action)
    assert (ended.code, ended.out.strip()) == (0, "task.create is undone. You had it undone."), ended.err


def test_two_processes_at_once_undo_it_once(scanned: Commands) -> None:
    """One of them works on the home; both say what became of it."""
    action = made(scanned)[0]
    runs = [scanned.kit.start("actions", "undo", action["id"], "--json", "--home", scanned.home) for _ in range(3)]
    ends = [run.wait() for run in runs]
    assert [end.code for end in ends] == [0, 0, 0], [end.err for end in ends]
    told = [json.loads(end.out) for end in ends]
    assert {(a["state"], a["fence"]) for a in told} == {("undone", action["fence"] + 1)}
