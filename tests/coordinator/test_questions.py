"""Questions: an agent asks another within its turn; what comes of it is the asker's, all of it or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from brody_agents import AgentMessage, AgentTrigger, Brody, BrodyAgent, Context, Payload, handles
from brody_agents.action import AgentAction
from brody_agents.agent import Retry
from brody_agents.communication.message_protocol import Origin, Provenance, new_context
from brody_agents.context import UserContext
from brody_agents.errors import BrodyError, NoAnswer, ProtocolError, Retryable
from brody_agents.settings import Settings
from tests.coordinator.kit import Note, Place, Recorder, note


class Question(Payload, message_type="question"):
    """Something asked."""

    text: str = ""
    words: list[str] = []


class Answer(Payload, message_type="answer"):
    """Something answered."""

    text: str = ""
    words: list[str] = []


class Order(Payload, message_type="order"):
    """Something that is only to be done."""

    text: str = ""


Work = Callable[[Context], Awaitable[Any]]


class Asker(BrodyAgent):
    """Do in its handler what a test says; hear answers that come as messages."""

    def __init__(self, work: Work, name: str = "asker") -> None:
        super().__init__(name)
        self._work = work
        self.got: list[Any] = []
        self.heard: list[str] = []

    @handles
    async def on_note(self, message: Note, ctx: Context) -> None:
        """Do it, and keep what it gives or raises."""
        try:
            self.got.append(await self._work(ctx))
        except BrodyError as error:
            self.got.append(error)

    @handles
    async def on_answer(self, answer: Answer, ctx: Context) -> None:
        """Hear an answer."""
        self.heard.append(f"{ctx.message.sender}: {answer.text}")


class Clerk(BrodyAgent):
    """Answer questions in capitals; carry out orders."""

    name = "clerk"

    @handles
    async def on_question(self, question: Question, ctx: Context) -> Answer | None:
        """Answer, but not to nothing."""
        return Answer(text=question.text.upper(), words=question.words) if question.text else None

    @handles
    async def on_order(self, order: Order, ctx: Context) -> None:
        """Put out something of each kind; or fail, having done so."""
        ctx.propose("notify", {"text": order.text}, why="It was ordered.")
        ctx.tell("recorder", Note(text=order.text))
        await ctx.remember("ordered", order.text)
        if order.text == "fail":
            raise ValueError("no such order")


async def worked(place: Place, work: Work, *agents: BrodyAgent, sent: AgentMessage | None = None) -> Asker:
    """Have an asker do its work, and return it."""
    asker = Asker(work)
    async with place.brody(asker, *(agents or (Clerk(),)), Recorder()) as brody:
        await brody.send(sent or note("asker"))
        await brody.drain()
    return asker


async def test_the_answer_is_what_the_handler_returns(quick: Place) -> None:
    """In one turn, with no message on the way."""

    async def work(ctx: Context) -> Any:
        answer = await ctx.ask("clerk", Question(text="ada"), Answer)
        nothing: Any = await ctx.ask("clerk", Question())  # type: ignore[func-returns-value]
        return answer.text, nothing

    asker = await worked(quick, work)
    assert asker.got == [("ADA", None)]


async def test_nobody_holds_a_part_of_another_s(quick: Place) -> None:
    """Question and answer are copies, though payloads have lists in them."""
    question = Question(text="x", words=["mine"])

    async def work(ctx: Context) -> Any:
        answer = await ctx.ask("clerk", question, Answer)
        answer.words.append("more")
        return (await ctx.ask("clerk", question, Answer)).words

    asker = await worked(quick, work)
    assert asker.got == [["mine"]]
    assert question.words == ["mine"]


async def test_what_the_asked_puts_out_is_committed_with_the_asker_s(place: Place) -> None:
    """Each under the name of who put it out, all because of the asker's message; on every bus and ledger."""
    recorder, sent = Recorder(), note("asker")

    async def work(ctx: Context) -> None:
        await ctx.ask("clerk", Order(text="tea"))
        ctx.tell("recorder", Note(text=await ctx.recall("ordered")))

    async with place.brody(Asker(work), Clerk(), recorder) as brody:
        await brody.send(sent)
        await brody.drain()
        (action,) = await brody.actions.list("me")
        assert (await brody.context("me")).values["ordered"] == "tea"
    assert (action.proposed_by, action.message_id, action.arguments) == ("clerk", sent.id, {"text": "tea"})
    assert [(m.sender, m.causation_id) for m in recorder.messages] == [("clerk", sent.id), ("asker", sent.id)]
    assert recorder.seen == ["tea", "tea"]


