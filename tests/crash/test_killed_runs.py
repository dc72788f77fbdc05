"""A run that is killed with SIGKILL at any time and started again ends as one that was not killed."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.crash.kit import Crash, Ended, Kit, Place, Undisturbed, demo, lasting, ledger, run_ids, servers_of

pytestmark = pytest.mark.crash

SPREAD = [
    Crash("before commit", 4),
    Crash("before commit", 15),
    Crash("after commit", 7),
    Crash("after commit", 12),
    Crash("after commit", 24),
    Crash("set_shared", 4),
    Crash("publish", 2),
    Crash("print", 1),
]
EVERYWHERE: tuple[Place, ...] = ("before commit", "after commit", "publish", "set_shared", "acknowledge", "print")


def killed(kit: Kit, home: Path, crash: Crash) -> list[str]:
    """Kill a run and return the ids of the runs that it had begun."""
    ended = kit.brody(*demo(home), crash=crash)
    assert ended.code == -9, f"{crash}: ended with {ended.code}\n{ended.err}"
    return run_ids(home)


def same(ended: Ended, home: Path, undisturbed: Undisturbed, begun: list[str]) -> None:
    """Compare what a run ended with to what an undisturbed one gives."""
    assert lasting(ended.brief) == undisturbed.brief
    assert ledger(home) == undisturbed.ledger
    assert begun in ([], [ended.brief["run_id"]])
    assert servers_of(home) == []


@pytest.mark.parametrize("crash", SPREAD, ids=str)
def test_a_killed_run_goes_on(crash: Crash, kit: Kit, undisturbed: Undisturbed, home: Path) -> None:
    """It keeps its id, does nothing twice and leaves no server behind; its brief is the same."""
    begun = killed(kit, home, crash)
    same(kit.brody(*demo(home)), home, undisturbed, begun)


def test_a_run_can_be_killed_again_and_again(kit: Kit, undisturbed: Undisturbed, home: Path) -> None:
    """Each time it gets further, or not; the end is the same."""
    begun: list[str] = []
    for crash in (Crash("after commit", 6), Crash("before commit", 5), Crash("after commit", 4)):
        begun = begun or killed(kit, home, crash)
    same(kit.brody(*demo(home)), home, undisturbed, begun)


def test_a_run_is_killed_at_any_moment(kit: Kit, undisturbed: Undisturbed, home: Path) -> None:
    """Not only at commits: four kills at random moments on one home."""
    seed = random.SystemRandom().getrandbits(32)
    moments = random.Random(seed)
    # A slow machine may be killed at the same message each time, which would end as poison, and rightly so.
    kit = replace(kit, environment={**kit.environment, "BRODY_POISON_AFTER": "9"})
    for _ in range(4):
        run = kit.start(*demo(home))
        run.process.join(moments.uniform(0.05, 2.0))
        run.process.kill()
        if run.wait().out:
            break  # it was faster, and what follows would be a second run
    else:
        ended = kit.brody(*demo(home))
        assert lasting(ended.brief) == undisturbed.brief, f"seed {seed}"
        assert ledger(home) == undisturbed.ledger, f"seed {seed}"
    assert servers_of(home) == []


def test_a_home_that_was_removed_is_a_new_home(kit: Kit, undisturbed: Undisturbed, home: Path) -> None:
    """What the killed run's server still has is the old home's, and nothing to the new one at the same place."""
    killed(kit, home, Crash("publish", 2))
    shutil.rmtree(home)
    same(kit.brody(*demo(home)), home, undisturbed, begun=[])


def _all(kit: Kit, folder: Path) -> Iterator[Crash]:
    for place in EVERYWHERE:
        ended, visits = kit.counted(place, *demo(folder / f"counted {place}"))
        assert ended.code == 0
        yield from (Crash(place, number) for number in range(1, visits + 1))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_run_is_killed_everywhere(kit: Kit, undisturbed: Undisturbed, tmp_path: Path) -> None:
    """The full sweep, some ten minutes long: ``make soak``."""
    faults = []
    for crash in _all(kit, tmp_path):
        home = tmp_path / str(crash)
        if kit.brody(*demo(home), crash=crash).out:
            continue  # its work was done: the number of commits differs a little from run to run
        begun = run_ids(home)
        ended = kit.brody(*demo(home))
        try:
            same(ended, home, undisturbed, begun)
        except AssertionError as error:
            faults.append(f"{crash}: {error}")
    assert not faults, "\n".join(faults)
