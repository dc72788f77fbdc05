"""Pages of mail: what the pool makes of them is what would be written without it."""

from __future__ import annotations

import pickle
import subprocess
import sys
from datetime import UTC, datetime

from brody_agents.communication import payloads
from brody_agents.communication.message_protocol import PayloadRegistry, decode
from brody_agents.integrations.mail.base import RawMail
from brody_agents.integrations.mail.parsing import parse_mail
from brody_agents.ledger.items import Owner, received_id
from brody_agents.ledger.pool_rows import mail_row
from brody_agents.proactive.announcements import ready_mails

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
OWNER = Owner("me", "eml:/mail", "run-1", NOW)
REGISTRY = PayloadRegistry([payloads.EmailReceived])
GOOD = b"From: Ada <ada@b.example>\r\nTo: me@b.example\r\nSubject: Lunch\r\nMessage-ID: <1@b.example>\r\n\r\nNoon?\r\n"


def test_a_mail_comes_with_its_row_and_the_message_that_announces_it() -> None:
    raw = RawMail("1.eml", "7", GOOD)
    (ready,) = ready_mails([raw], OWNER)
    assert not isinstance(ready, str)
    assert (ready.key, ready.row) == ("1.eml", mail_row(OWNER, raw, parse_mail(GOOD)))
    message = decode(ready.message.body, REGISTRY)
    assert isinstance(message.payload, payloads.EmailReceived)
    assert (message.payload.email_id, message.payload.subject) == (OWNER.item_id("1.eml"), "Lunch")
    assert (message.payload.received_at, message.run_id) == (NOW, "run-1")
    assert message.id == ready.message.id == received_id(OWNER, raw)
    assert message.label().sources == (OWNER.item_id("1.eml"),)


def test_a_mail_that_cannot_be_read_says_why_in_its_place() -> None:
    raws = [RawMail("a", "1", GOOD), RawMail("b", "1", b""), RawMail("c", "1", GOOD)]
    ready = ready_mails(raws, OWNER)
    assert [isinstance(mail, str) for mail in ready] == [False, True, False]
    assert [mail.key for mail in ready if not isinstance(mail, str)] == ["a", "c"]


def test_what_the_pool_gives_back_arrives_as_it_was() -> None:
    ready = ready_mails([RawMail("1.eml", "7", GOOD)], OWNER)
    assert pickle.loads(pickle.dumps((ready, OWNER))) == (ready, OWNER)


def test_a_process_of_the_pool_does_without_the_database() -> None:
    """Its start is CPU time that every run pays, and the seals' keys stay where the ledger is."""
    asked = "import sys, brody_agents.proactive.announcements; print({'sqlalchemy', 'sqlmodel'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"
