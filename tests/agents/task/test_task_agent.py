"""The task agent in a Brody of its own: tasks from calendar, files and from what others suggest."""

from __future__ import annotations

from datetime import datetime
from email.message import EmailMessage
from pathlib import Path
from zoneinfo import ZoneInfo

from brody_agents import Brody, BrodyAgent, Context, handles
from brody_agents.communication.payloads import EmailReceived, SuggestedTask, TaskSuggestion
from brody_agents.proactive.playbooks.brief import Brief, BriefTask
from brody_task import TaskAgent

NOW = datetime(2026, 5, 11, 8, tzinfo=ZoneInfo("Europe/Berlin"))
CALENDAR = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//test//EN
BEGIN:VEVENT
UID:board@home.example
DTSTAMP:20260501T000000Z
DTSTART:20260513T080000Z
DTEND:20260513T090000Z
SUMMARY:Board meeting
DESCRIPTION:Agenda follows.\\nPlease prepare the slides on hiring.
END:VEVENT
BEGIN:VEVENT
UID:vat@home.example
DTSTAMP:20260501T000000Z
DTSTART;VALUE=DATE:20260511
DTEND;VALUE=DATE:20260512
SUMMARY:VAT return due
END:VEVENT
BEGIN:VEVENT
UID:over@home.example
DTSTAMP:20260401T000000Z
DTSTART:20260413T080000Z
DTEND:20260413T090000Z
SUMMARY:Deadline: something long over
END:VEVENT
END:VCALENDAR
"""
CARD = """BEGIN:VCARD
VERSION:3.0
UID:anna
FN:Anna Kern
N:Kern;Anna;;;
EMAIL:anna@kern.example
END:VCARD
"""
ME = CARD.replace("anna@kern", "me@home").replace("Anna Kern", "Me").replace("Kern;Anna", "Me;").replace("anna", "me")


class Suggester(BrodyAgent):
    """Suggest what a mail's subject says."""

    @handles
    async def suggest(self, mails: list[EmailReceived], ctx: Context) -> None:
        for mail in mails:
            task = SuggestedTask(title=mail.subject.removeprefix("Re: "), kind="request", confidence=0.9)
            suggestion = TaskSuggestion(email_id=mail.email_id, suggested_tasks=[task])
            ctx.tell("task_agent", suggestion, because=mail)


def write_mail(folder: Path, name: str, subject: str, sender: str = "Anna Kern <anna@kern.example>") -> None:
    message = EmailMessage()
    message["From"], message["To"] = sender, "me@home.example"
    message["Delivered-To"] = "me@home.example"
    message["Subject"], message["Message-ID"] = subject, f"<{name}@kern.example>"
    message["Date"] = "Sun, 10 May 2026 10:00:00 +0200"
    message.set_content("Hello")
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(message.as_bytes())


async def prepared(home: Path, accounts: dict[str, str], *others: BrodyAgent, now: datetime = NOW) -> Brief:
    async with Brody(home=home, accounts=accounts, agents=[TaskAgent(), *others]) as brody:
        return await brody.run("prepare-my-day", user_id="me", now=now, timezone="Europe/Berlin")


def titled(brief: Brief) -> dict[str, BriefTask]:
    return {task.title: task for task in brief.tasks}


async def test_the_calendar_gives_tasks_with_due_date_and_reason(tmp_path: Path) -> None:
    (tmp_path / "home.ics").write_text(CALENDAR.replace("\n", "\r\n"))
    brief = await prepared(tmp_path / "brody", {"calendar": f"ics:{tmp_path / 'home.ics'}"})
    tasks = titled(brief)
    assert sorted(tasks) == ["Prepare the slides on hiring (Board meeting)", "VAT return"]
    slides, vat = tasks["Prepare the slides on hiring (Board meeting)"], tasks["VAT return"]
    assert (slides.due, slides.priority) == (datetime(2026, 5, 13, 10, tzinfo=NOW.tzinfo), "high")
    assert (vat.due, vat.priority) == (datetime(2026, 5, 11, 23, 59, tzinfo=NOW.tzinfo), "urgent")
    assert [source["type"] for source in slides.sources] == ["calendar"]
    assert 'The description of "Board meeting" asks for it.' in slides.reasons


