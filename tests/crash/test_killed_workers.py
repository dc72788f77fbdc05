"""Workers that share the work and are killed: all is handled, no effect is there twice, and order is kept."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from brody_agents.home import prepare_home
from brody_agents.ledger import messages
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Action, ContextValue, Handled, Message, Note, PartitionLease
from brody_agents.policy.autonomy import AutonomySettings
from tests.coordinator.kit import until
from tests.crash.counting import install, steps
from tests.crash.kit import Kit, Run

pytestmark = [pytest.mark.crash, pytest.mark.integration]
EVERY = 10
"""Every which step of a user leads to a draft in a mail account."""


@dataclass
class Team:
    """Workers that are processes of their own, on one home, one Redis and one PostgreSQL."""

    kit: Kit
    home: Path
    mail: Path
    ledger: Ledger

    def start(self, *more: str) -> Run:
        """Start one more worker."""
        return self.kit.start("worker", "--home", self.home, "--mail", f"maildir:{self.mail}", *more)

    async def working(self, count: int) -> None:
        """Wait until so many workers hold partitions, and all of them."""
        await until(lambda: self._holds(count), f"{count} workers")

    async def _holds(self, count: int) -> bool:
        held = await self.held()
        return len(held) == count and sum(held.values()) == 64

    async def held(self) -> Counter[str]:
        """Return how many partitions each worker holds."""
        leases = table(PartitionLease).c
        async with self.ledger.glance() as tx:
            rows = await tx.execute(select(leases.holder).where(leases.holder != ""))
            return Counter(rows.scalars())

    async def send(self, users: list[str], numbers: range) -> None:
        """Write steps to the ledger, as any process may; their users let drafts act."""
        for user in users:
            await AutonomySettings(self.ledger).set("mail.draft", "act", user_id=user)
        for n in numbers:
            batch = steps(users, range(n, n + 1), f"maildir:{self.mail}", EVERY)
            async with self.ledger.write() as tx:
                await messages.write(tx, self.ledger.vault, batch)

    async def left(self) -> int:
        """Return how much is still to be done."""
        async with self.ledger.glance() as tx:
            open_ = (await tx.execute(text("SELECT count(*) FROM messages WHERE open"))).scalar_one()
            states = "('approved', 'executing', 'unknown')"
            busy = (await tx.execute(text(f"SELECT count(*) FROM actions WHERE state IN {states}"))).scalar_one()
        return int(open_ + busy)

    async def count(self, model: type, *where: object) -> int:
        """Return how many rows there are."""
        async with self.ledger.glance() as tx:
            return int((await tx.execute(select(func.count()).select_from(table(model)).where(*where))).scalar_one())  # type: ignore[arg-type]

    def drafts(self) -> Counter[str]:
        """Return how often each draft lies in the mail account, seen from outside."""
        files = [path for name in ("cur", "new") for path in (self.mail / ".Drafts" / name).glob("*")]
        subjects = (re.search(rb"^Subject: (.*?)\r?$", path.read_bytes(), re.MULTILINE) for path in files)
        return Counter(found[1].decode() for found in subjects if found)


@pytest.fixture
async def team(kit: Kit, home: Path, tmp_path: Path, redis_server: Path, database_url: str) -> AsyncIterator[Team]:
    """Return a team that nobody belongs to yet."""
    install(tmp_path / "plug-ins")
    kit.paths = [str(tmp_path / "plug-ins")]
    kit.environment = {
        "BRODY_REDIS_URL": f"unix://{redis_server}",
        "BRODY_DATABASE_URL": database_url,
        "BRODY_CPU_WORKERS": "0",
    }
    mail = tmp_path / "mail"
    for name in ("cur", "new", "tmp"):
        (mail / name).mkdir(parents=True)
    ledger = await Ledger.open(prepare_home(home), database_url)
    yield Team(kit, home, mail, ledger)
    await ledger.close()


async def everything_is_there_once(team: Team, users: list[str], each: int) -> None:
    """Check what a team has done, in the ledger and from outside."""
    total = len(users) * each
    assert await team.count(Message) == await team.count(Handled) == total
    context = table(ContextValue).c
    async with team.ledger.glance() as tx:
        last = {row.user_id: row.value for row in await tx.execute(select(context.user_id, context.value))}
    assert last == dict.fromkeys(users, each)
    assert await team.count(Note) == 0, "nobody has seen a step out of its order"
    states = table(Action).c
    async with team.ledger.glance() as tx:
        rows = await tx.execute(select(states.kind, states.state, func.count()).group_by(states.kind, states.state))
        found = {(kind, state): count for kind, state, count in rows}
    assert found == {("mail.draft", "done"): len(users) * (each // EVERY)}
    wanted = {f"{user} {n}" for user in users for n in range(EVERY, each + 1, EVERY)}
    assert team.drafts() == dict.fromkeys(wanted, 1)


async def killed_in_turn(team: Team, kills: int, pause: float) -> int:
    """Kill one of three workers after the other while there is work, and return how often.

    Each is replaced at once; the next one is killed some seconds after that one has begun to work.
    """
    three = [team.start() for _ in range(3)]
    await team.working(3)
    killed = 0
    for position in cycle(range(3)):
        await until(lambda: all("works on" in run.said for run in three), "three workers")
        due = time.monotonic() + pause
        await until(lambda due=due: time.monotonic() >= due, "the next kill")  # type: ignore[misc]
        if killed == kills or not await team.left():
            break
        three[position].signal(signal.SIGKILL)
        three[position] = team.start()
        killed += 1
    return killed


@pytest.mark.timeout(240)
async def test_three_workers_of_which_one_is_killed_again_and_again(team: Team) -> None:
    """The short form: 6,000 messages, three kills."""
    users = [f"user-{n}" for n in range(60)]
    await team.send(users, range(1, 101))
    assert await killed_in_turn(team, 3, 1.0) == 3
    await finished(team, 150)
    await everything_is_there_once(team, users, 100)


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_twenty_thousand_messages_and_a_kill_every_two_seconds(team: Team) -> None:
    users = [f"user-{n}" for n in range(200)]
    await team.send(users, range(1, 101))
    assert await killed_in_turn(team, 10_000, 2.0) >= 3
    await finished(team, 1200)
    await everything_is_there_once(team, users, 100)


async def finished(team: Team, seconds: float) -> None:
    """Wait until nothing is left to be done."""
    async with asyncio.timeout(seconds):
        while await team.left():
            await team.held()


@pytest.mark.timeout(120)
async def test_what_a_killed_worker_held_is_taken_over_within_ten_seconds(team: Team) -> None:
    killed = team.start()
    await team.working(1)
    team.start()
    await team.working(2)
    began = time.monotonic()
    killed.signal(signal.SIGKILL)
    await team.working(1)
    assert time.monotonic() - began < 10


@pytest.mark.timeout(120)
@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
async def test_a_worker_that_is_told_to_end_hands_over_at_once(team: Team, by: signal.Signals) -> None:
    """It ends with exit code 0, and the other has its partitions in well under a second."""
    first = team.start()
    await team.working(1)
    team.start()
    await team.working(2)
    await team.send(["ada", "bob"], range(1, 30))
    first.signal(by)
    ended = await asyncio.to_thread(first.wait)
    gone = time.monotonic()
    await team.working(1)
    assert time.monotonic() - gone < 1.0
    assert ended.code == 0, ended.err
    await finished(team, 60)
    await everything_is_there_once(team, ["ada", "bob"], 29)


@pytest.mark.timeout(120)
async def test_a_command_beside_the_workers_needs_no_lock(team: Team) -> None:
    """It takes part like one of them, and its run is complete when the ledger says so; each has a run of its own."""
    team.start()
    team.start()
    await team.working(2)
    letter = (
        b"From: ada@lovelace.example\nTo: me@home.example\nSubject: Hello\nMessage-ID: <1@lovelace.example>\n\nHello.\n"
    )
    (team.mail / "cur" / "1:2,S").write_bytes(letter)
    words = ("run", "inbox-scan", "--mail", f"maildir:{team.mail}", "--json", "--home", str(team.home))
    runs = [team.kit.start(*words, "--user", user) for user in ("ada", "ada", "bob")]
    briefs = [json.loads((await asyncio.to_thread(run.wait)).out) for run in runs]
    assert len({brief["run_id"] for brief in briefs}) == 3
    await team.working(2)


def test_a_worker_alone_says_so_and_nobody_waits_for_its_end(kit: Kit, home: Path, tmp_path: Path) -> None:
    kit.environment = {"BRODY_REDIS_URL": "memory:", "BRODY_CPU_WORKERS": "0"}
    worker = kit.start("worker", "--home", home)
    for _ in waited(lambda: (home / "lock").exists() and "stays" in (home / "lock").read_text()):
        worker.process.join(0.02)
    (tmp_path / "mail").mkdir()
    busy = kit.brody("run", "inbox-scan", "--mail", f"eml:{tmp_path / 'mail'}", "--home", home)
    assert busy.code == 1
    assert f"Process {worker.process.pid} works on {home}, until it is stopped. " in busy.err
    worker.signal(signal.SIGTERM)
    ended = worker.wait()
    assert ended.code == 0, ended.err
    assert f"process {worker.process.pid}, alone works on {home}" in ended.err


def waited(holds: object) -> Iterator[None]:
    """Yield until it holds."""
    until_ = time.monotonic() + 30
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < until_
        yield
