"""What tests of local providers share: read an account to its end, compare a tree before and after."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from brody_agents.integrations.base import BadItem, Page, Provider


@dataclass
class Reading:
    """All pages of one pass over an account."""

    pages: list[Page[Any]] = field(default_factory=list)

    @property
    def items(self) -> list[Any]:
        return [item for page in self.pages for item in page.items]

    @property
    def bad(self) -> list[BadItem]:
        return [bad for page in self.pages for bad in page.bad]

    @property
    def removed(self) -> list[str]:
        return [key for page in self.pages for key in page.removed]

    @property
    def by_key(self) -> dict[str, Any]:
        return {item.key: item for item in self.items}

    @property
    def known(self) -> dict[str, str]:
        """What a ledger would know after this pass."""
        return {item.key: item.version for item in (*self.items, *self.bad)}

    @property
    def cursor(self) -> str:
        return self.pages[-1].cursor

    @property
    def total(self) -> int | None:
        return self.pages[-1].total


ReadAll = Callable[..., Awaitable[Reading]]


@pytest.fixture
def read_all() -> ReadAll:
    """Return a function that reads an account to its end, given what is known of it."""

    async def read(
        provider: Provider[Any], cursor: str | None = None, known: Mapping[str, str] | None = None
    ) -> Reading:
        async def versions() -> Mapping[str, str]:
            return known or {}

        return Reading([page async for page in provider.changes(cursor, versions)])

    return read


@pytest.fixture
def folder_of_nobody() -> Iterator[Path]:
    """Yield a folder in which permissions count: as root, the test goes on as a user without any rights."""
    root = os.geteuid() == 0
    folder = Path(tempfile.mkdtemp()).resolve()
    if root:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        shutil.rmtree(folder)


@pytest.fixture
def picture() -> Callable[[Path], dict[str, tuple[Any, ...]]]:
    """Return a function that takes a picture of a tree: names, kinds, sizes, change times and contents."""

    def take(root: Path) -> dict[str, tuple[Any, ...]]:
        paths = [root, *root.rglob("*")] if root.is_dir() else [root, root.parent]
        return {str(path): _picture(path) for path in paths}

    return take


def _picture(path: Path) -> tuple[Any, ...]:
    status = path.lstat()
    content = path.read_bytes() if path.is_file() and not path.is_symlink() and status.st_mode & 0o400 else b""
    return status.st_mode, status.st_mtime_ns, status.st_ctime_ns, status.st_size, content
