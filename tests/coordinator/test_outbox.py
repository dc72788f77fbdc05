"""The outbox: a flood loses nothing and delays nobody, and what the bus loses comes again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from brody_agents import BrodyAgent, Context, handles
from brody_agents.communication.bus.memory import MemoryBus
from brody_agents.communication.message_protocol import PayloadRegistry, decode, encode
from brody_agents.coordinator import outbox
from brody_agents.ledger import messages
from brody_agents.ledger.ledger import Ledger
from tests.coordinator.kit import Note, Place, Recorder, note, until

pytestmark = pytest.mark.timeout(60)
FLOOD = 5_000


class Sink(Recorder):
    """Take batches."""

    @handles
    async def on_note(self, messages: list[Note], ctx: Context) -> None:  # type: ignore[override]
        """Write the texts down."""
        self.seen += [m.text for m in messages]


async def test_a_flood_loses_nothing_and_leaves_the_streams_short(served: Place) -> None:
    """5,000 messages of one user wait in the ledger; at most 1,024 are on the bus at any time, in their order."""
    sink = Sink("recorder")
    longest = 0
    async with served.brody(sink) as brody:
        client = served.server.client()
        await brody.drain()
        sending = asyncio.gather(*(brody.send(note(text=str(n))) for n in range(FLOOD)))
        while not sending.done():
            longest = max(longest, sum(await served.server.lengths(client)))
        await sending
        await brody.drain()
        assert await brody.dead_letters.list() == []
        await client.aclose()
    assert sink.seen == [str(n) for n in range(FLOOD)]
    assert 0 < longest <= 1_024


async def test_a_flood_of_one_user_is_no_delay_for_another(quick: Place) -> None:
    """While one user's thousands wait, another's message goes through."""
    flood_goes_on, handled = asyncio.Event(), 0

    class Slow(Recorder):
        @handles
        async def on_note(self, messages: list[Note], ctx: Context) -> None:  # type: ignore[override]
            nonlocal handled
            if ctx.user_id == "flood":
                await flood_goes_on.wait()
                handled += len(messages)
            else:
                self.seen += [m.text for m in messages]

    slow = Slow("recorder")
    async with quick.brody(slow) as brody:
        await asyncio.gather(*(brody.send(note(user="flood")) for _ in range(2_000)))
        for n in range(3):
            await brody.send(note(text=f"through {n}", user="ada"))
        await until(lambda: len(slow.seen) == 3, "the other user's messages")
        assert handled == 0
        flood_goes_on.set()
        await brody.drain()
    assert slow.seen == ["through 0", "through 1", "through 2"]
    assert handled == 2_000


async def test_urgent_messages_overtake_what_waits_in_the_ledger(quick: Place) -> None:
    """The backlog goes by priority, then by age."""
    recorder = Recorder()
    async with quick.brody() as brody:  # nobody is there yet
        pass
    assert quick.home is not None
    ledger = await Ledger.open(quick.home)
    await ledger.ensure_users({"me"})
    async with ledger.write() as tx:
        priorities = ("low", "normal", "high", "urgent", "normal")
        waiting = [note(text=f"{p} {n}", priority=p) for n, p in enumerate(priorities)]
        await messages.write(tx, ledger.vault, waiting)
    await ledger.close()
    async with quick.brody(recorder) as brody:
        await brody.drain()
    assert recorder.seen == ["urgent 3", "high 2", "normal 1", "normal 4", "low 0"]


class Slow(MemoryBus):
    """Begin to carry only when ``open`` is set; what is published after that, at once."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.waiting = asyncio.Event(), asyncio.Event()

    async def publish(self, entries: Sequence[tuple[int, bytes]]) -> None:
        """Be overtaken by whoever publishes while the first one waits."""
        if not self.waiting.is_set():
            self.waiting.set()
            await self.open.wait()
        await super().publish(entries)


async def test_what_is_published_later_does_not_overtake() -> None:
    """One is filling the bus from the backlog when another has written something and publishes it."""
    ledger, bus = await Ledger.open(None), Slow()
    await ledger.ensure_users({"me"})
    sent = outbox.Outbox(ledger, bus)
    first, later = ([note(text=f"{name} {n}") for n in range(10)] for name in ("first", "later"))
    async with ledger.write() as tx:
        await messages.write(tx, ledger.vault, first)
    filling = asyncio.create_task(sent.fill(sweep=True))
    await bus.waiting.wait()
    async with ledger.write() as tx:
        written = await messages.write(tx, ledger.vault, later)
    publishing = asyncio.create_task(sent.publish(written))
    await asyncio.sleep(0)
    bus.open.set()
    await asyncio.gather(filling, publishing)
    on_the_bus = [decode(entry.data, PayloadRegistry([Note])).id for entry in await bus.read()]
    assert on_the_bus == [m.id for m in (*first, *later)]
    await ledger.close()


