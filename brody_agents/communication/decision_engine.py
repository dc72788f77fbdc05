"""Decide between several opinions on one question: a weighted vote, with weights learned from the person.

An opinion counts its confidence times the weight of whoever gives it. The weight is the chance that the person
accepts what this agent proposes of this kind: the posterior mean of a Beta–Bernoulli model of the person's answers.
Where nobody is clearly ahead, too few have spoken, or the leader is vetoed, the decision is to ask the person.

All sums are exact fractions: the result depends on what the opinions are, never on their order or on rounding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction

from brody_agents.errors import (
    InvalidConfidence,
    InvalidOpinion,
    InvalidQuestion,
    InvalidTrackRecord,
    NoOpinions,
    UnknownChoice,
    VotedTwice,
)

PRIOR = (2, 2)
"""Acceptances and rejections that everybody starts with: unknown agents count half, one answer moves that a little."""

EDITED = Fraction(1, 2)
"""The share of an edited proposal that counts as accepted; the rest counts as rejected."""

TIE = 0.25
"""The lead, as a share of all votes, below which the person is asked: five votes against three are just enough."""


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """How many of an agent's proposals of a kind the person accepted as they were, edited, and rejected."""

    accepted: int = 0
    edited: int = 0
    rejected: int = 0

    def __post_init__(self) -> None:
        if min(self.accepted, self.edited, self.rejected) < 0:
            raise InvalidTrackRecord(f"{self!r} counts less than nothing.", "Give numbers from 0.")

    @property
    def weight(self) -> Fraction:
        """Return the posterior mean of Beta–Bernoulli under ``PRIOR``; more than 0 and less than 1."""
        successes = PRIOR[0] + self.accepted + EDITED * self.edited
        return successes / (sum(PRIOR) + self.accepted + self.edited + self.rejected)

    def __str__(self) -> str:
        counts = {"accepted": self.accepted, "edited": self.edited, "rejected": self.rejected}
        said = [f"{word} {count}" for word, count in counts.items() if count]
        return f"you {_listed(said)}" if said else "no answers of yours yet"


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be decided: two or more choices, and what a decision takes.

    ``quorum`` is how many must vote, ``margin`` the lead (0 to 1, a share of all votes) that a choice needs.
    Raises ``InvalidQuestion``.
    """

    about: str
    choices: tuple[str, ...]
    quorum: int = 1
    margin: float = TIE

    def __post_init__(self) -> None:
        if len(set(self.choices)) < max(2, len(self.choices)):
            raise InvalidQuestion(f"{self.choices} are no two different choices.", "Name each choice once.")
        if self.quorum < 1:
            raise InvalidQuestion(f"A quorum of {self.quorum} is none.", "Give a number from 1.")
        if not 0 <= self.margin <= 1:
            raise InvalidQuestion(f"A margin of {self.margin} is no share.", "Give a number from 0 to 1.")


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one agent (or model) thinks: its choice, how sure it is (0 to 1), and what it rules out.

    Without a ``choice`` it abstains. A ``veto`` stops a choice from being made without the person; it makes no other
    one win. Raises ``InvalidConfidence``, and ``InvalidOpinion`` for a choice that its own veto rules out.
    """

    agent: str
    choice: str | None
    confidence: float = 1.0
    veto: frozenset[str] = frozenset()
    why: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.confidence <= 1:  # false for NaN too
            raise InvalidConfidence(f"{self.agent} is sure to {self.confidence}.", "Give a number from 0 to 1.")
        if self.choice in self.veto:
            raise InvalidOpinion(f"{self.agent} chooses what it rules out: {self.choice!r}.", "Do one of the two.")


@dataclass(frozen=True, slots=True)
class Vote:
    """An opinion with the record that its weight comes from."""

    opinion: Opinion
    record: TrackRecord

    @property
    def weight(self) -> float:
        """Return how much its agent counts."""
        return float(self.record.weight)

    @property
    def support(self) -> Fraction:
        """Return what it adds to its choice: weight times confidence."""
        return self.record.weight * Fraction(float(self.opinion.confidence))

    def __str__(self) -> str:
        o = self.opinion
        sure = f", {_percent(o.confidence)} sure" if o.confidence < 1 else ""
        says = f"“{o.choice}”{sure}" if o.choice is not None else "no choice"
        return f"{o.agent}: {says}, counts {_percent(self.weight)} ({self.record})."


class Outcome(StrEnum):
    """How a vote ended; all but the first ask the person."""

    WON = "won"
    TIE = "tie"
    NO_QUORUM = "no_quorum"
    VETOED = "vetoed"


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """What would have been decided without one agent's opinion; no choice means that the person is asked."""

    without: str
    choice: str | None


