"""What the agent keeps of attachments: enough to find them again, never their content."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC
from typing import Any

from brody_agents.communication.message_protocol import stable_id
from brody_agents.integrations.mail.base import Address, Attachment
from brody_agents.items import MailItem
from brody_file.index import Entry

KEY = "attachments"
"""The shared value that holds the attachments known: a JSON list, newest first."""
MOST = 500
"""Attachments kept; the oldest are forgotten."""

_NOT_A_DOCUMENT = re.compile(
    r"(?:text/(?:calendar|x-vcard|vcard|x-amp-html)|message/.*|multipart/.*"
    r"|application/(?:ics|pgp-.*|(?:x-)?pkcs7-.*|ms-tnef|vnd\.ms-tnef|x-msdownload|x-ms-.*|x-sh|javascript|java-archive))",
    re.IGNORECASE,
)
_NOT_A_NAME = re.compile(
    r".*\.(?:ics|vcf|asc|sig|p7s|p7m|p7c|eml|exe|com|bat|cmd|scr|pif|js|jse|vbs?|wsf|hta|msi|jar|ps1|lnk|html?)"
    r"|winmail\.dat|(?:attachment|part|noname|untitled)[-_ .]?[\d.]{0,6}"
    r"|(?:image[-_ ]?\d{0,6}|(?:logo|outlook|signature|banner|icon|spacer)[-_ ]?[\w-]{0,16})"
    r"\.(?:png|jpe?g|gif|bmp|svg|webp)",
    re.IGNORECASE,
)
_SMALL_PICTURE = 30_000
"""Bytes; a picture below is a logo or an icon."""
_PEOPLE = 8


@dataclass(frozen=True, slots=True)
class Known:
    """An attachment that was handed on, with the mail that carried it."""

    id: str
    email_id: str
    index: int
    name: str
    media_type: str
    size: int
    sha256: str
    subject: str
    sender: str
    people: tuple[str, ...]
    at: str
    """When the mail was received (ISO 8601, UTC)."""

    def entry(self) -> Entry:
        """Return the attachment as the index sees it."""
        return Entry(self.id, self.name, title=self.subject, people=self.people)


def is_document(attachment: Attachment) -> bool:
    """Say no to parts that nobody files: inline pictures, signatures, calendar parts, programs."""
    name = attachment.name.strip()
    if not name or not attachment.size or _NOT_A_DOCUMENT.fullmatch(attachment.media_type):
        return False
    picture = attachment.media_type.casefold().startswith("image/")
    return not _NOT_A_NAME.fullmatch(name) and not (picture and attachment.size < _SMALL_PICTURE)


def known(mail: MailItem, own: frozenset[str]) -> dict[str, Known]:
    """Return the documents that a mail carries, by the id that ``document_received`` gives them."""
    others = [a for a in (mail.sender, *mail.to, *mail.cc) if a.address and a.address not in own]
    people = tuple(_shown(a) for a in others[:_PEOPLE])
    at = mail.received_at.astimezone(UTC).isoformat()
    return {
        (key := stable_id(mail.id, "attachment", str(a.index))): Known(
            key,
            mail.id,
            a.index,
            a.name,
            a.media_type,
            a.size,
            a.sha256,
            mail.subject[:500],
            _shown(mail.sender),
            people,
            at,
        )
        for a in mail.attachments
        if is_document(a)
    }


def merged(stored: object, new: Iterable[Known]) -> list[dict[str, Any]]:
    """Return the shared value with ``new`` in it; the result does not depend on the order of arrival."""
    together = {a.id: a for a in (*loaded(stored), *new)}
    newest = sorted(together.values(), key=lambda a: (a.at, a.id), reverse=True)
    return [asdict(attachment) for attachment in newest[:MOST]]


def loaded(stored: object) -> list[Known]:
    """Return the attachments of the shared value; what has another form is left out."""
    rows: Sequence[object] = stored if isinstance(stored, list) else ()
    names = set(Known.__dataclass_fields__)
    whole = (row for row in rows if isinstance(row, dict) and set(row) == names)
    return [Known(**{**row, "people": tuple(row["people"])}) for row in whole]


def _shown(mailbox: Address) -> str:
    return f"{mailbox.name} <{mailbox.address}>" if mailbox.name else mailbox.address