async def test_what_the_server_loses_comes_again(served: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """After FLUSHALL everything that was not handled is published again, and nothing is handled twice."""
    monkeypatch.setattr(outbox, "LOST_AFTER", 0.3)
    monkeypatch.setattr(outbox, "SWEEP", 0.1)
    sink = Sink("recorder")
    async with served.brody(sink) as brody:
        client = served.server.client()
        await brody.drain()
        publish = brody_bus(brody).publish

        async def lossy(entries: Any) -> None:
            await publish(entries)
            await client.flushall()

        monkeypatch.setattr(brody_bus(brody), "publish", lossy)
        await asyncio.gather(*(brody.send(note(text=str(n))) for n in range(500)))
        await asyncio.sleep(0)
        monkeypatch.setattr(brody_bus(brody), "publish", publish)
        await client.flushall()
        async with asyncio.timeout(20):
            await brody.drain()
        assert await brody.dead_letters.list() == []
        await client.aclose()
    assert sorted(sink.seen, key=int) == [str(n) for n in range(500)]


def brody_bus(brody: Any) -> Any:
    """Return the bus of a ``Brody`` that works."""
    return brody._worker.bus


async def test_a_second_copy_on_the_bus_is_dropped(place: Place) -> None:
    """A message that is published twice, while it is handled and after it, is handled once."""
    may_end = asyncio.Event()
    calls = 0

    class Once(BrodyAgent):
        @handles
        async def on_note(self, message: Note, ctx: Context) -> None:
            nonlocal calls
            calls += 1
            await may_end.wait()

    message = note("once")
    copy = [(2, encode(message))]
    async with place.brody(Once("once")) as brody:
        await brody.send(message)
        await until(lambda: calls, "the first call")
        await brody_bus(brody).publish(copy)
        await brody_bus(brody).publish(copy)
        may_end.set()
        await brody.drain()
        await brody_bus(brody).publish(copy)
        await brody.send(note("once", "the end"))
        await brody.drain()
        assert await brody.dead_letters.list() == []
    assert calls == 2


async def test_what_one_agent_has_done_is_not_asked_of_it_again(quick: Place) -> None:
    """A broadcast that failed for one agent is replayed for that agent only."""
    good, bad = Recorder("good"), Recorder("bad")
    bad_is_broken = True

    class Bad(Recorder):
        @handles
        async def on_note(self, message: Note, ctx: Context) -> None:
            if bad_is_broken:
                raise ValueError("broken")
            await super().on_note(message, ctx)

    bad = Bad("bad")
    async with quick.brody(good, bad) as brody:
        await brody.send(note("*", "to all"))
        await brody.drain()
        (letter,) = await brody.dead_letters.list()
        bad_is_broken = False
        await brody.replay(letter.id)
        await brody.drain()
        assert await brody.dead_letters.list() == []
    assert (good.seen, bad.seen) == (["to all"], ["to all"])


async def test_two_messages_with_one_id_are_not_taken_for_one(quick: Place) -> None:
    """The first keeps the id; the other goes to the dead letters and can be replayed under an id of its own."""
    recorder = Recorder()
    async with quick.brody(recorder) as brody:
        await brody.send(note(text="first", id="same"))
        await brody.send(note(text="second", id="same"))
        await brody.drain()
        await brody.send(note(text="third", id="same"))
        await brody.drain()
        letters = await brody.dead_letters.list()
        assert recorder.seen == ["first"]
        assert [letter.code for letter in letters] == ["id_taken"] * 2
        for letter in letters:
            await brody.replay(letter.id)
            await brody.replay(letter.id)
        await brody.drain()
        assert await brody.dead_letters.list() == []
    assert sorted(recorder.seen) == ["first", "second", "third"]


LARGEST = (1 << 20) - 600
"""A text with which a message has nearly as many bytes as any may have: more than some brokers carry."""


async def test_a_message_that_is_too_large_for_the_broker_is_a_dead_letter_and_the_road_goes_on(
    brokered: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """The others go over the broker, before it and after it; its letter says how much is too much."""
    recorder, carries = Recorder(), brokered.server.name == "rabbitmq"
    async with brokered.brody(recorder) as brody:
        await brody.send(note(text="y" * (LARGEST - 1000)))
        await brody.drain()
        large = note(text="x" * LARGEST)
        await asyncio.gather(*(brody.send(m) for m in (note(text="beside"), large, note(text="after"))))
        await brody.drain()
        letters = await brody.dead_letters.list()
        assert [(x.code, x.message_id, x.agent) for x in letters] == (
            [] if carries else [("too_large", large.id, "recorder")]
        )
        assert all("bytes, and" in x.reason for x in letters)
        assert "failed" not in await brody.bus()
    assert [text[:6] for text in recorder.seen] == ["yyyyyy", "beside", *(["xxxxxx"] if carries else []), "after"]
    assert "bus lost" not in caplog.text


async def test_an_agent_that_puts_out_too_much_for_the_broker_ends_no_road(brokered: Place) -> None:
    """What it puts out is committed first, as ever; the one message alone is dead."""

    class Talker(BrodyAgent):
        @handles
        async def on_note(self, message: Note, ctx: Context) -> None:
            """Tell the recorder, at length."""
            for size in (1, LARGEST, 2):
                ctx.tell("recorder", Note(text="x" * size))

    recorder, carries = Recorder(), brokered.server.name == "rabbitmq"
    async with brokered.brody(Talker("talker"), recorder) as brody:
        await brody.send(note("talker"))
        await brody.drain()
        codes = [letter.code for letter in await brody.dead_letters.list()]
        assert "failed" not in await brody.bus()
    assert codes == ([] if carries else ["too_large"])
    assert [len(text) for text in recorder.seen] == [1, *([LARGEST] if carries else []), 2]
