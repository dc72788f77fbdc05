"""One file with all mail in it: ``mbox:FILE`` (RFC 4155; mboxo and mboxrd are read, mboxrd is written).

The key is a hash of the message without what mail readers write into it, with a number for identical ones; the
version is its flags. Offsets are of no use as keys: every deletion moves them.

Locks are those of the field: a dot-lock beside the file and a lock by fcntl. A reader respects both and leaves
nothing behind. A writer takes both and replaces the file as a whole.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, zip_longest

from brody_agents.errors import NotFound, ProviderError, ProviderUnavailable, SourceNotFound
from brody_agents.integrations.base import BadItem, Known, Page
from brody_agents.integrations.listing import batched, cannot_open, chunks
from brody_agents.integrations.local import account_key, file_etag, place_of, require, speaking, write_atomic
from brody_agents.integrations.mail.base import RawMail
from brody_agents.integrations.mail.folders import folder_flags
from brody_agents.integrations.mail.mbox_file import (
    STORED_FLAGS,
    Span,
    content_key,
    flags_version,
    message_bytes,
    messages,
    stored_form,
    with_flags,
)
from brody_agents.integrations.mail.mbox_lock import read_lock, write_lock

_RESCANS = 10
_BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Snapshot:
    etag: str
    spans: tuple[Span, ...]

    @property
    def cursor(self) -> str:
        return f"{self.etag}:{len(self.spans)}"


@dataclass(frozen=True, slots=True)
class _Step:
    spans: Sequence[Span]
    gone: Sequence[str]
    cursor: str


class Mbox:
    """Mail of an mbox file; ``lock_timeout`` is how many seconds to wait for another program's lock."""

    scheme = "mbox"

    def __init__(self, path: str, lock_timeout: float = 3.0) -> None:
        self.path = place_of(self.scheme, path)
        if not self.path.is_file():
            hint = "Did you mean maildir: (it has cur and new) or eml: (one message a file)?"
            raise SourceNotFound(f"{self.account} is no file.", hint)
        self.folder = self.path.name.removesuffix(".mbox")
        self.lock_timeout = lock_timeout
        # A lock by fcntl is the process's: without this, one thread that closes the file frees another's.
        self._busy = threading.Lock()

    @property
    def account(self) -> str:
        """Return ``mbox:/absolute/path``."""
        return account_key(self.scheme, self.path)

    async def changes(self, cursor: str | None, known: Known) -> AsyncIterator[Page[RawMail]]:
        """Yield new messages, those with other flags, and keys that are gone.

        The lock is held while the file is scanned and while a page is read, never while a page is worked on; when
        the file changes in between, it is scanned again.
        """
        count = await asyncio.to_thread(self._unchanged, cursor)
        if count is not None:
            yield Page(cursor=cursor or "", total=count)
            return
        done: dict[str, str] = {}
        for _ in range(_RESCANS):
            snapshot = await asyncio.to_thread(self._scan)
            for step in _steps(snapshot, {**await known(), **done}):
                page = await asyncio.to_thread(self._page, snapshot, step)
                if page is None:
                    break
                done |= {mail.key: mail.version for mail in page.items}
                done |= {bad.key: bad.version for bad in page.bad}
                yield page
            else:
                return
        raise ProviderUnavailable(f"{self.account} changes all the time.", "Try again when it is quiet.")

    async def check(self) -> str:
        """Count the messages."""
        snapshot = await asyncio.to_thread(self._scan)
        return f"{len(snapshot.spans)} messages"

    async def close(self) -> None:
        """Do nothing: no handle is kept."""

    async def fetch(self, key: str) -> RawMail:
        """Return one message, or raise ``NotFound``."""
        return await asyncio.to_thread(self._fetch, key)

    async def append(self, data: bytes, folder: str, flags: frozenset[str] = frozenset()) -> str:
        """Store a message at the end of the file; an mbox has no other folder than itself."""
        self._require_folder(folder)
        return await asyncio.to_thread(self._append, data, flags)

    async def flag(self, key: str, add: frozenset[str], remove: frozenset[str], version: str | None) -> str:
        """Write Status and X-Status into a message."""
        return await asyncio.to_thread(self._flag, key, add, remove, version)

    async def move(self, key: str, folder: str, version: str | None) -> str:
        """Refuse: an mbox has no other folder than itself."""
        self._require_folder(folder)
        require((await self.fetch(key)).version, version, key)
        return key

    async def delete(self, key: str, version: str | None) -> None:
        """Remove a message for good."""
        await asyncio.to_thread(self._delete, key, version)

    def _require_folder(self, folder: str) -> None:
        if folder.lower() not in ("", "inbox", self.folder.lower()):
            raise ProviderError(f"{self.account} has no folder {folder}.", "Use maildir: for mail in several folders.")

    # -- reading, in threads

    @contextmanager
    def _reading(self) -> Iterator[int]:
        try:
            with self._busy, read_lock(self.path, self.lock_timeout) as descriptor:
                yield descriptor
        except OSError as error:
            raise cannot_open(self.path, error) from error

    def _unchanged(self, cursor: str | None) -> int | None:
        """Return the number of messages when the file is as ``cursor`` has it."""
        etag, _, count = (cursor or "").rpartition(":")
        try:
            same = etag == file_etag(self.path.stat())
        except OSError as error:
            raise cannot_open(self.path, error) from error
        return int(count) if same else None

    def _scan(self) -> _Snapshot:
        with self._reading() as descriptor:
            return _Snapshot(file_etag(os.fstat(descriptor)), tuple(messages(descriptor)))

    def _page(self, snapshot: _Snapshot, step: _Step) -> Page[RawMail] | None:
        """Read a page, or return ``None`` when the file is another by now."""
        items: list[RawMail] = []
        bad = [BadItem(span.key, span.version, span.problem) for span in step.spans if span.problem]
        with self._reading() as descriptor:
            if file_etag(os.fstat(descriptor)) != snapshot.etag:
                return None
            items += [self._mail(descriptor, span) for span in step.spans if not span.problem]
        return Page(items, bad, list(step.gone), step.cursor, len(snapshot.spans))

    def _mail(self, descriptor: int, span: Span) -> RawMail:
        data = message_bytes(descriptor, span)
        return RawMail(span.key, span.version, data, self.folder, span.flags | folder_flags(self.folder))

    def _fetch(self, key: str) -> RawMail:
        with self._reading() as descriptor:
            return self._mail(descriptor, self._find(descriptor, key))

    def _find(self, descriptor: int, key: str, version: str | None = None) -> Span:
        found = next((span for span in messages(descriptor) if span.key == key), None)
        if found is None:
            raise NotFound(f"{key} is not in {self.account}.", "Read the account again.")
        require(found.version, version, key)
        return found

    # -- writing, in threads

    @contextmanager
    def _writing(self, what: str) -> Iterator[int]:
        with self._busy, speaking(f"{self.account}: {what}"), write_lock(self.path, self.lock_timeout) as descriptor:
            yield descriptor

    def _append(self, data: bytes, flags: frozenset[str]) -> str:
        with self._writing("a new message") as descriptor:
            line, raw = stored_form(data, flags, datetime.now(UTC))
            key = content_key(raw.removesuffix(b"\n"))
            same = [span for span in messages(descriptor) if span.key.partition("-")[0] == key]
            size = os.fstat(descriptor).st_size
            tail = os.pread(descriptor, 2, max(size - 2, 0))
            gap = b"" if not size or tail == b"\n\n" else b"\n" if tail.endswith(b"\n") else b"\n\n"
            self._rewrite(descriptor, (size, size, gap + line + raw))
        return f"{key}-{len(same) + 1}" if same else key

    def _flag(self, key: str, add: frozenset[str], removed: frozenset[str], version: str | None) -> str:
        impossible = (add | removed) - STORED_FLAGS
        if impossible:
            what = ", ".join(sorted(impossible))
            raise ProviderError(f"An mbox has no letter for {what}.", "Use maildir: for mail in several folders.")
        with self._writing(key) as descriptor:
            span = self._find(descriptor, key, version)
            flags = (span.flags | add) - removed
            if flags != span.flags:
                raw = with_flags(os.pread(descriptor, span.size, span.start), flags)
                self._rewrite(descriptor, (span.start, span.end, raw))
        return flags_version(flags)

    def _delete(self, key: str, version: str | None) -> None:
        with self._writing(key) as descriptor:
            span = self._find(descriptor, key, version)
            self._rewrite(descriptor, (span.begin, span.after, b""))

    def _rewrite(self, descriptor: int, edit: tuple[int, int, bytes]) -> None:
        """Replace the bytes from, up to, by others."""
        begin, after, data = edit
        size = os.fstat(descriptor).st_size
        write_atomic(self.path, chain(_copied(descriptor, 0, begin), [data], _copied(descriptor, after, size)))


def _steps(snapshot: _Snapshot, have: Mapping[str, str]) -> Iterator[_Step]:
    todo = [span for span in snapshot.spans if have.get(span.key) != span.version]
    gone = batched(sorted(have.keys() - {span.key for span in snapshot.spans}))
    steps = list(zip_longest(chunks(todo), gone, fillvalue=())) or [((), ())]
    for number, (spans, keys) in enumerate(steps, 1):
        yield _Step(spans, keys, snapshot.cursor if number == len(steps) else "")


def _copied(descriptor: int, begin: int, end: int) -> Iterator[bytes]:
    for start in range(begin, end, _BLOCK):
        yield os.pread(descriptor, min(_BLOCK, end - start), start)
