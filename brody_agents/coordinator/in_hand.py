"""What is in hand: a file that says, after the process was killed, which messages its handlers were at.

A message whose handling ends the process would end every next one too. Which one it is must be known without a
transaction for each message: it is written to a file that is not synced. It outlives the process, not the machine,
and the machine's end is no message's fault.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import orjson

SLOT = 32_768
"""Bytes for the messages that one handler has; those that do not fit are not noted."""


class InHand:
    """Note, in a file of a home, what handlers begin and end."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._free: list[int] = []
        self._slots = 0

    def left(self) -> list[tuple[str, list[str]]]:
        """Return (agent, message ids) of the handlers that the last process was at when it was killed; forget them."""
        found = []
        for start in range(0, os.fstat(self._file).st_size, SLOT):
            agent, *ids = _read(os.pread(self._file, SLOT, start))
            if ids:
                found.append((agent, ids))
        os.ftruncate(self._file, 0)
        return found

    def begin(self, agent: str, message_ids: Sequence[str]) -> int:
        """Note that an agent begins with messages; return what ``end`` takes."""
        if self._free:
            slot = self._free.pop()
        else:
            slot, self._slots = self._slots, self._slots + 1
        data = orjson.dumps([agent, *message_ids])
        if len(data) >= SLOT:
            data = orjson.dumps([agent, *message_ids[:10]])
        os.pwrite(self._file, data + b"\n", slot * SLOT)
        return slot

    def end(self, slot: int) -> None:
        """Note that it is done with them."""
        os.pwrite(self._file, b"\n", slot * SLOT)
        self._free.append(slot)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def _read(slot: bytes) -> list[str]:
    try:
        noted: list[str] = orjson.loads(slot.split(b"\n", 1)[0].rstrip(b"\0") or b'[""]')
    except orjson.JSONDecodeError:  # killed in the middle of writing it: the handler had not begun
        return [""]
    return noted
