"""A process that is killed anywhere around the undo of an effect: asked again, it is undone exactly once."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from pathlib import Path

import pytest

from brody_agents import ActionState, AgentAction, Brody
from brody_agents.coordinator import account_executor
from brody_agents.integrations.mail.maildir import Maildir
from brody_agents.settings import Settings
from tests.coordinator.accounts_kit import NOTES, World, carried_out, ended
from tests.crash.test_killed_effects import _arguments, _arm, _around, cases

pytestmark = [pytest.mark.crash, pytest.mark.timeout(120)]
KINDS = ("mail.draft", "mail.archive", "file.create", "file.append", "file.move")


@pytest.mark.parametrize(("kind", "point", "database"), cases(KINDS))
async def test_each_undo_takes_place_exactly_once(
    kind: str, point: str, database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The second process reconciles what the first one left, and the account is as it was at the very beginning."""
    world = World.at(tmp_path)
    await world.fill()
    home, url = tmp_path / "home", request.getfixturevalue(database) if database else ""
    assert await asyncio.to_thread(_child, home, url, tmp_path, kind, point) == -signal.SIGKILL
    assert await asyncio.to_thread(_child, home, url, tmp_path, kind, "never") == 0
    assert [m.folder for m in await world.mails()] == [""]
    assert await world.texts() == {"notes.txt": NOTES}


def _child(home: Path, url: str, folder: Path, kind: str, point: str) -> int | None:
    """Do and undo in a process of its own and return how it ended."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["brody_agents.front", "alembic.command", "tests.coordinator.accounts_kit"])
    process = context.Process(target=_work, args=(home, url, folder, kind, point))
    process.start()
    process.join(60)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise AssertionError("It did not end.")
    return process.exitcode


def _work(home: Path, url: str, folder: Path, kind: str, point: str) -> None:
    account_executor.TAKEOVER = 0.0  # whoever was there before is dead, and is not waited for
    asyncio.run(_undo(home, url, folder, kind, point))


async def _undo(home: Path, url: str, folder: Path, kind: str, point: str) -> None:
    world, settings = World.at(folder), Settings(redis_url="memory:", database_url=url)
    async with Brody(home=home, accounts=world.accounts, agents=[], settings=settings) as brody:
        known = await brody.actions.list()
        if not known:
            action = AgentAction(kind=kind, arguments=await _arguments(brody, world, kind), cause="test")
            known = [await carried_out(brody, action)]
            assert known[0].state is ActionState.DONE
        _arm(point)
        if point.endswith("effect"):
            _around(Maildir, "delete", point.partition(" ")[0])
        if known[0].undoing:  # whoever works on the home goes on by itself
            await brody.bus()
            assert (await ended(brody, known[0].id, {ActionState.UNDONE})).state is ActionState.UNDONE
        assert (await brody.actions.undo(known[0].id)).state is ActionState.UNDONE
