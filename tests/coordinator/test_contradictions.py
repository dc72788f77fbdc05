"""Contradicting answers to an invitation: agents that agree are one, those that do not are weighed, a tie asks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from brody_agents import ActionState, AgentAction, Brody, BrodyAgent, Context, handles
from brody_agents.communication.decision_engine import Opinion, Question, TrackRecord, decide
from brody_agents.communication.message_protocol import PERSON
from brody_agents.errors import ConfigurationError
from brody_agents.ledger import actions as ledger_actions
from brody_agents.ledger import track_records
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.retention import Ages, Retention
from brody_agents.ledger.track_records import Answer
from brody_agents.settings import Settings
from tests.coordinator.court import NINE, Court, propose
from tests.coordinator.kit import Note, note
from tests.coordinator.test_conflict_resolver import ANSWER

WAITS, DROPPED, MERGED = ActionState.AWAITING_APPROVAL, ActionState.SUPERSEDED, ActionState.MERGED


def answer(by: str, said: str, confidence: float = 1.0, *, cause: str = "the mail", **more: object) -> ActionRecord:
    """Return an agent's answer to the one invitation; agents that handle the same mail have the same cause."""
    made = propose("calendar.respond", ANSWER | {"answer": said} | more, by=by, cause=cause)
    return replace(made, confidence=confidence)


async def learn(ledger: Ledger, **records: TrackRecord) -> None:
    """Have the person answered so many proposals of each agent."""
    for agent, r in records.items():
        answers = [*[Answer.ACCEPTED] * r.accepted, *[Answer.EDITED] * r.edited, *[Answer.REJECTED] * r.rejected]
        async with ledger.write() as tx:
            for n, a in enumerate(answers):
                earlier = replace(answer(agent, "accepted"), id=f"{agent} {n}")
                await track_records.note(tx, [earlier], a, at=NINE)


async def standing(court: Court, *proposals: ActionRecord, at_once: bool = True) -> dict[str, ActionState]:
    """Settle proposals and return how those of each agent stand."""
    for group in [proposals] if at_once else [[p] for p in proposals]:
        async with court.ledger.write() as tx:
            await court.resolver.settle(tx, group)
    return {a.proposed_by: a.state for a in await court.actions.list()}


async def mine(court: Court, agent: str) -> ActionRecord:
    """Return the one action of an agent."""
    (action,) = [a for a in await court.actions.list() if a.proposed_by == agent]
    return action


# -- the rule ----------------------------------------------------------------------------------------


async def test_two_that_are_not_known_yet_are_a_tie_and_a_tie_asks(court: Court, at_once: bool) -> None:
    states = await standing(court, answer("ann", "accepted"), answer("ben", "declined"), at_once=at_once)
    verdict = await court.verdict(await mine(court, "ben"))

    assert states == {"ann": WAITS, "ben": WAITS}
    assert (verdict.kind, verdict.verdict, verdict.rule) == ("contradiction", "ask", "opposite_answers")
    assert verdict.why == (
        "Two answers contradict each other. “accepted” (50%) and “declined” (50%) are too close. "
        "ann: “accepted”, counts 50% (no answers of yours yet). "
        "ben: “declined”, counts 50% (no answers of yours yet). You decide."
    )
    assert verdict.options == ["Keep the earlier one", "Take this one instead", "Drop both"]


@pytest.mark.parametrize("first", ["ann", "ben"])
async def test_the_one_whom_the_person_trusts_more_wins_whoever_was_first(
    court: Court, at_once: bool, first: str
) -> None:
    await learn(court.ledger, ann=TrackRecord(rejected=3), ben=TrackRecord(accepted=1))
    both = [answer("ann", "accepted"), answer("ben", "declined")]
    order = both if first == "ann" else both[::-1]
    assert await standing(court, *order, at_once=at_once) == {"ann": DROPPED, "ben": WAITS}

    verdict = await court.verdict(await mine(court, order[1].proposed_by))
    assert (verdict.kind, verdict.verdict, verdict.rule) == ("contradiction", "superseded", "outweighed")
    assert verdict.why == (
        "“declined” has 68% of the votes, “accepted” 32%. ben: “declined”, counts 60% (you accepted 1). "
        "ann: “accepted”, counts 29% (you rejected 3)."
    )
    assert verdict.otherwise == "Both answers would have waited for you. Without ben it would have been “accepted”."
    assert (await mine(court, "ann")).reason == verdict.why


