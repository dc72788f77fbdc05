"""Fundamentals, 2: agents propose, the coordinator decides, the executor carries out."""

from __future__ import annotations

from brody_agents import ActionState, AgentAction, AgentMessage, Brody, BrodyAgent, Context, handles
from brody_agents.communication.message_protocol import new_context
from brody_agents.communication.payloads import ActionResult, Notification
from brody_agents.settings import Settings


class Wisher(BrodyAgent):
    """Propose one action for every notification, and hear what became of it."""

    def __init__(self, action: AgentAction) -> None:
        super().__init__("wisher")
        self.action = action
        self.results: list[ActionResult] = []

    @handles
    async def on_notification(self, message: Notification, ctx: Context) -> None:
        """Propose."""
        ctx.propose(self.action)

    @handles
    async def on_result(self, result: ActionResult, ctx: Context) -> None:
        """Hear."""
        self.results.append(result)


def go(text: str = "go") -> AgentMessage:
    """Return a message that sets the wisher off."""
    payload = Notification(text=text)
    return AgentMessage(sender="x", recipient="wisher", payload=payload, context=new_context("me"))


async def test_what_stays_inside_is_done_and_the_proposer_hears_of_it(settings: Settings) -> None:
    """A task is created without asking."""
    wisher = Wisher(AgentAction(kind="task.create", arguments={"title": "Water the plants"}, why="They are dry."))
    async with Brody(agents=[wisher], settings=settings) as brody:
        await brody.send(go())
        await brody.drain()
        (action,) = await brody.actions.list("me")
    assert action.state is ActionState.DONE
    assert action.why == "They are dry."
    assert [r.state for r in wisher.results] == ["done"]
    assert wisher.results[0].result["task_id"]


async def test_what_reaches_outside_waits_for_the_person(settings: Settings) -> None:
    """A mail is not sent."""
    mail = {"to": ["a@b.example"], "subject": "Hello", "text": "Hi"}
    wisher = Wisher(AgentAction(kind="mail.send", arguments=mail))
    async with Brody(agents=[wisher], settings=settings) as brody:
        await brody.send(go())
        await brody.drain()
        (action,) = await brody.actions.list("me")
    assert action.state is ActionState.AWAITING_APPROVAL
    assert action.arguments == mail
    assert wisher.results == []


async def test_the_same_wish_for_the_same_cause_is_one_action(settings: Settings) -> None:
    """The idempotency key is (user, kind, target, cause)."""
    wisher = Wisher(AgentAction(kind="task.create", arguments={"title": "Call Ada"}, cause="mail-1@v1"))
    async with Brody(agents=[wisher], settings=settings) as brody:
        for n in range(5):
            await brody.send(go(str(n)))
        await brody.drain()
        assert len(await brody.actions.list("me")) == 1


async def test_an_action_with_wrong_arguments_is_a_dead_letter(settings: Settings) -> None:
    """The fault is named; nothing else of the handler counts."""
    wisher = Wisher(AgentAction(kind="task.create", arguments={"titel": "typo"}))
    async with Brody(agents=[wisher], settings=settings) as brody:
        await brody.send(go())
        await brody.drain()
        (letter,) = await brody.dead_letters.list()
        assert await brody.actions.list("me") == []
    assert letter.code == "invalid_arguments"
    assert "titel" in letter.reason or "title" in letter.reason


async def test_an_unknown_action_is_a_dead_letter(settings: Settings) -> None:
    """The remedy names the kinds that there are."""
    async with Brody(agents=[Wisher(AgentAction(kind="mail.explode"))], settings=settings) as brody:
        await brody.send(go())
        await brody.drain()
        (letter,) = await brody.dead_letters.list()
    assert letter.code == "unknown_action"
    assert "mail.send" in letter.reason
