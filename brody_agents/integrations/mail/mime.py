"""The body of a mail: its parts walked once, text apart from files, HTML turned into text.

Parts are numbered in document order, the message itself is 0; what stands in an attached message is that message's.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message

from brody_agents.integrations.charsets import clean, decode
from brody_agents.integrations.html_text import html_text
from brody_agents.integrations.mail.base import Attachment
from brody_agents.integrations.mail.headers import readable, unescaped

LONGEST = 200_000
"""Characters of text, of an invite, of a name's raw form that are looked at."""
DEEPEST = 100
MOST_ATTACHMENTS = 1000

_SIGNATURES = frozenset({"pgp-signature", "pkcs7-signature", "x-pkcs7-signature", "pgp-keys"})
_CALENDAR = frozenset({"text/calendar", "application/ics"})
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([\w.:-]{1,40})", re.I)
_LOST_BOUNDARY = re.compile(r"^--(\S[^\r\n]{0,69}?)[ \t]*\r?\n(?=content-)", re.I | re.M)
_UU_BEGIN = re.compile(r"^begin [0-7]{3,4} (\S[^\n]{0,200})\n", re.M)
_FLOWED = re.compile(r"^(?!>|-- $)(.*) \n(?=[^>\s])", re.M)


@dataclass(slots=True)
class Body:
    """What is in a message: ``own`` is ``text`` without quotes that only HTML marks, ``kept`` one part's content."""

    text: str = ""
    own: str = ""
    hidden: bool = False
    invite: str = ""
    json_ld: list[str] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    kept: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Text:
    text: str = ""
    own: str = ""
    html: bool = False


def read_body(message: Message, keep: int = -1) -> Body:
    """Read all parts of a message; the content of attachment ``keep`` goes to ``Body.kept``."""
    reader = _Reader(keep)
    found = reader.read(message)
    if not found.text and not reader.body.attachments and message.is_multipart():
        found = _plain(f"{message.preamble or ''}\n{message.epilogue or ''}")
    reader.body.text, reader.body.own = reader.without_files(found)
    return reader.body


class _Reader:
    def __init__(self, keep: int) -> None:
        self.body = Body()
        self._keep = keep
        self._next = 0

    def read(self, part: Message, depth: int = 0, related: bool = False) -> _Text:
        """Return the text of a part, and put what is none into the body."""
        index, self._next = self._next, self._next + 1
        _unescape(part)
        kind = part.get_content_type()
        if kind.startswith("multipart/"):
            parts = _parts(part)
            if parts and depth < DEEPEST:
                return self._read_parts(kind, parts, depth + 1)
            return _plain(_decoded(part, _content(part)))
        if kind == "message/rfc822" and not depth:
            return self._read_parts(kind, _parts(part), depth + 1)
        if kind.startswith("message/") and part.is_multipart():
            return self._attached_message(part, index, kind)
        return self._read_leaf(part, index, kind, related)

    def _read_parts(self, kind: str, parts: list[Message], depth: int) -> _Text:
        texts = [self.read(part, depth, kind == "multipart/related") for part in parts]
        return _best(texts) if kind == "multipart/alternative" else _joined(texts)

    def _read_leaf(self, part: Message, index: int, kind: str, related: bool) -> _Text:
        name = _file_name(part)
        disposition = part.get_content_disposition() or ""
        content = _content(part)
        if kind in _CALENDAR or name.lower().endswith(".ics"):
            self.body.invite = self.body.invite or _decoded(part, content[: 4 * LONGEST])[:LONGEST]
            if not name and kind == "text/calendar":
                return _Text()
        elif _is_text(kind, name, disposition, index):
            return self._text(part, kind, content)
        if _is_file(part, kind, name, disposition, related):
            self._attach(index, name or f"part-{index}", kind, content)
        return _Text()

    def _text(self, part: Message, kind: str, content: bytes) -> _Text:
        if kind == "text/html" or (kind == "text/plain" and content[:200].lstrip()[:15].lower() == b"<!doctype html>"):
            return self._html(part, content)
        text = _decoded(part, content[: 4 * LONGEST])
        if kind in ("text/enriched", "text/richtext"):
            text = re.sub(r"<[^<>\n]{1,100}>", "", re.sub(r"<param>[^<]{0,200}</param>", "", text))
        elif part.get_param("format") == "flowed":
            text = _FLOWED.sub(r"\1 ", text)
        return _plain(text)

    def _html(self, part: Message, content: bytes) -> _Text:
        declared = _META_CHARSET.search(content[:2000])
        html = html_text(_decoded(part, content, declared[1].decode("ascii") if declared else ""))
        self.body.hidden |= html.hidden
        self.body.json_ld += html.json_ld
        return _Text(html.text, html.own, html=True)

    def _attached_message(self, part: Message, index: int, kind: str) -> _Text:
        inner = _parts(part)
        name = _file_name(part) or (readable(str(inner[0].get("subject") or ""))[:100] if inner else "")
        if kind == "message/rfc822" or _file_name(part):
            self._attach(index, _safe_name(f"{name or 'message'}.eml"), kind, _whole(inner))
        return _Text()

    def _attach(self, index: int, name: str, kind: str, content: bytes) -> None:
        if len(self.body.attachments) == MOST_ATTACHMENTS:
            return
        digest = hashlib.sha256(content).hexdigest()
        self.body.attachments.append(Attachment(index, name, clean(kind)[:100], len(content), digest))
        if index == self._keep:
            self.body.kept = content

    def without_files(self, found: _Text) -> tuple[str, str]:
        """Take uuencoded files out of the text; they are numbered after all parts."""
        if "begin " not in found.text or found.html:
            return found.text, found.own
        text = found.text
        for name, content, encoded in _uuencoded(text):
            self._attach(self._next, _safe_name(name), "application/octet-stream", content)
            self._next += 1
            text = text.replace(encoded, "", 1)
        return (found.text, found.own) if text is found.text else (text.strip(), text.strip())


