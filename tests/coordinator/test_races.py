"""Shared values under many writers: no update is lost, and every lane keeps its order."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brody_agents import Brody, BrodyAgent, Context, handles
from brody_agents.communication.context_sharing import SharedValues
from brody_agents.outcome import ContextUpdate, Outcome
from brody_agents.settings import Settings
from tests.coordinator.kit import Note, Place, note

pytestmark = pytest.mark.timeout(60)


class Adder(BrodyAgent):
    """Add to the values that a message names, and write down in each who added, in order."""

    def __init__(self, name: str, seed: int) -> None:
        super().__init__(name)
        self._random = random.Random(seed)

    @handles
    async def on_note(self, message: Note, ctx: Context) -> None:
        """Read, dawdle, write."""
        for key in message.text.split():
            total, log = await ctx.recall(key, [0, []])
            for _ in range(self._random.randrange(4)):
                await asyncio.sleep(0)
            await ctx.remember(key, [total + message.n, [*log, [self.name, ctx.message.id]]])


class BatchAdder(BrodyAgent):
    """Add in batches; a poison among them makes the batch fall apart."""

    @handles
    async def on_note(self, messages: list[Note], ctx: Context) -> None:
        """Add what all of them say."""
        for message, envelope in zip(messages, ctx.messages, strict=True):
            if message.n < 0:
                raise ValueError("poison")
            for key in message.text.split():
                total, log = await ctx.recall(key, [0, []])
                await asyncio.sleep(0)
                await ctx.remember(key, [total + message.n, [*log, [self.name, envelope.id]]])


Step = tuple[str, list[str], int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ann", "ben", "batch"]),
        st.lists(st.sampled_from("abc"), min_size=1, max_size=2, unique=True),
        st.integers(-1, 9),
    ),
    min_size=2,
    max_size=24,
)


async def total(steps: list[Step], seed: int, brody: Brody) -> None:
    """Send the steps and compare the values with what was handled."""
    sent = [note(agent, " ".join(keys), n=n if agent == "batch" else abs(n)) for agent, keys, n in steps]
    await brody.context("me")  # the user is known: what is sent at the same time is taken in in its order
    await asyncio.gather(*(brody.send(message) for message in sent))
    await brody.drain()
    values: dict[str, Any] = (await brody.context("me")).values
    dead = {letter.message_id for letter in await brody.dead_letters.list()}
    expected: Counter[str] = Counter()
    entries: Counter[str] = Counter()
    for message, (_, keys, n) in zip(sent, steps, strict=True):
        if message.id not in dead:
            expected.update(dict.fromkeys(keys, abs(n)))
            entries.update(dict.fromkeys(keys, 1))
    assert {key: value[0] for key, value in values.items()} == {k: expected[k] for k in entries}
    assert {key: len(value[1]) for key, value in values.items()} == dict(entries)
    order = {message.id: number for number, message in enumerate(sent)}
    for _, log in values.values():
        for agent in ("ann", "ben", "batch"):
            numbers = [order[message_id] for name, message_id in log if name == agent]
            assert numbers == sorted(numbers), f"{agent} was overtaken by itself"


def staff(seed: int) -> list[BrodyAgent]:
    """Return the agents that add."""
    return [Adder("ann", seed), Adder("ben", seed + 1), BatchAdder("batch")]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, seed=st.integers(0, 1000))
def test_no_update_is_lost_whatever_the_order_of_things(steps: list[Step], seed: int) -> None:
    """Sums are those of the messages that were handled, each once, and each agent's in their order."""

    async def run() -> None:
        async with Brody(agents=staff(seed), settings=Settings(cpu_workers=0, timezone="UTC")) as brody:
            await total(steps, seed, brody)

    asyncio.run(run())


async def test_many_messages_of_several_agents_lose_no_update(place: Place) -> None:
    """The same on every bus, with more of everything."""
    chance = random.Random(7)
    steps: list[Step] = [
        (chance.choice(["ann", "ben", "batch"]), chance.sample("abcdefgh", 2), chance.randrange(-1, 9))
        for _ in range(120)
    ]
    async with place.brody(*staff(7)) as brody:
        await total(steps, 7, brody)


async def test_who_lost_a_race_three_times_is_a_dead_letter_and_nothing_that_was_built_on_it_stands(
    quick: Place,
) -> None:
    """A value that was never committed is seen by nobody, not even by the next message of the same lane."""
    seen: list[Any] = []

    class Loser(BrodyAgent):
        @handles
        async def on_note(self, message: Note, ctx: Context) -> None:
            if message.text == "lose":
                await ctx.recall("contested")
                await rival(ctx)
                await ctx.remember("contested", "mine")
                await ctx.remember("other", "mine")
            else:
                seen.append([await ctx.recall("contested"), await ctx.recall("other")])

    async def rival(ctx: Context) -> None:
        """Change the value while the other still works, as another agent would."""
        async with brody.ledger.write() as tx:
            shared = SharedValues(brody.ledger, brody._worker.bus)  # type: ignore[union-attr]
            version = (await tx.exec_driver_sql("SELECT max(version) FROM context WHERE key = 'contested'")).scalar()
            update = ContextUpdate("contested", "theirs", version or 0, None, ctx.message.label())
            assert await shared.settle(tx, [("me", "rival", Outcome(updates={"contested": update}))]) == [True]

    async with quick.brody(Loser("loser")) as brody:
        for text in ("lose", "look", "look"):
            await brody.send(note("loser", text))
        await brody.drain()
        (letter,) = await brody.dead_letters.list()
        values = (await brody.context("me")).values
    assert letter.code == "context_conflict"
    assert values == {"contested": "theirs"}
    assert seen[-2:] == [["theirs", None], ["theirs", None]]
