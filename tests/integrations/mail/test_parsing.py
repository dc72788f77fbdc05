"""Mail as it is: raw bytes, wrong charsets, broken structure, and always an answer."""

from __future__ import annotations

import base64
import hashlib
import os
import pickle
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brody_agents.errors import ItemUnreadable, NotFound
from brody_agents.integrations.mail.base import Address, ParsedMail
from brody_agents.integrations.mail.parsing import LONGEST_TEXT, SIGNALS, parse_mail, part_bytes

CORPUS = Path(__file__).parents[4] / "shared" / "data" / "mail"


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from strings([*value, *value.values()])
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from strings(part)
    elif is_dataclass(value):
        yield from strings([getattr(value, field.name) for field in fields(value)])


def assert_sound(mail: ParsedMail) -> None:
    for text in strings(mail):
        text.encode("utf-8")
        assert "\0" not in text
    assert mail.message_id
    assert mail.date is None or mail.date.tzinfo is not None
    assert len(mail.text) <= LONGEST_TEXT
    assert pickle.loads(pickle.dumps(mail)) == mail


def mail_of(head: str | bytes, body: str | bytes = "Hi") -> ParsedMail:
    head = head.encode() if isinstance(head, str) else head
    body = body.encode() if isinstance(body, str) else body
    mail = parse_mail(b"From: a@x.example\n" + head + b"\n\n" + body)
    assert_sound(mail)
    return mail


# -- the real ones ------------------------------------------------------------------------------------


def corpus() -> list[Path]:
    if not CORPUS.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail("the corpus beside the checkout is missing")
        pytest.skip("the corpus of real mail is not beside the checkout")
    return sorted(path for path in CORPUS.rglob("*") if path.is_file())


def test_every_real_message_is_read() -> None:
    mails = [parse_mail(path.read_bytes()) for path in corpus()]
    for mail in mails:
        assert_sound(mail)
    assert len(mails) == 320
    assert all(mail.date and mail.date.year in range(2001, 2004) for mail in mails)
    assert all(mail.sender.address for mail in mails)
    assert sum(bool(mail.text) for mail in mails) >= 318
    assert sum("list-id" in mail.signals for mail in mails) > 100


def test_quotes_and_list_footers_of_real_mail_are_no_reply() -> None:
    lists = [parse_mail(path.read_bytes()) for path in corpus() if "easy-ham" in str(path)]
    replies = [mail.reply for mail in lists]
    assert not any(line.startswith("> ") for reply in replies for line in reply.splitlines())
    assert not any("mailing list\n" in reply for reply in replies)
    assert sum(bool(reply) for reply in replies) >= len(lists) - 2


# -- anything -----------------------------------------------------------------------------------------


@given(st.binary(max_size=2000))
def test_any_bytes_are_a_mail_or_unreadable(data: bytes) -> None:
    with suppress(ItemUnreadable):
        assert_sound(parse_mail(data))


PIECES = [
    b"\n", b"\n\n", b"\r", b"\0", b"\xff\xfe", b"--b\n", b"--b--\n", b" ", b'"', b"<", b"(", b";", b"=?utf-8?b?4pyT?=",
    b"=?x-no?q?=FF?=", b'Content-Type: multipart/mixed; boundary="b"\n', b"Content-Type: message/rfc822\n\n",
    b"Content-Type: multipart/alternative; boundary=b\n\n--b\n", b"Content-Transfer-Encoding: base64\n",
    b"Content-Transfer-Encoding: x-uuencode\n", b"Content-Type: text/html; charset=utf-7\n\n<p>+2AA-",
    b"Content-Type: text/calendar; charset=punycode\n\n", b"Content-Disposition: attachment; filename*=x'y'%ff\n",
    b"Content-Type: text/plain; charset*=a'b'%ff; format=flowed\n", b"begin 644 x\n#0V%T\n`\nend\n", b"Date: ",
    b"Mon, 32 Jan 99999 25:61:61 +9999", b"From a@b Mon Jan  1 00:00:00 2001\n", b"Subject: ", b"To: a, b:;<>,,",
    b"Received: x; ", b"References: <", b"Content-Type: multipart/mixed\n\n--c\nContent-Type: text/plain\n\nx\n--c--\n",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=8), max_size=25).map(b"".join))
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_pieces_of_mail_in_any_order_are_a_mail(data: bytes) -> None:
    mail = parse_mail(b"Subject: x\n" + data)
    assert_sound(mail)
    for file in mail.attachments:
        assert hashlib.sha256(part_bytes(b"Subject: x\n" + data, file.index)).hexdigest() == file.sha256


