"""The format of an mbox file: where its messages begin and end, what names them, how one is written."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from brody_agents.integrations.mail.folders import LARGEST

_BLOCK = 8 * 1024 * 1024
_LINE = 1000
_DAY = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_MONTH = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
# The line between messages, as asctime writes it and as some programs do: with a zone, with a comma, day first.
_STRICT = re.compile(
    rb"From (?:[^\r\n]{0,300}?\s)?" + _DAY + rb",?\s+(?:" + _MONTH + rb"\s+\d{1,2}|\d{1,2}\s+" + _MONTH + rb")\s"
    rb"[^\r\n]{0,30}\d{1,2}:\d\d[^\r\n]{0,60}\r?\n?$"
)
_HEADER = re.compile(rb"(?:>?From |[!-9;-~]{1,100}[ \t]*:)")
_USUAL = re.compile(
    rb"(?:From|To|Cc|Subject|Date|Message-ID|Received|Return-Path|MIME-Version|Content-[\w-]+|X-[\w-]+|Delivered-To"
    rb"|Status|Reply-To|Sender|List-[\w-]+)[ \t]*:",
    re.I,
)
# What mail readers and servers write into a message that lies in an mbox; it is no part of the message.
_STATE = re.compile(
    rb"^(?:Status|X-Status|X-Keywords|X-UIDL?|X-IMAP(?:base)?|X-Mozilla-(?:Status2?|Keys)|Content-Length|Lines)"
    rb"[ \t]*:[^\n]*\n(?:[ \t]+[^\n]*\n)*",
    re.I | re.M,
)
_MAY_BE_STATE = (b"status", b"x-keywords", b"x-uid", b"x-imap", b"x-mozilla-keys", b"content-length", b"lines")
_ESCAPED = re.compile(rb"^>(>*From )", re.M)
_TO_ESCAPE = re.compile(rb"^(>*From )", re.M)
_LETTERS = {"answered": "A", "flagged": "F", "draft": "T", "trash": "D"}
STORED_FLAGS = frozenset({"seen", *_LETTERS})
"""Flags that can be written into a message."""
_MOZILLA = {0x1: "seen", 0x2: "answered", 0x4: "flagged", 0x8: "trash"}


@dataclass(frozen=True, slots=True)
class Span:
    """A message in the file: its line `From ` at ``begin``, its own bytes from ``start`` to ``end``."""

    begin: int
    start: int
    end: int
    after: int
    """Where the next one begins."""
    key: str = ""
    flags: frozenset[str] = frozenset()
    problem: str = ""

    @property
    def version(self) -> str:
        """Return the flags: the content is in the key."""
        return flags_version(self.flags)

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return self.end - self.start


def flags_version(flags: frozenset[str]) -> str:
    """Return the version of a message with these flags."""
    return "+".join(sorted(flags)) or "unseen"


def messages(descriptor: int) -> list[Span]:
    """Return all messages of the file with their keys, in order."""
    spans: list[Span] = []
    seen: dict[str, int] = {}
    for span in _spans(descriptor):
        key, flags, problem = _described(descriptor, span)
        if key:
            seen[key] = seen.get(key, 0) + 1
            name = key if seen[key] == 1 else f"{key}-{seen[key]}"
            spans.append(Span(span.begin, span.start, span.end, span.after, name, flags, problem))
    return spans


def message_bytes(descriptor: int, span: Span) -> bytes:
    """Return a message as it was before it was put into the file."""
    return _ESCAPED.sub(rb"\1", os.pread(descriptor, span.size, span.start))


def content_key(raw: bytes) -> str:
    """Return the hash of a message as it lies in the file, without what readers write into it."""
    head, body = _split(raw)
    lower = head.lower()
    if any(word in lower for word in _MAY_BE_STATE):
        head = _STATE.sub(b"", head)
    digest = hashlib.sha256(head)
    digest.update(body)
    return digest.hexdigest()[:40]


def flags_of(raw: bytes) -> frozenset[str]:
    """Return the flags that mail readers have written into a message."""
    head, _ = _split(raw)
    if b"status" not in head.lower():
        return frozenset()
    flags = {"seen"} if b"R" in _value(head, b"Status") else set()
    status = _value(head, b"X-Status").decode("latin-1")
    flags |= {flag for flag, letter in _LETTERS.items() if letter in status}
    try:
        bits = int(_value(head, b"X-Mozilla-Status") or b"0", 16)
    except ValueError:
        bits = 0
    return frozenset(flags | {flag for bit, flag in _MOZILLA.items() if bits & bit})


def with_flags(raw: bytes, flags: frozenset[str]) -> bytes:
    """Return a message with these flags written into it."""
    head, body = _split(raw)
    newline = b"\r\n" if head.endswith(b"\r\n") else b"\n"
    bits = sum(bit for bit, flag in _MOZILLA.items() if flag in flags)
    head = re.sub(rb"(?im)^(X-Mozilla-Status:)[^\r\n]*", rb"\1 %04x" % bits, head)
    kept = _value(head, b"X-Status").decode("latin-1").translate(str.maketrans("", "", "AFTD"))
    head = re.sub(rb"(?im)^(?:X-)?Status[ \t]*:[^\n]*\n", b"", head)
    letters = kept + "".join(sorted(_LETTERS[flag] for flag in flags if flag in _LETTERS))
    head += b"Status: %sO" % (b"R" if "seen" in flags else b"") + newline
    if letters:
        head += b"X-Status: " + letters.encode("latin-1") + newline
    return head + body


def stored_form(data: bytes, flags: frozenset[str], now: datetime) -> tuple[bytes, bytes]:
    """Return the line `From ` and the message as it is put into the file, with its blank line at the end."""
    raw = _TO_ESCAPE.sub(rb">\1", data.replace(b"\r\n", b"\n"))
    raw = raw if raw.endswith(b"\n") else raw + b"\n"
    if flags:
        raw = with_flags(raw, flags)
    line = f"From MAILER-DAEMON {now.astimezone(UTC):%a %b %d %H:%M:%S %Y}\n"
    return line.encode("ascii"), raw + b"\n"


# -- finding ------------------------------------------------------------------------------------------


def _spans(descriptor: int) -> Iterator[Span]:
    size = os.fstat(descriptor).st_size
    starts = [offset for offset in _candidates(descriptor) if _is_separator(descriptor, offset)]
    first = starts[0] if starts else size
    if first and os.pread(descriptor, min(first, _LINE), 0).strip():
        yield Span(0, 0, first, first)
    for begin, after in pairwise([*starts, size]):
        line = os.pread(descriptor, _LINE, begin).find(b"\n")
        start = min(begin + line + 1, after) if line >= 0 else after
        yield Span(begin, start, _without_blank_line(descriptor, start, after), after)


def _without_blank_line(descriptor: int, start: int, after: int) -> int:
    tail = os.pread(descriptor, 4, max(start, after - 4))
    if tail.endswith(b"\r\n\r\n"):
        return max(start, after - 2)
    return max(start, after - 1) if tail.endswith(b"\n\n") or tail == b"\n" else after


def _candidates(descriptor: int) -> Iterator[int]:
    """Yield where lines begin with `From `, reading the file in blocks."""
    # The five bytes before a block's beginning belong to a line break that may stand across it.
    offset, tail = 0, b"\n"
    while block := os.pread(descriptor, _BLOCK, offset):
        data = tail + block
        for match in re.finditer(rb"\nFrom ", data):
            yield offset - len(tail) + match.start() + 1
        tail, offset = data[-5:], offset + len(block)


def _is_separator(descriptor: int, offset: int) -> bool:
    """Say whether a line separates messages: bodies hold such lines too, where a writer did not escape them."""
    line, _, following = os.pread(descriptor, _LINE, offset).partition(b"\n")
    before = os.pread(descriptor, min(offset, 3), max(offset - 3, 0))
    after_blank = not offset or before.endswith(b"\n\n") or before.endswith(b"\n\r\n") or before == b"\n"
    if _STRICT.match(line):
        return after_blank or bool(_USUAL.match(following))
    return after_blank and bool(_USUAL.match(following))


# -- describing ---------------------------------------------------------------------------------------


def _described(descriptor: int, span: Span) -> tuple[str, frozenset[str], str]:
    """Return key, flags and problem; an empty key for what is no message of the user's."""
    if span.size > LARGEST:
        return _large_key(descriptor, span), frozenset(), f"It is larger than {LARGEST // 1_000_000} MB."
    raw = os.pread(descriptor, span.size, span.start)
    if not span.start:
        return content_key(raw), frozenset(), "It stands before the first line that begins with `From `."
    if b"FOLDER INTERNAL DATA" in raw[:4000] and re.search(rb"(?m)^X-IMAP", raw[:4000]):
        return "", frozenset(), ""  # where the c-client library keeps its notes
    return content_key(raw), flags_of(raw), ""


def _large_key(descriptor: int, span: Span) -> str:
    digest = hashlib.sha256()
    for start in range(span.start, span.end, _BLOCK):
        digest.update(os.pread(descriptor, min(_BLOCK, span.end - start), start))
    return digest.hexdigest()[:40]


def _split(raw: bytes) -> tuple[bytes, bytes]:
    ends = [end + 1 for end in (raw.find(b"\n\n"), raw.find(b"\n\r\n")) if end >= 0]
    end = 0 if raw.startswith((b"\n", b"\r\n")) else min(ends, default=len(raw))
    return raw[:end], raw[end:]


def _value(head: bytes, name: bytes) -> bytes:
    match = re.search(rb"(?im)^" + name + rb"[ \t]*:([^\r\n]*)", head)
    return match[1].strip() if match else b""
