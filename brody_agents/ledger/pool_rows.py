"""Rows as far as the process pool can make them: all but their seals, whose keys stay in one process.

Nothing of the database is imported here, and what goes back are tuples of texts, bytes and times.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from brody_agents.communication.message_protocol import AgentMessage, encode, stable_id
from brody_agents.integrations.mail.base import Address, ParsedMail, RawMail
from brody_agents.ledger.owner import Owner

MAIL_COLUMNS = (
    *("id", "user_id", "email_account_id", "external_id", "version", "subject", "sender", "recipients"),
    *("timestamp", "message_id", "head", "folder", "thread_id", "run_id", "received_id"),
    *("problem", "removed", "needs_reply", "reply_state", "body"),
)
"""The columns of :func:`mail_row`."""
MAIL_JSON = frozenset({"recipients", "head"})
"""Those of them that are JSON texts already; the body is such a text too, and is still to be sealed."""


def mail_row(owner: Owner, raw: RawMail, mail: ParsedMail) -> tuple[Any, ...]:
    """Return the values of ``MAIL_COLUMNS``."""
    root = mail.references[0] if mail.references else mail.in_reply_to or mail.message_id
    body = {
        "text": mail.text,
        "reply": mail.reply,
        "html_hidden": mail.html_hidden,
        "invite": mail.invite,
        "json_ld": mail.json_ld,
        "attachments": [asdict(a) for a in mail.attachments],
    }
    head = {
        "sender_name": mail.sender.name,
        "reply_to": _pairs(mail.reply_to),
        "in_reply_to": mail.in_reply_to,
        "references": mail.references,
        "signals": mail.signals,
        "flags": sorted(raw.flags),
    }
    recipients = {"to": _pairs(mail.to), "cc": _pairs(mail.cc)}
    return (
        *(owner.item_id(raw.key), owner.user_id, owner.account, raw.key, raw.version, mail.subject),
        *(mail.sender.address, _text(recipients), mail.date or owner.now, mail.message_id, _text(head), raw.folder),
        *(stable_id("thread", root), owner.run_id, received_id(owner, raw), "", False, False, "none"),
        orjson.dumps(body),
    )


def received_id(owner: Owner, raw: RawMail) -> str:
    """Return the id of the message that announces a mail at a version."""
    return stable_id("email_received", owner.user_id, owner.item_id(raw.key), raw.version)


def _pairs(addresses: Iterable[Address]) -> list[list[str]]:
    return [[a.address, a.name] for a in addresses]


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()


class MessageRow(NamedTuple):
    """A message with its wire form, as much of it as is a column of its own."""

    id: str
    user_id: str
    run_id: str | None
    sender: str
    recipient: str
    message_type: str
    priority: int
    deadline: datetime | None
    not_before: datetime | None
    body: bytes


def message_row(message: AgentMessage, body: bytes | None = None) -> MessageRow:
    """Return the row of a message; ``body`` is its wire form, if that is known already."""
    return MessageRow(
        *(message.id, message.user_id, message.run_id, message.sender, message.recipient, message.message_type),
        *(message.priority.rank, message.deadline, message.not_before, body or encode(message)),
    )
