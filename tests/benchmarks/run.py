"""Measure what the project promises, beside the raw limits of this machine in the same run: ``make bench``.

``python -m tests.benchmarks.run [--short]`` prints the table and adds the figures, a line a run, to ``--keep FILE``.
A flame graph of the turn: ``py-spy record -o turn.svg -- python -m tests.benchmarks.run --only turn``.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import platform
import subprocess
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from brody_agents.front import COLLECT_AFTER
from tests.benchmarks import asked, brokers, limits, retention, roads, scheduling, served
from tests.benchmarks.roads import Figure

KEPT = Path(__file__).with_name("figures.jsonl")


async def measure(folder: Path, only: str | None, *, short: bool) -> list[Figure]:
    """Return the figures, one road after the other."""
    every: dict[str, Callable[[], Awaitable[list[Figure]]]] = {
        "start": roads.start_up,
        "codec": roads.codec,
        "asked": asked.asked,
        "memory-bus": roads.in_memory,
        "request": roads.requests,
        "bus": lambda: roads.bus(folder),
        "brokers": brokers.brokers,
        "turn": lambda: roads.turn(folder),
        "turn-served": lambda: served.turn(folder),
        "single": lambda: roads.one_at_a_time(folder),
        "retention": lambda: retention.sweep(folder),
        "scheduling": scheduling.promised,
        "memory": lambda: roads.memory(folder, 20_000 if short else 100_000),
        "mail": lambda: roads.mail(folder, 2_000 if short else 20_000),
    }
    return [figure for name, road in every.items() if only in (None, name) for figure in await road()]


def shown(figures: list[Figure]) -> Table:
    """Return the table that a person reads."""
    table = Table("what", "measured", "raw limit beside it", "ratio", "wanted")
    for f in figures:
        ratio = "" if f.ratio is None else f"{f.ratio:.2f}"
        beside = f.beside if f.limit is None else f"{f.beside} {f.limit:,.0f}/s"
        table.add_row(f.what, f"{f.measured:,.0f} {f.unit}", beside, ratio, f.wanted)
    return table


def keep(file: Path, figures: list[Figure], probe: float) -> None:
    """Add a line with the figures, the commit and the machine to the kept file."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    line = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "python": platform.python_version(),
        "fdatasync_per_second": round(probe),
        "figures": [asdict(f) | {"ratio": f.ratio} for f in figures],
    }
    with file.open("a") as kept:
        kept.write(json.dumps(line) + "\n")


async def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a tenth of the mails and messages")
    parser.add_argument("--only", help="one road, by name")
    parser.add_argument("--keep", type=Path, default=KEPT, help="the file that the figures are added to")
    wanted = parser.parse_args()
    gc.freeze()  # as `brody worker` does, and for the raw limits too
    gc.set_threshold(*COLLECT_AFTER)
    with tempfile.TemporaryDirectory() as name:
        probe = limits.fdatasync(Path(name))
        figures = await measure(Path(name), wanted.only, short=wanted.short)
    Console().print(shown(figures), f"fdatasync of 4 KiB: {probe:,.0f}/s")
    if wanted.only is None:
        keep(wanted.keep, figures, probe)


if __name__ == "__main__":
    asyncio.run(main())
