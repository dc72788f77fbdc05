"""A message whose handling ends the process does not end every next one: it becomes a dead letter."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.crash, pytest.mark.timeout(120)]

PROGRAM = """
import asyncio, json, os, signal, sys
from brody_agents import AgentMessage, Brody, BrodyAgent, Context, Payload, handles
from brody_agents.communication.message_protocol import new_context

class Pill(Payload, message_type="pill"):
    n: int

class Eater(BrodyAgent):
    seen = []

    @handles
    async def on_pills(self, pills: list[Pill], ctx: Context) -> None:
        if any(pill.n == 3 for pill in pills):
            os.kill(os.getpid(), signal.SIGKILL)
        self.seen += [pill.n for pill in pills]

async def main():
    async with Brody(home=sys.argv[1], agents=[Eater("eater")]) as brody:
        if sys.argv[2:] == ["send"]:
            for n in range(6):
                m = AgentMessage(sender="x", recipient="eater", payload=Pill(n=n), context=new_context("me"))
                await brody.send(m)
        await brody.drain()
        letters = await brody.dead_letters.list()
        print(json.dumps({"seen": Eater.seen, "dead": [letter.code for letter in letters]}))

asyncio.run(main())
"""


def test_a_message_that_kills_its_process_is_buried_and_its_batch_is_not(home: Path) -> None:
    """It may kill three processes; the others of its batch are handled, each in the end exactly once."""
    environment = {**os.environ, "BRODY_REDIS_URL": "memory:"}
    for n in range(8):
        words = [sys.executable, "-c", PROGRAM, str(home), *(["send"] if n == 0 else [])]
        ended = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL, ended.stderr
    told = json.loads(ended.stdout)
    assert told["dead"] == ["poison"]
    assert 3 not in told["seen"]
    assert n == 3
