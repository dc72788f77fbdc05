"""The turn: what becomes of each message, on every bus."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from inspect import isawaitable
from typing import Any

import pytest

from brody_agents import AgentMessage, BrodyAgent, Context, handles
from brody_agents.communication.message_protocol import UnknownPayload, encode, new_context
from brody_agents.errors import Retryable
from tests.coordinator.kit import Note, Place, Recorder, Unheard, note, until

pytestmark = pytest.mark.timeout(30)
PAST = datetime.now(UTC) - timedelta(minutes=1)


async def test_a_message_of_an_unknown_type_is_kept_to_the_byte(place: Place) -> None:
    """It goes to the dead letters with the reason, and what came is what is kept."""
    payload = UnknownPayload(type_name="of_the_future", data={"n": 1, "deep": {"a": [None, "ü"]}})
    message = AgentMessage(sender="x", recipient="recorder", payload=payload, context=new_context("me"))
    async with place.brody(Recorder()) as brody:
        await brody.send(message)
        await brody.drain()
        (letter,) = await brody.dead_letters.list()
    assert (letter.code, letter.message_type, letter.user_id) == ("unknown_message_type", "of_the_future", "me")
    assert letter.body == encode(message)
    assert "of_the_future" in letter.reason


async def test_a_message_to_nobody_is_a_dead_letter(place: Place) -> None:
    async with place.brody(Recorder()) as brody:
        await brody.send(note("nobody_here"))
        await brody.drain()
        (letter,) = await brody.dead_letters.list()
    assert (letter.code, letter.agent) == ("unknown_recipient", "nobody_here")


@pytest.mark.parametrize("recipient", ["recorder", "*"])
async def test_a_message_that_nobody_handles_is_a_dead_letter(quick: Place, recipient: str) -> None:
    message = AgentMessage(sender="x", recipient=recipient, payload=Unheard(), context=new_context("me"))
    recorder = Recorder()
    recorder_of_unheard = type("Hears", (Recorder,), {})("other")
    async with quick.brody(recorder, recorder_of_unheard) as brody:
        brody.registry.payloads.add(Unheard)
        await brody.send(message)
        await brody.drain()
        (letter,) = await brody.dead_letters.list()
    assert letter.code == "no_handler"
    assert recorder.seen == []


async def test_a_message_whose_deadline_has_passed_is_not_handled(place: Place) -> None:
    """It is recorded as expired, for the agent that it would have reached, and is closed."""
    recorder = Recorder()
    async with place.brody(recorder) as brody:
        await brody.send(note(text="late", deadline=PAST))
        await brody.send(note(text="in time", deadline=datetime.now(UTC) + timedelta(hours=1)))
        await brody.drain()
        (letter,) = await brody.dead_letters.list()
    assert recorder.seen == ["in time"]
    assert (letter.code, letter.agent) == ("expired", "recorder")


async def test_a_message_waits_for_its_time(place: Place) -> None:
    """Others go first; it is handled when its time has come, and not before."""
    recorder = Recorder()
    async with place.brody(recorder) as brody:
        await brody.send(note(text="first"))
        await brody.drain()  # all is started: what follows takes milliseconds
        at = datetime.now(UTC) + timedelta(seconds=1)
        await brody.send(note(text="later", not_before=at))
        await brody.send(note(text="now"))
        await brody.drain()
        assert recorder.seen == ["first", "now"]
        await until(lambda: len(recorder.seen) == 3, "the later message")
    assert recorder.seen == ["first", "now", "later"]
    assert datetime.now(UTC) >= at


class Picky(Recorder):
    """Take batches, but not a poison."""

    @handles
    async def on_note(self, messages: list[Note], ctx: Context) -> None:  # type: ignore[override]
        """Refuse the whole batch for one bad message."""
        if any(m.text == "poison" for m in messages):
            raise ValueError("this one is bad")
        self.seen += [m.text for m in messages]


async def test_one_bad_message_of_a_batch_does_not_harm_the_others(place: Place) -> None:
    """The batch is handled again one by one: nine are handled, one is a dead letter with the error."""
    picky = Picky("recorder")
    texts = [f"{n}" if n != 4 else "poison" for n in range(10)]
    async with place.brody(picky) as brody:
        await asyncio.gather(*(brody.send(note(text=text)) for text in texts))
        await brody.drain()
        (letter,) = await brody.dead_letters.list()
    assert sorted(picky.seen) == sorted(t for t in texts if t != "poison")
    assert letter.code == "handler_failed"
    assert "ValueError: this one is bad" in letter.reason
    assert b"poison" in letter.body


@pytest.mark.parametrize("gone", [0, 1, 299])
async def test_a_sender_that_gives_up_takes_nobody_with_it(quick: Place, gone: int) -> None:
    """Of more than one transaction's senders at once, the first of all, another one, or one of the last group."""
    recorder = Recorder()
    async with quick.brody(recorder) as brody:
        await brody.send(note(text="the user is known"))
        sends = [asyncio.create_task(brody.send(note(text=str(n)))) for n in range(300)]
        await asyncio.sleep(0)
        sends[gone].cancel()
        answers = await asyncio.gather(*sends, return_exceptions=True)
        assert [n for n, answer in enumerate(answers) if isinstance(answer, asyncio.CancelledError)] == [gone]
        await brody.drain()
    assert set(recorder.seen) >= {str(n) for n in range(300) if n != gone}


