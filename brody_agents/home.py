"""A home: the folder with the ledger, the key and the lock that lets one process at a time work on it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import time
import uuid
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import IO

from brody_agents.errors import ConfigurationError, HomeBusy


def prepare_home(path: str | Path) -> Path:
    """Return the folder of a home, made (mode 0700) when it is not there; raise ``ConfigurationError``."""
    home = Path(path).expanduser().absolute()
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"The home {home} cannot be made: {error.strerror}.", "Give another folder with --home."
        ) from error
    if not os.access(home, os.W_OK | os.X_OK):
        raise ConfigurationError(f"The home {home} cannot be written to.", "Give another folder with --home.")
    for name in ("brody.db", "lock"):  # for the owner only, even where others may look into the folder
        with suppress(OSError):
            os.close(os.open(home / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    return home


class HomeLock:
    """Hold a home's lock (flock) for as long as this process works on it; the system frees it at its end."""

    def __init__(self, home: Path) -> None:
        self._path = home / "lock"
        self._file: IO[bytes] | None = None

    async def acquire(self, timeout: float) -> None:
        """Take the lock; raise ``HomeBusy`` when another process still holds it after ``timeout`` seconds."""
        try:
            file = self._path.open("a+b", buffering=0)
        except OSError as error:
            what = f"{self._path} cannot be opened: {error.strerror}."
            raise ConfigurationError(what, "Remove it, or use another --home.") from error
        until = time.monotonic() + timeout
        while not _taken(file):
            holder, stays = _holder(file)
            if stays or time.monotonic() >= until:
                file.close()
                how = ", until it is stopped" if stays else ""
                raise HomeBusy(f"Process {holder} works on {self._path.parent}{how}.") from None
            await asyncio.sleep(0.05)
        self._file = file
        self._tell("")

    def stay(self) -> None:
        """Let others know that this process works until it is stopped, so that nobody waits for its end."""
        self._tell(" stays")

    def _tell(self, more: str) -> None:
        if self._file is not None:
            with suppress(OSError):  # who holds it is only told, and a disk may be full
                self._file.truncate(0)
                self._file.write(f"{os.getpid()}{more}".encode())

    def release(self) -> None:
        """Give the lock up."""
        if self._file is not None:
            self._file.close()
            self._file = None


class WorkerPlace:
    """The place of one of several workers on a home: a numbered file that it holds (flock).

    The next process that takes the place is the same worker: the one before is dead, and what it held is free.
    """

    def __init__(self, home: Path, number: int, file: IO[bytes]) -> None:
        self._file = file
        file.seek(0)
        mark = file.read().decode("ascii", "replace").strip()
        if not mark:
            mark = uuid.uuid4().hex[:12]
            file.write(mark.encode())
        self.name = f"{socket.gethostname()}/{mark}"
        """The worker's id: a home that was copied to another machine has other workers."""
        self.in_hand = home / f"in-hand-{number}"

    @classmethod
    def take(cls, home: Path) -> WorkerPlace:
        """Take the first place that no process has."""
        for number in count():
            file = (home / f"worker-{number}").open("a+b", buffering=0)
            if _taken(file):
                return cls(home, number, file)
            file.close()
        raise AssertionError  # there is always one more

    def release(self) -> None:
        """Give the place up."""
        self._file.close()


def _holder(file: IO[bytes]) -> tuple[str, bool]:
    """Return the process that says it holds a lock, and whether it lives and stays."""
    file.seek(0)
    pid, *more = file.read().decode("ascii", "replace").split()[:2] or ["unknown"]
    try:
        os.kill(int(pid), 0)
    except (ValueError, OSError):  # an earlier holder's: the present one has not written yet
        return pid, False
    return pid, bool(more)


def _taken(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
