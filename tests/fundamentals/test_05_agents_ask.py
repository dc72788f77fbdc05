"""Fundamentals, 5: an agent asks another, and goes on with the answer."""

from __future__ import annotations

from brody_agents import AgentMessage, Brody, BrodyAgent, Context, Payload, handles
from brody_agents.communication.message_protocol import new_context
from brody_agents.settings import Settings


class Party(Payload, message_type="party"):
    """People will come."""

    guests: int


class Loaves(Payload, message_type="loaves"):
    """How many loaves are there?"""


class Stock(Payload, message_type="stock"):
    """So many."""

    number: int


class Host(BrodyAgent):
    """See to it that there is bread."""

    @handles
    async def on_party(self, party: Party, ctx: Context) -> None:
        """Ask the pantry, and buy what is missing."""
        stock = await ctx.ask("pantry", Loaves(), Stock)
        if stock.number < party.guests:
            ctx.propose("task.create", {"title": f"Buy {party.guests - stock.number} loaves"})


class Pantry(BrodyAgent):
    """Know how much bread there is."""

    @handles
    async def on_question(self, question: Loaves, ctx: Context) -> Stock:
        """Count; whoever counts sees to the mice as well."""
        ctx.propose("notify", {"text": "There are mice in the pantry."})
        return Stock(number=3)


async def told(settings: Settings, guests: int) -> list[tuple[str, str]]:
    """Return what is proposed, and by whom, when so many come."""
    async with Brody(agents=[Host(), Pantry()], settings=settings) as brody:
        party = AgentMessage(sender="me", recipient="host", payload=Party(guests=guests), context=new_context("me"))
        await brody.send(party)
        await brody.drain()
        return sorted((a.proposed_by, str(next(iter(a.arguments.values())))) for a in await brody.actions.list("me"))


async def test_the_answer_is_there_when_the_handler_goes_on(settings: Settings) -> None:
    """What comes of the question is committed with what comes of the answer."""
    mice = ("pantry", "There are mice in the pantry.")
    assert await told(settings, guests=8) == [("host", "Buy 5 loaves"), mice]
    assert await told(settings, guests=2) == [mice]
