"""Second runs on one home: they read what is new, propose nothing twice, and tasks keep their ids."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.kit import MAIL, Commands


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    """Return a Maildir with two new mails."""
    root = tmp_path / "Maildir"
    for name in ("cur", "new", "tmp"):
        (root / name).mkdir(parents=True)
    for number, name in enumerate(("one", "two"), 1):
        (root / "new" / f"{number}.host").write_text(MAIL.format(name=name))
    return root


def arrive(maildir: Path, name: str) -> None:
    """Deliver a mail."""
    (maildir / "new" / f"{name}.host").write_text(MAIL.format(name=name))


def ids(found: list[dict[str, Any]]) -> set[str]:
    """Return the ids of mails, tasks or proposals."""
    return {item["id"] for item in found}


def kept(brody: Commands, maildir: Path, first: dict[str, Any], new: int, read: int) -> dict[str, Any]:
    """Run again, and check that all that was there is there once."""
    brief = brody.scan("--mail", f"maildir:{maildir}")
    assert brief["counts"] == {"messages_read": read, "handled": read, "dead_letters": 0, "new_messages": new}
    assert ids(first["tasks"]) <= ids(brief["tasks"])
    assert ids(first["proposals"]) <= ids(brief["proposals"])
    return brief


def test_nothing_new_changes_nothing(brody: Commands, maildir: Path) -> None:
    """Not one action, not one task, not one word of the brief."""
    first = brody.scan("--mail", f"maildir:{maildir}")
    actions = brody.listed("actions")
    second = kept(brody, maildir, first, new=0, read=2)
    assert {**second, "run_id": 0, "timing": 0, "counts": 0} == {**first, "run_id": 0, "timing": 0, "counts": 0}
    assert brody.listed("actions") == actions


def test_only_new_mail_is_new(brody: Commands, maildir: Path) -> None:
    """It brings its own draft."""
    first = brody.scan("--mail", f"maildir:{maildir}")
    arrive(maildir, "three")
    second = kept(brody, maildir, first, new=1, read=3)
    new = [p for p in second["proposals"] if p["id"] not in ids(first["proposals"])]
    assert [p["kind"] for p in new].count("mail.draft") == 1


def test_a_mail_that_was_read_and_moved_is_not_new(brody: Commands, maildir: Path) -> None:
    """From ``new`` to ``cur``, then with a flag: the name before ``:`` names the mail."""
    first = brody.scan("--mail", f"maildir:{maildir}")
    (maildir / "new" / "1.host").rename(maildir / "cur" / "1.host:2,")
    second = kept(brody, maildir, first, new=0, read=2)
    (maildir / "cur" / "1.host:2,").rename(maildir / "cur" / "1.host:2,FS")
    third = kept(brody, maildir, second, new=0, read=2)
    assert ids(third["mail"]) == ids(first["mail"])
    assert ids(third["proposals"]) == ids(first["proposals"])


def test_a_mail_whose_time_has_changed_is_read_again_and_nothing_is_done_twice(brody: Commands, maildir: Path) -> None:
    """As after a copy that keeps no times."""
    first = brody.scan("--mail", f"maildir:{maildir}")
    os.utime(maildir / "new" / "1.host", (1_700_000_000, 1_700_000_000))
    second = kept(brody, maildir, first, new=0, read=2)
    assert ids(second["tasks"]) == ids(first["tasks"])
    assert ids(second["proposals"]) == ids(first["proposals"])


def test_a_mail_that_goes_and_comes_back_is_not_new(brody: Commands, maildir: Path) -> None:
    """It is in no count while it is gone; its task stays, since the person may have made it their own."""
    first = brody.scan("--mail", f"maildir:{maildir}")
    away = maildir.parent / "1.host"
    shutil.move(maildir / "new" / "1.host", away)
    gone = brody.scan("--mail", f"maildir:{maildir}")
    assert gone["counts"] == {"messages_read": 1, "handled": 1, "dead_letters": 0, "new_messages": 0}
    assert ids(gone["tasks"]) == ids(first["tasks"])
    shutil.move(away, maildir / "new" / "1.host")
    back = kept(brody, maildir, first, new=0, read=2)
    assert ids(back["proposals"]) == ids(first["proposals"])


def test_a_run_without_accounts_reads_those_of_the_run_before(brody: Commands, maildir: Path) -> None:
    """And goes on with those that are there when one is gone."""
    cards = maildir.parent / "cards.vcf"
    cards.write_text("BEGIN:VCARD\nVERSION:3.0\nFN:Ada\nEMAIL:ada@lovelace.example\nEND:VCARD\n")
    brody.scan("--mail", f"maildir:{maildir}", "--contacts", f"vcf:{cards}")
    cards.unlink()
    arrive(maildir, "three")
    brief = brody.scan()
    assert brief["counts"]["new_messages"] == 1
    assert [problem["code"] for problem in brief["problems"]] == ["source_not_found"]
