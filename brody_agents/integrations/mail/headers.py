"""Headers of mail: encoded words, addresses, dates and message ids, read as well as possible.

The parsers of the standard library's default policy are exact, slow, and give up on a whole list of addresses for one
mistake; which mistakes differs between releases. These read what is there, in linear time, and never raise.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from email.message import Message
from email.utils import parsedate_tz

from brody_agents.integrations.charsets import clean, decode
from brody_agents.integrations.mail.base import Address

LONGEST = 100_000
"""Characters of a header that are looked at."""
MOST_ADDRESSES = 1000
MOST_REFERENCES = 100

_WORD = re.compile(r"=\?([^?\s*]{1,40})(?:\*[^?\s]{0,40})?\?([bBqQ])\?([^?]*)\?=")
_SPACE = re.compile(r"\s+")
_ID = re.compile(r"<\s*([^<>\s]+)\s*>")
# One address with its commas kept together: quoted text, a comment, an address in angle brackets, or anything.
# The lengths keep it linear where quotes are never closed.
_ONE = re.compile(r'(?:"(?:[^"\\]|\\.){0,300}"|\((?:[^()\\]|\\.){0,300}\)|<[^<>]{0,1000}>|[^,;"(<]|["(<])+')
_ANGLE = re.compile(r"<([^<>]{0,1000})>")
_COMMENT = re.compile(r"\(((?:[^()\\]|\\.){0,300})\)")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.){0,300})"?')
_YEAR_0 = re.compile(r"(?<![+\-\d])0\d{3}(?!\d)")  # the library takes the year 0001 for 2001
_GROUP = re.compile(r'^[^"<@(]*:(?!\S*@\S*:)')


class Headers:
    """The headers of a message by lower-case name, each as it was written."""

    def __init__(self, message: Message) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in message.raw_items():
            self._values.setdefault(name.lower(), []).append(str(value)[:LONGEST])

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def raw(self, name: str) -> list[str]:
        """Return all values of a header, unfolded but not decoded."""
        return [" ".join(unescaped(value).split()) for value in self._values.get(name, ())]

    def text(self, name: str, longest: int = LONGEST) -> str:
        """Return the first value of a header as people read it, at most ``longest`` characters."""
        values = self._values.get(name)
        return readable(values[0])[:longest] if values else ""

    def texts(self, name: str, longest: int) -> str:
        """Return all values of a header, joined by newlines."""
        return "\n".join(readable(value) for value in self._values.get(name, ()))[:longest]

    def addresses(self, name: str) -> tuple[Address, ...]:
        """Return the addresses of all headers of this name, in order, each once."""
        found = (address for value in self._values.get(name, ()) for address in addresses(unescaped(value)))
        return tuple(dict.fromkeys(found))[:MOST_ADDRESSES]

    def date(self) -> datetime | None:
        """Return the Date header, else the newest Received header that can be read, else ``None``."""
        written = parse_date(self.text("date", 200))
        received = next(self._received(), None)
        if written and received and written - received > timedelta(days=2):
            return received  # nothing arrives before it was written: the sender's clock, or a wish to be on top
        return written or received

    def _received(self) -> Iterator[datetime]:
        for value in self._values.get("received", ())[:20]:
            if date := parse_date(value[-200:].rpartition(";")[2]):
                yield date


def unescaped(value: str) -> str:
    """Decode the raw bytes beyond ASCII that the parser keeps as surrogates."""
    return value if value.isascii() else decode(value.encode("utf-8", "surrogateescape"))


def readable(value: str) -> str:
    """Return a header's value in one line, with raw bytes and encoded words (RFC 2047) decoded."""
    return " ".join(clean(encoded_words(unescaped(value))).split())


