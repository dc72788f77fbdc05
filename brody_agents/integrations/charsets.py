"""Bytes to text: whatever somebody declared, as well as it can be read, and always storable.

Nothing here raises: a wrong or unknown charset is common in mail, and half-read text is better than none.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache

# Python's text codecs that are no charsets of the wild: some are quadratic, some make surrogates out of ASCII.
_REFUSED = frozenset({"idna", "punycode", "raw-unicode-escape", "unicode-escape", "undefined", "mbcs", "oem"})
# As browsers read these labels (WHATWG Encoding, 4.2): the superset that senders really use.
_WIDER = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
}
# In these, ASCII bytes are not simply ASCII.
_SHIFTED = re.compile(r"utf-(?:7|16|32)|iso2022|hz")
_ASCII_CONTROLS = bytes({*range(32), 127} - set(b"\t\n"))
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\ud800-\udfff]")


@lru_cache(maxsize=256)
def codec(name: str) -> str:
    """Return Python's name for a declared charset, widened to what senders really use, or ``""`` if there is none."""
    try:
        found = codecs.lookup(name.strip().strip("\"'")).name
        "a".encode(found)  # refuses the codecs that are not for text
    except (LookupError, ValueError, UnicodeError):
        return ""
    return "" if found.replace("_", "-") in _REFUSED else _WIDER.get(found, found)


def decode(data: bytes, charset: str = "") -> str:
    """Decode bytes: the declared charset, else UTF-8, else Windows-1252 with what it lacks replaced."""
    name = codec(charset) if charset else _marked(data)
    if data.isascii() and not _SHIFTED.match(name):
        return data.decode("ascii")
    # UTF-8 by accident is next to impossible, a wrong label is not.
    for guess in ("utf-8", name) if name in ("", "cp1252") else (name, "utf-8"):
        try:
            return data.decode(guess or "cp1252")
        except UnicodeError:
            continue
    return _forced(data, name)


def _marked(data: bytes) -> str:
    if data.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return ""


def _forced(data: bytes, name: str) -> str:
    text = data.decode(name or "cp1252", "replace")
    if name != "utf-8":
        return text
    # Damaged UTF-8 keeps most of its letters; Windows-1252 under a wrong label keeps none.
    wrong = text.count("\ufffd")
    right = sum(char > "\x7f" for char in text) - wrong
    return text if right > wrong else data.decode("cp1252", "replace")


def clean(text: str) -> str:
    """Make text storable and harmless on a terminal.

    No lone surrogates, no byte order marks, no control characters but tab and newline.
    """
    if text.isprintable():
        return text  # the usual header: nothing that would go is printable
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isascii():  # as bytes, which takes a fifth of the time
        data = text.encode()
        kept = data.translate(None, _ASCII_CONTROLS)
        return text if len(kept) == len(data) else kept.decode()
    return _CONTROLS.sub(_replacement, text)


def _replacement(match: re.Match[str]) -> str:
    return "\ufffd" if "\ud800" <= match[0] <= "\udfff" else ""
