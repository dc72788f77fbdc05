"""What a worker keeps in memory while it works off many messages; a process of its own: ``python -m … COUNT``."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

from brody_agents import Brody
from brody_agents.settings import Settings
from tests.benchmarks.roads import Relay, relayed

PARTS = 10
MOST = 250.0
"""Megabytes that a worker may take."""
DRIFT = 0.1
"""The share by which it may grow from the second tenth of the messages to the last."""


def sizes(count: int) -> list[float]:
    """Return the megabytes that a new process takes after each tenth of ``count`` messages."""
    command = [sys.executable, "-m", "tests.soak.memory", str(count)]
    ended = subprocess.run(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, check=True)
    measured: list[float] = json.loads(ended.stdout)
    return measured


def faults(measured: list[float]) -> list[str]:
    """Return what is wrong with what was measured, in words."""
    found = [f"it took {max(measured):.0f} MB, and {MOST:.0f} are allowed"] if max(measured) > MOST else []
    if measured[-1] > measured[1] * (1 + DRIFT):
        found.append(f"it grew from {measured[1]:.0f} to {measured[-1]:.0f} MB")
    return found


async def _measure(count: int) -> list[float]:
    this, measured = psutil.Process(), []
    with tempfile.TemporaryDirectory() as name:
        async with Brody(home=Path(name), agents=[Relay("relay")], settings=Settings(cpu_workers=0)) as brody:
            for _ in range(PARTS):
                await relayed(brody, count // PARTS)
                measured.append(this.memory_info().rss / 1e6)
    return measured


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_measure(int(sys.argv[1])))))
