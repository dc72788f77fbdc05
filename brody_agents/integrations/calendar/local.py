"""Calendars on this machine: ``ics:PATH``, one .ics file or a folder of them, however deep."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from os import W_OK as WRITABLE
from os import PathLike, access
from pathlib import Path

from brody_agents.errors import ItemUnreadable, NotFound, Stale
from brody_agents.integrations.base import Known, Page
from brody_agents.integrations.calendar import ics_edit, ics_files
from brody_agents.integrations.calendar.base import RawEvent
from brody_agents.integrations.calendar.ics_files import Component, Files
from brody_agents.integrations.listing import batched
from brody_agents.integrations.local import (
    account_key,
    exclusive,
    inside,
    place_of,
    read_file,
    remove,
    require,
    speaking,
    write_atomic,
)


class IcsCalendar:
    """The events of an .ics file, or of all .ics files in a folder; implements ``CalendarProvider``.

    A UID is one event, in however many files: the copy with the highest SEQUENCE, then the newest, counts. Reading
    leaves every file as it is; a write changes the components of one UID and no other byte.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._root = place_of("ics", str(path))

    @property
    def account(self) -> str:
        """Return ``ics:/absolute/path``."""
        return account_key("ics", self._root)

    async def changes(self, cursor: str | None, known: Known) -> AsyncIterator[Page[RawEvent]]:
        """Yield the events whose version is not the known one; see ``Provider.changes``."""
        listing = await asyncio.to_thread(ics_files.scan, self._root)
        if cursor and cursor.partition("/")[2] == listing.digest():
            yield Page(cursor=cursor, total=int(cursor.partition("/")[0]))
            return
        files, have = await asyncio.to_thread(ics_files.load, listing), await known()
        todo = [uid for uid in files.events if have.get(uid) != files.version(uid)]
        bad = [item for item in files.bad if have.get(item.key) != item.version]
        removed = await self._removed(files, have)
        for uids in batched(todo):
            page = await asyncio.to_thread(_page, files, uids)
            yield Page(page.items, page.bad, total=files.total)
        yield Page(bad=bad, removed=removed, cursor=files.cursor(), total=files.total)

    async def _removed(self, files: Files, known: Mapping[str, str]) -> list[str]:
        gone = files.gone(known)
        if gone:  # a file that is renamed while a folder is listed can be missed: what is gone must be gone twice
            again = await asyncio.to_thread(self._load)
            gone = sorted({*gone} & {*again.gone(known)})
        return gone

    async def check(self) -> str:
        """Return how many events there are, and whether they can be written."""
        files = await asyncio.to_thread(self._load)
        writable = "" if access(self._root, WRITABLE) else ", read only"
        bad = f", {len(files.bad)} unreadable" if files.bad else ""
        return f"{len(files.events)} events in {len(files.listing.entries)} files{bad}{writable}"

    async def close(self) -> None:
        """Do nothing: no handle is kept."""

    async def fetch(self, uid: str) -> RawEvent:
        """Return one event with its exceptions, or raise ``NotFound`` or ``ItemUnreadable``."""
        files = await asyncio.to_thread(self._load)
        if uid not in files.events:
            raise NotFound(f"{self.account} has no event {uid!r}.", "Read the calendar again.")
        event, bad = ics_files.readable_part(files, uid)
        if event is None:
            raise ItemUnreadable(f"{uid}: {bad[0].reason}")
        return event

    async def find(self, uid: str) -> RawEvent | None:
        """Return one event, or ``None`` when there is none."""
        try:
            return await self.fetch(uid)
        except NotFound:
            return None

    async def put(self, event: RawEvent, version: str | None) -> str:
        """Store all components of a UID and return the new ETag.

        ``version`` is the one that was read, ``None`` means that there must be none yet; else ``Stale`` is raised. A
        new event goes into the file that the account names, in a folder into ``event.path`` or a file of its own.
        """
        return await asyncio.to_thread(self._put, event, version)

    async def delete(self, uid: str, version: str | None) -> None:
        """Remove all components of a UID; ``version=None`` removes whatever is there."""
        await asyncio.to_thread(self._delete, uid, version)

    # -- what runs in a thread ------------------------------------------------------------------------

    @property
    def _folder(self) -> Path:
        return self._root if self._root.is_dir() else self._root.parent

    def _load(self) -> Files:
        return ics_files.load(ics_files.scan(self._root))

    def _put(self, event: RawEvent, version: str | None) -> str:
        new = ics_edit.NewComponents(event)
        with speaking(f"{self.account}: {event.key}"), exclusive(self._folder):
            files = self._load()
            self._demand(files, event.key, version)
            if event.key in files.events:
                self._replace(files, event.key, new)
            else:
                self._add(event, new)
            return self._load().version(event.key)

    def _demand(self, files: Files, uid: str, version: str | None) -> None:
        if version is None:
            if uid in files.events:
                raise Stale(f"{uid} is in the calendar already.", "Read it, then decide again.")
        elif uid not in files.events:
            raise Stale(f"{uid} is no longer in the calendar.", "Read the calendar again.")
        else:
            require(files.version(uid), version, uid)

    def _replace(self, files: Files, uid: str, new: ics_edit.NewComponents) -> None:
        home = files.chosen(uid)[0].path
        path = self._path(home)
        data, _ = read_file(path)
        write_atomic(path, ics_edit.replaced(data, _of_file(files, uid, home), new))
        self._purge(files, uid, but=home)

    def _add(self, event: RawEvent, new: ics_edit.NewComponents) -> None:
        path = self._path(event.path or ics_edit.file_name(event.key))
        if path.exists():
            data, _ = read_file(path)
            write_atomic(path, ics_edit.added(data, new))
        else:
            write_atomic(path, ics_edit.created(new), new=True)

    def _delete(self, uid: str, version: str | None) -> None:
        with speaking(f"{self.account}: {uid}"), exclusive(self._folder):
            files = self._load()
            if uid not in files.events:
                raise NotFound(f"{self.account} has no event {uid!r}.", "It is gone already.")
            require(files.version(uid), version, uid)
            self._purge(files, uid)

    def _purge(self, files: Files, uid: str, but: str | None = None) -> None:
        """Take a UID out of all files but one; a file in the folder that is left empty goes too."""
        for name in sorted({c.path for c in files.events[uid]} - {but}):
            path = self._path(name)
            data = ics_edit.without(read_file(path)[0], _of_file(files, uid, name))
            if self._root.is_dir() and ics_edit.holds_nothing(data):
                remove(path)
            else:
                write_atomic(path, data)

    def _path(self, key: str) -> Path:
        """Return the file of a key, resolved: what a link leads to is written, the link stays."""
        return self._root if self._root.is_file() else inside(self._root, key).resolve()


def _of_file(files: Files, uid: str, path: str) -> list[Component]:
    return [component for component in files.events[uid] if component.path == path]


def _page(files: Files, uids: Sequence[str]) -> Page[RawEvent]:
    page: Page[RawEvent] = Page()
    for uid in uids:
        event, faults = ics_files.readable_part(files, uid)
        page.items.extend([event] if event else [])
        page.bad.extend(faults)
    return page
