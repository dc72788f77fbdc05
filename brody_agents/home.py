"""A home: the folder with the ledger, the key and the lock that lets one process at a time work on it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from contextlib import suppress
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
            if time.monotonic() >= until:
                file.seek(0)
                holder = file.read().decode().strip() or "unknown"
                file.close()
                raise HomeBusy(f"Process {holder} works on {self._path.parent}.") from None
            await asyncio.sleep(0.05)
        self._file = file
        with suppress(OSError):  # who holds it is only told, and a disk may be full
            file.truncate(0)
            file.write(f"{os.getpid()}".encode())

    def release(self) -> None:
        """Give the lock up."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _taken(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
