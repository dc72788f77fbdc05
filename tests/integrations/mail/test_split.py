"""Splitting a message gives what the parser of the standard library gives, whatever the message looks like."""

from __future__ import annotations

from email import message_from_bytes
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brody_agents.integrations.mail import split
from brody_agents.integrations.mail.split import split_message

LINES = [
    *(
        "Subject: x",
        "From: a@x.example",
        " folded",
        "\tfolded",
        "",
        "",
        "Hello,",
        "From here on",
        ": no name",
        "Name : x",
    ),
    *("Content-Type: multipart/mixed; boundary=b", 'Content-Type: multipart/alternative; boundary="c"'),
    *("Content-Type: multipart/digest; boundary=b", "Content-Type: multipart/mixed", "Content-Type: text/html"),
    *("Content-Type: message/rfc822", "Content-Type: message/delivery-status", "Content-Type: multipart/x; boundary=ü"),
    *("--b", "--b", "--b ", "--b--", "--b--", "--b-- x", "--c", "--c", "--c--", "--bc", "\r", "\0"),
]
MESSAGES = st.lists(st.sampled_from(LINES), max_size=30)
WELL_FORMED = (
    "Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n{before}--b\nContent-Type: text/plain\n\none\n--b\n"
    "Content-Type: multipart/alternative;\n boundary=c\n\n--c\n\ntwo\n\n--c\t\nContent-Type: text/html\n\n"
    "<p>three\n--c--{end}--b\nContent-Type: message/rfc822\n\nSubject: y\n\nfour\n--b\nX: head only\n--b--{after}"
)


def form(message: Any) -> Any:
    """Return all that a message holds, as plain data."""
    payload = message.get_payload()
    parts = [form(part) for part in payload] if isinstance(payload, list) else payload
    return list(message.raw_items()), message.get_default_type(), message.preamble, message.epilogue, parts


def read(function: Any, data: bytes) -> Any:
    """Return the form of a message, or the kind of error that reading it raised."""
    try:
        return form(function(data))
    except (AttributeError, TypeError, ValueError, LookupError) as error:
        return type(error)


@given(lines=MESSAGES, line_end=st.sampled_from(["\n", "\r\n"]))
def test_any_lines_make_the_message_that_the_standard_library_makes(lines: list[str], line_end: str) -> None:
    data = line_end.join(lines).encode()
    assert read(split_message, data) == read(message_from_bytes, data)


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("before", ["", "\n", "for old programs\n"])
@pytest.mark.parametrize("end", ["\n", "\n\n", "\nrest\n"])
@pytest.mark.parametrize("after", ["", "\n", "\n\nrest"])
def test_a_message_as_it_should_be_is_split_here(
    monkeypatch: pytest.MonkeyPatch, line_end: str, before: str, end: str, after: str
) -> None:
    data = WELL_FORMED.format(before=before, end=end, after=after).replace("\n", line_end).encode()
    expected = form(message_from_bytes(data))
    monkeypatch.delattr(split, "message_from_bytes")  # the way out for odd ones
    message = split_message(data)
    assert form(message) == expected
    assert message.as_bytes() == message_from_bytes(data).as_bytes()


def test_a_message_in_messages_without_end_is_no_trap() -> None:
    data = b"Content-Type: message/rfc822\n\n" * 300 + b"Subject: x\n\nHi"
    assert read(split_message, data) == read(message_from_bytes, data)
