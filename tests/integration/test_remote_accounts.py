"""Remote accounts from the command line: read, remembered, checked; and no password where it could be seen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.kit import MAIL, Commands
from tests.crash.kit import Kit
from tests.integration.conftest import Radicale, StartSmtp
from tests.integration.test_caldav import vcalendar

pytestmark = pytest.mark.integration
SECRET = "hunter2-in-the-url"


@pytest.fixture
def brody(tmp_path: Path, home: Path) -> Iterator[Commands]:
    (tmp_path / "output").mkdir()
    kit = Kit(tmp_path / "output", {"BRODY_REDIS_URL": "memory:", "BRODY_CALDAV_PASSWORD": "right"})
    yield Commands(kit, home)
    kit.close()


def test_a_remote_calendar_is_read_and_remembered(brody: Commands, radicale: Radicale) -> None:
    """The day shows its events; the next run names no account and sees what changed on the server."""
    today = vcalendar("today", "Review with Ada").replace("20260330T080000Z", "20261026T100000Z")
    radicale.request("PUT", "/me/work/today.ics", today)
    first = brody.run("--calendar", f"caldav:{radicale.url}", playbook="prepare-my-day").brief
    assert [(event["title"], event["calendar"]) for event in first["agenda"]] == [("Review with Ada", "Work")]
    radicale.request("PUT", "/me/work/today.ics", today.replace("Review with Ada", "Walk with Ada"))
    second = brody.run(playbook="prepare-my-day").brief
    assert [event["title"] for event in second["agenda"]] == ["Walk with Ada"]
    radicale.stop()
    third = brody.run(playbook="prepare-my-day")
    assert third.code == 1, "its only account is not there"
    assert "cannot be reached" in third.err + third.out


def test_where_mail_leaves_comes_in_addition_to_the_accounts_of_earlier_runs(
    brody: Commands, tmp_path: Path, sent: Path
) -> None:
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail" / "one.eml").write_text(MAIL.format(name="one"))
    brody.scan("--mail", f"eml:{tmp_path / 'mail'}")
    brief = brody.scan("--send", f"smtp://me@mail.example:587?sent=maildir:{sent}")
    assert (brief["counts"]["messages_read"], brief["problems"]) == (1, [])


def test_doctor_signs_in_and_says_what_it_found(
    brody: Commands, radicale: Radicale, smtp_server: StartSmtp, sent: Path
) -> None:
    server = smtp_server()
    send = f"smtp://127.0.0.1:{server.port}?sent=maildir:{sent}"
    ended = brody("doctor", "--calendar", f"caldav:{radicale.url}", "--send", send, "--json")
    assert "2 calendars (Private life, Work)" in ended.out
    assert f"sent mail in maildir:{sent}" in ended.out
    server.stop()
    ended = brody("doctor", "--send", send, "--json")
    assert "cannot be reached" in ended.out


def test_a_password_in_a_url_is_refused_and_never_shown(brody: Commands, tmp_path: Path) -> None:
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail" / "one.eml").write_text(MAIL.format(name="one"))
    words = ["--calendar", f"caldav:https://me:{SECRET}@cal.example/", "--send", f"smtp://me:{SECRET}@mail.example"]
    words += ["--contacts", f"carddav:https://me:{SECRET}@cal.example/"]
    for ended in (brody("doctor", *words, "--json"), brody.run("--mail", f"eml:{tmp_path / 'mail'}", *words)):
        assert "password in it" in ended.out
        assert SECRET not in ended.out + ended.err
    stored = b"".join(path.read_bytes() for path in brody.home.rglob("*") if path.is_file())
    assert SECRET.encode() not in stored
