"""The sample day lies in the home that works on it: what is approved there changes nothing of the package."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brody_agents.demo import FOLDER, demo_folder, sample_day
from brody_agents.errors import ConfigurationError
from tests.cli.kit import Commands


def content(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return the bytes and the times of all files below a folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """Give sample data that nobody may write to, as an installation's."""
    data = tmp_path / "installed"
    (data / "files").mkdir(parents=True)
    (data / "files" / "notes.txt").write_text("One.\n")
    everything = [data, data / "files", data / "files" / "notes.txt"]
    for path in everything:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield data
    for path in everything[:2]:
        path.chmod(0o755)


def ids(brief: dict[str, Any]) -> set[str]:
    """Return all ids that a brief names."""
    found: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            found.update(str(v) for k, v in value.items() if k == "id")
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(brief)
    return found


def test_two_homes_have_a_day_each_and_the_package_keeps_its_own(brody: Commands, tmp_path: Path) -> None:
    """What is approved is done in the home's copy; a second run finds the same items, changed as they are."""
    before = content(demo_folder())
    one, two = tmp_path / "one", tmp_path / "two"
    first = json.loads(brody("demo", "--json", home=one).out)
    brody("demo", "--json", home=two)
    (one / FOLDER / "files" / "mine.txt").write_text("Mine.\n")
    again = json.loads(brody("demo", "--json", home=one).out)
    assert content(demo_folder()) == before
    assert content(two / FOLDER) == before
    assert (one / FOLDER / "files" / "mine.txt").read_text() == "Mine.\n"
    assert ids(first)
    assert ids(first) <= ids(again), "the same items have the same ids"
    assert str(demo_folder()) not in json.dumps(first)


def test_a_copy_may_be_written_to_though_the_original_may_not(tmp_path: Path, read_only: Path) -> None:
    accounts = sample_day(tmp_path, read_only)
    copy = tmp_path / FOLDER / "files" / "notes.txt"
    assert accounts["files"] == [f"dir:{tmp_path / FOLDER / 'files'}"]
    assert (copy.stat().st_mode & 0o200, copy.parent.stat().st_mode & 0o200) == (0o200, 0o200)
    assert content(tmp_path / FOLDER) == content(read_only)


def test_it_is_copied_once(tmp_path: Path, read_only: Path) -> None:
    sample_day(tmp_path, read_only)
    (tmp_path / FOLDER / "files" / "notes.txt").write_text("Changed.\n")
    sample_day(tmp_path, read_only)
    assert (tmp_path / FOLDER / "files" / "notes.txt").read_text() == "Changed.\n"
    assert {path.name for path in tmp_path.iterdir()} == {"installed", FOLDER}


def test_where_it_cannot_be_put_it_says_so(tmp_path: Path, read_only: Path) -> None:
    (tmp_path / FOLDER).write_text("in the way")
    with pytest.raises(ConfigurationError, match="--home"):
        sample_day(tmp_path, read_only)
