"""The embedded Valkey: a unix socket, no TCP port, adopted after a crash."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest

from brody_agents.communication.bus.embedded import EmbeddedValkey, folder_of, socket_of
from brody_agents.errors import BusUnavailable


def server_process(home: Path) -> psutil.Process:
    """Return the process of the home's server."""
    folder = str(folder_of(socket_of(home)))
    for process in psutil.process_iter(["cmdline", "cwd"]):
        if process.info["cwd"] == folder:
            return process
    raise AssertionError("the server is not running")


async def test_it_listens_on_a_socket_only(home: Path) -> None:
    """No TCP port is open."""
    server = await EmbeddedValkey.of_home(home)
    try:
        process = server_process(home)
        assert process.net_connections(kind="inet") == []
        assert (socket_of(home).stat().st_mode & 0o077) == 0
    finally:
        await server.stop()
    assert not socket_of(home).exists()


@pytest.mark.parametrize("name", ["with space", 'quo"te', "it's", "ünï", "what?x=1#y%41", "new\nline"])
async def test_a_home_may_have_any_name(tmp_path: Path, name: str) -> None:
    """A home's name is no part of the server's configuration."""
    server = await EmbeddedValkey.of_home(tmp_path / name)
    client = server.client()
    assert await client.ping()
    await client.aclose()
    await server.stop()
    assert not folder_of(server.socket).exists()


async def test_no_place_for_a_server_is_a_lost_bus(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks goes on in memory."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "file"))
    with pytest.raises(BusUnavailable, match="no place for a Valkey"):
        await EmbeddedValkey.of_home(home)


async def test_a_live_server_is_adopted_and_stopped_by_its_last_user(home: Path) -> None:
    """A server whose parent was killed goes on to serve the next one."""
    first = await EmbeddedValkey.of_home(home)
    client = first.client()
    await client.set("kept", "yes")
    await client.aclose()
    second = await EmbeddedValkey.of_home(home)  # as after a kill -9 of the first user
    assert second.adopted
    client = second.client()
    assert await client.get("kept") == b"yes"
    await client.aclose()
    process = server_process(home)
    await second.stop()
    await asyncio.to_thread(psutil.wait_procs, [process], 10)
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


async def test_a_dead_server_is_replaced(home: Path) -> None:
    """What a killed server left behind is removed."""
    first = await EmbeddedValkey.of_home(home)
    process = server_process(home)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    assert socket_of(home).exists()
    second = await EmbeddedValkey.of_home(home)
    assert not second.adopted
    client = second.client()
    assert await client.ping()
    await client.aclose()
    await second.stop()
    assert first.socket == second.socket
