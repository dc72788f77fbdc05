"""The bus on each broker, beside the broker's own client on the same road: publish, read, acknowledge."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from brody_agents.communication.bus.base import Bus
from brody_agents.communication.bus.brokers import broker_bus
from brody_agents.communication.bus.memory import MemoryBus
from brody_agents.communication.message_protocol import encode
from tests.benchmarks import limits
from tests.benchmarks.limits import BATCH
from tests.benchmarks.roads import Figure, message
from tests.brokers import BROKERS, broker, wanting


async def brokers(count: int = 5_120) -> list[Figure]:
    """Measure each broker that there is on this machine."""
    return [await _measured(name, count) for name in BROKERS if wanting(name) is None]


async def _measured(name: str, count: int) -> Figure:
    data = encode(message(1, 1))
    with broker(name) as url:
        limit = await _RAW[name](url, data, count)
        bus = broker_bus(url, prefix="bench", values=MemoryBus())
        try:
            await limits.timed_async(BATCH, lambda: passed(bus, data, BATCH))  # connected, all that it needs is there
            measured = await limits.timed_async(count, lambda: passed(bus, data, count))
        finally:
            await bus.close()
    return Figure(f"bus, {name}", measured, "/s", f"{_CLIENTS[name]} alone", limit)


async def passed(bus: Bus, data: bytes, count: int) -> None:
    """Pass messages over a bus: publish 256 at a time, read, acknowledge."""

    async def produce() -> None:
        for _ in range(0, count, BATCH):
            await bus.publish([(7, data)] * BATCH)

    async def consume() -> None:
        got = 0
        while got < count:
            entries = await bus.read()
            got += len(entries)
            await bus.acknowledge(entries)

    await asyncio.gather(produce(), consume())


async def aio_pika_alone(url: str, data: bytes, count: int) -> float:
    """Return the rate of a loop without confirms and with nothing on disk; each message is acknowledged."""
    from aio_pika import Message, connect

    got, over = 0, asyncio.Event()

    async def take(received: Any) -> None:
        nonlocal got
        await received.ack()
        got += 1
        if got == count:
            over.set()

    async with await connect(url) as connection:
        channel = await connection.channel(publisher_confirms=False)
        queue = await channel.declare_queue("raw", auto_delete=True)
        await queue.consume(take)

        async def work() -> None:
            for _ in range(count):
                await channel.default_exchange.publish(Message(data), "raw")
            await over.wait()

        return await limits.timed_async(count, work)


async def nats_alone(url: str, data: bytes, count: int) -> float:
    """Return the rate of a loop on a stream in memory: 256 published at a time, a push consumer, all acknowledged."""
    from nats.aio.client import Client
    from nats.js.api import ConsumerConfig, RetentionPolicy, StorageType

    got, over, client = 0, asyncio.Event(), Client()

    async def take(received: Any) -> None:
        nonlocal got
        await received.ack()
        got += 1
        if got == count:
            over.set()

    await client.connect(url)
    road = client.jetstream()
    await road.add_stream(
        name="raw", subjects=["raw"], retention=RetentionPolicy.WORK_QUEUE, storage=StorageType.MEMORY
    )
    await road.subscribe("raw", cb=take, manual_ack=True, config=ConsumerConfig(max_ack_pending=-1))

    async def work() -> None:
        for _ in range(0, count, BATCH):
            await asyncio.gather(*(road.publish("raw", data) for _ in range(BATCH)))
        await over.wait()

    try:
        return await limits.timed_async(count, work)
    finally:
        await client.close()


async def aiokafka_alone(url: str, data: bytes, count: int) -> float:
    """Return the rate of a loop on one partition: 256 sent at a time, fetched, the offset committed for each batch."""
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

    servers, partition = url.removeprefix("kafka://"), TopicPartition("raw", 0)
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.create_topics([NewTopic("raw", 1, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks=1, max_batch_size=1 << 20)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers, group_id="raw", auto_offset_reset="earliest", enable_auto_commit=False
    )
    consumer.assign([partition])
    await producer.start()
    await consumer.start()

    async def produce() -> None:
        for _ in range(0, count, BATCH):
            await asyncio.gather(*[await producer.send("raw", data, partition=0) for _ in range(BATCH)])

    async def consume() -> None:
        got = 0
        while got < count:
            records = await consumer.getmany(timeout_ms=1000, max_records=BATCH)
            for batch in records.values():
                got += len(batch)
                await consumer.commit({partition: batch[-1].offset + 1})

    try:
        return await limits.timed_async(count, lambda: asyncio.gather(produce(), consume()))
    finally:
        await consumer.stop()
        await producer.stop()


_CLIENTS = {"rabbitmq": "aio-pika", "nats": "nats-py", "kafka": "aiokafka"}
_RAW: dict[str, Callable[[str, bytes, int], Awaitable[float]]] = {
    "rabbitmq": aio_pika_alone,
    "nats": nats_alone,
    "kafka": aiokafka_alone,
}
