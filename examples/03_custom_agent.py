"""The custom agent of the original architecture document, as it is written there; `decide_action` has a body.

It takes every message that none of its handlers takes, as a trigger. Called by hand, outside of any `Brody`, its
context manager and its executor are served by a small one in memory; inside of one, the coordinator decides.
"""

import asyncio
from typing import List  # noqa: UP035

from brody_agents import (
    ActionExecutor,
    AgentAction,
    AgentMessage,
    AgentResponse,
    AgentTrigger,
    Brody,
    BrodyAgent,
    ContextManager,
    Payload,
    UserContext,
)
from brody_agents.communication.message_protocol import new_context


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
        title = f"Look at the {trigger.payload['what']}"
        return AgentAction(kind="task.create", arguments={"title": title}, why=f"{context.user_id} was told of it.")


class Broken(Payload, message_type="broken"):
    what: str


async def by_hand(agent: CustomAgent) -> None:
    response = await agent.process_trigger(AgentTrigger(user_id="me", payload={"what": "door"}))
    if response.action and response.result:
        print(f"by hand:    {response.action.arguments['title']}: {response.result.state}")


async def by_message(agent: CustomAgent) -> None:
    message = AgentMessage(sender="you", recipient=agent.name, payload=Broken(what="window"), context=new_context("me"))
    async with Brody(agents=[agent]) as brody:
        await brody.send(message)
        await brody.drain()
        for action in await brody.actions.list():
            print(f"by message: {action.arguments['title']}: {action.state}, proposed by {action.proposed_by}")


async def main() -> None:
    agent = CustomAgent("repair_agent", ["repairs"])
    await by_hand(agent)
    await by_message(agent)


if __name__ == "__main__":
    asyncio.run(main())
