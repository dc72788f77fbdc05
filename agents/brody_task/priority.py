"""Judge how urgent a task is, each step with its reason in words that a person reads."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from brody_agents import Priority

_ORDER = (Priority.LOW, Priority.NORMAL, Priority.HIGH, Priority.URGENT)
_HASTE = re.compile(
    r"\b(?:urgent(?:ly)?|a\.?s\.?a\.?p|as\s+soon\s+as\s+possible|immediately|right\s+away|at\s+once|critical"
    r"|dringend|sofort|umgehend|eilt|eilig)\b",
    re.IGNORECASE,
)
_LEISURE = re.compile(
    r"\b(?:not\s+(?:very\s+)?urgent|no\s+(?:rush|hurry)|when(?:ever)?\s+you\s+have\s+(?:some\s+)?time|low\s+priority"
    r"|nicht\s+(?:so\s+)?dringend|eilt\s+nicht|keine\s+eile)\b",
    re.IGNORECASE,
)
LONG_PAST = timedelta(days=14)
"""A due date that passed longer ago has lost its force."""
_SOON = timedelta(days=3)
OLD = timedelta(days=30)
"""A request without a due date that is older has lost its force."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a task; times are aware."""

    text: str
    stated: Priority = Priority.NORMAL
    due: datetime | None = None
    asked_at: datetime | None = None
    commitment: bool = False
    known_sender: str = ""
    """Name of whoever asks, if the user's address book has them."""


@dataclass(slots=True)
class Judgement:
    """A priority and how it came about."""

    priority: Priority = Priority.NORMAL
    reasons: list[str] = field(default_factory=list)

    def raise_to(self, least: Priority, reason: str) -> None:
        """Make it at least as urgent; the reason is kept in any case."""
        self.priority = max(self.priority, least, key=_ORDER.index)
        self.reasons.append(reason)

    def step(self, by: int, most: Priority, reason: str) -> None:
        """Move it by steps, upwards not beyond ``most``."""
        before = _ORDER.index(self.priority)
        after = max(0, min(before + by, max(before, _ORDER.index(most))))
        self.priority = _ORDER[after]
        self.reasons.append(reason)


def judge(facts: Facts, now: datetime) -> Judgement:
    """Return the priority of a task at ``now`` with the reasons, the strongest fact first."""
    judgement = Judgement(facts.stated)
    if _is_long_past(facts, now):
        return Judgement(Priority.LOW, [_past_words(facts, now)])
    _by_due_date(judgement, facts.due, now)
    _by_words(judgement, facts.text)
    if facts.known_sender:
        has_time = facts.due is not None and facts.due - now > _SOON
        most = Priority.NORMAL if has_time else Priority.HIGH
        judgement.step(1, most, f"{facts.known_sender}, who asks, is in your address book")
    if facts.commitment:
        judgement.raise_to(Priority.NORMAL, "you promised it")
    return judgement


def _is_long_past(facts: Facts, now: datetime) -> bool:
    if facts.due is not None:
        return now - facts.due > LONG_PAST
    return facts.asked_at is not None and now - facts.asked_at > OLD


def _past_words(facts: Facts, now: datetime) -> str:
    if facts.due is not None:
        return f"it was due on {_day(facts.due, now)}, {(now - facts.due).days} days ago"
    assert facts.asked_at is not None
    return f"it was asked on {_day(facts.asked_at, now)}, {(now - facts.asked_at).days} days ago"


def _by_due_date(judgement: Judgement, due: datetime | None, now: datetime) -> None:
    if due is None:
        return
    left = due - now
    if left < timedelta(0):
        judgement.raise_to(Priority.URGENT, f"it was due on {_day(due, now)} and is overdue")
    elif left <= timedelta(hours=24):
        judgement.raise_to(Priority.URGENT, f"it is due within 24 hours, on {_day(due, now)}")
    elif left <= _SOON:
        judgement.raise_to(Priority.HIGH, f"it is due within three days, on {_day(due, now)}")
    else:
        judgement.reasons.append(f"it is due on {_day(due, now)}")


def _by_words(judgement: Judgement, text: str) -> None:
    if match := _LEISURE.search(text):
        judgement.step(-1, Priority.URGENT, f'the text says "{match[0].casefold()}"')
    elif match := _HASTE.search(text):
        judgement.step(1, Priority.URGENT, f'the text says "{match[0].casefold()}"')


def _day(moment: datetime, now: datetime) -> str:
    """Name a day in the zone of ``now``, the same in every locale."""
    local = moment.astimezone(now.tzinfo)
    weekday = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")[local.weekday()]
    return f"{weekday}, {local.date().isoformat()}"
