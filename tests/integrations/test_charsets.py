"""Bytes to text, whatever somebody declared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brody_agents.integrations.charsets import clean, codec, decode

NAMES = ["", "utf-8", "us-ascii", "iso-8859-1", "utf-7", "utf-16", "iso-2022-jp", "gb2312", "punycode", "rot13", "x-no"]


@given(st.binary(max_size=300), st.sampled_from(NAMES))
def test_any_bytes_become_text_that_can_be_stored(data: bytes, charset: str) -> None:
    text = clean(decode(data, charset))
    assert "\0" not in text
    assert text.encode().decode() == text


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        ("Grüße".encode(), "", "Grüße"),
        ("Grüße".encode("latin-1"), "", "Grüße"),
        ("Grüße".encode(), "us-ascii", "Grüße"),
        ("Grüße".encode(), "iso-8859-1", "Grüße"),
        ("„Grüße“".encode("cp1252"), "iso-8859-1", "„Grüße“"),
        ("Grüße".encode("latin-1"), "utf-8", "Grüße"),
        ("Привет".encode("koi8-r"), "KOI8-R", "Привет"),
        ("日本".encode("iso-2022-jp"), "iso-2022-jp", "日本"),
        ("Grüße".encode("utf-16"), "", "Grüße"),
        (b"\xef\xbb\xbfa", "", "a"),
        ("Grüße, Müller".encode() + b"\xff", "utf-8", "Grüße, Müller\ufffd"),
        ("Grüße".encode(), "x-unknown", "Grüße"),
        (b"\\u00e4", "unicode_escape", "\\u00e4"),
        (b"xn--a", "punycode", "xn--a"),
    ],
)
def test_wrong_labels_are_seen_through(data: bytes, charset: str, text: str) -> None:
    assert clean(decode(data, charset)) == text


def test_what_could_steer_a_terminal_or_cannot_be_stored_is_gone() -> None:
    assert clean("a\x00b\x1b[31mc\r\nd\re\tf\ud800g\x9b") == "ab[31mc\nd\ne\tf\ufffdg"


def test_codecs_that_are_no_charsets_are_refused() -> None:
    assert [codec(name) for name in ("punycode", "idna", "unicode_escape", "rot13", "zlib", "a\0b", "x" * 500)] == [
        ""
    ] * 7
