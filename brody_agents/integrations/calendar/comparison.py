"""Whether a change of an event can be seen in what a calendar holds now, however its server writes it down."""

from __future__ import annotations

import re
from typing import Literal

from brody_agents.integrations.calendar import ics_text
from brody_agents.integrations.calendar.lines import read_line
from brody_agents.integrations.calendar.vevent import read

Seen = Literal["all", "nothing", "partly"]
Facts = frozenset[tuple[str, ...]]

_VOLATILE = frozenset({"DTSTAMP", "LAST-MODIFIED", "CREATED", "SEQUENCE", "RECURRENCE-ID"})
"""What servers set anew, and what names the component anyhow."""
_LOGICAL = re.compile(r"\r?\n(?![ \t])")


def seen(before: str, after: str, now: str) -> Seen:
    """Say what of the change from ``before`` to ``after`` stands in ``now``; lines that others added do no harm."""
    old, new, there = facts(before), facts(after), facts(now)
    added, removed = new - old, old - new
    if added <= there and not removed & there:
        return "all"
    return "nothing" if removed <= there and not added & there else "partly"


def same(one: str, other: str) -> bool:
    """Say whether two texts of an event say the same, whatever the order and the folds of their lines."""
    return facts(one) == facts(other)


def facts(data: str) -> Facts:
    """Return what each component says, a tuple a line; each begins with the RECURRENCE-ID of its component."""
    raw = data.encode("utf-8", "surrogatepass")
    blocks = [b for sheet in ics_text.cut(raw) for b in sheet.blocks if b.kind == "VEVENT"]
    found: set[tuple[str, ...]] = set()
    for form, block in zip(read(data)[0], blocks, strict=True):
        of = form.recurrence.name if form.recurrence else ""
        text = raw[block.start : block.end].decode("utf-8", "surrogatepass")
        found.update((of, *said) for line in _LOGICAL.split(text) if (said := _said(line)))
    return frozenset(found)


def _said(raw: str) -> tuple[str, ...]:
    line = read_line(raw)
    if line is None or line.name in _VOLATILE:
        return ()
    return (line.name, line.value, *(f"{name}={value}" for name, value in sorted(line.parameters.items())))
