"""Commands on a home, and what has to hold after every one of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.crash.kit import Ended, Kit

WHEN = ("--tz", "Europe/Berlin", "--now", "2026-10-26T07:30:00+01:00")
MAIL = """From: Ada Example <ada@lovelace.example>
To: me@home.example
Subject: The report {name}
Message-ID: <{name}@lovelace.example>
Date: Mon, 26 Oct 2026 06:00:00 +0100

Could you send me the report {name} by Friday?
"""


@dataclass(slots=True)
class Commands:
    """Run commands on one home."""

    kit: Kit
    home: Path

    def __call__(self, *arguments: str | Path, home: Path | None = None) -> Ended:
        """Run a command; whatever happens, it ends without a traceback and without a server that stays behind."""
        ended = self.kit.brody(*arguments, "--home", home or self.home)
        assert "Traceback" not in ended.err, ended.err
        return ended

    def run(self, *accounts: str | Path, playbook: str = "inbox-scan", home: Path | None = None) -> Ended:
        """Run a playbook over accounts."""
        return self("run", playbook, *accounts, "--json", *WHEN, home=home)

    def scan(self, *accounts: str | Path) -> dict[str, Any]:
        """Run ``inbox-scan`` and return its brief, whose sum must hold."""
        brief = self.run(*accounts).brief
        counts = brief["counts"]
        assert counts["messages_read"] == counts["handled"] + counts["dead_letters"]
        return brief

    def letters(self) -> list[dict[str, Any]]:
        """Return the dead letters."""
        return self.listed("dead-letters")

    def listed(self, noun: str) -> list[dict[str, Any]]:
        """Return what ``brody NOUN list`` prints."""
        import json

        ended = self(noun, "list", "--json")
        assert ended.code == 0, ended.err
        found: list[dict[str, Any]] = json.loads(ended.out)
        return found


def refused(ended: Ended, code: int, *words: str) -> None:
    """Check that a command failed with an exit code, and said in one paragraph what is wrong and what to do."""
    assert ended.code == code, ended
    assert ended.out == ""
    assert all(word in ended.err for word in words), ended.err


@contextmanager
def unchanged(folder: Path) -> Iterator[None]:
    """Check that nothing under a folder is written, added, removed or touched."""
    before = _state(folder)
    yield
    assert _state(folder) == before


def _state(folder: Path) -> dict[str, tuple[Any, ...]]:
    return {str(path.relative_to(folder)): _state_of(path) for path in [folder, *folder.rglob("*")]}


def _state_of(path: Path) -> tuple[Any, ...]:
    status = path.lstat()
    content: object = None
    if path.is_symlink():
        content = os.readlink(path)
    elif path.is_file() and status.st_size < 1_000_000:
        content = path.read_bytes()
    return status.st_mode, status.st_size, status.st_mtime_ns, status.st_ino, content
