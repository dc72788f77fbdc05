"""What the commands say is true where it is read, and what a person mistypes is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from brody_agents.proactive.playbooks.rendering import clean
from tests.cli.kit import Commands, refused
from tests.crash.asking import installed, scan
from tests.crash.kit import Kit, demo

HALF = "a\udcff"
"""A word of the command line whose bytes are no UTF-8, as Python gives it."""


@pytest.mark.parametrize(
    "words",
    [
        ("actions", "list", "--user", HALF),
        ("actions", "show", HALF),
        ("approvals", "decide", HALF, "reject"),
        ("autonomy", "set", "mail.draft", "act", "--user", HALF),
        ("budgets", "set", "user", HALF, "calls", "3"),
        ("dead-letters", "replay", HALF),
        ("runs", "undo", HALF),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_a_word_that_is_no_text_is_refused(brody: Commands, words: tuple[str, ...]) -> None:
    refused(brody(*words), 2, r"a\udcff", "is no text. Write it in UTF-8.")


def test_a_dry_run_does_not_say_that_its_proposals_wait(brody: Commands, tmp_path: Path) -> None:
    """They are recorded, and a person who looks for them finds no card."""
    arguments = [a for a in demo(brody.home)[:-2] if a != "--json"]
    shown = clean(brody(*arguments, "--dry-run").out)
    assert "Proposals that wait for you" not in shown
    assert "Proposals, only recorded" in shown
    assert "Without --dry-run they are done, or wait for you." in shown
    assert json.loads(brody("approvals", "list", "--json").out) == []


def test_a_demo_that_is_kept_says_how_its_home_is_named(tmp_path: Path, home: Path) -> None:
    """The commands that the brief names look into the usual home."""
    kit = Kit(tmp_path, {"BRODY_REDIS_URL": "memory:"})
    kept = kit.brody("demo", "--home", home)
    assert f"The day is kept in {home}: add --home {home} to the commands." in kept.out
    assert kit.brody("demo", "--home", home, "--json").brief["complete"]
    assert "Nothing of it is kept" in kit.brody("demo", "--once").out


def test_a_worker_says_when_it_works_without_the_bus_that_was_named(tmp_path: Path, home: Path) -> None:
    kit = Kit(tmp_path, {"BRODY_REDIS_URL": "redis://127.0.0.1:1"})
    try:
        worker = kit.start("worker", "--home", home)
        while "works on" not in worker.said:
            worker.process.join(0.05)
            assert worker.process.exitcode is None
        assert "redis streams at redis://127.0.0.1:1 cannot be reached" in " ".join(worker.said.split())
    finally:
        kit.close()


@pytest.mark.parametrize("noun", ["actions", "approvals", "dead-letters"])
def test_a_list_says_that_it_is_cut(asked: Commands, noun: str) -> None:
    """Also where a program reads it."""
    whole = asked(noun, "list", "--json")
    assert (len(json.loads(whole.out)), whole.err) == (2, "")
    cut = asked(noun, "list", "--json", "--limit", "1")
    assert (len(json.loads(cut.out)), cut.err) == (1, "brody: there are more than these 1; --limit lists them.\n")


@pytest.fixture
def asked(brody: Commands, tmp_path: Path) -> Commands:
    """Return commands on a home where two things wait, and two cannot be read."""
    installed(brody.kit, tmp_path / "plug-ins", brody.home)
    folder = tmp_path / "box"
    arguments = scan(folder, brody.home, 2)
    for name in ("empty", "as well"):
        (folder / f"{name}.eml").write_bytes(b"")
    scanned = brody.kit.brody(*arguments)
    assert scanned.code == 0, scanned.err
    return brody


@pytest.mark.integration
def test_doctor_names_the_database_that_is_used_without_its_password(
    tmp_path: Path, home: Path, database_url: str
) -> None:
    url = database_url.replace("brody@", "brody:secret@")
    kit = Kit(tmp_path, {"BRODY_REDIS_URL": "memory:", "BRODY_DATABASE_URL": url})
    ended = kit.brody("doctor", "--json", "--home", home)
    (ledger,) = [finding["found"] for finding in json.loads(ended.out) if finding["subject"] == "ledger"]
    assert ledger.startswith("postgresql://brody:***@")
    assert "secret" not in ended.out
