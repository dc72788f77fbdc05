"""A Redis Cluster of three nodes that somebody else wrote, for tests; on loopback, since a cluster needs TCP."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

NODES = 3


def available() -> bool:
    """Say whether the server and its tool are installed."""
    return bool(shutil.which("redis-server") and shutil.which("redis-cli"))


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """Run three nodes that share the slots; give the URL of the first."""
    ports = _free_ports()
    with ExitStack() as stack:
        for port in ports:
            stack.enter_context(_node(folder / str(port), port))
        nodes = [f"127.0.0.1:{port}" for port in ports]
        create = ["redis-cli", "--cluster", "create", *nodes, "--cluster-yes"]
        subprocess.run(create, check=True, capture_output=True, timeout=60)
        while not all(_told(port, "cluster", "info").startswith("cluster_state:ok") for port in ports):
            pass
        yield f"redis+cluster://{nodes[0]}"


@contextmanager
def _node(folder: Path, port: int) -> Iterator[None]:
    folder.mkdir(parents=True)
    options = ["--bind", "127.0.0.1", "--port", str(port), "--cluster-port", str(port + 10_000), "--save", ""]
    command = ["redis-server", "--cluster-enabled", "yes", *options, "--dir", str(folder)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        while _told(port, "ping") != "PONG\n":
            assert process.poll() is None, (folder / "log").read_text()
        yield
    finally:
        process.terminate()
        process.wait(timeout=20)


def _told(port: int, *command: str) -> str:
    return subprocess.run(["redis-cli", "-p", str(port), *command], check=False, capture_output=True, text=True).stdout


def _free_ports() -> list[int]:
    """Return ports that are free now, and whose cluster ports (10,000 above) are as well."""
    found: list[int] = []
    for port in range(20_000 + (hash(Path.cwd()) % 20_000), 55_000):
        if _free(port) and _free(port + 10_000):
            found.append(port)
        if len(found) == NODES:
            return found
    raise AssertionError("There are no free ports.")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
