"""The locks of an mbox: the dot-lock beside it, as liblockfile has it, and the lock by fcntl on it."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from brody_agents.errors import SourceLocked
from brody_agents.integrations.local import open_quietly, storable

T = TypeVar("T")

STALE_AFTER = 300
"""Seconds after which a dot-lock that names no process is one that a crash has left."""
_PAUSE = 0.02


@contextmanager
def read_lock(path: Path, timeout: float) -> Iterator[int]:
    """Open an mbox for reading while nobody writes to it; yields the descriptor.

    Creates no dot-lock, which would change the folder. Raises ``SourceLocked`` after ``timeout`` seconds.
    """
    descriptor = _until(path, timeout, lambda: None if _is_held(path) else _locked(path, _open_read, fcntl.LOCK_SH))
    try:
        yield descriptor
    finally:
        os.close(descriptor)  # and with it the lock


@contextmanager
def write_lock(path: Path, timeout: float) -> Iterator[int]:
    """Open an mbox while nobody else reads or writes; yields the descriptor, for reading: writes replace the file."""
    dot_lock = _until(path, timeout, lambda: _make_dot_lock(path))
    try:
        descriptor = _until(path, timeout, lambda: _locked(path, _open_write, fcntl.LOCK_EX))
        try:
            yield descriptor
        finally:
            os.close(descriptor)
    finally:
        dot_lock.unlink(missing_ok=True)


def _until(path: Path, timeout: float, attempt: Callable[[], T | None]) -> T:
    deadline = time.monotonic() + timeout
    while (got := attempt()) is None:
        if time.monotonic() >= deadline:
            raise SourceLocked(f"Another program holds the lock of mbox:{storable(str(path))}.")
        time.sleep(_PAUSE)
    return got


def _open_read(path: Path) -> int:
    return open_quietly(path)


def _open_write(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CLOEXEC)  # a lock for writing wants a descriptor for writing


def _locked(path: Path, opened: Callable[[Path], int], kind: int) -> int | None:
    descriptor = opened(path)
    try:
        fcntl.lockf(descriptor, kind | fcntl.LOCK_NB)
        # Whoever held the lock may have put another file in this one's place.
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return descriptor
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EAGAIN):
            os.close(descriptor)
            raise
    os.close(descriptor)
    return None


# -- the dot-lock -------------------------------------------------------------------------------------


def _dot_lock(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _make_dot_lock(path: Path) -> Path | None:
    lock = _dot_lock(path)
    try:
        descriptor = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        if not _is_held(path):
            lock.unlink(missing_ok=True)  # what a crash has left
        return None
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{os.getpid()}\n")
    return lock


def _is_held(path: Path) -> bool:
    """Say whether there is a dot-lock of a process that lives, or a young one of nobody knows whom."""
    lock = _dot_lock(path)
    try:
        age = time.time() - lock.lstat().st_mtime
        pid = _process(lock)
    except FileNotFoundError:
        return False
    if pid and pid != os.getpid():
        return _lives(pid)
    return age < STALE_AFTER  # a crashed process may have had our number: in a container they are few


def _process(lock: Path) -> int:
    with suppress(ValueError, IndexError, OSError):
        return int(lock.read_bytes()[:20].split()[0])
    return 0


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
