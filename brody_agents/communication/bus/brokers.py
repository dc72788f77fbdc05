"""Buses on RabbitMQ, NATS JetStream and Kafka, through FastStream: a queue, a subject or a partition for each of ours.

The ledger is the truth here as well, so a broker keeps messages in memory where it can be told to, and short: what
it loses comes again. A broker carries messages only; the live copies of shared context lie in another bus.
"""

from __future__ import annotations

import asyncio
import itertools
from abc import ABC, abstractmethod
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from brody_agents.communication.bus.base import BATCH, PARTITIONS, Bus, Entry
from brody_agents.errors import BusUnavailable, ConfigurationError, TooLargeForBus
from brody_agents.observability import logger

log = logger(__name__)
K = TypeVar("K")
V = TypeVar("V")

PATIENCE = 5
"""Seconds that a broker has to answer before it counts as lost."""
FORGOTTEN = 7 * 86_400
"""Seconds after which a broker may drop what belongs to a home that nobody has opened."""


def broker_bus(url: str, *, prefix: str, values: Bus) -> BrokerBus:
    """Return the bus of a URL: ``amqp(s)://``, ``nats://``, ``tls://`` or ``kafka://``.

    ``prefix`` keeps several homes apart on one broker, ``values`` holds the shared values. Raises
    ``ConfigurationError`` for another URL, and where the broker's client is not installed.
    """
    kind = _KINDS.get(urlsplit(url).scheme)
    if kind is None:
        raise ConfigurationError(
            f"BRODY_BUS_URL is no URL of a broker: {url.rpartition('@')[2]!r}.",
            "Write amqp://…, nats://… or kafka://…; a Redis is BRODY_REDIS_URL.",
        )
    try:
        return kind(url, prefix=prefix, values=values)
    except ImportError as error:
        what = f"FastStream's client for {kind.name} is not installed: {error}."
        raise ConfigurationError(what, "Run: pip install 'brody-agents[brokers]'.") from error
    except ValueError as error:
        raise ConfigurationError(f"BRODY_BUS_URL is no URL of {kind.name}: {error}.") from error