@pytest.mark.parametrize("data", [b"", b"\n\n  \n", b"\xff\xd8\xff\xe0", b"no header here\n\nnor here", b"\0" * 100])
def test_what_has_no_header_line_is_unreadable(data: bytes) -> None:
    with pytest.raises(ItemUnreadable):
        parse_mail(data)


# -- headers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "subject"),
    [
        (b"=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        (b"=?utf-8?b?R3LDvA==?=\n =?utf-8?b?w59l?=", "Grüße"),
        (b"=?utf-8?b?R3LD?= =?utf-8?b?vMOfZQ==?=", "Grüße"),
        (b"a =?utf-8?q?b?= c =?iso-8859-1?q?=E4?=", "a b c ä"),
        (b"=?utf-8?b?R3LDvMOf?=e", "Grüße"),
        (b"=?utf-8?Q?Re: a b?=", "Re: a b"),
        (b"=?us-ascii*en?q?plain?=", "plain"),
        ("Grüße".encode(), "Grüße"),
        ("Grüße".encode("latin-1"), "Grüße"),
        (b"=?x-unknown?q?=E4?=", "ä"),
        (b"=?utf-8?b?!?=", "=?utf-8?b?!?="),
        (b"a\n\tb\r\n c", "a b c"),
        (b"a\0b\x1b[2J", "ab[2J"),
        (b"=?utf-7?q?+2AA-?=", "\ufffd"),
    ],
)
def test_subjects_are_read_however_they_are_encoded(raw: bytes, subject: str) -> None:
    assert mail_of(b"Subject: " + raw).subject == subject


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Ada <Ada@X.example>", [Address("ada@x.example", "Ada")]),
        ('"Exa, Ada" <ada@x.example>, b@x.example', [Address("ada@x.example", "Exa, Ada"), Address("b@x.example")]),
        ("ada@x.example (Ada Example)", [Address("ada@x.example", "Ada Example")]),
        ("=?utf-8?q?J=C3=B6rg=2C_M?= <j@x.example>", [Address("j@x.example", "Jörg, M")]),
        ("Team: a@x.example, B <b@x.example>;", [Address("a@x.example"), Address("b@x.example", "B")]),
        ("undisclosed-recipients:;", []),
        ("ada @ x.example", [Address("ada@x.example")]),
        ("Ada Example ada@x.example", [Address("ada@x.example", "Ada Example")]),
        ("a@x.example; b@x.example", [Address("a@x.example"), Address("b@x.example")]),
        ('"a@good.example" <b@bad.example>', [Address("b@bad.example", "a@good.example")]),
        ("<@relay.example:a@x.example>", [Address("a@x.example")]),
        ("root", [Address("root")]),
        ('"Ada <ada@x.example>, b@x.example', [Address("ada@x.example", "Ada"), Address("b@x.example")]),
        ("a@x.example,,a@x.example,", [Address("a@x.example")]),
        (r'"A \"B\" C" <a@x.example>', [Address("a@x.example", 'A "B" C')]),
        ("<>", []),
    ],
)  # fmt: skip
def test_addresses_are_read_however_they_are_written(raw: str, expected: list[Address]) -> None:
    assert mail_of(f"To: {raw}").to == tuple(expected)


