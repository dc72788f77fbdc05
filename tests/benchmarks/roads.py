"""What is measured: each road of a message, beside the raw limit of the same road."""

# ruff: noqa: ASYNC221 -- nothing else runs while a command is timed

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from brody_agents import AgentMessage, Brody, BrodyAgent, Context, Payload, handles
from brody_agents.communication.bus.embedded import EmbeddedValkey
from brody_agents.communication.bus.redis_streams import RedisStreamsBus
from brody_agents.communication.message_protocol import PayloadRegistry, decode, encode, new_context
from brody_agents.settings import Settings
from tests.benchmarks import limits

MAIL = Path(__file__).parents[3] / "shared" / "data" / "mail"
USERS = 50


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: what was measured, the raw limit beside it, and what is to be reached."""

    what: str
    measured: float
    unit: str
    beside: str = ""
    limit: float | None = None
    wanted: str = ""

    @property
    def ratio(self) -> float | None:
        """Return the share of the raw limit that was reached."""
        return self.measured / self.limit if self.limit else None


class Ping(Payload, message_type="ping"):
    """A message of about 600 bytes on the wire."""

    n: int = 0
    text: str = "x" * 250


class Relay(BrodyAgent):
    """Pass a ping on ``n`` times: what a turn reads, handles, commits and publishes."""

    @handles
    async def on_pings(self, pings: list[Ping], ctx: Context) -> None:
        """Tell oneself the next one."""
        for ping in pings:
            if ping.n:
                ctx.tell(self.name, Ping(n=ping.n - 1, text=ping.text), because=ping)


class Ask(Payload, message_type="ask"):
    """A request; the same chain asks ``n`` times more."""

    n: int = 0
    text: str = ""


class Answer(Ask, message_type="answer"):
    """What comes back."""


class Asker(BrodyAgent):
    """Ask again when the answer has come."""

    @handles
    async def on_answers(self, answers: list[Answer], ctx: Context) -> None:
        """Ask the next question of each chain."""
        for answer in answers:
            if answer.n:
                ctx.tell("answerer", Ask(n=answer.n - 1, text=answer.text), because=answer)


class Answerer(BrodyAgent):
    """Answer."""

    @handles
    async def on_questions(self, questions: list[Ask], ctx: Context) -> None:
        """Send each question's text back."""
        for question in questions:
            ctx.tell("asker", Answer(n=question.n, text=question.text), because=question)


def message(user: int, hops: int) -> AgentMessage:
    """Return a ping that will be passed on."""
    context = new_context(f"user-{user % USERS}")
    return AgentMessage(sender="bench", recipient="relay", payload=Ping(n=hops, text="x" * 250), context=context)


async def start_up() -> list[Figure]:
    """Measure ``brody --help`` and an interpreter that does nothing."""
    seconds = []
    for command in ([str(Path(sys.executable).with_name("brody")), "--help"], [sys.executable, "-c", ""]):
        began = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        seconds.append(time.perf_counter() - began)
    beside = f"interpreter {seconds[1] * 1000:.0f} ms"
    return [Figure("brody --help", seconds[0] * 1000, "ms", beside, wanted="300 ms")]


async def codec(count: int = 10_000) -> list[Figure]:
    """Measure decode and encode of one message."""
    registry, data = PayloadRegistry([Ping]), encode(message(1, 1))
    measured = limits.timed(count, lambda: [encode(decode(data, registry)) for _ in range(count)])
    raw = await limits.queue(encode(message(1, 1)), count)
    return [Figure("decode and encode", measured, "/s", "queue + validate_json", raw)]


async def in_memory(count: int = 10_000) -> list[Figure]:
    """Measure the turn without a disk, a server or a process: ``Brody()``."""
    limit = await limits.queue(encode(message(1, 1)), count)
    async with Brody(agents=[Relay("relay")], settings=Settings(cpu_workers=0)) as brody:
        measured = await relayed(brody, count)
    return [Figure("turn in memory", measured, "/s", "queue + validate_json", limit)]


async def requests(count: int = 5_000, under_way: int = 500) -> list[Figure]:
    """Measure requests that have got their answer, two messages each, between two agents of a ``Brody()``."""
    limit, times = await limits.queue(encode(message(1, 1)), count), count // under_way
    asked = Ask(n=times - 1, text="x" * 250)
    first = [
        AgentMessage(sender="asker", recipient="answerer", payload=asked, context=new_context(f"user-{n % USERS}"))
        for n in range(under_way)
    ]
    async with Brody(agents=[Asker("asker"), Answerer("answerer")], settings=Settings(cpu_workers=0)) as brody:

        async def work() -> None:
            await asyncio.gather(*map(brody.send, first))
            await brody.drain()

        measured = await limits.timed_async(under_way * times, work)
    return [Figure("request and answer by message, in memory", measured, "/s", "queue + validate_json", limit)]