def encoded_words(text: str) -> str:
    """Decode encoded words; what is broken stays as it is written.

    Neighbours of one charset are joined before they are decoded, since many senders cut inside a character.
    """
    if "=?" not in text:
        return text
    out: list[str] = []
    open_charset, open_bytes, end = "", b"", 0
    for match in _WORD.finditer(text):
        charset, data = match[1].lower(), _word_bytes(match[2], match[3])
        if data is None:
            continue
        between = text[end : match.start()]
        if open_charset == charset and not between.strip():
            open_bytes += data
        else:
            out.append(decode(open_bytes, open_charset))
            out.append("" if open_charset and not between.strip() else between)
            open_charset, open_bytes = charset, data
        end = match.end()
    return "".join(out) + decode(open_bytes, open_charset) + text[end:]


def _word_bytes(encoding: str, text: str) -> bytes | None:
    data = text.encode("utf-8", "replace")
    if encoding in "qQ":
        return binascii.a2b_qp(data, header=True)
    try:
        return binascii.a2b_base64(data + b"==") or None
    except binascii.Error:
        return None


# -- addresses ----------------------------------------------------------------------------------------


def addresses(value: str) -> Iterator[Address]:
    """Yield the mailboxes of a header: lists, groups, comments, quotes, and whatever else senders write."""
    for match in _ONE.finditer(value[:LONGEST]):
        if address := _address(match[0]):
            yield address


def _address(text: str) -> Address | None:
    text = _GROUP.sub("", _SPACE.sub(" ", text)).strip()
    angles = _ANGLE.findall(text)
    if angles:
        name = text[: text.rfind("<")].strip() or " ".join(_COMMENT.findall(text))
        return _mailbox(angles[-1], name)
    bare = _COMMENT.sub(" ", text).strip()
    if "@" not in bare and (" " in bare or ":" in bare):
        return None  # words, not even a local user's name
    if bare.count(" ") and not re.search(r"\s@|@\s", bare):
        found = re.search(r"[^\s<>\"]+@[^\s<>\"]+", bare)  # `Name user@host`, the brackets forgotten
        return _mailbox(found[0], bare[: found.start()].strip()) if found else None
    return _mailbox(bare, " ".join(_COMMENT.findall(text)))


def _mailbox(address: str, name: str) -> Address | None:
    address = clean(_SPACE.sub("", address.rpartition(":")[2] if address.startswith("@") else address))
    address = address.strip("<>\"'").lower()[:320]
    return Address(address, _name(name)) if address else None


def _name(text: str) -> str:
    text = _QUOTED.sub(lambda match: re.sub(r"\\(.)", r"\1", match[1]), text)
    name = readable(text).strip("\"' ")
    return name[:200].strip()


# -- ids and dates ------------------------------------------------------------------------------------


def message_ids(value: str) -> tuple[str, ...]:
    """Return the message ids of a References header, each once; of very many, the first and the last ones."""
    ids = list(dict.fromkeys(clean(found)[:500] for found in _ID.findall(value)))
    return tuple(ids if len(ids) <= MOST_REFERENCES else ids[:1] + ids[1 - MOST_REFERENCES :])


def message_id(value: str) -> str:
    """Return the one message id of a header without its brackets, or ``""``.

    Old programs wrote `Message from "Bob" <bob@x.example> of "Monday" <id@x.example>`: the id is the last one there.
    """
    ids = message_ids(value)
    if ids:
        return ids[0] if value.lstrip().startswith("<") else ids[-1]
    bare = clean(value).strip("<> \t")
    return bare[:500] if bare and not _SPACE.search(bare) else ""


def parse_date(value: str) -> datetime | None:
    """Return an aware time for a Date header's value; ``None`` for what cannot be one.

    A missing or impossible zone is read as UTC. A year before 1970 or after 2100 is a broken clock.
    """
    try:
        parts = parsedate_tz(clean(value))
        if parts is None or _YEAR_0.search(value) or not 1970 <= parts[0] <= 2100:
            return None
        offset = parts[9] or 0
        zone = timezone(timedelta(seconds=offset)) if offset and abs(offset) < 15 * 3600 else UTC
        return datetime(*parts[:5], min(parts[5], 59), tzinfo=zone)
    except (ValueError, TypeError, IndexError, OverflowError, AttributeError):
        return None
