"""The short form of what ``make soak`` runs for hours."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.soak import memory
from tests.soak.run import soak_kills

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]


def test_a_worker_takes_no_more_memory_after_more_messages() -> None:
    """Once the caches of its connections to the ledger are full: by a tenth of these."""
    assert memory.faults(memory.sizes(60_000)) == []


def test_growth_and_size_are_faults() -> None:
    assert memory.faults([90, 100, 109]) == []
    assert memory.faults([90, 100, 111]) == ["it grew from 100 to 111 MB"]
    assert memory.faults([90, 251, 251]) == ["it took 251 MB, and 250 are allowed"]


def test_runs_that_are_killed_at_random_end_the_same(tmp_path: Path) -> None:
    assert soak_kills(tmp_path, 2, random.SystemRandom().getrandbits(32)) == []
