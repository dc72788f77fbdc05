"""Bad accounts and bad items: a clear word, the rest goes on, nothing of the input is changed."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from tests.cli.kit import MAIL, Commands, refused, unchanged

NOT_MAIL = {
    "empty.eml": "The message is empty.",
    "zeros.eml": "There is not one header line.",
    "noise.eml": "There is not one header line.",
    "dangling.eml": "The link leads nowhere",
    "loop.eml": "The link leads nowhere",
    "outside.eml": "The link leads out of the folder.",
    "huge.eml": "It is larger than 50 MB.",
}


@pytest.fixture
def worst(mail: Path, tmp_path: Path) -> Path:
    """Add to two good mails everything that is none; a pipe and a folder are no mails and do not count."""
    (mail / "empty.eml").touch()
    (mail / "zeros.eml").write_bytes(bytes(4000))
    (mail / "noise.eml").write_bytes(bytes(range(128, 256)) * 40)
    (mail / "dangling.eml").symlink_to(tmp_path / "nowhere")
    (mail / "loop.eml").symlink_to("loop.eml")
    (tmp_path / "elsewhere").write_bytes(MAIL.encode())
    (mail / "outside.eml").symlink_to(tmp_path / "elsewhere")
    with (mail / "huge.eml").open("wb") as file:
        file.truncate(60_000_000)
    os.mkfifo(mail / "pipe.eml")
    (mail / "folder.eml").mkdir()
    return mail


def test_what_is_no_mail_goes_to_the_dead_letters(brody: Commands, worst: Path) -> None:
    """Each with its reason; good mails beside it are handled, and a second run reads nothing again."""
    with unchanged(worst):
        first = brody.scan("--mail", f"eml:{worst}")
        second = brody.scan("--mail", f"eml:{worst}")
    counts = {"messages_read": 9, "handled": 2, "dead_letters": 7}
    assert first["counts"] == {**counts, "new_messages": 9}
    assert second["counts"] == {**counts, "new_messages": 0}
    reasons = {letter["reason"] for letter in brody.letters()}
    assert len(reasons) == len(NOT_MAIL)
    for name, why in NOT_MAIL.items():
        assert any(f"{name}: {why}" in reason for reason in reasons), name


def test_the_brief_tells_of_items_that_could_not_be_read(brody: Commands, worst: Path) -> None:
    """Also of those that are not mails and so are in no count; only the run that met them tells it."""
    (worst.parent / "broken.ics").write_bytes(b"no calendar at all")
    accounts = ("--mail", f"eml:{worst}", "--calendar", f"ics:{worst.parent}/broken.ics")
    notices = [n["text"] for n in brody.scan(*accounts)["notices"]]
    assert notices == ["8 of your items could not be read. See: brody dead-letters list"]
    assert brody.scan(*accounts)["notices"] == []


def test_a_dead_letter_shows_its_bytes(brody: Commands, mail: Path) -> None:
    """What could not be parsed can be looked at."""
    (mail / "noise.eml").write_bytes(b"\xff\xfe no header \x00 here")
    brody.scan("--mail", f"eml:{mail}")
    (letter,) = brody.letters()
    shown = brody("dead-letters", "show", letter["id"])
    assert shown.code == 0
    assert "no header" in shown.out


@pytest.mark.parametrize(
    ("content", "letters"),
    [
        (b"", 1),
        (bytes(range(256)) * 20, 1),
        (b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\nDTSTART:20261026T090000Z\nSUMMARY:Cut o", 1),
        (b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\nDTSTART:nonsense\nEND:VEVENT\nEND:VCALENDAR\n", 1),
        (b"BEGIN:VCALENDAR\nEND:VCALENDAR\n", 0),
    ],
    ids=["empty", "noise", "cut off", "no time", "no event"],
)
def test_a_broken_calendar_does_not_stop_the_mail(brody: Commands, mail: Path, content: bytes, letters: int) -> None:
    """It goes to the dead letters; the good calendar and the mail are read."""
    calendars = mail.parent / "calendars"
    calendars.mkdir()
    (calendars / "broken.ics").write_bytes(content)
    event = "BEGIN:VEVENT\nUID:good\nDTSTART:20261026T090000Z\nDTEND:20261026T093000Z\nSUMMARY:Good\nEND:VEVENT\n"
    (calendars / "good.ics").write_text(f"BEGIN:VCALENDAR\n{event}END:VCALENDAR\n")
    with unchanged(mail.parent / "calendars"):
        accounts = ("--mail", f"eml:{mail}", "--calendar", f"ics:{calendars}")
        brief = brody.run(*accounts, playbook="prepare-my-day").brief
    assert [event["title"] for event in brief["agenda"]] == ["Good"]
    assert brief["counts"]["handled"] == 2
    assert len(brody.letters()) == letters


def test_an_unreadable_document_does_not_stop_the_rest(brody: Commands, tmp_path: Path) -> None:
    """A broken PDF, a file too large for its text and a pipe among documents."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "good.txt").write_text("The minutes of Monday.")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 and no more")
    (folder / "broken.docx").write_bytes(b"PK\x03\x04 and no more")
    (folder / "dangling.txt").symlink_to(tmp_path / "nowhere")
    with (folder / "huge.txt").open("wb") as file:
        file.truncate(60_000_000)
    os.mkfifo(folder / "pipe.txt")
    with unchanged(folder):
        ended = brody.run("--files", f"dir:{folder}", playbook="prepare-my-day")
    assert ended.brief["complete"]