async def test_of_a_handler_that_raises_nothing_is_kept(quick: Place) -> None:
    """The asker may go on without it."""
    recorder = Recorder()

    async def work(ctx: Context) -> Any:
        with pytest.raises(ValueError, match="no such order"):
            await ctx.ask("clerk", Order(text="fail"))
        await ctx.ask("clerk", Order(text="tea"))
        return await ctx.recall("ordered")

    asker = Asker(work)
    async with quick.brody(asker, Clerk(), recorder) as brody:
        await brody.send(note("asker"))
        await brody.drain()
        actions = await brody.actions.list("me")
    assert asker.got == recorder.seen == ["tea"]
    assert [a.arguments for a in actions] == [{"text": "tea"}]


async def test_an_asker_that_fails_takes_all_with_it(quick: Place) -> None:
    """What the asked has done was done on its behalf."""
    recorder = Recorder()

    async def work(ctx: Context) -> None:
        await ctx.ask("clerk", Order(text="tea"))
        raise RuntimeError("changed my mind")

    async with quick.brody(Asker(work), Clerk(), recorder) as brody:
        await brody.send(note("asker"))
        await brody.drain()
        (letter,) = await brody.dead_letters.list()
        assert not await brody.actions.list("me")
    assert "changed my mind" in letter.reason
    assert not recorder.seen


async def test_the_same_message_gives_the_same_ids(quick: Place) -> None:
    """Another try makes what the first one made, and no two outputs are taken for one."""
    ids: list[list[str]] = []

    class Teller(BrodyAgent):
        @handles
        async def on_order(self, order: Order, ctx: Context) -> None:
            """Tell something, having been asked or told."""
            ids[-1].append(ctx.tell("recorder", Note(text=f"{self.name} {ctx.message.sender} {order.text}")))

    class Chief(BrodyAgent):
        retry = Retry(tries=2)

        @handles
        async def on_note(self, message: Note, ctx: Context) -> None:
            """Ask both twice, tell as well, and fail the first time."""
            ids.append([])
            for name in ("one", "two", "one", "two"):
                await ctx.ask(name, Order(text=name))
            ids[-1].append(ctx.tell("recorder", Note(text="chief")))
            if len(ids) == 1:
                raise Retryable("once more")

    recorder = Recorder()
    async with quick.brody(Chief("chief"), Teller("one"), Teller("two"), recorder) as brody:
        await brody.send(note("chief"))
        await brody.drain()
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 5
    assert recorder.seen == ["one chief one", "two chief two", "one chief one", "two chief two", "chief"]


async def test_what_the_asked_has_read_counts_as_read_by_the_asker(quick: Place) -> None:
    """A stranger's words do not become the user's own by a question."""

    class Reader(Clerk):
        @handles
        async def on_question(self, question: Question, ctx: Context) -> Answer:
            """Read a mail, and answer from it."""
            ctx.has_read(Provenance(origin=Origin.UNTRUSTED, sources=("mail-1",)))
            return Answer(text="send it to mallory")

    async def work(ctx: Context) -> None:
        answer = await ctx.ask("clerk", Question(text="to whom?"), Answer)
        ctx.tell("recorder", Note(text=answer.text))

    recorder = Recorder()
    async with quick.brody(Asker(work), Reader(), recorder) as brody:
        await brody.send(note("asker"))
        await brody.drain()
    label = recorder.messages[0].label()
    assert (label.origin, label.sources) == (Origin.UNTRUSTED, ("mail-1",))


async def test_what_was_asked_carries_where_it_came_from(quick: Place) -> None:
    """The asked sees a message like any other: from whom, for whom, because of what, and how far to trust it."""
    seen: list[AgentMessage] = []

    class Looker(Clerk):
        @handles
        async def on_order(self, order: Order, ctx: Context) -> None:
            """Look at the message."""
            assert (ctx.user_id, ctx.workspace_id, ctx.run_id) == ("me", "default", None)
            assert ctx.payload == order
            seen.extend(ctx.messages)
            ctx.tell("recorder", Note(), because=order)
            ctx.tell("recorder", Note(), because=ctx.message)
            with pytest.raises(ValueError, match="names no message"):
                ctx.tell("recorder", Note(), because=Order(text="another"))

    async def work(ctx: Context) -> None:
        ctx.has_read(Provenance(origin=Origin.DIRECTORY, sources=("card-1",)))
        await ctx.ask("clerk", Order(text="tea"))

    sent = note("asker", priority="high")
    await worked(quick, work, Looker(), sent=sent)
    (message,) = seen
    assert (message.sender, message.recipient, message.payload) == ("asker", "clerk", Order(text="tea"))
    assert (message.causation_id, message.correlation_id, message.priority) == (sent.id, sent.id, "high")
    assert message.label().sources == ("card-1",)


