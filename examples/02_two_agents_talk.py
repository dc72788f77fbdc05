"""Two agents talk: one asks, the other answers, and what comes of it are two actions with two fates.

The type of a handler's parameter is the route: nobody registers anything. What a handler puts out (messages, proposed
actions, shared values) is committed together with the fact that its message was handled, or not at all.
"""

import asyncio

from brody_agents import AgentMessage, Brody, BrodyAgent, Context, Payload, handles
from brody_agents.communication.message_protocol import encode, new_context


class GuestsExpected(Payload, message_type="guests_expected"):
    number: int


class AskForBread(Payload, message_type="ask_for_bread"):
    loaves: int


class BreadAnswer(Payload, message_type="bread_answer"):
    missing: int


class HostAgent(BrodyAgent):
    """Expect guests, ask the pantry, and see to what is missing."""

    @handles
    async def on_guests(self, expected: GuestsExpected, ctx: Context) -> None:
        await ctx.remember("guests", expected.number)  # all of this user's agents can recall it
        ctx.tell("pantry_agent", AskForBread(loaves=expected.number // 2))

    @handles
    async def on_answer(self, answer: BreadAnswer, ctx: Context) -> None:
        print(f"{ctx.message.sender} says to {self.name}: {answer.missing} missing")
        guests = await ctx.recall("guests")
        if answer.missing:
            ctx.propose(
                "task.create", {"title": f"Buy {answer.missing} loaves"}, why=f"{guests} guests come, bread for some."
            )
            order = {"to": ["orders@bakery.example"], "subject": "Bread", "text": f"{answer.missing} loaves, please."}
            ctx.propose("mail.send", order, why="The baker bakes to order.")


class PantryAgent(BrodyAgent):
    """Know how much bread there is."""

    @handles
    async def on_question(self, question: AskForBread, ctx: Context) -> None:
        print(f"{ctx.message.sender} asks {self.name}: {question.loaves} loaves?")
        ctx.tell(ctx.message.sender, BreadAnswer(missing=max(0, question.loaves - 1)))


async def main() -> None:
    message = AgentMessage(
        sender="you", recipient="host_agent", payload=GuestsExpected(number=8), context=new_context("me")
    )
    print(f"On the wire: {encode(message).decode()}")
    async with Brody(agents=[HostAgent(), PantryAgent()]) as brody:
        await brody.send(message)
        await brody.drain()
        for action in reversed(await brody.actions.list("me")):
            print(f"{action.kind} is {action.state}: {action.reason}")


if __name__ == "__main__":
    asyncio.run(main())
