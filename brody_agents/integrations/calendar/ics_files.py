"""The events of .ics files: read without parsing, grouped by UID, the newest of several copies first.

A file that is cut off or cannot be read hides events that are not gone; so the version of an event says which file it
is from, and nothing is called removed that may lie in a file like that.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from brody_agents.errors import ItemUnreadable
from brody_agents.integrations.base import BadItem
from brody_agents.integrations.calendar import ics_text
from brody_agents.integrations.calendar.base import RawEvent
from brody_agents.integrations.calendar.expansion import StoredEvent, check
from brody_agents.integrations.listing import UNREAD, Entry, Listing, list_file, scan_tree
from brody_agents.integrations.local import file_etag, read_file, reason

SUFFIXES = (".ics", ".ical", ".icalendar")
LARGEST = 200_000_000
_DTSTAMP = re.compile(rb"^DTSTAMP[:;].*\r?\n", re.IGNORECASE | re.MULTILINE)
_HEAD = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Brody Agents//EN\r\n"


@dataclass(frozen=True, slots=True)
class Component:
    """One VEVENT of a file: ``start`` and ``end`` are offsets into it, ``sheet`` is the number of its VCALENDAR."""

    uid: str
    recurrence: str
    rank: tuple[int, str]
    """SEQUENCE, then LAST-MODIFIED or DTSTAMP."""
    path: str
    sheet: int
    start: int
    end: int
    data: bytes
    zones: tuple[bytes, ...]
    calendar: str


@dataclass(slots=True)
class Files:
    """All that the files of an account hold; ``hidden`` are the files that may hold more than can be seen."""

    listing: Listing
    events: dict[str, list[Component]] = field(default_factory=dict)
    bad: list[BadItem] = field(default_factory=list)
    hidden: set[str] = field(default_factory=set)

    def chosen(self, uid: str) -> list[Component]:
        """Return the components of a UID that count: one file's master, the newest of each exception."""
        components = self.events[uid]
        masters = [c for c in components if not c.recurrence]
        best = max(masters, key=lambda c: c.rank, default=None)
        with_master = {(c.path, c.sheet) for c in masters}
        kept: dict[str, Component] = {}
        for c in components:
            # An exception counts with its own master; alone in a file it is an update that came by itself.
            if best and (c.path, c.sheet) != (best.path, best.sheet) and (c.path, c.sheet) in with_master:
                continue
            if c.recurrence not in kept or c.rank > kept[c.recurrence].rank:
                kept[c.recurrence] = c
        return sorted(kept.values(), key=lambda c: (c is not best, c.path, c.start))

    def version(self, uid: str) -> str:
        """Return the ETag: what the components are, and which file they are from.

        DTSTAMP is left out, because an export sets it anew on every event.
        """
        chosen = self.chosen(uid)
        digest = hashlib.sha256(chosen[0].calendar.encode("utf-8", "surrogatepass"))
        for component in chosen:
            digest.update(_DTSTAMP.sub(b"", component.data))
            digest.update(b"".join(component.zones))
        return f"{digest.hexdigest()[:32]}-{_mark(chosen[0].path)}"

    def raw(self, uid: str) -> RawEvent:
        """Return an event; raise ``ItemUnreadable``."""
        chosen = self.chosen(uid)
        data = ics_text.text(assembled(chosen))
        check(StoredEvent("", uid, "", data))
        return RawEvent(uid, self.version(uid), data, chosen[0].calendar, chosen[0].path)

    @property
    def total(self) -> int:
        """Return the number of events and of what cannot be read."""
        return len(self.events) + len(self.bad)

    def cursor(self) -> str:
        """Return a text that changes whenever a file does; empty if something may be readable next time."""
        retry = any(bad.version.startswith(UNREAD) for bad in self.bad)
        return "" if retry else f"{self.total}/{self.listing.digest()}"

    def gone(self, known: Mapping[str, str]) -> list[str]:
        """Return the known keys that are certainly gone."""
        present = {*self.events, *(bad.key for bad in self.bad)}
        hidden = {_mark(path) for path in self.hidden}
        seen = {_mark(entry.key) for entry in self.listing.entries}
        gone = ((key, version.rpartition("-")[2]) for key, version in known.items() if key not in present)
        blind = bool(self.listing.blind)
        return sorted(key for key, mark in gone if mark not in hidden and (not blind or mark in seen))


def assembled(components: Iterable[Component]) -> bytes:
    """Return a VCALENDAR with these components and the time zones that they use."""
    parts = list(components)
    zones = dict.fromkeys(zone for part in parts for zone in part.zones)
    blocks = [block.rstrip(b"\r\n") + b"\r\n" for block in (*zones, *(part.data for part in parts))]
    return b"".join([_HEAD, *blocks, b"END:VCALENDAR\r\n"])