async def test_a_verdict_holds_what_was_weighed_as_figures(court: Court) -> None:
    await learn(court.ledger, ann=TrackRecord(2, 1, 4))
    await standing(court, answer("ann", "accepted", 0.5), answer("ben", "declined"))
    verdict = await court.verdict(await mine(court, "ben"))

    assert [{k: v for k, v in p.items() if k not in ("id", "title")} for p in verdict.parties] == [
        {
            "by": "ben",
            "choice": "declined",
            "confidence": 1.0,
            "weight": 0.5,
            "record": {"accepted": 0, "edited": 0, "rejected": 0},
        },
        {
            "by": "ann",
            "choice": "accepted",
            "confidence": 0.5,
            "weight": round(4.5 / 11, 4),
            "record": {"accepted": 2, "edited": 1, "rejected": 4},
        },
    ]
    assert [p["id"] for p in verdict.parties] == [(await mine(court, a)).id for a in ("ben", "ann")]
    assert {p["title"] for p in verdict.parties} == {"Review"}


async def test_confidence_counts(court: Court, at_once: bool) -> None:
    states = await standing(court, answer("ann", "accepted", 0.3), answer("ben", "declined"), at_once=at_once)

    assert states == {"ann": DROPPED, "ben": WAITS}


async def test_agents_that_agree_are_asked_about_once(court: Court, at_once: bool) -> None:
    """Also if they answer different mails."""
    three = [answer("ann", "accepted"), answer("ben", "accepted"), answer("cleo", "accepted", cause="another mail")]
    assert await standing(court, *three, at_once=at_once) == {"ann": WAITS, "ben": MERGED, "cleo": MERGED}

    verdict = await court.verdict(await mine(court, "ben"))
    assert (verdict.kind, verdict.verdict, verdict.rule) == ("duplicate", "merged", "same_answer")
    assert verdict.why == "ann gives the same answer."
    assert (await mine(court, "ben")).merged_into == (await mine(court, "ann")).id


@pytest.mark.parametrize("order", ["abc", "acb", "bac", "bca", "cab", "cba"])
async def test_two_outvote_one_in_whatever_order_they_speak(court: Court, at_once: bool, order: str) -> None:
    """Who has joined another, or was outweighed, still has a voice."""
    said = {"a": answer("a", "accepted"), "b": answer("b", "declined"), "c": answer("c", "accepted")}
    states = await standing(court, *(said[name] for name in order), at_once=at_once)

    assert states["b"] is DROPPED
    assert sorted([states["a"], states["c"]]) == [WAITS, MERGED]


async def test_a_third_agent_turns_the_matter(court: Court, at_once: bool) -> None:
    """What was outweighed comes back with the one that agrees with it."""
    await learn(court.ledger, ann=TrackRecord(rejected=1), cleo=TrackRecord(accepted=20))
    first = [answer("ann", "accepted", 0.5), answer("ben", "declined")]
    assert await standing(court, *first, at_once=at_once) == {"ann": DROPPED, "ben": WAITS}
    states = await standing(court, answer("cleo", "accepted"))

    assert states == {"ann": DROPPED, "ben": DROPPED, "cleo": WAITS}
    (verdict,) = await court.actions.verdicts((await mine(court, "cleo")).id)
    assert [p["by"] for p in verdict.parties] == ["cleo", "ben", "ann"]


