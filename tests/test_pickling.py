"""What goes to the process pool comes back as it was."""

from __future__ import annotations

import pickle
from copy import copy
from dataclasses import FrozenInstanceError, fields
from datetime import UTC, datetime
from typing import Any

import pytest

from brody_agents.integrations.mail.base import Address, Attachment, ParsedMail, RawMail
from brody_agents.items import MailHead, MailItem

ADDRESS = Address("ada@x.example", "Ada")
FILE = Attachment(2, "plan.pdf", "application/pdf", 7, "00")
HEAD = {
    "id": "1", "account": "eml:x", "key": "k", "version": "v", "message_id": "m", "subject": "s", "sender": ADDRESS,
    "received_at": datetime(2026, 3, 2, tzinfo=UTC), "flags": frozenset({"seen"}), "reasons": ("one",),
}  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [
        ADDRESS,
        FILE,
        RawMail("k", "v", b"data", "folder", frozenset({"seen"})),
        ParsedMail("m", "s", ADDRESS, to=(ADDRESS,), signals={"list-id": "x"}, attachments=(FILE,)),
        MailHead(**HEAD),  # type: ignore[arg-type]
        MailItem(**HEAD, text="Hello", reply="Hello", attachments=(FILE,)),  # type: ignore[arg-type]
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_comes_back_as_it_was_and_stays_frozen(value: Any) -> None:
    again = pickle.loads(pickle.dumps(value))
    assert again == value == copy(value)
    assert type(again) is type(value)
    with pytest.raises(FrozenInstanceError):
        setattr(again, fields(again)[0].name, "other")