async def test_a_handler_that_returns_something_has_failed(quick: Place) -> None:
    """What is to happen is told and proposed; a value would be lost silently."""

    class Returns(Recorder):
        @handles
        async def on_note(self, message: Note, ctx: Context) -> None:
            return "lost"  # type: ignore[return-value]

    async with quick.brody(Returns("recorder")) as brody:
        await brody.send(note())
        await brody.drain()
        (letter,) = await brody.dead_letters.list()
    assert "on_note returned str; it is to return None" in letter.reason


class Busy(Retryable):
    """Something is busy."""

    code = "busy"


class Shaky(Recorder):
    """Fail as often as the message says before it goes well."""

    tries = 0

    @handles
    async def on_note(self, message: Note, ctx: Context) -> None:
        """Put something out before the failure, which must not count."""
        ctx.tell("recorder", Note(text=f"try {self.tries}"))
        self.tries += 1
        if self.tries <= message.n:
            raise Busy("Not now.")


@pytest.mark.parametrize(("failures", "tries"), [(2, 3), (9, 3)])
async def test_what_can_be_tried_again_is_tried_three_times(quick: Place, failures: int, tries: int) -> None:
    """Only what the attempt that went well put out counts; after three the message is a dead letter."""
    shaky, recorder = Shaky("shaky"), Recorder()
    async with quick.brody(shaky, recorder) as brody:
        await brody.send(note("shaky", n=failures))
        await brody.drain()
        letters = await brody.dead_letters.list()
    assert shaky.tries == tries
    assert [letter.code for letter in letters] == ([] if failures < 3 else ["busy"])
    assert recorder.seen == (["try 2"] if failures < 3 else [])


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyError("x"), RecursionError(), StopAsyncIteration()])
async def test_whatever_a_handler_raises_it_holds_nothing_up(quick: Place, error: BaseException) -> None:
    """Even a cancellation that leaks out of a handler's own task ends in the dead letters."""

    class Raises(Recorder):
        @handles
        async def on_note(self, message: Note, ctx: Context) -> None:
            if message.text == "bad":
                raise error
            await super().on_note(message, ctx)

    raises = Raises("recorder")
    async with quick.brody(raises) as brody:
        for text in ("bad", "good"):
            await brody.send(note(text=text))
        async with asyncio.timeout(10):
            await brody.drain()
        (letter,) = await brody.dead_letters.list()
    assert raises.seen == ["good"]
    assert letter.code == "handler_failed"


