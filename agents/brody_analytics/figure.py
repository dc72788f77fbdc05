"""One figure: a value with its unit and a definition that a person understands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Figure = dict[str, Any]


def figure(value: float | None, unit: str, definition: str) -> Figure:
    """Return a figure; ``None`` is a value that cannot be known, and the definition says why."""
    rounded = round(value, 2) if isinstance(value, float) else value
    return {"value": rounded, "unit": unit, "definition": definition}


def count(ids: Iterable[str], unit: str, definition: str) -> Figure:
    """Return the figure of how many items there are; ``ids`` names them, in their order."""
    listed = list(ids)
    return {**figure(len(listed), unit, definition), "ids": listed}
