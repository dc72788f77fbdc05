"""A folder with one message a file."""

# These tests are about files: they write and look at them between the awaits.
# ruff: noqa: ASYNC240

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from brody_agents.errors import NotFound, ProviderError, SourceNotFound, Stale
from brody_agents.integrations import local
from brody_agents.integrations.listing import PAGE_ITEMS
from brody_agents.integrations.local import TEMPORARY, storable
from brody_agents.integrations.mail import eml
from brody_agents.integrations.mail.eml import EmlFolder

MAIL = b"From: a@x.example\nSubject: hello\n\nHi\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "mail"
    for name in ("a.eml", "1.txt", "no-ending", "Lists/py/b", "Sent/c.eml", "junk/d", "Trash/e", "drafts/f"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(MAIL + name.encode())
    return root


def provider(root: Path) -> EmlFolder:
    return EmlFolder(str(root))


async def test_every_file_is_a_message_named_by_its_path(root: Path, read_all: Any) -> None:
    reading = await read_all(provider(root))
    assert {*reading.by_key} == {
        "a.eml", "1.txt", "no-ending", "Lists/py/b", "Sent/c.eml", "junk/d", "Trash/e", "drafts/f",
    }  # fmt: skip
    assert reading.by_key["Lists/py/b"].data == MAIL + b"Lists/py/b"
    assert reading.by_key["Lists/py/b"].folder == "Lists/py"
    assert reading.total == 8
    assert provider(root).account == f"eml:{root.resolve()}"
    flags = {key: sorted(mail.flags) for key, mail in reading.by_key.items() if mail.flags}
    assert flags == {"Sent/c.eml": ["sent"], "junk/d": ["spam"], "Trash/e": ["trash"], "drafts/f": ["draft"]}


async def test_reading_changes_nothing(root: Path, read_all: Any, picture: Any) -> None:
    before = picture(root)
    await read_all(provider(root))
    await provider(root).fetch("a.eml")
    await provider(root).check()
    assert picture(root) == before


async def test_a_second_read_gives_only_what_is_new(root: Path, read_all: Any) -> None:
    first = await read_all(provider(root))
    again = await read_all(provider(root), first.cursor, first.known)
    assert (again.items, again.removed, again.cursor, again.total) == ([], [], first.cursor, 8)
    lost = await read_all(provider(root), None, first.known)
    assert (lost.items, lost.cursor) == ([], first.cursor), "without the cursor, versions are compared"
    (root / "new").write_bytes(MAIL)
    (root / "a.eml").write_bytes(MAIL + b"changed")
    (root / "1.txt").unlink()
    third = await read_all(provider(root), first.cursor, first.known)
    assert {*third.by_key} == {"new", "a.eml"}
    assert third.removed == ["1.txt"]
    assert third.total == 8


async def test_an_unchanged_source_is_recognised_without_opening_a_file(
    root: Path, read_all: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await read_all(provider(root))

    def refuse(path: Path) -> None:
        raise AssertionError(f"{path} was opened")

    monkeypatch.setattr(eml, "read_file", refuse)
    again = await read_all(provider(root), first.cursor)
    assert (again.items, again.total) == ([], 8)


async def test_pages_are_small_and_only_the_last_one_moves_the_cursor(tmp_path: Path, read_all: Any) -> None:
    for number in range(PAGE_ITEMS * 2 + 10):
        path = tmp_path / f"{number}"
        path.write_bytes(MAIL)
        os.utime(path, ns=(0, 10**18 + number))
    reading = await read_all(provider(tmp_path))
    assert [len(page.items) for page in reading.pages] == [PAGE_ITEMS, PAGE_ITEMS, 10]
    assert [bool(page.cursor) for page in reading.pages] == [False, False, True]
    assert [mail.key for mail in reading.items] == [str(number) for number in range(PAGE_ITEMS * 2 + 10)], (
        "oldest first"
    )
    after_first = {mail.key: mail.version for mail in reading.pages[0].items}
    rest = await read_all(provider(tmp_path), reading.pages[0].cursor, after_first)
    assert len(rest.items) == PAGE_ITEMS + 10, "a reader that was stopped goes on where it was"
    for path in tmp_path.iterdir():
        path.unlink()
    gone = await read_all(provider(tmp_path), reading.cursor, reading.known)
    assert [len(page.removed) for page in gone.pages] == [PAGE_ITEMS, PAGE_ITEMS, 10]


async def test_what_cannot_be_read_counts_and_the_rest_goes_on(
    root: Path, tmp_path: Path, read_all: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eml, "LARGEST", 1000)
    (root / "big").write_bytes(b"x" * 1001)
    (root / "dangling").symlink_to("nowhere")
    (root / "loop").symlink_to("loop")
    (tmp_path / "secret").write_bytes(MAIL)
    (root / "outside").symlink_to(tmp_path / "secret")
    (root / "inside").symlink_to("a.eml")
    (root / "folder").symlink_to("Lists")
    os.mkfifo(root / "pipe")
    (root / ".hidden").write_bytes(MAIL)
    reading = await read_all(provider(root))
    reasons = {bad.key: bad.reason for bad in reading.bad}
    assert {*reasons} == {"big", "dangling", "loop", "outside"}
    assert "leads nowhere" in reasons["dangling"]
    assert "leads out" in reasons["outside"]
    assert len(reading.items) == 9
    assert reading.total == 13
    again = await read_all(provider(root), reading.cursor, reading.known)
    assert (again.items, again.bad) == ([], []), "bad items are not reported twice"


async def test_a_file_that_vanishes_while_it_is_read_is_a_bad_item(
    root: Path, read_all: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = local.read_file

    def vanish(path: Path) -> Any:
        if path.name == "a.eml":
            path.unlink()
        return real(path)

    monkeypatch.setattr(eml, "read_file", vanish)
    reading = await read_all(provider(root))
    assert [(bad.key, "no such file" in bad.reason) for bad in reading.bad] == [("a.eml", True)]
    assert reading.cursor == ""
    monkeypatch.undo()
    again = await read_all(provider(root), reading.cursor, reading.known)
    assert (again.removed, again.total) == (["a.eml"], 7)


async def test_mail_that_may_not_be_read_now_is_neither_lost_nor_gone(folder_of_nobody: Path, read_all: Any) -> None:
    root = folder_of_nobody
    for name in ("a", "locked/b", "locked/c", "secret"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(MAIL)
    first = await read_all(provider(root))
    (root / "secret").chmod(0)
    (root / "secret").touch()
    (root / "locked").chmod(0)
    second = await read_all(provider(root), first.cursor, first.known)
    (root / "locked").chmod(0o700)
    assert {bad.key: "permission denied" in bad.reason for bad in second.bad} == {"locked/": True, "secret": True}
    assert second.removed == [], "what lies in a folder that cannot be listed is not gone"
    (root / "secret").chmod(0o600)
    third = await read_all(provider(root), second.cursor, {**first.known, **second.known})
    assert [mail.key for mail in third.items] == ["secret"], "it is read as soon as it may be"
    assert third.removed == ["locked/"]


async def test_names_that_are_no_text_are_keys_all_the_same(tmp_path: Path, read_all: Any) -> None:
    names = [b"caf\xe9.eml", "caf\ufffdE9.eml".encode(), b"sub\xff/x", b"a\nb", "Grüße".encode()]
    for name in names:
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(MAIL + name)
    reading = await read_all(provider(tmp_path))
    assert {*reading.by_key} == {storable(os.fsdecode(name)) for name in names}
    for key, mail in reading.by_key.items():
        key.encode("utf-8")
        assert (await provider(tmp_path).fetch(key)).data == mail.data
    key = storable(os.fsdecode(b"caf\xe9.eml"))
    assert await provider(tmp_path).move(key, "Archive", reading.by_key[key].version) == f"Archive/{key}"


async def test_what_a_killed_writer_left_is_no_message(root: Path, read_all: Any) -> None:
    (root / f"{TEMPORARY}0123.tmp").write_bytes(MAIL[:10])
    assert (await read_all(provider(root))).total == 8


async def test_a_source_that_is_gone_is_not_an_empty_one(root: Path, read_all: Any) -> None:
    account = provider(root)
    root.rename(root.with_name("moved"))
    with pytest.raises(SourceNotFound):
        await read_all(account)
    with pytest.raises(SourceNotFound):
        provider(root)
    with pytest.raises(SourceNotFound, match="no folder"):
        provider(root.with_name("moved") / "a.eml")


# -- writing ------------------------------------------------------------------------------------------


async def test_a_message_is_stored_once(root: Path) -> None:
    key = await provider(root).append(MAIL, "Drafts", frozenset({"draft"}))
    assert await provider(root).append(MAIL, "Drafts") == key
    stored = await provider(root).fetch(key)
    assert (stored.data, stored.folder, stored.flags) == (MAIL, "Drafts", frozenset({"draft"}))
    assert len(list((root / "Drafts").iterdir())) == 1


async def test_a_move_keeps_what_is_there(root: Path) -> None:
    account = provider(root)
    (root / "Archive").mkdir()
    (root / "Archive" / "a.eml").write_bytes(b"another")
    key = await account.move("a.eml", "Archive", (await account.fetch("a.eml")).version)
    assert key == "Archive/a-2.eml"
    assert (root / "Archive" / "a.eml").read_bytes() == b"another"
    assert (await account.fetch(key)).data == MAIL + b"a.eml"
    assert await account.move(key, "Archive", None) == key
    assert await account.move(key, "", None) == "a-2.eml"


async def test_a_changed_message_is_not_touched(root: Path) -> None:
    account = provider(root)
    version = (await account.fetch("a.eml")).version
    (root / "a.eml").write_bytes(MAIL + b"changed")
    for attempt in (
        account.delete("a.eml", version),
        account.move("a.eml", "x", version),
        account.flag("a.eml", frozenset(), frozenset(), version),
    ):
        with pytest.raises(Stale):
            await attempt
    assert (root / "a.eml").read_bytes() == MAIL + b"changed"
    await account.delete("a.eml", (await account.fetch("a.eml")).version)
    with pytest.raises(NotFound):
        await account.delete("a.eml", None)
    with pytest.raises(NotFound):
        await account.fetch("a.eml")


async def test_flags_that_have_no_place_are_refused(root: Path) -> None:
    account = provider(root)
    with pytest.raises(ProviderError, match="keeps no flags"):
        await account.flag("a.eml", frozenset({"seen"}), frozenset(), None)
    version = (await account.fetch("junk/d")).version
    assert await account.flag("junk/d", frozenset({"spam"}), frozenset({"seen"}), version) == version


@pytest.mark.parametrize("key", ["../x", "/etc/passwd"])
async def test_no_write_leaves_the_folder(key: str, root: Path) -> None:
    account = provider(root)
    for attempt in (
        account.fetch(key),
        account.delete(key, None),
        account.append(MAIL, key),
        account.move("a.eml", key, None),
    ):
        with pytest.raises(ProviderError):
            await attempt