def test_broken_cards_do_not_stop_the_rest(brody: Commands, mail: Path, tmp_path: Path) -> None:
    """An address book of noise."""
    (tmp_path / "noise.vcf").write_bytes(b"BEGIN:VCARD\nVERSION:3.0\n\xff\xfe\x00;;;\n")
    brief = brody.scan("--mail", f"eml:{mail}", "--contacts", f"vcf:{tmp_path}/noise.vcf")
    assert brief["counts"]["handled"] == 2
    assert len(brody.letters()) == 1


@pytest.mark.parametrize(("option", "scheme", "size"), [("--calendar", "ics", 300), ("--contacts", "vcf", 60)])
def test_one_file_that_is_too_large_is_not_read_into_memory(
    brody: Commands, mail: Path, tmp_path: Path, option: str, scheme: str, size: int
) -> None:
    """As the account itself, not only among others."""
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(size * 1_000_000)
    assert brody.scan("--mail", f"eml:{mail}", option, f"{scheme}:{tmp_path}/huge")["counts"]["handled"] == 2
    (letter,) = brody.letters()
    assert "It is larger than" in letter["reason"]


# -- accounts as a whole --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("account", "words"),
    [
        (("--mail", "maildr:{mail}"), ["'maildr:{mail}' names no source of mail", "Did you mean eml:{mail}?"]),
        (("--mail", "{mail}"), ["names no source of mail", "Did you mean eml:{mail}?"]),
        (("--mail", "ics:{mail}"), ["names no source of mail", "use --calendar"]),
        (("--mail", ""), ["'' names no source of mail", "before its path"]),
        (("--mail", "eml:"), ["eml: names no place", "Write eml:PATH"]),
        (("--mail", "eml:{mail}/nowhere"), ["cannot be opened: no such file or directory", "Check the path"]),
        (("--mail", "eml:{mail}/one.eml"), ["is no folder", "Did you mean mbox:"]),
        (("--mail", "mbox:{mail}"), ["is no file", "Did you mean maildir:"]),
        (("--mail", "maildir:{mail}"), ["is no Maildir", "Did you mean eml:"]),
        (("--mail", "mbox:{mail}/pipe"), ["is no file"]),
        (("--contacts", "vcf:{mail}/pipe"), ["neither a file nor a folder"]),
        (
            ("--files", "dir:{mail}"),
            ["No account was given for any of contacts, calendar, mail", "--mail maildir:~/Maildir"],
        ),
        ((), ["No account was given for any of contacts, calendar, mail", "--mail maildir:~/Maildir"]),
    ],
    ids=lambda value: " ".join(value) or "none" if isinstance(value, tuple) else "",
)
def test_an_account_that_cannot_be_opened_is_named_with_the_remedy(
    brody: Commands, mail: Path, account: tuple[str, ...], words: list[str]
) -> None:
    """Nothing could be done, so the exit code says so."""
    os.mkfifo(mail / "pipe")
    with unchanged(mail):
        ended = brody.run(*(word.format(mail=mail) for word in account))
    refused(ended, 2, *(word.format(mail=mail) for word in words))
    assert brody.listed("runs") == []


@pytest.mark.parametrize("account", ["eml:/nowhere", "maildr:/nowhere", "mbox:{mail}"])
def test_the_other_accounts_are_read(brody: Commands, mail: Path, account: str) -> None:
    """The brief says which one was not, and why; so does standard error."""
    ended = brody.run("--mail", account.format(mail=mail), "--mail", f"eml:{mail}")
    (problem,) = ended.brief["problems"]
    assert ended.brief["counts"]["handled"] == 2
    assert problem["what"] in ended.err
    assert problem["remedy"] in ended.err


