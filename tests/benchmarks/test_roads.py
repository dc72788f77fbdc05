"""The benchmarks run, each on a few messages; what they measure is nobody's promise here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks import asked, brokers, retention, roads, served
from tests.benchmarks.roads import Figure
from tests.benchmarks.run import keep, shown
from tests.brokers import BROKERS, wanting

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


async def test_every_road_gives_figures_that_are_kept(tmp_path: Path) -> None:
    figures = [
        *await roads.codec(100),
        *await asked.asked(100),
        *await roads.in_memory(1000),
        *await roads.requests(200, 20),
        *await roads.bus(tmp_path, 512),
        *await roads.turn(tmp_path, 2000),
        *await served.turn(tmp_path, 2000),
        *await roads.one_at_a_time(tmp_path, 20),
        *await retention.sweep(tmp_path, 512),
        *await roads.memory(tmp_path, 10_000),
    ]
    assert all(figure.measured > 0 for figure in figures)
    assert shown(figures).row_count == len(figures) >= 10
    keep(tmp_path / "kept.jsonl", figures, probe=1.0)
    (line,) = map(json.loads, (tmp_path / "kept.jsonl").read_text().splitlines())
    assert [f["what"] for f in line["figures"]] == [f.what for f in figures]
    assert line["fdatasync_per_second"] == 1


def test_a_ratio_is_a_share_of_the_raw_limit() -> None:
    assert Figure("x", 50, "/s", "raw", 200).ratio == 0.25
    assert Figure("x", 50, "/s").ratio is None


async def test_every_broker_gives_a_figure() -> None:
    there = [name for name in BROKERS if wanting(name) is None]
    assert [figure.measured > 0 for figure in await brokers.brokers(512)] == [True] * len(there)
