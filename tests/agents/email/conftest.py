"""Mails for the tests of the email agent: written here, or read from real ones beside the checkout."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from brody_agents.errors import ItemUnreadable
from brody_agents.integrations.mail.base import Address
from brody_agents.integrations.mail.parsing import parse_mail
from brody_agents.items import MailItem

CORPUS = Path(__file__).parents[3] / "../shared/data/mail"
WHEN = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)  # a Wednesday

MakeMail = Callable[..., MailItem]


def _addresses(value: str | list[str]) -> tuple[Address, ...]:
    return tuple(_address(one) for one in ([value] if isinstance(value, str) else value))


def _address(text: str) -> Address:
    name, _, address = text.rpartition(" ")
    return Address(address.strip("<>").lower(), name.strip('"'))


@pytest.fixture
def make_mail() -> MakeMail:
    """Give a maker of mails: from Tomas to Mira at nine on Wednesday, unless something else is said."""
    numbers = count(1)

    def make(
        text: str = "Hello.", *, sender: str = "Tomas Wieland <tomas@kestrel.example>", **changes: Any
    ) -> MailItem:
        number = next(numbers)
        for name in ("to", "cc", "reply_to"):
            if name in changes:
                changes[name] = _addresses(changes[name])
        base = MailItem(
            id=f"mail-{number}",
            account="eml:test",
            key=str(number),
            version="1",
            message_id=f"m{number}@kestrel.example",
            subject="The contract",
            sender=_address(sender),
            to=(Address("mira@northwind.example", "Mira Halvorsen"),),
            received_at=WHEN,
            text=text,
            reply=text,
        )
        return replace(base, **changes)

    return make


def read_mail_file(path: Path, base: datetime = WHEN) -> MailItem | None:
    """Return the mail in a file as the ledger would give it, or ``None`` if it is none."""
    try:
        parsed = parse_mail(path.read_bytes())
    except ItemUnreadable:
        return None
    return MailItem(
        id=f"{path.parent.name}/{path.name}",
        account="eml:test",
        key=path.name,
        version="1",
        message_id=parsed.message_id,
        subject=parsed.subject,
        sender=parsed.sender,
        to=parsed.to,
        cc=parsed.cc,
        reply_to=parsed.reply_to,
        received_at=parsed.date or base,
        in_reply_to=parsed.in_reply_to,
        references=parsed.references,
        signals=parsed.signals,
        folder=path.parent.name,
        text=parsed.text,
        reply=parsed.reply,
        html_hidden=parsed.html_hidden,
        invite=parsed.invite,
        json_ld=parsed.json_ld,
        attachments=parsed.attachments,
    )


@pytest.fixture(scope="session")
def corpus() -> Callable[[str], list[MailItem]]:
    """Give the real mails of a folder of the corpus."""
    if not CORPUS.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"The corpus is not at {CORPUS}.")
        pytest.skip(f"The corpus is not at {CORPUS}.")
    return lambda folder: list(_mails(CORPUS / folder))


def _mails(folder: Path) -> Iterator[MailItem]:
    for path in sorted(folder.iterdir()):
        mail = read_mail_file(path)
        if mail is not None:
            yield mail


@pytest.fixture(scope="session")
def read_file() -> Callable[[Path, datetime], MailItem | None]:
    """Give the reader of mail files."""
    return read_mail_file
