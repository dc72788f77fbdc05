"""Measure what the project promises, beside the raw limit of this machine in the same run: ``make bench``."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from brody_agents import AgentMessage, Brody, BrodyAgent, Context, Payload, handles
from brody_agents.communication.bus.embedded import EmbeddedValkey
from brody_agents.communication.bus.redis_streams import RedisStreamsBus
from brody_agents.communication.message_protocol import PayloadRegistry, decode, encode, new_context
from brody_agents.settings import Settings
from tests.benchmarks import scheduling

MESSAGES = 10_000
MAIL = Path(__file__).parents[3] / "shared" / "data" / "mail"


class Ping(Payload, message_type="ping"):
    """A message of about 600 bytes."""

    n: int
    text: str = "x" * 250


class Sink(BrodyAgent):
    """Handle pings in batches and do nothing."""

    @handles
    async def on_pings(self, pings: list[Ping], ctx: Context) -> None:
        """Do nothing."""


def ping(n: int) -> AgentMessage:
    """Return a message for one of 50 users."""
    context = new_context(f"user-{n % 50}")
    return AgentMessage(sender="bench", recipient="sink", payload=Ping(n=n, text="x" * 250), context=context)


def codec() -> tuple[str, str]:
    """Measure decode and encode."""
    registry, data = PayloadRegistry([Ping]), encode(ping(1))
    began = time.perf_counter()
    for _ in range(MESSAGES):
        encode(decode(data, registry))
    return f"{MESSAGES / (time.perf_counter() - began):,.0f}/s", f"{len(data)} bytes"


async def bus(folder: Path) -> tuple[str, str]:
    """Measure publish, read and acknowledge on embedded Valkey, and the raw pipelined loop."""
    server = await EmbeddedValkey.of_home(folder)
    road, raw, data = RedisStreamsBus(server.client()), server.client(), encode(ping(1))

    async def produce() -> None:
        for _ in range(0, MESSAGES, 256):
            await road.publish([(7, data)] * 256)

    async def consume() -> None:
        got = 0
        while got < MESSAGES:
            entries = await road.read()
            got += len(entries)
            await road.acknowledge(entries)

    async def both() -> None:
        await asyncio.gather(produce(), consume())

    async def bare() -> None:
        await raw.xgroup_create("raw", "g", id="0", mkstream=True)
        for _ in range(0, MESSAGES, 256):
            pipeline = raw.pipeline(transaction=False)
            for _ in range(256):
                pipeline.xadd("raw", {b"m": data})
            await pipeline.execute()
            answer: Any = await raw.xreadgroup("g", "c", {"raw": ">"}, count=256)
            found = next(iter(answer.values()))[0] if isinstance(answer, dict) else answer[0][1]
            await raw.xack("raw", "g", *[i for i, _ in found])

    try:
        return await rate(both), f"raw pipelined loop {await rate(bare)}"
    finally:
        await road.close()
        await raw.aclose()
        await server.stop()


async def turn(folder: Path) -> tuple[str, str]:
    """Measure the full turn on embedded Valkey and SQLite, and a bare group-commit loop of two rows a message."""
    settings = Settings(cpu_workers=0)
    async with Brody(home=folder / "home", agents=[Sink("sink")], settings=settings) as brody:

        async def full() -> None:
            for start in range(0, MESSAGES, 1000):
                await asyncio.gather(*(brody.send(ping(n)) for n in range(start, start + 1000)))
            await brody.drain()

        return await rate(full), f"bare group commit {bare_commits(folder, 256)}"


def bare_commits(folder: Path, group: int) -> str:
    """Measure two rows a message in transactions of ``group`` messages, with fsync."""
    connection = sqlite3.connect(folder / f"raw-{group}.db", isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE m (id TEXT PRIMARY KEY, body BLOB)")
    connection.execute("CREATE TABLE h (id TEXT PRIMARY KEY)")
    count, body, began = MESSAGES if group > 1 else 200, os.urandom(600), time.perf_counter()
    for start in range(0, count, group):
        ids = [str(n) for n in range(start, start + group)]
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO m VALUES (?, ?)", [(i, body) for i in ids])
        connection.executemany("INSERT INTO h VALUES (?)", [(i,) for i in ids])
        connection.execute("COMMIT")
    seconds = time.perf_counter() - began
    connection.close()
    return f"{count / seconds:,.0f}/s"


async def one_at_a_time(folder: Path) -> tuple[str, str]:
    """Measure one message after the other through the full turn."""
    settings, count = Settings(cpu_workers=0), 200
    async with Brody(home=folder / "single", agents=[Sink("sink")], settings=settings) as brody:
        began = time.perf_counter()
        for n in range(count):
            await brody.send(ping(n))
            await brody.drain()
        return f"{count / (time.perf_counter() - began):,.0f}/s", f"bare commits {bare_commits(folder, 1)}"


async def inbox(folder: Path) -> tuple[str, str]:
    """Measure inbox-scan over the real messages, first and again."""
    if not MAIL.is_dir():
        return "-", "the real mail is not beside the checkout"
    seconds = []
    for _ in range(2):
        async with Brody(home=folder / "inbox", accounts={"mail": f"eml:{MAIL}"}) as brody:
            brief = await brody.run("inbox-scan")
            seconds.append(brief.timing.seconds)
    return f"{seconds[0]:.2f} s", f"{brief.counts.messages_read} mails; again {seconds[1]:.2f} s"


def start_up() -> tuple[str, str]:
    """Measure ``brody --help`` and an interpreter that does nothing."""
    times = []
    for command in ([str(Path(sys.executable).with_name("brody")), "--help"], [sys.executable, "-c", ""]):
        began = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        times.append(f"{(time.perf_counter() - began) * 1000:.0f} ms")
    return times[0], f"bare interpreter {times[1]}"


async def rate(work: Callable[[], Awaitable[None]]) -> str:
    """Return how many messages a second a piece of work moves."""
    began = time.perf_counter()
    await work()
    return f"{MESSAGES / (time.perf_counter() - began):,.0f}/s"


async def main() -> None:
    """Run all and print the table."""
    table = Table("what", "measured", "beside")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table.add_row("brody --help", *start_up())
        table.add_row("decode and encode", *codec())
        table.add_row("bus: publish, read, acknowledge", *await bus(folder))
        table.add_row("full turn, sent 1,000 at once", *await turn(folder))
        table.add_row("full turn, one at a time", *await one_at_a_time(folder))
        table.add_row("inbox-scan over real mail", *await inbox(folder))
        table.add_row("schedule: 10 people, 5 days, 20 items", *scheduling.promised())
    Console().print(table)


if __name__ == "__main__":
    asyncio.run(main())
