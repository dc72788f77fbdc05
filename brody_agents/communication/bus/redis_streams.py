"""A bus on Redis or Valkey: one short stream a partition, a consumer group, pipelines of up to 256 commands.

No command names keys of two partitions, so that it runs on a cluster: a key carries its partition as hash tag.
Idle readers wait on one channel; a poll of all partitions stands behind it.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.connection import HiredisRespSerializer
from redis.exceptions import RedisError, ResponseError

from brody_agents.communication.bus.base import BATCH, PARTITIONS, Entry, Heard, partition_of
from brody_agents.errors import BusUnavailable, ConfigurationError

if TYPE_CHECKING:
    from redis.asyncio import RedisCluster

    Client = Redis | RedisCluster
    """A client of one server or of a cluster."""

GROUP = "brody"
POLL = 1.0
"""Seconds after which all partitions are looked at, for what no wake-up told of."""
_CLUSTER = "redis+cluster"
_FIELD, _FENCE = b"m", b"f"
_APPEND = """
for n = 2, #ARGV do
  if ARGV[1] == '' then redis.call('XADD', KEYS[1], '*', 'm', ARGV[n])
  else redis.call('XADD', KEYS[1], '*', 'm', ARGV[n], 'f', ARGV[1]) end
end
"""
"""Appends all entries of a partition by one command: 256 of them cost the client three times as much."""
_FORGET = "redis.call('XACK', KEYS[1], ARGV[1], unpack(ARGV, 2)) redis.call('XDEL', KEYS[1], unpack(ARGV, 2))"
"""Acknowledges and removes entries of a partition by one command that names each of them once."""
_ANNOUNCES = "!"
"""What an announcement on the wake-up channel begins with; without it, the streams have something new."""


def client_of(url: str) -> Client:
    """Return a client of a server or, with ``redis+cluster:``, of a cluster; raise ``ConfigurationError`` for no URL.

    It tries a lost connection again for half a second: the ledger has everything, so waiting gains little.
    """
    kind: Any = Redis
    if url.startswith(_CLUSTER):
        from redis.asyncio import RedisCluster

        kind = RedisCluster
    try:
        retry = Retry(ExponentialBackoff(cap=0.3, base=0.05), 3)
        client: Client = kind.from_url(url.replace(_CLUSTER, "redis", 1), retry=retry)
        return client
    except ValueError as error:
        raise ConfigurationError(
            f"BRODY_REDIS_URL is no URL of a server: {error}.",
            "Write redis://HOST:PORT/DB, rediss://…, redis+cluster://HOST:PORT or unix:///PATH, or memory: for none.",
        ) from error


class RedisStreamsBus:
    """Be the bus of one worker; ``prefix`` keeps several homes apart on one server."""

    def __init__(self, client: Client, *, prefix: str = "brody", consumer: str = "worker", where: str = "") -> None:
        self._client = self.client = _packing_in_c(client)
        self._prefix = self.prefix = prefix
        self._consumer = consumer
        self._where = where
        self._ready = False
        self._preparing = asyncio.Lock()
        self._polled = 0.0
        self._groups: dict[int, str] = dict.fromkeys(range(PARTITIONS), GROUP)
        """The partitions that are read, and the consumer group of each: one a fencing number among many workers."""
        self._fences: Mapping[int, int] = {}
        self._due: set[int] = set(self._groups)
        self._orphans: set[int] = set(self._groups)
        self._done: defaultdict[int, list[str]] = defaultdict(list)
        self._woken = asyncio.Event()
        self._mark = f"by {uuid.uuid4().hex}"
        """What this bus ends its wake-ups with: it has woken itself already when it hears them."""
        self._listener: asyncio.Task[None] | None = None
        self.on_announcement: Heard = lambda partitions: None

    async def publish(self, entries: Sequence[tuple[int, bytes]]) -> None:
        """Append entries in one round trip and wake all readers."""
        if not entries:
            return
        await self._prepare()
        partitions: defaultdict[int, list[bytes]] = defaultdict(list)
        for partition, data in entries:
            partitions[partition].append(data)
        pipeline = self._client.pipeline(transaction=False)
        for partition, bodies in partitions.items():
            fence = self._fences.get(partition, "")
            pipeline.execute_command("EVAL", _APPEND, 1, self._stream(partition), fence, *bodies)
        words = ",".join([*map(str, sorted(partitions)), self._mark])
        pipeline.execute_command("PUBLISH", self._channel, words)  # a cluster's pipeline has no method for it
        await self._sent(pipeline.execute())
        self._wake(partitions.keys())

    async def read(self, limit: int = BATCH, timeout: float = 1.0) -> list[Entry]:
        """Return new entries, acknowledging earlier ones in the same round trip."""
        await self._prepare()
        if not self._due:
            self._woken.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._woken.wait()
        if not self._due or time.monotonic() - self._polled >= POLL:
            self._polled = time.monotonic()
            self._due.update(self._groups)
        due, self._due = (
            sorted(self._due & self._groups.keys()),
            set(),
        )  # emptied first: whoever wakes us during the round trip is heard
        try:
            return await self._read(due, limit)
        except BusUnavailable:
            self._due.update(due)
            raise

    async def acknowledge(self, entries: Sequence[Entry]) -> None:
        """Note entries as done; the next read tells the server."""
        for entry in entries:
            self._done[entry.partition].append(entry.id)

    async def hold(self, fences: Mapping[int, int]) -> None:
        """Read these partitions only, each in a group of its fencing number that begins at the stream's beginning."""
        groups = {partition: f"{GROUP}-{fence}" for partition, fence in fences.items()}
        new = {partition: group for partition, group in groups.items() if self._groups.get(partition) != group}
        self._groups, self._fences = groups, dict(fences)
        self._due &= groups.keys()
        self._orphans = set()
        await self._prepare()
        await self._make_groups(new)
        await self._drop_groups(new)

    async def announce(self, partitions: Collection[int] = ()) -> None:
        """Tell all workers on the wake-up channel; who does not hear it looks by itself soon."""
        with suppress(RedisError, OSError):
            await self._client.publish(self._channel, _ANNOUNCES + ",".join(map(str, sorted(partitions))))

    async def get_shared(self, user_id: str, key: str) -> bytes | None:
        """Return a shared value's live copy; none where the server cannot be reached: the ledger has it."""
        try:
            value: Any = await self._client.get(self._value(user_id, key))
        except RedisError:
            return None
        return value if value is None else bytes(value)

    async def set_shared(self, user_id: str, values: dict[str, tuple[bytes | None, int | None]]) -> None:
        """Set or drop live copies."""
        pipeline = self._client.pipeline(transaction=False)
        for key, (data, milliseconds) in values.items():
            if data is None:
                pipeline.delete(self._value(user_id, key))
            else:
                pipeline.set(self._value(user_id, key), data, px=milliseconds)
        await self._sent(pipeline.execute())

    async def close(self) -> None:
        """Send what is to be acknowledged and disconnect."""
        while self._listener and not self._listener.done():
            self._listener.cancel()  # again, since redis-py's reader can swallow a cancellation
            await asyncio.wait({self._listener}, timeout=0.05)
        with suppress(RedisError, BusUnavailable):
            if self._ready and self._done:
                await self._read((), 0)
        with suppress(RedisError):
            await self._client.aclose()

    def describe(self) -> dict[str, Any]:
        """Say where the server is."""
        return {"bus": "redis streams", "at": self._where}

    # -- the round trip ------------------------------------------------------------------------------

    async def _read(self, partitions: Iterable[int], limit: int) -> list[Entry]:
        done, self._done = self._done, defaultdict(list)
        wanted = list(partitions)
        claimed = self._orphans.intersection(wanted)
        pipeline = self._client.pipeline(transaction=False)
        for partition, ids in done.items():
            group = self._groups.get(partition, GROUP)
            pipeline.execute_command("EVAL", _FORGET, 1, self._stream(partition), group, *ids)
        for partition in wanted:
            self._ask(pipeline, partition, limit, partition in claimed)
        try:
            answers = await self._sent(pipeline.execute(raise_on_error=False))
        except BusUnavailable:
            for partition, ids in done.items():
                self._done[partition].extend(ids)
            raise
        return await self._taken(wanted, answers[len(done) :], limit, claimed)

    def _ask(self, pipeline: Any, partition: int, limit: int, claim: bool) -> None:
        if claim:  # what a consumer that has gone never acknowledged
            pipeline.xautoclaim(self._stream(partition), GROUP, self._consumer, min_idle_time=0, count=limit)
        else:
            group = self._groups.get(partition, GROUP)
            pipeline.xreadgroup(group, self._consumer, {self._stream(partition): ">"}, count=limit)

    async def _taken(self, partitions: list[int], answers: list[Any], limit: int, claimed: set[int]) -> list[Entry]:
        entries: list[Entry] = []
        for partition, answer in zip(partitions, answers, strict=True):
            if isinstance(answer, ResponseError) and "NOGROUP" in str(answer):
                self._ready = False  # the server lost its data: make the groups again
                continue
            if isinstance(answer, Exception):
                raise BusUnavailable(f"The bus failed: {answer}.") from answer
            rows = answer[1] if partition in claimed else _stream_rows(answer)
            if len(rows) >= limit or partition in claimed:
                self._due.add(partition)
            if len(rows) < limit and partition in claimed:
                self._orphans.discard(partition)
            entries += [Entry(partition, _text(i), _data(fields), _fence(fields)) for i, fields in rows if fields]
        return entries

    # -- keys and connection -------------------------------------------------------------------------

    async def _prepare(self) -> None:
        async with self._preparing:
            if not self._ready:
                await self._make_groups(self._groups)
                self._orphans = {partition for partition, group in self._groups.items() if group == GROUP}
                if self._listener is None or self._listener.done():
                    self._listener = asyncio.create_task(self._listen(), name="bus wake-up")
                self._ready = True

    async def _make_groups(self, groups: Mapping[int, str]) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for partition, group in groups.items():
            pipeline.xgroup_create(self._stream(partition), group, id="0", mkstream=True)
        for answer in await self._sent(pipeline.execute(raise_on_error=False)):
            if isinstance(answer, Exception) and "BUSYGROUP" not in str(answer):
                raise BusUnavailable(f"The bus failed: {answer}.") from answer
        self._due |= groups.keys()

    async def _drop_groups(self, groups: Mapping[int, str]) -> None:
        """Remove the groups of earlier holders: what these have read is read again, and they read no more."""
        pipeline = self._client.pipeline(transaction=False)
        for partition in groups:
            pipeline.xinfo_groups(self._stream(partition))
        found = await self._sent(pipeline.execute())
        pipeline = self._client.pipeline(transaction=False)
        for (partition, mine), others in zip(groups.items(), found, strict=True):
            for name in (_text(other["name"]) for other in others):
                if _fence_of(name) < _fence_of(mine):
                    pipeline.xgroup_destroy(self._stream(partition), name)
        await self._sent(pipeline.execute())

    async def _listen(self) -> None:
        """Wait on the wake-up channel; without it the poll in ``read`` still finds everything."""
        pubsub: PubSub = self._client.pubsub(ignore_subscribe_messages=True)
        try:
            await self._client.initialize()  # a cluster's subscription needs to know the slots
            await pubsub.subscribe(self._channel)
            async for message in pubsub.listen():
                words = _text(message["data"])
                if words.endswith(self._mark):
                    continue
                numbers = frozenset(int(w) for w in words.lstrip(_ANNOUNCES).split(",") if w.isdigit())
                if words.startswith(_ANNOUNCES):
                    self.on_announcement(numbers)
                else:
                    self._wake(numbers)
        except RedisError:
            self._ready = False
        finally:
            with suppress(RedisError):
                await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def _sent(self, answers: Any) -> list[Any]:
        try:
            return list(await answers)
        except (RedisError, OSError) as error:
            self._ready = False
            raise BusUnavailable(
                f"The bus at {self._where} cannot be used: {error}.", "Mend it; the ledger has everything."
            ) from error

    def _wake(self, partitions: Collection[int]) -> None:
        self._due |= self._groups.keys() & partitions
        self._woken.set()

    def _stream(self, partition: int) -> str:
        return f"{self._prefix}:{{{partition}}}:messages"

    @property
    def _channel(self) -> str:
        return f"{self._prefix}:wake"

    def _value(self, user_id: str, key: str) -> str:
        return f"{self._prefix}:{{{partition_of(user_id)}}}:context:{user_id}:{key}"