async def test_a_voice_that_is_forgotten_is_heard_no_more(court: Court) -> None:
    """An answer that waits for years stays; of one that was outweighed as long ago, only the key is left."""
    await learn(court.ledger, ann=TrackRecord(rejected=1))
    first = [answer("ann", "accepted", 0.5), answer("ben", "declined")]
    assert await standing(court, *first) == {"ann": DROPPED, "ben": WAITS}
    gone = await Retention(court.ledger, Ages(*[timedelta(days=400)] * 2)).sweep(NINE + timedelta(days=4000))
    assert gone["actions"] == 1
    assert set(await standing(court, answer("cleo", "accepted", cause="another mail"))) == {"ann", "ben", "cleo"}


async def test_who_agrees_in_a_tie_makes_no_further_card(court: Court, at_once: bool) -> None:
    three = [answer("ann", "accepted"), answer("ben", "declined"), answer("cleo", "declined", 0.1)]

    assert await standing(court, *three, at_once=at_once) == {"ann": WAITS, "ben": WAITS, "cleo": MERGED}


async def test_the_newer_of_two_words_counts_even_if_the_older_one_waits(court: Court) -> None:
    """The vote of ann is what she said last, though it was outweighed then."""
    later = NINE + timedelta(minutes=1)
    await learn(court.ledger, ben=TrackRecord(accepted=20))
    await standing(court, answer("ann", "accepted"), answer("ben", "accepted"))
    newer = replace(answer("ann", "declined", cause="later"), created_at=later)
    assert (await court.settle(newer))[0].state is DROPPED
    await standing(court, answer("cleo", "declined", cause="later"))

    (verdict,) = await court.actions.verdicts((await mine(court, "cleo")).id)
    assert {p["by"]: p["choice"] for p in verdict.parties} == {"ann": "declined", "ben": "accepted", "cleo": "declined"}


async def test_the_newer_of_two_words_counts_even_if_the_older_one_was_heard(court: Court) -> None:
    """The vote of ann is what waits now, not what was outweighed before."""
    await standing(court, answer("ann", "declined", 0.5), answer("ben", "accepted"))
    newer = replace(answer("ann", "tentative", cause="later"), created_at=NINE + timedelta(minutes=1))
    assert (await court.settle(newer))[0].state is WAITS
    await standing(court, answer("cleo", "declined", cause="later"))

    verdict = await court.verdict(await mine(court, "cleo"))
    assert {p["by"]: p["choice"] for p in verdict.parties} == {
        "ann": "tentative",
        "ben": "accepted",
        "cleo": "declined",
    }


async def test_the_same_answers_again_change_nothing(court: Court, at_once: bool) -> None:
    """A redelivery finds every voice known."""
    said = [answer("ann", "accepted", 0.1), answer("ben", "declined"), answer("cleo", "declined")]
    before = await standing(court, *said, at_once=at_once)
    async with court.ledger.write() as tx:
        assert await court.resolver.settle(tx, said[::-1]) == []
    after = await standing(court, *said[::-1], at_once=at_once)

    assert before == after == {"ann": DROPPED, "ben": WAITS, "cleo": MERGED}
    assert len(await court.actions.list()) == 3


async def test_an_agent_that_contradicts_itself_is_asked_about(court: Court, at_once: bool) -> None:
    two = [answer("ann", "accepted", cause="1"), answer("ann", "declined", cause="2")]
    await learn(court.ledger, ann=TrackRecord(accepted=9))
    settled = await court.settle(*two, at_once=at_once)

    assert [a.state for a in settled] == [WAITS, WAITS]
    assert (await court.verdict(two[1])).why == "Two answers contradict each other. You decide."


async def test_the_newest_word_of_an_agent_is_its_vote(court: Court, at_once: bool) -> None:
    """It has one voice, however often it speaks."""
    said = [answer("ann", "accepted", cause="1"), answer("ann", "declined", cause="2"), answer("ben", "declined")]
    *_, last = await court.settle(*said, at_once=at_once)

    assert (await court.actions.show(said[0].id)).state is DROPPED
    assert last.state is MERGED


# -- the person, and what is decided already ---------------------------------------------------------


