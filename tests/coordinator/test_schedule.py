"""Messages in their time: deadlines, pauses that outlive a process, limits of handlers, and refusals at the edge."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from tenacity import wait_fixed

from brody_agents import Brody, BrodyAgent, Context, handles
from brody_agents.agent import Retry
from brody_agents.communication.message_protocol import Priority, encode
from brody_agents.coordinator import lanes
from brody_agents.coordinator.in_hand import InHand
from brody_agents.errors import Overloaded, ProviderUnavailable
from brody_agents.ledger import messages
from brody_agents.ledger.ledger import Ledger
from tests.coordinator.kit import Note, Place, Recorder, note, until

pytestmark = pytest.mark.timeout(60)


def soon(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def written(place: Place, *waiting: Any) -> None:
    """Put messages in the backlog of a home on which nobody works."""
    async with place.brody():
        pass
    ledger = await Ledger.open(place.home)
    await ledger.ensure_users({m.user_id for m in waiting})
    async with ledger.write() as tx:
        await messages.write(tx, ledger.vault, waiting)
    await ledger.close()


async def codes(brody: Brody) -> list[str]:
    return sorted(letter.code for letter in await brody.dead_letters.list())


async def test_inside_a_priority_the_earliest_deadline_is_first_and_none_is_last(quick: Place) -> None:
    late, early = soon(7200), soon(3600)
    waiting = [note(text="none"), note(text="late", deadline=late), note(text="early", deadline=early)]
    await written(quick, note(text="low", priority=Priority.LOW, deadline=early), *waiting)
    recorder = Recorder()
    async with quick.brody(recorder) as brody:
        await brody.drain()
    assert recorder.seen == ["early", "late", "none", "low"]


async def test_what_expires_while_it_waits_is_recorded_and_not_run(quick: Place) -> None:
    """Even where it would be due only later."""
    await written(quick, note(text="too late", deadline=soon(-1), not_before=soon(3600)), note(text="on"))
    recorder = Recorder()
    async with quick.brody(recorder) as brody:
        await brody.drain()
        await until(lambda: codes(brody), "the dead letter")
        assert await codes(brody) == ["expired"]
    assert recorder.seen == ["on"]


async def test_a_delay_outlives_a_restart_and_ends_on_time(quick: Place) -> None:
    recorder = Recorder()
    due = time.monotonic() + 1.0
    async with quick.brody(recorder) as brody:
        await brody.send(note(text="later", not_before=soon(1.0)))
        await brody.drain()
    assert recorder.seen == []
    async with quick.brody(recorder) as brody:
        await brody.drain()
        await until(lambda: recorder.seen, "the delayed message")
    assert due - 0.1 <= time.monotonic() <= due + 0.45 + 1.0


class Flaky(BrodyAgent):
    """Fail until ``well``."""

    def __init__(self) -> None:
        super().__init__("recorder")
        self.tries, self.well = 0, False

    @handles(retry=Retry(tries=3, wait=wait_fixed(3600)))
    async def on_note(self, message: Note, ctx: Context) -> None:
        """Count the tries."""
        self.tries += 1
        if not self.well:
            raise ProviderUnavailable("It is away.")


async def hour_passes(brody: Brody) -> None:
    async with brody.ledger.write() as tx:
        await tx.execute(text("UPDATE messages SET not_before = '2020-01-01 00:00:00.000000'"))


async def test_a_long_pause_is_held_in_the_ledger_and_tries_are_counted_over_restarts(quick: Place) -> None:
    flaky = Flaky()
    for n in (1, 2):
        async with quick.brody(flaky) as brody:
            if n == 1:
                await brody.send(note())
            await brody.drain()
            assert (flaky.tries, await codes(brody)) == (n, [])
            await hour_passes(brody)
    async with quick.brody(flaky) as brody:
        await brody.drain()
        assert (flaky.tries, await codes(brody)) == (3, ["provider_unavailable"])


async def test_a_message_that_is_well_again_is_handled_once(quick: Place) -> None:
    flaky = Flaky()
    async with quick.brody(flaky) as brody:
        await brody.send(note())
        await brody.drain()
        flaky.well = True
        await hour_passes(brody)
        await brody.drain()
        assert (flaky.tries, await codes(brody)) == (2, [])


class Bad(Recorder):
    """Do what the text says."""

    @handles(timeout=0.05)
    async def on_note(self, message: Note, ctx: Context) -> None:
        """Misbehave."""
        if message.text == "hang":
            await asyncio.Event().wait()
        elif message.text == "refuse":
            while not self.seen:
                try:
                    await asyncio.sleep(0.02)
                except asyncio.CancelledError:
                    continue
        elif message.text == "flood":
            for n in range(2_000):
                try:
                    ctx.tell("nobody", Note(n=n))
                except Exception:
                    continue
        elif message.text == "unknown":
            ctx.propose("mail.explode", {})
        elif message.text == "arguments":
            ctx.propose("notify", {"no": "text"})
        elif message.text == "answer":
            return 7  # type: ignore[return-value]
        else:
            self.seen.append(message.text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("hang", "handler_timeout"),
        ("refuse", "handler_timeout"),
        ("flood", "too_many_outputs"),
        ("unknown", "unknown_action"),
        ("arguments", "invalid_arguments"),
        ("answer", "handler_failed"),
    ],
)
async def test_a_bad_handler_harms_its_own_message_only(
    quick: Place, text: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lane goes on, even without a handler that refuses to be cancelled."""
    monkeypatch.setattr(lanes, "GRACE", 0.05)
    bad = Bad()
    async with quick.brody(bad) as brody:
        await brody.send(note(text=text))
        await brody.send(note(text="well"))
        await brody.drain()
        assert await codes(brody) == [code]
    assert bad.seen == ["well"]


