"""A folder as a chat: ``chat:FOLDER``, a file a channel, a line of JSON a post (``id``, ``at``, ``text``).

Lines are only ever added. One that a crash has cut off was never a post: the next one takes its place.
"""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from brody_agents.errors import InvalidArguments
from brody_agents.integrations.local import account_key, locked, place_of, speaking, sync_folder

_LONGEST = 200


class ChatFolder:
    """A folder with a file for each channel; implements ``Chat``."""

    scheme = "chat"

    def __init__(self, path: str) -> None:
        """Take the folder; raise ``SourceNotFound`` where there is none."""
        self.root = place_of(self.scheme, path)

    @property
    def account(self) -> str:
        """Return ``chat:/absolute/path``."""
        return account_key(self.scheme, self.root)

    async def post(self, channel: str, text: str, post_id: str) -> str:
        """Add a line to the channel's file, unless it has the post already."""
        path = self._file(channel)
        await locked(self.root, f"{self.account}: {channel}", _add, path, text, post_id)
        return path.name

    async def find(self, channel: str, post_id: str) -> str | None:
        """Look for the post in the channel's file."""
        path = self._file(channel)

        def found() -> bool:
            with speaking(f"{self.account}: {channel}"):
                return _has(_whole_lines(path), post_id)

        return path.name if await asyncio.to_thread(found) else None

    async def check(self) -> str:
        """Count the channels."""
        with speaking(self.account):
            channels = len(list(self.root.glob("*.jsonl")))
        return f"{channels} channels"

    async def close(self) -> None:
        """Do nothing: no handle is kept."""

    def _file(self, channel: str) -> Path:
        name = quote(channel, safe=" #@+=,")
        if not channel.strip() or len(name) > _LONGEST:
            raise InvalidArguments(f"{channel[:80]!r} is no channel.", "Name it by a word, such as team.")
        return self.root / f"{name}.jsonl"


def _add(path: Path, text: str, post_id: str) -> None:
    lines = _whole_lines(path)
    if _has(lines, post_id):
        return
    post = {"id": post_id, "at": datetime.now(UTC).isoformat(timespec="seconds"), "text": text}
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
    with os.fdopen(descriptor, "wb") as file:
        file.truncate(len(lines))
        file.seek(len(lines))
        file.write(json.dumps(post, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")
        file.flush()
        os.fsync(descriptor)
    sync_folder(path.parent)


def _whole_lines(path: Path) -> bytes:
    """Return a file up to its last whole line; empty for none."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return b""
    return data[: data.rfind(b"\n") + 1]


def _has(lines: bytes, post_id: str) -> bool:
    start = b'{"id": ' + json.dumps(post_id).encode()
    return any(line.startswith(start) for line in lines.splitlines())
