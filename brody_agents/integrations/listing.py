"""Listings: find what changed in a place that tells nothing by itself, by comparing names and versions.

Used by every local provider that keeps one item a file. Content is read only for what is new or changed; an
unchanged place is recognised by the digest of its listing, which is the cursor.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Protocol, TypeVar

from brody_agents.errors import ProviderError, SourceNotFound
from brody_agents.integrations.base import BadItem, Known, Page
from brody_agents.integrations.local import file_version, leads_inside, reason, storable

T = TypeVar("T")


class _Sized(Protocol):
    @property
    def size(self) -> int: ...


S = TypeVar("S", bound=_Sized)

PAGE_ITEMS = 256
PAGE_BYTES = 64 * 1024 * 1024
"""A page ends early when its files are this large together, so that memory stays bounded."""
READERS = 4
"""Threads that read the files of a page side by side: a disk or a network mount answers several at once."""
OUTSIDE = "The link leads out of the folder."
UNREAD = "unread:"
"""Begins the version of a bad item that may be readable next time (permission, a link that leads nowhere)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a listing; ``problem`` says why it cannot be read."""

    key: str
    version: str
    path: str
    size: int = 0
    modified: int = 0
    problem: str = ""


@dataclass(slots=True)
class Listing:
    """All files of a place, and the beginnings of keys that lie in folders which could not be listed."""

    entries: list[Entry] = field(default_factory=list)
    blind: list[str] = field(default_factory=list)

    def ordered(self) -> Listing:
        """Sort by time and key: the oldest first, and the same on every machine."""
        self.entries.sort(key=lambda entry: (entry.modified, entry.key))
        return self

    def digest(self) -> str:
        """Return the cursor of this state, or ``""`` if something of it may be readable next time."""
        if any(entry.problem and entry.version.startswith(UNREAD) for entry in self.entries):
            return ""
        digest = hashlib.sha256()
        for entry in self.entries:
            digest.update(f"{entry.key}\0{entry.version}\0".encode())
        return f"1:{len(self.entries)}:{digest.hexdigest()}"

    def gone(self, known: Mapping[str, str]) -> set[str]:
        """Return known keys that are no longer there; what lies in a folder that cannot be seen is not gone."""
        keys = known.keys() - {entry.key for entry in self.entries}
        return {key for key in keys if not key.startswith(tuple(self.blind))} if self.blind else keys


Scan = Callable[[], Listing]
Read = Callable[[Entry], T | BadItem]


async def changed_pages(scan: Scan, read: Read[T], cursor: str | None, known: Known) -> AsyncIterator[Page[T]]:
    """Yield pages of what differs between the place and ``known``; ``scan`` and ``read`` run in threads.

    Only the last page carries the digest: a reader that stops in between compares again.
    """
    listing = await asyncio.to_thread(scan)
    total, digest = len(listing.entries), listing.digest()
    if cursor and cursor == digest:
        yield Page(cursor=digest, total=total)
        return
    have = await known()
    todo = [entry for entry in listing.entries if have.get(entry.key) != entry.version]
    removed = batched(await _removed(listing, scan, have))
    complete = True
    pages = list(zip_longest(chunks(todo), removed, fillvalue=())) or [((), ())]
    for number, (entries, keys) in enumerate(pages, 1):
        page: Page[T] = await _read_page(entries, read)
        complete = complete and not any(bad.version.startswith(UNREAD) for bad in page.bad)
        last = digest if complete and number == len(pages) else ""
        news = [bad for bad in page.bad if have.get(bad.key) != bad.version]
        yield Page(page.items, news, list(keys), last, total)


async def _removed(listing: Listing, scan: Scan, have: Mapping[str, str]) -> list[str]:
    gone = listing.gone(have)
    if gone:
        # A file that is renamed while a folder is listed can be missed: what is gone must be gone twice.
        gone &= (await asyncio.to_thread(scan)).gone(have)
    return sorted(gone)


async def _read_page(entries: Sequence[Entry], read: Read[T]) -> Page[T]:
    parts = [entries[start::READERS] for start in range(min(READERS, len(entries)))]
    read_all = partial(_read_all, read)
    answers = await asyncio.gather(*(asyncio.to_thread(read_all, part) for part in parts))
    found: dict[str, T | BadItem] = {key: value for answer in answers for key, value in answer}
    page: Page[T] = Page()
    for entry in entries:
        value = found[entry.key]
        if isinstance(value, BadItem):
            page.bad.append(value)
        else:
            page.items.append(value)
    return page


def _read_all(read: Read[T], entries: Sequence[Entry]) -> list[tuple[str, T | BadItem]]:
    return [(entry.key, _read_one(read, entry)) for entry in entries]


def _read_one(read: Read[T], entry: Entry) -> T | BadItem:
    if entry.problem:
        return BadItem(entry.key, entry.version, entry.problem)
    try:
        return read(entry)
    except OSError as error:
        return BadItem(entry.key, UNREAD + entry.version, f"It cannot be read: {reason(error)}.")


def chunks(entries: Iterable[S]) -> Iterator[list[S]]:
    """Cut entries into pages by number and by bytes."""
    page: list[S] = []
    size = 0
    for entry in entries:
        if page and (len(page) == PAGE_ITEMS or size + entry.size > PAGE_BYTES):
            yield page
            page, size = [], 0
        page.append(entry)
        size += entry.size
    if page:
        yield page


def batched(items: Sequence[T]) -> list[Sequence[T]]:
    """Cut a sequence into pages by number."""
    return [items[start : start + PAGE_ITEMS] for start in range(0, len(items), PAGE_ITEMS)]


# -- the files of a folder ------------------------------------------------------------------------------

Version = Callable[[os.stat_result], str]


def scan_tree(root: Path, version: Version = file_version, largest: int | None = None) -> Listing:
    """List all files under ``root``, however deep, but nothing whose name begins with a dot.

    Links to folders are not followed: what they lead to is listed where it lies, or is none of ours. A link to a
    file is listed, with the problem if it leads nowhere or out of the root. A file above ``largest`` bytes has a
    problem too. Raises ``SourceNotFound`` when the root itself cannot be listed.
    """
    listing = Listing()
    folders = [("", str(root))]
    while folders:
        prefix, folder = folders.pop()
        try:
            with os.scandir(folder) as found:
                items = [item for item in found if not item.name.startswith(".")]
        except OSError as error:
            _cannot_list(listing, root, prefix, error)
            continue
        for item in items:
            if item.is_dir(follow_symlinks=False):
                folders.append((f"{prefix}{storable(item.name)}/", item.path))
            elif entry := entry_of(root, item, prefix + storable(item.name), version, largest):
                listing.entries.append(entry)
    return listing.ordered()


def _cannot_list(listing: Listing, root: Path, prefix: str, error: OSError) -> None:
    if not prefix:
        raise cannot_open(root, error) from error
    if isinstance(error, FileNotFoundError):
        return  # removed since its parent was listed
    listing.blind.append(prefix)
    problem = f"The folder cannot be listed: {reason(error)}."
    listing.entries.append(Entry(prefix, f"{UNREAD}folder", str(root / prefix), problem=problem))


def cannot_open(root: Path, error: OSError) -> SourceNotFound | ProviderError:
    """Return the error for a place that is there no longer or may not be looked into."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return SourceNotFound(f"{storable(str(root))}: {reason(error)}.", "Check the path of this account.")
    return ProviderError(f"{storable(str(root))} cannot be listed: {reason(error)}.", "Check its permissions.")


