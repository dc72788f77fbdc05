"""The office with a post: mail goes over an SMTP server, events into a CalDAV server, and effects are counted there."""

from __future__ import annotations

import json
import mailbox
import re
from collections import Counter
from pathlib import Path
from typing import Any

from brody_agents import ActionState, AgentAction, Brody
from brody_agents.testing import approve_all, settled
from tests.crash.office import Clerk, Porter, Wish, order_of

SUBJECT = "Plants"
LETTER = {"to": ["ann@work.example"], "subject": SUBJECT, "text": "Please water them."}
_SENDER = "from=Mira%20%3Cmira%40home.example%3E&timeout=5"


def wishes(calendar: str) -> list[Wish]:
    """Return a mail and an event."""
    event = {"title": "Watering", "start": "2026-10-26T09:00:00Z", "end": "2026-10-26T09:30:00Z"}
    return [("mail.send", LETTER), ("calendar.create", {"account": calendar, **event})]


def sender(folder: Path, port: int) -> str:
    """Return the word of an account that sends, and looks for what it sent where the server delivers."""
    return f"smtp://127.0.0.1:{port}?sent=maildir:{folder}/mail&{_SENDER}"


async def work(folder: Path) -> None:
    """Send the order, answer the cards, and be the person who looks where a mail is that nobody can tell of."""
    office = json.loads((folder / "office.json").read_text())
    async with Brody(folder / "home", accounts=office["accounts"], agents=[Clerk(), Porter()]) as brody:
        await brody.send(order_of(office["wishes"]))
        await settled(brody)
        while await approve_all(brody) or await _looked(brody, folder):
            await settled(brody)


async def _looked(brody: Brody, folder: Path) -> bool:
    """Say of unknown mails whether they arrived; want one again that did not. Return whether anything was said."""
    unknown = await brody.actions.list(state=ActionState.UNKNOWN)
    for action in unknown:
        await brody.actions.settle(action.id, SUBJECT in delivered(folder))
        await brody.follow(action.id)
    mails = [action for action in await brody.actions.list() if action.kind == "mail.send"]
    if SUBJECT in delivered(folder) or not all(mail.state is ActionState.FAILED for mail in mails):
        return bool(unknown)
    again = AgentAction(kind="mail.send", arguments=LETTER, redo_of=mails[0].id, cause="it did not arrive")
    await brody.execute(again)
    return True


def delivered(folder: Path) -> Counter[str]:
    """Return what the server has delivered, by subject."""
    return Counter(str(mail["Subject"]) for mail in mailbox.Maildir(folder / "mail", create=False))


def events(collection: Path) -> Counter[str]:
    """Return the titles of the events in a collection of radicale, from its files."""
    files = [path.read_text() for path in collection.glob("*.ics")]
    return Counter(title for text in files for title in re.findall(r"(?m)^SUMMARY:(.*?)\r?$", text))


def counted(folder: Path) -> dict[str, Any]:
    """Return what arrived at the servers."""
    return {"mails": delivered(folder), "events": events(Path((folder / "collection").read_text()))}