def test_a_missing_sender_is_found_elsewhere() -> None:
    assert parse_mail(b"Subject: x\nSender: A <a@x.example>\n\nHi").sender == Address("a@x.example", "A")
    assert parse_mail(b"From b@x.example Mon Jan  1 00:00:00 2001\nSubject: x\n\nHi").sender == Address("b@x.example")
    assert parse_mail(b"Subject: x\n\nHi").sender == Address("")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Wed, 21 Aug 2002 10:00:00 +0200", datetime(2002, 8, 21, 8, tzinfo=UTC)),
        ("21 Aug 02 10:00 EST", datetime(2002, 8, 21, 15, tzinfo=UTC)),
        ("Wed, 21 Aug 2002 10:00:00 -0000", datetime(2002, 8, 21, 10, tzinfo=UTC)),
        ("Wed, 21 Aug 2002 10:00:60 GMT", datetime(2002, 8, 21, 10, 0, 59, tzinfo=UTC)),
        ("Wed, 21 Aug 2002 10:00:00 +9900", datetime(2002, 8, 21, 10, tzinfo=UTC)),
        ("Wed, 21 Aug 2002 10:00:00 NOWHERE", datetime(2002, 8, 21, 10, tzinfo=UTC)),
        ("Wed, 21 Aug 0001 10:00:00 +0000", None),
        ("Wed, 21 Aug 9999 10:00:00 -1200", None),
        ("Wed, 32 Aug 2002 10:00:00 +0000", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_dates_are_read_or_are_none(raw: str, expected: datetime | None) -> None:
    date = mail_of(f"Date: {raw}").date
    assert date == expected
    if date is not None:
        (date - timedelta(days=1)).astimezone(UTC)


def test_the_newest_received_header_stands_in_for_a_missing_date() -> None:
    received = "Received: by b; Thu, 22 Aug 2002 10:00:00 +0000\nReceived: by a; Wed, 21 Aug 2002 10:00:00 +0000"
    assert mail_of(received).date == datetime(2002, 8, 22, 10, tzinfo=UTC)
    assert mail_of(f"Date: never\n{received}").date == datetime(2002, 8, 22, 10, tzinfo=UTC)
    assert mail_of(f"{received}\nDate: Wed, 21 Aug 2002 09:00:00 +0000").date == datetime(2002, 8, 21, 9, tzinfo=UTC)


def test_nothing_was_received_before_it_was_written() -> None:
    head = "Received: by a; Wed, 21 Aug 2002 10:00:00 +0000\nDate: Wed, 21 Aug 2041 10:00:00 +0000"
    assert mail_of(head).date == datetime(2002, 8, 21, 10, tzinfo=UTC)


def test_message_ids_stand_without_brackets() -> None:
    mail = mail_of("Message-ID: <1@x>\nIn-Reply-To: <0@x> (yesterday)\nReferences: <a@x>\n <b@x>\n\t<a@x> junk")
    assert (mail.message_id, mail.in_reply_to, mail.references) == ("1@x", "0@x", ("a@x", "b@x"))
    old = 'In-Reply-To: Message from "Bob" <bob@x.example> of "Monday" <9@x>'
    assert mail_of(old).in_reply_to == "9@x"


def test_a_missing_message_id_is_made_from_what_the_sender_wrote() -> None:
    one = parse_mail(b"Received: by a\nFrom: a@x.example\nSubject: x\n\nHi\n")
    two = parse_mail(b"Received: by b\nStatus: RO\nFrom: a@x.example\nSubject: x\n\nHi\n\n")
    other = parse_mail(b"From: a@x.example\nSubject: x\n\nHo\n")
    assert one.message_id == two.message_id != other.message_id


def test_headers_that_triage_needs_are_kept_decoded_and_joined() -> None:
    mail = mail_of(
        "List-Id: =?utf-8?q?Gr=C3=BC=C3=9Fe?= <l.x>\nReceived-SPF: pass\nReceived-SPF: fail\nReturn-Path: <>"
    )
    assert mail.signals == {"list-id": "Grüße <l.x>", "received-spf": "pass\nfail", "return-path": "<>"}
    assert {"list-unsubscribe", "precedence", "auto-submitted", "authentication-results", "importance"} <= {*SIGNALS}


# -- structure ----------------------------------------------------------------------------------------


def test_a_mbox_line_byte_order_mark_or_blank_lines_may_stand_before_the_headers() -> None:
    plain = parse_mail(b"Subject: x\n\nHi")
    for before in (b"From a@b Mon Jan  1 00:00:00 2001\n", b">From a@b\n", b"\xef\xbb\xbf", b"\n \n", b"HTTP junk\n"):
        mail = parse_mail(before + b"Subject: x\n\nHi")
        assert (mail.subject, mail.text) == (plain.subject, plain.text)


def test_a_header_line_that_lost_its_indentation_does_not_end_the_head() -> None:
    mail = parse_mail(b"From: a@x.example\nTo: b@x.example,\nc@x.example\nSubject: x\n\nHi")
    assert (mail.subject, mail.text) == ("x", "Hi")
    assert [to.address for to in mail.to] == ["b@x.example", "c@x.example"]


def test_a_body_may_follow_the_headers_without_a_blank_line() -> None:
    mail = parse_mail(b"From: a@x.example\nSubject: x\nHello there,\nthis is text.\n\nMore: of it\n")
    assert mail.subject == "x"
    assert mail.text.startswith("Hello there,\nthis is text.")


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_all_line_ends_are_read(newline: bytes) -> None:
    mail = parse_mail(b"Subject: x\nFrom: a@x.example\n\none\ntwo".replace(b"\n", newline))
    assert (mail.subject, mail.text) == ("x", "one\ntwo")


ALTERNATIVE = """Content-Type: multipart/alternative; boundary=b

--b
Content-Type: text/plain; charset=utf-8

{plain}
--b
Content-Type: text/html; charset=utf-8

{html}
--b--
"""


def alternative(plain: str, html: str) -> ParsedMail:
    return parse_mail(("From: a@x.example\n" + ALTERNATIVE.format(plain=plain, html=html)).encode())


def test_of_alternatives_the_plain_one_is_the_text() -> None:
    mail = alternative("Plain text here.", "<p>HTML text here.</p><p style='display:none'>x</p>")
    assert mail.text == "Plain text here."
    assert mail.html_hidden


def test_a_plain_part_that_only_points_to_the_other_is_not_the_text() -> None:
    mail = alternative("Please use an HTML reader.", f"<p>{'Real content. ' * 50}</p>")
    assert mail.text.startswith("Real content.")


def test_a_list_footer_after_html_does_not_hide_it() -> None:
    body = "--b\nContent-Type: text/html\n\n<p>Hello</p>\n--b\nContent-Type: text/plain\n\nfooter\n--b--\n"
    assert mail_of("Content-Type: multipart/mixed; boundary=b", body).text == "Hello\n\nfooter"


@pytest.mark.parametrize("declared", ["boundary=other", 'boundary=""', "", "charset=utf-8"])
def test_parts_are_found_when_the_boundary_is_wrong_or_missing(declared: str) -> None:
    file = "Content-Type: application/pdf; name=a.pdf\n\nx\n"
    body = f"junk\n--real\nContent-Type: text/plain\n\nHello\n--real\n{file}--real--\n"
    mail = mail_of(f"Content-Type: multipart/mixed; {declared}", body)
    assert mail.text == "Hello"
    assert [file.name for file in mail.attachments] == ["a.pdf"]


def test_a_boundary_that_is_never_closed_ends_with_the_message() -> None:
    body = "--b\nContent-Type: text/plain\n\nHello"
    assert mail_of("Content-Type: multipart/mixed; boundary=b", body).text == "Hello"


def test_attachments_carry_a_safe_name_and_their_digest() -> None:
    content = bytes(range(256)) * 4
    body = (
        "--b\n\nSee attachment.\n--b\nContent-Type: application/pdf\nContent-Transfer-Encoding: base64\n"
        'Content-Disposition: attachment; filename="../../etc/r\u00e9sum\u00e9.pdf"\n\n'
        f"{base64.encodebytes(content).decode()}\n--b\nContent-Type: image/png\nContent-ID: <logo>\n\nx\n--b--\n"
    )
    head = "Content-Type: multipart/related; boundary=b"
    mail = mail_of(head, body)
    (file,) = mail.attachments
    assert (file.index, file.name, file.media_type, file.size) == (2, "résumé.pdf", "application/pdf", len(content))
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    data = f"From: a@x.example\n{head}\n\n{body}".encode()
    assert part_bytes(data, 2) == content
    with pytest.raises(NotFound):
        part_bytes(data, 7)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("filename*=utf-8''a%20%E2%82%AC.txt", "a €.txt"),
        ("filename*0=lo; filename*1=ng.txt", "long.txt"),
        ('filename="=?utf-8?q?=E2=82=AC.txt?="', "€.txt"),
        ('filename="C:\\\\temp\\\\a.txt"', "a.txt"),
        ('filename=".."', "part-0"),
        ("filename*=no-such'x'%ff.txt", "ÿ.txt"),
    ],
)
def test_file_names_are_read_however_they_are_encoded(header: str, name: str) -> None:
    mail = mail_of(f"Content-Type: application/x-y\nContent-Disposition: attachment; {header}")
    assert [file.name for file in mail.attachments] == [name]


