"""iCalendar files as bytes: cut at their BEGIN and END lines, so that one broken event does not cost the others.

Nothing is interpreted here but the structure (RFC 5545, 3.4) and folded lines (3.1); offsets are into the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from brody_agents.integrations.charsets import decode

BOM = b"\xef\xbb\xbf"
COMPONENTS = frozenset({"VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY", "VTIMEZONE", "VAVAILABILITY"})
"""What stands directly in a VCALENDAR; none of them may stand in another."""

_LINE = re.compile(rb"[^\n]*\n|[^\n]+\Z")
_MARK = re.compile(rb"(BEGIN|END)[ \t]*:[ \t]*([A-Za-z0-9-]+)[ \t\r\n]*\Z", re.IGNORECASE)
_FOLD = re.compile(rb"\r?\n[ \t]")
_PARAMETER = re.compile(r';([A-Za-z0-9-]+)=("[^"]*"|[^";:,]*)')
_TZID = re.compile(rb";TZID=(\"[^\"\r\n]*\"|[^\";:,\r\n]*)", re.IGNORECASE)


@dataclass(slots=True)
class Block:
    """One component of a VCALENDAR: ``data[start:end]``; not ``closed`` if its END is missing."""

    kind: str
    start: int
    end: int = 0
    closed: bool = False


@dataclass(slots=True)
class Sheet:
    """One VCALENDAR: its own property lines, its components, and where another one can be put in (``end``).

    It is ``closed`` if its END is there, ``torn`` if one of its components ends that has never begun.
    """

    start: int
    end: int = 0
    closed: bool = False
    torn: bool = False
    head: list[bytes] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)

    def property(self, name: str) -> str:
        """Return the value of one of the VCALENDAR's own properties, else an empty text."""
        return next((line.value for line in content_lines(b"".join(self.head)) if line.name == name), "")


@dataclass(frozen=True, slots=True)
class ContentLine:
    """One unfolded property line."""

    name: str
    parameters: dict[str, str]
    value: str


def cut(data: bytes) -> list[Sheet]:
    """Return the VCALENDARs of a file; components outside of any form one of their own."""
    cutter = _Cutter()
    first = len(BOM) if data.startswith(BOM) else 0
    for line in _LINE.finditer(data, first):
        cutter.take(line.group(), line.start(), line.end())
    cutter.close_sheet(len(data), closed=False)
    return cutter.sheets


class _Cutter:
    """The state while a file is cut."""

    def __init__(self) -> None:
        self.sheets: list[Sheet] = []
        self._sheet: Sheet | None = None
        self._block: Block | None = None

    def take(self, line: bytes, start: int, end: int) -> None:
        mark = _MARK.match(line)
        if mark is None:
            if self._sheet and not self._block:
                self._sheet.head.append(line)
            return
        kind = mark.group(2).decode().upper()
        if mark.group(1).upper() == b"BEGIN":
            self._begin(kind, start)
        else:
            self._end(kind, start, end)

    def _begin(self, kind: str, start: int) -> None:
        if kind == "VCALENDAR":
            self.close_sheet(start, closed=False)
            self._open_sheet(start)
        elif kind in COMPONENTS or self._block is None:
            self._close_block(start, closed=False)
            sheet = self._sheet or self._open_sheet(start)
            self._block = Block(kind, start)
            sheet.blocks.append(self._block)

    def _end(self, kind: str, start: int, end: int) -> None:
        if kind == "VCALENDAR":
            self.close_sheet(start, closed=True)
        elif self._block and self._block.kind == kind:
            self._close_block(end, closed=True)
        elif self.sheets and kind in COMPONENTS:
            self.sheets[-1].torn = True

    def _open_sheet(self, start: int) -> Sheet:
        self._sheet = Sheet(start)
        self.sheets.append(self._sheet)
        return self._sheet

    def close_sheet(self, end: int, *, closed: bool) -> None:
        self._close_block(end, closed=False)
        if self._sheet:
            self._sheet.end, self._sheet.closed, self._sheet = end, closed, None

    def _close_block(self, end: int, *, closed: bool) -> None:
        if self._block:
            self._block.end, self._block.closed, self._block = end, closed, None


def unfold(data: bytes) -> bytes:
    """Join folded lines; on bytes, because some writers fold inside a character."""
    return _FOLD.sub(b"", data)


def text(data: bytes) -> str:
    """Return bytes as text: UTF-8, where need be after unfolding, else whatever they can be read as."""
    for candidate in (data, unfold(data)):
        try:
            return candidate.decode()
        except UnicodeDecodeError:
            continue
    return decode(data)


def content_lines(block: bytes) -> Iterator[ContentLine]:
    """Yield the property lines of a component, without those of the components inside it."""
    depth = 0
    for raw in re.split(r"\r?\n", text(unfold(block))):
        name = raw[:6].upper()
        if name == "BEGIN:":
            depth += 1
        elif name.startswith("END:"):
            depth -= 1
        elif depth <= 1 and (line := _content_line(raw)):
            yield line


def _content_line(raw: str) -> ContentLine | None:
    name = re.match(r"[A-Za-z0-9-]+", raw)
    if name is None:
        return None
    position, parameters = name.end(), {}
    while parameter := _PARAMETER.match(raw, position):
        parameters[parameter.group(1).upper()] = parameter.group(2).strip('"')
        position = parameter.end()
    colon = raw.find(":", position)
    value = raw[colon + 1 :].replace("\0", "").strip()  # RFC 5545 has no NUL, and some databases store none
    return ContentLine(name.group().upper(), parameters, value) if colon >= 0 else None


def time_zones(block: bytes) -> set[str]:
    """Return the TZIDs that a component refers to."""
    return {name.strip(b'"').decode("utf-8", "replace") for name in _TZID.findall(unfold(block))}
