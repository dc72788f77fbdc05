"""A process that is killed anywhere around an effect on an account: started again, each effect is there once."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from brody_agents import ActionState, AgentAction, Brody
from brody_agents.coordinator import account_executor
from brody_agents.coordinator.account_executor import AccountExecutor
from brody_agents.integrations.files.local import Folder
from brody_agents.integrations.mail.maildir import Maildir
from brody_agents.ledger import attempts
from brody_agents.ledger.budgets import Budgets, Usage
from brody_agents.ledger.ledger import Ledger
from brody_agents.settings import Settings
from tests.coordinator.accounts_kit import NOTES, World, carried_out

pytestmark = [pytest.mark.crash, pytest.mark.timeout(120)]
POINTS = (
    *("before intent", "after intent", "before effect", "after effect"),
    *("before result", "after result"),
)
KINDS = ("mail.draft", "mail.archive", "file.create", "file.append", "file.move", "file.delete")


def cases(kinds: Sequence[str]) -> list[Any]:
    """Return every kind at every point, on a home's own file; and one of them in a PostgreSQL."""
    everywhere = [pytest.param(kind, point, "", id=f"{kind} {point}") for kind in kinds for point in POINTS]
    marks, kind = pytest.mark.integration, "file.append"
    return everywhere + [pytest.param(kind, p, "database_url", id=f"{kind} {p} postgres", marks=marks) for p in POINTS]


@pytest.mark.parametrize(("kind", "point", "database"), cases(KINDS))
async def test_each_effect_is_there_exactly_once(
    kind: str, point: str, database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The second process reconciles what the first one left and carries out what it did not.

    There is room in the budgets for this one call: it is neither lost with the process nor spent twice.
    """
    world = World.at(tmp_path)
    await world.fill()
    home, url = tmp_path / "home", request.getfixturevalue(database) if database else ""
    assert await asyncio.to_thread(_child, home, url, tmp_path, kind, point) == -signal.SIGKILL
    for user, of in (await _budgets(home, url)).items():
        assert of.used + of.reserved <= of.budget.limit, user
    assert await asyncio.to_thread(_child, home, url, tmp_path, kind, "never") == 0
    assert {name: (of.used, of.reserved) for name, of in (await _budgets(home, url)).items()} == {
        "calls": (1, 0),
        "slots": (0, 0),
    }
    drafts = [m.folder for m in await world.mails()]
    assert sorted(drafts) == {"mail.draft": ["", "Drafts"], "mail.archive": ["Archive"]}.get(kind, [""])
    assert await world.texts() == {
        "file.create": {"notes.txt": NOTES, "new.txt": b"New."},
        "file.append": {"notes.txt": NOTES + b"Two."},
        "file.move": {"moved.txt": NOTES},
        "file.delete": {},
    }.get(kind, {"notes.txt": NOTES})


async def _budgets(home: Path, url: str) -> dict[str, Usage]:
    """Return the user's budgets as the ledger has them, by their unit."""
    ledger = await Ledger.open(home, url)
    found = {str(usage.budget.unit): usage for usage in await Budgets(ledger).usage()}
    await ledger.close()
    return found


def _child(home: Path, url: str, folder: Path, kind: str, point: str) -> int | None:
    """Run ``_work`` in a process of its own and return how it ended."""
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
    _arm(point)
    asyncio.run(_carry_out(home, url, folder, kind))


async def _carry_out(home: Path, url: str, folder: Path, kind: str) -> None:
    world, settings = World.at(folder), Settings(redis_url="memory:", database_url=url)
    async with Brody(home=home, accounts=world.accounts, agents=[], settings=settings) as brody:
        await brody.budgets.set("user", "me", "calls", 1)
        await brody.budgets.set("user", "me", "slots", 1)
        known = await brody.actions.list()
        action = AgentAction(kind=kind, arguments=await _arguments(brody, world, kind), cause="test")
        if known:  # an item that has moved has another id; the wish stays the first one
            action = action.model_copy(update={"arguments": known[0].arguments})
        assert (await carried_out(brody, action)).state is ActionState.DONE


async def _arguments(brody: Brody, world: World, kind: str) -> dict[str, Any]:
    more: dict[str, dict[str, Any]] = {
        "mail.draft": {"to": ["ann@b.example"], "subject": "Re: Plants", "text": "Done."},
        "file.create": {"path": "new.txt", "text": "New."},
        "file.append": {"text": "Two."},
        "file.move": {"path": "moved.txt"},
    }
    if await brody.actions.list():
        return {}
    mail_id, file_id = await world.read_into(brody)
    if kind.startswith("mail."):
        return {"account": world.mail.account, "email_id": mail_id, **more.get(kind, {})}
    item = {} if kind == "file.create" else {"document_id": file_id}
    return {"account": world.files.account, **item, **more.get(kind, {})}


def _arm(point: str) -> None:
    """Have this process kill itself where ``point`` says."""
    when, _, what = point.partition(" ")
    if what == "effect":
        for owner, name in ((Maildir, "append"), (Maildir, "move"), (Folder, "write"), (Folder, "move")):
            _around(owner, name, when)
        _around(Folder, "delete", when)
    elif what == "intent":
        _around(attempts, "begin", when) if when == "before" else _around(AccountExecutor, "_tried", "before")
    elif what == "result":
        _result(when)


def _around(owner: Any, name: str, when: str) -> None:
    real: Callable[..., Any] = getattr(owner, name)

    async def deadly(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        await real(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, deadly)


def _result(when: str) -> None:
    """Die in the transaction that writes the result, or right after it was committed."""
    _around(attempts, "leave", "after") if when == "before" else _around(AccountExecutor, "_leave", "after")
