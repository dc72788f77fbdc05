"""A PostgreSQL server that somebody else wrote, for tests; on a unix socket, with no TCP port."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_SAFE = ("-c", "fsync=on", "-c", "listen_addresses=", "-c", "max_connections=100", "-c", "shared_buffers=32MB")


def binaries() -> Path | None:
    """Return the folder of the newest server that is installed, where Debian puts it or on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if found:
        return found[-1].parent
    anywhere = shutil.which("initdb")
    return Path(anywhere).parent if anywhere else None


@dataclass(frozen=True)
class Server:
    """A server that may be stopped and started again."""

    folder: Path
    """That of its socket, which a URL names as ``?host=``."""
    control: Sequence[str]
    options: str

    def start(self) -> None:
        """Start it; return when it answers."""
        subprocess.run([*self.control, "-l", f"{self.folder}/log", "-o", self.options, "start"], check=True)

    def stop(self, mode: str = "immediate") -> None:
        """Stop it; ``immediate`` is as good as a crash."""
        subprocess.run([*self.control, "-m", mode, "stop"], check=True)


@contextmanager
def server() -> Iterator[Path]:
    """Run a server with new data; give the folder of its socket."""
    with own_server() as one:
        yield one.folder


@contextmanager
def own_server() -> Iterator[Server]:
    """Run a server with new data, which the test may stop and start."""
    where = binaries()
    assert where is not None
    with tempfile.TemporaryDirectory(prefix="brody-pg-") as name:  # short: a socket's path has at most 108 bytes
        folder = Path(name)
        as_user = _other_user(folder)
        subprocess.run(
            [*as_user, str(where / "initdb"), "-D", f"{name}/data", "-U", "brody", "-A", "trust", "-E", "UTF8"],
            check=True,
            capture_output=True,
        )
        control = [*as_user, str(where / "pg_ctl"), "-D", f"{name}/data", "-w", "-s"]
        one = Server(folder, control, " ".join([*_SAFE, "-k", name]))
        one.start()
        try:
            yield one
        finally:
            one.stop()


@contextmanager
def database(socket: Path, template: str = "") -> Iterator[str]:
    """Make a database, empty or like the one at the URL ``template``, and drop it again; give its URL."""
    where, name = binaries(), f"t{uuid.uuid4().hex}"
    assert where is not None
    reach = ["-h", str(socket), "-U", "brody", name]
    like = ["-T", template.partition("@/")[2].partition("?")[0]] if template else []
    subprocess.run([str(where / "createdb"), *like, *reach], check=True)
    try:
        yield f"postgresql://brody@/{name}?host={socket}"
    finally:
        subprocess.run([str(where / "dropdb"), "--force", *reach], check=True)


def _other_user(folder: Path) -> list[str]:
    """Return how a command is run as somebody else: the server refuses to be root's."""
    if os.getuid() != 0:
        return []
    shutil.chown(folder, "postgres", "postgres")
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
