"""The processes of a pool end with the process that they work for, also when it is killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.crash

WORK = """
import asyncio, os, signal
from pathlib import Path

import psutil

from brody_agents.compute import Pool
from brody_agents.integrations.mail.base import RawMail
from brody_agents.integrations.mail.parsing import parse_all


async def main():
    mails = [RawMail(str(n), "", b"Subject: x\\n\\n", "", frozenset()) for n in range(130)]
    await Pool(2).map(parse_all, mails, expected=5000)
    children = psutil.Process().children(recursive=True)
    Path("children").write_text(" ".join(str(child.pid) for child in children))
    os.kill(os.getpid(), signal.SIGKILL)


asyncio.run(main())
"""


def test_a_killed_program_leaves_no_process_of_its_pool(tmp_path: Path) -> None:
    """They hear of its end; nobody else would tell them."""
    ended = subprocess.run([sys.executable, "-c", WORK], cwd=tmp_path, check=False, timeout=60)
    assert ended.returncode == -9
    pids = [int(word) for word in (tmp_path / "children").read_text().split()]
    assert len(pids) >= 2
    left = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    assert psutil.wait_procs(left, timeout=20)[1] == []
