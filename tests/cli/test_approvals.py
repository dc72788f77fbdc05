"""Approvals on the command line: what waits is listed, shown, and answered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from brody_agents import AgentAction, Brody
from brody_agents.settings import Settings
from tests.cli.kit import Commands, refused
from tests.crash.asking import cards, decided, installed, scan, told


@pytest.fixture
def asked(brody: Commands, tmp_path: Path) -> Commands:
    """Return commands on a home where two things wait."""
    installed(brody.kit, tmp_path / "plug-ins", brody.home)
    scanned = brody.kit.brody(*scan(tmp_path / "mail", brody.home, 2))
    assert scanned.code == 0, scanned.err
    return brody


def test_what_waits_is_listed_and_shown(asked: Commands) -> None:
    """The beginning of an id is enough."""
    card = cards(asked.kit, asked.home)[0]
    listed = asked("approvals", "list")
    assert card["id"][:8] in listed.out
    shown = asked("approvals", "show", card["id"][:8])
    for words in (
        "notify",
        "A mail came.",
        "You asked to be asked.",
        "Nothing is changed, and the proposal expires on",
    ):
        assert words in " ".join(shown.out.split())
    assert json.loads(asked("approvals", "show", card["id"], "--json").out) == card


def test_an_approved_action_is_done_at_once(asked: Commands) -> None:
    """The second answer says the same; another one is refused."""
    card = cards(asked.kit, asked.home)[0]
    first = asked("approvals", "decide", card["id"], "approve", "--digest", card["digest"])
    assert first.out.strip() == "approved: notify is done."
    assert decided(asked("approvals", "decide", card["id"], "approve", "--json"))["repeated"]
    refused(asked("approvals", "decide", card["id"], "reject"), 1, "was approved on", "[already_decided]")
    assert told(asked.home) == {card["action_id"]: 1}
    assert [c["id"] for c in cards(asked.kit, asked.home)] != [card["id"]]
    assert card["id"] in asked("approvals", "list", "--all", "--json").out


def test_an_edit_takes_the_arguments_as_json(asked: Commands) -> None:
    """What is no JSON object is wrong use; what does not fit the action is refused."""
    card = cards(asked.kit, asked.home)[0]
    edit = ("approvals", "decide", card["id"], "edit", "--arguments")
    refused(asked(*edit, "{"), 2, "--arguments is no JSON")
    refused(asked(*edit, "[" * 100_000), 2, "--arguments is no JSON")
    refused(asked(*edit, "[]"), 2, "--arguments is no JSON object")
    refused(asked(*edit, "{}"), 1, "[invalid_arguments]")
    refused(asked(*edit[:4]), 1, "'edit' has no arguments. Give all", "[invalid_arguments]")
    refused(asked(*edit[:3], "approve", "--arguments", "{}"), 1, "Only edit takes arguments", "[invalid_arguments]")
    refused(asked(*edit[:3], "reject", "--text", "a\udcff"), 1, "The text has", "[invalid_arguments]")
    edited = decided(asked(*edit, '{"text": "In my words"}', "--json"))
    assert edited["action"]["state"] == "done"
    assert edited["action"]["arguments"] == {"text": "In my words"}


def test_what_there_is_not_is_named(asked: Commands) -> None:
    refused(asked("approvals", "show", "nothing"), 1, "There is no approval nothing", "[not_found]")
    refused(asked("approvals", "decide", "nothing", "approve"), 1, "[not_found]")
    card = cards(asked.kit, asked.home)[0]
    refused(asked("approvals", "decide", card["id"], "accept"), 1, "Use one of: approve, edit, reject, respond.")
    refused(asked("approvals", "decide", card["id"], "approve", "--digest", "0"), 1, "[stale]")


async def test_an_approved_action_that_fails_says_why(brody: Commands) -> None:
    """Whoever said yes reads at once that it was not done, and what to do."""
    settings = Settings(cpu_workers=0, redis_url="memory:")
    async with Brody(home=brody.home, agents=[], settings=settings) as inside:
        wish = {"account": "dir:/nowhere", "path": "report.txt", "text": "New."}
        await inside.execute(AgentAction(kind="file.create", arguments=wish))
        (card,) = await inside.approvals.list()
    said = " ".join(brody("approvals", "decide", card.id, "approve").out.split())
    why = "dir:/nowhere is none that you named for files. Name the account in a run first."
    assert said == f"approved: file.create has failed: {why}"
