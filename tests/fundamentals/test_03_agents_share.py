"""Fundamentals, 3: agents share context, compared and set."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from brody_agents import AgentMessage, Brody, BrodyAgent, Context, handles
from brody_agents.communication.message_protocol import new_context
from brody_agents.communication.payloads import Notification
from brody_agents.settings import Settings


def note(recipient: str, text: str = "", user: str = "me") -> AgentMessage:
    """Return a notification."""
    payload = Notification(text=text)
    return AgentMessage(sender="x", recipient=recipient, payload=payload, context=new_context(user))


class Counter(BrodyAgent):
    """Count in shared context, slowly."""

    @handles
    async def on_note(self, message: Notification, ctx: Context) -> None:
        """Add one."""
        count = await ctx.recall("count", 0)
        await asyncio.sleep(0)
        await ctx.remember("count", count + 1)


@pytest.mark.parametrize("where", ["memory", "home"])
async def test_two_agents_that_write_the_same_value_lose_no_update(settings: Settings, home: Path, where: str) -> None:
    """Whoever loses the race runs again; nothing is overwritten silently."""
    agents = [Counter("one"), Counter("two")]
    async with Brody(home=home if where == "home" else None, agents=agents, settings=settings) as brody:
        for _ in range(20):
            await brody.send(note("one"))
            await brody.send(note("two"))
        await brody.drain()
        dead = len(await brody.dead_letters.list())
        values = (await brody.context("me")).values
    assert values["count"] == 40 - dead  # a handler that lost three times is a dead letter, never a lost update


async def test_values_belong_to_one_user(settings: Settings) -> None:
    """What is remembered for one is not seen for another."""
    async with Brody(agents=[Counter("one")], settings=settings) as brody:
        await brody.send(note("one", user="ada"))
        await brody.send(note("one", user="ada"))
        await brody.send(note("one", user="bob"))
        await brody.drain()
        assert (await brody.context("ada")).values == {"count": 2}
        assert (await brody.context("bob")).values == {"count": 1}


async def test_values_can_end_and_be_forgotten(settings: Settings, home: Path) -> None:
    """A value with a time to live ends; a forgotten one is gone at once."""

    class Short(BrodyAgent):
        @handles
        async def on_note(self, message: Notification, ctx: Context) -> None:
            await ctx.remember("short", 1, ttl=timedelta(milliseconds=1))
            await ctx.remember("long", 2, ttl=timedelta(days=1))
            await ctx.remember("gone", 3)
            await ctx.forget("gone")

    async with Brody(home=home, agents=[Short("short")], settings=settings) as brody:
        await brody.send(note("short"))
        await brody.drain()
        while "short" in (values := (await brody.context("me")).values):
            pass
    assert values == {"long": 2}


async def test_shared_values_survive_a_restart_without_redis(settings: Settings, home: Path) -> None:
    """The ledger has the truth; the live copy is only faster."""
    for expected in (1, 2):
        async with Brody(home=home, agents=[Counter("one")], settings=settings) as brody:
            await brody.send(note("one"))
            await brody.drain()
            assert (await brody.context("me")).values == {"count": expected}


async def test_what_a_handler_read_marks_what_it_puts_out(settings: Settings) -> None:
    """Provenance goes through shared context to the action's arguments."""

    class Reader(BrodyAgent):
        @handles
        async def on_note(self, message: Notification, ctx: Context) -> None:
            if message.text == "keep":
                await ctx.remember("words", "of others")
            else:
                ctx.propose("task.create", {"title": str(await ctx.recall("words"))})

    async with Brody(agents=[Reader("reader")], settings=settings) as brody:
        for text in ("keep", "use"):
            await brody.send(note("reader", text))
        await brody.drain()
        (action,) = await brody.actions.list()
    assert action.provenance[""]["origin"] == "untrusted"
