"""A run that is asked to stop stops at once, leaves nothing behind, and goes on when it is started again."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.crash.kit import Crash, Kit, Undisturbed, demo, lasting, ledger, run_ids, servers_of

pytestmark = pytest.mark.crash


@pytest.mark.parametrize(("by", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_a_stopped_run_goes_on(by: signal.Signals, code: int, kit: Kit, undisturbed: Undisturbed, home: Path) -> None:
    """The exit code is the shell's for the signal; no server stays, and no traceback is shown."""
    stopped = kit.start(*demo(home), crash=Crash("after commit", 12, by)).wait(20)
    assert stopped.code == code, stopped.err
    assert stopped.err == "brody: stopped; run it again to go on.\n"
    assert servers_of(home) == []
    (begun,) = run_ids(home)
    ended = kit.brody(*demo(home))
    assert ended.brief["run_id"] == begun
    assert lasting(ended.brief) == undisturbed.brief
    assert ledger(home) == undisturbed.ledger


@pytest.mark.parametrize("number", [1, 2])
def test_a_run_stopped_while_it_opens_its_ledger_ends_without_noise(kit: Kit, home: Path, number: int) -> None:
    """The driver's threads are waited for."""
    stopped = kit.start(*demo(home), crash=Crash("before commit", number, signal.SIGINT)).wait(20)
    assert (stopped.code, stopped.err) == (130, "brody: stopped; run it again to go on.\n")
    assert kit.brody(*demo(home)).brief["complete"]
