"""The file agent in a Brody of its own: it answers questions about documents and proposes where attachments go."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from brody_agents import Brody, BrodyAgent, Context, handles
from brody_agents.communication.message_protocol import stable_id
from brody_agents.communication.payloads import (
    DocumentReceived,
    DocumentsFound,
    EmailReceived,
    FindDocuments,
    ReviewDay,
)
from brody_agents.proactive.playbooks.brief import Brief
from brody_file import FileAgent

NOW = datetime(2026, 5, 11, 8, tzinfo=ZoneInfo("Europe/Berlin"))
FILES = {
    "invoices/2026/2026-03-acme.txt": "Invoice 4711 Acme total",
    "invoices/2026/2026-04-acme.txt": "Invoice 4790 Acme total",
    "contracts/globex-agreement.md": "Agreement Globex GmbH, signed by Tomas Berg",
    "notes/board-minutes.md": "Minutes of the board. Present: Anna Kern",
}
QUESTIONS = (
    FindDocuments(subject_id="meeting", title="Globex contract", people=["Tomas Berg <tomas@globex.example>"]),
    FindDocuments(subject_id="gym", title="Gym"),
    FindDocuments(subject_id="annex", title="Annex B"),
)


class Hander(BrodyAgent):
    """Hand on the attachments of mails, as an email agent does."""

    @handles
    async def hand_on(self, received: list[EmailReceived], ctx: Context) -> None:
        for message in received:
            [mail] = await ctx.mail.get([message.email_id])
            for part in mail.attachments:
                key = stable_id(mail.id, "attachment", str(part.index))
                document = DocumentReceived(document_id=key, name=part.name, email_id=mail.id)
                ctx.tell("file_agent", document, because=message)


class Asker(BrodyAgent):
    """Ask for documents, and share the answers."""

    @handles
    async def ask(self, request: ReviewDay, ctx: Context) -> None:
        for question in QUESTIONS:
            ctx.tell("file_agent", question)

    @handles
    async def answered(self, answer: DocumentsFound, ctx: Context) -> None:
        documents = [document.model_dump(mode="json") for document in answer.documents]
        await ctx.remember(f"answer:{answer.subject_id}", documents)


def write_files(folder: Path) -> None:
    for path, text in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def write_mail(folder: Path, sender: str, subject: str, attachments: Sequence[tuple[str, str]]) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, "me@home.example", subject
    message["Date"], message["Message-ID"] = "Sun, 10 May 2026 10:00:00 +0200", f"<{len(subject)}@x.example>"
    message.set_content("See the attachment.")
    for name, kind in attachments:
        maintype, _, subtype = kind.partition("/")
        message.add_attachment(f"content of {name}".encode(), maintype=maintype, subtype=subtype, filename=name)
    folder.mkdir(exist_ok=True)
    (folder / f"{subject}.eml").write_bytes(message.as_bytes())


async def worked(tmp_path: Path, accounts: dict[str, str]) -> tuple[Brief, dict[str, Any]]:
    agents = [FileAgent(), Hander(), Asker()]
    async with Brody(home=tmp_path / "brody", accounts=accounts, agents=agents) as brody:
        brief = await brody.run("prepare-my-day", user_id="me", now=NOW, timezone="Europe/Berlin")
        context = await brody.context("me")
    answers = {q.subject_id: context.get(f"answer:{q.subject_id}") for q in QUESTIONS}
    return brief, answers


def accounts_of(tmp_path: Path) -> dict[str, str]:
    return {"mail": f"eml:{tmp_path / 'mail'}", "files": f"dir:{tmp_path / 'files'}"}


async def test_questions_are_answered_from_files_and_attachments(tmp_path: Path) -> None:
    write_files(tmp_path / "files")
    write_mail(tmp_path / "mail", "tomas@globex.example", "Our annex", [("Annex B.pdf", "application/pdf")])
    _, answers = await worked(tmp_path, accounts_of(tmp_path))
    assert answers["meeting"][0]["name"] == "globex-agreement.md"
    assert answers["meeting"][0]["source"] == "file"
    assert any("globex" in reason for reason in answers["meeting"][0]["reasons"])
    assert [(d["name"], d["source"]) for d in answers["annex"]] == [("Annex B.pdf", "email")]
    assert answers["gym"] == []


async def test_attachments_that_resemble_a_folder_are_proposed_for_it(tmp_path: Path) -> None:
    write_files(tmp_path / "files")
    invoice = [("invoice-5120.pdf", "application/pdf"), ("image001.png", "image/png")]
    write_mail(tmp_path / "mail", "Acme <billing@acme.example>", "Your invoice for May", invoice)
    write_mail(tmp_path / "mail", "canteen@food.example", "Lunch", [("menu.pdf", "application/pdf")])
    brief, _ = await worked(tmp_path, accounts_of(tmp_path))
    [proposal] = brief.proposals
    assert (proposal.kind, proposal.state) == ("file.create", "awaiting_approval")
    assert proposal.arguments["path"] == "invoices/2026/invoice-5120.pdf"
    assert proposal.arguments["account"] == accounts_of(tmp_path)["files"]
    assert isinstance(proposal.arguments["attachment"], int)


async def test_the_same_file_in_two_mails_is_one_proposal(tmp_path: Path) -> None:
    write_files(tmp_path / "files")
    for subject in ("Acme invoice", "Again: Acme invoice"):
        write_mail(tmp_path / "mail", "billing@acme.example", subject, [("invoice-5120.pdf", "application/pdf")])
    brief, _ = await worked(tmp_path, accounts_of(tmp_path))
    assert [p.arguments["path"] for p in brief.proposals] == ["invoices/2026/invoice-5120.pdf"]


async def test_a_file_that_is_there_already_is_not_proposed(tmp_path: Path) -> None:
    write_files(tmp_path / "files")
    (tmp_path / "files/invoices/2026/invoice-5120.txt").write_text("content of invoice-5120.txt")
    write_mail(tmp_path / "mail", "billing@acme.example", "Acme invoice", [("invoice-5120.txt", "text/plain")])
    brief, _ = await worked(tmp_path, accounts_of(tmp_path))
    assert brief.proposals == []


async def test_without_a_folder_questions_are_answered_and_nothing_is_proposed(tmp_path: Path) -> None:
    write_mail(tmp_path / "mail", "billing@acme.example", "Acme invoice", [("invoice-5120.pdf", "application/pdf")])
    brief, answers = await worked(tmp_path, {"mail": accounts_of(tmp_path)["mail"]})
    assert brief.proposals == []
    assert answers == {"meeting": [], "gym": [], "annex": []}
