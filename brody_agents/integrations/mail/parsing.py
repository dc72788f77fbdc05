"""Bytes of RFC 5322 to a :class:`ParsedMail`; pure, for a process pool, and made for mail as it is.

The standard library splits the message (policy ``compat32``, which keeps headers raw); only the headers that somebody
needs are decoded. Every mess is read as well as possible: see :mod:`.headers` and :mod:`.mime`.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from email import message_from_bytes
from email.errors import MessageError
from email.message import Message
from email.parser import BytesHeaderParser

from brody_agents.errors import ItemUnreadable, NotFound
from brody_agents.integrations.charsets import clean, decode
from brody_agents.integrations.mail.base import Address, ParsedMail
from brody_agents.integrations.mail.headers import Headers, addresses, message_id, message_ids
from brody_agents.integrations.mail.mime import Body, read_body
from brody_agents.integrations.mail.reply import reply_of

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

LONGEST_TEXT = 200_000
LONGEST_SUBJECT = 2_000
LONGEST_SIGNAL = 2_000
MOST_BOUNDARIES = 200
"""A message that says `boundary` more often is an attack on the parser; such a message is read as one flat text."""

_NAME = rb"[!-9;-~]+"
_HEADER = re.compile(rb"^" + _NAME + rb"[ \t]*:", re.M)
_FROM_LINE = re.compile(rb"\s*>?From ([^\r\n]*)\r?\n")
_BLANK = re.compile(rb"\n[ \t\r]*\n")
_BLANK_OLD = re.compile(rb"\r[ \t]*\r")
_NO_HEADER = re.compile(rb"^(?!" + _NAME + rb"[ \t]*:|[ \t\r\n]|\Z)", re.M)
_USUAL = re.compile(
    rb"^(?:From|To|Cc|Subject|Date|Message-ID|Received|MIME-Version|Content-[\w-]+|X-[\w-]+|Return-Path|Reply-To"
    rb"|References|In-Reply-To|List-[\w-]+|Sender|Precedence|Delivered-To|Errors-To|Status)[ \t]*:",
    re.I | re.M,
)


def parse_mail(data: bytes) -> ParsedMail:
    """Parse one message. All strings of the result can be stored as UTF-8.

    Raises ``ItemUnreadable`` for an empty message and for bytes without a single header line, and nothing else.
    """
    envelope, data = _unwrapped(data)
    if not _is_nested_to_death(data):
        # What the parser of the standard library trips over, nested or ill-typed, is still a head and some text.
        with suppress(ArithmeticError, AttributeError, LookupError, MessageError, RecursionError, TypeError, ValueError):
            message = message_from_bytes(data)
            return _parsed(message, envelope, data, read_body(message))
    return _parsed(BytesHeaderParser().parsebytes(data), envelope, data, _flat_body(data))


def part_bytes(data: bytes, index: int) -> bytes:
    """Return the content of the attachment with this ``Attachment.index``, or raise ``NotFound``."""
    _, data = _unwrapped(data)
    found = read_body(message_from_bytes(data), keep=index).kept if not _is_nested_to_death(data) else None
    if found is None:
        raise NotFound(f"The message has no attachment {index}.", "Read the message again.")
    return found


def _parsed(message: Message, envelope: str, data: bytes, body: Body) -> ParsedMail:
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
        size=len(data),
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
    first = _HEADER.search(data)
    if first is None:
        raise ItemUnreadable("The message is empty." if not data.strip() else "There is not one header line.")
    return envelope, _mended(data[first.start() :])


def _mended(data: bytes) -> bytes:
    """Join to the header above what stands between headers and is none: a line that lost its indentation."""
    blank = _blank_line(data)
    head = data[: blank.start()] if blank else data
    if not _NO_HEADER.search(head):
        return data
    last = max((match.start() for match in _USUAL.finditer(head)), default=0)
    return _NO_HEADER.sub(b" ", head[:last]) + data[last:]


def _is_nested_to_death(data: bytes) -> bool:
    return data.lower().count(b"boundary") > MOST_BOUNDARIES
