"""What a card is made on: whatever speaks against doing it now makes a new card that says so."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from brody_agents.action import ActionState
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Email
from brody_agents.settings import Settings
from tests.policy.kit import Desk
from tests.policy.kit import desk as opened

pytestmark = pytest.mark.timeout(60)
NOW = datetime(2026, 3, 2, 7, tzinfo=UTC)
SLOT = {"start": "2026-03-02T09:00:00+00:00", "end": "2026-03-02T10:00:00+00:00"}
EVENT = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//example//test//EN
BEGIN:VEVENT
UID:{uid}@cal.example
DTSTAMP:20260301T080000Z
DTSTART:20260302T{begin}00Z
DTEND:20260302T{end}00Z
SUMMARY:{title}
END:VEVENT
END:VCALENDAR
"""
MAIL = """From: ann@b.example
To: me@home.example
Subject: {n}
Message-ID: <{n}@b.example>
Date: {date}

Word {n}.
"""


class Day:
    """A desk over a folder of mail and one of events, read by real runs."""

    def __init__(self, desk: Desk, folder: Path) -> None:
        self.desk, self.folder = desk, folder
        self.account = f"ics:{folder / 'calendar'}"

    def event(self, title: str, begin: str, end: str) -> None:
        """Write an event."""
        text = EVENT.format(uid=title, title=title, begin=begin, end=end)
        (self.folder / "calendar" / f"{title}.ics").write_text(text.replace("\n", "\r\n"), newline="")

    def mail(self, n: int) -> Path:
        """Write a mail."""
        path = self.folder / "mail" / f"{n}.eml"
        path.write_text(MAIL.format(n=n, date=f"Mon, 02 Mar 2026 0{n}:00:00 +0000"))
        return path

    async def read(self) -> None:
        """Read the accounts, and put all mail in one thread."""
        accounts = {"mail": f"eml:{self.folder / 'mail'}", "calendar": self.account}
        brody = self.desk.brody
        brody._accounts = type(brody._accounts)(accounts)
        await brody.run("prepare-my-day", now=NOW, timezone="UTC")
        async with brody.ledger.write() as tx:
            await tx.execute(update(table(Email)).values(thread_id="thread"))

    async def mail_id(self) -> str:
        """Return the id of the oldest mail."""
        e = table(Email).c
        async with self.desk.brody.ledger.read() as tx:
            return str((await tx.execute(select(e.id).order_by(e.timestamp).limit(1))).scalar())

    async def approve(self, card: Any) -> list[str]:
        """Approve a card and return what has changed; nothing where it was let."""
        decision = await self.desk.brody.approvals.decide(card.id, "approve")
        if decision.instead is None:
            assert decision.action_state is ActionState.APPROVED
            return []
        assert decision.action_state is ActionState.AWAITING_APPROVAL
        return decision.instead.changed


@pytest.fixture
async def day(tmp_path: Path, settings: Settings) -> Any:
    """Give a day with one mail and one event, read once."""
    for name in ("mail", "calendar"):
        (tmp_path / name).mkdir()
    async with opened(asks=True, settings=settings) as desk:
        found = Day(desk, tmp_path)
        found.event("Lunch", "1200", "1300")
        found.mail(1)
        await found.read()
        yield found


async def test_a_time_that_stays_free_is_taken(day: Day) -> None:
    """An event beside it, read since, is nothing to ask about."""
    card = await day.desk.ask("calendar.create", title="Focus", account=day.account, **SLOT)
    day.event("Beside", "1000", "1100")
    await day.read()
    assert await day.approve(card) == []


async def test_a_time_that_an_event_takes_since_makes_a_new_card(day: Day) -> None:
    """It says what took it; the person may still insist."""
    card = await day.desk.ask("calendar.create", title="Focus", account=day.account, **SLOT)
    day.event("Dentist", "0930", "1030")
    await day.read()
    assert await day.approve(card) == ["The time is taken by “Dentist” now."]
    (again,) = [c for c in await day.desk.brody.approvals.list() if c.action_id == card.action_id]
    assert again.number == 2
    assert await day.approve(again) == []


async def test_a_time_that_was_taken_when_the_card_was_made_is_no_news(day: Day) -> None:
    at_lunch = {"start": "2026-03-02T12:00:00+00:00", "end": "2026-03-02T12:30:00+00:00"}
    card = await day.desk.ask("calendar.create", title="Focus", account=day.account, **at_lunch)
    assert await day.approve(card) == []


async def test_a_newer_mail_in_the_thread_makes_a_new_card(day: Day) -> None:
    """An answer that was written before it may not fit any more."""
    reply = {"email_id": await day.mail_id(), "thread_id": "thread", "text": "Yes."}
    card = await day.desk.ask("mail.reply", **reply)
    day.mail(2)
    await day.read()
    assert await day.approve(card) == ["A newer mail came in the thread."]
    (again,) = [c for c in await day.desk.brody.approvals.list() if c.action_id == card.action_id]
    assert await day.approve(again) == []


async def test_an_unchanged_thread_lets_the_answer_go(day: Day) -> None:
    card = await day.desk.ask("mail.reply", email_id=await day.mail_id(), thread_id="thread", text="Yes.")
    await day.read()
    assert await day.approve(card) == []


async def test_a_mail_that_is_gone_makes_a_new_card(day: Day) -> None:
    card = await day.desk.ask("mail.archive", email_id=await day.mail_id())
    (day.folder / "mail" / "1.eml").unlink()
    day.mail(3)
    await day.read()
    assert await day.approve(card) == ["The mail is gone."]
