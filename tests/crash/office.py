"""The scenario of the crash sweep: two agents that talk, share a value and wish for effects; its world from outside.

What is wished for, and on which accounts, lies in the case's folder, so that other effects are only other data.
"""

from __future__ import annotations

import json
import mailbox
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path
from typing import Any

from brody_agents import AgentMessage, Brody, BrodyAgent, Context, Payload, handles
from brody_agents.communication.message_protocol import new_context
from brody_agents.communication.payloads import ActionResult, ApprovalResponse
from brody_agents.testing import CrashPoint, approve_all, crash_points, settled

WHEN = datetime(2026, 10, 26, 7, tzinfo=UTC)
Wish = tuple[str, dict[str, Any]]


class Order(Payload, message_type="office_order"):
    """What somebody wants done."""

    wishes: list[Wish]


class Slip(Payload, message_type="office_slip"):
    """One thing of an order."""

    kind: str
    arguments: dict[str, Any]


class Clerk(BrodyAgent):
    """Ask for the first thing of an order, hand the others on, and keep count of what is done."""

    @handles
    async def on_order(self, order: Order, ctx: Context) -> None:
        first, *others = (Slip(kind=kind, arguments=arguments) for kind, arguments in order.wishes)
        await ctx.ask("porter", first)
        for slip in others:
            ctx.tell("porter", slip)
        await ctx.remember("orders", await ctx.recall("orders", 0) + 1)


class Porter(BrodyAgent):
    """Propose what the slips say."""

    @handles
    async def on_slip(self, slip: Slip, ctx: Context) -> None:
        ctx.propose(slip.kind, slip.arguments, why="A slip says so.")

    @handles
    async def on_answer(self, answer: ApprovalResponse, ctx: Context) -> None:
        await ctx.remember("answers", await ctx.recall("answers", 0) + 1)

    @handles
    async def on_result(self, result: ActionResult, ctx: Context) -> None:
        await ctx.remember("ended", await ctx.recall("ended", 0) + 1)


def points_at(*places: str, modules: Iterable[str] = ()) -> list[CrashPoint]:
    """Return the points at ``module kind call``, in whatever functions they are; there is one at each place."""
    points = {place: [p for p in crash_points(modules) if _is_at(p, place)] for place in places}
    assert all(points.values()), points
    return [point for found in points.values() for point in found]


def _is_at(point: CrashPoint, place: str) -> bool:
    module, kind, call = place.split(" ", 2)
    return f".{point.module}".endswith(f".{module}") and (point.kind, point.call) == (kind, call)


def furnish(folder: Path, wishes: list[Wish], accounts: Mapping[str, str] | None = None) -> None:
    """Write a case's wishes and accounts; a Maildir and a folder of files are there in any case."""
    for name in ("cur", "new", "tmp"):
        (folder / "mail" / name).mkdir(parents=True, exist_ok=True)
    (folder / "files").mkdir()
    local = {"mail": f"maildir:{folder}/mail", "files": f"dir:{folder}/files"}
    (folder / "office.json").write_text(json.dumps({"wishes": wishes, "accounts": {**local, **(accounts or {})}}))


def local_wishes(folder: Path) -> list[Wish]:
    """Return wishes that are carried out in the ledger and on accounts of this machine."""
    mail, files = f"maildir:{folder}/mail", f"dir:{folder}/files"
    letter = {"account": mail, "to": ["ann@b.example"], "subject": "Plants", "text": "Please water them."}
    return [
        ("task.create", {"title": "Water the plants"}),
        ("mail.draft", letter),
        ("notify", {"text": "There is a draft."}),
        ("file.create", {"account": files, "path": "plants.txt", "text": "Watered."}),
    ]


def order_of(wishes: list[Wish]) -> AgentMessage:
    """Return the message that has things done; after a crash it is the same one again."""
    order, context = Order(wishes=wishes), new_context("me", timestamp=WHEN)
    return AgentMessage(id="the-order", sender="you", recipient="clerk", payload=order, context=context)


async def work(folder: Path) -> None:
    """Send the order, answer the cards, and end when all is done."""
    office = json.loads((folder / "office.json").read_text())
    async with Brody(folder / "home", accounts=office["accounts"], agents=[Clerk(), Porter()]) as brody:
        await brody.send(order_of(office["wishes"]))
        await settled(brody)
        while await approve_all(brody):
            await settled(brody)
        known = await brody.context()
        (folder / "known.json").write_text(json.dumps(known.values))


def outside(folder: Path) -> dict[str, Any]:
    """Return what there is on the accounts of this machine, each thing counted, and what the agents know."""
    box = mailbox.Maildir(folder / "mail", create=False)
    drafts: Iterable[Message] = box.get_folder("Drafts") if "Drafts" in box.list_folders() else []
    files = {path.name: path.read_text() for path in (folder / "files").iterdir()}
    known = json.loads((folder / "known.json").read_text())
    return {"drafts": Counter(str(draft["Subject"]) for draft in drafts), "files": files, "known": known}


def sqlite_ledger(folder: Path) -> dict[str, Any]:
    """Return what the ledger in a home's file must hold in the end."""
    with closing(sqlite3.connect(folder / "home" / "brody.db")) as db:
        return {name: sorted(db.execute(query).fetchall()) for name, query in LEDGER.items()}


LEDGER = {
    "actions": "SELECT kind, state, COUNT(*) FROM actions GROUP BY 1, 2",
    "tasks": "SELECT title, COUNT(*) FROM tasks GROUP BY 1",
    "notifications": "SELECT level, COUNT(*) FROM notifications GROUP BY 1",
    "messages": "SELECT message_type, open, COUNT(*) FROM messages GROUP BY 1, 2",
    "handled": "SELECT m.message_type, h.agent, COUNT(*) FROM handled h JOIN messages m ON m.id = h.message_id"
    " GROUP BY 1, 2",
    "dead letters": "SELECT code, COUNT(*) FROM dead_letters GROUP BY 1",
}


def local_world(folder: Path) -> dict[str, Any]:
    """Return all of it, for a ledger in a file."""
    return outside(folder) | sqlite_ledger(folder)
