"""An installed agent whose every wish waits for the person, and what its answers have led to."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from textwrap import dedent
from typing import Any

from tests.crash.kit import Ended, Kit

ASKER = """
from brody_agents import BrodyAgent, Context, handles
from brody_agents.communication.payloads import ApprovalResponse, EmailReceived

class Asker(BrodyAgent):
    name = "asker"

    @handles
    async def on_mail(self, mail: EmailReceived, ctx: Context) -> None:
        ctx.propose("notify", {"text": mail.subject}, why="A mail came.", cause=mail.email_id)

    @handles
    async def on_answer(self, answer: ApprovalResponse, ctx: Context) -> None:
        pass
"""
MAIL = "From: ada@lovelace.example\nTo: me@home.example\nSubject: {n}\nMessage-ID: <{n}@lovelace.example>\n\nNo. {n}.\n"


def installed(kit: Kit, folder: Path, home: Path) -> None:
    """Install the agent for the processes of a kit; nothing of this is about the bus, so it is in memory.

    Whatever is proposed in the home is asked for.
    """
    info = folder / "asker-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: asker\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[brody_agents.agents]\nasker = asker:Asker\n")
    (folder / "asker.py").write_text(dedent(ASKER))
    kit.paths = [str(folder)]
    kit.environment = {"BRODY_REDIS_URL": "memory:", "BRODY_CPU_WORKERS": "0"}
    assert kit.brody("autonomy", "set", "*", "suggest", "--home", home).code == 0


def scan(folder: Path, home: Path, count: int) -> list[str]:
    """Write mails and return the arguments that have one thing asked for each of them."""
    folder.mkdir()
    for n in range(count):
        (folder / f"{n}.eml").write_text(MAIL.format(n=n))
    return ["run", "inbox-scan", "--mail", f"eml:{folder}", "--json", "--home", str(home)]


def cards(kit: Kit, home: Path) -> list[dict[str, Any]]:
    """Return the open cards of the agent."""
    ended = kit.brody("approvals", "list", "--json", "--home", home)
    assert ended.code == 0, ended.err
    return [card for card in json.loads(ended.out) if card["proposed_by"] == "asker"]


def decided(ended: Ended) -> dict[str, Any]:
    """Return what a decision printed."""
    assert ended.code == 0, ended.err
    found: dict[str, Any] = json.loads(ended.out)
    return found


def told(home: Path) -> Counter[str]:
    """Return how often each action has left a notification."""
    from brody_agents.communication.message_protocol import stable_id

    with closing(sqlite3.connect(home / "brody.db")) as db:
        notes = Counter(note for (note,) in db.execute("SELECT id FROM notifications"))
        actions = [action for (action,) in db.execute("SELECT id FROM actions WHERE kind = 'notify'")]
    return Counter({a: n for a in actions if (n := notes[stable_id("notification", a)])})


def fences(home: Path) -> dict[str, tuple[str, int]]:
    """Return the state of each of the agent's actions, and how often it was tried."""
    with closing(sqlite3.connect(home / "brody.db")) as db:
        rows = db.execute("SELECT id, state, fence FROM actions WHERE proposed_by = 'asker'")
        return {action: (state, fence) for action, state, fence in rows}