def entry_of(
    root: Path, item: os.DirEntry[str], key: str, version: Version, largest: int | None = None
) -> Entry | None:
    """Return the entry of a file, or ``None`` for what is no file (a pipe, a link to a folder) or is gone again."""
    try:
        status = item.stat()
    except OSError as error:
        return _broken(item, key, error)
    if not stat.S_ISREG(status.st_mode):
        return None
    outside = item.is_symlink() and not leads_inside(root, Path(item.path))
    problem = OUTSIDE if outside else _too_large(status, largest)
    return Entry(key, version(status), item.path, status.st_size, status.st_mtime_ns, problem)


def list_file(path: Path, version: Version = file_version, largest: int | None = None) -> Listing:
    """List one file that is a place by itself; raise ``SourceNotFound`` when it is not there."""
    try:
        status = path.stat()
    except OSError as error:
        raise cannot_open(path, error) from error
    problem = _too_large(status, largest)
    return Listing([Entry(path.name, version(status), str(path), status.st_size, status.st_mtime_ns, problem)])


def _too_large(status: os.stat_result, largest: int | None) -> str:
    return f"It is larger than {largest // 1_000_000} MB." if largest and status.st_size > largest else ""


def _broken(item: os.DirEntry[str], key: str, error: OSError) -> Entry | None:
    if isinstance(error, FileNotFoundError) and not item.is_symlink():
        return None
    return Entry(key, f"{UNREAD}link", item.path, problem=f"The link leads nowhere: {reason(error)}.")
