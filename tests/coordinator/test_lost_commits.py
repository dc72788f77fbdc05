"""A commit whose answer does not arrive leaves nothing under way for ever: the account is asked, nothing is redone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from brody_agents.action import ActionState
from brody_agents.ledger.group_commit import GroupCommit
from brody_agents.ledger.ledger import Ledger
from tests.coordinator.executor_kit import Source, create, ends, executor, put, running

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    """Give a ledger on disk."""
    ledger = await Ledger.open(tmp_path)
    yield ledger
    await ledger.close()


@pytest.mark.parametrize("lost", range(1, 5))
async def test_what_nobody_knows_to_be_begun_is_asked_about(
    lost: int, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the commits of taking over, of placing an action, of its intent and of its result, each in turn."""
    source, commits, write = Source.at(tmp_path, "one"), 0, GroupCommit.write

    async def unanswered(group: GroupCommit, work: Callable[[Any], Awaitable[Any]]) -> Any:
        nonlocal commits
        commits += 1
        done = await write(group, work)
        if commits == lost:
            raise TimeoutError
        return done

    (account,) = source
    ids = await put(ledger, [create(account, "a.txt"), create(account, "b.txt")])
    monkeypatch.setattr(GroupCommit, "write", unanswered)
    async with running(executor(ledger, source)):
        assert [action.state for action in await ends(ledger, ids)] == [ActionState.DONE] * 2
    assert (account.names, sorted(account.written)) == (["a.txt", "b.txt"], ["a.txt", "b.txt"])
