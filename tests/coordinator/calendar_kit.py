"""A person's calendar on any provider: read as runs read it, changed by approved actions, looked at from outside."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from brody_agents import ActionState, AgentAction, Brody
from brody_agents.coordinator.account_effects import EFFECTS
from brody_agents.coordinator.account_effects.base import Job, Step
from brody_agents.integrations.calendar.base import CalendarProvider, Event, RawEvent
from brody_agents.integrations.calendar.expansion import StoredEvent, expand_all
from brody_agents.integrations.mail.base import RawMail
from brody_agents.integrations.mail.parsing import parse_mail
from brody_agents.ledger import items
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.items import Owner
from brody_agents.ledger.views import LedgerCalendar, Reading
from tests.coordinator.accounts_kit import carried_out

BERLIN, UTC_ZONE = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")
YEAR = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
NINE, TEN = datetime(2026, 3, 2, 9, tzinfo=UTC), datetime(2026, 3, 2, 10, tzinfo=UTC)
ZONE = (
    "BEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\nBEGIN:STANDARD\r\nDTSTART:16010101T000000\r\n"
    "TZOFFSETFROM:+0100\r\nTZOFFSETTO:+0100\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
)
SENT = b"From: me@b.example\r\nTo: ann@b.example\r\nSubject: Hi\r\nMessage-ID: <hi@b.example>\r\n\r\nHi.\r\n"
MONDAYS = (
    "DTSTART;TZID=Europe/Berlin:20260302T090000",
    "DTEND;TZID=Europe/Berlin:20260302T100000",
    "RRULE:FREQ=WEEKLY;COUNT=4",
)
ONCE = ("DTSTART:20260302T090000Z", "DTEND:20260302T100000Z")
ASKED = ("ORGANIZER:mailto:ann@b.example", "ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:me@b.example")


def vcalendar(uid: str, *lines: str, title: str = "Plan", head: str = "") -> str:
    """Return a calendar with one event."""
    stamps = ("DTSTAMP:20260101T000000Z", f"SUMMARY:{title}", "X-OTHER;A=b:kept as it is")
    body = "\r\n".join(["BEGIN:VEVENT", f"UID:{uid}", *stamps, *lines, "END:VEVENT", ""])
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//EN\r\n{head}{ZONE}{body}END:VCALENDAR\r\n"


def invitation(calendar: str) -> bytes:
    """Return a mail with an invitation."""
    head = "From: ann@b.example\r\nTo: me@b.example\r\nSubject: Plan\r\nMessage-ID: <plan@b.example>\r\n"
    return f"{head}MIME-Version: 1.0\r\nContent-Type: text/calendar; method=REQUEST\r\n\r\n{calendar}".encode()


@dataclass
class Diary:
    """A calendar account and a ``Brody`` that works on it."""

    brody: Brody
    calendar: CalendarProvider

    @property
    def account(self) -> str:
        """Return the account's key."""
        return self.calendar.account

    async def add(self, uid: str, *lines: str, title: str = "Plan") -> None:
        """Have an event in the calendar, as if the person had put it there, and read it."""
        await self.calendar.put(RawEvent(uid, "", vcalendar(uid, *lines, title=title)), None)
        await self.read()

    async def edit(self, uid: str, old: str, new: str) -> None:
        """Have somebody else change an event."""
        now = await self.calendar.fetch(uid)
        assert old in now.data
        await self.calendar.put(replace(now, data=now.data.replace(old, new)), now.version)

    async def read(self) -> None:
        """Read the account as every run does."""
        await self.brody.run("inbox-scan", now=NINE)

    async def mail(self, data: bytes, *flags: str) -> str:
        """Have a mail in the ledger and return its id."""
        await self.brody.ledger.ensure_users({"me"})
        owner, raw = (
            Owner("me", "box", None, datetime.now(UTC)),
            RawMail(str(len(data)), "1", data, "", frozenset(flags)),
        )
        async with self.brody.ledger.write() as tx:
            await items.write_mail(tx, self.brody.ledger.vault, owner, [(raw, parse_mail(data))])
        return owner.item_id(raw.key)

    async def know_me(self) -> None:
        """Have the ledger know that the person is ``me@b.example``."""
        await self.mail(SENT, "sent")

    async def seen(self) -> list[Event]:
        """Return the occurrences of the year that agents see."""
        return await LedgerCalendar(Reading(self.brody.ledger, "me", UTC_ZONE)).events(*YEAR)

    async def there(self) -> list[Event]:
        """Return the occurrences of the year that the account has."""

        async def nothing() -> dict[str, str]:
            return {}

        pages = [page async for page in self.calendar.changes(None, nothing)]
        raws = [StoredEvent(self.account, e.key, e.version, e.data) for page in pages for e in page.items]
        return expand_all(raws, *YEAR, UTC_ZONE).events

    async def do(self, kind: str, *, cause: str = "test", **arguments: Any) -> ActionRecord:
        """Have an action approved and carried out."""
        return await carried_out(self.brody, self.action(kind, cause=cause, **arguments))

    def action(self, kind: str, *, cause: str = "test", **arguments: Any) -> AgentAction:
        """Return an action on the account."""
        return AgentAction(kind=kind, arguments={"account": self.account, **arguments}, cause=cause)

    async def undo(self, action: ActionRecord) -> ActionRecord:
        """Carry out the step that undoes an action, and return the action with what it was and became."""
        step = EFFECTS[action.kind].inverse
        assert not isinstance(step, str)
        job = await self.planned(step, action)
        await step.apply(job)
        return replace(action, intent=job.intent)

    async def planned(self, step: Step, action: ActionRecord) -> Job:
        """Return the job of a step once its intent is written."""
        _, arguments = AgentAction(kind=action.kind, arguments=action.arguments).checked()
        job = Job(action, arguments, self.calendar, ledger=self.brody.ledger)
        return replace(job, intent=await step.plan(job))

    def proposed(self, kind: str, **arguments: Any) -> ActionRecord:
        """Return an approved action of which no ledger knows."""
        wish, now = self.action(kind, **arguments), datetime.now(UTC)
        return ActionRecord(
            id="a",
            key=wish.key_for("me", "test"),
            user_id="me",
            run_id=None,
            kind=kind,
            arguments=wish.arguments,
            state=ActionState.APPROVED,
            why="",
            proposed_by="x",
            cause="test",
            priority=2,
            created_at=now,
            updated_at=now,
        )


def new(title: str = "Dentist", start: datetime = NINE, end: datetime = TEN) -> dict[str, Any]:
    """Return the arguments of a new event."""
    return {"title": title, "start": start.isoformat(), "end": end.isoformat()}
