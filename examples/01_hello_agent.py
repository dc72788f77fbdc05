"""The smallest agent. It needs no server and no key, and leaves nothing on the disk."""

import asyncio

from brody_agents import AgentMessage, Brody, BrodyAgent, Context, Payload, handles
from brody_agents.communication.message_protocol import new_context


class Greeting(Payload, message_type="greeting"):
    name: str


class HelloAgent(BrodyAgent):
    @handles
    async def greet(self, greeting: Greeting, ctx: Context) -> None:
        ctx.propose("notify", {"text": f"Hello, {greeting.name}!"}, why="Somebody came in.")


async def main() -> None:
    message = AgentMessage(
        sender="you", recipient="hello_agent", payload=Greeting(name="Ada"), context=new_context("me")
    )
    async with Brody(agents=[HelloAgent()]) as brody:
        await brody.send(message)
        await brody.drain()  # until nothing is due any more
        for action in await brody.actions.list():
            print(f"{action.proposed_by} proposed {action.kind}: {action.arguments['text']}")
            print(f"because: {action.why}")
            print(f"it is {action.state}: {action.reason}")


if __name__ == "__main__":
    asyncio.run(main())
