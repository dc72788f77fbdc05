"""Edit .ics files as bytes: only the components of one UID change, every other byte stays where it is."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

from brody_agents.errors import ItemUnreadable, ProviderError
from brody_agents.integrations.calendar import ics_text
from brody_agents.integrations.calendar.base import RawEvent
from brody_agents.integrations.calendar.ics_files import Component
from brody_agents.integrations.calendar.vevent import read

_EMPTY = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Brody Agents//EN\r\nEND:VCALENDAR\r\n"


class NewComponents:
    """The components of an event that is to be written: its VEVENTs and the VTIMEZONEs by TZID."""

    def __init__(self, event: RawEvent) -> None:
        data = event.data.encode("utf-8", "surrogatepass")
        read(event.data)  # raises ItemUnreadable: what cannot be read back is not written
        blocks = [(b.kind, data[b.start : b.end]) for sheet in ics_text.cut(data) for b in sheet.blocks if b.closed]
        self.events = [block for kind, block in blocks if kind == "VEVENT"]
        self.zones = {_value(block, "TZID"): block for kind, block in blocks if kind == "VTIMEZONE"}
        if {_value(block, "UID") for block in self.events} != {event.key}:
            raise ItemUnreadable(f"The components do not all have the UID {event.key!r}.", "Give them that one.")

    def text(self, newline: bytes, known_zones: Iterable[str] = ()) -> bytes:
        """Return them with these line ends, without the zones that are there already."""
        used = {name for block in self.events for name in ics_text.time_zones(block)} - set(known_zones)
        zones = [self.zones[name] for name in sorted(used) if name in self.zones]
        return b"".join(_with_ends(block, newline) for block in (*zones, *self.events))


def _with_ends(block: bytes, newline: bytes) -> bytes:
    return newline.join(re.split(rb"\r?\n", block.rstrip(b"\r\n"))) + newline


def _value(block: bytes, name: str) -> str:
    return next((line.value for line in ics_text.content_lines(block) if line.name == name), "")


def replaced(data: bytes, old: Sequence[Component], new: NewComponents) -> bytes:
    """Return a file with the components ``old`` of one UID replaced by ``new``, at the place of the first."""
    first = min(old, key=lambda c: c.start)
    sheet = ics_text.cut(data)[first.sheet]
    put = new.text(newline_of(data), _known_zones(data, sheet))
    return _edited(data, [(c.start, c.end, put if c is first else b"") for c in old])


def added(data: bytes, new: NewComponents) -> bytes:
    """Return a file with ``new`` at the end of its first VCALENDAR."""
    sheet = next((sheet for sheet in ics_text.cut(data) if sheet.closed), None)
    if sheet is None:
        raise ProviderError("The file holds no whole calendar.", "Mend the file, or name another one.")
    return _edited(data, [(sheet.end, sheet.end, new.text(newline_of(data), _known_zones(data, sheet)))])


def without(data: bytes, old: Sequence[Component]) -> bytes:
    """Return a file without the components ``old``."""
    return _edited(data, [(c.start, c.end, b"") for c in old])


def created(new: NewComponents) -> bytes:
    """Return a new file that holds ``new`` only."""
    return added(_EMPTY, new)


def holds_nothing(data: bytes) -> bool:
    """Say whether a file has no component left but time zones."""
    return all(block.kind == "VTIMEZONE" for sheet in ics_text.cut(data) for block in sheet.blocks)


def file_name(uid: str) -> str:
    """Return a file name for a UID, the UID itself where it is one."""
    safe = re.sub(r"[^A-Za-z0-9@._-]", "_", uid)[:100].lstrip(".")
    if safe != uid:
        safe += "-" + hashlib.sha256(uid.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{safe}.ics"


def newline_of(data: bytes) -> bytes:
    """Return the line end that a file uses."""
    return b"\r\n" if b"\r\n" in data else b"\n"


def _known_zones(data: bytes, sheet: ics_text.Sheet) -> list[str]:
    return [_value(data[b.start : b.end], "TZID") for b in sheet.blocks if b.kind == "VTIMEZONE"]


def _edited(data: bytes, edits: Iterable[tuple[int, int, bytes]]) -> bytes:
    for start, end, put in sorted(edits, reverse=True):
        data = data[:start] + put + data[end:]
    return data
