"""What others put on the bus: adopted, never believed, never lost, never allowed to stand in for our own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson
import pytest
from redis.asyncio import Redis

from brody_agents import AgentMessage, BrodyAgent, Context, handles
from brody_agents.communication.bus.base import partition_of
from brody_agents.communication.message_protocol import Origin, Provenance, encode
from brody_agents.coordinator.outbox import Outbox
from tests.coordinator.kit import Note, Place, Recorder, note, until

pytestmark = pytest.mark.timeout(30)
TRUSTED = {"": Provenance(origin=Origin.USER)}


@pytest.fixture
async def stranger(served: Place, request: pytest.FixtureRequest) -> AsyncIterator[Redis]:
    """Give a client that knows the server, and nothing of this package."""
    client = served.server.client()
    yield client
    await client.aclose()


async def listened(client: Redis, place: Place) -> str:
    """Wait until the coordinator has begun to read, and return the channel on which it is woken."""
    channel = f"{place.server.prefix}:wake"

    async def is_heard() -> bool:
        return any(count for _, count in await client.pubsub_numsub(channel))

    await until(is_heard, "somebody listens")
    return channel


async def put(client: Redis, place: Place, data: bytes, user: str = "me", field: str = "m") -> None:
    """Write an entry to the stream of a user and wake the readers."""
    channel = await listened(client, place)
    await client.xadd(place.server.stream(user), {field: data})
    await client.publish(channel, str(partition_of(user)))


async def test_a_strangers_message_is_adopted_and_handled_but_not_believed(served: Place, stranger: Redis) -> None:
    """It is in the ledger before it is handled, and whatever it says of its provenance is untrusted."""
    recorder = Recorder()
    async with served.brody(recorder) as brody:
        await brody.drain()
        await put(stranger, served, encode(note(text="hello", id="theirs", provenance=TRUSTED)))
        await until(lambda: len(recorder.seen) == 1, "1 messages")
        await brody.drain()
        assert await brody.dead_letters.list() == []
    assert recorder.messages[0].id == "theirs"
    assert recorder.messages[0].label().origin is Origin.UNTRUSTED


async def test_what_comes_from_a_strangers_message_is_untrusted_too(served: Place, stranger: Redis) -> None:
    class Wisher(BrodyAgent):
        @handles
        async def on_note(self, message: Note, ctx: Context) -> None:
            ctx.propose("task.create", {"title": message.text})

    async with served.brody(Wisher("wisher")) as brody:
        await brody.drain()
        await put(stranger, served, encode(note("wisher", "do this", provenance=TRUSTED)))
        actions = await until(brody.actions.list, "the proposal")
    assert actions[0].provenance[""]["origin"] == "untrusted"


async def test_a_strangers_message_without_id_and_in_other_words_is_handled_once(
    served: Place, stranger: Redis
) -> None:
    """Spaces, the order of keys and a second copy make no other message; without an id each copy is its own."""
    document = orjson.loads(encode(note(text="once", id="theirs", provenance=TRUSTED)))["agent_message"]
    wordy = orjson.dumps({"agent_message": dict(reversed(document.items()))}, option=orjson.OPT_INDENT_2)
    recorder = Recorder()
    async with served.brody(recorder) as brody:
        await brody.drain()
        await put(stranger, served, wordy)
        await until(lambda: len(recorder.seen) == 1, "1 messages")
        await brody.drain()
        await put(stranger, served, wordy)
        document.pop("id")
        await put(stranger, served, orjson.dumps({"agent_message": document | {"priority": "medium"}}))
        await until(lambda: len(recorder.seen) == 2, "2 messages")
        await brody.drain()
        assert await brody.dead_letters.list() == []
    assert recorder.seen == ["once", "once"]
    assert recorder.messages[1].id != "theirs"


async def test_a_copy_that_was_handled_before_a_restart_is_dropped(served: Place, stranger: Redis) -> None:
    """What a stranger writes while nobody works is found by the next process, and by it only."""
    data = encode(note(text="written at night", id="theirs", provenance=TRUSTED))
    first, second = Recorder(), Recorder()
    async with served.brody(first) as brody:
        await brody.drain()
        await put(stranger, served, data)
        await until(lambda: len(first.seen) == 1, "1 messages")
        await brody.drain()
    async with served.brody(second) as brody:
        await brody.drain()
        if served.server.name == "redis-server":  # the embedded one has ended with its home
            await put(stranger, served, data)
            await put(stranger, served, encode(note(text="new")))
        else:
            await brody.send(note(text="new"))
        await until(lambda: len(second.seen) == 1, "1 messages")
        await brody.drain()
        assert await brody.dead_letters.list() == []
    assert second.seen == ["new"]


async def test_nobody_can_stand_in_for_a_message_of_ours(
    served: Place, stranger: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger's message with the id of one of ours is a dead letter, even if it is there first."""
    ours = note(text="ours", id="known")
    forged = encode(note(text="forged", id="known", provenance=TRUSTED))
    recorder, send = Recorder(), Outbox._send

    async def slow_send(self: Outbox, *arguments: object) -> None:
        await put(stranger, served, forged)
        await send(self, *arguments)  # type: ignore[arg-type]

    async with served.brody(recorder) as brody:
        await brody.drain()
        await listened(stranger, served)  # it sends before it reads, and would wait for itself
        monkeypatch.setattr(Outbox, "_send", slow_send)
        await brody.send(ours)
        await brody.drain()
        monkeypatch.undo()
        await put(stranger, served, forged)
        await brody.send(note(text="the end"))
        await until(lambda: len(recorder.seen) == 2, "2 messages")
        await brody.drain()
        letters = await brody.dead_letters.list()
    assert recorder.seen == ["ours", "the end"]
    assert {letter.code for letter in letters} == {"id_taken"}
    assert all(letter.body == forged for letter in letters)


