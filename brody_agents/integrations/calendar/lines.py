"""The lines of a VEVENT as they stand: one property is set, added or taken out, and no other line changes.

Lines keep their folds (RFC 5545, 3.1), their parameters and their order, so that what we do not know, such as another
program's own properties, comes through untouched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

from brody_agents.integrations.calendar import ics_text
from brody_agents.integrations.calendar.ics_text import ContentLine

_LOGICAL = re.compile(r".*?(?:\r?\n(?![ \t])|\Z)", re.DOTALL)
_PARAMETER = re.compile(r';([A-Za-z0-9-]+)=((?:"[^"]*"|[^";:,]*)(?:,(?:"[^"]*"|[^";:,]*))*)')
_UNSAFE = re.compile(r'[\x00-\x1f\x7f"]')


class Lines:
    """The lines of one component; those of the components in it, such as alarms, are kept and never looked at."""

    def __init__(self, block: str) -> None:
        self._newline = "\r\n" if "\r\n" in block else "\n"
        self._lines = [line for line in _LOGICAL.findall(block) if line]

    def copy(self) -> Lines:
        """Return lines of its own."""
        return Lines(self.text())

    def text(self) -> str:
        """Return the component."""
        return "".join(self._lines)

    def all(self, name: str) -> list[ContentLine]:
        """Return the lines of a property."""
        return [line for _, line in self._own() if line.name == name]

    def first(self, name: str) -> ContentLine | None:
        """Return the first line of a property."""
        return next(iter(self.all(name)), None)

    def number(self, name: str) -> int:
        """Return a number, else 0."""
        line = self.first(name)
        found = re.match(r"\d{1,9}", line.value) if line else None
        return int(found.group()) if found else 0

    def put(self, line: str) -> None:
        """Set a property: its line takes the place of the one that was there, further ones go."""
        name = line.partition(":")[0].partition(";")[0]
        places = [place for place, old in self._own() if old.name == name]
        if places:
            self._lines[places[0]] = self._folded(line)
            self._remove(places[1:])
        else:
            self._lines.insert(self._end(), self._folded(line))

    def add(self, line: str) -> None:
        """Add a line behind those of the same property."""
        name = line.partition(":")[0].partition(";")[0]
        places = [place for place, old in self._own() if old.name == name]
        self._lines.insert(places[-1] + 1 if places else self._end(), self._folded(line))

    def drop(self, *names: str) -> None:
        """Take properties out."""
        self._remove([place for place, line in self._own() if line.name in names])

    def rewrite(self, names: tuple[str, ...], change: Callable[[ContentLine, str], str]) -> None:
        """Have ``change`` give each line of some properties anew, from what it says and its unfolded text."""
        for place, line in list(self._own()):
            if line.name in names:
                old = _unfolded(self._lines[place])
                if (new := change(line, old)) != old:
                    self._lines[place] = self._folded(new)

    def _own(self) -> Iterator[tuple[int, ContentLine]]:
        depth = 0
        for place, raw in enumerate(self._lines):
            mark = raw[:6].upper()
            depth += (mark == "BEGIN:") - mark.startswith("END:")
            if depth == 1 and (line := read_line(raw)):
                yield place, line

    def _end(self) -> int:
        """Return where a new property goes: before the first component inside, else before the end."""
        marks = (place for place, raw in enumerate(self._lines) if place and re.match(r"(BEGIN|END):", raw, re.I))
        return next(marks, len(self._lines))

    def _remove(self, places: list[int]) -> None:
        for place in reversed(places):
            del self._lines[place]

    def _folded(self, line: str) -> str:
        from icalendar.parser import Contentline

        folded: bytes = Contentline(line).to_ical()  # type: ignore[no-untyped-call]
        return folded.decode().replace("\r\n", self._newline) + self._newline


def read_line(raw: str) -> ContentLine | None:
    """Return what a property line says; ``None`` for BEGIN, END and what is no line."""
    return next(ics_text.content_lines(raw.encode("utf-8", "surrogatepass")), None)


def property_line(name: str, value: str, parameters: Mapping[str, str] | None = None) -> str:
    """Return a line, unfolded; ``value`` as it stands in a file, parameters quoted where they must be."""
    head = "".join(f";{key}={_quoted(of)}" for key, of in (parameters or {}).items())
    return f"{name}{head}:{value}"


def text_line(name: str, text: str) -> str:
    """Return a line with a TEXT value (RFC 5545, 3.3.11)."""
    from icalendar.prop import vText

    escaped: bytes = vText(re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", text.replace("\r\n", "\n"))).to_ical()
    return f"{name}:{escaped.decode()}"


def utc_line(name: str, moment: datetime) -> str:
    """Return a line with an instant."""
    return f"{name}:{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def with_parameter(line: str, name: str, value: str) -> str:
    """Return an unfolded line with one parameter set; the others stay as they are."""
    position = len(line.partition(":")[0].partition(";")[0])
    end = position
    while found := _PARAMETER.match(line, end):
        if found.group(1).upper() == name:
            return f"{line[: found.start(2)]}{value}{line[found.end(2) :]}"
        end = found.end()
    return f"{line[:position]};{name}={value}{line[position:]}"


def _unfolded(raw: str) -> str:
    return re.sub(r"\r?\n[ \t]", "", raw).rstrip("\r\n")


def _quoted(value: str) -> str:
    safe = _UNSAFE.sub("", value)
    return f'"{safe}"' if re.search(r"[;:,]", safe) else safe