def test_signatures_are_no_files() -> None:
    body = "--b\n\nHello\n--b\nContent-Type: application/pgp-signature; name=signature.asc\n\nx\n--b--\n"
    assert mail_of("Content-Type: multipart/signed; boundary=b", body).attachments == ()


def test_an_attached_message_is_a_file_and_none_of_its_text_ours() -> None:
    body = "--b\n\nFYI\n--b\nContent-Type: message/rfc822\n\nSubject: Inner: one/two\n\nsecret\n--b--\n"
    mail = mail_of("Content-Type: multipart/mixed; boundary=b", body)
    assert mail.text == "FYI"
    assert [(file.name, file.media_type) for file in mail.attachments] == [("two.eml", "message/rfc822")]


def test_a_message_that_is_nothing_but_another_has_its_text() -> None:
    assert mail_of("Content-Type: message/rfc822", "Subject: inner\n\nHello").text == "Hello"


def test_uuencoded_files_are_files() -> None:
    mail = mail_of("Subject: x", "Look:\n\nbegin 644 cat.txt\n#0V%T\n`\nend\n\nBye")
    assert (mail.text, [file.name for file in mail.attachments]) == ("Look:\n\n\n\nBye", ["cat.txt"])
    assert mail.attachments[0].sha256 == hashlib.sha256(b"Cat").hexdigest()
    assert mail_of("Subject: x", "begin 644 talks\nabout uuencode, but is none").attachments == ()


