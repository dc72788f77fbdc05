"""The analytics agent in a Brody of its own: figures in the brief, also without any other agent."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from brody_agents import Brody
from brody_agents.proactive.playbooks.brief import Brief
from brody_analytics import AnalyticsAgent

NOW = datetime(2026, 5, 11, 8, tzinfo=ZoneInfo("Europe/Berlin"))
CALENDAR = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//test//EN
BEGIN:VEVENT
UID:weekly@home.example
DTSTAMP:20260101T000000Z
DTSTART;TZID=Europe/Berlin:20260105T100000
DTEND;TZID=Europe/Berlin:20260105T110000
RRULE:FREQ=WEEKLY
SUMMARY:Weekly
ATTENDEE:mailto:anna@kern.example
END:VEVENT
BEGIN:VEVENT
UID:today@home.example
DTSTAMP:20260101T000000Z
DTSTART:20260511T120000Z
DTEND:20260511T130000Z
SUMMARY:Globex
ATTENDEE:mailto:tomas@globex.example
END:VEVENT
END:VCALENDAR
"""


def write_mail(folder: Path, name: str, sender: str, at: datetime, answers: str = "") -> None:
    message = EmailMessage()
    message["From"] = sender
    message["To"] = "anna@kern.example" if sender.startswith("me@") else "me@home.example"
    message["Delivered-To"] = "me@home.example"
    message["Subject"], message["Date"], message["Message-ID"] = "Lease", format_datetime(at), f"<{name}@x.example>"
    if answers:
        message["In-Reply-To"] = f"<{answers}@x.example>"
    message.set_content("Hello")
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.eml").write_bytes(message.as_bytes())


async def prepared(home: Path, accounts: dict[str, str]) -> Brief:
    async with Brody(home=home, accounts=accounts, agents=[AnalyticsAgent()]) as brody:
        return await brody.run("prepare-my-day", user_id="me", now=NOW, timezone="Europe/Berlin")


async def test_the_brief_has_figures_from_mail_and_calendar(tmp_path: Path) -> None:
    (tmp_path / "home.ics").write_text(CALENDAR.replace("\n", "\r\n"))
    for day in range(1, 15):
        write_mail(tmp_path / "mail", f"q{day}", "anna@kern.example", NOW - timedelta(days=day))
    write_mail(tmp_path / "mail", "r2", "me@home.example", NOW - timedelta(days=2, hours=-4), answers="q2")
    accounts = {"mail": f"eml:{tmp_path / 'mail'}", "calendar": f"ics:{tmp_path / 'home.ics'}"}
    brief = await prepared(tmp_path / "brody", accounts)
    values = {name: figure["value"] for name, figure in brief.analytics.items()}
    assert (values["received_today"], values["received_usual"]) == (0, 1)
    assert (values["meeting_hours_today"], values["meeting_hours_week"]) == (2, 2)
    assert values["meeting_hours_usual_week"] == 1
    assert (values["load_usual"], values["load_against_usual"]) == (1, 2)
    assert values["response_hours"] == 4
    assert all(figure["definition"] for figure in brief.analytics.values())


async def test_an_empty_day_has_figures_that_say_why_they_are_unknown(tmp_path: Path) -> None:
    (tmp_path / "mail").mkdir()
    brief = await prepared(tmp_path / "brody", {"mail": f"eml:{tmp_path / 'mail'}"})
    assert brief.analytics["received_usual"]["value"] is None
    assert brief.analytics["received_usual"]["definition"] == "Unknown: there is no mail."
    assert brief.analytics["tasks_overdue"]["value"] == 0


async def test_the_same_day_twice_has_the_same_figures(tmp_path: Path) -> None:
    (tmp_path / "home.ics").write_text(CALENDAR.replace("\n", "\r\n"))
    accounts = {"calendar": f"ics:{tmp_path / 'home.ics'}"}
    first = await prepared(tmp_path / "brody", accounts)
    second = await prepared(tmp_path / "brody", accounts)
    assert first.analytics == second.analytics
