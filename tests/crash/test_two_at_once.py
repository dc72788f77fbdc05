"""Two processes on one home: one works, the other waits; nothing is done twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.kit import Ended, Kit, Undisturbed, demo, ledger, run_ids, servers_of

pytestmark = pytest.mark.crash


def what_stands(ended: Ended) -> dict[str, object]:
    """Return what the briefs of two runs on one home share: a second run finds no new mail and merges nothing anew."""
    brief = ended.brief
    counts = {name: count for name, count in brief["counts"].items() if name != "new_messages"}
    return {name: brief[name] for name in ("mail", "agenda", "tasks", "proposals", "analytics")} | counts


def test_two_runs_at_once_both_succeed(kit: Kit, undisturbed: Undisturbed, home: Path) -> None:
    """Each has its brief; the mails are new to one of them only, and every action is there once."""
    first, second = (run.wait() for run in [kit.start(*demo(home)) for _ in range(2)])
    assert what_stands(first) == what_stands(second)
    assert sorted(run.brief["counts"]["new_messages"] for run in (first, second)) == [0, 46]
    assert sorted(run_ids(home)) == sorted(run.brief["run_id"] for run in (first, second))
    for name in ("actions", "tasks", "dead letters"):
        assert ledger(home)[name] == undisturbed.ledger[name]
    assert servers_of(home) == []


def test_who_only_looks_does_not_wait(kit: Kit, home: Path) -> None:
    """Lists answer while a run works on the home, and the run does not notice."""
    run = kit.start(*demo(home))
    looks = [kit.brody(noun, "list", "--json", "--home", home) for noun in ("runs", "actions", "dead-letters")]
    assert [look.code for look in looks] == [0, 0, 0], looks
    assert run.wait().brief["complete"]


def test_who_cannot_wait_is_told_who_works(kit: Kit, home: Path) -> None:
    """A process that waits in vain for the home names the one that holds it."""
    kit.environment = {"BRODY_LOCK_TIMEOUT": "0"}
    runs = [kit.start(*demo(home)) for _ in range(2)]
    ended = sorted((run.wait() for run in runs), key=lambda e: e.code)
    pids = [str(run.process.pid) for run in runs]
    assert ended[0].brief["complete"]
    if ended[1].code:  # else they did not meet
        assert ended[1].code == 1
        assert "[home_busy]" in ended[1].err
        assert any(f"Process {pid} works on" in ended[1].err for pid in pids)