@pytest.mark.parametrize("person_first", [True, False])
async def test_the_persons_own_answer_goes_before_every_agents(court: Court, at_once: bool, person_first: bool) -> None:
    await learn(court.ledger, ann=TrackRecord(accepted=40))
    two = [answer(PERSON, "declined", 0.1, cause="1"), answer("ann", "accepted", cause="2")]
    states = await standing(court, *(two if person_first else two[::-1]), at_once=at_once)

    assert states == {PERSON: WAITS, "ann": DROPPED}
    assert (await mine(court, "ann")).reason == "What you say goes before what agents propose."


@pytest.mark.parametrize(("person_first", "agent"), [(True, MERGED), (False, DROPPED)])
async def test_the_persons_own_answer_stands_for_an_agents_that_agrees(
    court: Court, at_once: bool, person_first: bool, agent: ActionState
) -> None:
    two = [answer(PERSON, "accepted", cause="1"), answer("ann", "accepted", cause="2")]
    states = await standing(court, *(two if person_first else two[::-1]), at_once=at_once)

    assert states == {PERSON: WAITS, "ann": agent}


def test_no_agent_can_pass_for_the_person() -> None:
    with pytest.raises(ConfigurationError, match="No agent can be called 'user'"):
        Brody(agents=[BrodyAgent(PERSON)])


async def test_what_the_person_has_approved_is_never_outweighed(court: Court) -> None:
    await learn(court.ledger, ann=TrackRecord(rejected=20), ben=TrackRecord(accepted=20))
    await standing(court, answer("ann", "accepted"))
    approved = (await mine(court, "ann")).moved(ActionState.APPROVED, "You said so.")
    async with court.ledger.write() as tx:
        await ledger_actions.move(tx, court.ledger.vault, [approved])

    assert await standing(court, answer("ben", "declined")) == {"ann": ActionState.APPROVED, "ben": WAITS}
    assert (await court.verdict(await mine(court, "ben"))).verdict == "ask"


async def test_an_answer_to_the_older_invitation_has_no_voice_on_the_newer(court: Court, at_once: bool) -> None:
    old = [answer("ann", "accepted"), answer("cleo", "accepted")]
    new = answer("ben", "declined", cause="2", sequence=1)

    assert await standing(court, *old, new, at_once=at_once) == {"ann": DROPPED, "cleo": MERGED, "ben": WAITS}
    states = await standing(court, answer("dora", "accepted", cause="2", sequence=1))
    assert states["dora"] is WAITS
    (verdict,) = await court.actions.verdicts((await mine(court, "dora")).id)
    assert [p["by"] for p in verdict.parties] == ["dora", "ben"]


async def test_what_is_only_observed_is_weighed_and_nothing_follows_until_it_counts(court: Court) -> None:
    two = [
        replace(answer(a, s, c), state=ActionState.PROPOSED)
        for a, s, c in (("a", "accepted", 0.1), ("b", "declined", 1))
    ]
    states = await standing(court, *two)

    assert set(states.values()) == {ActionState.PROPOSED}
    assert (await court.verdict(await mine(court, "b"))).rule == "outweighed"
    async with court.ledger.write() as tx:
        promoted = await court.resolver.promote(tx, "me")
    assert {p.proposed_by: (await court.actions.show(p.id)).state for p in promoted} == {"a": DROPPED, "b": WAITS}


async def test_another_persons_answer_is_not_weighed(court: Court, at_once: bool) -> None:
    """Two share a calendar: neither's agents speak for the other."""
    other = replace(answer("ben", "declined", cause="2"), user_id="ada")
    states = await standing(court, answer("ann", "accepted", 0.1), other, at_once=at_once)

    assert states == {"ann": WAITS, "ben": WAITS}
    assert (await court.verdict(await mine(court, "ben"))).verdict == "ask"


# -- whatever is said --------------------------------------------------------------------------------

SAID = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(["accepted", "declined"]), st.sampled_from([0.1, 0.5, 1.0])),
    min_size=1,
    max_size=4,
    unique_by=lambda s: s[0],
)
KNOWN = {"a": TrackRecord(accepted=5), "b": TrackRecord(rejected=5), "c": TrackRecord(edited=2, rejected=1)}
FEW = settings(max_examples=20, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])


