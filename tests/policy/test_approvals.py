"""Approvals: a card a waiting action, one answer a card, and each action once or not at all."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from brody_agents.action import ActionState
from brody_agents.communication.bus.base import partition_of
from brody_agents.communication.decision_engine import TrackRecord
from brody_agents.communication.message_protocol import Origin
from brody_agents.errors import AlreadyDecided, InvalidArguments, NotFound, Stale
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Action, Approval, Audit
from brody_agents.policy import audit
from brody_agents.policy.answers import AnswerKind
from brody_agents.policy.approvals import Sweeper
from brody_agents.settings import Settings
from tests.coordinator.kit import until
from tests.policy.kit import SLOT, Desk
from tests.policy.kit import desk as opened

pytestmark = pytest.mark.timeout(60)


async def change(desk: Desk, model: Any, row_id: str, **values: Any) -> None:
    """Change a row behind the back of everybody."""
    async with desk.brody.ledger.write() as tx:
        await tx.execute(update(table(model)).where(table(model).c.id == row_id).values(**values))


# -- the card ----------------------------------------------------------------------------------------


async def test_a_card_says_all_that_a_person_needs(desk: Desk) -> None:
    """Action, exact arguments, why, whose words, what happens otherwise, until when."""
    card = await desk.ask("mail.send", to=["a@b.example"], subject="Hello", text="Hi", why="She asked.")
    assert (card.kind, card.state, card.number, card.proposed_by) == ("mail.send", "open", 1, "asker")
    assert card.arguments == {"to": ["a@b.example"], "subject": "Hello", "text": "Hi"}
    assert card.why == "She asked."
    assert card.reason == "It reaches outside, so you decide."
    assert card.origin == "untrusted"
    assert card.if_nothing.startswith("Nothing leaves, and the proposal expires on ")
    assert len(card.digest) == 64
    assert timedelta(days=6, hours=23) < card.expires_at - datetime.now(UTC) <= timedelta(days=7)


async def test_a_card_has_the_options_of_the_resolver(desk: Desk) -> None:
    """Where two want the same time, the card of the later one offers the ways out."""
    await desk.ask("calendar.create", title="First", **SLOT)
    card = await desk.ask("calendar.create", title="Second", **SLOT)
    assert "Take the time for this one" in card.options
    assert "keeps its time taken" in card.if_nothing


async def test_an_action_that_needs_nobody_has_no_card(settings: Settings) -> None:
    """Only what waits is asked for."""
    async with opened(settings=settings) as desk:
        await desk.wish("task.create", title="Call Ada")
        assert await desk.tasks() == ["Call Ada"]
        assert await desk.brody.approvals.list(open_only=False) == []


async def test_the_beginning_of_an_id_is_enough_and_a_wrong_one_is_named(desk: Desk) -> None:
    card = await desk.ask(title="Call Ada")
    assert (await desk.brody.approvals.show(card.id[:8])).id == card.id
    with pytest.raises(NotFound, match="approvals list"):
        await desk.brody.approvals.show("nothing")


# -- the four answers ----------------------------------------------------------------------------------


async def test_what_is_approved_is_done_once(desk: Desk) -> None:
    """The same answer again tells the same result; another one is refused with what was decided, and when."""
    card = await desk.ask(title="Call Ada")
    assert await desk.tasks() == []
    first = await desk.brody.approvals.decide(card.id, "approve")
    await desk.brody.drain()
    again = await desk.brody.approvals.decide(card.id, "approve")
    assert (first.card.state, first.action_state, first.repeated) == ("approved", ActionState.APPROVED, False)
    assert (again.card.state, again.action_state, again.repeated) == ("approved", ActionState.DONE, True)
    assert await desk.tasks() == ["Call Ada"]
    with pytest.raises(AlreadyDecided, match=rf"was approved on {datetime.now(UTC):%Y-}"):
        await desk.brody.approvals.decide(card.id, "reject")
    assert [r.state for r in desk.asker.results] == ["done"]


async def test_what_is_rejected_is_never_done_and_the_agent_hears_why(desk: Desk) -> None:
    """The reason is the person's own words; the same wish is not asked for again."""
    card = await desk.ask(title="Call Ada", cause="mail-1")
    await desk.brody.approvals.decide(card.id, "reject", text="I have called her.")
    await desk.brody.drain()
    action = await desk.action(card)
    assert (action.state, action.reason) == (ActionState.REJECTED, "You rejected it. I have called her.")
    (answer,) = desk.asker.answers
    assert (answer.answer, answer.text, answer.action_id) == ("reject", "I have called her.", action.id)
    assert desk.asker.heard[0].provenance["/text"].origin is Origin.USER
    await desk.wish("task.create", title="Call Ada", cause="mail-1")
    assert await desk.brody.approvals.list() == []


