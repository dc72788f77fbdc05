"""What a message says about its way: one Message-ID, no Bcc on the wire, addresses that a server can take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brody_agents.errors import Refused
from brody_agents.integrations.mail.envelope import envelope_of, header_ids

ME, ADA = "me@mail.example", "ada@work.example"


@pytest.mark.parametrize(
    ("head", "ids"),
    [
        (b"Message-ID: <a@x>\r\nSubject: y\r\n\r\nMessage-ID: <b@x>", [b"<a@x>"]),
        (b"message-id:<a@x>\n\n", [b"<a@x>"]),
        (b"Message-Id:\r\n <a@x>\r\n\r\n", [b"<a@x>"]),
        (b"Message-ID: <a@x>\nMessage-ID: <b@x>\n\n", [b"<a@x>", b"<b@x>"]),
        (b"Subject: x\n Message-ID: <a@x>\n\n", []),
        (b"X-Message-ID: <a@x>\n\n", []),
    ],
)
def test_the_message_id_is_the_headers(head: bytes, ids: list[bytes]) -> None:
    assert header_ids(head) == ids


@pytest.mark.parametrize(
    "data", [b"Subject: x\n\nno id", b"Message-ID: <a@x>\nMessage-ID: <b@x>\n\n", b"Message-ID:\n\n"]
)
def test_a_message_that_could_not_be_found_again_is_refused(data: bytes) -> None:
    with pytest.raises(Refused, match="Message-ID"):
        envelope_of(data, ME, [ADA])


@pytest.mark.parametrize(
    "address",
    ["", "ada", "@work.example", "ada@", "a@b\r\nRCPT TO:<eve@x.example>", "<ada@x.example>", "a b@x.example", "a@..é"],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    data = b"Message-ID: <a@x>\n\n"
    with pytest.raises(Refused):
        envelope_of(data, ME, [ADA, address])
    with pytest.raises(Refused):
        envelope_of(data, address, [ADA])
    with pytest.raises(Refused, match="no recipient"):
        envelope_of(data, ME, [])


@given(body=st.binary(max_size=80), newline=st.sampled_from([b"\n", b"\r\n"]), where=st.integers(0, 3))
def test_bcc_leaves_the_header_and_nothing_else_changes(body: bytes, newline: bytes, where: int) -> None:
    lines = [
        b"Message-ID: <a@x>",
        b"To: ada@work.example,\n\tbob@work.example".replace(b"\n", newline),
        b"Subject: Bcc: x",
    ]
    rest = newline + newline + b"Bcc: in the body" + newline + body
    with_bcc = [*lines[:where], b"BCC: eve@x.example," + newline + b" fritz@x.example", *lines[where:]]
    envelope = envelope_of(newline.join(with_bcc) + rest, ME, [ADA])
    assert envelope.data == newline.join(lines) + rest
    assert envelope.size >= len(envelope.data)


def test_what_a_server_must_be_able_to_is_told() -> None:
    plain = envelope_of(b"Message-ID: <a@x>\nSubject: x\n\nbody\n", ME, [ADA, ADA])
    assert (plain.international, plain.eight_bit, plain.recipients, plain.size) == (False, False, (ADA,), 39)
    assert envelope_of(b"Message-ID: <a@x>\n\nGr\xc3\xbc\xc3\x9fe", ME, [ADA]).eight_bit
    assert envelope_of("Message-ID: <a@x>\nSubject: Grüße\n\n".encode(), ME, [ADA]).international
    assert envelope_of(b"Message-ID: <a@x>\n\n", "josé@mail.example", [ADA]).international
    domain = envelope_of(b"Message-ID: <a@x>\n\n", ME, ["ada@bücher.example"])
    assert (domain.international, domain.recipients) == (False, ("ada@xn--bcher-kva.example",))