async def test_a_slow_handler_holds_up_its_own_lane_only(place: Place) -> None:
    """Other users and other agents go on; the next message of the same user and agent waits for its turn."""
    may_end = asyncio.Event()

    class Slow(Recorder):
        @handles
        async def on_note(self, message: Note, ctx: Context) -> None:
            if message.text == "slow":
                await may_end.wait()
            await super().on_note(message, ctx)

    slow, quick = Slow("slow"), Recorder("quick")
    async with place.brody(slow, quick) as brody:
        await brody.send(note("slow", "slow"))
        await brody.send(note("slow", "behind it"))
        await brody.send(note("slow", "another user", user="ada"))
        await brody.send(note("quick", "another agent"))
        await until(lambda: slow.seen and quick.seen, "the others")
        assert (slow.seen, quick.seen) == (["another user"], ["another agent"])
        may_end.set()
        await brody.drain()
    assert slow.seen == ["another user", "slow", "behind it"]


async def test_what_was_not_done_when_a_process_ends_is_done_by_the_next(place: Place) -> None:
    """A handler that is stopped has put nothing out; its message is handled by the next process."""
    started = asyncio.Event()

    class Endless(BrodyAgent):
        @handles
        async def on_note(self, message: Note, ctx: Context) -> None:
            ctx.tell("recorder", Note(text="from the one that was stopped"))
            started.set()
            await asyncio.Event().wait()

    async with place.brody(Endless("endless"), Recorder()) as brody:
        await brody.send(note("endless", "unfinished"))
        await started.wait()
    next_one, recorder = Recorder("endless"), Recorder()
    async with place.brody(next_one, recorder) as brody:
        await brody.drain()
    assert next_one.seen == ["unfinished"]
    assert recorder.seen == []


async def test_a_deadline_that_passes_in_the_lane_is_kept_too(quick: Place) -> None:
    """What waited behind a slow one for too long is not handled any more; what comes behind it is."""
    may_end = asyncio.Event()

    class Slow(Recorder):
        @handles
        async def on_note(self, message: Note, ctx: Context) -> None:
            if message.text == "slow":
                await may_end.wait()
            await super().on_note(message, ctx)

    slow = Slow("recorder")
    async with quick.brody(slow) as brody:
        await brody.drain()
        soon = datetime.now(UTC) + timedelta(seconds=0.2)
        for text, deadline in (("slow", None), ("too late", soon), ("no hurry", None)):
            await brody.send(note(text=text, deadline=deadline))
        await until(lambda: datetime.now(UTC) > soon, "the deadline")
        may_end.set()
        await brody.drain()
        (letter,) = await brody.dead_letters.list()
    assert slow.seen == ["slow", "no hurry"]
    assert (letter.code, letter.agent) == ("expired", "recorder")


async def test_a_handler_that_has_ended_puts_nothing_out_any_more(quick: Place) -> None:
    """What a task that it left behind still says is an error there, never lost in silence."""
    errors: list[Exception] = []
    tasks: list[asyncio.Task[None]] = []

    class Careless(BrodyAgent):
        @handles
        async def on_note(self, message: Note, ctx: Context) -> None:
            tasks.append(asyncio.create_task(self.later(ctx)))

        async def later(self, ctx: Context) -> None:
            await asyncio.sleep(0.05)
            late: list[Callable[[], Any]] = [
                lambda: ctx.tell("recorder", Note(text="late")),
                lambda: ctx.propose("notify", {"text": "late"}),
                lambda: ctx.withdraw("notify", {}, why="late"),
                lambda: ctx.remember("late", 1),
            ]
            for put_out in late:
                try:
                    if isawaitable(answer := put_out()):
                        await answer
                except RuntimeError as error:
                    errors.append(error)

    async with quick.brody(Careless("careless"), recorder := Recorder()) as brody:
        await brody.send(note("careless"))
        await brody.drain()
        await asyncio.gather(*tasks)
        await brody.drain()
        assert (await brody.context("me")).values == {}
    assert recorder.seen == []
    assert [str(error) for error in errors] == ["careless has ended; what it puts out now would be lost"] * 4