async def test_an_edit_is_done_as_edited_under_the_same_key(desk: Desk) -> None:
    """What the person changed is the person's own; what it left is the agent's."""
    card = await desk.ask(title="Call Ada", description="Today")
    key = (await desk.action(card)).key
    new = {"title": "Write to Ada", "description": "Today"}
    decision = await desk.brody.approvals.decide(card.id, "edit", arguments=new)
    await desk.brody.drain()
    action = await desk.action(card)
    assert (decision.card.state, action.state, action.key) == ("edited", ActionState.DONE, key)
    assert action.arguments == new
    assert action.provenance["/title"]["origin"] == "user"
    assert "/description" not in action.provenance
    assert await desk.tasks() == ["Write to Ada"]
    assert [(a.answer, a.changed) for a in desk.asker.answers] == [("edit", ["title"])]


async def test_an_edit_that_does_not_fit_changes_nothing(desk: Desk) -> None:
    card = await desk.ask(title="Call Ada")
    with pytest.raises(InvalidArguments, match="title"):
        await desk.brody.approvals.decide(card.id, "edit", arguments={"titel": "Call Ben"})
    assert (await desk.brody.approvals.show(card.id)).state == "open"
    assert (await desk.brody.approvals.decide(card.id, "approve")).card.state == "approved"


async def test_an_edit_is_judged_again(desk: Desk) -> None:
    """A time that is taken is not taken twice because a person moved something there: the person is asked again."""
    held = await desk.ask("calendar.create", title="Held", **SLOT)
    later = {"start": "2026-03-02T12:00:00+00:00", "end": "2026-03-02T13:00:00+00:00", "account": "ics:1"}
    card = await desk.ask("calendar.create", title="Moved", **later)
    await desk.brody.approvals.decide(held.id, "approve")
    decision = await desk.brody.approvals.decide(card.id, "edit", arguments={"title": "Moved", **SLOT})
    assert decision.instead is not None
    assert decision.instead.changed == ["The time is held by “Held” (asker). You decide."]
    assert decision.instead.arguments["start"].startswith("2026-03-02T09")
    action = await desk.action(card)
    assert action.state is ActionState.AWAITING_APPROVAL
    assert (await desk.brody.approvals.decide(decision.instead.id, "approve")).action_state is ActionState.APPROVED


async def test_an_answer_in_words_goes_to_the_agent_and_ends_the_proposal(desk: Desk) -> None:
    """The action is superseded, so that the agent may propose anew."""
    card = await desk.ask("calendar.create", title="Focus", **SLOT)
    await desk.brody.approvals.decide(card.id, "respond", text="Rather in the afternoon.")
    await desk.brody.drain()
    assert (await desk.action(card)).state is ActionState.SUPERSEDED
    assert [(a.answer, a.text) for a in desk.asker.answers] == [("respond", "Rather in the afternoon.")]
    again = await desk.ask("calendar.create", title="Other", **SLOT)
    assert again.options == []