class BrokerBus(ABC):
    """What the three have in common: entries come to a handler of FastStream's, and wait here to be read.

    A broker that was lost once stays lost for this object: whoever uses it goes on without, or makes a new one.
    """

    name: str
    errors: tuple[type[Exception], ...] = (OSError,)
    """What the client raises when the broker cannot be used."""
    largest: int
    """How many bytes an entry may have: a broker ends the connection over a larger one, and so its use."""

    def __init__(self, url: str, *, prefix: str, values: Bus) -> None:
        self._url, self._prefix, self._values = url, prefix, values
        self._where = urlsplit(url).netloc.rpartition("@")[2]
        self._arrived: deque[Entry] = deque()
        self._woken = asyncio.Event()
        self._numbers = itertools.count(1)
        self._preparing = asyncio.Lock()
        self._ready = self._gone = False
        self._broker = self._connected()

    async def publish(self, entries: Sequence[tuple[int, bytes]]) -> None:
        """Append entries."""
        if entries:
            await self._prepare()
            self._check(max(len(data) for _, data in entries))
            async with self._in_use():
                await self._send(entries)

    async def read(self, limit: int = BATCH, timeout: float = 1.0) -> list[Entry]:
        """Return entries that have come; an idle one asks whether the broker is still there."""
        await self._prepare()
        async with self._in_use():
            await self._acknowledge()
        if not self._arrived:
            self._woken.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), timeout)
        if not self._arrived:
            await self._look()
        return [self._arrived.popleft() for _ in range(min(limit, len(self._arrived)))]

    @abstractmethod
    async def acknowledge(self, entries: Sequence[Entry]) -> None:
        """Note entries as done, or tell the broker."""

    async def get_shared(self, user_id: str, key: str) -> bytes | None:
        """Return a live copy."""
        return await self._values.get_shared(user_id, key)

    async def set_shared(self, user_id: str, values: dict[str, tuple[bytes | None, int | None]]) -> None:
        """Set or drop live copies; as every use of the bus, it finds out whether the broker is there."""
        await self._prepare()
        await self._values.set_shared(user_id, values)

    async def close(self) -> None:
        """Send what is to be acknowledged and disconnect."""
        with suppress(BusUnavailable):
            if self._ready and not self._gone:
                async with self._in_use():
                    await self._acknowledge()
        await self._disconnect()
        await self._values.close()

    def describe(self) -> dict[str, Any]:
        """Say where the broker is, and where shared values are."""
        return {"bus": self.name, "at": self._where, "shared values": self._values.describe()["bus"]}

    # -- what each broker does its own way -----------------------------------------------------------

    @abstractmethod
    def _connected(self) -> Any:
        """Return FastStream's broker; raise ``ImportError``, or ``ValueError`` for a wrong URL."""

    @abstractmethod
    async def _start(self) -> None:
        """Connect, make what is not there, and have all that is not acknowledged sent, in order."""

    @abstractmethod
    async def _send(self, entries: Sequence[tuple[int, bytes]]) -> None:
        """Publish entries, each partition's in order."""

    async def _acknowledge(self) -> None:
        """Tell the broker what was noted as done."""
        return

    # -- what is common ------------------------------------------------------------------------------

    def _check(self, size: int) -> None:
        if size > self.largest:
            what = f"A message has {size} bytes, and {self.name} carries {self.largest}."
            raise TooLargeForBus(what, self.largest)

    def _take(self, partition: int, data: bytes, entry_id: str = "") -> str:
        """Keep an entry for the next read and return its id."""
        entry = Entry(partition, entry_id or str(next(self._numbers)), data)
        self._arrived.append(entry)
        self._woken.set()
        return entry.id

    async def _disconnect(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._broker.stop()
        except Exception as error:  # of a broker that is gone, a client raises whatever it likes, alone or in a group
            log.debug("broker not left in order", error=repr(error))

    async def _prepare(self) -> None:
        if self._gone:
            raise self._lost("it was lost")
        async with self._preparing:
            if not self._ready:
                async with self._in_use(4 * PATIENCE):
                    await self._start()
                self._ready = True

    async def _look(self) -> None:
        if not await self._broker.ping(PATIENCE):
            raise self._lost("it does not answer")

    @asynccontextmanager
    async def _in_use(self, patience: float = PATIENCE) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(patience):
                yield
        except TimeoutError as error:
            raise self._lost("it does not answer") from error
        except self.errors as error:
            raise self._lost(str(error) or type(error).__name__) from error

    def _lost(self, why: str) -> BusUnavailable:
        self._gone = True
        return BusUnavailable(f"The bus at {self._where} cannot be used: {why}.", "Mend it; the ledger has everything.")


class _Window(Generic[K, V]):
    """What was received and not acknowledged, oldest first."""

    def __init__(self) -> None:
        self._open: dict[K, V] = {}
        self._done: set[K] = set()

    def add(self, key: K, value: V) -> None:
        """Note what was received."""
        self._open[key] = value

    def finish(self, keys: Iterable[K]) -> None:
        """Note what is done with."""
        self._done.update(key for key in keys if key in self._open)

    def take_front(self) -> V | None:
        """Forget all that is done before the first open one, and return the newest of it."""
        last = None
        while self._open and (oldest := next(iter(self._open))) in self._done:
            self._done.discard(oldest)
            last = self._open.pop(oldest)
        return last

    def take_rest(self) -> list[V]:
        """Forget all else that is done, and return it."""
        rest = [self._open.pop(key) for key in self._done]
        self._done.clear()
        return rest


class RabbitBus(BrokerBus):
    """A queue for each partition; nothing is written to the broker's disk.

    What was not acknowledged goes back to where it stood in its queue when the connection ends.
    """

    name = "RabbitMQ"
    largest = 16 << 20
    """What RabbitMQ 4 takes by default; it does not tell its clients."""

    def _connected(self) -> Any:
        from aio_pika.exceptions import AMQPError, ChannelInvalidStateError
        from faststream import AckPolicy
        from faststream.rabbit import Channel, RabbitBroker, RabbitQueue

        self.errors = (AMQPError, ChannelInvalidStateError, OSError)
        self._open: _Window[str, Any] = _Window()
        self._ended = ChannelInvalidStateError
        """Raised where the connection has ended: the broker knows by itself what was open on it."""
        channel = Channel(publisher_confirms=False)  # what is lost is published again
        broker = RabbitBroker(self._url, default_channel=channel, **_PLAIN)
        for partition in range(PARTITIONS):
            queue = RabbitQueue(self._queue(partition), durable=True, arguments={"x-expires": FORGOTTEN * 1000})
            broker.subscriber(queue, ack_policy=AckPolicy.MANUAL)(self._handler(partition))
        return broker

    async def acknowledge(self, entries: Sequence[Entry]) -> None:
        """Note entries as done; the next read tells the broker."""
        self._open.finish(entry.id for entry in entries)

    async def _acknowledge(self) -> None:
        """Answer for all that is done before the first open entry at once, for each one behind it by itself."""
        last = self._open.take_front()
        behind = self._open.take_rest()
        with suppress(self._ended):
            if last:
                await last.ack(multiple=True)
            for message in behind:
                await message.ack()

    async def _start(self) -> None:
        await self._broker.start()

    async def _send(self, entries: Sequence[tuple[int, bytes]]) -> None:
        for partition, data in entries:
            await self._broker.publish(data, self._queue(partition), persist=False)

    def _handler(self, partition: int) -> Any:
        async def take(message: Any) -> None:
            self._open.add(self._take(partition, message.body), message)

        return take

    def _queue(self, partition: int) -> str:
        return f"{self._prefix}:{partition}"


class NatsBus(BrokerBus):
    """A stream in the broker's memory, with a subject for each partition, that loses what is acknowledged.

    Its consumer is made anew at each start: it begins with the oldest message that was never acknowledged.
    """

    name = "NATS JetStream"
    largest = (1 << 20) - (1 << 10)
    """What NATS takes by default, without headers; the server says what it is set to."""

    def _connected(self) -> Any:
        from faststream import AckPolicy
        from faststream.nats import JStream, NatsBroker
        from nats.errors import Error
        from nats.js.api import AckPolicy as Acknowledging
        from nats.js.api import ConsumerConfig, RetentionPolicy, StorageType

        self.errors = (Error, OSError)
        self._open: dict[str, Any] = {}
        self._stream = self._prefix.replace(":", "-").replace(".", "-")
        stream = JStream(
            self._stream,
            subjects=[f"{self._stream}.*"],
            retention=RetentionPolicy.WORK_QUEUE,
            storage=StorageType.MEMORY,
            max_age=FORGOTTEN,
        )
        consumer = ConsumerConfig(
            durable_name="worker", ack_policy=Acknowledging.EXPLICIT, ack_wait=FORGOTTEN, max_ack_pending=-1
        )
        broker = NatsBroker(
            self._url,
            connect_timeout=PATIENCE,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            **_PLAIN,
        )
        subscriber = broker.subscriber(f"{self._stream}.*", stream=stream, config=consumer, ack_policy=AckPolicy.MANUAL)
        subscriber(self._on_message)
        return broker

    async def acknowledge(self, entries: Sequence[Entry]) -> None:
        """Tell the broker, without waiting for its answer."""
        with suppress(*self.errors):
            for entry in entries:
                await self._open.pop(entry.id).ack()

    async def _start(self) -> None:
        from nats.js.errors import NotFoundError

        self._connection = await self._broker.connect()
        self.largest = self._connection.max_payload - _HEADERS
        with suppress(NotFoundError):
            await self._connection.jetstream().delete_consumer(self._stream, "worker")
        await self._broker.start()

    async def _send(self, entries: Sequence[tuple[int, bytes]]) -> None:
        """Publish without waiting for the receipt of each: what the stream did not take is published again."""
        for partition, data in entries:
            await self._broker.publish(data, f"{self._stream}.{partition}")
        await self._connection.flush(PATIENCE)

    async def _on_message(self, message: Any) -> None:
        partition = int(message.raw_message.subject.rpartition(".")[2])
        self._open[self._take(partition, message.body)] = message


class KafkaBus(BrokerBus):
    """A topic with a partition for each of ours.

    Kafka knows one offset a partition, below which all is done: after a restart, what was acknowledged behind
    something open comes again, and the ledger knows it.
    """

    name = "Kafka"
    largest = (1 << 20) - (1 << 10)
    """What Kafka takes by default, with some room for what it adds."""

    def _connected(self) -> Any:
        from aiokafka.errors import KafkaError
        from faststream import AckPolicy
        from faststream.exceptions import FastStreamException
        from faststream.kafka import KafkaBroker, TopicPartition

        self.errors = (KafkaError, FastStreamException, OSError)
        self._topic = self._prefix.replace(":", ".")
        self._open: defaultdict[int, _Window[str, int]] = defaultdict(_Window)
        servers = urlsplit(self._url).netloc.split(",")
        timeout = PATIENCE * 1000
        broker = KafkaBroker(servers, max_batch_size=1 << 20, request_timeout_ms=timeout, acks=1, **_PLAIN)
        self._subscriber: Any = broker.subscriber(
            partitions=[TopicPartition(self._topic, n, declare=False) for n in range(PARTITIONS)],
            group_id=self._topic,
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.MANUAL,
            batch=True,
            batch_timeout_ms=20,  # an idle one sleeps as long, so it is what an entry waits at most
            max_records=BATCH,
        )
        self._subscriber(self._on_messages)
        return broker

    async def acknowledge(self, entries: Sequence[Entry]) -> None:
        """Note entries as done; the next read tells the broker."""
        for entry in entries:
            self._open[entry.partition].finish([entry.id])

    async def _acknowledge(self) -> None:
        from aiokafka import TopicPartition

        fronts = {partition: window.take_front() for partition, window in self._open.items()}
        offsets = {TopicPartition(self._topic, n): last + 1 for n, last in fronts.items() if last is not None}
        if offsets:
            await self._subscriber.consumer.commit(offsets)

    async def _start(self) -> None:
        from aiokafka.admin import NewTopic
        from aiokafka.errors import TopicAlreadyExistsError, for_code

        await self._broker.connect()
        topic = NewTopic(self._topic, PARTITIONS, replication_factor=1, topic_configs=_SHORT)
        answer = await self._broker.config.admin_client.create_topics([topic])
        for _, code, *_ in answer.topic_errors:
            if code not in (0, TopicAlreadyExistsError.errno):
                raise for_code(code)
        await self._broker.start()

    async def _send(self, entries: Sequence[tuple[int, bytes]]) -> None:
        together: defaultdict[int, list[bytes]] = defaultdict(list)
        for partition, data in entries:
            together[partition].append(data)
        sent: list[Awaitable[Any]] = [
            await self._broker.publish_batch(*batch, topic=self._topic, partition=partition, no_confirm=True)
            for partition, data in together.items()
            for batch in _batches(data)
        ]
        await asyncio.gather(*sent)

    async def _on_messages(self, message: Any) -> None:
        for record in message.raw_message:
            entry_id = self._take(record.partition, record.value, str(record.offset))
            self._open[record.partition].add(entry_id, record.offset)


def _batches(entries: Sequence[bytes]) -> list[list[bytes]]:
    """Part entries so that each batch is small enough for Kafka."""
    batches: list[list[bytes]] = [[]]
    room = _LARGEST
    for data in entries:
        room -= len(data) + _AROUND
        if room < 0 and batches[-1]:
            batches.append([])
            room = _LARGEST - len(data) - _AROUND
        batches[-1].append(data)
    return batches


_HEADERS = 1 << 10
"""What FastStream adds to a message at most, in bytes."""
_LARGEST, _AROUND = 900_000, 200
"""What a batch holds at most, and what Kafka adds to an entry, in bytes, with some room: the default limit is 1 MiB."""
_SHORT = {"cleanup.policy": "delete", "retention.ms": "3600000", "segment.ms": "600000"}
"""A topic keeps an hour; whatever is open for longer is published again."""


async def _whole(message: Any) -> Any:
    """Hand a handler the message as it is: the coordinator has its own codec."""
    return message


_PLAIN: dict[str, Any] = {"apply_types": False, "decoder": _whole, "logger": None}
_KINDS: dict[str, type[BrokerBus]] = {
    "amqp": RabbitBus,
    "amqps": RabbitBus,
    "nats": NatsBus,
    "tls": NatsBus,
    "kafka": KafkaBus,
}
