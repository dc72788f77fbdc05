"""A Maildir: keys that outlive flags, nothing moved by reading."""

# These tests are about files: they write and look at them between the awaits.
# ruff: noqa: ASYNC240

from __future__ import annotations

import asyncio
import mailbox
import os
from pathlib import Path
from typing import Any

import pytest

from brody_agents.errors import NotFound, ProviderError, SourceNotFound, Stale
from brody_agents.integrations import local
from brody_agents.integrations.mail import maildir
from brody_agents.integrations.mail.maildir import Maildir

MAIL = b"From: a@x.example\nSubject: hello\n\nHi\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "Maildir"
    for name in (
        "new/1.a.host",
        "cur/2.b.host:2,RS",
        "cur/3.c.host:2,",
        ".Sent/cur/4.d.host:2,S",
        ".Lists.py/new/5.e.host",
        "Nested/Folder/cur/6.f.host:2,F",
    ):
        path = root / name
        for place in ("cur", "new", "tmp"):
            (path.parent.parent / place).mkdir(parents=True, exist_ok=True)
        path.write_bytes(MAIL + name.encode())
    (root / "tmp" / "7.half").write_bytes(b"half")
    (root / "cur" / ".hidden").write_bytes(b"x")
    return root


def provider(root: Path) -> Maildir:
    return Maildir(str(root))


async def test_keys_folders_and_flags(root: Path, read_all: Any) -> None:
    reading = await read_all(provider(root))
    assert {key: (mail.folder, sorted(mail.flags)) for key, mail in reading.by_key.items()} == {
        "1.a.host": ("", []),
        "2.b.host": ("", ["answered", "seen"]),
        "3.c.host": ("", []),
        ".Sent/4.d.host": ("Sent", ["seen", "sent"]),
        ".Lists.py/5.e.host": ("Lists/py", []),
        "Nested/Folder/6.f.host": ("Nested/Folder", ["flagged"]),
    }
    assert reading.total == 6
    assert provider(root).account == f"maildir:{root.resolve()}"
    assert "4 folders, 6 messages" in await provider(root).check()


async def test_reading_moves_nothing_from_new_to_cur(root: Path, read_all: Any, picture: Any) -> None:
    before = picture(root)
    await read_all(provider(root))
    await provider(root).fetch("1.a.host")
    assert picture(root) == before


async def test_changed_flags_are_a_new_version_of_the_same_key(root: Path, read_all: Any) -> None:
    first = await read_all(provider(root))
    (root / "cur" / "3.c.host:2,").rename(root / "cur" / "3.c.host:2,S")
    second = await read_all(provider(root), first.cursor, first.known)
    assert [(mail.key, mail.flags) for mail in second.items] == [("3.c.host", {"seen"})]
    assert second.removed == []
    (root / "new" / "1.a.host").rename(root / "cur" / "1.a.host:2,")
    third = await read_all(provider(root), second.cursor, {**first.known, **second.known})
    assert third.items == [], "a reader that looked at it without marking it has changed nothing"