@pytest.mark.parametrize(
    ("answer", "more"),
    [
        ("accept", {}),
        ("approve", {"arguments": {"title": "x"}}),
        ("edit", {}),
        ("respond", {"text": " "}),
        ("reject", {"text": "x" * 2001}),
    ],
)
async def test_what_is_no_answer_is_refused(desk: Desk, answer: Any, more: dict[str, Any]) -> None:
    card = await desk.ask(title="Call Ada")
    with pytest.raises(InvalidArguments):
        await desk.brody.approvals.decide(card.id, answer, **more)
    assert (await desk.brody.approvals.show(card.id)).state == "open"


async def test_an_action_that_the_user_proposed_has_a_card_and_tells_no_agent(desk: Desk) -> None:
    """``Brody.execute`` waits like everybody."""
    from brody_agents import AgentAction

    await desk.brody.execute(AgentAction(kind="chat.post", arguments={"channel": "c", "text": "Hi"}))
    (card,) = await desk.brody.approvals.list()
    await desk.brody.approvals.decide(card.id, "reject")
    await desk.brody.drain()
    assert await desk.brody.dead_letters.list() == []


# -- bound to what was seen ----------------------------------------------------------------------------


async def test_an_answer_to_another_card_than_was_seen_is_refused(desk: Desk) -> None:
    card = await desk.ask(title="Call Ada")
    with pytest.raises(Stale):
        await desk.brody.approvals.decide(card.id, "approve", digest="0" * 64)
    await desk.brody.approvals.decide(card.id, "approve", digest=card.digest)


async def test_arguments_that_changed_under_a_card_are_asked_for_again(desk: Desk) -> None:
    """What the digest covers is what is done, whoever wrote to the ledger."""
    card = await desk.ask(title="Call Ada")
    other = desk.brody.ledger.vault.seal("me", {"title": "Pay the stranger"})
    await change(desk, Action, card.action_id, arguments=other)
    decision = await desk.brody.approvals.decide(card.id, "approve")
    await desk.brody.drain()
    assert decision.card.state == "replaced"
    assert decision.instead is not None
    assert decision.instead.changed == ["The arguments are not those of the card any more."]
    assert decision.instead.arguments == {"title": "Pay the stranger"}
    assert await desk.tasks() == []


async def test_a_slot_that_was_taken_since_makes_a_new_card(desk: Desk) -> None:
    """Of two that want the same time, whichever is approved first has it; the other is asked for again."""
    first = await desk.ask("calendar.create", title="First", **SLOT)
    second = await desk.ask("calendar.create", title="Second", **SLOT)
    assert (await desk.brody.approvals.decide(second.id, "approve")).action_state is ActionState.APPROVED
    decision = await desk.brody.approvals.decide(first.id, "approve")
    assert decision.action_state is ActionState.AWAITING_APPROVAL
    assert decision.instead is not None
    assert decision.instead.changed == ["The time is held by “Second” (asker). You decide."]
    again = await desk.brody.approvals.decide(first.id, "approve")
    assert again.repeated
    assert again.instead is not None
    assert again.instead.id == decision.instead.id
    assert (await desk.brody.approvals.decide(decision.instead.id, "approve")).action_state is ActionState.APPROVED


async def test_a_task_that_changed_since_makes_a_new_card(desk: Desk) -> None:
    made = await desk.ask(title="Call Ada")
    await desk.brody.approvals.decide(made.id, "approve")
    await desk.brody.drain()
    task_id = ((await desk.action(made)).result or {})["task_id"]
    done = await desk.ask("task.complete", task_id=task_id)
    renamed = await desk.ask("task.update", task_id=task_id, title="Call Ada back")
    await desk.brody.approvals.decide(renamed.id, "approve")
    await desk.brody.drain()
    decision = await desk.brody.approvals.decide(done.id, "approve")
    assert decision.instead is not None
    assert decision.instead.changed[0] == "The task has changed since."
    await desk.brody.approvals.decide(decision.instead.id, "approve")
    await desk.brody.drain()
    assert (await desk.action(done)).state is ActionState.DONE


# -- over ------------------------------------------------------------------------------------------------


