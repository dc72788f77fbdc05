"""A folder of documents: ``dir:PATH``, however deep.

Hidden files and folders, and links that lead out of the folder, are not listed: they are none of the account's.
"""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from brody_agents.errors import NotFound, SourceNotFound, Stale
from brody_agents.integrations.base import BadItem, Known, Page
from brody_agents.integrations.files.base import RawFile
from brody_agents.integrations.files.extract import LARGEST, Extract, extract, has_text
from brody_agents.integrations.listing import OUTSIDE, Entry, Listing, changed_pages, scan_tree
from brody_agents.integrations.local import (
    account_key,
    file_etag,
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

_OFFICE = {
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".md": "text/markdown",
}
Compute = Callable[[Callable[[str, bytes], Extract], str, bytes], Awaitable[Extract]]
"""Run a pure function on a file's name and content elsewhere: in a thread, or in a pool of processes."""


class Folder:
    """Files of a folder; the key is the relative path, the version an ETag of time, size and inode.

    ``compute`` runs the extraction of text, by default in a thread.
    """

    scheme = "dir"

    def __init__(self, path: str, compute: Compute = asyncio.to_thread) -> None:
        self.root = place_of(self.scheme, path)
        if not self.root.is_dir():
            raise SourceNotFound(f"{self.account} is no folder.", "Name the folder that the file is in.")
        self._compute = compute
        # Not the module's own table, which holds whatever this machine has installed.
        self._types = mimetypes.MimeTypes()
        for ending, kind in _OFFICE.items():
            self._types.add_type(kind, ending)

    @property
    def account(self) -> str:
        """Return ``dir:/absolute/path``."""
        return account_key(self.scheme, self.root)

    async def changes(self, cursor: str | None, known: Known) -> AsyncIterator[Page[RawFile]]:
        """Yield new and changed files with their text, and keys that are gone."""
        async for page in changed_pages(self._scan, self._read, cursor, known):
            files = await asyncio.gather(*(self._with_text(file, data) for file, data in page.items))
            yield Page(list(files), page.bad, page.removed, page.cursor, page.total)

    async def check(self) -> str:
        """Count the files."""
        listing = await asyncio.to_thread(self._scan)
        unreadable = sum(bool(entry.problem) for entry in listing.entries)
        return f"{len(listing.entries)} files, {unreadable} of them unreadable"

    async def close(self) -> None:
        """Do nothing: no handle is kept."""

    async def read(self, key: str) -> bytes:
        """Return the content of a file, or raise ``NotFound``."""

        def content() -> bytes:
            with speaking(key):
                return read_file(inside(self.root, key))[0]

        return await asyncio.to_thread(content)

    async def version(self, key: str) -> str:
        """Return the ETag that a file has now, or raise ``NotFound``."""

        def etag() -> str:
            path = inside(self.root, key)
            self._require(key, path, None)
            return file_etag(path.stat())

        return await asyncio.to_thread(etag)

    async def write(self, key: str, data: bytes, version: str | None) -> str:
        """Write a file as a whole and return its new ETag; ``version=None``: it must not exist yet."""
        return await locked(self.root, f"{self.account}: {key}", self._write, key, data, version)

    async def move(self, key: str, to: str, version: str | None) -> str:
        """Move a file, making the folders above its new place; a target that exists raises ``Stale``."""
        return await locked(self.root, f"{self.account}: {key}", self._move, key, to, version)

    async def delete(self, key: str, version: str | None) -> None:
        """Remove a file."""
        await locked(self.root, f"{self.account}: {key}", self._delete, key, version)

    # -- reading

    def _scan(self) -> Listing:
        listing = scan_tree(self.root, file_etag)
        listing.entries = [entry for entry in listing.entries if entry.problem != OUTSIDE]
        return listing

    def _read(self, entry: Entry) -> tuple[RawFile, bytes] | BadItem:
        name = entry.key.rpartition("/")[2]
        kind = self._types.guess_type(name)[0] or "application/octet-stream"
        modified = datetime.fromtimestamp(entry.modified / 1e9, UTC)
        file = RawFile(entry.key, entry.version, name, kind, entry.size, modified)
        if not has_text(name):
            return file, b""
        if entry.size > LARGEST:
            return replace(file, problem=f"No text was taken: it is larger than {LARGEST // 1_000_000} MB."), b""
        data, status = read_file(Path(entry.path))
        return replace(file, version=file_etag(status), size=len(data)), data

    async def _with_text(self, file: RawFile, data: bytes) -> RawFile:
        if not data:
            return file
        found = await self._compute(extract, file.name, data)
        return replace(file, title=found.title, text=found.text, problem=found.problem)

    # -- writing, in threads

    def _write(self, key: str, data: bytes, version: str | None) -> str:
        # What a link leads to is written, the link stays.
        path = inside(self.root, key).resolve()
        if version is None:
            make_folder(path.parent)
            try:
                return file_etag(write_atomic(path, data, new=True))
            except FileExistsError as error:
                raise Stale(f"{key} exists already.", "Read it, then decide again.") from error
        self._require(key, path, version)
        return file_etag(write_atomic(path, data))

    def _move(self, key: str, to: str, version: str | None) -> str:
        source, target = inside(self.root, key), inside(self.root, to)
        self._require(key, source, version)
        make_folder(target.parent)
        try:
            rename_new(source, target)
        except FileExistsError as error:
            raise Stale(f"{to} exists already.", "Choose another name.") from error
        return storable(target.relative_to(self.root).as_posix())

    def _delete(self, key: str, version: str | None) -> None:
        path = inside(self.root, key)
        self._require(key, path, version)
        remove(path)

    def _require(self, key: str, path: Path, version: str | None) -> None:
        if not path.is_file():
            raise NotFound(f"{key} is not in {self.account}.", "Read the folder again.")
        require(file_etag(path.stat()), version, key)
