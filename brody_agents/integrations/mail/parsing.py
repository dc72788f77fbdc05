"""Bytes of RFC 5322 to a :class:`ParsedMail`; pure, for a process pool, and made for mail as it is.

The standard library splits the message (policy ``compat32``, which keeps headers raw); only the headers that somebody
needs are decoded. Every mess is read as well as possible: see :mod:`.headers` and :mod:`.mime`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from contextlib import suppress
from email.errors import MessageError
from email.message import Message
from email.parser import BytesHeaderParser

from brody_agents.errors import ItemUnreadable, NotFound
from brody_agents.integrations.charsets import clean, decode
from brody_agents.integrations.mail.base import Address, ParsedMail, RawMail
from brody_agents.integrations.mail.headers import Headers, addresses, message_id, message_ids
from brody_agents.integrations.mail.mime import Body, read_body
from brody_agents.integrations.mail.reply import reply_of
from brody_agents.integrations.mail.split import split_message

SIGNALS = (
    "list-id",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "list-post",
    "list-help",
    "mailing-list",
    "x-mailing-list",
    "x-beenthere",
    "x-loop",
    "precedence",
    "auto-submitted",
    "x-auto-response-suppress",
    "x-autoreply",
    "x-autorespond",
    "x-failed-recipients",
    "return-path",
    "authentication-results",
    "received-spf",
    "importance",
    "priority",
    "x-priority",
    "x-msmail-priority",
    "reply-to",
    "errors-to",
    "delivered-to",
    "x-original-to",
    "envelope-to",
    "sender",
    "resent-from",
    "x-spam-flag",
    "x-spam-status",
    "x-spam-level",
    "feedback-id",
    "x-campaign",
    "x-mailer",
    "user-agent",
    "content-type",
    "content-language",
    "disposition-notification-to",
    "x-gmail-labels",
)
"""Headers that triage looks at, by lower-case name; those that a message has become ``ParsedMail.signals``."""

_TRIPS = (ArithmeticError, AttributeError, LookupError, MessageError, RecursionError, TypeError, ValueError)
LONGEST_TEXT = 200_000
LONGEST_SUBJECT = 2_000
LONGEST_SIGNAL = 2_000
FIRST_HEADER = 65_536
"""Bytes in which the first header must begin; what stands before it is dropped."""
LONGEST_HEAD = 1_000_000
MOST_BOUNDARIES = 100
"""A message that says `boundary` more often is an attack on the parser: it is read as one flat text."""
MOST_WORK = 500_000_000
"""Boundaries times bytes: the parser compares each line with all boundaries that are open."""
LONGEST_STRUCTURE = 20_000
"""Bytes of a Content-Type; the parser's time grows with the square of the number of its parameters."""

_NAME = rb"[!-9;-~]+"
_HEADER = re.compile(rb"^" + _NAME + rb"[ \t]*:", re.M)
_FROM_LINE = re.compile(rb"\s*>?From ([^\r\n]*)\r?\n")
_BLANK = re.compile(rb"\n[ \t\r]*\n")
_BLANK_OLD = re.compile(rb"\r[ \t]*\r")
_NO_HEADER = re.compile(rb"^(?!" + _NAME + rb"[ \t]*:|[ \t\r\n]|\Z)", re.M)
_NO_NEXT_HEADER = re.compile(rb"\n(?!" + _NAME + rb"[ \t]*:|[ \t\r\n]|\Z)")
_LINE_END = re.compile(rb"\n(?![ \t])")
_USUAL = re.compile(
    rb"^(?:From|To|Cc|Subject|Date|Message-ID|Received|MIME-Version|Content-[\w-]+|X-[\w-]+|Return-Path|Reply-To"
    rb"|References|In-Reply-To|List-[\w-]+|Sender|Precedence|Delivered-To|Errors-To|Status)[ \t]*:",
    re.I | re.M,
)


def parse_mail(data: bytes) -> ParsedMail:
    """Parse one message. All strings of the result can be stored as UTF-8.

    Raises ``ItemUnreadable`` for an empty message and for bytes without a single header line, and nothing else.
    """
    size = len(data)
    envelope, data = _unwrapped(data)
    if not _is_hostile(data):
        # What the parser of the standard library trips over, nested or ill-typed, is still a head and some text.
        with suppress(*_TRIPS):
            message = split_message(data)
            return _parsed(message, envelope, data, read_body(message), size)
    return _parsed(BytesHeaderParser().parsebytes(data), envelope, data, _flat_body(data), size)


def parse_all(raws: Sequence[RawMail]) -> list[ParsedMail | str]:
    """Parse mails; a text in place of a mail says why it cannot be. Pure, for the process pool."""
    parsed: list[ParsedMail | str] = []
    for raw in raws:
        try:
            parsed.append(parse_mail(raw.data))
        except ItemUnreadable as error:
            parsed.append(error.what)
    return parsed