def test_an_invite_is_kept_as_it_is() -> None:
    body = (
        "--b\n\nYou are invited.\n--b\nContent-Type: text/calendar; method=REQUEST\n"
        "Content-Transfer-Encoding: base64\n\n"
        + base64.encodebytes(b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n").decode()
        + "--b--\n"
    )
    mail = mail_of("Content-Type: multipart/alternative; boundary=b", body)
    assert mail.invite.strip() == "BEGIN:VCALENDAR\nEND:VCALENDAR"
    assert mail.text == "You are invited."
    named = "Content-Type: application/octet-stream; name=invite.ics"
    assert mail_of(named, "BEGIN:VCALENDAR").invite == "BEGIN:VCALENDAR"


def test_html_gives_text_and_linked_data() -> None:
    html = '<script type="application/ld+json">{"@type": "Order"}</script><p>Gr\u00fc\u00dfe</p>'
    mail = mail_of(b"Content-Type: text/html", html.encode("latin-1"))
    assert (mail.text, mail.json_ld) == ("Grüße", ('{"@type": "Order"}',))


def test_flowed_lines_are_joined() -> None:
    body = "This is one \nsentence.\n-- \nname"
    assert mail_of("Content-Type: text/plain; format=flowed", body).text == "This is one sentence.\n-- \nname"


@pytest.mark.parametrize(
    ("encoding", "body", "text"),
    [
        ("base64", b"R3LD\nvMOfZQ", "Grüße"),
        ("quoted-printable", b"Gr=C3=BC=C3=9Fe =\nund mehr =ZZ", "Grüße und mehr =ZZ"),
        ("8bit", "Grüße".encode(), "Grüße"),
        ("nonsense", "Grüße".encode("latin-1"), "Grüße"),
    ],
)
def test_bodies_are_decoded_or_left(encoding: str, body: bytes, text: str) -> None:
    head = f"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: {encoding}"
    assert mail_of(head.encode(), body).text == text


# -- attacks ------------------------------------------------------------------------------------------


def nested(depth: int) -> bytes:
    parts = (f'Content-Type: multipart/mixed; boundary="b{n}"\n\n--b{n}\n'.encode() for n in range(depth))
    return b"From: a@x.example\n" + b"".join(parts) + b"\nthe end"


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "data",
    [
        nested(90),
        nested(20_000),
        nested(90) + b"line\n" * 1_500_000,
        b"Subject: x\n\n" + b"Hello world, this is text.\n" * 400_000,
        b"Subject: x\n\n" + b"On a " * 2_000_000,
        b"Subject: x\n\n" + b" \n" * 3_000_000,
        b"Subject: x\nTo: " + b'\\"' * 3_000_000 + b"\n\nx",
        b"Subject: x\nContent-Type: text/plain; " + b'a="b"; ' * 300_000 + b"\n\nx",
        b"Content-Type: text/html\n\n" + b"<div>" * 500_000,
        b"X-A: b\n" * 700_000 + b"\nx",
        b"Content-Type: message/rfc822\n\n" * 3_000 + b"Subject: y\n\nhi",
    ],
    ids=[
        "deep",
        "abyss",
        "deep-long",
        "long",
        "one-line",
        "blank",
        "quotes",
        "parameters",
        "html",
        "headers",
        "rfc822",
    ],
)
def test_mail_made_to_take_minutes_takes_seconds(data: bytes) -> None:
    assert_sound(parse_mail(data))


def test_the_end_of_a_deep_message_is_read() -> None:
    assert mail_of(nested(90)[len(b"From: a@x.example\n") :]).text.startswith("the end")
    assert "the end" in parse_mail(nested(1_000)).text