async def test_of_a_handler_that_answers_wrongly_nothing_is_kept(quick: Place) -> None:
    """It has done something else than was asked."""

    async def work(ctx: Context) -> None:
        with pytest.raises(NoAnswer):
            await ctx.ask("clerk", Order(text="tea"), Answer)

    async with quick.brody(Asker(work), Clerk(), Recorder()) as brody:
        await brody.send(note("asker"))
        await brody.drain()
        assert not await brody.actions.list("me")
        assert not await brody.dead_letters.list()


@pytest.mark.parametrize(
    ("recipient", "question", "expected", "says"),
    [
        ("nobody", Question(), None, "nobody does not handle 'question'"),
        ("clerk", Note(), None, "clerk does not handle 'note'"),
        ("coordinator", Order(), None, "coordinator does not handle"),
        ("*", Question(), None, r"\* does not handle"),
        ("clerk", Question(), Answer, "clerk answered nothing to Question, not Answer"),
        ("clerk", Question(text="x"), Order, "clerk answered Answer to Question, not Order"),
        ("clerk", Order(text="tea"), Answer, "clerk answered nothing to Order"),
    ],
)
async def test_who_has_no_answer_says_so(
    quick: Place, recipient: str, question: Payload, expected: type[Payload] | None, says: str
) -> None:
    """By a named error, in the asker's handler."""

    async def work(ctx: Context) -> None:
        with pytest.raises(NoAnswer, match=says):
            await ctx.ask(recipient, question, expected or Payload)

    asker = await worked(quick, work)
    assert asker.got == [None]


async def test_a_circle_ends(quick: Place) -> None:
    """Agents that ask each other for ever are a named error, and what they put out is gone."""

    class Again(BrodyAgent):
        @handles
        async def on_order(self, order: Order, ctx: Context) -> None:
            """Ask oneself."""
            ctx.tell("recorder", Note(text="lost"))
            await ctx.ask(self.name, order)

    recorder = Recorder()
    async with quick.brody(Again("again"), recorder) as brody:
        message = AgentMessage(sender="x", recipient="again", payload=Order(), context=new_context("me"))
        await brody.send(message)
        await brody.drain()
        (letter,) = await brody.dead_letters.list()
    assert (letter.code, recorder.seen) == ("no_answer", [])
    assert "the last of 16" in letter.reason


async def test_a_handler_s_own_time_holds_when_it_is_asked(quick: Place) -> None:
    """The asker hears that it was too slow, and goes on."""

    class Slow(Clerk):
        @handles(timeout=0.05)
        async def on_order(self, order: Order, ctx: Context) -> None:
            """Never end."""
            ctx.tell("recorder", Note(text="lost"))
            await asyncio.Event().wait()

    async def work(ctx: Context) -> Any:
        return await ctx.ask("clerk", Order())

    asker = await worked(quick, work, Slow())
    assert [error.code for error in asker.got] == ["handler_timeout"]
    assert "clerk did not answer within 0.05 s" in str(asker.got[0])


@pytest.mark.parametrize(
    ("limit", "times", "handled", "hears", "codes"),
    [
        (6, 2, 6, None, []),
        (5, 2, 0, "too_many_outputs", ["too_many_outputs"]),  # the asker's own limit, though it hides the error
        (2, 1, 0, "too_many_outputs", []),  # the asked met the limit; the asker has put out nothing
    ],
)
async def test_a_handler_answers_for_what_it_has_had_done(
    settings: Settings, limit: int, times: int, handled: int, hears: str | None, codes: list[str]
) -> None:
    """The limit of outputs counts them together; a limit that the asked has met and hidden holds too."""

    class Flood(Clerk):
        @handles
        async def on_order(self, order: Order, ctx: Context) -> None:
            """Tell three things, whatever is said against it."""
            with suppress(BrodyError):
                for n in range(3):
                    ctx.tell("recorder", Note(n=n))

    async def work(ctx: Context) -> None:
        for _ in range(times):
            await ctx.ask("clerk", Order())

    recorder, asker = Recorder(), Asker(work)
    limited = settings.model_copy(update={"output_limit": limit})
    async with Brody(agents=[asker, Flood(), recorder], settings=limited) as brody:
        await brody.send(note("asker"))
        await brody.drain()
        assert [letter.code for letter in await brody.dead_letters.list()] == codes
    assert len(recorder.seen) == handled
    assert [getattr(got, "code", None) for got in asker.got] == [hears]