async def test_a_card_expires_and_its_action_with_it(desk: Desk) -> None:
    """Whoever looks first does it; the agent hears of it, and a late answer is told so."""
    card = await desk.ask(title="Call Ada")
    await change(desk, Approval, card.id, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    with pytest.raises(AlreadyDecided, match="was expired on"):
        await desk.brody.approvals.decide(card.id, "approve")
    action = await desk.action(card)
    assert action.state is ActionState.EXPIRED
    assert action.reason.startswith("Nobody answered until ")
    await desk.brody.drain()
    assert [a.answer for a in desk.asker.answers] == ["expired"]
    assert await desk.tasks() == []


async def test_the_deadline_of_an_action_ends_its_card(desk: Desk) -> None:
    deadline = datetime.now(UTC) + timedelta(hours=1)
    card = await desk.ask(title="Call Ada", deadline=deadline)
    assert card.expires_at == deadline
    await change(desk, Approval, card.id, expires_at=datetime.now(UTC))
    assert await desk.brody.approvals.list() == []
    assert (await desk.action(card)).state is ActionState.EXPIRED


async def test_the_time_that_a_card_waits_can_be_set(settings: Settings) -> None:
    async with opened(asks=True, settings=settings.model_copy(update={"approval_days": 1.0})) as desk:
        card = await desk.ask(title="Call Ada")
        assert card.expires_at - card.created_at == timedelta(days=1)


async def test_the_card_of_an_action_that_has_moved_on_is_withdrawn(desk: Desk) -> None:
    card = await desk.ask(title="Call Ada")
    await change(desk, Action, card.action_id, state="superseded")
    with pytest.raises(AlreadyDecided, match="was withdrawn"):
        await desk.brody.approvals.decide(card.id, "approve")
    assert await desk.brody.approvals.list() == []


async def test_waiting_actions_of_an_older_home_get_their_cards(home: Path, settings: Settings) -> None:
    """The migration brings an empty table; the cards are made when somebody looks for the first time."""
    async with opened(asks=True, home=home, settings=settings) as desk:
        card = await desk.ask(title="Call Ada")
    with closing(sqlite3.connect(home / "brody.db")) as db, db:
        db.execute("DELETE FROM approvals")
    async with opened(asks=True, home=home, settings=settings) as desk:
        (again,) = await desk.brody.approvals.list()
        assert (again.action_id, again.arguments, again.digest) == (card.action_id, card.arguments, card.digest)
        await desk.brody.approvals.decide(again.id, "approve")
        await desk.brody.drain()
        assert await desk.tasks() == ["Call Ada"]


async def test_a_worker_makes_what_is_missing_and_ends_what_is_over(desk: Desk) -> None:
    """It sweeps by itself, whether anybody looks or not."""
    card, other = await desk.ask(title="Call Ada"), await desk.ask(title="Water the plants")
    await change(desk, Approval, card.id, expires_at=datetime.now(UTC))
    await change(desk, Action, other.action_id, state="superseded")
    sweeper = Sweeper(desk.brody.approvals)
    sweeping = asyncio.create_task(sweeper.run())

    async def swept() -> bool:
        async with desk.brody.ledger.read() as tx:
            states = set((await tx.execute(select(table(Approval).c.state))).scalars())
        return states == {"expired", "withdrawn"}

    await until(swept, "the sweep")
    sweeper.stop()
    await sweeping
    assert (await desk.action(card)).state is ActionState.EXPIRED


async def test_a_worker_sweeps_the_cards_of_its_own_users_only(desk: Desk) -> None:
    """Those of others are their workers'; what is over, what has moved on and what is missing alike."""
    titles = ("Call Ann", "Water the plants", "Pay the rent")
    await desk.brody.ledger.ensure_users({"ada"})
    await desk.brody.autonomy.set("task.create", "suggest", user_id="ada")
    cards = {user: [await desk.ask(title=title, user=user) for title in titles] for user in ("me", "ada")}
    assert desk.brody._worker
    desk.brody._worker._sweeper.stop()  # which would sweep all of them
    for over, moved, missing in cards.values():
        await change(desk, Approval, over.id, expires_at=datetime.now(UTC))
        await change(desk, Action, moved.action_id, state="superseded")
        await change(desk, Approval, missing.id, state="withdrawn")
    await desk.brody.approvals.sweep({partition_of("ada")})
    assert await stood(desk, "ada") == ["expired", "open", "withdrawn", "withdrawn"]
    assert await stood(desk, "me") == ["open", "open", "withdrawn"]
    await desk.brody.approvals.sweep()
    assert await stood(desk, "me") == await stood(desk, "ada")


async def stood(desk: Desk, user: str) -> list[str]:
    """Return the states of a user's cards, as nobody's look has changed them."""
    c = table(Approval).c
    async with desk.brody.ledger.read() as tx:
        return sorted((await tx.execute(select(c.state).where(c.user_id == user))).scalars())


async def test_cards_survive_a_restart_and_are_answered_without_a_worker(home: Path, settings: Settings) -> None:
    """An answer needs only the ledger; the next worker does what follows."""
    async with opened(asks=True, home=home, settings=settings) as desk:
        card = await desk.ask(title="Call Ada")
    async with opened(asks=True, home=home, settings=settings) as desk:
        await desk.brody.approvals.decide(card.id, "approve")
        assert await desk.tasks() == []
    async with opened(asks=True, home=home, settings=settings) as desk:
        await desk.brody.drain()
        assert await desk.tasks() == ["Call Ada"]
        assert [(a.answer) for a in desk.asker.answers] == ["approve"]


async def test_many_answers_at_once_decide_one(desk: Desk) -> None:
    """One of them counts; those that say the same hear the same, the others are refused."""
    card = await desk.ask(title="Call Ada")
    asked = [desk.brody.approvals.decide(card.id, a) for a in ("approve", "reject") * 20]
    ended = await asyncio.gather(*asked, return_exceptions=True)
    decided = [e for e in ended if not isinstance(e, BaseException)]
    assert len(decided) == 20
    assert sum(not d.repeated for d in decided) == 1
    assert {type(e) for e in ended if isinstance(e, BaseException)} == {AlreadyDecided}
    await desk.brody.drain()
    approved = decided[0].card.state == "approved"
    assert await desk.tasks() == (["Call Ada"] if approved else [])


async def test_every_answer_is_in_the_audit(desk: Desk) -> None:
    card = await desk.ask(title="Call Ada")
    await desk.brody.approvals.decide(card.id, "approve")
    await desk.brody.drain()
    async with desk.brody.ledger.read() as tx:
        a = table(Audit).c
        events = [tuple(row) for row in await tx.execute(select(a.subject, a.event).order_by(a.position))]
        assert await audit.broken_link(tx, partition_of("me")) is None
    assert (card.id, "approval approved") in events
    assert (card.action_id, "task.create approved") in events


# -- what is learned ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "more", "record"),
    [
        ("approve", {}, TrackRecord(accepted=1)),
        ("edit", {"arguments": {"title": "Call Ada on Monday"}}, TrackRecord(edited=1)),
        ("reject", {"text": "Not now."}, TrackRecord(rejected=1)),
    ],
)
async def test_an_answer_counts_for_its_agent_once(
    desk: Desk, answer: AnswerKind, more: dict[str, Any], record: TrackRecord
) -> None:
    """However often it is given; it is what the decision engine weighs the agent by."""
    card = await desk.ask(title="Call Ada")
    for _ in range(2):
        await desk.brody.approvals.decide(card.id, answer, **more)
    assert await desk.brody.track_records.of("me") == {("asker", "task.create"): record}


async def test_words_and_silence_say_nothing_of_an_agent(desk: Desk) -> None:
    card = await desk.ask(title="Call Ada")
    await desk.brody.approvals.decide(card.id, "respond", text="Which Ada?")
    assert await desk.brody.track_records.of("me") == {}