async def bus(folder: Path, count: int = 20_480) -> list[Figure]:
    """Measure publish, read and acknowledge on Valkey with its append-only file on, and the raw pipelined loop."""
    server, data = await EmbeddedValkey.of_home(folder), encode(message(1, 1))
    road, raw = RedisStreamsBus(server.client()), server.client()
    await raw.config_set("appendonly", "yes")

    async def produce() -> None:
        for _ in range(0, count, limits.BATCH):
            await road.publish([(7, data)] * limits.BATCH)

    async def consume() -> None:
        got = 0
        while got < count:
            entries = await road.read()
            got += len(entries)
            await road.acknowledge(entries)

    try:
        limit = await limits.stream(raw, data, count)
        measured = await limits.timed_async(count, lambda: asyncio.gather(produce(), consume()))
    finally:
        await road.close()
        await raw.aclose()
        await server.stop()
    return [Figure("bus, append-only file on", measured, "/s", "pipelined redis-py", limit, "0.9")]


async def relayed(brody: Brody, count: int, under_way: int = 1000) -> float:
    """Return the rate at which ``under_way`` messages are passed on until ``count`` have been handled."""
    await asyncio.gather(*(brody.send(message(user, 0)) for user in range(USERS)))
    await brody.drain()  # users and lanes are there
    hops = count // under_way - 1

    async def work() -> None:
        await asyncio.gather(*(brody.send(message(n, hops)) for n in range(under_way)))
        await brody.drain()

    return await limits.timed_async(under_way * (hops + 1), work)


async def turn(folder: Path, count: int = 20_000) -> list[Figure]:
    """Measure the full turn on embedded Valkey and SQLite, and a bare loop of group commits of the same rows."""
    limit = limits.group_commit(folder, encode(message(1, 1)), count)
    async with Brody(home=folder / "turn", agents=[Relay("relay")], settings=Settings(cpu_workers=0)) as brody:
        measured = await relayed(brody, count)
    return [Figure("full turn", measured, "/s", "bare group commit", limit, "0.5")]


async def one_at_a_time(folder: Path, count: int = 300) -> list[Figure]:
    """Measure one message after the other through the full turn, beside half the rate of bare ``fdatasync``."""
    limit, seconds = limits.fdatasync(folder) / 2, []
    async with Brody(home=folder / "single", agents=[Relay("relay")], settings=Settings(cpu_workers=0)) as brody:
        for _ in range(count):
            began = time.perf_counter()
            await brody.send(message(1, 0))
            await brody.drain()
            seconds.append(time.perf_counter() - began)
    seconds.sort()
    return [
        Figure("one at a time", count / sum(seconds), "/s", "half of fdatasync", limit, "0.25"),
        Figure("one at a time, p99", seconds[int(count * 0.99)] * 1000, "ms", wanted="25 ms"),
    ]


async def memory(folder: Path, count: int) -> list[Figure]:
    """Measure what a worker keeps in memory, after a tenth of the messages and after all."""
    this, sizes = psutil.Process(), []
    async with Brody(home=folder / "memory", agents=[Relay("relay")], settings=Settings(cpu_workers=0)) as brody:
        for part in (count // 10, count - count // 10):
            await relayed(brody, part)
            sizes.append(this.memory_info().rss / 1e6)
    beside = f"{sizes[0]:.0f} MB after {count // 10:,}"
    return [Figure(f"memory after {count:,} messages", sizes[1], "MB", beside, wanted="250 MB, flat")]


async def mail(folder: Path, count: int) -> list[Figure]:
    """Measure ``brody run inbox-scan`` on copies of the real messages, as a person would run it."""
    if not MAIL.is_dir():
        return []
    written = _copies(folder / "mail", count)
    command = [str(Path(sys.executable).with_name("brody")), "run", "inbox-scan", "--mail", f"eml:{folder}/mail"]
    began = time.perf_counter()
    subprocess.run([*command, "--home", str(folder / "inbox"), "--json"], stdout=subprocess.DEVNULL, check=True)
    minutes = (time.perf_counter() - began) / 60
    shutil.rmtree(folder / "mail")
    return [Figure(f"inbox-scan, {written:,} mails", written / minutes, "/min", wanted="100,000 /min")]


def _copies(folder: Path, count: int) -> int:
    folder.mkdir()
    files = [path for path in sorted(MAIL.rglob("*")) if path.is_file()]
    for n in range(count):
        data = files[n % len(files)].read_bytes()
        own = re.sub(rb"(?im)^(message-id|in-reply-to)(:\s*<)", rb"\1\2c%d." % (n // len(files)), data)
        (folder / f"{n:06}.eml").write_bytes(own)
    return count
