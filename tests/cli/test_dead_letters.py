"""Dead letters on the command line: what failed is listed, shown, and handled again once it is mended."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent

import pytest

from tests.cli.kit import MAIL, Commands, unchanged

MOODY = """
from brody_agents import BrodyAgent, Context, handles
from brody_agents.communication.payloads import EmailReceived

class Moody(BrodyAgent):
    name = "moody_agent"

    @handles
    async def on_mail(self, mail: EmailReceived, ctx: Context) -> None:
        {body}
"""
BROKEN = 'raise RuntimeError("not in the mood")'
MENDED = 'ctx.propose("notify", {"text": mail.subject}, why="A mail came.", cause=mail.email_id)'


class PlugIn:
    """An installed plug-in, which can be written anew."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        info = folder / "moody-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: moody\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[brody_agents.agents]\nmoody_agent = moody:Moody\n")

    def write(self, body: str) -> None:
        """Write the body of its handler."""
        (self.folder / "moody.py").write_text(dedent(MOODY).replace("{body}", body))


@pytest.fixture
def moody(brody: Commands, tmp_path: Path) -> PlugIn:
    """Return a plug-in that fails on every mail."""
    plug_in = PlugIn(tmp_path / "plug-ins")
    plug_in.write(BROKEN)
    brody.kit.paths = [str(plug_in.folder)]
    return plug_in


def replayed(brody: Commands, letter_id: str) -> tuple[bool, str]:
    """Replay a letter and return whether it was handled and what was said."""
    ended = brody("dead-letters", "replay", letter_id, "--json")
    assert ended.code == 0, ended.err
    said = json.loads(ended.out)
    return said["replayed"], said["said"]


def test_a_plug_in_that_fails_does_not_stop_the_rest(brody: Commands, mail: Path, moody: PlugIn) -> None:
    """Its messages are dead letters, the others' handlers have done their work, and the brief tells of it."""
    brief = brody.scan("--mail", f"eml:{mail}")
    letters = brody.letters()
    assert {(x["code"], x["agent"], x["message_type"]) for x in letters} == {
        ("handler_failed", "moody_agent", "email_received")
    }
    assert len(letters) == 2
    assert "not in the mood" in letters[0]["reason"]
    assert brief["counts"]["handled"] == 2
    assert "2 of this run's messages could not be handled." in brief["notices"][-1]["text"]


def test_a_letter_is_handled_once_its_plug_in_is_mended(brody: Commands, mail: Path, moody: PlugIn) -> None:
    """Before that it fails again and stays; afterwards it is gone, and was handled once."""
    brody.scan("--mail", f"eml:{mail}")
    first, second = (letter["id"] for letter in brody.letters())
    assert replayed(brody, first) == (False, "It failed again.")
    assert {letter["id"] for letter in brody.letters()} == {first, second}
    moody.write(MENDED)
    assert replayed(brody, first) == (True, "It was handled.")
    assert replayed(brody, second[:8]) == (True, "It was handled.")
    assert brody.letters() == []
    brody.scan("--mail", f"eml:{mail}")
    notes = [action["state"] for action in brody.listed("actions") if action["kind"] == "notify"]
    assert notes == ["done", "done"]


def test_a_plug_in_that_cannot_be_imported_is_left_out(brody: Commands, mail: Path, moody: PlugIn) -> None:
    """It is named, and the rest works."""
    (moody.folder / "moody.py").write_text("import nothing_of_this_name")
    ended = brody.run("--mail", f"eml:{mail}")
    assert ended.brief["counts"]["handled"] == 2
    assert "moody_agent was left out: ModuleNotFoundError" in ended.err
    assert brody.letters() == []
    assert brody("doctor").code == 1


def test_a_mail_that_is_mended_is_read_by_the_next_run(brody: Commands, mail: Path) -> None:
    """Its letter is gone; it was seen before, so it is not new."""
    (mail / "broken.eml").write_bytes(b"")
    brody.scan("--mail", f"eml:{mail}")
    assert len(brody.letters()) == 1
    (mail / "broken.eml").write_text(MAIL.format(name="mended"))
    brief = brody.scan("--mail", f"eml:{mail}")
    assert brief["counts"] == {"messages_read": 3, "handled": 3, "dead_letters": 0, "new_messages": 0}
    assert "The report mended" in {found["subject"] for found in brief["mail"]}
    assert brody.letters() == []


def test_a_mail_that_is_broken_later_is_a_dead_letter(brody: Commands, mail: Path) -> None:
    """The sum holds the other way round as well."""
    brody.scan("--mail", f"eml:{mail}")
    (mail / "one.eml").write_bytes(bytes(100))
    brief = brody.scan("--mail", f"eml:{mail}")
    assert brief["counts"] == {"messages_read": 2, "handled": 1, "dead_letters": 1, "new_messages": 0}
    assert len(brody.letters()) == 1


def test_an_item_that_is_replayed_is_read_again(brody: Commands, mail: Path) -> None:
    """Still broken it is the same letter again, not a second one."""
    (mail / "broken.eml").write_bytes(b"")
    brody.scan("--mail", f"eml:{mail}")
    (letter,) = brody.letters()
    with unchanged(mail):
        assert replayed(brody, letter["id"]) == (True, "The next run reads the item again.")
        assert brody.letters() == []
        brody.scan("--mail", f"eml:{mail}")
    assert [again["id"] for again in brody.letters()] == [letter["id"]]


def test_a_mail_that_is_gone_is_in_no_count(brody: Commands, mail: Path) -> None:
    """Neither as handled nor as dead; its letter stays, since nothing disappears."""
    (mail / "broken.eml").write_bytes(b"")
    brody.scan("--mail", f"eml:{mail}")
    (mail / "broken.eml").unlink()
    (mail / "one.eml").unlink()
    brief = brody.scan("--mail", f"eml:{mail}")
    assert brief["counts"] == {"messages_read": 1, "handled": 1, "dead_letters": 0, "new_messages": 0}
    assert len(brody.letters()) == 1
