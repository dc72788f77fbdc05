"""A folder with one message a file: ``eml:DIR``.

Any file name will do; hidden files are not mail. A folder keeps no flags but those that a subfolder's name gives.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

from brody_agents.errors import NotFound, ProviderError, SourceNotFound
from brody_agents.integrations.base import BadItem, Known, Page
from brody_agents.integrations.listing import Entry, Listing, changed_pages, scan_tree
from brody_agents.integrations.local import (
    account_key,
    file_version,
    inside,
    locked,
    make_folder,
    place_of,
    read_file,
    remove,
    rename_new,
    require,
    speaking,
    storable,
    write_atomic,
)
from brody_agents.integrations.mail.base import RawMail
from brody_agents.integrations.mail.folders import LARGEST, folder_flags


class EmlFolder:
    """Mail in a folder and its subfolders; the key is the relative path, the version time and size of the file."""

    scheme = "eml"

    def __init__(self, path: str) -> None:
        self.root = place_of(self.scheme, path)
        if not self.root.is_dir():
            raise SourceNotFound(f"{self.account} is no folder.", "Did you mean mbox:, for a file with all mail in it?")

    @property
    def account(self) -> str:
        """Return ``eml:/absolute/path``."""
        return account_key(self.scheme, self.root)

    async def changes(self, cursor: str | None, known: Known) -> AsyncIterator[Page[RawMail]]:
        """Yield new and changed messages, and keys that are gone; the cursor is the listing's digest."""
        async for page in changed_pages(self._scan, self._read, cursor, known):
            yield page

    async def check(self) -> str:
        """Count the messages."""
        listing = await asyncio.to_thread(self._scan)
        unreadable = sum(bool(entry.problem) for entry in listing.entries)
        return f"{len(listing.entries)} messages, {unreadable} of them unreadable"

    async def close(self) -> None:
        """Do nothing: no handle is kept."""

    async def fetch(self, key: str) -> RawMail:
        """Return one message, or raise ``NotFound``."""
        return await asyncio.to_thread(self._fetch, key)

    async def append(self, data: bytes, folder: str, flags: frozenset[str] = frozenset()) -> str:
        """Store a message under the name of its digest: the same message in the same folder is stored once."""
        return await locked(self.root, f"{self.account}: {folder}", self._append, data, folder)

    async def flag(self, key: str, add: frozenset[str], remove: frozenset[str], version: str | None) -> str:
        """Refuse, unless the folder gives these flags already: there is no place for them."""
        mail = await self.fetch(key)
        require(mail.version, version, key)
        if add - mail.flags or remove & mail.flags:
            raise ProviderError(f"{self.account} keeps no flags.", "Use maildir: for mail that is to be marked.")
        return mail.version

    async def move(self, key: str, folder: str, version: str | None) -> str:
        """Move a message to a subfolder, which is made if need be; a name that is taken there gets a number."""
        return await locked(self.root, f"{self.account}: {key}", self._move, key, folder, version)

    async def delete(self, key: str, version: str | None) -> None:
        """Remove a message for good."""
        await locked(self.root, f"{self.account}: {key}", self._delete, key, version)

    # -- in threads

    def _scan(self) -> Listing:
        return scan_tree(self.root, file_version, LARGEST)

    def _read(self, entry: Entry) -> RawMail | BadItem:
        data, status = read_file(Path(entry.path))
        return self._mail(entry.key, data, file_version(status))

    def _mail(self, key: str, data: bytes, version: str) -> RawMail:
        folder = key.rpartition("/")[0]
        return RawMail(key, version, data, folder, folder_flags(folder))

    def _fetch(self, key: str) -> RawMail:
        with speaking(key):
            data, status = read_file(inside(self.root, key))
        return self._mail(key, data, file_version(status))

    def _append(self, data: bytes, folder: str) -> str:
        path = self._folder(folder) / f"{hashlib.sha256(data).hexdigest()[:32]}.eml"
        if not path.exists():
            write_atomic(path, data, new=True, mode=0o600)
        return self._key(path)

    def _move(self, key: str, folder: str, version: str | None) -> str:
        source = self._current(key, version)
        target = self._folder(folder) / source.name
        for number in range(2, 1000):
            if target == source:
                return key
            try:
                rename_new(source, target)
                return self._key(target)
            except FileExistsError:
                target = target.with_name(f"{source.stem}-{number}{source.suffix}")
        raise ProviderError(f"{folder} has a thousand messages with the name {storable(source.name)}.", "Rename some.")

    def _delete(self, key: str, version: str | None) -> None:
        remove(self._current(key, version))

    def _current(self, key: str, version: str | None) -> Path:
        path = inside(self.root, key)
        if not path.is_file():
            raise NotFound(f"{key} is not in {self.account}.", "Read the account again.")
        require(file_version(path.stat()), version, key)
        return path

    def _folder(self, folder: str) -> Path:
        path = inside(self.root, folder) if folder.strip("/") else self.root
        make_folder(path, 0o700)
        return path

    def _key(self, path: Path) -> str:
        return storable(path.relative_to(self.root).as_posix())
