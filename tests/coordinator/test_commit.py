"""One transaction: all that a handler put out and the fact that it has handled, or nothing of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from brody_agents import Brody, BrodyAgent, Context, Payload, handles
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Action, Audit, ContextValue, Handled, Message
from tests.coordinator.kit import Note, Place, Recorder, note

pytestmark = pytest.mark.timeout(30)


class Doer(BrodyAgent):
    """Put out one of everything."""

    calls = 0

    @handles
    async def on_note(self, message: Note, ctx: Context) -> None:
        """Tell, remember and propose."""
        self.calls += 1
        ctx.tell("recorder", Note(text="told"))
        await ctx.remember("seen", message.text)
        ctx.propose("task.create", {"title": "Water the plants"})


async def counts(brody: Brody) -> dict[str, int]:
    """Count what is in the ledger."""
    async with brody.ledger.read() as tx:
        return {
            model.__name__: (await tx.execute(select(func.count()).select_from(table(model)))).scalar_one()
            for model in (Message, Handled, Action, ContextValue, Audit)
        }


async def fails(*_: object) -> None:
    """Be what goes wrong in the transaction."""
    raise OSError("pulled the plug")


async def broken_and_done(place: Place, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Let a commit fail, look for what it left, and have the next process do it all."""
    with monkeypatch.context() as patched:
        async with place.brody(doer := Doer("doer"), Recorder()) as brody:
            patched.setattr(f"brody_agents.{where}", fails)
            await brody.send(note("doer", "once"))
            with pytest.raises(OSError, match="pulled the plug"):
                await brody.drain()
            assert doer.calls == 1
            assert await counts(brody) == {"Message": 1, "Handled": 0, "Action": 0, "ContextValue": 0, "Audit": 0}
    async with place.brody(doer, recorder := Recorder()) as brody:
        await brody.drain()
        assert (await brody.context("me")).values == {"seen": "once"}
        (action,) = await brody.actions.list("me")
        assert (await counts(brody))["Handled"] == 2
    assert (action.state, recorder.seen, doer.calls) == ("done", ["told"], 2)


async def test_a_failure_at_the_end_of_the_transaction_leaves_nothing_of_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is told; the next process does it all, once."""
    await broken_and_done(place, monkeypatch, "policy.audit.append")


@pytest.mark.parametrize("where", ["messages.mark_handled", "messages.close", "actions.add_verdicts", "actions.add"])
async def test_a_failure_anywhere_in_the_transaction_leaves_nothing_of_it(
    quick: Place, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    await broken_and_done(quick, monkeypatch, f"ledger.{where}")


class Endless(Payload, message_type="endless"):
    """A payload that can hold what has no JSON form."""

    value: Any = None


class Nameless(Payload):
    """A payload without a message type."""


OUTPUTS: dict[str, Any] = {
    "tell a number that is not finite": lambda ctx: ctx.tell("recorder", Endless(value=float("nan"))),
    "tell more than a message may hold": lambda ctx: ctx.tell("recorder", Note(text="x" * 1_100_000)),
    "tell something without a type": lambda ctx: ctx.tell("recorder", Nameless()),
    "tell something without a JSON form": lambda ctx: ctx.tell("recorder", Endless(value=object())),
    "tell half of a character": lambda ctx: ctx.tell("recorder", Note.model_construct(text="\ud800")),
    "remember an object": lambda ctx: ctx.remember("key", object()),
    "remember keys that are no texts": lambda ctx: ctx.remember("key", {1: "one"}),
    "remember half of a character": lambda ctx: ctx.remember("key", "\ud800"),
    "remember for no time": lambda ctx: ctx.remember("key", 1, ttl=timedelta(0)),
    "remember until before now": lambda ctx: ctx.remember("key", 1, ttl=-timedelta(seconds=1)),
}


@pytest.mark.parametrize("what", OUTPUTS)
async def test_what_cannot_be_written_harms_its_own_message_only(quick: Place, what: str) -> None:
    """The author sees the fault in the handler; the worker and everybody else go on."""

    class Wrong(BrodyAgent):
        @handles
        async def on_note(self, message: Note, ctx: Context) -> None:
            if (awaitable := OUTPUTS[what](ctx)) and not isinstance(awaitable, str):
                await awaitable

    recorder = Recorder()
    async with quick.brody(Wrong("wrong"), recorder) as brody:
        brody.registry.payloads.add(Endless)
        await brody.send(note("wrong"))
        await brody.send(note(text="fine"))
        await brody.drain()
        (letter,) = await brody.dead_letters.list()
    assert (letter.agent, recorder.seen) == ("wrong", ["fine"])


async def test_what_is_remembered_is_the_same_for_everybody(place: Place) -> None:
    """A value has its JSON form at once, for the handler that sets it as for all who read it later."""
    value = {"pair": (1, 2), "nothing": None, "text": "ü"}
    seen: list[Any] = []

    class Keeper(BrodyAgent):
        @handles
        async def on_note(self, message: Note, ctx: Context) -> None:
            if message.text == "set":
                await ctx.remember("value", value)
            seen.append(await ctx.recall("value"))

    async with place.brody(Keeper("keeper")) as brody:
        for text in ("set", "get"):
            await brody.send(note("keeper", text))
            await brody.drain()
        seen.append((await brody.context("me")).values["value"])
    assert seen == [{"pair": [1, 2], "nothing": None, "text": "ü"}] * 3


async def test_a_value_may_live_for_less_than_a_millisecond(place: Place) -> None:
    class Fleeting(BrodyAgent):
        @handles
        async def on_note(self, message: Note, ctx: Context) -> None:
            await ctx.remember("fleeting", 1, ttl=timedelta(microseconds=1))

    async with place.brody(Fleeting("fleeting")) as brody:
        await brody.send(note("fleeting"))
        await brody.drain()
        assert (await brody.context("me")).values == {}
        assert await brody.dead_letters.list() == []