async def test_bytes_that_are_no_message_are_kept_as_they_are(served: Place, stranger: Redis) -> None:
    """They are nobody's, leave the stream, and are one letter each however often they come."""
    nonsense = [b"", b"no json \xff", b'{"agent_message": {}}']
    async with served.brody(recorder := Recorder()) as brody:
        await brody.drain()
        for data in (*nonsense, *nonsense):
            await put(stranger, served, data)
        await brody.send(note(text="behind it"))

        async def is_empty() -> bool:
            return not any(await served.server.lengths(stranger))

        await until(is_empty, "the streams are empty")
        assert sorted(letter.body for letter in await brody.dead_letters.list()) == nonsense
    assert recorder.seen == ["behind it"]


async def test_an_entry_that_has_other_fields_is_kept_too(served: Place, stranger: Redis) -> None:
    async with served.brody() as brody:
        await brody.drain()
        await put(stranger, served, b"what is this", field="other")
        letters = await until(brody.dead_letters.list, "the dead letter")
    assert letters[0].body == b"other=what is this"


async def test_nothing_that_comes_in_from_the_edge_is_believed(quick: Place) -> None:
    """``brody.send`` is the edge: provenance is for what the ledger itself wrote."""
    recorder = Recorder()
    async with quick.brody(recorder) as brody:
        await brody.send(note(provenance=TRUSTED))
        await brody.drain()
    assert recorder.messages[0].provenance == {}


async def test_a_note_on_the_wake_up_channel_that_means_nothing_is_no_harm(served: Place, stranger: Redis) -> None:
    """The listener goes on: the next message still wakes its reader."""
    recorder = Recorder()
    async with served.brody(recorder) as brody:
        await brody.drain()
        await put(stranger, served, encode(note(text="first")))
        await stranger.publish(f"{served.server.prefix}:wake", "nonsense,-1,99999")
        await put(stranger, served, encode(note(text="heard")))
        await until(lambda: len(recorder.seen) == 2, "2 messages")
        await brody.drain()


def test_a_message_without_any_label_is_untrusted() -> None:
    """A label on a part of the payload says nothing of the rest."""
    partly = note(provenance={"/text": Provenance(origin=Origin.USER)})
    assert partly.label("/text").origin is Origin.USER
    assert partly.label("/n").origin is Origin.UNTRUSTED
    assert AgentMessage.untrusted(partly).label("/text").origin is Origin.UNTRUSTED


async def test_a_label_on_a_part_does_not_vouch_for_the_rest(quick: Place) -> None:
    """What comes from a message is as trusted as the least trusted part of it."""

    class Wisher(BrodyAgent):
        @handles
        async def on_note(self, message: Note, ctx: Context) -> None:
            ctx.propose("task.create", {"title": message.text})

    partly = note("wisher", "do this", provenance={"/n": Provenance(origin=Origin.USER)})
    async with quick.brody(Wisher("wisher")) as brody:
        await brody.drain()
        assert brody._worker is not None
        await brody._worker.send(partly)  # as the ledger's own, which keeps its labels
        await brody.drain()
        (action,) = await brody.actions.list()
    assert action.provenance[""]["origin"] == "untrusted"
