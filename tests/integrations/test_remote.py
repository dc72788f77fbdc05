"""URLs of remote accounts: their parts, one form, and no secret in any word that is shown."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brody_agents.errors import ConfigurationError, UnknownSource
from brody_agents.integrations import remote
from brody_agents.integrations.sources import open_source

PORTS = {"smtp": 587, "smtps": 465}


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("smtp://me@mail.example", "smtp://me@mail.example:587"),
        ("smtps://mail.example", "smtps://mail.example:465"),
        ("smtp://me@work.example@MAIL.example:25?sent=x", "smtp://me%40work.example@mail.example:25"),
        ("smtp://me%40work.example@mail.example:25", "smtp://me%40work.example@mail.example:25"),
        ("smtp://[::1]:25", "smtp://[::1]:25"),
    ],
)
def test_a_place_has_one_key_which_names_it_again(url: str, key: str) -> None:
    assert remote.place_of(url, PORTS, ["sent"]).key == key
    assert remote.place_of(key, PORTS).key == key


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.0.0.9", True),
        ("[::1]", True),
        ("mail.example", False),
        ("127.0.0.1.mail.example", False),
        ("0.0.0.0", False),
    ],
)
def test_only_this_machine_is_the_loopback_interface(host: str, loopback: bool) -> None:
    assert remote.place_of(f"smtp://{host}", PORTS).loopback is loopback


@pytest.mark.parametrize(
    "url",
    [
        *(
            "smtp://",
            "smtp:me@mail.example",
            "http://mail.example",
            "smtp://mail.example:x",
            "smtp://[::1",
            "smtp://h#f",
        ),
        *("smtp://me:secret@mail.example", "smtp://mail.example?secret=1", "smtp://me:se/cret@mail.example:1"),
    ],
)
def test_what_is_no_such_url_is_said_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        remote.place_of(url, PORTS, ["sent"])
    assert caught.value.remedy
    assert ":secret@" not in str(caught.value)


@given(st.from_regex(r"[A-Za-z0-9!$&'()*+,;=._~%-]{4,30}", fullmatch=True))
def test_no_password_that_a_url_can_hold_is_shown(password: str) -> None:
    word = f"caldav:https://me:{password}@cal.example/x"
    assert remote.shown(word) == "caldav:https://me:***@cal.example/x"
    assert remote.shown("maildir:/home/me:x/Maildir@old") == "maildir:/home/me:x/Maildir@old"
    with pytest.raises(UnknownSource) as caught:
        open_source("mail", word)
    assert f":{password}@" not in str(caught.value)


def test_the_password_of_the_account_comes_before_the_one_of_the_kind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = remote.place_of("smtp://me@work.example@mail.example", PORTS)
    with pytest.raises(ConfigurationError, match="no password") as caught:
        remote.password("SMTP", place)
    own = "BRODY_SMTP_PASSWORD_ME_WORK_EXAMPLE_MAIL_EXAMPLE"
    assert own in caught.value.remedy
    monkeypatch.setenv("BRODY_SMTP_PASSWORD", "general")
    assert remote.password("SMTP", place) == "general"
    monkeypatch.setenv(f"{own}_FILE", str(tmp_path / "secret"))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        remote.password("SMTP", place)
    (tmp_path / "secret").write_text("from a file\n")
    assert remote.password("SMTP", place) == "from a file"
    monkeypatch.setenv(own, "own")
    assert remote.password("SMTP", place) == "own"


@pytest.mark.parametrize(
    ("domain", "word", "said"),
    [
        ("send", "smtp://me@mail.example/inbox", "path"),
        ("send", "smtp://me@mail.example?timeout=soon", "timeout"),
        ("send", "smtp://me@mail.example?tls=never", "tls=required"),
        ("send", "smtp://me@mail.example?sent=imap://mail.example", "not encrypted"),
        ("send", "smtp://me@mail.example?sent=mbox:sent", "in a Maildir or over IMAP"),
        ("calendar", "caldav:http://cal.example/", "https"),
        ("calendar", "caldav:cal.example", "https://"),
    ],
)
def test_options_that_cannot_be_are_refused_when_the_account_is_opened(domain: str, word: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        open_source(domain, word)


async def test_a_missing_library_is_named_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiosmtplib", None)
    monkeypatch.setitem(sys.modules, "caldav", None)
    for domain, word in (("send", "smtp://localhost"), ("calendar", "caldav:http://localhost/")):
        with pytest.raises(ConfigurationError, match=r"brody-agents\[remote\]"):
            await open_source(domain, word).check()