async def test_a_task_follows_the_event_that_it_is_for(tmp_path: Path) -> None:
    calendar = tmp_path / "home.ics"
    calendar.write_text(CALENDAR.replace("\n", "\r\n"))
    accounts = {"calendar": f"ics:{calendar}"}
    await prepared(tmp_path / "brody", accounts)
    moved = CALENDAR.replace("20260513T08", "20260515T08").replace("20260513T09", "20260515T09")
    calendar.write_text(moved.replace("\n", "\r\n"))
    brief = await prepared(tmp_path / "brody", accounts, now=NOW.replace(hour=9))
    assert titled(brief)["Prepare the slides on hiring (Board meeting)"].due == NOW.replace(day=15, hour=10)
    assert len(brief.tasks) == 2


async def test_files_give_tasks_and_a_second_run_adds_none(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "plan.md").write_text(
        "# Plan\nTODO: ask Petra for the figures\n- [ ] write the intro\n- [x] done already\n"
    )
    accounts, now = {"files": f"dir:{folder}"}, datetime.now(NOW.tzinfo)
    first = await prepared(tmp_path / "brody", accounts, now=now)
    second = await prepared(tmp_path / "brody", accounts, now=now.replace(microsecond=0))
    assert sorted(titled(first)) == ["Ask Petra for the figures", "Write the intro"]
    assert {source["type"] for task in first.tasks for source in task.sources} == {"file"}
    assert first.tasks == second.tasks


async def test_lines_for_the_user_lose_the_name_and_lines_for_others_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    lines = "- [ ] Anna: write the intro\n- [ ] Me: ask Petra\n- [ ] Budget: add the rent\n"
    (tmp_path / "files/minutes.md").write_text(lines)
    (tmp_path / "book.vcf").write_text((CARD + ME).replace("\n", "\r\n"))
    for name in ("1", "2"):
        write_mail(tmp_path / "mail", name, "Hello")
    accounts = {
        "files": f"dir:{tmp_path / 'files'}",
        "contacts": f"vcf:{tmp_path / 'book.vcf'}",
        "mail": f"eml:{tmp_path / 'mail'}",
    }
    brief = await prepared(tmp_path / "brody", accounts, now=datetime.now(NOW.tzinfo))
    assert sorted(titled(brief)) == ["Ask Petra", "Budget: add the rent"]


async def test_the_same_task_asked_twice_is_one_with_both_sources(tmp_path: Path) -> None:
    write_mail(tmp_path / "mail", "1", "Please send the signed contract to Tomas by Wednesday")
    write_mail(
        tmp_path / "mail", "2", "Could you get the signed agreement over to Tomas before Wednesday", "b@x.example"
    )
    write_mail(tmp_path / "mail", "3", "Please review the lease")
    brief = await prepared(tmp_path / "brody", {"mail": f"eml:{tmp_path / 'mail'}"}, Suggester())
    assert sorted(len(task.sources) for task in brief.tasks) == [1, 2]
    merged = next(task for task in brief.tasks if len(task.sources) == 2)
    assert merged.due == datetime(2026, 5, 13, 23, 59, tzinfo=NOW.tzinfo)
    assert merged.priority == "high"


async def test_a_request_from_the_address_book_is_high(tmp_path: Path) -> None:
    write_mail(tmp_path / "mail", "1", "Please review the lease")
    write_mail(tmp_path / "mail", "2", "Please order the chairs", "Somebody <x@elsewhere.example>")
    (tmp_path / "book.vcf").write_text(CARD.replace("\n", "\r\n"))
    accounts = {"mail": f"eml:{tmp_path / 'mail'}", "contacts": f"vcf:{tmp_path / 'book.vcf'}"}
    tasks = titled(await prepared(tmp_path / "brody", accounts, Suggester()))
    assert (tasks["Review the lease"].priority, tasks["Order the chairs"].priority) == ("high", "normal")
    assert "Anna Kern, who asks, is in your address book." in tasks["Review the lease"].reasons
