"""A task as the agent wishes it: worded, compared, dated and judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from brody_agents import Priority, SourceRef
from brody_agents.communication.payloads import SuggestedTask
from brody_agents.items import DocumentItem, MailItem
from brody_task.dates import find_due
from brody_task.normalise import first_name, normalise, title_of
from brody_task.notes import owner_of
from brody_task.preparation import Preparation
from brody_task.priority import Facts, judge

_LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class Wish:
    """The arguments of ``task.create``, and what goes beside them."""

    title: str
    root: str
    normalised: str
    source: SourceRef
    priority: Priority
    due: datetime | None
    reasons: tuple[str, ...]
    assignee: str = ""
    confidence: float = 1.0

    @property
    def why(self) -> str:
        """Return the reasons in one line."""
        return " ".join(self.reasons)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of ``task.create``."""
        return {
            "title": self.title,
            "priority": self.priority,
            "due": self.due,
            "assignee": self.assignee,
            "root": self.root,
            "normalised": self.normalised,
            "sources": [self.source],
            "reasons": list(self.reasons),
        }


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a suggestion comes from: the item, the place it is in, and who speaks there."""

    source: SourceRef
    root: str
    place: str = ""
    """Subject of the mail, title of the event, name of the document."""
    said_at: datetime | None = None
    speaker: str = ""
    """Name of whoever asks; empty for the user."""
    known: bool = False
    """Whether the user's address book has the speaker."""


def thread_root(mail: MailItem) -> str:
    """Return what all mails of a thread share: its id, else the oldest message that the mail refers to."""
    return mail.thread_id or (mail.references[0] if mail.references else mail.in_reply_to or mail.message_id)


def suggested(task: SuggestedTask, origin: Origin, own: frozenset[str], now: datetime) -> Wish | None:
    """Return the wish that a suggested task is, or ``None`` if it has no words."""
    title = title_of(task.title)
    if not title:
        return None
    due = task.due_date or _due_in(task.title, origin.said_at, now)
    facts = Facts(
        text=task.title,
        stated=task.priority,
        due=due,
        asked_at=origin.said_at,
        commitment=task.kind == "commitment",
        known_sender=origin.speaker if origin.known else "",
    )
    judgement = judge(facts, now)
    assignee = (task.assignee or "").casefold()
    return Wish(
        title=title,
        root=origin.root,
        normalised=normalise(task.title, asker=first_name(origin.speaker), place=origin.place),
        source=origin.source,
        priority=judgement.priority,
        due=due,
        reasons=_reasons(*(task.reasons or [_said(origin)]), *judgement.reasons),
        assignee="" if assignee in own else assignee,
        confidence=task.confidence,
    )


def prepared(preparation: Preparation, event_id: str, now: datetime) -> Wish:
    """Return the wish that something to prepare is."""
    judgement = judge(Facts(preparation.text, due=preparation.due), now)
    where = f" ({preparation.place})" if preparation.place else ""
    return Wish(
        title=title_of(f"{preparation.text}{where}"),
        root=event_id,
        normalised=normalise(f"{preparation.text} {preparation.place}"),
        source=SourceRef(type="calendar", id=event_id),
        priority=judgement.priority,
        due=preparation.due,
        reasons=_reasons(preparation.reason, *judgement.reasons),
    )


def noted(line: str, document: DocumentItem, people: Mapping[str, bool], now: datetime) -> Wish | None:
    """Return the wish that an open line of a document is, or ``None`` for a line that names somebody else to do it.

    ``people`` says of the names known, in lower case, whether they are the user's own.
    """
    name, rest = owner_of(line)
    mine = people.get(name.casefold())
    if mine is False:
        return None
    line = rest if mine else line
    due = _due_in(line, document.modified, now)
    judgement = judge(Facts(line, due=due, asked_at=document.modified), now)
    return Wish(
        title=title_of(line),
        root=document.id,
        normalised=normalise(line, place=document.name.rpartition(".")[0] or document.name),
        source=SourceRef(type="file", id=document.id),
        priority=judgement.priority,
        due=due,
        reasons=_reasons(f'The document "{document.key}" has it open', *judgement.reasons),
    )


def _due_in(text: str, said_at: datetime | None, now: datetime) -> datetime | None:
    found = find_due(text, (said_at or now).astimezone(now.tzinfo))
    return found.when if found else None


def _said(origin: Origin) -> str:
    where = f' in "{" ".join(origin.place.split())}"' if origin.place else ""
    return f"{origin.speaker or 'you'} wrote it{where}" if origin.said_at else f"it was found{where}"


def _reasons(*reasons: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_sentence(reason[:_LONGEST_REASON]) for reason in reasons if reason.strip()))


def _sentence(words: str) -> str:
    line = " ".join(words.split())
    return f"{line[:1].upper()}{line[1:]}{'' if line[-1] in '.!?…' else '.'}"
