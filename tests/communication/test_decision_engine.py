"""Weights, votes, quorum, veto and ties; the sentences that a person reads; and what holds whatever is said."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brody_agents.communication.decision_engine import (
    TIE,
    Counterfactual,
    Decision,
    Opinion,
    Outcome,
    Question,
    TrackRecord,
    decide,
)
from brody_agents.errors import (
    BrodyError,
    DecisionError,
    InvalidConfidence,
    InvalidOpinion,
    InvalidQuestion,
    InvalidTrackRecord,
    NoOpinions,
    UnknownChoice,
    VotedTwice,
)

YES, NO, MAYBE = CHOICES = ("accepted", "declined", "tentative")
QUESTION = Question("the review", CHOICES)
REFUSED = TrackRecord(rejected=3)


def vote(*opinions: Opinion, question: Question = QUESTION, **records: TrackRecord) -> Decision:
    """Decide with the records of these agents."""
    return decide(question, opinions, records)


# -- weights -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "weight"),
    [
        (TrackRecord(), Fraction(1, 2)),
        (TrackRecord(accepted=1), Fraction(3, 5)),
        (TrackRecord(rejected=1), Fraction(2, 5)),
        (TrackRecord(edited=1), Fraction(1, 2)),
        (TrackRecord(accepted=6, edited=2, rejected=2), Fraction(9, 14)),
        (TrackRecord(accepted=10**9), Fraction(10**9 + 2, 10**9 + 4)),
    ],
)
def test_a_weight_is_the_posterior_mean_of_the_persons_answers(record: TrackRecord, weight: Fraction) -> None:
    assert record.weight == weight


COUNTS = st.integers(0, 10**6)
RECORDS = st.builds(TrackRecord, COUNTS, COUNTS, COUNTS)


@given(RECORDS)
def test_an_acceptance_raises_a_weight_an_edit_draws_it_to_the_middle_and_a_rejection_lowers_it(
    record: TrackRecord,
) -> None:
    half, weight = Fraction(1, 2), record.weight
    edited = replace(record, edited=record.edited + 1).weight

    assert 0 < replace(record, rejected=record.rejected + 1).weight < weight
    assert weight < replace(record, accepted=record.accepted + 1).weight < 1
    assert abs(edited - half) <= abs(weight - half)


# -- how a vote ends ---------------------------------------------------------------------------------


def test_one_opinion_alone_decides() -> None:
    decision = vote(Opinion("ann", YES))

    assert (decision.choice, decision.outcome, decision.margin, decision.asks) == (YES, Outcome.WON, 1.0, False)


def test_two_that_nobody_knows_are_a_tie_and_a_tie_asks() -> None:
    decision = vote(Opinion("ann", YES), Opinion("ben", NO))

    assert (decision.choice, decision.outcome, decision.margin, decision.asks) == (None, Outcome.TIE, 0.0, True)


@pytest.mark.parametrize(("rejections", "choice"), [(0, None), (2, None), (3, NO)])
def test_who_was_rejected_three_times_loses_against_one_that_nobody_knows(rejections: int, choice: str | None) -> None:
    decision = vote(Opinion("ann", YES), Opinion("ben", NO), ann=TrackRecord(rejected=rejections))

    assert decision.choice == choice


def test_two_outvote_one() -> None:
    assert vote(Opinion("ann", YES), Opinion("ben", NO), Opinion("cleo", NO)).choice == NO


@pytest.mark.parametrize(("confidence", "outcome"), [(0.59, Outcome.WON), (0.6, Outcome.WON), (0.61, Outcome.TIE)])
def test_the_lead_has_to_reach_the_margin(confidence: float, outcome: Outcome) -> None:
    """Five votes against three are a lead of a quarter; ``0.6`` is a little less than three fifths."""
    assert vote(Opinion("ann", YES), Opinion("ben", NO, confidence)).outcome is outcome


def test_an_even_vote_is_a_tie_even_where_no_lead_is_asked_for() -> None:
    question = replace(QUESTION, margin=0)

    assert vote(Opinion("ann", YES), Opinion("ben", NO), question=question).outcome is Outcome.TIE
    assert vote(Opinion("ann", YES), Opinion("ben", NO, 0.999), question=question).choice == YES


def test_opinions_that_are_sure_of_nothing_decide_nothing() -> None:
    assert vote(Opinion("ann", YES, 0.0), Opinion("ben", NO, 0.0)).outcome is Outcome.TIE
    assert vote(Opinion("ann", YES, math.ulp(0.0)), Opinion("ben", NO, 0.0)).choice == YES


def test_too_few_votes_ask() -> None:
    """Who abstains does not count."""
    question = replace(QUESTION, quorum=2)

    assert vote(Opinion("ann", YES), Opinion("ben", None), question=question).outcome is Outcome.NO_QUORUM
    assert vote(Opinion("ann", YES), Opinion("ben", YES), question=question).choice == YES


def test_a_veto_stops_a_choice_and_makes_no_other_one_win() -> None:
    guard = Opinion("guard", None, veto=frozenset({YES}))
    two = (Opinion("ann", YES), Opinion("ben", YES), Opinion("cleo", NO))

    assert vote(*two).choice == YES
    assert (vote(*two, guard).choice, vote(*two, guard).outcome) == (None, Outcome.VETOED)
    assert vote(two[2], guard).choice == NO


# -- what it says ------------------------------------------------------------------------------------


def test_it_says_who_counted_how_much_and_why() -> None:
    decision = vote(Opinion("ann", YES), Opinion("ben", NO, 0.9), ann=REFUSED, ben=TrackRecord(7, 1, 2))

    assert decision.why == (
        "“declined” has 68% of the votes, “accepted” 32%. "
        "ben: “declined”, 90% sure, counts 68% (you accepted 7, edited 1 and rejected 2). "
        "ann: “accepted”, counts 29% (you rejected 3)."
    )
    assert [(v.opinion.agent, v.weight, v.record) for v in decision.votes] == [
        ("ben", 9.5 / 14, TrackRecord(7, 1, 2)),
        ("ann", 2 / 7, REFUSED),
    ]


@pytest.mark.parametrize(
    ("opinions", "why"),
    [
        ([Opinion("ann", YES), Opinion("ben", NO)], "“accepted” (50%) and “declined” (50%) are too close."),
        ([Opinion("ann", None)], "0 of the 1 votes that it takes were given."),
        (
            [Opinion("ann", YES), *(Opinion(g, None, veto=frozenset({YES})) for g in ("guard", "rules"))],
            "“accepted” leads with 100% of the votes, but is ruled out by guard and rules.",
        ),
    ],
)
def test_it_says_why_it_asks(opinions: list[Opinion], why: str) -> None:
    assert vote(*opinions).why.startswith(why)


@pytest.mark.parametrize(
    ("opinions", "instead", "otherwise"),
    [
        ([("ann", YES, 1.0), ("ben", NO, 0.5)], ("ann", NO), "Without ann it would have been “declined”."),
        (
            [("ann", YES, 1.0), ("ben", YES, 0.5)],
            ("ann", YES),
            "Without ann it would have been “accepted” all the same.",
        ),
        ([("ann", YES, 1.0)], ("ann", None), "Without ann you would have been asked."),
        (
            [("ann", YES, 0.5), ("ben", NO, 0.5), ("cleo", MAYBE, 0.5)],
            ("ann", None),
            "Without ann you would have been asked all the same.",
        ),
    ],
)
def test_it_says_what_would_have_been_without_the_strongest_opinion(
    opinions: list[tuple[str, str, float]], instead: tuple[str, str | None], otherwise: str
) -> None:
    decision = vote(*(Opinion(*o) for o in opinions))

    assert decision.counterfactual == Counterfactual(*instead)
    assert decision.otherwise == otherwise


def test_without_the_veto_the_leader_would_have_won() -> None:
    decision = vote(Opinion("ann", YES), Opinion("guard", None, veto=frozenset({YES})))

    assert decision.counterfactual == Counterfactual("guard", YES)


# -- what is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "wrong"),
    [
        (NoOpinions, lambda: vote()),
        (VotedTwice, lambda: vote(Opinion("ann", YES), Opinion("ann", NO))),
        (UnknownChoice, lambda: vote(Opinion("ann", "perhaps"))),
        (UnknownChoice, lambda: vote(Opinion("ann", None, veto=frozenset({"perhaps"})))),
        (InvalidOpinion, lambda: Opinion("ann", YES, veto=frozenset({YES}))),
        (InvalidConfidence, lambda: Opinion("ann", YES, math.nan)),
        (InvalidConfidence, lambda: Opinion("ann", YES, math.inf)),
        (InvalidConfidence, lambda: Opinion("ann", YES, -0.1)),
        (InvalidQuestion, lambda: Question("what", (YES,))),
        (InvalidQuestion, lambda: Question("what", (YES, YES, NO))),
        (InvalidQuestion, lambda: Question("what", CHOICES, quorum=0)),
        (InvalidQuestion, lambda: Question("what", CHOICES, margin=math.nan)),
        (InvalidTrackRecord, lambda: TrackRecord(rejected=-1)),
    ],
)
def test_what_is_no_opinion_or_no_question_is_refused_by_name(
    error: type[BrodyError], wrong: Callable[[], object]
) -> None:
    with pytest.raises(error) as caught:
        wrong()

    assert isinstance(caught.value, DecisionError)
    assert caught.value.code != DecisionError.code
    assert caught.value.remedy


# -- whatever is said --------------------------------------------------------------------------------

CONFIDENCE = st.floats(0, 1)
SMALL = st.builds(TrackRecord, *[st.integers(0, 9)] * 3)


@st.composite
def _opinion(draw: st.DrawFn, agent: str) -> Opinion:
    choice = draw(st.sampled_from([*CHOICES, None]))
    veto = draw(st.frozensets(st.sampled_from([c for c in CHOICES if c != choice]), max_size=1))
    return Opinion(agent, choice, draw(CONFIDENCE), veto)


@st.composite
def ballots(draw: st.DrawFn) -> tuple[Question, list[Opinion], dict[str, TrackRecord]]:
    """Draw a question, the opinions on it, and the records of some of the agents."""
    question = Question("it", CHOICES, draw(st.integers(1, 3)), draw(st.sampled_from([0.0, 0.1, TIE, 0.5, 1.0])))
    agents = draw(st.lists(st.sampled_from("abcdef"), min_size=1, unique=True))
    opinions = [draw(_opinion(agent)) for agent in agents]
    return question, opinions, draw(st.dictionaries(st.sampled_from(agents), SMALL))


Ballot = tuple[Question, Sequence[Opinion], dict[str, TrackRecord]]


@given(ballots(), st.randoms())
def test_the_order_of_the_opinions_does_not_matter(ballot: Ballot, random: Any) -> None:
    question, opinions, records = ballot
    shuffled = random.sample(opinions, len(opinions))

    assert decide(question, shuffled, records) == decide(question, opinions, records)


@given(ballots(), st.permutations(CHOICES))
def test_no_choice_is_favoured(ballot: Ballot, renamed: list[str]) -> None:
    """Who swaps the names of the choices gets the same decision with the names swapped."""
    question, opinions, records = ballot
    new = dict(zip(CHOICES, renamed, strict=True))
    swapped = [
        replace(o, choice=new[o.choice] if o.choice else None, veto=frozenset(new[c] for c in o.veto)) for o in opinions
    ]
    one, other = decide(question, opinions, records), decide(question, swapped, records)

    assert other.choice == (new[one.choice] if one.choice else None)
    assert other.margin == one.margin


@given(ballots(), st.data())
def test_more_confidence_never_turns_a_win_into_a_loss(ballot: Ballot, data: st.DataObject) -> None:
    question, opinions, records = ballot
    choice = decide(question, opinions, records).choice
    surer = [
        replace(o, confidence=data.draw(st.floats(o.confidence, 1))) if o.choice == choice is not None else o
        for o in opinions
    ]

    if choice is not None:
        assert decide(question, surer, records).choice == choice


@given(ballots(), st.data())
def test_a_better_record_never_turns_a_win_into_a_loss(ballot: Ballot, data: st.DataObject) -> None:
    question, opinions, records = ballot
    choice = decide(question, opinions, records).choice
    better = dict(records)
    for o in opinions:
        if o.choice == choice is not None:
            old = records.get(o.agent, TrackRecord())
            better[o.agent] = replace(old, accepted=old.accepted + data.draw(st.integers(0, 5)))

    if choice is not None:
        assert decide(question, opinions, better).choice == choice


@given(ballots())
def test_one_more_voice_for_the_winner_never_turns_a_win_into_a_loss(ballot: Ballot) -> None:
    question, opinions, records = ballot
    choice = decide(question, opinions, records).choice

    if choice is not None:
        assert decide(question, [*opinions, Opinion("new", choice)], records).choice == choice


@given(ballots(), st.sampled_from(CHOICES))
def test_a_veto_only_ever_stops_its_choice(ballot: Ballot, vetoed: str) -> None:
    question, opinions, records = ballot
    before = decide(question, opinions, records).choice
    after = decide(question, [*opinions, Opinion("guard", None, veto=frozenset({vetoed}))], records).choice

    assert after == (None if before == vetoed else before)


@given(ballots())
def test_a_quorum_that_is_not_met_asks_and_one_that_is_met_changes_nothing(ballot: Ballot) -> None:
    question, opinions, records = ballot
    voters = sum(o.choice is not None for o in opinions)

    assert decide(replace(question, quorum=voters + 1), opinions, records).outcome is Outcome.NO_QUORUM
    if voters >= question.quorum:
        met = decide(replace(question, quorum=max(1, voters)), opinions, records)
        assert met.choice == decide(question, opinions, records).choice


@given(ballots())
def test_the_counterfactual_is_what_is_decided_without_that_opinion(ballot: Ballot) -> None:
    question, opinions, records = ballot
    decision = decide(question, opinions, records)
    others = [o for o in opinions if o.agent != decision.counterfactual.without]

    assert len(others) == len(opinions) - 1
    assert decision.counterfactual.choice == (decide(question, others, records).choice if others else None)
    assert all(v.opinion.agent in decision.why for v in decision.votes)
