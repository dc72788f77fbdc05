"""Find what is to be done in documents: TODO lines, open check boxes, lists of action items."""

from __future__ import annotations

import re
from collections.abc import Iterator

_TODO = re.compile(r"^\W{0,6}(?:TODO|FIXME|TO-DO|ToDo|To do)(?:\s*\([^)\n]{0,40}\))?\s*:\s*(?P<text>\S.*)$")
_BOX = re.compile(r"^\s{0,12}(?:[-*+]|\d{1,3}[.)])\s+\[ \]\s+(?P<text>\S.*)$")
_HEADING = re.compile(
    r"^\s{0,3}(?:#{1,6}\s*)?[*_]{0,2}(?:action\s+(?:items?|points?)|next\s+steps|to-?\s?dos?|aufgaben|nächste\s+schritte)"
    r"[*_]{0,2}\s*:?\s*[*_]{0,2}\s*$",
    re.IGNORECASE,
)
_ITEM = re.compile(r"^\s{0,12}(?:[-*+•–]|\d{1,3}[.)])\s+(?P<text>\S.*)$")
_OWNER = re.compile(r"^\W{0,3}(?:@(?P<at>\w+)\W{1,3}|(?P<name>\w+(?: \w+)?)\s*(?::|\s[–-]\s))\s*(?P<text>\S.*)$")
_DONE = re.compile(r"^\s*(?:[-*+]|\d{1,3}[.)])\s+\[[xX]\]|^\W*~~.*~~\W*$|\bDONE\b|✓|✔|☑")
_BOXED = re.compile(r"^\[ \]\s+")

MOST = 10
"""More open lines than this in one document are its own list, not the user's."""
_LONGEST = 200_000
_LETTERS = 3


def open_lines(text: str) -> list[str]:
    """Return what the lines of a document ask for, in their order, each once, at most :data:`MOST`."""
    found: dict[str, str] = {}
    for line in _marked(text[:_LONGEST].splitlines()):
        words = " ".join(line.split())
        if sum(map(str.isalpha, words)) >= _LETTERS:
            found.setdefault(words.casefold(), words)
        if len(found) == MOST:
            break
    return list(found.values())


def owner_of(line: str) -> tuple[str, str]:
    """Return the name that a line puts before what is to be done, and the rest: "Mia: book", "@Mia book"."""
    match = _OWNER.match(line)
    return (match["name"] or match["at"], match["text"]) if match else ("", line)


def _marked(lines: list[str]) -> Iterator[str]:
    """Yield the text of every line that is marked as to be done, by itself or by the heading above it."""
    listed = False
    for line in lines:
        if _HEADING.match(line):
            listed = True
            continue
        item = _ITEM.match(line)
        listed = listed and (item is not None or not line.strip())
        if _DONE.search(line):
            continue
        marked = _TODO.match(line) or _BOX.match(line) or (item if listed else None)
        if marked:
            yield _BOXED.sub("", marked["text"])
