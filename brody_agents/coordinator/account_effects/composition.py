"""Messages as they are written (RFC 5322): who, to whom, in which thread; no value can become another header."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, EmailPolicy
from email.utils import format_datetime
from hashlib import sha256

from brody_agents.errors import InvalidArguments
from brody_agents.integrations.mail.base import ParsedMail

UNKNOWN_DOMAIN = "brody.invalid"
"""Where a Message-ID is from when nobody knows the author's address (RFC 2606)."""
_IDS = frozenset({"message-id", "in-reply-to", "references"})
_LONGEST_ID = 900
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]")
_ENDS = re.compile(rb"\r\n|\r|\n")


class _Policy(EmailPolicy):
    """Lines of RFC 5322; the standard library would write long message ids as encoded words, which no client reads."""

    def fold(self, name: str, value: str) -> str:
        if name.lower() in _IDS:
            return f"{name}: {f'{self.linesep} '.join(str(value).split())}{self.linesep}"
        folded: str = super().fold(name, value)
        return folded

    def fold_binary(self, name: str, value: str) -> bytes:
        if name.lower() in _IDS:
            return self.fold(name, value).encode("utf-8", "replace")
        return super().fold_binary(name, value)


_POLICY = _Policy(linesep=SMTP.linesep, cte_type="7bit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What a message says; addresses are one each, as ``name@domain`` or ``Name <name@domain>``."""

    message_id: str
    """Without angle brackets."""
    author: str = ""
    to: Sequence[str] = ()
    cc: Sequence[str] = ()
    bcc: Sequence[str] = ()
    subject: str = ""
    text: str = ""
    date: datetime
    thread: Mapping[str, str] = field(default_factory=dict)
    """In-Reply-To and References."""
    forwarded: bytes | None = None
    """A mail that is passed on as it is (``message/rfc822``), with its attachments."""

    @property
    def recipients(self) -> list[str]:
        """Return the bare addresses of all who get it, each once."""
        people = [mailbox(person).addr_spec for person in (*self.to, *self.cc, *self.bcc)]
        return list(dict.fromkeys(people))


def message_id_of(key: str, author: str = "") -> str:
    """Return the Message-ID, without brackets, of what the action with an idempotency key writes."""
    return f"{key[:40]}@{mailbox(author).domain if author else UNKNOWN_DOMAIN}"


def written(letter: Letter, *, show_bcc: bool = False) -> bytes:
    """Return a message as bytes, the same each time; Bcc is in it only where the author alone will read it.

    Raises ``InvalidArguments`` for what is no address.
    """
    message = EmailMessage(policy=_POLICY)
    people = {"From": [letter.author] if letter.author else [], "To": letter.to, "Cc": letter.cc}
    people |= {"Bcc": letter.bcc if show_bcc else []}
    for name, addresses in people.items():
        if addresses:
            message[name] = [mailbox(address) for address in addresses]
    message["Subject"] = _one_line(letter.subject)
    message["Date"] = format_datetime(letter.date)
    message["Message-ID"] = f"<{letter.message_id}>"
    for name, value in letter.thread.items():
        message[name] = value
    if any(not a.username.isascii() for name in people for a in (message[name].addresses if message[name] else ())):
        message.policy = _POLICY.clone(utf8=True)  # RFC 6532: there is no other way to write such an address
    if letter.forwarded is None:
        message.set_content(letter.text)
        return message.as_bytes()
    return _with_attached(message, letter.text, letter.forwarded)


def mailbox(text: str) -> Address:
    """Return the one address that a text is (RFC 5322, 3.4), its domain in ASCII; raise ``InvalidArguments``."""
    wrong = InvalidArguments(f"{text!r} is no mail address.", "Write one: name@domain, or Name <name@domain>.")
    if _CONTROL.search(text):
        raise wrong
    try:
        header = SMTP.header_factory("To", text)
    except Exception:  # the parser of the standard library stumbles over some of what is none
        raise wrong from None
    defects = [d for d in header.defects if type(d).__name__ != "NonASCIILocalPartDefect"]
    if defects or len(header.addresses) != 1 or any(group.display_name for group in header.groups):
        raise wrong
    (found,) = header.addresses
    try:
        domain = found.domain if found.domain.isascii() else found.domain.encode("idna").decode("ascii")
    except UnicodeError:
        raise wrong from None
    if not domain or not found.username:
        raise wrong
    return Address(found.display_name, found.username, domain)


def thread_of(parent: ParsedMail) -> dict[str, str]:
    """Return In-Reply-To and References of an answer to a mail (RFC 5322, 3.6.4)."""
    earlier = parent.references or ((parent.in_reply_to,) if parent.in_reply_to else ())
    chain = _ids((*earlier, parent.message_id))
    return {"In-Reply-To": " ".join(_ids((parent.message_id,))), "References": " ".join(chain)} if chain else {}


def titled(prefix: str, subject: str) -> str:
    """Return the subject of an answer (``Re``) or of what is passed on (``Fwd``), with one prefix."""
    subject = _one_line(subject)
    return subject if subject.lower().startswith(f"{prefix.lower()}:") else f"{prefix}: {subject}".rstrip()


def _ids(ids: Iterable[str]) -> list[str]:
    """Return the ids that can stand in a header, each once; of a long chain the first and the last ones."""
    found = list(dict.fromkeys(f"<{i}>" for i in ids if i and len(i) < _LONGEST_ID and i.isascii() and i.isprintable()))
    return found if len(found) <= 40 else [found[0], *found[-39:]]


def _one_line(text: str) -> str:
    return " ".join(_CONTROL.sub(" ", text).split())


def _with_attached(head: EmailMessage, text: str, original: bytes) -> bytes:
    """Write a message of two parts by hand, since the original must stay as it is to the byte."""
    words = EmailMessage(policy=_POLICY)
    words.set_content(text)
    del words["MIME-Version"]
    boundary = f"=_{sha256(original).hexdigest()[:40]}"
    kind = f'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="{boundary}"\r\n'.encode()
    mark = f"--{boundary}".encode()
    start = head.as_bytes().rstrip(b"\r\n") + b"\r\n" + kind
    return b"\r\n".join((start, mark, words.as_bytes().rstrip(b"\r\n"), mark, _attached(original), mark + b"--", b""))


def _attached(original: bytes) -> bytes:
    """Return a mail as a part: as it is where SMTP carries it so, else packed, which shows as a file."""
    data = _ENDS.sub(b"\r\n", original).rstrip(b"\r\n") + b"\r\n"
    carried = b"\x00" not in data and max(map(len, data.split(b"\r\n"))) <= 998
    kind = b"message/rfc822" if carried else b'application/octet-stream; name="mail.eml"'
    encoding = (b"7bit" if data.isascii() else b"8bit") if carried else b"base64"
    head = b'Content-Type: %s\r\nContent-Disposition: attachment; filename="mail.eml"\r\n' % kind
    body = data if carried else base64.encodebytes(original).replace(b"\n", b"\r\n")
    return head + b"Content-Transfer-Encoding: %s\r\n\r\n" % encoding + body
