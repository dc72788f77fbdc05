"""Canonical JSON and its SHA-256: what means the same has the same digest, every change gives another.

The form follows RFC 8785 (JSON Canonicalization Scheme): no white space, members sorted by the UTF-16 code units of
their names, only the escapes that JSON asks for, UTF-8. It differs in two points. Whole numbers keep all their digits
(RFC 8785 rounds beyond 2**53), and floats that are not whole are written as Python writes them. An instant is written
in UTC, so that the same moment in two zones is the same.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


def canonical(value: Any) -> bytes:
    """Return the canonical JSON of a value; raise ``ValueError`` for NaN and infinities, ``TypeError`` for no JSON."""
    text = json.dumps(_ordered(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "surrogatepass")


def digest(value: Any) -> str:
    """Return the SHA-256 (hex) of a value's canonical JSON."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _ordered(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _ordered(value[name]) for name in sorted(value, key=_code_units)}
    if isinstance(value, list | tuple):
        return [_ordered(item) for item in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    return value


def _code_units(name: str) -> bytes:
    return name.encode("utf-16-be", "surrogatepass")