@dataclass(frozen=True, slots=True)
class Decision:
    """The choice, or ``None`` to ask the person; and how it came about, as a sentence and as figures.

    ``votes`` are the opinions with their weights, the strongest first. ``margin`` is the leader's lead as a share of
    all votes. ``counterfactual`` leaves out the strongest opinion (or the veto that decided).
    """

    question: Question
    choice: str | None
    outcome: Outcome
    votes: tuple[Vote, ...]
    margin: float
    counterfactual: Counterfactual
    why: str
    otherwise: str

    @property
    def asks(self) -> bool:
        """Say whether the person has to decide."""
        return self.choice is None


def decide(
    question: Question, opinions: Sequence[Opinion], records: Mapping[str, TrackRecord] | None = None
) -> Decision:
    """Return the decision that opinions lead to; ``records`` are those of the agents, by name.

    A choice wins if it leads by ``question.margin``, ``question.quorum`` agents have voted, and nobody vetoes it.
    Whoever has no record counts as ``PRIOR`` says. The order of the opinions does not matter. Raises ``NoOpinions``,
    ``VotedTwice`` (one voice an agent) and ``UnknownChoice``.
    """
    _check(question, opinions)
    known = records or {}
    votes = sorted(
        (Vote(o, known.get(o.agent, TrackRecord())) for o in opinions), key=lambda v: (-v.support, v.opinion.agent)
    )
    count = _Count.of(question, votes)
    decisive = count.vetoes[0] if count.outcome is Outcome.VETOED else votes[0]
    without = _Count.of(question, [v for v in votes if v is not decisive])
    instead = Counterfactual(decisive.opinion.agent, without.choice)
    return Decision(
        question=question,
        choice=count.choice,
        outcome=count.outcome,
        votes=tuple(votes),
        margin=float(count.margin),
        counterfactual=instead,
        why=" ".join([count.said(), *map(str, votes)]),
        otherwise=_otherwise(count.choice, instead),
    )


def _check(question: Question, opinions: Sequence[Opinion]) -> None:
    if not opinions:
        raise NoOpinions(f"Nobody has an opinion on {question.about!r}.", "Give at least one.")
    voices = Counter(o.agent for o in opinions)
    if again := sorted(agent for agent, times in voices.items() if times > 1):
        raise VotedTwice(f"{', '.join(again)} voted twice on {question.about!r}.", "Give one opinion an agent.")
    for o in opinions:
        if unknown := sorted({*o.veto, *([] if o.choice is None else [o.choice])} - set(question.choices)):
            raise UnknownChoice(f"{o.agent} names {unknown[0]!r}.", f"Use one of: {', '.join(question.choices)}.")


@dataclass(frozen=True, slots=True)
class _Count:
    """The votes, counted."""

    question: Question
    shares: dict[str, Fraction]
    """Of all votes, by choice, the largest first."""
    voters: int
    vetoes: list[Vote] = field(default_factory=list)
    """Against the leader."""

    @classmethod
    def of(cls, question: Question, votes: Sequence[Vote]) -> _Count:
        support = {c: sum((v.support for v in votes if v.opinion.choice == c), Fraction(0)) for c in question.choices}
        total = sum(support.values()) or Fraction(1)
        ranked = sorted(question.choices, key=lambda c: (-support[c], c))
        vetoes = sorted((v for v in votes if ranked[0] in v.opinion.veto), key=lambda v: v.opinion.agent)
        voters = sum(v.opinion.choice is not None for v in votes)
        return cls(question, {c: support[c] / total for c in ranked}, voters, vetoes)

    @property
    def leader(self) -> str:
        return next(iter(self.shares))

    @property
    def margin(self) -> Fraction:
        first, second, *_ = self.shares.values()
        return first - second

    @property
    def outcome(self) -> Outcome:
        if self.voters < self.question.quorum:
            return Outcome.NO_QUORUM
        if not self.margin or self.margin < Fraction(self.question.margin):
            return Outcome.TIE
        return Outcome.VETOED if self.vetoes else Outcome.WON

    @property
    def choice(self) -> str | None:
        return self.leader if self.outcome is Outcome.WON else None

    def said(self) -> str:
        """Return the outcome in words."""
        (first, most), (second, next_most), *_ = self.shares.items()
        match self.outcome:
            case Outcome.NO_QUORUM:
                return f"{self.voters} of the {self.question.quorum} votes that it takes were given."
            case Outcome.TIE:
                return f"“{first}” ({_percent(most)}) and “{second}” ({_percent(next_most)}) are too close."
            case Outcome.VETOED:
                by = _listed([v.opinion.agent for v in self.vetoes])
                return f"“{first}” leads with {_percent(most)} of the votes, but is ruled out by {by}."
            case _:
                return f"“{first}” has {_percent(most)} of the votes, “{second}” {_percent(next_most)}."


def _otherwise(choice: str | None, instead: Counterfactual) -> str:
    same = " all the same" if choice == instead.choice else ""
    if instead.choice is None:
        return f"Without {instead.without} you would have been asked{same}."
    return f"Without {instead.without} it would have been “{instead.choice}”{same}."


def _percent(share: float | Fraction) -> str:
    return f"{float(share):.0%}"


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
