"""A bus on Redis or Valkey: one short stream a partition, a consumer group, pipelines of up to 256 commands.

No command names keys of two partitions, so that it runs on a cluster: a key carries its partition as hash tag.
Idle readers wait on one channel; a poll of all partitions stands behind it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeout

from brody_agents.communication.bus.base import BATCH, PARTITIONS, Entry, partition_of
from brody_agents.errors import BusUnavailable

GROUP = "brody"
_FIELD = b"m"


class RedisStreamsBus:
    """Be the bus of one worker; ``prefix`` keeps several homes apart on one server."""

    def __init__(self, client: Redis, *, prefix: str = "brody", consumer: str = "worker", where: str = "") -> None:
        self._client = client
        self._prefix = prefix
        self._consumer = consumer
        self._where = where
        self._ready = False
        self._due: set[int] = set(range(PARTITIONS))
        self._orphans: set[int] = set(range(PARTITIONS))
        self._done: defaultdict[int, list[str]] = defaultdict(list)
        self._woken = asyncio.Event()
        self._listener: asyncio.Task[None] | None = None

    async def publish(self, entries: Sequence[tuple[int, bytes]]) -> None:
        """Append entries in one round trip and wake all readers."""
        if not entries:
            return
        await self._prepare()
        partitions = {partition for partition, _ in entries}
        pipeline = self._client.pipeline(transaction=False)
        for partition, data in entries:
            pipeline.xadd(self._stream(partition), {_FIELD: data})
        pipeline.publish(self._channel, ",".join(map(str, sorted(partitions))))
        await self._sent(pipeline.execute())
        self._wake(partitions)

    async def read(self, limit: int = BATCH, timeout: float = 1.0) -> list[Entry]:
        """Return new entries, acknowledging earlier ones in the same round trip."""
        await self._prepare()
        if not self._due:
            self._woken.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), timeout)
            if not self._due:
                self._due.update(range(PARTITIONS))
        due, self._due = sorted(self._due), set()  # emptied first: whoever wakes us during the round trip is heard
        try:
            return await self._read(due, limit)
        except BusUnavailable:
            self._due.update(due)
            raise

    async def acknowledge(self, entries: Sequence[Entry]) -> None:
        """Note entries as done; the next read tells the server."""
        for entry in entries:
            self._done[entry.partition].append(entry.id)

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
        pipeline = self._client.pipeline(transaction=False)
        for partition, ids in done.items():
            pipeline.xack(self._stream(partition), GROUP, *ids)
            pipeline.xdel(self._stream(partition), *ids)
        for partition in wanted:
            self._ask(pipeline, partition, limit)
        try:
            answers = await self._sent(pipeline.execute(raise_on_error=False))
        except BusUnavailable:
            for partition, ids in done.items():
                self._done[partition].extend(ids)
            raise
        return await self._taken(wanted, answers[2 * len(done) :], limit)

    def _ask(self, pipeline: Any, partition: int, limit: int) -> None:
        if partition in self._orphans:  # what a consumer that has gone never acknowledged
            pipeline.xautoclaim(self._stream(partition), GROUP, self._consumer, min_idle_time=0, count=limit)
        else:
            pipeline.xreadgroup(GROUP, self._consumer, {self._stream(partition): ">"}, count=limit)

    async def _taken(self, partitions: list[int], answers: list[Any], limit: int) -> list[Entry]:
        entries: list[Entry] = []
        for partition, answer in zip(partitions, answers, strict=True):
            if isinstance(answer, ResponseError) and "NOGROUP" in str(answer):
                self._ready = False  # the server lost its data: make the groups again
                continue
            if isinstance(answer, Exception):
                raise BusUnavailable(f"The bus failed: {answer}.") from answer
            found = self._found(partition, answer)
            if len(found) == limit or partition in self._orphans:
                self._due.add(partition)
            if len(found) < limit:
                self._orphans.discard(partition)
            entries.extend(found)
        return entries

    def _found(self, partition: int, answer: Any) -> list[Entry]:
        rows = answer[1] if partition in self._orphans else _stream_rows(answer)
        return [Entry(partition, _text(i), fields[_FIELD]) for i, fields in rows if fields and _FIELD in fields]

    # -- keys and connection -------------------------------------------------------------------------

    async def _prepare(self) -> None:
        if self._ready:
            return
        pipeline = self._client.pipeline(transaction=False)
        for partition in range(PARTITIONS):
            pipeline.xgroup_create(self._stream(partition), GROUP, id="0", mkstream=True)
        for answer in await self._sent(pipeline.execute(raise_on_error=False)):
            if isinstance(answer, Exception) and "BUSYGROUP" not in str(answer):
                raise BusUnavailable(f"The bus failed: {answer}.") from answer
        self._due, self._orphans = set(range(PARTITIONS)), set(range(PARTITIONS))
        if self._listener is None or self._listener.done():
            self._listener = asyncio.create_task(self._listen(), name="bus wake-up")
        self._ready = True

    async def _listen(self) -> None:
        """Wait on the wake-up channel; without it the poll in ``read`` still finds everything."""
        pubsub: PubSub = self._client.pubsub(ignore_subscribe_messages=True)
        try:
            await pubsub.subscribe(self._channel)
            async for message in pubsub.listen():
                self._wake({int(number) for number in message["data"].split(b",")})
        except RedisError:
            self._ready = False
        finally:
            with suppress(RedisError):
                await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def _sent(self, answers: Any) -> list[Any]:
        try:
            return list(await answers)
        except (RedisConnectionError, RedisTimeout, OSError) as error:
            self._ready = False
            raise BusUnavailable(
                f"The bus at {self._where} cannot be reached: {error}.", "Start it; the ledger has everything."
            ) from error

    def _wake(self, partitions: set[int]) -> None:
        self._due |= partitions
        self._woken.set()

    def _stream(self, partition: int) -> str:
        return f"{self._prefix}:{{{partition}}}:messages"

    @property
    def _channel(self) -> str:
        return f"{self._prefix}:wake"

    def _value(self, user_id: str, key: str) -> str:
        return f"{self._prefix}:{{{partition_of(user_id)}}}:context:{user_id}:{key}"


def _stream_rows(answer: Any) -> list[Any]:
    """Return the rows of an XREADGROUP answer, which is a list (RESP2) or a map (RESP3)."""
    if not answer:
        return []
    if isinstance(answer, dict):
        rows = next(iter(answer.values()))
        return list(rows[0]) if rows and isinstance(rows[0], list) else list(rows)
    return list(answer[0][1])


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
