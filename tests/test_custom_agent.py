"""The custom agent of the original architecture document, as it is written there: only ``decide_action`` has a body."""

from __future__ import annotations

import asyncio
import inspect
import re
from pathlib import Path
from typing import Any, List  # noqa: UP035

import pytest
from pydantic import JsonValue

from brody_agents import (
    ActionExecutor,
    ActionState,
    AgentAction,
    AgentMessage,
    AgentResponse,
    AgentTrigger,
    Brody,
    BrodyAgent,
    Context,
    ContextManager,
    Payload,
    UserContext,
    handles,
)
from brody_agents.communication.message_protocol import UnknownPayload, new_context
from brody_agents.errors import InvalidArguments, UnknownAction
from brody_agents.settings import Settings
from tests.conftest import missing

DOCUMENT = Path(__file__).parents[1] / "../shared/seed"


# Agent Development Framework
class CustomAgent(BrodyAgent):
    def __init__(self, name: str, capabilities: List[str]):  # noqa: UP006
        super().__init__(name, capabilities)
        self.context_manager = ContextManager()
        self.action_executor = ActionExecutor()

    async def process_trigger(self, trigger: AgentTrigger) -> AgentResponse:
        # Custom agent logic
        context = await self.context_manager.get_context(trigger.user_id)
        action = self.decide_action(trigger, context)
        result = await self.action_executor.execute(action)
        return AgentResponse(action=action, result=result)

    def decide_action(self, trigger: AgentTrigger, context: UserContext) -> AgentAction:
        # Custom decision logic implemented by developer
        return AgentAction(kind=trigger.payload["kind"], arguments=trigger.payload["arguments"], why=context.user_id)


def test_it_is_the_class_of_the_original_document() -> None:
    """Line by line, but for the body of ``decide_action``."""
    documents = sorted(DOCUMENT.glob("*.txt"))
    if not documents:
        missing("the original document is not beside the checkout")
    block = re.search(r"```python\n(# Agent Development Framework\n.*?)```", documents[0].read_text("utf-8"), re.DOTALL)
    assert block is not None
    original = re.sub(r"[ \t]+$", "", block[1], flags=re.MULTILINE).rstrip().removesuffix("pass").rstrip()
    ours = re.sub(r"  # noqa: \w+", "", inspect.getsource(CustomAgent))
    assert ("# Agent Development Framework\n" + ours).startswith(original)


class Wish(Payload, message_type="wish"):
    """A trigger's payload, of a type that no handler names."""

    kind: str
    arguments: dict[str, Any]


class Listener(CustomAgent):
    """Keep the responses, which the turn does not show."""

    def __init__(self) -> None:
        super().__init__("listener", ["listen"])
        self.responses: list[AgentResponse] = []

    async def process_trigger(self, trigger: AgentTrigger) -> AgentResponse:
        """Do as the original and keep what it said."""
        self.responses.append(await super().process_trigger(trigger))
        return self.responses[-1]


TASK: dict[str, Any] = {"title": "Water the plants"}
MAIL: dict[str, Any] = {"to": ["ann@b.example"], "subject": "Hello", "text": "Hi"}
CASES = [("task.create", TASK, ActionState.DONE), ("mail.send", MAIL, ActionState.AWAITING_APPROVAL)]


def wish(kind: str, arguments: dict[str, Any], recipient: str = "listener") -> AgentMessage:
    """Return a message that no handler takes."""
    payload = Wish(kind=kind, arguments=arguments)
    return AgentMessage(sender="you", recipient=recipient, payload=payload, context=new_context("ada"))


@pytest.fixture
def agent() -> Listener:
    """Return the agent."""
    return Listener()


@pytest.mark.parametrize(("kind", "arguments", "becomes"), CASES)
async def test_inside_a_brody_it_proposes_and_the_coordinator_decides(
    agent: Listener, settings: Settings, kind: str, arguments: dict[str, Any], becomes: ActionState
) -> None:
    """While it runs the action is proposed; what becomes of it is for the coordinator and the person."""
    async with Brody(agents=[agent], settings=settings) as brody:
        brody.registry.payloads.add(Wish)
        await brody.send(wish(kind, arguments))
        await brody.drain()
        (action,) = await brody.actions.list("ada")
        assert await brody.dead_letters.list() == []
    (response,) = agent.responses
    assert response.result is not None
    assert (response.result.state, response.result.action_id) == (ActionState.PROPOSED, action.id)
    assert (action.state, action.kind, action.proposed_by, action.why) == (becomes, kind, "listener", "ada")
    assert action.provenance[""]["origin"] == "untrusted"


