"""Sending on the command line: what is held is told and waited for, what nobody can tell is settled."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from brody_agents import Brody
from tests.cli.kit import Commands, refused
from tests.coordinator.accounts_kit import World
from tests.crash.kit import Kit
from tests.integration.conftest import SmtpServer, StartSmtp
from tests.integration.sending_kit import QUICK, mail, word

pytestmark = [pytest.mark.integration, pytest.mark.timeout(90)]


@pytest.fixture
def brody(tmp_path: Path, home: Path) -> Iterator[Commands]:
    """Return a way to run commands on a home, where messages are held for a second."""
    (tmp_path / "output").mkdir()
    kit = Kit(tmp_path / "output", {"BRODY_REDIS_URL": "memory:", "BRODY_RECALL_SECONDS": "1", "BRODY_TIMEZONE": "UTC"})
    yield Commands(kit, home)
    kit.close()


async def card(home: Path, to: str) -> str:
    """Have a mail wait for an answer and return its card."""
    async with Brody(home=home, agents=[], settings=QUICK) as brody:
        await brody.execute(mail("mail.send", to))
        (card,) = await brody.approvals.list()
    return card.id


async def begun(brody: Commands, tmp_path: Path, server: SmtpServer, noted: bool) -> None:
    """Have the sending account named once."""
    world = World.at(tmp_path / "world")
    await world.fill()
    send = word(server.port, world.mail.root if noted else None)
    assert brody.run("--mail", f"maildir:{world.mail.root}", "--send", send, "--user", "me").code == 0


async def test_a_held_mail_is_told_of_and_waited_for(
    brody: Commands, tmp_path: Path, home: Path, smtp_server: StartSmtp
) -> None:
    server = smtp_server()
    await begun(brody, tmp_path, server, noted=True)
    said = brody("approvals", "decide", await card(home, "ada@work.example"), "approve")
    first, second = said.out.splitlines()
    assert re.fullmatch(r"mail\.send leaves at \d\d:\d\d:\d\d; brody actions undo [0-9a-f]{8} recalls it\.", first)
    assert second == "approved: mail.send is done."
    assert len(server.delivered) == 1


async def test_who_did_not_get_it_is_told(brody: Commands, tmp_path: Path, home: Path, smtp_server: StartSmtp) -> None:
    server = smtp_server()
    await begun(brody, tmp_path, server, noted=True)
    async with Brody(home=home, agents=[], settings=QUICK) as opened:
        await opened.execute(mail("mail.send", ["ada@work.example", "nobody@work.example"]))
        (waiting,) = await opened.approvals.list()
    said = " ".join(brody("approvals", "decide", waiting.id, "approve").out.split())
    assert said.endswith("mail.send is done. nobody@work.example did not get it: 550 5.1.1 no such user")


async def test_what_is_refused_for_now_is_said_to_be_tried_again(
    brody: Commands, tmp_path: Path, home: Path, smtp_server: StartSmtp
) -> None:
    server = smtp_server()
    await begun(brody, tmp_path, server, noted=True)
    said = " ".join(brody("approvals", "decide", await card(home, "full@work.example"), "approve").out.split())
    assert "approved: mail.send waits to be tried again: " in said
    assert "452 4.3.1 the disk is full" in said


async def test_what_nobody_can_tell_is_settled_by_a_command(
    brody: Commands, tmp_path: Path, home: Path, smtp_server: StartSmtp
) -> None:
    """Once; after that, and of anything else, there is nothing to say."""
    server = smtp_server()
    await begun(brody, tmp_path, server, noted=False)
    brody("approvals", "decide", await card(home, "drop@work.example"), "approve")
    (action,) = json.loads(brody("actions", "list", "--state", "unknown", "--json").out)
    said = brody("actions", "settle", action["id"][:8], "--not-done")
    assert said.out.strip() == "mail.send has failed: You said that it did not take place."
    refused(brody("actions", "settle", action["id"], "--done"), 1, "is failed", "[not_unclear]")
    assert len(server.delivered) == 1


async def test_a_run_says_what_is_still_held(
    brody: Commands, tmp_path: Path, home: Path, smtp_server: StartSmtp
) -> None:
    """It does not wait for what is not its own, and does not keep silent about it."""
    server = smtp_server()
    await begun(brody, tmp_path, server, noted=True)
    async with Brody(home=home, agents=[], settings=QUICK.model_copy(update={"recall_seconds": 3600})) as opened:
        await opened.execute(mail("mail.send", "ada@work.example"))
        (waiting,) = await opened.approvals.list()
        await opened.approvals.decide(waiting.id, "approve")
        await opened.drain()
    said = " ".join(brody.run("--user", "me").err.split())
    assert "mail.send leaves at" in said
    assert (
        f"brody actions undo {waiting.action_id[:8]} recalls it. It is sent by whatever runs on this home then." in said
    )
    assert server.delivered == []
