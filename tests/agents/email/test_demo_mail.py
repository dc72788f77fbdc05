"""The demo mailbox: what its README says of every mail is what the agent says."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from brody_agents.communication.payloads import EmailClassified, SuggestedTask
from brody_agents.items import ContactItem, MailItem
from brody_email.circumstances import Circumstances, names_of
from brody_email.drafts import draft_answers
from brody_email.reading import read_mail
from brody_email.scan import scan, triage_all

DEMO = Path(__file__).parents[3] / "examples" / "demo"
NOW = datetime.fromisoformat("2026-10-26T07:30:00+01:00")
Said = tuple[dict[str, EmailClassified], dict[str, list[SuggestedTask]], dict[str, Any]]
Read = Callable[[Path, datetime], MailItem | None]


def _about() -> Circumstances:
    text = (DEMO / "contacts.vcf").read_text("utf-8")
    cards = [
        ContactItem(
            id=str(number),
            account="vcf",
            name=" ".join(re.findall(r"^FN:(.*)$", card, re.MULTILINE)).strip(),
            addresses=tuple(address.lower() for address in re.findall(r"^EMAIL[^:]*:(\S+)", card, re.MULTILINE)),
        )
        for number, card in enumerate(text.split("END:VCARD"))
    ]
    known = frozenset(address for card in cards for address in card.addresses)
    own = frozenset({"mira@northwind-studio.example"})
    return Circumstances(now=NOW, zone="Europe/Berlin", own=own, known=known, names=names_of(cards))


def _expected() -> dict[str, tuple[str, str]]:
    """Return (categories, owes) of each file from the README's table."""
    section = (DEMO / "README.md").read_text("utf-8").split("\n## Mail\n", 1)[1].split("\n## ", 1)[0]
    rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if "/" in line)
    return {row[0]: (row[2], row[3]) for row in rows if len(row) == 4}


@pytest.fixture(scope="module")
def demo(
    read_file: Read,
) -> Callable[[], tuple[dict[str, EmailClassified], dict[str, list[SuggestedTask]], dict[str, Any]]]:
    """Give what the agent says: the class of each file, its tasks, and the drafts by file."""

    @cache
    def said() -> Any:
        about = _about()
        files = [path for path in sorted((DEMO / "mail").rglob("*")) if path.is_file()]
        read = {str(path.relative_to(DEMO / "mail")): read_file(path, NOW) for path in files}
        mails = {name: replace(mail, id=name) for name, mail in read.items() if mail is not None}
        readings = {name: read_mail(mail, about) for name, mail in mails.items()}
        heads = [_head(mails[name], reading.classified) for name, reading in readings.items()]
        found = scan(heads, about, {})
        if found.unread:
            found = scan(heads, about, triage_all([mails[name] for name in found.unread], found.about))
        classes = {name: reading.classified for name, reading in readings.items()}
        classes |= {message.email_id: message for message in found.changed}
        tasks = {name: reading.tasks.suggested_tasks for name, reading in readings.items() if reading.tasks}
        drafts = draft_answers([mails[name] for name in found.to_answer], found.about)
        return classes, tasks, {draft.email_id: draft for draft in drafts}

    return said


def _head(mail: MailItem, said: EmailClassified) -> MailItem:
    return replace(
        mail,
        category=said.category,
        urgency=said.urgency,
        needs_reply=said.needs_reply,
        reasons=tuple(said.reasons),
        thread_id=said.thread_id or "",
    )


@pytest.mark.parametrize("name", [name for name, row in _expected().items() if row[0] != "dead letter"])
def test_each_mail_has_the_category_of_the_readme(demo: Any, name: str) -> None:
    categories, owes = _expected()[name]
    said = demo()[0][name]
    assert said.category in categories.split(" or ")
    if owes in ("yes", "no"):
        assert (said.reply_state == "owed") == (owes == "yes")


def test_the_user_waits_for_the_three_of_the_readme(demo: Any) -> None:
    waiting = sorted(
        address for said in demo()[0].values() if said.reply_state == "waiting" for address in said.waiting_on
    )
    assert waiting == [
        "h.petersen@steuerbuero-petersen.example",
        "rafael@kontur-druck.example",
        "solveig@aune-illustrasjon.example",
    ]


@pytest.mark.parametrize(
    ("name", "title", "due"),
    [
        (
            "inbox/0041-re-onboarding-prototype.eml",
            "Confirm that the prototype will be ready for Leipzig",
            "2026-10-26T12:00",
        ),
        ("inbox/0028-q4-deck.eml", "Read pages 2 and 3", "2026-10-26"),
        ("inbox/0026-icon-grid.eml", "Review the icon grid", "2026-10-26"),
        ("inbox/0029-framework-agreement.eml", "Send the signed contract to Tomas", "2026-10-28"),
        ("inbox/jonas-loose-ends", "Get the signed agreement over to Tomas", "2026-10-27"),
        ("inbox/Re Checkout flow second version.eml", "Send Dana the annotated screens", "2026-10-30"),
        ("inbox/kita-ausflug.eml", "Ihrem Kind Gummistiefel", "2026-10-27"),
        ("inbox/Relaunch Leserportal 2.eml", "Klaus ein Angebot schicken", "2026-10-29"),
        ("inbox/1792393838.M331P4410.mx", "Den Beleg in den Ordner hochladen", "2026-10-30"),
        ("sent/2026-10-23_1120_re_onboarding_prototype.eml", "Send Priya the revised mock-ups", "2026-10-29"),
    ],
)
def test_the_tasks_of_the_readme_are_found_with_their_dates(demo: Any, name: str, title: str, due: str) -> None:
    (task,) = demo()[1][name]
    assert task.title.startswith(title)
    assert task.due_date is not None
    assert task.due_date.isoformat().startswith(due)


def test_nothing_that_must_not_be_a_task_is_one(demo: Any) -> None:
    silent = (
        "inbox/0017-vendor-onboarding.eml",
        "inbox/portfolio chat.eml",
        "inbox/0039-new-mailbox.eml",
        "inbox/quick favour.eml",
        "inbox/pixelforge-update.eml",
        "inbox/0040-festival-news.eml",
        "inbox/lindhafen-sicherheit",
        "inbox/0015.autosvar",
    )
    assert not set(silent) & set(demo()[1])


def test_drafts_go_to_people_only_and_repeat_no_orders(demo: Any) -> None:
    drafts = demo()[2]
    assert {"inbox/0041-re-onboarding-prototype.eml", "inbox/Re Checkout flow second version.eml"} <= set(drafts)
    assert all(demo()[0][name].category in ("urgent", "needs_reply") for name in drafts)
    assert not any("billing-archive" in draft.text or "invitation" in draft.text for draft in drafts.values())
