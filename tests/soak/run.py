"""The long tests, ``make soak``: a worker's memory over a million messages, and runs that are killed at random.

``python -m tests.soak.run [--messages 1000000] [--kills 200] [--seed N]``; what fails is named with its seed.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.soak import kills, memory


def main() -> None:
    """Run both and end with 1 if something failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=200, help="how many runs are killed")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    wanted = parser.parse_args()
    measured = memory.sizes(wanted.messages)
    print(f"memory over {wanted.messages:,} messages, in MB:", *(f"{size:.0f}" for size in measured), flush=True)
    faults = memory.faults(measured)
    with tempfile.TemporaryDirectory() as name:
        faults += soak_kills(Path(name), wanted.kills, wanted.seed)
    print(*(faults or ["Nothing failed."]), sep="\n")
    sys.exit(bool(faults))


def soak_kills(folder: Path, count: int, seed: int) -> list[str]:
    """Kill ``count`` runs and return what differed, with the seed that shows it again."""
    expected, faults = kills.undisturbed(folder), []
    for number in range(seed, seed + count):
        differs = kills.killed(folder / str(number), number, expected)
        faults += [f"--kills 1 --seed {number}: {what} differs" for what in differs]
        print(f"killed, seed {number}:", ", ".join(differs) or "the same in the end", flush=True)
        if not differs:
            shutil.rmtree(folder / str(number), ignore_errors=True)
    return faults


if __name__ == "__main__":
    main()