def part_bytes(data: bytes, index: int) -> bytes:
    """Return the content of the attachment with this ``Attachment.index``, or raise ``NotFound``."""
    _, data = _unwrapped(data)
    found = read_body(split_message(data), keep=index).kept if not _is_hostile(data) else None
    if found is None:
        raise NotFound(f"The message has no attachment {index}.", "Read the message again.")
    return found


def _parsed(message: Message, envelope: str, data: bytes, body: Body, size: int) -> ParsedMail:
    head = Headers(message)
    text = clean(body.text[:LONGEST_TEXT])
    own = text if body.own == body.text else clean(body.own[:LONGEST_TEXT])
    return ParsedMail(
        message_id=message_id(" ".join(head.raw("message-id")[:1])) or _made_id(head, data),
        subject=head.text("subject", LONGEST_SUBJECT),
        sender=_sender(head, envelope),
        to=head.addresses("to"),
        cc=head.addresses("cc"),
        reply_to=head.addresses("reply-to"),
        date=head.date(),
        in_reply_to=message_id(" ".join(head.raw("in-reply-to")[:1])),
        references=message_ids(" ".join(head.raw("references"))),
        signals={name: head.texts(name, LONGEST_SIGNAL) for name in SIGNALS if name in head},
        text=text,
        reply=reply_of(own),
        html_hidden=body.hidden,
        invite=clean(body.invite),
        json_ld=tuple(clean(block) for block in body.json_ld),
        attachments=tuple(body.attachments),
        size=size,
    )


def _sender(head: Headers, envelope: str) -> Address:
    for name in ("from", "sender", "return-path"):
        if found := head.addresses(name):
            return found[0]
    return next(addresses(envelope.split(" ")[0]), Address(""))


def _made_id(head: Headers, data: bytes) -> str:
    # Of what the sender wrote only, not of the way it took: two copies of one mail are one mail.
    digest = hashlib.sha256()
    for name in ("from", "to", "date", "subject"):
        digest.update("\0".join(head.raw(name)).encode("utf-8", "surrogatepass") + b"\n")
    digest.update(_body_of(data).replace(b"\r\n", b"\n").strip())
    return f"{digest.hexdigest()[:32]}@content.invalid"


def _body_of(data: bytes) -> bytes:
    blank = _blank_line(data)
    return data[blank.end() :] if blank else b""


def _blank_line(data: bytes) -> re.Match[bytes] | None:
    return (_BLANK if b"\n" in data else _BLANK_OLD).search(data)


def _flat_body(data: bytes) -> Body:
    text = clean(decode(_body_of(data)[: 4 * LONGEST_TEXT]))
    return Body(text=text, own=text)


# -- repairs before the parser ------------------------------------------------------------------------


def _unwrapped(data: bytes) -> tuple[str, bytes]:
    """Return the sender of an mbox `From ` line, or ``""``, and the message that really begins with its headers."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    envelope = ""
    if line := _FROM_LINE.match(data):
        envelope, data = decode(line[1][:500]).strip(), data[line.end() :]
    first = _HEADER.search(data, 0, FIRST_HEADER)
    if first is None:
        raise ItemUnreadable("The message is empty." if not data.strip() else "There is not one header line.")
    return envelope, _mended(data[first.start() :])


def _mended(data: bytes) -> bytes:
    """Join to the header above what stands between headers and is none: a line that lost its indentation."""
    blank = _blank_line(data)
    head = data[: blank.start()] if blank else data
    if len(head) > LONGEST_HEAD:
        head, data = head[:LONGEST_HEAD], head[:LONGEST_HEAD] + data[len(head) :]
    if not _NO_NEXT_HEADER.search(head):  # its first line is a header
        return data
    last = max((match.start() for match in _USUAL.finditer(head)), default=0)
    return _NO_HEADER.sub(b" ", head[:last]) + data[last:]


def _is_hostile(data: bytes) -> bool:
    """Say whether the parser of the standard library would take minutes: such a message is read as flat text."""
    lower = data.lower()
    boundaries = lower.count(b"boundary")
    if boundaries > MOST_BOUNDARIES or boundaries * len(data) > MOST_WORK:
        return True
    if len(data) < LONGEST_STRUCTURE:
        return False
    lower = b"\n" + lower
    headers = re.finditer(rb"\ncontent-(?:type|disposition)[ \t]*:", lower)
    return any(_length(lower, header.end()) > LONGEST_STRUCTURE for header in headers)


def _length(data: bytes, start: int) -> int:
    end = _LINE_END.search(data, start, start + LONGEST_STRUCTURE + 2)
    return end.start() - start if end else min(len(data) - start, LONGEST_STRUCTURE + 1)
