"""Several workers on one Redis and one PostgreSQL: fair shares, hand-over, and messages from everywhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from redis.asyncio import Redis

from brody_agents import AgentAction, Brody, Context, handles
from brody_agents.communication.bus.base import partition_of
from brody_agents.communication.message_protocol import encode
from brody_agents.coordinator import partitions
from brody_agents.errors import ConfigurationError
from brody_agents.ledger import messages
from brody_agents.ledger import partitions as leases
from brody_agents.settings import Settings
from tests.coordinator.kit import Note, Recorder, Server, note, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
USERS = [f"user-{n}" for n in range(40)]


class Workers:
    """Workers of one home; each is a ``Brody`` of its own."""

    def __init__(self, home: Path, settings: Settings) -> None:
        self.home, self.settings = home, settings
        self.exit = AsyncExitStack()

    async def start(self, recorder: Recorder | None = None, allowed: str = "") -> Brody:
        """Start one more."""
        settings = self.settings.model_copy(update={"partitions": allowed})
        brody = Brody(home=self.home, agents=[recorder or Recorder()], settings=settings)
        await self.exit.enter_async_context(brody)
        await brody.bus()
        return brody


def share(brody: Brody) -> frozenset[int]:
    """Return what a worker works on."""
    assert brody._worker is not None
    return brody._worker.share.partitions


@pytest.fixture(params=["redis", "no redis"])
def settings(request: pytest.FixtureRequest, settings: Settings, redis_server: Path, database_url: str) -> Settings:
    """Return the settings of workers that share a PostgreSQL, with Redis and without any."""
    redis = f"unix://{redis_server}" if request.param == "redis" else "memory:"
    return settings.model_copy(update={"redis_url": redis, "database_url": database_url})


@pytest.fixture
async def workers(home: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Workers]:
    """Return a way to start workers; without Redis nothing wakes them, so they look more often."""
    if settings.redis_url == "memory:":
        monkeypatch.setattr(partitions, "BEAT", 0.1)
    workers = Workers(home, settings)
    async with workers.exit:
        yield workers


async def test_workers_have_even_shares_and_hand_them_over(workers: Workers) -> None:
    """Who comes gets a share, who goes leaves one; no two ever have a partition in common."""
    first = await workers.start()
    assert share(first) == partitions.ALL
    async with Brody(home=workers.home, agents=[Recorder()], settings=workers.settings) as second:
        await second.bus()
        third = await workers.start()
        three = (first, second, third)
        await until(lambda: sorted(len(share(b)) for b in three) == [21, 21, 22], "even shares")
        assert frozenset[int]().union(*map(share, three)) == partitions.ALL
        began = time.monotonic()
    await until(lambda: sorted(len(share(b)) for b in (first, third)) == [32, 32], "the share of the one that went")
    assert share(first) | share(third) == partitions.ALL
    assert time.monotonic() - began < 3


async def test_workers_keep_to_what_they_may_hold(workers: Workers) -> None:
    low = await workers.start(allowed="0-31")
    high = await workers.start(allowed="32-63, 5")
    both = await workers.start()
    await until(lambda: len(share(both)) in (21, 22), "a share for the one that may hold all")
    assert share(low) <= set(range(32))
    assert share(high) <= {5, *range(32, 64)}
    assert not share(low) & share(high)


@pytest.mark.parametrize("text", ["64", "3-", "one", "-1", ",", "9-3"])
async def test_what_names_no_partitions_is_refused(workers: Workers, text: str) -> None:
    with pytest.raises(ConfigurationError, match="names no partitions"):
        await workers.start(allowed=text)


async def test_each_message_is_handled_once_in_order_whoever_sends_it(workers: Workers) -> None:
    """Any process may send; the one that holds the user's partition handles, while workers come and go."""
    recorders = [Recorder() for _ in range(3)]
    brodys = [await workers.start(recorder) for recorder in recorders[:2]]
    for n in range(10):
        await asyncio.gather(*(brodys[n % 2].send(note(user=user, text=f"{n}")) for user in USERS))
        if n == 5:
            brodys.append(await workers.start(recorders[2]))
    for brody in brodys:
        await brody.drain()
    committed = [m for recorder in recorders for m in recorder.messages]
    assert {m.user_id for m in committed} == set(USERS)
    for user in USERS:
        texts = {m.payload.text for m in committed if m.user_id == user and isinstance(m.payload, Note)}
        assert texts == {f"{n}" for n in range(10)}
    assert await brodys[0].dead_letters.list() == []


