"""Pass over all threads: correct what one mail alone could not show, and find what needs an answer.

A pure function of the ledger's mails, the address book and the time. Whatever was said of a mail before counts as
what that mail alone showed; where the pass has already changed that, the mail is read again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import cast

from brody_agents.communication.payloads import Category, EmailClassified, Urgency
from brody_agents.items import MailHead, MailItem
from brody_email.authentication import failed, own_server
from brody_email.circumstances import Circumstances
from brody_email.reading import classification
from brody_email.signals import recipients
from brody_email.threads import Role, Standing, Thread, build_threads, standings
from brody_email.triage import COLD, OWN, Verdict, triage

DRAFTED = timedelta(days=30)
"""An answer is drafted to mail that is not older than this."""
_ASKING = ("urgent", "needs_reply")


@dataclass(frozen=True, slots=True)
class Scan:
    """What a pass found: which mails have to be read first, which classes change, which mails want a draft."""

    about: Circumstances
    unread: list[str] = field(default_factory=list)
    changed: list[EmailClassified] = field(default_factory=list)
    to_answer: list[str] = field(default_factory=list)


def scan(heads: Sequence[MailHead], about: Circumstances, verdicts: Mapping[str, Verdict]) -> Scan:
    """Look at all threads; ``verdicts`` are of mails that were read again, by id.

    As long as ``unread`` is not empty, nothing else is decided.
    """
    about = widened(heads, about)
    rows = {head.id: _Row(head, verdicts.get(head.id), about) for head in heads}
    threads = build_threads(heads, about.own)
    stands: dict[str, Standing] = {}
    for thread in threads:
        roles = {mail.id: rows[mail.id].role for mail in thread.mails}
        stands |= standings(thread, roles, about.own, about.now)
    unread = [head.id for head in heads if rows[head.id].is_stale(stands[head.id])]
    if unread:
        return Scan(about, unread)
    changed = [
        message
        for thread in threads
        for mail in thread.mails
        if (message := rows[mail.id].correction(stands[mail.id], thread.id))
    ]
    to_answer = [mail_id for thread in threads if (mail_id := _to_answer(thread, rows, stands, about))]
    return Scan(about, [], changed, to_answer)


def widened(heads: Sequence[MailHead], about: Circumstances) -> Circumstances:
    """Add what all mail shows: to whom the user writes, and which server is the user's own."""
    written_to = {address for head in heads if _by_user(head, about) for address in recipients(head)}
    received = (head for head in heads if not _by_user(head, about))
    return replace(about, known=about.known | written_to, servers=about.servers or own_server(received))


def triage_all(mails: Sequence[MailItem], about: Circumstances) -> dict[str, Verdict]:
    """Return the verdict of each mail by its id, read by itself."""
    return {mail.id: triage(mail, about) for mail in mails}


def _by_user(head: MailHead, about: Circumstances) -> bool:
    if "sent" in head.flags:
        return True
    return head.sender.address in about.own and not failed(head, about)


class _Row:
    """One mail in the pass: what was said of it, and what is to be said."""

    def __init__(self, head: MailHead, verdict: Verdict | None, about: Circumstances) -> None:
        self.head = head
        self.about = about
        self.read_again = verdict is not None
        self.verdict = verdict or Verdict(
            cast(Category, head.category or "fyi"), cast(Urgency, head.urgency or "low"), head.needs_reply, head.reasons
        )

    @property
    def by_user(self) -> bool:
        return OWN in self.verdict.reasons

    @property
    def role(self) -> Role:
        category = self.verdict.category
        settled = self.head.reply_state == "answered" and not self.read_again  # it asked, then the pass settled it
        return Role(
            by_user=self.by_user,
            asks=settled or self.verdict.needs_reply or (self.by_user and category == "waiting"),
            promises=not self.by_user and category == "waiting",
            ignored=category == "spam" or bool(self.head.flags & {"draft", "trash", "spam"}),
        )

    def is_stale(self, standing: Standing) -> bool:
        """Say whether the mail has to be read again before anything is said of it."""
        head = self.head
        if self.read_again:
            return False
        if not head.category or (head.reply_state == "answered" and standing.state != "answered"):
            return True
        if head.category == "urgent" and self.about.now - head.received_at > COLD:
            return True
        if head.category == "spam":
            return head.sender.address in self.about.known and not _by_user(head, self.about)
        if self.by_user != _by_user(head, self.about):
            return True
        return failed(head, self.about) and not failed(head, replace(self.about, servers=frozenset()))

    def correction(self, standing: Standing, thread_id: str) -> EmailClassified | None:
        """Return what is to be said of the mail, if that is not what was said."""
        verdict = self.verdict
        news = bool(standing.reason) and standing.reason not in verdict.reasons
        if news or self.read_again or standing.state != self.head.reply_state:
            verdict = _corrected(verdict, standing)
        message = classification(self.head.id, verdict, thread_id).model_copy(
            update={"reply_state": standing.state, "waiting_on": list(standing.waiting_on)}
        )
        return message if _said(self.head) != _fields(message) else None


def _corrected(verdict: Verdict, standing: Standing) -> Verdict:
    reasons = (*verdict.reasons, standing.reason) if standing.reason else verdict.reasons
    if standing.state == "answered":
        return replace(verdict, category="fyi", urgency="low", needs_reply=False, reasons=reasons)
    if standing.reason:
        return replace(verdict, urgency="low", reasons=reasons)
    return verdict


Fields = tuple[str, str, bool, tuple[str, ...], str, str, tuple[str, ...]]


def _said(head: MailHead) -> Fields:
    said = (head.category, head.urgency, head.needs_reply, head.reasons)
    return (*said, head.thread_id, head.reply_state, head.waiting_on)


def _fields(m: EmailClassified) -> Fields:
    said = (m.category, m.urgency, m.needs_reply, tuple(m.reasons))
    return (*said, m.thread_id or "", m.reply_state, tuple(m.waiting_on))


def _to_answer(
    thread: Thread, rows: Mapping[str, _Row], stands: Mapping[str, Standing], about: Circumstances
) -> str | None:
    """Return the newest mail of a thread that wants an answer, unless the user is writing one already."""
    owed = [
        mail for mail in thread.mails if stands[mail.id].state == "owed" and rows[mail.id].verdict.category in _ASKING
    ]
    if not owed or about.now - owed[-1].received_at > DRAFTED:
        return None
    writing = any("draft" in mail.flags and mail.received_at >= owed[-1].received_at for mail in thread.mails)
    return None if writing else owed[-1].id
