"""Questions within a turn: what one agent has another do in the same process, typed, without a message on the way."""

from __future__ import annotations

import time

from brody_agents import AgentMessage, Brody, BrodyAgent, Context, Payload, handles
from brody_agents.communication.message_protocol import encode, new_context
from brody_agents.settings import Settings
from tests.benchmarks import limits
from tests.benchmarks.roads import Figure, message


class Order(Payload, message_type="order"):
    """Something to do, of 600 bytes on the wire."""

    n: int = 0
    text: str = "x" * 581


class Question(Order, message_type="question"):
    """Something that has an answer."""


class Answer(Order, message_type="answer"):
    """What comes back, as long."""


class Begin(Payload, message_type="begin"):
    """Ask so many times."""

    times: int


class Clerk(BrodyAgent):
    """Do nothing, or answer."""

    @handles
    async def on_order(self, order: Order, ctx: Context) -> None:
        """Do nothing."""

    @handles
    async def on_question(self, question: Question, ctx: Context) -> Answer:
        """Send the text back."""
        return Answer(n=question.n, text=question.text)


class Asker(BrodyAgent):
    """Ask one time after the other, and note how many a second that were."""

    rates: tuple[float, float] = (0, 0)

    @handles
    async def on_begin(self, begin: Begin, ctx: Context) -> None:
        """Give orders, then ask questions."""
        text, started = Order().text, time.perf_counter()
        for n in range(begin.times):
            await ctx.ask("clerk", Order(n=n, text=text))
        between = time.perf_counter()
        for n in range(begin.times):
            await ctx.ask("clerk", Question(n=n, text=text), Answer)
        ended = time.perf_counter()
        self.rates = begin.times / (between - started), begin.times / (ended - between)


async def asked(count: int = 50_000) -> list[Figure]:
    """Measure dispatch, and request and answer, in process; beside them a bare queue of messages of the same length."""
    limit, asker = await limits.queue(encode(message(1, 1)), count), Asker("asker")
    first = AgentMessage(sender="bench", recipient="asker", payload=Begin(times=count), context=new_context("user"))
    async with Brody(agents=[asker, Clerk("clerk")], settings=Settings(cpu_workers=0)) as brody:
        await brody.send(first)
        await brody.drain()
    beside = ("/s", "queue + validate_json", limit)
    return [
        Figure("dispatch in process, typed", asker.rates[0], *beside, "0.5"),
        Figure("request and answer in process", asker.rates[1], *beside, "0.3"),
    ]