async def test_it_takes_messages_of_types_that_nobody_knows(agent: Listener, settings: Settings) -> None:
    """A trigger is any message: its kind is the message's type."""
    data: dict[str, JsonValue] = {"kind": "notify", "arguments": {"text": "seen"}}
    payload = UnknownPayload(type_name="of_the_future", data=data)
    message = AgentMessage(sender="you", recipient="listener", payload=payload, context=new_context("ada"))
    async with Brody(agents=[agent], settings=settings) as brody:
        await brody.send(message)
        await brody.drain()
        (action,) = await brody.actions.list("ada")
    assert (action.kind, action.state, action.message_id) == ("notify", ActionState.DONE, message.id)


async def test_what_it_knows_of_the_user_is_what_all_agents_share(settings: Settings) -> None:
    """Its context has the values that others remember, and the time of the trigger's message."""
    known: list[UserContext] = []

    class Knower(CustomAgent):
        def decide_action(self, trigger: AgentTrigger, context: UserContext) -> AgentAction:
            known.append(context)
            return super().decide_action(trigger, context)

    class Teacher(BrodyAgent):
        @handles
        async def on_wish(self, message: Wish, ctx: Context) -> None:
            await ctx.remember("colour", "green")

    async with Brody(agents=[Knower("listener", []), Teacher("teacher")], settings=settings) as brody:
        await brody.send(wish("notify", {}, "teacher"))
        await brody.drain()
        await brody.send(wish("notify", {"text": "x"}))
        await brody.drain()
    assert (known[0].user_id, known[0].values, known[0].timezone) == ("ada", {"colour": "green"}, "UTC")


async def test_it_sees_its_own_user_only(settings: Settings) -> None:
    class Nosy(CustomAgent):
        async def process_trigger(self, trigger: AgentTrigger) -> AgentResponse:
            await self.context_manager.get_context("somebody else")
            return AgentResponse()

    async with Brody(agents=[Nosy("listener", [])], settings=settings) as brody:
        brody.registry.payloads.add(Wish)
        await brody.send(wish("notify", {}))
        await brody.drain()
        (letter,) = await brody.dead_letters.list()
    assert "not for 'somebody else'" in letter.reason


@pytest.mark.parametrize(("kind", "arguments", "becomes"), CASES)
async def test_outside_of_any_brody_it_works_in_memory_and_touches_no_file(
    agent: Listener,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kind: str,
    arguments: dict[str, Any],
    becomes: ActionState,
) -> None:
    """Everything is carried out as far as it goes; the home folder and the working folder stay empty."""
    empty = tmp_path / "empty"
    await asyncio.to_thread(empty.mkdir)
    for name in ("HOME", "XDG_RUNTIME_DIR", "TMPDIR", "BRODY_HOME"):
        monkeypatch.setenv(name, str(empty))
    monkeypatch.chdir(empty)
    response = await agent.process_trigger(AgentTrigger(user_id="ada", payload={"kind": kind, "arguments": arguments}))
    assert response.result is not None
    assert (response.result.state, response.result.kind) == (becomes, kind)
    assert await asyncio.to_thread(lambda: list(empty.rglob("*"))) == []


async def test_outside_of_any_brody_nothing_is_kept(agent: Listener) -> None:
    """Each call is served by a ``Brody`` of its own: the same wish is done again."""
    trigger = AgentTrigger(user_id="ada", payload={"kind": "task.create", "arguments": TASK})
    ids = {str((await agent.process_trigger(trigger)).result) for _ in range(2)}
    assert len(ids) == 2


@pytest.mark.parametrize(("kind", "error"), [("task.explode", UnknownAction), ("task.create", InvalidArguments)])
async def test_a_wrong_action_is_named_where_it_is_executed(agent: Listener, kind: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        await agent.process_trigger(AgentTrigger(user_id="ada", payload={"kind": kind, "arguments": {"titel": "x"}}))


def test_the_agent_has_the_name_and_capabilities_that_it_was_given() -> None:
    agent = CustomAgent("my_agent", ["a", "b"])
    assert (agent.name, tuple(agent.capabilities), agent.takes_triggers) == ("my_agent", ("a", "b"), True)
