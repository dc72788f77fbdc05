"""Messages as they are written: any value stays in its header, and mail programs read what was meant."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brody_agents.coordinator.account_effects.composition import (
    UNKNOWN_DOMAIN,
    Letter,
    mailbox,
    message_id_of,
    thread_of,
    titled,
    written,
)
from brody_agents.errors import InvalidArguments
from brody_agents.integrations.mail.base import Address, ParsedMail
from brody_agents.integrations.mail.parsing import parse_mail

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
LETTER = Letter(message_id="a@home.example", author="mira@home.example", to=["ann@b.example"], date=NOW)
HEADERS = {"From", "To", "Subject", "Date", "Message-ID", "Content-Type", "Content-Transfer-Encoding", "MIME-Version"}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


def read(letter: Letter, **more: Any) -> EmailMessage:
    """Return a message as a mail program reads it."""
    data = written(letter, **more)
    assert all(len(line) <= 998 for line in data.split(b"\r\n"))
    assert b"\n" not in data.replace(b"\r\n", b""), "every line ends as RFC 5322 wants"
    return message_from_bytes(data, policy=default)


@settings(deadline=None)
@given(subject=TEXT, text=TEXT, name=TEXT)
def test_no_value_becomes_another_header(subject: str, text: str, name: str) -> None:
    """Whatever a subject, a text and a name are made of."""
    letter = replace(LETTER, subject=subject, text=text)
    try:
        mailbox(f'"{name}" <ann@b.example>')
        letter = replace(letter, to=[f'"{name}" <ann@b.example>'])
    except InvalidArguments:
        pass
    message = read(letter)
    assert set(message.keys()) == HEADERS
    assert [a.addr_spec for a in message["To"].addresses] == ["ann@b.example"]
    assert parse_mail(message.as_bytes()).message_id == "a@home.example"


@settings(deadline=None)
@given(st.text(st.sampled_from("a@b.c <>,;:\"'()\\\r\n\t[]ü\x00"), max_size=30))
def test_an_entry_is_one_address_or_refused(text: str) -> None:
    """What the message shows as its recipient is what it is sent to."""
    try:
        bare = mailbox(text).addr_spec
    except InvalidArguments:
        return
    letter = replace(LETTER, to=[text])
    assert letter.recipients == [bare]
    assert len(read(letter)["To"].addresses) == 1
    assert "\r" not in text
    assert "\n" not in text


@pytest.mark.parametrize(
    "text",
    [
        *("", "ann", "ann@", "@b.example", "a b@c.example", "<ann@b.example", "Doe, Ann <a@b.example>"),
        *("a@b.example, c@d.example", "friends: a@b.example;", "a@b.example\r\nBcc: c@d.example", "a@b.example\n"),
    ],
)
def test_what_is_no_address_is_named(text: str) -> None:
    with pytest.raises(InvalidArguments, match="is no mail address"):
        written(replace(LETTER, to=[text]))


def test_names_and_domains_of_any_language_are_written() -> None:
    message = read(replace(LETTER, to=["Ünal Öz <u@bücher.example>", '"Doe, Ann" <ann@b.example>']))
    assert [(a.display_name, a.addr_spec) for a in message["To"].addresses] == [
        ("Ünal Öz", "u@xn--bcher-kva.example"),
        ("Doe, Ann", "ann@b.example"),
    ]


def test_a_blind_copy_is_seen_in_a_draft_only() -> None:
    letter = replace(LETTER, bcc=["eve@c.example"])
    assert "Bcc" not in read(letter)
    assert read(letter, show_bcc=True)["Bcc"] == "eve@c.example"
    assert letter.recipients == ["ann@b.example", "eve@c.example"]


def test_long_message_ids_stay_what_they_are() -> None:
    """The standard library would encode them as words, and every mail program would lose the thread."""
    ids = tuple(f"{n}{'x' * 90}@a-long-name-of-a-host.example" for n in range(3))
    parent = ParsedMail(ids[-1], "Plants", Address("ann@b.example"), references=ids[:-1])
    data = written(replace(LETTER, message_id="m" * 70 + "@home.example", thread=thread_of(parent)))
    assert b"=?" not in data
    parsed = parse_mail(data)
    assert (parsed.in_reply_to, parsed.references) == (ids[-1], ids)
    assert parsed.message_id == "m" * 70 + "@home.example"


def test_the_chain_of_a_long_thread_keeps_its_ends() -> None:
    ids = tuple(f"{n}@b.example" for n in range(100))
    chain = thread_of(ParsedMail(ids[-1], "", Address("a@b.example"), references=ids[:-1]))["References"].split()
    assert (len(chain), chain[0], chain[-1]) == (40, "<0@b.example>", "<99@b.example>")


@pytest.mark.parametrize(
    ("subject", "answered"),
    [("Plants", "Re: Plants"), ("RE: Plants", "RE: Plants"), ("", "Re:"), ("Regards\r\nBcc: x", "Re: Regards Bcc: x")],
)
def test_a_subject_gets_one_prefix(subject: str, answered: str) -> None:
    assert titled("Re", subject) == answered


def test_the_id_is_the_keys_at_the_authors_domain() -> None:
    assert message_id_of("k" * 64, "Mira <mira@bücher.example>") == f"{'k' * 40}@xn--bcher-kva.example"
    assert message_id_of("k" * 64) == f"{'k' * 40}@{UNKNOWN_DOMAIN}"


@pytest.mark.parametrize(
    ("original", "kind"),
    [
        (b"Subject: Hi\n\nHello\n", "message/rfc822"),
        ("Subject: Grüße\n\nGrüße\n".encode(), "message/rfc822"),
        (b"Subject: Hi\n\n" + b"x" * 2000 + b"\n", "application/octet-stream"),
        (b"Subject: Hi\n\na\x00b\n", "application/octet-stream"),
    ],
    ids=["ASCII", "eight bits", "a line that SMTP does not carry", "a byte that SMTP does not carry"],
)
def test_what_is_passed_on_is_the_same_to_the_byte(original: bytes, kind: str) -> None:
    """But for the ends of its lines; what SMTP does not carry as it is, is packed."""
    data = written(replace(LETTER, text="See below.", forwarded=original))
    assert read(replace(LETTER, forwarded=original)).get_content_type() == "multipart/mixed"
    words, attached = message_from_bytes(data, policy=default).iter_parts()
    assert (words.get_content().strip(), attached.get_content_type()) == ("See below.", kind)
    assert attached.get_filename() == "mail.eml"
    if kind == "message/rfc822":
        assert original.replace(b"\n", b"\r\n") in data
    else:
        assert attached.get_content() == original
