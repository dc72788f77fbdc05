"""Draft an answer: a greeting, what was asked, gaps in [brackets] that only the user can fill, a sign-off.

A draft claims nothing: it repeats the questions, so that none is forgotten, and leaves every answer to the user.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from brody_agents.items import MailItem
from brody_email.asks import Ask, is_german
from brody_email.circumstances import Circumstances
from brody_email.dates import find_due, moment_of
from brody_email.look import Look
from brody_email.signals import first_name, is_desk
from brody_email.tasks import quoted
from brody_email.threads import normalised_subject

_MOST_QUESTIONS = 5
_FORMAL = re.compile(r"\b(?:Sehr\s+geehrte|Sie|Ihnen|Ihre?[nmrs]?|Frau|Herrn?)\b")
_REPLY_MARK = re.compile(r"^\s*(?:re|aw)\s*:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft of an answer and why it is proposed."""

    email_id: str
    to: tuple[str, ...]
    subject: str
    text: str
    why: str


@dataclass(frozen=True, slots=True)
class _Words:
    thanks: str
    asked: str
    by: str
    gap: str
    closing: str
    no_name: str
    subject: str


_ENGLISH = _Words(
    "thank you for your mail.", "You asked:", "by", "[your answer]", "Best regards,", "[your name]", "Re: "
)
_GERMAN = _Words(
    "vielen Dank für Ihre Nachricht.",
    "Sie fragen:",
    "bis",
    "[Ihre Antwort]",
    "Mit freundlichen Grüßen",
    "[Ihr Name]",
    "AW: ",
)
_GERMAN_DU = _Words(
    "danke für deine Nachricht.", "Du fragst:", "bis", "[deine Antwort]", "Viele Grüße", "[dein Name]", "AW: "
)


def draft_answer(mail: MailItem, about: Circumstances) -> Draft | None:
    """Return the draft of an answer to ``mail``, or ``None`` if it asks for no words: a deed is a task."""
    look = Look(mail, about)
    asks = [ask for ask in look.asks if ask.wants_something][:_MOST_QUESTIONS]
    to = tuple(a.address for a in mail.reply_to or (mail.sender,) if "@" in a.address and a.address not in about.own)
    if not any(ask.wants_words for ask in asks) or not to or look.machine or look.forged or look.by_user:
        return None
    words = _language(mail)
    text = "\n\n".join([_greeting(mail, words), words.thanks, words.asked, *_questions(mail, asks, about, words)])
    sign_off = f"{words.closing}\n{_own_name(mail, about) or words.no_name}"
    return Draft(mail.id, to, _subject(mail, words), f"{text}\n\n{sign_off}\n", _why(mail, asks, to))


def draft_answers(mails: Sequence[MailItem], about: Circumstances) -> list[Draft]:
    """Return the drafts of answers to ``mails``, in their order."""
    return [draft for mail in mails if (draft := draft_answer(mail, about))]


def _language(mail: MailItem) -> _Words:
    text = mail.reply or mail.text
    if not is_german(text[:2000]):
        return _ENGLISH
    return _GERMAN if _FORMAL.search(text) else _GERMAN_DU


def _greeting(mail: MailItem, words: _Words) -> str:
    name = "" if is_desk(mail) else first_name(mail.sender.name)
    if words is _GERMAN:
        return f"Guten Tag {mail.sender.name if name else ''},".replace(" ,", ",")
    if words is _GERMAN_DU:
        return f"Hallo {name},".replace(" ,", ",")
    return f"Hi {name}," if name else "Hello,"


def _questions(mail: MailItem, asks: Sequence[Ask], about: Circumstances, words: _Words) -> list[str]:
    base = mail.received_at.astimezone(about.timezone)
    lines = []
    for ask in asks:
        due = find_due(ask.text, base)
        date = f" ({words.by} {_written(due.when, words)})" if due and due.when >= base else ""
        lines.append(f"> {quoted(ask.text, 300)[1:-1]}{date}\n{words.gap}")
    return lines


def _written(when: datetime, words: _Words) -> str:
    return moment_of(when) if words is _ENGLISH else f"{when:%d.%m.%Y, %H:%M} Uhr"


def _own_name(mail: MailItem, about: Circumstances) -> str:
    return next((first_name(a.name) for a in (*mail.to, *mail.cc) if a.address in about.own and first_name(a.name)), "")


def _subject(mail: MailItem, words: _Words) -> str:
    if _REPLY_MARK.match(mail.subject) or not normalised_subject(mail.subject):
        return mail.subject.strip() or words.subject.strip()
    return f"{words.subject}{mail.subject.strip()}"


def _why(mail: MailItem, asks: Sequence[Ask], to: Sequence[str]) -> str:
    name = mail.sender.name or mail.sender.address
    elsewhere = "" if mail.sender.address in to else f" The answer goes to {', '.join(to)}, as the mail wishes."
    return f"{name} asks you: {quoted(asks[0].text)} and has no answer yet.{elsewhere}"
