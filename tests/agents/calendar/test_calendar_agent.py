"""The calendar agent in a Brody of its own, on real files: invitations, the day, focus blocks, preparation."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from zoneinfo import ZoneInfo

from brody_agents import Brody, BrodyAgent, Context, handles
from brody_agents.communication.payloads import (
    DocumentsFound,
    EmailReceived,
    FindDocuments,
    FoundDocument,
    MeetingRequest,
    ScanInbox,
)
from brody_agents.integrations.calendar.expansion import parse_invite
from brody_agents.proactive.playbooks.brief import Brief, BriefProposal
from brody_agents.settings import Settings
from brody_calendar import CalendarAgent

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 3, 30, 7, 30, tzinfo=BERLIN)
IN_PROCESS = Settings(cpu_workers=0)


class Postman(BrodyAgent):
    """Hand on invitations, and know one document of the mail."""

    name = "email_agent"

    @handles
    async def hand_on(self, received: EmailReceived, ctx: Context) -> None:
        [mail] = await ctx.mail.get([received.email_id])
        for invite in parse_invite(mail.invite, ctx.timezone):
            request = MeetingRequest(email_id=mail.id, sender=mail.sender.address, **invite.fields())
            ctx.tell("calendar_agent", request)

    @handles
    async def scan(self, message: ScanInbox, ctx: Context) -> None:
        pass

    @handles
    async def find(self, asked: FindDocuments, ctx: Context) -> None:
        documents = [FoundDocument(document_id="deck", name="deck.pdf", score=0.4, reasons=["mail"], source="email")]
        ctx.tell(ctx.message.sender, DocumentsFound(subject_id=asked.subject_id, documents=documents))


class Librarian(BrodyAgent):
    """Know two documents of the folder, and bring the tasks of the test."""

    name = "file_agent"

    def __init__(self, tasks: Mapping[str, datetime] | None = None) -> None:
        super().__init__()
        self.tasks = dict(tasks or {})

    @handles
    async def find(self, asked: FindDocuments, ctx: Context) -> None:
        documents = [
            FoundDocument(document_id="deck", name="deck.pdf", score=0.9, reasons=["file"]),
            FoundDocument(document_id="notes", name="notes.md", score=0.5, reasons=["file"]),
        ]
        ctx.tell(ctx.message.sender, DocumentsFound(subject_id=asked.subject_id, documents=documents))

    @handles
    async def bring_tasks(self, message: ScanInbox, ctx: Context) -> None:
        for title, due in self.tasks.items():
            ctx.propose("task.create", {"title": title, "due": due}, cause=title)


def entry(uid: str, start: str, end: str, more: str = "") -> str:
    return (
        f"BEGIN:VEVENT\nUID:{uid}\nSUMMARY:{uid.capitalize()}\nDTSTART;TZID=Europe/Berlin:202603{start}00\n"
        f"DTEND;TZID=Europe/Berlin:202603{end}00\n{more}END:VEVENT\n"
    )


def vcalendar(*entries: str, method: str = "") -> str:
    head = f"METHOD:{method}\n" if method else ""
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//test//EN\n{head}{''.join(entries)}END:VCALENDAR\n"


PEOPLE = "ORGANIZER:mailto:bo@team.example\nATTENDEE;PARTSTAT={0}:mailto:me@home.example\n"
ASKED, ACCEPTED = PEOPLE.format("NEEDS-ACTION"), PEOPLE.format("ACCEPTED")


class World:
    """A home, a calendar and a mailbox in a folder."""

    def __init__(self, folder: Path, *entries: str) -> None:
        self.folder, self.mails = folder, 0
        self.calendar = folder / "calendar.ics"
        self.mailbox = folder / "mail"
        self.mailbox.mkdir()
        self.calendar.write_text(vcalendar(*entries))

    def invite(self, *entries: str, method: str = "REQUEST", sender: str = "bo@team.example") -> None:
        self.mails += 1
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Delivered-To"] = sender, "me@home.example", "me@home.example"
        mail["Subject"], mail["Message-ID"] = "Invitation", f"<{self.mails}@team.example>"
        mail["Date"] = f"Sun, 29 Mar 2026 10:{self.mails:02}:00 +0200"
        mail.set_content("Will you come?")
        mail.add_alternative(vcalendar(*entries, method=method), subtype="calendar", params={"method": method})
        (self.mailbox / f"{self.mails}.eml").write_bytes(mail.as_bytes())

    async def run(self, *agents: BrodyAgent, now: datetime = NOW) -> Brief:
        accounts = {"mail": f"eml:{self.mailbox}", "calendar": f"ics:{self.calendar}"}
        team = [CalendarAgent(), Postman(), *(agents or (Librarian(),))]
        async with Brody(home=self.folder / "home", accounts=accounts, agents=team, settings=IN_PROCESS) as brody:
            return await brody.run("prepare-my-day", user_id="me", now=now, timezone="Europe/Berlin")


def proposed(brief: Brief, kind: str) -> list[BriefProposal]:
    return sorted((p for p in brief.proposals if p.kind == kind), key=lambda p: str(p.arguments.get("start")))


def answers(brief: Brief) -> dict[str, str]:
    return {p.arguments["uid"]: p.arguments["answer"] for p in proposed(brief, "calendar.respond")}


# -- invitations -----------------------------------------------------------------------------------------


async def test_invitations_are_answered_by_what_the_calendar_holds(tmp_path: Path) -> None:
    world = World(
        tmp_path,
        entry("dentist", "31T1000", "31T1100"),
        entry("perhaps", "31T1400", "31T1500", "STATUS:TENTATIVE\n"),
        entry("answered", "31T1600", "31T1700", ACCEPTED),
        entry("moved", "30T1600", "30T1630", ACCEPTED),
    )
    world.invite(entry("free", "31T1200", "31T1300", ASKED))
    world.invite(entry("busy", "31T1030", "31T1130", ASKED))
    world.invite(entry("soft", "31T1400", "31T1500", ASKED))
    world.invite(entry("answered", "31T1600", "31T1700", ASKED))
    world.invite(entry("moved", "30T1645", "30T1700", ASKED + "SEQUENCE:1\n"))
    world.invite(entry("over", "27T1000", "27T1100", ASKED))
    world.invite(entry("forged", "31T0900", "31T0930", ASKED), sender="mallory@elsewhere.example")
    brief = await world.run()

    assert brief.counts.dead_letters == 0
    assert answers(brief) == {"free": "accepted", "busy": "declined", "soft": "tentative", "moved": "accepted"}
    busy = next(p for p in brief.proposals if p.arguments.get("uid") == "busy")
    assert "you have “Dentist” (10:00–11:00) then. Free instead: Tue 31 Mar 11:00–12:00." in busy.because
    assert busy.arguments["account"] == f"ics:{world.calendar}"
    assert ["mallory@elsewhere.example" in notice.text for notice in brief.notices] == [True]


async def test_cancelled_invitation_takes_its_answer_back_and_a_forged_one_does_not(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.invite(entry("one", "31T1000", "31T1100", ASKED))
    world.invite(entry("two", "31T1200", "31T1300", ASKED))
    assert answers(await world.run()).keys() == {"one", "two"}
    forged = "ORGANIZER:mailto:mallory@evil.example\nSEQUENCE:5\n"
    world.invite(entry("one", "31T1000", "31T1100", forged), method="CANCEL", sender="mallory@evil.example")
    world.invite(entry("two", "31T1200", "31T1300", ASKED + "SEQUENCE:1\n"), method="CANCEL")
    assert answers(await world.run()).keys() == {"one"}


async def test_forged_cancellation_changes_nothing_and_that_of_the_organizer_is_proposed(tmp_path: Path) -> None:
    world = World(tmp_path, entry("one", "31T1000", "31T1100", ACCEPTED), entry("two", "31T1200", "31T1300", ACCEPTED))
    mallory = "mallory@elsewhere.example"
    world.invite(entry("one", "31T1000", "31T1100", ASKED + "SEQUENCE:5\n"), method="CANCEL", sender=mallory)
    world.invite(entry("two", "31T1200", "31T1300", ASKED + "SEQUENCE:1\n"), method="CANCEL")
    before = world.calendar.read_bytes()
    brief = await world.run()

    [cancel] = proposed(brief, "calendar.cancel")
    assert "bo@team.example has cancelled “Two”" in cancel.because
    assert cancel.state == "awaiting_approval"
    assert len(brief.notices) == 1
    assert world.calendar.read_bytes() == before


async def test_invited_series_is_compared_with_the_weeks_to_come(tmp_path: Path) -> None:
    weekly = ASKED + "RRULE:FREQ=WEEKLY;COUNT=20\n"
    world = World(tmp_path, entry("later", "31T1000", "31T1100", "RDATE;TZID=Europe/Berlin:20260414T100000\n"))
    world.invite(entry("series", "24T1000", "24T1030", weekly))
    [proposal] = proposed(await world.run(), "calendar.respond")

    assert proposal.arguments["answer"] == "tentative"
    assert "2 of the next 8 times are taken (31 Mar, 14 Apr)" in proposal.because


async def test_without_a_calendar_the_person_hears_of_the_invitation(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.invite(entry("free", "31T1200", "31T1300", ASKED))
    accounts = {"mail": f"eml:{world.mailbox}"}
    team = [CalendarAgent(), Postman()]
    async with Brody(home=tmp_path / "home", accounts=accounts, agents=team, settings=IN_PROCESS) as brody:
        brief = await brody.run("inbox-scan", user_id="me", now=NOW, timezone="Europe/Berlin")

    assert proposed(brief, "calendar.respond") == []
    assert "“Free”, Tue 31 Mar 12:00–13:00; there is no calendar" in brief.notices[0].text


async def test_second_run_answers_nothing_twice(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.invite(entry("free", "31T1200", "31T1300", ASKED))
    first = await world.run()
    second = await world.run(now=NOW + timedelta(hours=1))

    assert [p.id for p in first.proposals] == [p.id for p in second.proposals]
    assert len(second.notices) == 0


# -- the day ---------------------------------------------------------------------------------------------


async def test_double_booking_is_a_conflict_with_three_ways_out(tmp_path: Path) -> None:
    world = World(
        tmp_path,
        entry("review", "30T1430", "30T1530", ACCEPTED),
        entry("sync", "23T1500", "23T1545", ACCEPTED + "RRULE:FREQ=WEEKLY\n"),
        entry("note", "30T1400", "30T1600", "TRANSP:TRANSPARENT\n"),
        entry("tomorrow", "31T1000", "31T1100"),
    )
    brief = await world.run()

    assert [event.title for event in brief.agenda] == ["Note", "Review", "Sync"]
    [conflict] = brief.conflicts
    assert (conflict.kind, conflict.resource) == ("slot", f"ics:{world.calendar}/slots/2026-03-30T15:00:00+02:00")
    assert [party["title"] for party in conflict.parties] == ["Review", "Sync"]
    assert {party["id"] for party in conflict.parties} < {event.id for event in brief.agenda}
    assert conflict.options == [
        "Ask bo@team.example to move “Sync” to 15:45–16:30, which is free",
        "Leave “Review” at 15:00, when “Sync” begins",
        "Decline “Sync” and tell bo@team.example",
    ]


async def test_answers_about_a_meeting_are_joined_best_first(tmp_path: Path) -> None:
    world = World(tmp_path, entry("review", "30T1000", "30T1100", ACCEPTED), entry("gym", "30T1300", "30T1400"))
    for brief in (await world.run(), await world.run(now=NOW + timedelta(minutes=5))):
        review, gym = brief.agenda
        assert [(d.name, d.reasons) for d in review.documents] == [
            ("deck.pdf", ["file", "mail"]),
            ("notes.md", ["file"]),
        ]
        assert gym.documents == []


async def test_focus_blocks_stay_where_they_were_proposed_first(tmp_path: Path) -> None:
    world = World(tmp_path, entry("long", "30T1000", "30T1600"))
    tasks = {"Write the offer": NOW + timedelta(days=1), "Plan the party": NOW + timedelta(days=9)}
    first = await world.run(Librarian(tasks))
    again = await world.run(
        Librarian(tasks | {"Call the bank": NOW + timedelta(days=2)}), now=NOW.replace(hour=9, minute=40)
    )

    [block] = proposed(first, "calendar.create")
    assert block.arguments["title"] == "Focus: Write the offer"
    assert (block.arguments["start"], block.arguments["end"]) == (
        "2026-03-30T09:00:00+02:00",
        "2026-03-30T10:00:00+02:00",
    )
    assert block.arguments["movable"] is True
    assert block.arguments["task_id"] == next(task.id for task in first.tasks if task.title == "Write the offer")
    assert [(p.arguments["title"], p.arguments["start"][11:16]) for p in proposed(again, "calendar.create")] == [
        ("Focus: Write the offer", "09:00"),
        ("Focus: Call the bank", "16:00"),
    ]


async def test_day_is_shared_with_the_other_agents(tmp_path: Path) -> None:
    world = World(tmp_path, entry("review", "30T1000", "30T1100", ACCEPTED))
    await world.run()
    async with Brody(home=tmp_path / "home", agents=[CalendarAgent()]) as brody:
        day = (await brody.context("me")).values["day:2026-03-30"]

    assert day["meeting_minutes"] == 60
    assert [gap["minutes"] for gap in day["gaps"]] == [60, 420]


async def test_broken_event_costs_only_itself(tmp_path: Path) -> None:
    broken = (
        entry("broken", "30T1000", "30T1100")
        .replace("DTSTART", "DTSTART;VALUE=DATE-TIME")
        .replace("20260330T10", "when")
    )
    world = World(tmp_path, entry("good", "30T1200", "30T1300"), broken)
    brief = await world.run()

    assert brief.complete
    assert [event.title for event in brief.agenda] == ["Good"]
