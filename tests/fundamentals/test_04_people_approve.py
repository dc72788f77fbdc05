"""Fundamentals, 4: what reaches outside waits for the person, who answers once."""

from __future__ import annotations

import pytest

from brody_agents import ActionState, AgentMessage, Brody, BrodyAgent, Context, handles
from brody_agents.communication.message_protocol import Origin, new_context
from brody_agents.communication.payloads import ApprovalResponse, Notification
from brody_agents.errors import AlreadyDecided
from brody_agents.interop.human_in_the_loop import from_agent_inbox, to_agent_inbox
from brody_agents.settings import Settings


class Secretary(BrodyAgent):
    """Propose a focus block, and propose another one when the person says when."""

    def __init__(self) -> None:
        super().__init__("secretary")
        self.heard: list[str] = []

    @handles
    async def on_notification(self, message: Notification, ctx: Context) -> None:
        """Propose the morning."""
        self._propose(ctx, "09:00", "10:00")

    @handles
    async def on_answer(self, answer: ApprovalResponse, ctx: Context) -> None:
        """Hear the person's own words, and follow them."""
        self.heard.append(answer.text)
        assert ctx.message.label("/text").origin is Origin.USER
        if answer.answer == "respond":
            self._propose(ctx, "14:00", "15:00")

    def _propose(self, ctx: Context, start: str, end: str) -> None:
        day = "2026-03-02T{}:00+00:00"
        block = {"account": "ics:private", "title": "Focus", "start": day.format(start), "end": day.format(end)}
        ctx.propose("calendar.create", block, why="The report is due.")


async def asked(brody: Brody) -> None:
    """Set the secretary off."""
    message = Notification(text="go")
    await brody.send(AgentMessage(sender="x", recipient="secretary", payload=message, context=new_context("me")))
    await brody.drain()


async def test_a_card_says_what_is_asked_and_what_happens_otherwise(settings: Settings) -> None:
    """The action with its exact arguments, why, and until when it waits."""
    async with Brody(agents=[Secretary()], settings=settings) as brody:
        await asked(brody)
        (card,) = await brody.approvals.list("me")
    assert (card.kind, card.arguments["title"], card.why) == ("calendar.create", "Focus", "The report is due.")
    assert card.if_nothing.startswith("Nothing leaves, and the proposal expires on ")


async def test_an_answer_counts_once(settings: Settings) -> None:
    """The same answer again is told the same; another one comes too late."""
    async with Brody(agents=[Secretary()], settings=settings) as brody:
        await asked(brody)
        (card,) = await brody.approvals.list("me")
        assert (await brody.approvals.decide(card.id, "reject", text="Not this week.")).repeated is False
        assert (await brody.approvals.decide(card.id, "reject", text="Not this week.")).repeated is True
        with pytest.raises(AlreadyDecided):
            await brody.approvals.decide(card.id, "approve")
        assert (await brody.actions.show(card.action_id)).state is ActionState.REJECTED


async def test_the_person_can_answer_in_words(settings: Settings) -> None:
    """The agent hears them and proposes anew; the first proposal is gone."""
    secretary = Secretary()
    async with Brody(agents=[secretary], settings=settings) as brody:
        await asked(brody)
        (card,) = await brody.approvals.list("me")
        await brody.approvals.decide(card.id, "respond", text="After lunch, please.")
        await brody.drain()
        (again,) = await brody.approvals.list("me")
    assert secretary.heard == ["After lunch, please."]
    assert again.arguments["start"].startswith("2026-03-02T14:00")


async def test_an_inbox_that_exists_can_ask_and_answer(settings: Settings) -> None:
    """Agent Inbox gets an interrupt and gives a list with one response; LangChain's shapes work alike."""
    async with Brody(agents=[Secretary()], settings=settings) as brody:
        await asked(brody)
        (card,) = await brody.approvals.list("me")
        interrupt = to_agent_inbox(card)
        assert interrupt["action_request"]["action"] == "calendar.create"
        answer = from_agent_inbox(card, [{"type": "ignore", "args": None}])
        await brody.approvals.decide(card.id, **answer.for_decide())
        assert (await brody.approvals.show(card.id)).state == "rejected"
