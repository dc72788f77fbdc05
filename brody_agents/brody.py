"""Brody, the front door: CLI, API and tests all come through it; nothing is global."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from brody_agents.action import ActionResult, AgentAction
from brody_agents.agent import BrodyAgent
from brody_agents.communication.message_protocol import COORDINATOR, AgentMessage, new_context
from brody_agents.compute import Pool
from brody_agents.context import UserContext
from brody_agents.coordinator.conflict_resolver import ConflictResolver
from brody_agents.coordinator.undoing import Actions, Runs
from brody_agents.errors import BrodyError, ConfigurationError, HomeBusy
from brody_agents.home import prepare_home
from brody_agents.ledger import runs
from brody_agents.ledger.actions import BUSY
from brody_agents.ledger.budgets import Budgets
from brody_agents.ledger.dead_letters import DeadLetters, Letter
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.runs import RunRecord
from brody_agents.ledger.track_records import TrackRecords
from brody_agents.policy.approvals import Approvals
from brody_agents.policy.autonomy import AutonomySettings
from brody_agents.policy.cards import Cards
from brody_agents.proactive.accounts import Accounts, AccountsLike, Opened, Problem, zone_named
from brody_agents.proactive.playbooks import Playbook, playbook
from brody_agents.proactive.playbooks.brief import Brief, Timing
from brody_agents.proactive.watchers import Watcher
from brody_agents.registry import PluginFailure, Registry
from brody_agents.settings import Settings, settings_from_environment
from brody_agents.worker import Worker

LOOKS = 100
"""How often to look, ten times a second, whether another process that works on the home has undone an action."""
Progress = Callable[[str, int, int | None], None]
"""Called with (what is done now, how much of it, of how much)."""


def _silent(stage: str, done: int, total: int | None) -> None:
    return None


class Brody:
    """Agents over accounts, with one coordinator.

    ``home`` is a folder for the ledger; ``None`` keeps everything in memory and touches no disk. ``accounts`` maps
    ``mail``, ``calendar``, ``files``, ``contacts`` and ``tasks`` to a source word (``"maildir:~/Maildir"``), an
    object that implements the domain's protocol, or a list of these. ``agents`` are the agents; ``None`` for all
    that are installed. ``models`` is for language models, which no agent uses yet.
    """

    def __init__(
        self,
        home: str | Path | None = None,
        accounts: AccountsLike | None = None,
        agents: Sequence[BrodyAgent] | None = None,
        models: Mapping[str, Any] | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.settings = settings or settings_from_environment()
        self.registry = Registry.of(agents)
        self.models = dict(models or {})
        self._home = None if home is None else prepare_home(home)
        self._accounts = Accounts(accounts or {})
        self._exit = AsyncExitStack()
        self._ledger: Ledger | None = None
        self._worker: Worker | None = None
        self._starting = asyncio.Lock()
        self._delivered: set[str] = set()
        self._running: dict[tuple[str, str], asyncio.Lock] = {}
        """One run of a playbook at a time for each user: the next one reads what the one before has left."""

    async def __aenter__(self) -> Self:
        """Open the ledger; the bus and the coordinator start when there is work."""
        self._ledger = await Ledger.open(self._home, self.settings.database_url if self._home else "")
        self._exit.push_async_callback(self._ledger.close)
        self._exit.push_async_callback(self._deliver)
        self._pool = Pool(self.settings.cpu_workers)
        self._exit.push_async_callback(self._pool.close)
        self._exit.push_async_callback(self._accounts.close)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop work; what is not done stays in the ledger for the next time."""
        try:
            await self._exit.aclose()
        finally:
            self._ledger = self._worker = None

    @property
    def home(self) -> Path | None:
        """Return the folder of the home; ``None`` in memory."""
        return self._home

    @property
    def ledger(self) -> Ledger:
        """Return the ledger; raise ``ConfigurationError`` before it is opened and after it is closed."""
        if self._ledger is None:
            raise ConfigurationError("Brody is not open.", "Use it as `async with Brody(...) as brody:`.")
        return self._ledger

    # -- what there is ------------------------------------------------------------------------------

    @property
    def agents(self) -> list[BrodyAgent]:
        """Return the agents, without the coordinator's own."""
        return [agent for name, agent in self.registry.agents.items() if name != COORDINATOR]

    @property
    def left_out(self) -> list[PluginFailure]:
        """Return the plug-ins that could not be loaded."""
        return self.registry.failures

    @property
    def actions(self) -> Actions:
        """Return the actions of the ledger, and ways to undo them and to say what became of them."""
        return Actions(self.ledger, self.registry, self._see_through, self._decided)

    async def _see_through(self, action_id: str) -> None:
        """Have carried out what was asked for, by this process or by the one that works on the home."""
        try:
            await (await self._work(lock_timeout=0)).see_through(action_id)
        except HomeBusy:
            for _ in range(LOOKS):
                if (await self.actions.show(action_id)).state not in BUSY:
                    return
                await asyncio.sleep(0.1)

    @property
    def track_records(self) -> TrackRecords:
        """Return what the person made of each agent's proposals, which is what their opinions weigh."""
        return TrackRecords(self.ledger)

    @property
    def approvals(self) -> Approvals:
        """Return the cards that wait for the person, and a way to answer them; no worker is needed for either."""
        cards = Cards(self.ledger, timedelta(days=self.settings.approval_days))
        return Approvals(self.ledger, cards, ConflictResolver(self.ledger.vault).look, self._decided)

    async def _decided(self) -> None:
        if self._worker is not None:  # another process's worker finds it in the ledger
            await self._worker.look()

    @property
    def autonomy(self) -> AutonomySettings:
        """Return how far each user lets each kind of action go by itself."""
        return AutonomySettings(self.ledger)

    @property
    def dead_letters(self) -> DeadLetters:
        """Return the dead letters of the ledger."""
        return DeadLetters(self.ledger)

    @property
    def budgets(self) -> Budgets:
        """Return the budgets of the ledger; days and months begin in the zone of the settings."""
        return Budgets(self.ledger, zone_named(self.settings.timezone).key)

    @property
    def runs(self) -> Runs:
        """Return the runs of the ledger, and a way to undo them."""
        return Runs(self.ledger, self.actions)

    async def context(self, user_id: str = "me") -> UserContext:
        """Return what all agents know of a user."""
        await self.ledger.ensure_users({user_id})
        worker = await self._work()
        values = await worker.shared.all(user_id)
        zone = zone_named(self.settings.timezone)
        return UserContext(user_id=user_id, now=datetime.now(zone), timezone=zone.key, values=values)

    async def bus(self) -> dict[str, Any]:
        """Start to work and return which bus is used, and where."""
        return await (await self._work()).ping()

    async def worker_name(self) -> str:
        """Start to work and return what this worker is called among those that share the ledger."""
        return (await self._work()).name

    # -- what can be done ---------------------------------------------------------------------------

    async def send(self, message: AgentMessage) -> str:
        """Take a message into the backlog, durably, and return its id. From outside, nothing of it is trusted."""
        worker = await self._work()
        await worker.send(message.untrusted())
        return message.id

    async def drain(self) -> None:
        """Wait until every message that is due is handled and every approved action carried out."""
        await (await self._work()).drain()

    async def work(self, until: asyncio.Event) -> None:
        """Work on whatever there is until an event is set; raise what ended the work before."""
        await (await self._work()).until(until)

    async def execute(self, action: AgentAction, *, user_id: str = "me") -> ActionResult:
        """Propose an action in a user's name and return what became of it, as far as it goes without a person."""
        return await (await self._work()).execute(action, user_id)

    async def follow(self, action_id: str) -> None:
        """Wait until an approved action, held or not, was tried or withdrawn, or one that was settled is closed."""
        await (await self._work()).follow(action_id)

    async def replay(self, letter_id: str) -> Letter:
        """Put a dead letter back in the backlog; an item of an account is read again by the next run.

        Raises ``ProtocolError`` for bytes that are no message now either; they stay a dead letter.
        """
        letter = await self.dead_letters.show(letter_id)
        if letter.message_id is None and letter.item_id is None:
            await (await self._work()).send_again(letter)
        return await self.dead_letters.reopen(letter.id)

    async def run(
        self,
        name: str,
        *,
        user_id: str = "me",
        now: datetime | None = None,
        timezone: str | None = None,
        dry_run: bool = False,
        progress: Progress = _silent,
    ) -> Brief:
        """Run a playbook and return its brief.

        ``now`` is the time that agents reason with (a naive one is in ``timezone``). A run of the same kind that
        was stopped half-way goes on with its id. Raises the account's error if not one account could be read.
        """
        began = time.monotonic()
        book = playbook(name)
        _require_user(user_id)
        zone = zone_named(timezone or self.settings.timezone)
        at = None if now is None else _in_reach(now if now.tzinfo else now.replace(tzinfo=zone))
        worker = await self._work()
        await self.ledger.ensure_users({user_id})
        wanted = RunRecord(
            id=runs.new_id(),
            user_id=user_id,
            playbook=name,
            now=at or datetime.now(UTC),
            timezone=zone.key,
            dry_run=dry_run,
            started_at=datetime.now(UTC),
        )
        alone = self.ledger.only_one(f"{name} for {user_id}", self.settings.lock_timeout)
        async with self._running.setdefault((user_id, name), asyncio.Lock()), alone:
            brief = await self._run(worker, book, wanted, at is None, progress)
        return brief.model_copy(update={"timing": Timing(seconds=round(time.monotonic() - began, 3))})

    async def _run(
        self, worker: Worker, book: Playbook, wanted: RunRecord, any_time: bool, progress: Progress
    ) -> Brief:
        accounts = await self._accounts.open(self.ledger, wanted.user_id, book.reads)
        run = await self._begun(worker, replace(wanted, accounts=accounts.keys(book.reads)), any_time=any_time)
        if run.state != runs.COMPLETE:
            await self._read_accounts(worker, run, book, accounts, progress)
            await worker.finish(run, progress)
        brief = await self._brief(run.id)
        self._delivered.add(run.id)
        if not worker.share.alone:
            await self._deliver()  # else the next process to run it would be given this brief
        return brief

    async def _begun(self, worker: Worker, wanted: RunRecord, *, any_time: bool) -> RunRecord:
        """Return the run to go on with: one like it whose process was stopped, or a new one.

        Other runs of the playbook that were stopped are brought to their end first, each with its own time.
        """
        async with self.ledger.read() as tx:
            stopped = await runs.undelivered(tx, wanted.user_id, wanted.playbook)
        stopped = [run for run in stopped if run.id not in self._delivered]
        chosen = next((run for run in stopped if _alike(run, wanted, any_time)), None)
        for run in stopped:
            if run is not chosen and run.state != runs.COMPLETE:
                await self._working(worker, run, [])
                await worker.finish(run, _silent)
        if chosen is None:
            async with self.ledger.write() as tx:
                await runs.start(tx, wanted)
        return chosen or wanted

    async def _read_accounts(
        self, worker: Worker, run: RunRecord, book: Playbook, accounts: Opened, progress: Progress
    ) -> None:
        if run.state != runs.SYNCING:
            await self._working(worker, run, run.problems)
            return
        watcher = Watcher(self.ledger, self._pool)
        problems = list(accounts.problems)
        for domain in book.reads:
            for provider in accounts.of(domain):
                count = _Counter(progress, f"reading {domain}")
                error = await watcher.read(run, domain, provider, count)
                if error is not None:
                    problems.append(Problem(provider.account, error))
        if len(problems) - len(accounts.problems) == len(run.accounts):
            await self._failed(run, problems)
        await self._working(worker, run, [p.as_json() for p in problems])

    async def _deliver(self) -> None:
        """Note, at the very end, which briefs the caller has got: a process killed before gives them again."""
        if self._delivered:
            async with self.ledger.write() as tx:
                await runs.deliver(tx, self._delivered)

    async def _failed(self, run: RunRecord, problems: list[Problem]) -> None:
        async with self.ledger.write() as tx:
            await runs.change(tx, run.id, state=runs.FAILED, problems=[p.as_json() for p in problems])
        raise problems[-1].error

    async def _working(self, worker: Worker, run: RunRecord, problems: list[dict[str, Any]]) -> None:
        await worker.begin(replace(run, state=runs.WORKING, problems=problems))

    async def _brief(self, run_id: str) -> Brief:
        data = await self.runs.brief(run_id)
        if data is None:
            raise BrodyError(f"Run {run_id} ended without a brief.", "See: brody dead-letters list")
        return Brief.model_validate(data)

    async def _work(self, **settings: Any) -> Worker:
        """Start to work: take the home's lock, start bus, coordinator and executor; settings are for this start."""
        ledger = self.ledger
        async with self._starting:
            if self._worker is None:
                how = self.settings.model_copy(update=settings)
                worker = Worker(self._home, ledger, self.registry, self._pool, how, self._accounts)
                self._exit.push_async_callback(worker.stop)
                try:
                    await worker.start()
                except BaseException:
                    await worker.stop()  # the home is free for the next try
                    raise
                self._worker = worker
        self._worker.check()
        return self._worker


