"""A folder of documents."""

# These tests are about files: they write and look at them between the awaits.
# ruff: noqa: ASYNC240

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from brody_agents.errors import NotFound, ProviderError, SourceNotFound, Stale
from brody_agents.integrations.files import local
from brody_agents.integrations.files.extract import Extract, extract
from brody_agents.integrations.files.local import Folder
from brody_agents.integrations.local import file_etag


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "docs"
    for name, text in {
        "plan.md": "# Plan\nText",
        "a/b/notes.txt": "Notes",
        "photo.jpg": "x",
        ".hidden": "x",
        ".git/c": "x",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    os.utime(root / "plan.md", (1_700_000_000, 1_700_000_000))
    return root


def provider(root: Path, **options: Any) -> Folder:
    return Folder(str(root), **options)


async def test_files_come_with_text_and_type(root: Path, read_all: Any) -> None:
    reading = await read_all(provider(root))
    assert {*reading.by_key} == {"plan.md", "a/b/notes.txt", "photo.jpg"}
    plan = reading.by_key["plan.md"]
    assert (plan.name, plan.title, plan.text, plan.media_type) == ("plan.md", "Plan", "# Plan\nText", "text/markdown")
    assert (plan.size, plan.modified) == (11, datetime.fromtimestamp(1_700_000_000, UTC))
    assert reading.by_key["a/b/notes.txt"].name == "notes.txt"
    assert (reading.by_key["photo.jpg"].text, reading.by_key["photo.jpg"].problem) == ("", "")
    assert reading.total == 3
    assert provider(root).account == f"dir:{root.resolve()}"


async def test_reading_changes_nothing(root: Path, read_all: Any, picture: Any) -> None:
    before = picture(root)
    await read_all(provider(root))
    await provider(root).read("plan.md")
    assert picture(root) == before


async def test_a_second_read_gives_only_what_is_new(root: Path, read_all: Any) -> None:
    first = await read_all(provider(root))
    again = await read_all(provider(root), first.cursor, first.known)
    assert (again.items, again.cursor, again.total) == ([], first.cursor, 3)
    (root / "plan.md").write_text("# Plan 2")
    (root / "photo.jpg").rename(root / "a" / "photo.jpg")
    third = await read_all(provider(root), first.cursor, first.known)
    assert {key: file.title for key, file in third.by_key.items()} == {"plan.md": "Plan 2", "a/photo.jpg": ""}
    assert third.removed == ["photo.jpg"]


async def test_text_is_taken_where_the_caller_computes(root: Path, read_all: Any) -> None:
    asked: list[str] = []

    async def compute(function: Callable[[str, bytes], Extract], name: str, data: bytes) -> Extract:
        assert function is extract
        asked.append(name)
        return await asyncio.to_thread(function, name, data)

    reading = await read_all(provider(root, compute=compute))
    assert sorted(asked) == ["notes.txt", "plan.md"]
    assert reading.by_key["plan.md"].title == "Plan"


async def test_large_and_broken_files_are_listed_with_the_problem(
    root: Path, read_all: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "LARGEST", 1000)
    (root / "big.txt").write_bytes(b"x" * 1001)
    (root / "big.jpg").write_bytes(b"x" * 1001)
    (root / "broken.pdf").write_bytes(b"%PDF-1.4")
    files = (await read_all(provider(root))).by_key
    assert "larger" in files["big.txt"].problem
    assert files["big.jpg"].problem == ""
    assert "cannot be read" in files["broken.pdf"].problem


async def test_links_that_lead_out_and_pipes_are_none_of_the_account(root: Path, tmp_path: Path, read_all: Any) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (root / "out.txt").symlink_to(tmp_path / "secret.txt")
    (root / "up").symlink_to(tmp_path)
    (root / "inside.txt").symlink_to("a/b/notes.txt")
    os.mkfifo(root / "pipe.txt")
    reading = await read_all(provider(root))
    assert {*reading.by_key} == {"plan.md", "a/b/notes.txt", "photo.jpg", "inside.txt"}
    assert (reading.bad, reading.total) == ([], 4)
    for key in ("out.txt", "up/secret.txt", "../secret.txt"):
        with pytest.raises(ProviderError):
            await provider(root).read(key)


async def test_a_file_that_may_not_be_read_is_a_bad_item(folder_of_nobody: Path, read_all: Any) -> None:
    for name in ("a.txt", "b.txt"):
        (folder_of_nobody / name).write_text(name)
    (folder_of_nobody / "b.txt").chmod(0)
    reading = await read_all(provider(folder_of_nobody))
    assert ([file.key for file in reading.items], [bad.key for bad in reading.bad]) == (["a.txt"], ["b.txt"])
    with pytest.raises(ProviderError, match="permission denied"):
        await provider(folder_of_nobody).read("b.txt")


async def test_a_place_that_is_no_folder(root: Path) -> None:
    with pytest.raises(SourceNotFound, match="no folder"):
        provider(root / "plan.md")


# -- writing ------------------------------------------------------------------------------------------


async def test_a_new_file_must_not_exist_yet(root: Path) -> None:
    account = provider(root)
    version = await account.write("new/folder/x.txt", b"one", None)
    assert await account.read("new/folder/x.txt") == b"one"
    with pytest.raises(Stale, match="exists already"):
        await account.write("new/folder/x.txt", b"two", None)
    assert await account.write("new/folder/x.txt", b"two", version) != version
    assert await account.read("new/folder/x.txt") == b"two"


async def test_a_write_returns_the_version_that_the_next_read_has(root: Path, read_all: Any) -> None:
    account = provider(root)
    version = await account.write("x.txt", b"one", None)
    assert (await read_all(account)).by_key["x.txt"].version == version


@pytest.mark.parametrize("same_time", [False, True])
async def test_a_changed_file_is_never_overwritten(same_time: bool, root: Path, read_all: Any) -> None:
    account = provider(root)
    path = root / "plan.md"
    version = (await read_all(account)).by_key["plan.md"].version
    other = root / "other"
    other.write_text("# Mine\nText")  # of the same length, put in place as editors do
    if same_time:
        os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.rename(path)
    for attempt in (
        account.write("plan.md", b"x", version),
        account.move("plan.md", "b.md", version),
        account.delete("plan.md", version),
    ):
        with pytest.raises(Stale):
            await attempt
    assert path.read_text() == "# Mine\nText"


async def test_a_move_replaces_nothing(root: Path, read_all: Any) -> None:
    account = provider(root)
    version = (await read_all(account)).by_key["plan.md"].version
    with pytest.raises(Stale, match="exists already"):
        await account.move("plan.md", "photo.jpg", version)
    assert await account.move("plan.md", "deep/er/plan.md", version) == "deep/er/plan.md"
    assert not (root / "plan.md").exists()
    assert await account.read("deep/er/plan.md") == b"# Plan\nText"


async def test_a_write_through_a_link_keeps_the_link(root: Path) -> None:
    (root / "link.txt").symlink_to("a/b/notes.txt")
    await provider(root).write("link.txt", b"new", file_etag((root / "link.txt").stat()))
    assert (root / "link.txt").is_symlink()
    assert (root / "a/b/notes.txt").read_bytes() == b"new"


async def test_of_two_writes_on_one_version_one_is_stale(root: Path, read_all: Any) -> None:
    version = (await read_all(provider(root))).by_key["plan.md"].version
    answers = await asyncio.gather(
        *(provider(root).write("plan.md", bytes([65 + n]) * 9, version) for n in range(8)), return_exceptions=True
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["Stale"] * 7 + ["str"]


@pytest.mark.parametrize("key", ["../x", "/tmp/x", "", "a/../../x"])
async def test_no_write_leaves_the_folder(key: str, root: Path) -> None:
    account = provider(root)
    for attempt in (account.write(key, b"x", None), account.move("plan.md", key, None), account.delete(key, None)):
        with pytest.raises(ProviderError):
            await attempt


async def test_what_is_not_there(root: Path) -> None:
    account = provider(root)
    for attempt in (
        account.read("no"),
        account.delete("no", None),
        account.move("no", "x", None),
        account.write("no", b"", "1"),
    ):
        with pytest.raises(NotFound):
            await attempt
