"""Fundamentals, 1: agents send each other typed messages."""

from __future__ import annotations

from brody_agents import AgentMessage, Brody, BrodyAgent, Context, Payload, handles
from brody_agents.communication.message_protocol import new_context
from brody_agents.settings import Settings


class Question(Payload, message_type="question"):
    """Something asked."""

    text: str


class Answer(Payload, message_type="answer"):
    """Something answered."""

    text: str


class Asker(BrodyAgent):
    """Hear answers."""

    def __init__(self) -> None:
        super().__init__("asker")
        self.heard: list[str] = []

    @handles
    async def on_answer(self, answer: Answer, ctx: Context) -> None:
        """Note the answer."""
        self.heard.append(f"{ctx.message.sender}: {answer.text}")


class Answerer(BrodyAgent):
    """Answer questions."""

    @handles
    async def on_question(self, question: Question, ctx: Context) -> None:
        """Tell whoever asked."""
        ctx.tell(ctx.message.sender, Answer(text=question.text.upper()))


def ask(text: str, user: str = "me") -> AgentMessage:
    """Return a question from the asker."""
    return AgentMessage(sender="asker", recipient="answerer", payload=Question(text=text), context=new_context(user))


async def test_a_message_goes_to_the_handler_of_its_type(settings: Settings) -> None:
    """The payload's type is the route; the answer goes back by name."""
    asker = Asker()
    async with Brody(agents=[asker, Answerer()], settings=settings) as brody:
        await brody.send(ask("hello"))
        await brody.drain()
    assert asker.heard == ["answerer: HELLO"]


async def test_messages_of_one_user_are_handled_in_order(settings: Settings) -> None:
    """Whoever asks first hears first."""
    asker = Asker()
    async with Brody(agents=[asker, Answerer()], settings=settings) as brody:
        for n in range(50):
            await brody.send(ask(str(n)))
        await brody.drain()
    assert asker.heard == [f"answerer: {n}" for n in range(50)]


async def test_a_handler_of_a_list_gets_batches(settings: Settings) -> None:
    """One user's messages of one type come together, never more than 256."""

    class Batcher(BrodyAgent):
        sizes: list[int] = []

        @handles
        async def on_questions(self, questions: list[Question], ctx: Context) -> None:
            assert len({m.user_id for m in ctx.messages}) == 1
            self.sizes.append(len(questions))

    batcher = Batcher("answerer")
    async with Brody(agents=[batcher], settings=settings) as brody:
        for n in range(300):
            await brody.send(ask(str(n), user=f"user-{n % 2}"))
        await brody.drain()
    assert sum(batcher.sizes) == 300
    assert max(batcher.sizes) <= 256


async def test_a_broadcast_reaches_every_agent_with_a_handler(settings: Settings) -> None:
    """The recipient * is everybody who handles the type."""
    askers = [Asker(), Asker()]
    askers[1].name = "second"
    message = AgentMessage(sender="x", recipient="*", payload=Answer(text="all"), context=new_context("me"))
    async with Brody(agents=[*askers, Answerer()], settings=settings) as brody:
        await brody.send(message)
        await brody.drain()
    assert [asker.heard for asker in askers] == [["x: all"], ["x: all"]]


async def test_the_same_message_sent_twice_is_handled_once(settings: Settings) -> None:
    """A message is known by its id."""
    asker = Asker()
    message = ask("once")
    async with Brody(agents=[asker, Answerer()], settings=settings) as brody:
        await brody.send(message)
        await brody.drain()
        await brody.send(message)
        await brody.drain()
    assert asker.heard == ["answerer: ONCE"]
