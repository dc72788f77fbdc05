"""The bus may lose everything at any time: the ledger publishes again what is not handled, and the run completes."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from redis import Redis

from tests.crash.kit import Crash, Ended, Kit, Run, Undisturbed, demo, lasting, ledger, servers_of

pytestmark = pytest.mark.crash


def same(ended: Ended, home: Path, undisturbed: Undisturbed) -> None:
    """Compare a run that has lost its bus to one that kept it."""
    assert lasting(ended.brief) == undisturbed.brief
    assert ledger(home) == undisturbed.ledger
    assert servers_of(home) == []


def paused(kit: Kit, home: Path, number: int) -> Run:
    """Start a run and stop it where it publishes messages."""
    run = kit.start(*demo(home), crash=Crash("publish", number, signal.SIGSTOP))
    run.stopped()
    return run


def gone_on(run: Run) -> Ended:
    """Let a run go on to its end."""
    run.signal(signal.SIGCONT)
    return run.wait()


def test_the_embedded_server_is_killed(kit: Kit, undisturbed: Undisturbed, home: Path) -> None:
    """SIGKILL for Valkey in the middle: the run goes on in memory, and says so."""
    kit.environment = {"BRODY_LOG_LEVEL": "WARNING"}
    run = paused(kit, home, 4)
    (server,) = servers_of(home)
    os.kill(server, signal.SIGKILL)
    ended = gone_on(run)
    same(ended, home, undisturbed)
    assert "going on in memory" in ended.err


@pytest.mark.integration
def test_a_redis_loses_its_data(
    kit: Kit, undisturbed: Undisturbed, home: Path, own_redis: tuple[Path, subprocess.Popen[bytes]]
) -> None:
    """Streams, groups and live copies are gone, the server is there: all of it is made again."""
    socket, _ = own_redis
    kit.environment = {"BRODY_REDIS_URL": f"unix://{socket}"}
    run = paused(kit, home, 5)
    with Redis(unix_socket_path=str(socket)) as client:
        assert client.dbsize()
        client.flushall()
    same(gone_on(run), home, undisturbed)


@pytest.mark.integration
def test_a_redis_is_stopped(
    kit: Kit, undisturbed: Undisturbed, home: Path, own_redis: tuple[Path, subprocess.Popen[bytes]]
) -> None:
    """The run goes on in memory, and says so."""
    socket, server = own_redis
    kit.environment = {"BRODY_REDIS_URL": f"unix://{socket}", "BRODY_LOG_LEVEL": "WARNING"}
    run = paused(kit, home, 3)
    server.terminate()
    server.wait(10)
    ended = gone_on(run)
    same(ended, home, undisturbed)
    assert "going on in memory" in ended.err
