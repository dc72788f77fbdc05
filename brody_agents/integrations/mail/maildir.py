"""A Maildir with its subfolders: ``maildir:DIR`` (https://cr.yp.to/proto/maildir.html, Maildir++).

Subfolders may be written as Maildir++ does (``.Sent``, ``.Lists.Python``) or as folders in folders. The key is the
unique name before ``:``, in a subfolder with that folder's directory before it (``.Sent/1700000000.x``), so that it
outlives changes of flags. Nothing is moved from ``new`` to ``cur`` by reading.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from brody_agents.errors import BrodyError, NotFound, ProviderError, SourceNotFound
from brody_agents.integrations.base import BadItem, Known, Page
from brody_agents.integrations.listing import (
    UNREAD,
    Entry,
    Listing,
    cannot_open,
    changed_pages,
    entry_of,
)
from brody_agents.integrations.local import (
    account_key,
    file_version,
    inside,
    locked,
    make_folder,
    native,
    place_of,
    read_file,
    reason,
    remove,
    rename_new,
    require,
    speaking,
    storable,
    sync_folder,
    write_atomic,
)
from brody_agents.integrations.mail.base import RawMail
from brody_agents.integrations.mail.envelope import header_ids
from brody_agents.integrations.mail.folders import LARGEST, folder_flags, from_imap, to_imap

_FLAGS = {"S": "seen", "R": "answered", "F": "flagged", "D": "draft", "T": "trash"}
_LETTERS = {flag: letter for letter, flag in _FLAGS.items()}


class Maildir:
    """Mail of a Maildir; the version is time and size of the file and the letters after ``:2,``."""

    scheme = "maildir"

    def __init__(self, path: str) -> None:
        self.root = place_of(self.scheme, path)
        if next(self._folders(), None) is None:
            raise SourceNotFound(
                f"{self.account} is no Maildir: it has no folder with cur and new in it.",
                "Did you mean eml: (one message a file) or mbox: (one file)?",
            )

    @property
    def account(self) -> str:
        """Return ``maildir:/absolute/path``."""
        return account_key(self.scheme, self.root)

    async def changes(self, cursor: str | None, known: Known) -> AsyncIterator[Page[RawMail]]:
        """Yield new and changed messages, and keys that are gone; the cursor is the listing's digest."""
        async for page in changed_pages(self._scan, self._read, cursor, known):
            yield page

    async def check(self) -> str:
        """Count folders and messages."""
        listing = await asyncio.to_thread(self._scan)
        folders = await asyncio.to_thread(lambda: list(self._folders()))
        return f"{len(folders)} folders, {len(listing.entries)} messages"

    async def close(self) -> None:
        """Do nothing: no handle is kept."""

    async def fetch(self, key: str) -> RawMail:
        """Return one message, or raise ``NotFound``."""
        return await asyncio.to_thread(self._fetch, key)

    async def append(self, data: bytes, folder: str, flags: frozenset[str] = frozenset()) -> str:
        """Deliver a message by way of ``tmp``; the folder is made if need be."""
        return await locked(self.root, f"{self.account}: {folder}", self._append, data, folder, flags)

    async def flag(self, key: str, add: frozenset[str], remove: frozenset[str], version: str | None) -> str:
        """Change the letters after ``:2,``; ``sent`` and ``spam`` are folders, not letters."""
        return await locked(self.root, f"{self.account}: {key}", self._flag, key, add, remove, version)

    async def move(self, key: str, folder: str, version: str | None) -> str:
        """Move a message with its flags; the folder is made if need be."""
        return await locked(self.root, f"{self.account}: {key}", self._move, key, folder, version)

    async def delete(self, key: str, version: str | None) -> None:
        """Remove a message for good."""
        await locked(self.root, f"{self.account}: {key}", self._delete, key, version)

    def sent_folder(self) -> str:
        """Return the name of the folder for sent mail: one that is there under any of its usual names, else Sent."""
        names = (from_imap(storable(name)) for name in self._folders() if name)
        return min((name for name in names if folder_flags(name) == {"sent"}), key=len, default="Sent")

    def holds(self, message_id: str, since: float = 0.0) -> bool:
        """Say whether a message that is no draft has this Message-ID and is not older than ``since`` (POSIX time).

        Only headers are read, the newest first.
        """
        wanted = message_id.encode("utf-8", "surrogateescape")
        for entry in reversed(self._scan().entries):
            if entry.problem or entry.modified < since * 1e9:
                continue
            with suppress(BrodyError, OSError):
                mail = self._mail(entry.key, self._present(entry.key))
                if "draft" not in mail.flags and wanted in mail.data and wanted in header_ids(mail.data):
                    return True
        return False

    # -- listing

    def _folders(self) -> Iterator[str]:
        """Yield the folders that hold mail, relative to the root: ``""``, ``.Sent``, ``Lists/Python``."""
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            try:
                with os.scandir(self.root / folder) as found:
                    names = sorted(item.name for item in found if item.is_dir(follow_symlinks=False))
            except FileNotFoundError:
                continue
            except OSError:
                yield folder  # whoever lists it finds out why it cannot be listed
                continue
            if "cur" in names and "new" in names:
                yield folder
            below = [name for name in names if name not in ("cur", "new", "tmp")]
            waiting += [f"{folder}/{name}" if folder else name for name in below]

    def _scan(self) -> Listing:
        listing = Listing()
        entries: dict[str, Entry] = {}
        try:
            os.scandir(self.root).close()
        except OSError as error:
            raise cannot_open(self.root, error) from error
        for folder in self._folders():
            # `new` first: what moves to `cur` meanwhile is seen twice, the other way round it would be missed.
            for place in ("new", "cur"):
                self._list(listing, entries, folder, place)
        listing.entries = list(entries.values())
        return listing.ordered()

    def _list(self, listing: Listing, entries: dict[str, Entry], folder: str, place: str) -> None:
        prefix = storable(f"{folder}/") if folder else ""
        try:
            with os.scandir(self.root / folder / place) as found:
                items = [item for item in found if not item.name.startswith(".")]
        except OSError as error:
            problem = f"The folder cannot be listed: {reason(error)}."
            listing.blind.append(prefix)
            key = f"{prefix}{place}/"
            entries[key] = Entry(key, f"{UNREAD}folder", "", problem=problem)
            return
        for item in items:
            name, _, info = item.name.partition(":")
            if entry := entry_of(self.root, item, prefix + storable(name), file_version, LARGEST):
                entries[entry.key] = replace(entry, version=f"{entry.version}-{_letters(info)}")

    def _read(self, entry: Entry) -> RawMail | BadItem:
        try:
            return self._mail(entry.key, Path(entry.path))
        except FileNotFoundError:
            found = self._find(entry.key)  # its flags were changed since the listing, and with them its name
            if found is None:
                raise
            return self._mail(entry.key, found)

    def _mail(self, key: str, path: Path) -> RawMail:
        data, status = read_file(path)
        info = path.name.partition(":")[2]
        folder = from_imap(key.rpartition("/")[0])
        flags = frozenset(_FLAGS[letter] for letter in _letters(info) if letter in _FLAGS)
        return RawMail(key, _version(status, info), data, folder, flags | folder_flags(folder))

    def _find(self, key: str) -> Path | None:
        """Return where the file of a key lies now."""
        unique = inside(self.root, key)
        for place in ("new", "cur"):
            try:
                with os.scandir(unique.parent / place) as found:
                    for item in found:
                        if item.name.partition(":")[0] == unique.name:
                            return Path(item.path)
            except FileNotFoundError:
                continue
        return None

    def _fetch(self, key: str) -> RawMail:
        with speaking(key):
            return self._mail(key, self._present(key))

    # -- writing, in threads

    def _present(self, key: str) -> Path:
        found = self._find(key)
        if found is None:
            raise NotFound(f"{key} is not in {self.account}.", "Read the account again.")
        return found

    def _current(self, key: str, version: str | None) -> Path:
        path = self._present(key)
        require(_version(path.stat(), path.name.partition(":")[2]), version, key)
        return path

    def _append(self, data: bytes, folder: str, flags: frozenset[str]) -> str:
        place = self._folder(folder)
        unique = _unique_name()
        arriving = place / "tmp" / unique
        write_atomic(arriving, data, new=True, mode=0o600)
        letters = "".join(sorted(_LETTERS[flag] for flag in flags if flag in _LETTERS))
        # What has no flags is new to its reader; the protocol has it in `new`, and without the `:2,`.
        rename_new(arriving, place / "cur" / f"{unique}:2,{letters}" if letters else place / "new" / unique)
        return self._key(place, unique)

    def _flag(self, key: str, add: frozenset[str], removed: frozenset[str], version: str | None) -> str:
        path = self._current(key, version)
        unique, _, info = path.name.partition(":")
        self._require_letters(key, add, removed)
        letters = set(_letters(info)) - {_LETTERS[flag] for flag in removed if flag in _LETTERS}
        letters |= {_LETTERS[flag] for flag in add if flag in _LETTERS}
        name = f"{unique}:2,{''.join(sorted(letters))}"
        if letters != set(_letters(info)):
            self._rename(path, path.parent.parent / "cur" / name)
            path = path.parent.parent / "cur" / name
        return _version(path.stat(), path.name.partition(":")[2])

    def _require_letters(self, key: str, add: frozenset[str], removed: frozenset[str]) -> None:
        given = folder_flags(from_imap(key.rpartition("/")[0]))
        impossible = (add - _LETTERS.keys() - given) | (removed & given - _LETTERS.keys())
        if impossible:
            what = ", ".join(sorted(impossible))
            raise ProviderError(f"A Maildir has no letter for {what}.", "Move the message to the folder of that name.")

    def _move(self, key: str, folder: str, version: str | None) -> str:
        path = self._current(key, version)
        place = self._folder(folder)
        unique = path.name.partition(":")[0]
        if place == path.parent.parent:
            return key
        self._rename(path, place / path.parent.name / path.name)
        return self._key(place, unique)

    def _rename(self, source: Path, target: Path) -> None:
        # Names are unique, so nothing is replaced; and one rename never shows a message twice.
        os.rename(source, target)
        sync_folder(target.parent)
        if source.parent != target.parent:
            sync_folder(source.parent)

    def _delete(self, key: str, version: str | None) -> None:
        remove(self._current(key, version))

    def _folder(self, folder: str) -> Path:
        """Return the directory of a folder by the name that ``RawMail.folder`` gives; make it if it is missing."""
        if folder.strip("/").lower() in ("", "inbox"):
            path = self.root
        else:
            there = {from_imap(storable(name)): name for name in self._folders() if name}
            path = inside(self.root, storable(there.get(folder) or f".{to_imap(native(folder.strip('/')))}"))
        if not (path / "cur").is_dir():
            for name in ("cur", "new", "tmp"):
                make_folder(path / name, 0o700)
            if path != self.root:
                (path / "maildirfolder").touch(mode=0o600)
        return path

    def _key(self, place: Path, unique: str) -> str:
        folder = storable(place.relative_to(self.root).as_posix())
        return unique if folder == "." else f"{folder}/{unique}"


def _letters(info: str) -> str:
    return "".join(sorted(set(info[2:]))) if info.startswith("2,") else ""


def _version(status: os.stat_result, info: str) -> str:
    return f"{file_version(status)}-{_letters(info)}"


def _unique_name() -> str:
    host = socket.gethostname().replace("/", "\\057").replace(":", "\\072") or "localhost"
    now = time.time_ns()
    return f"{now // 10**9}.M{now % 10**9 // 1000}P{os.getpid()}R{secrets.token_hex(8)}.{host}"