def _require_user(user_id: str) -> None:
    try:
        new_context(user_id)
    except ValueError as error:
        raise ConfigurationError(f"{user_id[:80]!r} is no user.", "Give an id of 1 to 512 characters.") from error


def _in_reach(now: datetime) -> datetime:
    """Return a time that can be reasoned with, years before and after it."""
    if not 1970 <= now.year <= 9000:
        raise ConfigurationError(f"The time {now.isoformat()} is out of reach.", "Give one from 1970 to 9000.")
    return now


class _Counter:
    """Add up what was read for the progress callback."""

    def __init__(self, progress: Progress, stage: str) -> None:
        self._progress, self._stage, self._done = progress, stage, 0

    def __call__(self, more: int) -> None:
        self._done += more
        self._progress(self._stage, self._done, None)


def _alike(run: RunRecord, wanted: RunRecord, any_time: bool) -> bool:
    """Say whether a stopped run is the one that is wanted now."""
    same = (run.timezone, run.dry_run, run.accounts) == (wanted.timezone, wanted.dry_run, wanted.accounts)
    if any_time:
        return (
            same
            and run.state != runs.COMPLETE
            and run.now.astimezone(run.zone).date() == wanted.now.astimezone(wanted.zone).date()
        )
    return same and run.now == wanted.now