async def test_a_message_that_is_renamed_while_it_is_read_is_found(
    root: Path, read_all: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = local.read_file

    def race(path: Path) -> Any:
        if path.name == "1.a.host":
            path.rename(root / "cur" / "1.a.host:2,S")
        return real(path)

    monkeypatch.setattr(maildir, "read_file", race)
    reading = await read_all(provider(root))
    assert reading.bad == []
    assert reading.by_key["1.a.host"].flags == {"seen"}
    monkeypatch.undo()
    again = await read_all(provider(root), None, reading.known)
    assert (again.items, again.removed) == ([], [])


async def test_a_message_that_the_listing_missed_is_not_gone(
    root: Path, read_all: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await read_all(provider(root))
    real = Maildir._scan
    calls: list[int] = []

    def blink(self: Maildir) -> Any:
        listing = real(self)
        if not calls:
            listing.entries = listing.entries[1:]
        calls.append(1)
        return listing

    monkeypatch.setattr(Maildir, "_scan", blink)
    assert (await read_all(provider(root), None, first.known)).removed == []


async def test_a_folder_that_cannot_be_listed_keeps_its_mail(folder_of_nobody: Path, read_all: Any) -> None:
    for name in ("new", "cur", ".Sent/new", ".Sent/cur"):
        (folder_of_nobody / name).mkdir(parents=True)
    (folder_of_nobody / ".Sent/cur/1.a:2,S").write_bytes(MAIL)
    account = provider(folder_of_nobody)
    first = await read_all(account)
    (folder_of_nobody / ".Sent").chmod(0)
    second = await read_all(account, first.cursor, first.known)
    (folder_of_nobody / ".Sent").chmod(0o700)
    assert (second.removed, {bad.key for bad in second.bad}) == ([], {".Sent/new/", ".Sent/cur/"})
    third = await read_all(account, second.cursor, {**first.known, **second.known})
    assert (third.items, third.removed, third.total) == ([], [".Sent/cur/", ".Sent/new/"], 1)


async def test_names_that_are_no_text(root: Path, read_all: Any) -> None:
    path = os.fsencode(root) + b"/cur/8.\xff:2,S"
    Path(os.fsdecode(path)).write_bytes(MAIL)
    account = provider(root)
    reading = await read_all(account)
    key = "8.\ufffdFF"
    assert reading.by_key[key].flags == {"seen"}
    await account.flag(key, frozenset({"answered"}), frozenset(), reading.by_key[key].version)
    assert (await account.fetch(key)).flags == {"seen", "answered"}


async def test_a_place_without_cur_and_new_is_no_maildir(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match="no Maildir") as caught:
        provider(tmp_path)
    assert "eml:" in caught.value.remedy


async def test_an_inbox_without_folders_or_mail_is_a_maildir(tmp_path: Path, read_all: Any) -> None:
    for place in ("cur", "new"):
        (tmp_path / place).mkdir()
    assert (await read_all(provider(tmp_path))).total == 0


# -- writing ------------------------------------------------------------------------------------------


async def test_flags_are_letters_that_other_programs_read(root: Path) -> None:
    account = provider(root)
    version = (await account.fetch("1.a.host")).version
    new = await account.flag("1.a.host", frozenset({"seen", "flagged"}), frozenset(), version)
    assert new != version
    assert (await account.fetch("1.a.host")).version == new
    assert (root / "cur" / "1.a.host:2,FS").is_file()
    assert await account.flag("1.a.host", frozenset({"seen"}), frozenset(), new) == new
    await account.flag("1.a.host", frozenset(), frozenset({"seen", "flagged"}), new)
    assert mailbox.Maildir(root, create=False)["1.a.host"].get_flags() == ""


async def test_letters_that_we_do_not_know_stay(root: Path) -> None:
    (root / "cur" / "3.c.host:2,").rename(root / "cur" / "3.c.host:2,Pa")
    await provider(root).flag("3.c.host", frozenset({"seen"}), frozenset(), None)
    assert (root / "cur" / "3.c.host:2,PSa").is_file()


async def test_a_flag_that_is_a_folder_is_refused(root: Path) -> None:
    with pytest.raises(ProviderError, match="no letter for spam"):
        await provider(root).flag("1.a.host", frozenset({"spam"}), frozenset(), None)


async def test_a_message_is_delivered_by_way_of_tmp(root: Path) -> None:
    account = provider(root)
    draft = await account.append(MAIL, "Drafts", frozenset({"draft", "seen"}))
    new = await account.append(MAIL, "")
    folder, _, unique = draft.partition("/")
    assert folder == ".Drafts"
    assert (root / ".Drafts" / "cur" / f"{unique}:2,DS").read_bytes() == MAIL
    assert (root / ".Drafts" / "maildirfolder").is_file()
    assert (root / "new" / new).read_bytes() == MAIL
    assert sorted(os.listdir(root / "tmp")) == ["7.half"]
    assert (await account.fetch(draft)).flags == {"draft", "seen"}


async def test_many_deliveries_at_once_are_all_kept(root: Path) -> None:
    account = provider(root)
    keys = await asyncio.gather(*(account.append(MAIL + bytes([n]), "Sent") for n in range(20)))
    assert len({*keys}) == 20
    assert len(list((root / ".Sent" / "new").iterdir())) == 20


async def test_a_move_keeps_the_flags_and_finds_the_folder(root: Path) -> None:
    account = provider(root)
    version = (await account.fetch("2.b.host")).version
    assert await account.move("2.b.host", "Lists/py", version) == ".Lists.py/2.b.host"
    assert (root / ".Lists.py" / "cur" / "2.b.host:2,RS").is_file()
    assert await account.move(".Lists.py/2.b.host", "Nested/Folder", None) == "Nested/Folder/2.b.host"
    assert await account.move("Nested/Folder/2.b.host", "Entwürfe", None) == ".Entw&APw-rfe/2.b.host"
    assert (await account.fetch(".Entw&APw-rfe/2.b.host")).folder == "Entwürfe"
    assert await account.move(".Entw&APw-rfe/2.b.host", "INBOX", None) == "2.b.host"
    assert (await account.fetch("2.b.host")).flags == {"seen", "answered"}


async def test_a_message_whose_flags_changed_is_stale(root: Path) -> None:
    account = provider(root)
    version = (await account.fetch("3.c.host")).version
    (root / "cur" / "3.c.host:2,").rename(root / "cur" / "3.c.host:2,S")
    for attempt in (
        account.flag("3.c.host", frozenset({"flagged"}), frozenset(), version),
        account.move("3.c.host", "x", version),
        account.delete("3.c.host", version),
    ):
        with pytest.raises(Stale):
            await attempt
    assert (root / "cur" / "3.c.host:2,S").is_file()
    await account.delete("3.c.host", (await account.fetch("3.c.host")).version)
    with pytest.raises(NotFound):
        await account.fetch("3.c.host")


async def test_of_two_changes_on_one_version_one_is_stale(root: Path) -> None:
    account = provider(root)
    version = (await account.fetch("3.c.host")).version
    answers = await asyncio.gather(
        account.flag("3.c.host", frozenset({"seen"}), frozenset(), version),
        provider(root).flag("3.c.host", frozenset({"flagged"}), frozenset(), version),
        return_exceptions=True,
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["Stale", "str"]


@pytest.mark.parametrize("folder", ["../out", "a/../../b", ".."])
async def test_no_folder_leads_out(folder: str, root: Path) -> None:
    account = provider(root)
    before = {*root.parent.rglob("*")}
    try:
        key = await account.append(MAIL, folder)
    except ProviderError:
        assert {*root.parent.rglob("*")} == before
    else:
        assert key.startswith(".")
        assert {path for path in {*root.parent.rglob("*")} - before if not path.is_relative_to(root)} == set()
