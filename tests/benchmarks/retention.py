"""Retention: how fast closed messages are forgotten, and how long a transaction waits for it meanwhile."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from brody_agents.ledger import messages
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.retention import Ages, Retention
from tests.benchmarks import limits
from tests.benchmarks.limits import BATCH
from tests.benchmarks.roads import Figure, message

AGES = Ages(timedelta(days=8), timedelta(days=8))


async def sweep(folder: Path, count: int = 20_480) -> list[Figure]:
    """Measure a sweep of messages that are all too old, in a home's file."""
    home = folder / "swept"
    home.mkdir()
    ledger = await Ledger.open(home)
    await ledger.ensure_users({message(n, 0).user_id for n in range(50)})
    waits: list[float] = []
    try:
        for _ in range(0, count, BATCH):
            await _worked_off(ledger)
        sweeping = asyncio.create_task(_timed(ledger, count))
        while not sweeping.done():
            began = time.perf_counter()
            async with ledger.write():
                waits.append(time.perf_counter() - began)
            await asyncio.sleep(0.005)
        rate = await sweeping
    finally:
        await ledger.close()
    waited = sorted(waits)[int(len(waits) * 0.99)] * 1000
    return [Figure("closed messages forgotten", rate, "/s"), Figure("a turn waits for it, p99", waited, "ms")]


async def _worked_off(ledger: Ledger) -> None:
    written = [message(n, 0) for n in range(BATCH)]
    async with ledger.write() as tx:
        await messages.write(tx, ledger.vault, written)
        await messages.mark_handled(tx, [(m.id, "relay") for m in written])
        await messages.close(tx, [m.id for m in written])


async def _timed(ledger: Ledger, count: int) -> float:
    later = datetime.now(UTC) + timedelta(days=9)
    return await limits.timed_async(count, lambda: Retention(ledger, AGES).sweep(later))
