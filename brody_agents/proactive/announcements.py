"""The messages that tell the agents of what was read, and the pages of mail that the process pool makes ready.

Nothing of the database is imported here: a process of the pool starts with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from brody_agents.communication.message_protocol import (
    BROADCAST,
    COORDINATOR,
    AgentMessage,
    Payload,
    Priority,
    Provenance,
    new_context,
    stable_id,
)
from brody_agents.communication.payloads import EmailReceived
from brody_agents.integrations.mail.base import ParsedMail, RawMail
from brody_agents.integrations.mail.parsing import parse_all
from brody_agents.ledger.owner import Owner
from brody_agents.ledger.pool_rows import MessageRow, mail_row, message_row


def announcement(owner: Owner, item_id: str, version: str, payload: Payload) -> AgentMessage:
    """Return the message that an item causes at a version; the same id whenever it is read."""
    return AgentMessage(
        id=stable_id(payload.message_type, owner.user_id, item_id, version),
        sender=COORDINATOR,
        recipient=BROADCAST,
        payload=payload,
        context=new_context(owner.user_id),
        run_id=owner.run_id,
        priority=Priority.NORMAL,
        provenance={"": Provenance(sources=(item_id,))},
    )


class ReadyMail(NamedTuple):
    """A mail that was read: its row, and that of the message that announces it."""

    key: str
    row: tuple[Any, ...]
    message: MessageRow


def ready_mails(raws: Sequence[RawMail], owner: Owner) -> list[ReadyMail | str]:
    """Parse mails and make their rows; a text in place of a mail says why it cannot be. Pure, for the process pool."""
    parsed = zip(raws, parse_all(raws), strict=True)
    return [mail if isinstance(mail, str) else _ready(owner, raw, mail) for raw, mail in parsed]


def _ready(owner: Owner, raw: RawMail, mail: ParsedMail) -> ReadyMail:
    row = mail_row(owner, raw, mail)
    payload = EmailReceived(
        email_id=row[0],
        version=raw.version,
        account=owner.account,
        subject=mail.subject[:500],
        sender=mail.sender.address[:500],
        received_at=mail.date or owner.now,
    )
    return ReadyMail(raw.key, row, message_row(announcement(owner, row[0], raw.version, payload)))
