"""The processes of a pool end with the process that they work for, and their end is not its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from brody_agents.compute import Pool
from brody_agents.integrations.mail.base import RawMail
from brody_agents.integrations.mail.parsing import parse_all

pytestmark = pytest.mark.crash

MAILS = [RawMail(str(n), "", b"Subject: x\n\n", "", frozenset()) for n in range(130)]
WORK = """
import asyncio, os, sys
from brody_agents.compute import Pool
from brody_agents.integrations.mail.base import RawMail
from brody_agents.integrations.mail.parsing import parse_all

async def main():
    pool = Pool(2)
    mails = [RawMail(str(n), "", b"Subject: x\\n\\n", "", frozenset()) for n in range(130)]
    try:
        await pool.map(parse_all, mails, expected=5000)
        print("ready", flush=True)
        await asyncio.Event().wait()
    finally:
        await pool.close()

try:
    asyncio.run(main())
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.fixture
def program(tmp_path: Path) -> subprocess.Popen[str]:
    """Return a program with a session of its own, whose pool has worked and waits for more."""
    command = [sys.executable, "-c", WORK]
    program = subprocess.Popen(
        command, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "ready\n"
    return program


def test_a_killed_program_leaves_no_process_of_its_pool(program: subprocess.Popen[str]) -> None:
    """They hear of its end; nobody else would tell them."""
    processes = psutil.Process(program.pid).children(recursive=True)
    assert len(processes) >= 2
    program.kill()
    assert psutil.wait_procs(processes, timeout=20)[1] == []
    program.communicate()


def test_ctrl_c_ends_a_program_with_its_pool_and_without_noise(program: subprocess.Popen[str]) -> None:
    """A terminal sends it to all processes; only the program hears it."""
    processes = psutil.Process(program.pid).children(recursive=True)
    os.killpg(program.pid, signal.SIGINT)
    assert program.communicate(timeout=20) == ("", "")
    assert program.returncode == 130
    assert psutil.wait_procs(processes, timeout=20)[1] == []


async def test_work_goes_on_when_a_process_of_the_pool_is_killed() -> None:
    """As by a system that is short of memory: the rest is done without processes."""
    pool = Pool(2)
    expected = await pool.map(parse_all, MAILS, expected=5000)
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # the pool ends the others as soon as it misses the first
            if "spawn_main" in " ".join(process.cmdline()):
                process.kill()
    assert await pool.map(parse_all, MAILS, expected=5000) == expected
    await pool.close()