def readable_part(files: Files, uid: str) -> tuple[RawEvent | None, list[BadItem]]:
    """Return an event without those of its components that cannot be read, and these."""
    try:
        return files.raw(uid), []
    except ItemUnreadable as error:
        chosen = files.chosen(uid)
        if len(chosen) == 1:
            return None, [BadItem(uid, files.version(uid), str(error), chosen[0].data)]
    good, bad = [], []
    for component in chosen:
        try:
            check(StoredEvent("", uid, "", ics_text.text(assembled([component]))))
            good.append(component)
        except ItemUnreadable as error:
            bad.append(_bad(f"{uid}#{component.recurrence}" if component.recurrence else uid, component, str(error)))
    if not good:
        return None, bad[:1]
    data, first = ics_text.text(assembled(good)), good[0]
    return RawEvent(uid, files.version(uid), data, first.calendar, first.path), bad


def _bad(key: str, component: Component, why: str) -> BadItem:
    return BadItem(key, f"{_digest(component.data)}-{_mark(component.path)}", why, component.data)


# -- reading -------------------------------------------------------------------------------------------


def scan(root: Path) -> Listing:
    """List the .ics files of an account: the file that it names, or all in the folder."""
    if not os.path.isdir(root):  # unlike Path.is_dir it is False, no error, where nobody may look
        return list_file(root, file_etag, LARGEST)
    listing = scan_tree(root, file_etag, LARGEST)
    listing.entries = [e for e in listing.entries if e.key.lower().endswith(SUFFIXES) or e.key.endswith("/")]
    return listing


def load(listing: Listing) -> Files:
    """Read the files of a listing."""
    files = Files(listing)
    for entry in sorted(listing.entries, key=lambda e: e.key):
        _load_file(files, entry)
    return files


def _load_file(files: Files, entry: Entry) -> None:
    if entry.problem:
        _hide(files, entry.key, entry.version, entry.problem)
        return
    try:
        data, _ = read_file(Path(entry.path))
    except OSError as error:
        _hide(files, entry.key, UNREAD + entry.version, f"It cannot be read: {reason(error)}.")
        return
    sheets = ics_text.cut(data)
    if not sheets:
        _hide(files, entry.key, f"{_digest(data)}-{_mark(entry.key)}", "There is no calendar in it.", data)
    for number, sheet in enumerate(sheets):
        _load_sheet(files, entry.key, data, number, sheet)
        if sheet.torn or any(not block.closed and block.kind != "VEVENT" for block in sheet.blocks):
            version = f"{_digest(data)}-{_mark(entry.key)}"
            files.bad.append(BadItem(f"{entry.key}#{number}", version, "A BEGIN or an END is missing."))
            files.hidden.add(entry.key)
    if not all(sheet.closed for sheet in sheets):
        files.hidden.add(entry.key)


def _hide(files: Files, key: str, version: str, why: str, data: bytes = b"") -> None:
    files.bad.append(BadItem(key, version, why, data))
    files.hidden.add(key)


def _load_sheet(files: Files, path: str, data: bytes, number: int, sheet: ics_text.Sheet) -> None:
    zones = dict(_zones(data, sheet))
    calendar = sheet.property("X-WR-CALNAME") or Path(path).stem
    for block in sheet.blocks:
        if block.kind != "VEVENT":
            continue
        component = _component(path, data, number, block, zones, calendar)
        if block.closed:
            files.events.setdefault(component.uid, []).append(component)
        else:
            files.bad.append(_bad(f"{path}#{_digest(component.data)[:8]}", component, "The event has no END:VEVENT."))
            files.hidden.add(path)


def _zones(data: bytes, sheet: ics_text.Sheet) -> Iterator[tuple[str, bytes]]:
    for block in sheet.blocks:
        if block.kind == "VTIMEZONE" and block.closed:
            definition = data[block.start : block.end]
            yield (
                next((line.value for line in ics_text.content_lines(definition) if line.name == "TZID"), ""),
                definition,
            )


def _component(
    path: str, data: bytes, number: int, block: ics_text.Block, zones: Mapping[str, bytes], calendar: str
) -> Component:
    content = data[block.start : block.end]
    lines = {line.name: line for line in ics_text.content_lines(content)}
    sequence = re.match(r"\d{1,9}", lines["SEQUENCE"].value) if "SEQUENCE" in lines else None
    stamps = [lines[name].value for name in ("LAST-MODIFIED", "DTSTAMP") if name in lines]
    recurrence = lines.get("RECURRENCE-ID")
    uid = lines["UID"].value if "UID" in lines else ""
    return Component(
        uid=uid or f"nouid-{_digest(content)}",
        recurrence=f"{recurrence.parameters.get('TZID', '')}:{recurrence.value}" if recurrence else "",
        rank=(int(sequence.group()) if sequence else 0, max(stamps, default="")),
        path=path,
        sheet=number,
        start=block.start,
        end=block.end,
        data=content,
        zones=tuple(zones[name] for name in sorted(ics_text.time_zones(content)) if name in zones),
        calendar=calendar,
    )


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def _mark(path: str) -> str:
    return hashlib.sha256(path.encode("utf-8", "surrogatepass")).hexdigest()[:8]
