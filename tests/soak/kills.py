"""Runs over the sample day that are killed at random moments, again and again, and end as one that was not."""

from __future__ import annotations

import random
from pathlib import Path

from tests.crash.kit import Kit, Undisturbed, demo, lasting, ledger, servers_of

MOST = 4
"""How often one run is killed at most."""


def undisturbed(folder: Path) -> Undisturbed:
    """Return what a run gives that nothing disturbed."""
    ended, commits = Kit(folder).counted("before commit", *demo(folder / "undisturbed"))
    return Undisturbed(lasting(ended.brief), ledger(folder / "undisturbed"), commits)


def killed(folder: Path, seed: int, expected: Undisturbed) -> list[str]:
    """Kill one run at moments that a seed gives, see it to its end, and return in what it differs."""
    folder.mkdir()
    kit, moments, home = Kit(folder), random.Random(seed), folder / "home"
    try:
        for _ in range(moments.randint(1, MOST)):
            run = kit.start(*demo(home))
            run.process.join(moments.uniform(0.05, 2.5))
            run.process.kill()
            if run.wait().out:
                return []  # it was faster, and what follows would be a second run
        ended = kit.brody(*demo(home))
    finally:
        kit.close()
    checks = {
        "its brief": lasting(ended.brief) == expected.brief,
        "its ledger": ledger(home) == expected.ledger,
        "a server that is left": servers_of(home) == [],
    }
    return [what for what, holds in checks.items() if not holds]
