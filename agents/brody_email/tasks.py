"""Make tasks of what a mail asks of the user, and of what the user promises in mail of their own.

Quotes and signatures are cut before; bulk mail, spam and machines make no tasks. What others promise is something to
wait for, no task.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from brody_agents.communication.message_protocol import Priority
from brody_agents.communication.payloads import SuggestedTask
from brody_agents.items import MailItem
from brody_email.asks import Ask, AskKind
from brody_email.circumstances import Circumstances
from brody_email.dates import Due, day_of, find_due, moment_of, without_due
from brody_email.signals import Addressed, addressed, first_name, recipients
from brody_email.titles import shortened, task_title

LEAST_CONFIDENCE = 0.5
LEAST_OF_STRANGERS = 0.75
LONGEST_QUOTE = 160
_LONG_EXPIRED = timedelta(days=14)
_FORGOTTEN = timedelta(days=365)
_MOST = 10
_URGENT = re.compile(
    r"\b(?:urgent(?:ly)?|asap|immediately|right\s+away|dringend|sofort|umgehend|eilig)\b", re.IGNORECASE
)
_NOT_A_DEED = re.compile(
    r"^(?:know|note|see\s+(?:below|attached|above)|find\s+(?:attached|below|enclosed)|accept\s+(?:my|our)|ignore|disregard"
    r"|excuse|forgive|enjoy|stay|feel|be\b|let'?s\b|have\s+a\b|wait|hold\s+on|think|welcome|thank"
    r"|take\s+it\s+from|(?:do|get|take|see|handle|fix|try|say|call)\s+(?:it|that|this|so)\W*$|sich\s+melden$)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Side:
    """From whose side a mail is read: who is the other, and how the user comes into it."""

    by_user: bool
    other: str
    other_address: str
    how: Addressed


def suggest_tasks(mail: MailItem, asks: Sequence[Ask], about: Circumstances, *, by_user: bool) -> list[SuggestedTask]:
    """Return the tasks for the user in what ``mail`` asks, or promises if the user wrote it; at most ten."""
    if mail.received_at < about.now - _FORGOTTEN:
        return []
    side = _side(mail, about, by_user)
    wanted = AskKind.PROMISE if by_user else AskKind.REQUEST
    found = (_task(mail, ask, about, side) for ask in asks if ask.kind is wanted)
    unique = {task.title.casefold(): task for task in found if task}
    return list(unique.values())[:_MOST]


def quoted(sentence: str, longest: int = LONGEST_QUOTE) -> str:
    """Return a sentence in quotation marks, in one line, cut to ``longest`` characters."""
    sentence = " ".join(sentence.split())
    return f'"{sentence if len(sentence) <= longest else sentence[: longest - 1].rstrip() + "…"}"'


def spoken_to(sentence: str, mail: MailItem, own: Iterable[str]) -> str | None:
    """Return the address of whoever a sentence calls by name ("Jonas, can you …"), or ``None``."""
    called = re.match(r"\W*(?:@([^\W\d_]+)|([A-ZÄÖÜ][^\W\d_]+)\s*[,:–-]\s)", sentence)
    if not called:
        return None
    name = (called[1] or called[2]).casefold()
    people = [*mail.to, *mail.cc]
    named = [a.address for a in people if first_name(a.name).casefold() == name or a.address.startswith(f"{name}@")]
    mine = [address for address in named if address in set(own)]
    return next(iter(mine or named), None)


def _side(mail: MailItem, about: Circumstances, by_user: bool) -> _Side:
    if by_user:
        person = mail.to[0] if len(mail.to) == 1 else None
        name = first_name(person.name) if person else ""
        return _Side(True, name, person.address if person else "", "to")
    return _Side(False, first_name(mail.sender.name), mail.sender.address, addressed(mail, about.own))


def _task(mail: MailItem, ask: Ask, about: Circumstances, side: _Side) -> SuggestedTask | None:
    known = side.by_user or side.other_address in about.known
    least = LEAST_CONFIDENCE if known else LEAST_OF_STRANGERS
    if ask.confidence < least or not _is_for_user(mail, ask, about, side):
        return None
    base = mail.received_at.astimezone(about.timezone)
    due = find_due(ask.text, base)
    if due and due.when < base:
        return None  # the sentence speaks of what is over
    title = _titled(mail, task_title(without_due(ask.text, due), other=side.other, promised=side.by_user))
    if len(title) < 4 or _NOT_A_DEED.match(title):
        return None
    priority, why = _priority(mail, ask, due, about.now)
    who = "You promised" if side.by_user else f"{mail.sender.name or mail.sender.address} asks"
    return SuggestedTask(
        title=title,
        kind="commitment" if side.by_user else "request",
        due_date=due.when if due else None,
        priority=priority,
        requested_by=None if side.by_user else side.other_address or None,
        confidence=round(ask.confidence, 2),
        reasons=[f"{who}: {quoted(ask.text)}", *([_due_reason(due)] if due else []), *why],
    )


def _titled(mail: MailItem, title: str) -> str:
    """Say what a lone verb is about: "Please pay by Friday" under the subject "Invoice 7" is ``Pay: Invoice 7``."""
    about = re.sub(r"^\s*(?:(?:re|aw|fwd?|wg)\s*:\s*)+", "", mail.subject, flags=re.IGNORECASE)
    return shortened(f"{title}: {about}") if title and " " not in title and about.strip() else title


def _is_for_user(mail: MailItem, ask: Ask, about: Circumstances, side: _Side) -> bool:
    if side.by_user:
        return True
    called = spoken_to(ask.text, mail, about.own)
    if called is not None and about.own:
        return called in about.own
    if side.how == "cc":
        return False
    return side.how != "unseen" or len(recipients(mail)) <= 1


def _due_reason(due: Due) -> str:
    return f'Due {moment_of(due.when)}: the sentence says "{due.words}".'


def _priority(mail: MailItem, ask: Ask, due: Due | None, now: datetime) -> tuple[Priority, list[str]]:
    if due and due.when < now - _LONG_EXPIRED:
        return Priority.LOW, [f"That was due on {day_of(due.when)} and is long over."]
    if due is None and mail.received_at < now - 6 * _LONG_EXPIRED:
        return Priority.LOW, [f"The mail is of {day_of(mail.received_at)}."]
    if due and due.when < now:
        return Priority.URGENT, ["It is overdue."]
    if due and due.when <= now + timedelta(hours=6):
        return Priority.URGENT, ["It is due within hours."]
    if _URGENT.search(ask.text):
        return Priority.URGENT, ["The sentence says that it is urgent."]
    if due and due.when <= now + timedelta(hours=60):
        return Priority.HIGH, ["It is due soon."]
    return Priority.NORMAL, []