def _packing_in_c(client: Client) -> Client:
    """Have a client's commands packed by hiredis, as the library does for its other clients only.

    A batch has a thousand arguments and more, which take it a microsecond each in Python. A cluster's nodes have
    connections of their own and go on as they are.
    """
    pool = getattr(client, "connection_pool", None)
    if pool is not None:
        packing = {"pack_command": HiredisRespSerializer().pack}
        pool.connection_class = type("PackingConnection", (pool.connection_class,), packing)
    return client


def _stream_rows(answer: Any) -> list[Any]:
    """Return the rows of an XREADGROUP answer, which is a list (RESP2) or a map (RESP3)."""
    if not answer:
        return []
    if isinstance(answer, dict):
        rows = next(iter(answer.values()))
        return list(rows[0]) if rows and isinstance(rows[0], list) else list(rows)
    return list(answer[0][1])


def _fence_of(group: str) -> int:
    """Return the fencing number in a group's name; -1 for a group of somebody else, or of a worker without one."""
    number = group.removeprefix(f"{GROUP}-")
    return int(number) if number.isdigit() else -1


def _data(fields: dict[bytes, bytes]) -> bytes:
    """Return the message of an entry; of one that somebody else made in another form, all of it."""
    return fields[_FIELD] if _FIELD in fields else b" ".join(b"%b=%b" % field for field in fields.items())


def _fence(fields: dict[bytes, bytes]) -> int | None:
    fence = fields.get(_FENCE, b"")
    return int(fence) if fence.isdigit() else None


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
