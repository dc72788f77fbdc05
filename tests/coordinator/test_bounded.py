"""Streams and ledger are bounded: what was worked off is nowhere after its time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select

from brody_agents import Brody
from brody_agents.ledger.retention import Ages, Retention
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Handled, Message
from tests.coordinator.kit import Place, Recorder, note, until

DAY = 2_000
AGES = Ages(timedelta(days=30), timedelta(days=400))


async def rows(brody: Brody) -> list[int]:
    """Return how many messages, and facts of who handled them, the ledger has."""
    async with brody.ledger.read() as tx:
        counted = [await tx.execute(select(func.count()).select_from(table(model))) for model in (Message, Handled)]
    return [found.scalar_one() for found in counted]


async def test_streams_are_empty_after_the_traffic_and_the_ledger_a_month_later(served: Place) -> None:
    """While the ledger is swept, work goes on."""
    recorder = Recorder()
    async with served.brody(recorder) as brody:
        client = served.server.client()
        await asyncio.gather(*(brody.send(note(text=f"{n}", user=f"user-{n % 20}")) for n in range(DAY)))
        await brody.drain()
        assert await rows(brody) == [DAY, DAY]
        retention = Retention(brody.ledger, AGES)
        month = datetime.now(UTC) + timedelta(days=31)
        await asyncio.gather(retention.sweep(month), *(brody.send(note(text="meanwhile")) for _ in range(10)))
        await brody.drain()
        await retention.sweep(month)
        assert await rows(brody) == [0, 0]

        async def empty() -> bool:
            return sum(await served.server.lengths(client)) == 0

        await until(empty, "the streams are empty")
        await client.aclose()
    assert len(recorder.seen) == DAY + 10
