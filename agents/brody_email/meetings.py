"""Find the mails and attachments that belong to a meeting or a thread."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from brody_agents.communication.message_protocol import stable_id
from brody_agents.communication.payloads import DocumentsFound, FindDocuments, FoundDocument
from brody_agents.integrations.mail.base import Attachment
from brody_agents.items import MailHead, MailItem
from brody_email.dates import day_of
from brody_email.signals import recipients

LOOKED_BACK = timedelta(days=60)
_RECENT = timedelta(days=14)
_MOST_MAILS = 20
_LEAST = 0.3
_COMMON = frozenset(
    """
    a an and at for from in of on or our re the to with your
    call catch chat daily deck discussion followup meeting monthly planning review session status sync team weekly
    am aus das der die ein eine für im mit und vom von zum zur besprechung jour fixe termin treffen
    """.split()  # noqa: SIM905
)
_NO_DOCUMENTS = ("text/calendar", "application/ics", "application/pgp-", "application/pkcs7-", "application/x-pkcs7-")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a meeting is about: the words of its title that tell it from others, and who comes."""

    words: frozenset[str]
    people: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Match:
    score: float
    reasons: tuple[str, ...]
    by_words: bool


def documents_of(mail: MailItem) -> list[Attachment]:
    """Return the attachments that are documents: no invitations, no signatures."""
    return [a for a in mail.attachments if not a.media_type.lower().startswith(_NO_DOCUMENTS)]


def attachment_id(email_id: str, attachment: Attachment) -> str:
    """Return the id of an attachment as a document."""
    return stable_id(email_id, "attachment", str(attachment.index))


def candidates(ask: FindDocuments, heads: Sequence[MailHead], own: frozenset[str], now: datetime) -> list[str]:
    """Return the ids of the mails that are worth opening for a meeting, best first, at most twenty."""
    wanted = _wanted(ask, own)
    rated = [(_promise(head, wanted, now), head) for head in heads if _may_belong(head, now)]
    best = sorted(
        (pair for pair in rated if pair[0] > 0),
        key=lambda pair: (-pair[0], -pair[1].received_at.timestamp(), pair[1].id),
    )
    return [head.id for _, head in best[:_MOST_MAILS]]


def find_documents(
    ask: FindDocuments, mails: Mapping[str, MailItem], ids: Sequence[str], own: frozenset[str], now: datetime
) -> DocumentsFound:
    """Return what belongs to the meeting among the opened mails: attachments, and mails that speak of it."""
    wanted = _wanted(ask, own)
    found = [document for i in ids if i in mails for document in _documents(mails[i], wanted, now.tzinfo)]
    found.sort(key=lambda document: (-document.score, document.document_id))
    return DocumentsFound(subject_id=ask.subject_id, documents=found[: max(0, ask.limit)])


def _wanted(ask: FindDocuments, own: frozenset[str]) -> _Wanted:
    words = _words(ask.title)
    return _Wanted(words - _COMMON or words, frozenset(person.casefold() for person in ask.people) - own)


def _words(text: str) -> frozenset[str]:
    return frozenset(word for word in re.findall(r"\w+", text.casefold().replace("_", " ")) if len(word) > 1)


def _may_belong(head: MailHead, now: datetime) -> bool:
    timely = now - LOOKED_BACK <= head.received_at <= now + timedelta(days=1)
    return timely and head.category not in ("spam", "newsletter") and not head.flags & {"trash", "spam", "draft"}


def _promise(head: MailHead, wanted: _Wanted, now: datetime) -> float:
    share = _share(head.subject, wanted)
    people = _company(head, wanted)
    if share >= 0.5 or (share and people):
        return share + people / 2
    return people / 4 if people >= 1 and now - head.received_at <= _RECENT else 0.0


def _share(text: str, wanted: _Wanted) -> float:
    return len(_words(text) & wanted.words) / len(wanted.words) if wanted.words else 0.0


def _company(head: MailHead, wanted: _Wanted) -> float:
    if head.sender.address in wanted.people:
        return 1.0
    return 0.5 if wanted.people & set(recipients(head)) else 0.0


def _documents(mail: MailItem, wanted: _Wanted, zone: tzinfo | None) -> Iterable[FoundDocument]:
    for attachment in documents_of(mail):
        match = _match(mail, f"{mail.subject} {attachment.name}", wanted)
        if match.by_words and match.score >= _LEAST:
            reasons = (_attached_to(mail, zone), *match.reasons)
            yield _found(attachment_id(mail.id, attachment), attachment.name, min(1.0, match.score + 0.1), reasons)
    match = _match(mail, mail.subject, wanted)
    if match.by_words and match.score >= _LEAST and _company(mail, wanted):
        yield _found(mail.id, mail.subject, match.score * 0.8, match.reasons)


def _attached_to(mail: MailItem, zone: tzinfo | None) -> str:
    name = mail.sender.name or mail.sender.address
    return f'Attached to "{mail.subject[:100]}" of {name}, {day_of(mail.received_at.astimezone(zone))}.'


def _found(document_id: str, name: str, score: float, reasons: Sequence[str]) -> FoundDocument:
    return FoundDocument(
        document_id=document_id,
        name=" ".join(name.split())[:200] or "(without a name)",
        score=round(score, 2),
        reasons=list(reasons),
        source="email",
    )


def _match(mail: MailItem, text: str, wanted: _Wanted) -> _Match:
    shared = sorted(_words(text) & wanted.words)
    share, people = _share(text, wanted), _company(mail, wanted)
    reasons = [f"It shares {', '.join(shared)} with the title."] if shared else []
    if people >= 1:
        reasons.append(f"{mail.sender.name or mail.sender.address} takes part.")
    elif people:
        reasons.append("It went to somebody who takes part.")
    return _Match(0.65 * share + 0.25 * people, tuple(reasons), bool(shared) and (share >= 0.5 or people > 0))
