"""What a message's own bytes say about its way: its Message-ID, who may not see whom, what a server must be able to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from brody_agents.errors import Refused

_END = re.compile(rb"\r?\n\r?\n")
_ID = re.compile(rb"^message-id:[ \t]*((?:[^\r\n]|\r?\n[ \t])*)", re.IGNORECASE | re.MULTILINE)
_BCC = re.compile(rb"^(?:resent-)?bcc:(?:[^\n]|\n[ \t])*\n", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message that is ready for RFC 5321: ``data`` has no Bcc, and addresses have ASCII domains."""

    message_id: str
    sender: str
    recipients: tuple[str, ...]
    data: bytes
    international: bool
    """Whether SMTPUTF8 (RFC 6531) is needed: a local part or a header is not ASCII."""
    eight_bit: bool
    size: int
    """Bytes on the wire, with CR LF at every line's end (RFC 1870)."""


def envelope_of(data: bytes, sender: str, recipients: Sequence[str]) -> Envelope:
    """Return the envelope of a message; raise ``Refused`` for one that no server could carry safely."""
    ids = header_ids(data)
    if len(ids) != 1 or not ids[0]:
        raise Refused(f"The message has {len(ids)} Message-IDs.", "Write exactly one, by which it is found again.")
    people = tuple(dict.fromkeys(_mailbox(address) for address in recipients))
    if not people:
        raise Refused("The message has no recipient.", "Name at least one.")
    head, rest = _parted(data)
    clean = _BCC.sub(b"", head) + rest
    addresses = (_mailbox(sender), *people)
    return Envelope(
        message_id=ids[0].decode("utf-8", "replace"),
        sender=addresses[0],
        recipients=people,
        data=clean,
        international=not all(map(str.isascii, addresses)) or not head.isascii(),
        eight_bit=not clean.isascii(),
        size=len(re.sub(rb"\r\n|\r|\n", b"\r\n", clean)),
    )


def header_ids(data: bytes) -> list[bytes]:
    """Return the Message-IDs in a message's header, unfolded, with their angle brackets."""
    head, _ = _parted(data)
    return [re.sub(rb"\s+", b"", found) for found in _ID.findall(head)]


def _parted(data: bytes) -> tuple[bytes, bytes]:
    """Cut a message after the last header line."""
    end = _END.search(data)
    if end is None:
        return data, b""
    cut = end.start() + (2 if end.group().startswith(b"\r") else 1)
    return data[:cut], data[cut:]


def _mailbox(address: str) -> str:
    """Return an address with an ASCII domain (IDNA); the local part stays as it is."""
    local, at, domain = address.strip().rpartition("@")
    if not (local and at and domain) or re.search(r"[\x00-\x20<>\x7f]", address.strip()):
        raise Refused(f"{address!r} is no mail address.", "Write it as name@domain.")
    try:
        return f"{local}@{domain if domain.isascii() else domain.encode('idna').decode('ascii')}"
    except UnicodeError as error:
        raise Refused(f"{address!r} has a domain that does not exist.", "Check the address.") from error
