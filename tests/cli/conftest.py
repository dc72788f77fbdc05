"""What the tests of the command line share: a small mailbox, and a way to run ``brody`` as a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.kit import MAIL, Commands
from tests.crash.kit import Kit


@pytest.fixture
def brody(tmp_path: Path, home: Path) -> Iterator[Commands]:
    """Return a way to run commands on a home; the bus is in memory, since none of this is about the bus."""
    (tmp_path / "output").mkdir()
    kit = Kit(tmp_path / "output", {"BRODY_REDIS_URL": "memory:"})
    yield Commands(kit, home)
    kit.close()


@pytest.fixture
def mail(tmp_path: Path) -> Path:
    """Return a folder with two mails."""
    folder = tmp_path / "mail"
    folder.mkdir()
    for name in ("one", "two"):
        (folder / f"{name}.eml").write_bytes(MAIL.format(name=name).encode())
    return folder
