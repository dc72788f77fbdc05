"""What local mailboxes share: what folder names mean, how IMAP servers write them, the largest message."""

from __future__ import annotations

import base64
import re

_ROLES = {
    "sent": ("sent", "sent items", "sent messages", "sent mail", "gesendet", "gesendete elemente", "envoyés",
             "éléments envoyés"),
    "draft": ("draft", "drafts", "entwürfe", "brouillons"),
    "spam": ("spam", "junk", "junk mail", "junk e-mail", "junk email", "bulk mail", "courrier indésirable"),
    "trash": ("trash", "deleted", "deleted items", "deleted messages", "papierkorb", "gelöschte elemente", "corbeille",
              "éléments supprimés"),
}  # fmt: skip
_FLAG_OF = {name: flag for flag, names in _ROLES.items() for name in names}

LARGEST = 50_000_000
"""Bytes; a larger message is not read."""


def folder_flags(folder: str) -> frozenset[str]:
    """Return the flags that a folder gives its mail: any part of its path may be a usual name, in any case."""
    parts = folder.lower().split("/")
    return frozenset(_FLAG_OF[part] for part in parts if part in _FLAG_OF)


def from_imap(name: str) -> str:
    """Decode a folder's name on disk: modified UTF-7 (RFC 3501, 5.1.3), ``.`` between its levels."""
    return re.sub(r"&([A-Za-z0-9+,]*)-", _decoded, name.strip(".").replace(".", "/"))


def _decoded(match: re.Match[str]) -> str:
    if not match[1]:
        return "&"
    try:
        text = f"+{match[1].replace(',', '/')}-".encode("ascii").decode("utf-7")
        text.encode("utf-8")
    except UnicodeError:
        return match[0]
    return text


def to_imap(name: str) -> str:
    """Encode a folder's name for the disk, the reverse of :func:`from_imap`."""
    escaped = name.replace("&", "&-").replace("/", ".")
    return re.sub(r"[^\x20-\x7e]+", _encoded, escaped)


def _encoded(match: re.Match[str]) -> str:
    coded = base64.b64encode(match[0].encode("utf-16-be"))
    return "&" + coded.decode("ascii").rstrip("=").replace("/", ",") + "-"