@FEW
@given(SAID.flatmap(lambda said: st.tuples(st.just(said), st.permutations(said))), st.booleans())
def test_what_waits_is_what_the_vote_decides_in_whatever_order_agents_speak(
    orders: tuple[Sequence[tuple[str, str, float]], Sequence[tuple[str, str, float]]], at_once: bool
) -> None:
    said, shuffled = orders
    answers = {s for _, s, _ in said}
    waiting = [asyncio.run(_waiting(order, at_once)) for order in (said, shuffled)]

    if len(answers) == 2:
        question = Question("it", ("accepted", "declined"))
        choice = decide(question, [Opinion(*s) for s in said], KNOWN).choice
        answers = {choice} if choice else answers
    assert waiting == [sorted(answers)] * 2


async def _waiting(said: Sequence[tuple[str, str, float]], at_once: bool) -> list[str]:
    ledger = await Ledger.open(None)
    try:
        await ledger.ensure_users({"me"})
        await learn(ledger, **KNOWN)
        court = Court(ledger)
        await standing(court, *(answer(*s) for s in said), at_once=at_once)
        return sorted(a.arguments["answer"] for a in await court.actions.list(state=WAITS))
    finally:
        await ledger.close()


# -- through the coordinator -------------------------------------------------------------------------


class Secretary(BrodyAgent):
    """Answer the invitation that a note names, always the same way."""

    def __init__(self, name: str, said: str) -> None:
        super().__init__(name)
        self.said = said

    @handles
    async def on_note(self, message: Note, ctx: Context) -> None:
        """Propose the answer."""
        ctx.propose("calendar.respond", ANSWER | {"uid": message.text, "answer": self.said}, why=f"I am {self.name}.")


async def invited(brody: Brody, uid: str) -> dict[str, ActionRecord]:
    """Have both agents hear of an invitation; return their answers."""
    await brody.send(note("*", uid))
    await brody.drain()
    return {a.proposed_by: a for a in await brody.actions.list() if a.arguments["uid"] == uid}


async def reject(brody: Brody, action: ActionRecord) -> None:
    """Do what the person's rejection does."""
    async with brody.ledger.write() as tx:
        rejected = action.moved(ActionState.REJECTED, "No.")
        await ledger_actions.move(tx, brody.ledger.vault, [rejected])
        await track_records.note(tx, [rejected], Answer.REJECTED)


async def test_an_agent_that_the_person_rejects_again_and_again_loses_to_the_other(settings: Settings) -> None:
    """A tie asks until then; both agents handle the same message."""
    agents = [Secretary("optimist", "accepted"), Secretary("hermit", "declined")]
    async with Brody(agents=agents, settings=settings) as brody:
        for n in range(3):
            answers = await invited(brody, f"meeting {n}")
            assert {a.state for a in answers.values()} == {WAITS}, "a tie asks"
            await reject(brody, answers["optimist"])
        answers = await invited(brody, "meeting 3")
        verdicts = [v for a in answers.values() for v in await brody.actions.verdicts(a.id)]

        assert {name: a.state for name, a in answers.items()} == {"optimist": DROPPED, "hermit": WAITS}
        assert [v.rule for v in verdicts] == ["outweighed"]
        assert "optimist: “accepted”, counts 29% (you rejected 3)" in verdicts[0].why
        assert await brody.track_records.of("me") == {("optimist", "calendar.respond"): TrackRecord(rejected=3)}


async def test_the_persons_own_action_is_not_weighed(settings: Settings) -> None:
    async with Brody(agents=[Secretary("optimist", "accepted")], settings=settings) as brody:
        await invited(brody, "party")
        no = AgentAction(kind="calendar.respond", arguments=ANSWER | {"uid": "party", "answer": "declined"})
        result = await brody.execute(no)

        assert result.state is WAITS
        assert [a.proposed_by for a in await brody.actions.list(state=WAITS)] == [PERSON]
