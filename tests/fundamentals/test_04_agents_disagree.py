"""Fundamentals, 4: agents disagree, their votes are weighed, a tie asks; and the weights are learned."""

from __future__ import annotations

from brody_agents import (
    ActionState,
    AgentMessage,
    Brody,
    BrodyAgent,
    Context,
    Opinion,
    Payload,
    Question,
    TrackRecord,
    decide,
    handles,
)
from brody_agents.communication.message_protocol import new_context
from brody_agents.ledger import actions
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.track_records import Answer, note
from brody_agents.settings import Settings

PARTY = Question("the party", choices=("accepted", "declined"))


class Invited(Payload, message_type="invited"):
    """Somebody invites the user."""

    uid: str


class Secretary(BrodyAgent):
    """Answer every invitation in the same way."""

    def __init__(self, name: str, answer: str, confidence: float = 1.0) -> None:
        super().__init__(name)
        self.answer = answer
        self.confidence = confidence

    @handles
    async def on_invitation(self, invited: Invited, ctx: Context) -> None:
        """Propose the answer."""
        when = {"start": "2026-03-06T19:00:00Z", "end": "2026-03-06T22:00:00Z"}
        arguments = {"account": "calendar", "uid": invited.uid, "answer": self.answer, **when}
        ctx.propose("calendar.respond", arguments, confidence=self.confidence)


async def asked(brody: Brody, uid: str) -> list[ActionRecord]:
    """Invite the user; return what waits for the person then."""
    payload = Invited(uid=uid)
    await brody.send(AgentMessage(sender="x", recipient="*", payload=payload, context=new_context("me")))
    await brody.drain()
    waiting = await brody.actions.list("me", state=ActionState.AWAITING_APPROVAL)
    return [a for a in waiting if a.arguments["uid"] == uid]


async def reject(brody: Brody, action: ActionRecord) -> None:
    """Do what the person's rejection does: in one transaction the action ends and the answer is noted."""
    async with brody.ledger.write() as tx:
        await actions.move(tx, brody.ledger.vault, [action.moved(ActionState.REJECTED, "No.")])
        await note(tx, [action], Answer.REJECTED)


def test_who_is_surer_wins() -> None:
    """Among agents that the person has not answered yet, confidence is all that counts."""
    assert decide(PARTY, [Opinion("ann", "accepted"), Opinion("ben", "declined", 0.5)]).choice == "accepted"


def test_a_tie_asks() -> None:
    """So does every vote without a clear lead."""
    assert decide(PARTY, [Opinion("ann", "accepted"), Opinion("ben", "declined")]).asks


def test_whom_the_person_took_at_their_word_counts_more() -> None:
    """A track record is what the person made of earlier proposals."""
    records = {"ann": TrackRecord(accepted=1, rejected=7), "ben": TrackRecord(accepted=6, edited=2)}
    decision = decide(PARTY, [Opinion("ann", "accepted"), Opinion("ben", "declined")], records)

    assert decision.choice == "declined"
    assert "ann: “accepted”, counts 25% (you accepted 1 and rejected 7)." in decision.why
    assert decision.otherwise == "Without ben it would have been “accepted”."


async def test_agents_that_disagree_are_weighed(settings: Settings) -> None:
    """The person sees one proposal, not two; the verdict on the other says why."""
    staff = [Secretary("optimist", "accepted", 0.4), Secretary("hermit", "declined")]
    async with Brody(agents=staff, settings=settings) as brody:
        (card,) = await asked(brody, "party")
        dropped = await brody.actions.list("me", state=ActionState.SUPERSEDED)

    assert card.proposed_by == "hermit"
    assert [a.proposed_by for a in dropped] == ["optimist"]


async def test_what_the_person_answers_moves_the_weights(settings: Settings) -> None:
    """Two cards at first; after three rejections of one agent, the other's alone."""
    staff = [Secretary("optimist", "accepted"), Secretary("hermit", "declined")]
    async with Brody(agents=staff, settings=settings) as brody:
        for n in range(3):
            cards = {card.proposed_by: card for card in await asked(brody, f"party {n}")}
            assert sorted(cards) == ["hermit", "optimist"]
            await reject(brody, cards["optimist"])
        (card,) = await asked(brody, "one more party")
        records = await brody.track_records.of("me")

    assert card.proposed_by == "hermit"
    assert records == {("optimist", "calendar.respond"): TrackRecord(rejected=3)}