async def test_a_context_that_cannot_be_made_is_a_dead_letter_and_the_lane_goes_on(
    quick: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from brody_agents.worker import Worker

    make, calls = Worker._context, []

    def broken(worker: Worker, *arguments: Any) -> Context:
        calls.append(1)
        if len(calls) == 1:
            raise OSError("no views")
        return make(worker, *arguments)

    monkeypatch.setattr(Worker, "_context", broken)
    recorder = Recorder()
    async with quick.brody(recorder) as brody:
        await brody.send(note(text="first"))
        await brody.send(note(text="second"))
        await brody.drain()
        assert await codes(brody) == ["handler_failed"]
    assert recorder.seen == ["second"]


async def test_a_full_backlog_refuses_what_comes_from_outside_and_drops_nothing(quick: Place) -> None:
    goes_on = asyncio.Event()

    class Slow(Recorder):
        @handles
        async def on_note(self, message: Note, ctx: Context) -> None:
            await goes_on.wait()
            self.seen.append(message.text)
            if message.text == "1":
                for n in range(30):  # a turn's own outputs are never refused
                    ctx.tell("recorder", Note(text=f"own {n}"))

    slow = Slow()
    quick.settings.backlog_limit = 20
    async with quick.brody(slow) as brody:
        answers = await asyncio.gather(*(brody.send(note(text=str(n))) for n in range(30)), return_exceptions=True)
        refused = [a for a in answers if isinstance(a, Overloaded)]
        assert len(refused) == 10
        assert all(1 <= (a.retry_after or 0) <= 60 for a in refused)
        goes_on.set()
        await brody.drain()
        await brody.send(note(text="room again"))
        await brody.drain()
    assert len(slow.seen) == 20 + 30 + 1


async def test_what_was_in_hand_at_three_deaths_is_a_dead_letter_that_can_be_replayed(quick: Place) -> None:
    """As killed processes leave it: the message is in the file of what was in hand, and open."""
    poison, recorder = note(text="poison"), Recorder()
    await written(quick, poison, note(text="well"))
    ledger = await Ledger.open(quick.home)
    async with ledger.write() as tx:
        for _ in range(2):
            await messages.count_deaths(tx, [poison.id], 3)
    await ledger.close()
    assert quick.home is not None
    killed = InHand(quick.home / "in-hand")
    killed.begin("recorder", [poison.id])
    killed.close()
    async with quick.brody(recorder) as brody:
        await brody.drain()
        (letter,) = await brody.dead_letters.list()
        assert (letter.code, letter.agent, letter.body) == ("poison", "recorder", encode(poison))
        assert recorder.seen == ["well"]
        await brody.replay(letter.id)
        await brody.drain()
    assert recorder.seen == ["well", "poison"]


async def test_one_users_flood_costs_another_user_no_more_than_a_turn(quick: Place) -> None:
    """50,000 messages wait for one user; another's message is in the first turn after it was sent."""
    async with quick.brody():
        pass
    ledger = await Ledger.open(quick.home)
    await ledger.ensure_users({"flood"})
    flood = [note(text="flood", user="flood") for _ in range(50_000)]
    for start in range(0, len(flood), 5_000):
        async with ledger.write() as tx:
            await messages.write(tx, ledger.vault, flood[start : start + 5_000])
    await ledger.close()
    begun: list[str] = []
    seen = asyncio.Event()

    class Batches(Recorder):
        @handles
        async def on_note(self, notes: list[Note], ctx: Context) -> None:  # type: ignore[override]
            begun.append(ctx.user_id)
            if ctx.user_id == "ada":
                seen.set()

    async with quick.brody(Batches()) as brody:
        await brody.bus()
        await until(lambda: "flood" in begun, "the flood")
        before = len(begun)
        await brody.send(note(user="ada"))
        after = len(begun)
        await seen.wait()
        turns_of_the_flood = begun[after : begun.index("ada")]
    assert len(turns_of_the_flood) <= 1, (before, after, begun)
