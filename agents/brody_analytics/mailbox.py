"""What the figures need of mail: whose it is, which thread it is in, what was answered when, what is owed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from brody_agents.items import MailHead

_IMPERSONAL = frozenset({"newsletter", "receipt", "spam", "invite"})
_UNREAD = frozenset({"draft", "trash", "spam"})
_BULK = ("list-unsubscribe", "list-id", "x-auto-response-suppress")
_ROBOT = re.compile(r"(?:no-?_?reply|do-?not-?reply|mailer-daemon|postmaster|bounces?|notifications?)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A user's mails, each message once, oldest first; drafts, spam and what was thrown away are left out."""

    heads: tuple[MailHead, ...]
    own: frozenset[str]

    @classmethod
    def of(cls, heads: Iterable[MailHead], own: frozenset[str]) -> Mailbox:
        """Return the mailbox that ``heads`` are; a message that lies in two folders counts once."""
        seen: dict[str, MailHead] = {}
        for head in sorted(heads, key=lambda h: (h.received_at, h.id)):
            if not head.flags & _UNREAD:
                seen.setdefault(head.message_id or head.id, head)
        return cls(tuple(seen.values()), own)

    def is_own(self, head: MailHead) -> bool:
        """Say whether the user wrote it."""
        return head.sender.address in self.own or "sent" in head.flags

    def is_personal(self, head: MailHead) -> bool:
        """Say whether a person wrote it to the user: by triage where there was one, else by its headers."""
        if self.is_own(head) or head.category in _IMPERSONAL or _ROBOT.match(head.sender.address):
            return False
        return not _is_bulk(head) and self._is_addressed(head)

    def _is_addressed(self, head: MailHead) -> bool:
        return not self.own or any(a.address in self.own for a in (*head.to, *head.cc))

    def threads(self) -> list[list[MailHead]]:
        """Return the mails by thread, oldest first: by the thread's id, else by what they refer to."""
        roots: dict[str, str] = {}
        for head in self.heads:
            links = [f"thread:{head.thread_id}"] if head.thread_id else []
            for other in (*links, *head.references, *([head.in_reply_to] if head.in_reply_to else [])):
                _join(roots, head.message_id or head.id, other)
        grouped: dict[str, list[MailHead]] = {}
        for head in self.heads:
            grouped.setdefault(_root(roots, head.message_id or head.id), []).append(head)
        return list(grouped.values())


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply of the user, and the first of the mails that it answers."""

    asked: MailHead
    reply: MailHead


def answers(mailbox: Mailbox, threads: Sequence[Sequence[MailHead]]) -> list[Answer]:
    """Return what the user answered: each run of personal mails that one of the user's own mails ends."""
    found = []
    for thread in threads:
        asked: MailHead | None = None
        for head in thread:
            if mailbox.is_own(head):
                found += [Answer(asked, head)] if asked else []
                asked = None
            elif asked is None and mailbox.is_personal(head):
                asked = head
    return found


def owed(mailbox: Mailbox, threads: Sequence[Sequence[MailHead]]) -> list[MailHead]:
    """Return the mails to which the user owes a reply, one a thread, oldest first.

    Triage decides where it has run; else a thread counts in which the user has written, and a person wrote last.
    """
    if any(head.category for head in mailbox.heads):
        return _in_state(threads, "owed")
    last = [thread[-1] for thread in threads if any(map(mailbox.is_own, thread))]
    return sorted((head for head in last if mailbox.is_personal(head)), key=lambda h: (h.received_at, h.id))


def waiting(threads: Sequence[Sequence[MailHead]]) -> list[MailHead]:
    """Return the mails of the user for whose answer the user waits, one a thread, oldest first."""
    return _in_state(threads, "waiting")


def owed_at(moment: datetime, answered: Sequence[Answer], still: Sequence[MailHead]) -> int:
    """Return how many replies the user owed at a moment: those given later, and those not given yet."""
    later = sum(a.asked.received_at < moment <= a.reply.received_at for a in answered)
    return later + sum(head.received_at < moment for head in still)


def _in_state(threads: Sequence[Sequence[MailHead]], state: str) -> list[MailHead]:
    newest = [[head for head in thread if head.reply_state == state][-1:] for thread in threads]
    return sorted((head for last in newest for head in last), key=lambda h: (h.received_at, h.id))


def _is_bulk(head: MailHead) -> bool:
    signals = head.signals
    automatic = signals.get("auto-submitted", "no").casefold() != "no"
    bulk = signals.get("precedence", "").casefold() in ("bulk", "list", "junk")
    return automatic or bulk or any(name in signals for name in _BULK)


def _root(roots: dict[str, str], key: str) -> str:
    while (parent := roots.get(key, key)) != key:
        roots[key] = roots.get(parent, parent)
        key = parent
    return key


def _join(roots: dict[str, str], one: str, other: str) -> None:
    first, second = sorted((_root(roots, one), _root(roots, other)))
    roots[second] = first
