"""What the crash tests share: the kit, and the run that nothing disturbed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.kit import Kit, Undisturbed, demo, lasting, ledger


@pytest.fixture(autouse=True)
def long_ones_are_asked_for(request: pytest.FixtureRequest) -> None:
    """Skip what takes minutes unless it was asked for."""
    if request.node.get_closest_marker("slow") and "slow" not in request.config.option.markexpr:
        pytest.skip("this takes minutes: make soak")


@pytest.fixture(params=["embedded", "postgresql"])
def one_of_two_databases(request: pytest.FixtureRequest) -> Path | None:
    """Return no server, and then a PostgreSQL."""
    return request.getfixturevalue("postgres_server") if request.param == "postgresql" else None


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    """Return a kit that leaves no process behind."""
    kit = Kit(tmp_path)
    yield kit
    kit.close()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """Return what a run over the sample day gives that nothing disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    kit = Kit(folder)
    ended, commits = kit.counted("before commit", *demo(folder / "home"))
    return Undisturbed(lasting(ended.brief), ledger(folder / "home"), commits)