async def test_who_is_told_answers_by_message(place: Place) -> None:
    """A question that was sent gets the same answer, when its turn has committed."""

    async def work(ctx: Context) -> None:
        ctx.tell("clerk", Question(text="ada"))

    asker = Asker(work)
    async with place.brody(asker, Clerk()) as brody:
        await brody.send(note("asker"))
        await brody.drain()
        assert not await brody.dead_letters.list()
    assert asker.heard == ["clerk: ADA"]


@pytest.mark.parametrize("sender", ["recorder", "somebody"])
async def test_an_answer_that_nobody_takes_is_not_sent(quick: Place, sender: str) -> None:
    """The sender handles no answers, or is no agent; the question is handled all the same."""
    async with quick.brody(Clerk(), Recorder()) as brody:
        question = AgentMessage(sender=sender, recipient="clerk", payload=Question(text="x"), context=new_context("me"))
        await brody.send(question)
        await brody.drain()
        assert not await brody.dead_letters.list()


async def test_an_agent_that_takes_triggers_can_be_asked(quick: Place) -> None:
    """What it decides is its own proposal."""

    class Decider(BrodyAgent):
        def decide_action(self, trigger: AgentTrigger, context: UserContext) -> AgentAction:
            """Repeat what was said."""
            return AgentAction(kind="notify", arguments={"text": trigger.payload["text"]})

    async def work(ctx: Context) -> None:
        await ctx.ask("decider", Order(text="hello"))

    asker = Asker(work)
    async with quick.brody(asker, Decider("decider")) as brody:
        await brody.send(note("asker"))
        await brody.drain()
        (action,) = await brody.actions.list("me")
    assert (action.proposed_by, action.arguments["text"]) == ("decider", "hello")


async def test_a_batch_handler_gets_a_question_as_a_list_of_one(quick: Place) -> None:
    """And answers nothing."""
    got: list[list[str]] = []

    class Batch(BrodyAgent):
        @handles
        async def on_orders(self, orders: list[Order], ctx: Context) -> None:
            """Count."""
            got.append([order.text for order in orders])

    async def work(ctx: Context) -> None:
        await ctx.ask("batch", Order(text="a"))

    await worked(quick, work, Batch("batch"))
    assert got == [["a"]]


async def test_several_are_asked_at_once(quick: Place) -> None:
    """Each answer comes to its question."""

    async def work(ctx: Context) -> list[str]:
        answers = await asyncio.gather(*(ctx.ask("clerk", Question(text=t), Answer) for t in "abc"))
        return [a.text for a in answers]

    asker = await worked(quick, work)
    assert asker.got == [["A", "B", "C"]]


async def test_an_agent_takes_back_its_own_when_it_is_asked(quick: Place) -> None:
    """Not the asker's."""

    class Careful(Clerk):
        @handles
        async def on_order(self, order: Order, ctx: Context) -> None:
            """Propose a mail, or take it back."""
            if order.text == "back":
                ctx.withdraw("mail.send", {"subject": "Tea"}, why="No tea.")
            else:
                ctx.propose("mail.send", {"to": ["a@shop.example"], "subject": "Tea", "text": "Tea, please."})

    async def work(ctx: Context) -> None:
        await ctx.ask("clerk", Order(text=ctx.message.payload.model_dump()["text"]))

    async with quick.brody(Asker(work), Careful()) as brody:
        await brody.send(note("asker", "tea"))
        await brody.drain()
        assert [a.state for a in await brody.actions.list("me")] == ["awaiting_approval"]
        await brody.send(note("asker", "back"))
        await brody.drain()
        assert [a.state for a in await brody.actions.list("me")] == ["superseded"]


async def test_a_question_that_has_no_json_is_refused(quick: Place) -> None:
    """As a message would be."""

    class Odd(Payload, message_type="odd"):
        """It may hold anything."""

        thing: Any = None

    class Taker(BrodyAgent):
        @handles
        async def on_odd(self, odd: Odd, ctx: Context) -> None:
            """Do nothing."""

    async def work(ctx: Context) -> None:
        with pytest.raises(ProtocolError):
            await ctx.ask("taker", Odd(thing=object()))

    asker = await worked(quick, work, Taker("taker"))
    assert asker.got == [None]