@pytest.mark.parametrize("source", ["eml:{empty}", "mbox:{empty}/mbox", "maildir:{empty}/maildir"])
def test_an_empty_mailbox_gives_an_empty_brief(brody: Commands, tmp_path: Path, source: str) -> None:
    """It is no error."""
    empty = tmp_path / "empty"
    for name in ("cur", "new", "tmp"):
        (empty / "maildir" / name).mkdir(parents=True)
    (empty / "mbox").touch()
    if source == "eml:{empty}":
        empty = tmp_path / "nothing"
        empty.mkdir()
    with unchanged(empty):
        brief = brody.scan("--mail", source.format(empty=empty))
    assert set(brief["counts"].values()) == {0}
    assert brief["mail"] == []


# -- a locked mailbox -----------------------------------------------------------------------------------


@pytest.fixture
def mbox(tmp_path: Path) -> Path:
    """Return an mbox with one mail."""
    (tmp_path / "mbox").mkdir()
    path = tmp_path / "mbox" / "inbox"
    path.write_text(f"From ada@lovelace.example Mon Oct 26 06:00:00 2026\n{MAIL.format(name='boxed')}\n")
    return path


def test_a_mailbox_locked_by_its_reader_is_named(brody: Commands, mbox: Path) -> None:
    """A lock by fcntl, as of a program that writes to it: alone it is an error, beside others a problem."""
    with mbox.open("r+b") as file, unchanged(mbox.parent):
        fcntl.lockf(file, fcntl.LOCK_EX)
        refused(brody.run("--mail", f"mbox:{mbox}"), 1, "Another program holds the lock of", "[source_locked]")
    assert brody.scan("--mail", f"mbox:{mbox}")["counts"]["new_messages"] == 1


def test_what_is_known_of_a_locked_mailbox_still_counts(brody: Commands, mbox: Path, mail: Path) -> None:
    """A dot-lock of a process that lives; the mail that an earlier run has read is there."""
    accounts = ("--mail", f"mbox:{mbox}", "--mail", f"eml:{mail}")
    assert brody.scan(*accounts)["counts"]["messages_read"] == 3
    mbox.touch()
    mbox.with_name("inbox.lock").write_text(f"{os.getpid()}\n")
    with unchanged(mbox.parent):
        brief = brody.scan(*accounts)
    assert brief["counts"] == {"messages_read": 3, "handled": 3, "dead_letters": 0, "new_messages": 0}
    assert [problem["code"] for problem in brief["problems"]] == ["source_locked"]


# -- words of the command ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tz", "Mars/Phobos"], "There is no time zone 'Mars/Phobos'. Use a name such as Europe/Berlin."),
        (["--tz", "../../etc/passwd"], "There is no time zone"),
        (["--now", "yesterday"], "'yesterday' is no ISO 8601 time"),
        (["--now", "2026-13-01"], "'2026-13-01' is no ISO 8601 time"),
        (["--now", "9999-12-31T23:59:59+00:00"], "is out of reach. Give one from 1970 to 9000."),
        (["--now", "0001-01-01"], "is out of reach. Give one from 1970 to 9000."),
        (["--user", ""], "'' is no user. Give an id of 1 to 512 characters."),
        (["--user", "x" * 600], "is no user. Give an id of 1 to 512 characters."),
    ],
)
def test_a_wrong_word_is_named_with_the_remedy(brody: Commands, mail: Path, words: list[str], said: str) -> None:
    """Before anything is read or begun."""
    ended = brody("run", "inbox-scan", "--mail", f"eml:{mail}", *words)
    assert ended.code == 2
    assert said in ended.err
    assert brody.listed("runs") == []


def test_a_wrong_playbook_is_named_with_those_that_there_are(brody: Commands, mail: Path) -> None:
    """As every wrong word."""
    ended = brody.run("--mail", f"eml:{mail}", playbook="prepare-my-dya")
    refused(ended, 2, "There is no playbook 'prepare-my-dya'", "Use one of: prepare-my-day, inbox-scan")


@pytest.mark.parametrize("url", ["localhost:6379", "http://localhost", "redis://localhost:port"])
def test_a_wrong_url_of_a_server_is_named(brody: Commands, mail: Path, url: str) -> None:
    """A server that is not there is no error, a URL that is none is one."""
    brody.kit.environment = {"BRODY_REDIS_URL": url}
    refused(brody.run("--mail", f"eml:{mail}"), 2, "BRODY_REDIS_URL is no URL of a server", "redis://HOST:PORT/DB")


def test_two_users_of_one_mailbox_have_a_brief_each(brody: Commands, mail: Path) -> None:
    """What one user's agents have proposed for a shared account is seen, and opened, for the other."""
    briefs: list[dict[str, Any]] = []
    for user in ("ada", "ben"):
        ended = brody("run", "inbox-scan", "--mail", f"eml:{mail}", "--user", user, "--json")
        briefs.append(ended.brief)
    assert [brief["counts"]["handled"] for brief in briefs] == [2, 2]
    titles = [[task["title"] for task in brief["tasks"]] for brief in briefs]
    assert titles[0] == titles[1] != []
