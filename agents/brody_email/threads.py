"""Put mails into threads (after Jamie Zawinski's algorithm), and say in each who owes whom an answer.

Pure functions of heads: the order in which mails were read makes no difference.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from brody_agents.communication.message_protocol import stable_id
from brody_agents.items import MailHead
from brody_email.dates import day_of
from brody_email.signals import automatic_answer, list_id, recipients

LAPSE = timedelta(days=60)
"""Nobody waits any longer for an answer than this."""
SAME_SUBJECT = timedelta(days=14)
"""Mails without references are one conversation only this close to each other."""

State = Literal["none", "owed", "answered", "waiting"]

_PREFIX = re.compile(
    r"^\s*(?:(?:re|aw|antw|sv|rif|vs|odp|fwd?|wg)(?:\[\d+\]|\^\d+)?\s*:|\[[^\]]{1,60}\])\s*", re.IGNORECASE
)
_REPLY = re.compile(r"^\s*(?:\[[^\]]{1,60}\]\s*)?(?:re|aw|antw|sv|rif|vs|odp)(?:\[\d+\]|\^\d+)?\s*:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Thread:
    """A conversation: its mails, oldest first."""

    id: str
    mails: tuple[MailHead, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """How one mail stands in its thread: answered or not, who is waited for, and a sentence that says so."""

    state: State = "none"
    waiting_on: tuple[str, ...] = ()
    reason: str = ""


def first_thread_id(mail: MailHead) -> str:
    """Return the id of the thread that a mail alone makes: that of the first mail which it refers to."""
    return stable_id("thread", _root(mail))


def normalised_subject(subject: str) -> str:
    """Return a subject without reply marks, list marks and case."""
    while (shorter := _PREFIX.sub("", subject, count=1)) != subject:
        subject = shorter
    return " ".join(subject.casefold().split())


# -- threads -------------------------------------------------------------------------------------------


class _Groups:
    """Union-find over message ids."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}

    def find(self, key: str) -> str:
        above = self._above
        root = key
        while (parent := above.setdefault(root, root)) != root:
            root = parent
        while above[key] != root:
            above[key], key = root, above[key]
        return root

    def join(self, a: str, b: str) -> None:
        a, b = self.find(a), self.find(b)
        if a != b:
            self._above[max(a, b)] = min(a, b)


def build_threads(heads: Iterable[MailHead], own: frozenset[str] = frozenset()) -> list[Thread]:
    """Return all mails in threads, the threads by their first mail.

    Mails belong together by Message-ID, In-Reply-To and References. An answer that has neither joins the newest
    earlier mail with its subject if both have somebody in common besides the user, and are within two weeks.
    """
    mails = sorted(heads, key=lambda mail: (mail.received_at, mail.id))
    groups = _Groups()
    for mail in mails:
        for reference in (*mail.references, mail.in_reply_to):
            if reference:
                groups.join(_key(mail), reference)
    for mail, earlier in _by_subject(mails, own):
        groups.join(_key(mail), _key(earlier))
    members: dict[str, list[MailHead]] = defaultdict(list)
    for mail in mails:
        members[groups.find(_key(mail))].append(mail)
    return [Thread(stable_id("thread", _root(group[0])), tuple(group)) for group in members.values()]


def _key(mail: MailHead) -> str:
    return mail.message_id or mail.id


def _root(mail: MailHead) -> str:
    return mail.references[0] if mail.references else mail.in_reply_to or _key(mail)


def _by_subject(mails: Sequence[MailHead], own: frozenset[str]) -> Iterable[tuple[MailHead, MailHead]]:
    """Yield each answer without references, with the earlier mail that it seems to answer."""
    same: dict[str, list[MailHead]] = defaultdict(list)
    for mail in mails:
        same[normalised_subject(mail.subject)].append(mail)
    for subject, group in same.items():
        if not subject or len(group) < 2:
            continue
        times = [mail.received_at for mail in group]
        for index, mail in enumerate(group):
            if mail.references or mail.in_reply_to or not _REPLY.match(mail.subject):
                continue
            nearest = bisect_left(times, mail.received_at - SAME_SUBJECT)
            shared = (other for other in reversed(group[nearest:index]) if _people(other, own) & _people(mail, own))
            if earlier := next(shared, None):
                yield mail, earlier


def _people(mail: MailHead, own: frozenset[str]) -> set[str]:
    return {mail.sender.address, *recipients(mail)} - own - {""}