async def test_an_action_is_carried_out_by_the_holder_of_its_user(workers: Workers) -> None:
    brodys = [await workers.start() for _ in range(2)]
    await until(lambda: [len(share(b)) for b in brodys] == [32, 32], "even shares")
    for n, brody in enumerate(brodys):
        other = next(u for u in USERS if partition_of(u) not in share(brody))
        action = AgentAction(kind="task.create", arguments={"title": f"Water the plants {n}"}, why="They are dry.")
        result = await brody.execute(action, user_id=other)
        assert result.state == "done"


async def test_a_worker_that_lost_a_partition_commits_nothing_for_it(workers: Workers) -> None:
    """It has slept through its lease in the middle of a handler; what comes of it is dropped, and nothing is lost."""
    goes_on, began = asyncio.Event(), asyncio.Event()

    class Slow(Recorder):
        @handles
        async def on_note(self, message: Note, ctx: Context) -> None:
            began.set()
            await goes_on.wait()
            ctx.propose("task.create", {"title": "From who came late"})

    class Quick(Recorder):
        @handles
        async def on_note(self, message: Note, ctx: Context) -> None:
            ctx.propose("task.create", {"title": "From the new holder"})
            self.seen.append(message.text)

    quick = Quick()
    stale = await workers.start(Slow())
    assert stale._worker is not None
    assert stale._worker._keeper is not None
    stale._worker._keeper.stop()  # no heartbeat any more
    await stale.send(note(user="ada"))
    await began.wait()
    async with stale.ledger.beside() as tx:
        await leases.leave(tx, stale._worker.name)
        await leases.acquire(tx, "ghost", partitions.ALL)
    goes_on.set()
    lost: list[object] = []
    stale._worker.share.lost = lost.append
    await until(lambda: lost, "the late outcome")
    assert await stale.actions.list("ada") == []
    async with stale.ledger.beside() as tx:
        await leases.leave(tx, "ghost")
    heir = await workers.start(quick)
    await until(lambda: quick.seen, "the new holder's turn")
    await until(lambda: heir.actions.list("ada"), "the new holder's action")
    assert [a.arguments["title"] for a in await heir.actions.list("ada")] == ["From the new holder"]


@pytest.mark.parametrize("settings", ["redis"], indirect=True)
async def test_what_lies_on_the_stream_of_an_earlier_holder_changes_no_order(home: Path, settings: Settings) -> None:
    """Later messages of a user are on the stream, without the first one: the ledger's order decides."""
    recorder = Recorder()
    async with Brody(home=home, agents=[recorder], settings=settings) as brody:
        sent = [note(text=f"{n}") for n in range(5)]
        await brody.ledger.ensure_users({"me"})
        async with brody.ledger.write() as tx:
            await messages.write(tx, brody.ledger.vault, sent)
        server = Server("redis", Path(settings.redis_url.removeprefix("unix://")), home)
        client: Redis = server.client()
        for message in (*sent[2:], note(text="stranger")):
            await client.xadd(server.stream("me"), {"m": encode(message), "f": 0})
        await brody.bus()
        await brody.drain()
        await until(lambda: len(recorder.seen) == 6, "the stranger's")
        assert recorder.seen == ["0", "1", "2", "3", "4", "stranger"]

        async def is_empty() -> bool:
            return not await client.xlen(server.stream("me"))

        await until(is_empty, "an empty stream")
        await client.aclose()


def test_places_are_taken_one_by_one_and_the_next_process_is_the_same_worker(home: Path) -> None:
    from brody_agents.home import WorkerPlace, prepare_home

    folder = prepare_home(home)
    one, two = WorkerPlace.take(folder), WorkerPlace.take(folder)
    assert one.name != two.name
    assert one.in_hand != two.in_hand
    one.release()
    again = WorkerPlace.take(folder)
    assert (again.name, again.in_hand) == (one.name, one.in_hand)
    again.release()
    two.release()