# -- choosing -----------------------------------------------------------------------------------------


def _best(texts: list[_Text]) -> _Text:
    """Choose the plain one of alternatives, unless it only says that there is another."""
    plain = next((text for text in texts if text.text and not text.html), None)
    html = next((text for text in texts if text.text and text.html), None)
    if plain and html and len(plain.text) < 300 and len(plain.text) * 10 < len(html.text):
        return html
    return plain or html or _Text()


def _joined(texts: list[_Text]) -> _Text:
    some = [text for text in texts if text.text]
    if len(some) == 1:
        return some[0]
    return _Text("\n\n".join(text.text for text in some), "\n\n".join(text.own for text in some))


def _plain(text: str) -> _Text:
    text = clean(text).strip("\n")
    text = text if text.strip() else ""
    return _Text(text, text)


def _is_text(kind: str, name: str, disposition: str, index: int) -> bool:
    if disposition == "attachment":
        return False
    if kind in ("text/plain", "text/html"):
        return not name or disposition == "inline"
    return kind in ("text/enriched", "text/richtext") or (kind.startswith("text/") and not index and not name)


def _is_file(part: Message, kind: str, name: str, disposition: str, related: bool) -> bool:
    if kind.rpartition("/")[2] in _SIGNATURES:
        return False
    shown = related and kind.startswith("image/") and disposition != "attachment" and "content-id" in part
    return not shown and (bool(name) or disposition == "attachment" or not kind.startswith("message/"))


# -- reading one part ---------------------------------------------------------------------------------


def _unescape(part: Message) -> None:
    """Decode raw bytes in the headers that say what a part is: the library would turn each into U+FFFD."""
    raw = [(name, value) for name, value in part.raw_items() if not value.isascii()]
    for name, value in raw:
        if name.lower() in ("content-type", "content-disposition"):
            part.replace_header(name, unescaped(value))


def _parts(part: Message) -> list[Message]:
    payload = part.get_payload()
    if isinstance(payload, list):
        return [item for item in payload if isinstance(item, Message)]
    # Declared as several parts, but the boundary is not the one that was named, or none was.
    lost = _LOST_BOUNDARY.search(payload) if isinstance(payload, str) else None
    if lost is None or not isinstance(payload, str):
        return []
    head = f'Content-Type: multipart/mixed; boundary="{lost[1]}"\n\n'
    again = message_from_bytes((head + payload).encode("utf-8", "surrogateescape")).get_payload()
    return [item for item in again if isinstance(item, Message)] if isinstance(again, list) else []


def _content(part: Message) -> bytes:
    """Return the decoded bytes of a part; what cannot be decoded stays as it is."""
    try:
        content = part.get_payload(decode=True)
    except (ValueError, LookupError):
        content = None
    if isinstance(content, bytes):
        return content
    raw = part.get_payload()
    return raw.encode("utf-8", "surrogateescape") if isinstance(raw, str) else b""


def _decoded(part: Message, content: bytes, other: str = "") -> str:
    return decode(content, _param(part, "charset") or other)


def _param(part: Message, name: str) -> str:
    value = part.get_param(name)
    if isinstance(value, tuple):  # RFC 2231: charset, language, value
        value = value[2]
    return str(value or "")[:LONGEST]


def _whole(inner: list[Message]) -> bytes:
    try:
        return inner[0].as_bytes() if inner else b""
    except (ValueError, LookupError, AttributeError, TypeError):
        return b""  # the generator cannot write what the parser has read


def _file_name(part: Message) -> str:
    try:
        return _safe_name(readable(part.get_filename() or ""))
    except (ValueError, LookupError):
        return ""


def _safe_name(name: str) -> str:
    """Return the last part of a name that somebody else chose: it may hold a path or control characters."""
    name = clean(name).replace("\\", "/").rstrip("/").rpartition("/")[2].replace("\n", " ").strip()
    return "" if name in (".", "..") else name[:200]


def _uuencoded(text: str) -> list[tuple[str, bytes, str]]:
    """Return name, content and encoded form of files that stand in the text, as mail had them before MIME."""
    found: list[tuple[str, bytes, str]] = []
    position = 0
    while begin := _UU_BEGIN.search(text, position):
        end = text.find("\nend", begin.end() - 1)
        if end < 0:
            break
        content = _uu_bytes(text[begin.end() : end].split("\n"))
        position = end if content is not None else begin.end()
        if content is not None:
            found.append((begin[1], content, text[begin.start() : end + 4]))
    return found


def _uu_bytes(lines: list[str]) -> bytes | None:
    out = []
    for line in lines:
        try:
            out.append(binascii.a2b_uu(line))
        except (binascii.Error, ValueError):
            return None
    return b"".join(out)
