"""One file with all mail in it: where messages begin, what names them, whose lock it is."""

# These tests are about files: they write and look at them between the awaits.
# ruff: noqa: ASYNC220, ASYNC240

from __future__ import annotations

import asyncio
import mailbox
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from brody_agents.errors import NotFound, ProviderError, SourceLocked, SourceNotFound, Stale
from brody_agents.integrations.listing import PAGE_ITEMS
from brody_agents.integrations.mail import mbox_file
from brody_agents.integrations.mail.mbox import Mbox
from brody_agents.integrations.mail.parsing import parse_mail

FROM = b"From a@x.example Wed Aug 21 08:22:36 2002\n"


def message(subject: str, body: str = "Hi\n", head: str = "") -> bytes:
    return f"From: a@x.example\n{head}Subject: {subject}\n\n{body}".encode()


def mbox_of(path: Path, *messages: bytes) -> Mbox:
    path.write_bytes(b"".join(FROM + data + b"\n" for data in messages))
    return Mbox(str(path), lock_timeout=0.3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


def subjects(reading: Any) -> list[str]:
    return [parse_mail(mail.data).subject for mail in reading.items]


# -- reading ------------------------------------------------------------------------------------------


async def test_messages_come_without_the_line_between_them(path: Path, read_all: Any) -> None:
    one, two = message("one"), message("two", "a\n\nb\n")
    reading = await read_all(mbox_of(path, one, two))
    assert [mail.data for mail in reading.items] == [one, two]
    assert (reading.total, reading.items[0].folder) == (2, "inbox")


async def test_reading_changes_nothing_and_leaves_no_lock(path: Path, read_all: Any, picture: Any) -> None:
    account = mbox_of(path, message("one"))
    before, listed = picture(path), os.listdir(path.parent)
    reading = await read_all(account)
    await account.fetch(reading.items[0].key)
    await account.check()
    assert (picture(path), os.listdir(path.parent)) == (before, listed)


@pytest.mark.skipif(not hasattr(os, "O_NOATIME"), reason="this system always notes a reading")
async def test_programs_that_tell_new_mail_by_the_access_time_still_do(path: Path, read_all: Any) -> None:
    account = mbox_of(path, message("one"))
    os.utime(path, ns=(1, 10**18))
    await read_all(account)
    assert path.stat().st_atime_ns == 1


BODIES = {
    "a paragraph": "one\n\nFrom here on it is easy.\n",
    "escaped": "one\n\n>From a@b Wed Aug 21 08:22:36 2002\n>>From quoted\n",
    "a date but no header": "one\n\nFrom Monday 10:30 on, we meet.\nAll of us.\n",
    "a line within a paragraph": "one\nFrom a@b to c@d at 10:30\nSubject to change.\n",
    "a letter": "one\n\nFrom Bob\n\nSubject matter experts.\n",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_a_line_from_in_a_body_begins_no_message(body: str, path: Path, read_all: Any) -> None:
    reading = await read_all(mbox_of(path, message("one", body), message("two")))
    assert subjects(reading) == ["one", "two"]
    assert reading.items[0].data.decode().partition("\n\n")[2] == body.replace(">From", "From")


@pytest.mark.parametrize(
    "line",
    [
        "From a@x.example Wed Aug 21 08:22:36 2002",
        "From - Wed Aug 21 08:22:36 2002",
        "From 1559263264134352899@xxx Thu Feb 02 11:49:12 +0000 2017",
        "From a@x.example Wed, 21 Aug 2002 08:22:36 +0100",
        "From a b c Wed Aug  1 08:22 2002",
        "From MAILER-DAEMON Wed Aug 21 08:22:36 CEST 2002",
        "From a@x.example",
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
async def test_the_line_between_messages_has_many_forms(line: str, newline: str, path: Path, read_all: Any) -> None:
    text = f"{line}\nFrom: a@x.example\nSubject: one\n\nHi\n\n{line}\nSubject: two\nFrom: a@x.example\n\nHo\n"
    path.write_bytes(text.replace("\n", newline).encode())
    assert subjects(await read_all(Mbox(str(path)))) == ["one", "two"]


async def test_messages_without_a_blank_line_between_them_are_told_apart(path: Path, read_all: Any) -> None:
    path.write_bytes(FROM + message("one") + FROM + message("two"))
    assert subjects(await read_all(Mbox(str(path)))) == ["one", "two"]


async def test_lines_are_found_across_the_blocks_that_are_read(
    path: Path, read_all: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = mbox_of(path, *(message(str(number)) for number in range(40)))
    for size in (7, 64, 101):
        monkeypatch.setattr(mbox_file, "_BLOCK", size)
        assert subjects(await read_all(account)) == [str(number) for number in range(40)]


async def test_python_reads_the_same_messages(path: Path, read_all: Any) -> None:
    account = mbox_of(path, *(message(str(n), f"{n}\n" * n) for n in range(20)))
    theirs = mailbox.mbox(path, create=False)
    assert [mail.data for mail in (await read_all(account)).items] == [
        theirs.get_bytes(key) for key in theirs.iterkeys()
    ]
    theirs.close()


async def test_eight_bit_bytes_come_as_they_are(path: Path, read_all: Any) -> None:
    data = "Subject: Grüße\nFrom: a@x.example\n\n".encode("latin-1") + bytes(range(128, 256)) + b"\n"
    assert (await read_all(mbox_of(path, data))).items[0].data == data


async def test_identical_messages_have_keys_of_their_own(path: Path, read_all: Any) -> None:
    reading = await read_all(mbox_of(path, message("one"), message("one"), message("one")))
    key = reading.items[0].key
    assert [mail.key for mail in reading.items] == [key, f"{key}-2", f"{key}-3"]


async def test_a_key_outlives_what_mail_readers_write(path: Path, read_all: Any) -> None:
    first = await read_all(mbox_of(path, message("one"), message("two")))
    state = "Status: RO\nX-Status: AF\nX-UID: 7\nX-Keywords: a\n b\nContent-Length: 3\n"
    second = await read_all(mbox_of(path, message("one", head=state), message("two")), first.cursor, first.known)
    assert [(mail.key, sorted(mail.flags)) for mail in second.items] == [
        (first.items[0].key, ["answered", "flagged", "seen"])
    ]
    assert second.removed == []


async def test_flags_of_mozilla(path: Path, read_all: Any) -> None:
    reading = await read_all(
        mbox_of(path, message("x", head="X-Mozilla-Status: 0007\n"), message("y", head="X-Mozilla-Status: zz\n"))
    )
    assert [sorted(mail.flags) for mail in reading.items] == [["answered", "flagged", "seen"], []]


async def test_the_file_name_may_be_a_folder(tmp_path: Path, read_all: Any) -> None:
    reading = await read_all(mbox_of(tmp_path / "Sent.mbox", message("x")))
    assert (reading.items[0].folder, reading.items[0].flags) == ("Sent", {"sent"})


async def test_a_second_read_gives_only_what_is_new(path: Path, read_all: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    account = mbox_of(path, message("one"), message("two"))
    first = await read_all(account)
    with monkeypatch.context() as patch:
        patch.setattr("brody_agents.integrations.mail.mbox.messages", lambda _: pytest.fail("the file was read"))
        again = await read_all(account, first.cursor, first.known)
    assert (again.items, again.cursor, again.total) == ([], first.cursor, 2)
    account = mbox_of(path, message("two"), message("three"))
    third = await read_all(account, first.cursor, first.known)
    assert (subjects(third), third.removed, third.total) == (["three"], [first.items[0].key], 2)


async def test_a_file_that_changes_while_it_is_read_is_scanned_again(path: Path, read_all: Any) -> None:
    account = mbox_of(path, *(message(str(n)) for n in range(PAGE_ITEMS + 5)))

    async def nothing() -> dict[str, str]:
        return {}

    found: list[Any] = []
    async for page in account.changes(None, nothing):
        if not found:
            mbox_of(path, *(message(str(n)) for n in range(1, PAGE_ITEMS + 6)))
        found.append(page)
    mails = [mail.key for page in found for mail in page.items]
    assert len(mails) == len({*mails}) == PAGE_ITEMS + 6
    assert [key for page in found for key in page.removed] == [found[0].items[0].key]
    assert (found[-1].total, [bool(page.cursor) for page in found][-1]) == (PAGE_ITEMS + 5, True)


async def test_what_cannot_be_read_is_said(path: Path, read_all: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mbox_file, "LARGEST", 2000)
    account = mbox_of(path, message("one"), message("big", "x" * 3000), message("two"))
    path.write_bytes(b"junk before\n\n" + path.read_bytes())
    reading = await read_all(account)
    assert subjects(reading) == ["one", "two"]
    assert [("before" in bad.reason, "larger" in bad.reason) for bad in reading.bad] == [(True, False), (False, True)]
    assert reading.total == 4
    again = await read_all(account, None, reading.known)
    assert (again.items, again.bad) == ([], [])


async def test_an_empty_file_has_no_mail(path: Path, read_all: Any) -> None:
    reading = await read_all(mbox_of(path))
    assert (reading.items, reading.bad, reading.total) == ([], [], 0)


async def test_places_that_are_no_file(tmp_path: Path, path: Path, read_all: Any) -> None:
    with pytest.raises(SourceNotFound, match="no file") as caught:
        Mbox(str(tmp_path))
    assert "maildir:" in caught.value.remedy
    account = mbox_of(path, message("one"))
    path.unlink()
    with pytest.raises(SourceNotFound):
        await read_all(account, "x:1")


# -- locks --------------------------------------------------------------------------------------------

HOLD = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_by_another_process(path: Path) -> Iterator[None]:
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            process.stdin.close()
            process.wait(timeout=10)


async def test_a_lock_by_fcntl_is_respected(path: Path, read_all: Any) -> None:
    account = mbox_of(path, message("one"))
    before = path.read_bytes()
    with held_by_another_process(path):
        with pytest.raises(SourceLocked) as caught:
            await read_all(account)
        assert caught.value.remedy
        with pytest.raises(SourceLocked):
            await account.append(message("two"), "")
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["inbox"]
    assert (await read_all(account)).total == 1


@pytest.mark.parametrize("content", ["ours", "another's", "", "0", "host:1"])
async def test_a_dot_lock_is_respected(content: str, path: Path, read_all: Any) -> None:
    account = mbox_of(path, message("one"))
    content = {"ours": f"{os.getpid()}\n", "another's": f"{os.getppid()}\n"}.get(content, content)
    lock = path.with_name("inbox.lock")
    lock.write_text(content)
    for attempt in (read_all(account), account.append(message("two"), "")):
        with pytest.raises(SourceLocked):
            await attempt
    assert lock.read_text() == content
    lock.unlink()
    assert (await read_all(account)).total == 1


async def test_a_dot_lock_that_a_crash_has_left_holds_nobody_up(path: Path, read_all: Any) -> None:
    account = mbox_of(path, message("one"))
    lock = path.with_name("inbox.lock")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(timeout=30)
    lock.write_text(f"{ended.pid}\n")
    assert (await read_all(account)).total == 1
    assert lock.exists(), "a reader removes nothing"
    await account.append(message("two"), "")
    assert not lock.exists()
    lock.write_text("")
    os.utime(lock, (1, 1))
    assert (await read_all(account)).total == 2


async def test_a_lock_that_is_given_up_in_time_is_waited_for(path: Path, read_all: Any) -> None:
    mbox_of(path, message("one"))
    account = Mbox(str(path), lock_timeout=30)
    lock = path.with_name("inbox.lock")
    lock.write_text(f"{os.getpid()}")
    reading = asyncio.create_task(read_all(account))
    done, _ = await asyncio.wait([reading], timeout=0.2)
    assert not done
    lock.unlink()
    assert (await reading).total == 1


# -- writing ------------------------------------------------------------------------------------------


async def test_a_message_is_appended_so_that_others_can_read_it(path: Path, read_all: Any) -> None:
    account = mbox_of(path, message("one"))
    path.chmod(0o640)
    data = message("two", "a\n\nFrom here\n>From there\n")
    key = await account.append(data.replace(b"\n", b"\r\n"), "", frozenset({"seen", "flagged"}))
    stored = await account.fetch(key)
    assert parse_mail(stored.data).text == "a\n\nFrom here\n>From there\n".strip("\n")
    assert stored.flags == {"seen", "flagged"}
    theirs = mailbox.mbox(path, create=False)
    assert [mail["subject"] for mail in theirs] == ["one", "two"]
    assert [mail.get_flags() for mail in theirs] == ["", "ROF"]
    theirs.close()
    assert path.stat().st_mode & 0o777 == 0o640
    assert (await read_all(account)).by_key[key].version == stored.version


@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n", b"no newline"])
async def test_a_message_is_appended_whatever_the_end_of_the_file(end: bytes, path: Path, read_all: Any) -> None:
    path.write_bytes(FROM + message("one").rstrip(b"\n") + end if end else b"")
    account = Mbox(str(path))
    key = await account.append(message("two"), "INBOX")
    assert await account.append(message("two"), "inbox") == f"{key}-2"
    assert subjects(await read_all(account)) == (["one"] if end else []) + ["two", "two"]


async def test_flags_are_written_into_the_message(path: Path, read_all: Any) -> None:
    account = mbox_of(path, message("one"), message("two", head="X-Mozilla-Status: 0001\n"), message("three"))
    first = await read_all(account)
    one, two, three = first.items
    new = await account.flag(one.key, frozenset({"seen", "answered"}), frozenset(), one.version)
    assert (await account.fetch(one.key)).version == new
    await account.flag(two.key, frozenset({"draft"}), frozenset({"seen"}), two.version)
    assert (await account.fetch(two.key)).flags == {"draft"}
    assert (await account.fetch(three.key)) == three
    with pytest.raises(Stale):
        await account.flag(one.key, frozenset({"flagged"}), frozenset(), one.version)
    with pytest.raises(ProviderError, match="no letter for spam"):
        await account.flag(one.key, frozenset({"spam"}), frozenset(), None)
    theirs = mailbox.mbox(path, create=False)
    assert [mail.get_flags() for mail in theirs] == ["ROA", "OT", ""]
    theirs.close()


async def test_a_deleted_message_is_gone_and_the_rest_as_it_was(path: Path, read_all: Any) -> None:
    account = mbox_of(path, message("one"), message("two"), message("three"))
    first = await read_all(account)
    two = first.items[1]
    with pytest.raises(Stale):
        await account.delete(two.key, "seen")
    await account.delete(two.key, two.version)
    assert path.read_bytes() == FROM + message("one") + b"\n" + FROM + message("three") + b"\n"
    with pytest.raises(NotFound):
        await account.delete(two.key, None)
    assert os.listdir(path.parent) == ["inbox"]


async def test_an_mbox_has_no_folders(path: Path, read_all: Any) -> None:
    account = mbox_of(path, message("one"))
    key = (await read_all(account)).items[0].key
    assert await account.move(key, "inbox", None) == key
    for attempt in (account.move(key, "Archive", None), account.append(message("x"), "Drafts")):
        with pytest.raises(ProviderError, match="no folder"):
            await attempt


async def test_many_writes_at_once_are_all_done(path: Path, read_all: Any) -> None:
    mbox_of(path, message("one"))
    account, other = Mbox(str(path), lock_timeout=30), Mbox(str(path), lock_timeout=30)
    await asyncio.gather(*((account, other)[n % 2].append(message(str(n)), "") for n in range(10)))
    assert sorted(subjects(await read_all(account))) == sorted(["one", *map(str, range(10))])