# -- who owes whom --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Role:
    """What is known of a mail in its thread: whether the user wrote it, and what its text does."""

    by_user: bool
    asks: bool = False
    """It asks somebody for something: the user, or if the user wrote it, its recipients."""
    promises: bool = False
    """Somebody else promises something in it."""
    ignored: bool = False
    """Drafts, spam and what lies in the trash are no part of the conversation."""


def standings(thread: Thread, roles: Mapping[str, Role], own: frozenset[str], now: datetime) -> dict[str, Standing]:
    """Return how each mail of a thread stands; ``roles`` are by the mails' ids."""
    mails = [mail for mail in thread.mails if not roles[mail.id].ignored]
    found = {mail.id: Standing() for mail in thread.mails}
    for index, mail in enumerate(mails):
        role = roles[mail.id]
        if not role.asks and not role.promises:
            continue
        later = mails[index + 1 :]
        if role.asks and role.by_user:
            found[mail.id] = _asked_by_user(mail, later, roles, own, now)
        elif role.asks:
            found[mail.id] = _asked_of_user(mail, later, roles, now)
        else:
            found[mail.id] = _promised(mail, later, now)
    return found


def _asked_of_user(mail: MailHead, later: Sequence[MailHead], roles: Mapping[str, Role], now: datetime) -> Standing:
    answer = next((other for other in later if roles[other.id].by_user and _answers(other, mail)), None)
    if answer:
        return Standing("answered", reason=f"You answered on {day_of(answer.received_at.astimezone(now.tzinfo))}.")
    if "answered" in mail.flags:
        return Standing("answered", reason="Your mailbox marks it as answered.")
    return _lapsed() if now - mail.received_at > LAPSE else Standing("owed")


def _asked_by_user(
    mail: MailHead, later: Sequence[MailHead], roles: Mapping[str, Role], own: frozenset[str], now: datetime
) -> Standing:
    asked = () if list_id(mail) else recipients(mail, own)
    answer = next((other for other in later if _is_answer(other, mail, asked, roles)), None)
    if answer:
        name = answer.sender.name or answer.sender.address
        return Standing("answered", reason=f"{name} answered on {day_of(answer.received_at.astimezone(now.tzinfo))}.")
    bounce = next((other for other in later if _is_bounce(other)), None)
    if bounce:
        return Standing(reason=f"It could not be delivered on {day_of(bounce.received_at.astimezone(now.tzinfo))}.")
    again = next(
        (o for o in later if roles[o.id].by_user and roles[o.id].asks and set(asked) & set(recipients(o))), None
    )
    if again:
        return Standing(reason=f"You asked again on {day_of(again.received_at.astimezone(now.tzinfo))}.")
    if not asked:
        return Standing()  # asked of everybody on a list
    if now - mail.received_at > LAPSE:
        return _lapsed()
    wanted = tuple(a.address for a in mail.to if a.address in asked) or asked
    return Standing("waiting", wanted)


def _promised(mail: MailHead, later: Sequence[MailHead], now: datetime) -> Standing:
    again = next((o for o in later if o.sender.address == mail.sender.address and not automatic_answer(o)), None)
    if again:
        return Standing("answered", reason=f"More came on {day_of(again.received_at.astimezone(now.tzinfo))}.")
    return _lapsed() if now - mail.received_at > LAPSE else Standing("waiting", (mail.sender.address,))


def _lapsed() -> Standing:
    return Standing(reason=f"Nothing came of it in {LAPSE.days} days.")


def _answers(answer: MailHead, mail: MailHead) -> bool:
    """Say whether what the user wrote goes to whoever asked."""
    if mail.message_id and answer.in_reply_to == mail.message_id:
        return True
    askers = {mail.sender.address, *(a.address for a in mail.reply_to)}
    return bool(askers & set(recipients(answer)))


def _is_bounce(mail: MailHead) -> bool:
    return mail.sender.address.startswith(("mailer-daemon@", "postmaster@")) and bool(automatic_answer(mail))


def _is_answer(other: MailHead, mail: MailHead, asked: Sequence[str], roles: Mapping[str, Role]) -> bool:
    """Say whether one of those who were asked wrote back; an absence note is no answer."""
    if roles[other.id].by_user or automatic_answer(other):
        return False
    return other.sender.address in asked or (bool(mail.message_id) and other.in_reply_to == mail.message_id)
