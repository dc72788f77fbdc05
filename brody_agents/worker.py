"""A worker: the bus, the coordinator and the executor of one process, put together in one place."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from brody_agents.action import ActionResult, ActionState, AgentAction
from brody_agents.agent import BrodyAgent
from brody_agents.communication.bus.base import Bus, partition_of
from brody_agents.communication.bus.embedded import EmbeddedValkey
from brody_agents.communication.bus.failover import FailoverBus
from brody_agents.communication.bus.memory import MemoryBus
from brody_agents.communication.context_sharing import LaneContext, SharedValues
from brody_agents.communication.message_protocol import AgentMessage, decode, stable_id
from brody_agents.compute import Pool
from brody_agents.context import Context
from brody_agents.coordinator.account_effects.base import AccountSource
from brody_agents.coordinator.account_executor import AccountExecutor
from brody_agents.coordinator.admission import bury_poison
from brody_agents.coordinator.conflict_resolver import ConflictResolver
from brody_agents.coordinator.conflicts.order import installed_rules
from brody_agents.coordinator.coordinator import POLL, Coordinator
from brody_agents.coordinator.executor import Executor
from brody_agents.coordinator.in_hand import InHand
from brody_agents.coordinator.intake import BackPressure, Intake
from brody_agents.coordinator.lanes import Limits
from brody_agents.coordinator.own_agent import CoordinatorAgent
from brody_agents.coordinator.partitions import ALL, Fences, PartitionKeeper, Share, partitions_from
from brody_agents.coordinator.progress import RunBook
from brody_agents.coordinator.questions import Questions
from brody_agents.coordinator.rate_windows import Rate, window_of
from brody_agents.coordinator.resource_manager import ResourceManager
from brody_agents.errors import BusUnavailable, ConfigurationError
from brody_agents.home import HomeLock, WorkerPlace
from brody_agents.ledger import messages, runs
from brody_agents.ledger.actions import Actions
from brody_agents.ledger.dead_letters import Letter
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.outages import AWAY, Outages
from brody_agents.ledger.rest import at_rest
from brody_agents.ledger.retention import Ages, Retention
from brody_agents.ledger.runs import RunRecord
from brody_agents.ledger.views import Reading, views
from brody_agents.observability import logger
from brody_agents.policy.approvals import Approvals, Sweeper
from brody_agents.policy.cards import Cards
from brody_agents.proactive.accounts import zone_named
from brody_agents.proactive.playbooks import playbook
from brody_agents.proactive.playbooks.preparation import prepare
from brody_agents.registry import Registry
from brody_agents.settings import Settings

log = logger(__name__)
_LOOK = 0.1
_RARELY = 200
"""Looks at the progress of a run are this many times as far apart as one takes: half a percent of the time."""
_CACHES = 64


class Worker:
    """Work off a ledger's messages and actions: one for a home at a time, or several that share a PostgreSQL."""

    def __init__(
        self,
        home: Path | None,
        ledger: Ledger,
        registry: Registry,
        pool: Pool,
        settings: Settings,
        accounts: AccountSource,
    ) -> None:
        self._home, self._ledger, self._registry = home, ledger, registry
        self._accounts = accounts
        self._pool, self._settings = pool, settings
        self._exit = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self._caches: dict[tuple[str, str | None], dict[str, Any]] = {}
        self._lock: HomeLock | None = None
        self._place: WorkerPlace | None = None
        self._keeper: PartitionKeeper | None = None
        self._questions = Questions(registry.agents)
        self.share = Share()
        self._outages = Outages()

    async def start(self) -> None:
        """Take the home's lock, or a share of the partitions; start the bus, and begin to work."""
        await self._settle_in()
        road = await self._bus()
        self.bus = bus = FailoverBus(road)
        self._exit.push_async_callback(bus.close)
        self.shared = SharedValues(self._ledger, bus)
        self._book = RunBook(self._ledger, self._steps, zone_named(self._settings.timezone))
        rules, broken = installed_rules()
        self._registry.failures += [failure for failure in broken if failure not in self._registry.failures]
        resolver = ConflictResolver(self._ledger.vault, rules, zone_of=lambda run_id: self._book.clock(run_id)[1])
        own = CoordinatorAgent(self._ledger, self._write_brief, resolver)
        self._registry.agents[own.name] = own
        cards = Cards(self._ledger, timedelta(days=self._settings.approval_days))
        self._sweeper = Sweeper(Approvals(self._ledger, cards, resolver.look), lambda: self.share.among)
        self._coordinator = Coordinator(
            ledger=self._ledger,
            bus=bus,
            registry=self._registry,
            shared=self.shared,
            resolver=resolver,
            runs=self._book,
            cards=cards,
            make_context=self._context,
            wake_executor=self.wake_executors,
            limits=Limits(self._settings.handler_timeout, await self._in_hand(), self._outages),
            share=self.share,
            outages=self._outages,
        )
        publish = self._coordinator.outbox.publish
        self._executor = Executor(self._ledger, self._registry, self._book, publish, self.share, self._outages)
        self._outside = AccountExecutor(
            *(self._ledger, self._registry, self._book, publish, self._accounts),
            recall=self._settings.recall_seconds,
            resources=self._resources(road),
            partitions=frozenset() if self._place else None,
            outages=self._outages,
        )
        pressure = BackPressure(self._ledger, self._settings.backlog_limit, lambda: self._book.closed)
        await pressure.look()
        self._intake = Intake(self._ledger, publish, pressure)
        days = (timedelta(days=days) for days in (self._settings.message_days, self._settings.record_days))
        self._retention = Retention(self._ledger, Ages(*days), lambda: 0 in self.share.partitions)
        bus.on_failover = self._bus_lost
        await self._load()
        with suppress(BusUnavailable):
            await self.shared.restore()
        await self._take_share()
        works = [self._coordinator.run(), self._executor.run(), self._outside.run()]
        works += [self._outages.ride_out(sweeper.run) for sweeper in (self._sweeper, self._retention)]
        self._tasks = [self._task(work) for work in works]
        if self._keeper:
            self._tasks.append(self._task(self._keeper.run()))

    async def stop(self) -> None:
        """Stop, and hand over to the other workers; what is under way stays in the ledger."""
        self._outages.give_up()
        if self._tasks:
            self._coordinator.stop()
            self._executor.stop()
            self._sweeper.stop()
            self._outside.stop()
            self._retention.stop()
        if self._keeper:
            await self._hand_over(self._keeper)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._registry.agents.pop(CoordinatorAgent.name, None)
        await self._exit.aclose()

    async def until(self, event: asyncio.Event) -> None:
        """Go on until an event is set, and let it be known that nobody need wait for an end before."""
        if self._lock:
            self._lock.stay()
        await self._until(_set(event))

    async def look(self) -> None:
        """See at once what was written to the ledger beside the coordinator; have the other workers see it."""
        await self.share.announce(ALL)
        await self._coordinator.outbox.fill(sweep=True)
        self._coordinator.wake()
        self.wake_executors()

    def wake_executors(self) -> None:
        """Have approved actions looked for now."""
        self._executor.wake()
        self._outside.wake()

    def check(self) -> None:
        """Raise what ended the work, if something did."""
        for task in self._tasks:
            if task.done() and not task.cancelled() and (error := task.exception()):
                raise error

    async def ping(self) -> dict[str, Any]:
        """Use the bus once and return what it is."""
        await self.bus.set_shared("doctor", {"ping": (b"1", 1000)})
        return self.bus.describe()

    # -- among other workers ---------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Return what this worker is called."""
        return self._place.name if self._place else f"process {os.getpid()}, alone"

    async def _settle_in(self) -> None:
        """Take the home's lock; a PostgreSQL is shared by workers, which take a place each."""
        if self._home is None:
            return
        if self._settings.database_url:
            self._place = WorkerPlace.take(self._home)
            self._exit.callback(self._place.release)
            return
        if self._settings.partitions:
            what = "BRODY_PARTITIONS is set, and there is no database that workers could share."
            raise ConfigurationError(what, "Set BRODY_DATABASE_URL, or leave the partitions out.")
        self._lock = HomeLock(self._home)
        await self._lock.acquire(self._settings.lock_timeout)
        self._exit.callback(self._lock.release)

    async def _take_share(self) -> None:
        if self._place is None:
            return
        self.bus.on_announcement = self._heard
        allowed = partitions_from(self._settings.partitions)
        keeper = PartitionKeeper(
            *(self._ledger, self._place.name, allowed, self._hold, self._outside.at_work, self.bus.announce),
            outages=self._outages,
        )
        self.share.fences, self.share.announce, self.share.lost = {}, self.bus.announce, keeper.lost
        self._keeper = keeper
        await keeper.start()

    async def _hold(self, fences: Fences) -> None:
        """Work on these partitions from now on."""
        await self._coordinator.hold(fences)
        await self._outside.hold(frozenset(fences))
        self.wake_executors()

    def _heard(self, partitions: frozenset[int]) -> None:
        """See what another process has written, or that the division of the work has changed."""
        if not partitions and self._keeper:
            self._keeper.look()
        if partitions & self.share.partitions:
            self._coordinator.outbox.look()
            self._coordinator.wake()
            self.wake_executors()

    async def _hand_over(self, keeper: PartitionKeeper) -> None:
        """Give the leases up when the last turn has ended; until then they are kept."""
        keeper.close()
        if self._tasks:
            await asyncio.gather(*self._tasks[:-1], return_exceptions=True)
        keeper.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await keeper.leave()

    # -- messages and actions -------------------------------------------------------------------------

    async def send(self, message: AgentMessage) -> None:
        """Write a message to the backlog, with those sent at the same time, and publish it.

        Raises ``Overloaded`` when the backlog is longer than its limit.
        """
        await self._ledger.ensure_users({message.user_id})
        await self._intake.put(message)

    async def send_again(self, letter: Letter) -> None:
        """Send the message that a dead letter's bytes are; raise ``ProtocolError``."""
        message = decode(letter.body, self._registry.payloads).untrusted()
        if letter.code == "id_taken":
            message = message.model_copy(update={"id": stable_id("replayed", letter.id)})
        await self.send(message)

    async def drain(self) -> None:
        """Wait until nothing is due any more."""
        await self._until(self._drained())

    async def execute(self, action: AgentAction, user_id: str) -> ActionResult:
        """Propose an action for a user and see it through as far as it goes by itself."""
        await self._ledger.ensure_users({user_id})
        proposed = await self._coordinator.propose(action, user_id)
        if not self.share.has(user_id):
            await self.share.announce({partition_of(user_id)})
        await self._until(self._carried_out(proposed.id))
        found = await Actions(self._ledger).show(proposed.id)
        return ActionResult(
            action_id=found.id, kind=found.kind, state=found.state, reason=found.reason, result=found.result or {}
        )

    async def see_through(self, action_id: str) -> None:
        """Wait until an action has ended, is unknown, or has to wait for its time."""

        async def is_through() -> bool:
            action = await Actions(self._ledger).show(action_id)
            at_it = action.state in (ActionState.APPROVED, ActionState.EXECUTING)
            return not at_it or (action.not_before is not None and action.not_before > datetime.now(UTC))

        self.wake_executors()
        await self._until(self._settled(is_through))

    async def follow(self, action_id: str) -> None:
        """Wait until an action is neither approved nor under way, nor waits to be closed by the person's word."""

        async def is_over() -> bool:
            action = await Actions(self._ledger).show(action_id)
            closing = action.state is ActionState.UNKNOWN and action.settled is not None
            return not closing and action.state not in (ActionState.APPROVED, ActionState.EXECUTING)

        await self._until(self._settled(is_over))

    # -- runs -----------------------------------------------------------------------------------------

    async def begin(self, run: RunRecord) -> None:
        """Have a run's first step sent, all its accounts being read."""
        self._caches.clear()
        self._book.add({run.id: run})
        async with self._ledger.write() as tx:
            await runs.change(tx, run.id, state=runs.WORKING, problems=run.problems)
            if not run.dry_run:
                await self._coordinator.promote(tx, run.user_id)
            following = await self._book.advance(tx, [run.id])
            await messages.write(tx, self._ledger.vault, following.messages)
        self._book.note(following.completed, closed=())
        await self.share.announce({partition_of(run.user_id)})
        await self._coordinator.outbox.fill(sweep=True)
        self._coordinator.wake()
        self.wake_executors()

    async def finish(self, run: RunRecord, progress: Callable[[str, int, int | None], None]) -> None:
        """Wait until a run is complete."""
        over = asyncio.Event()
        reporter = asyncio.create_task(self._report(run.id, progress, over))
        try:
            await self._until(self._completed(run.id))
        finally:
            over.set()
            await asyncio.gather(reporter, return_exceptions=True)

    async def _report(self, run_id: str, progress: Callable[[str, int, int | None], None], over: asyncio.Event) -> None:
        now = asyncio.get_running_loop().time
        while not over.is_set():
            since = now()
            async with self._ledger.read() as tx:
                closed, total = await messages.progress(tx, run_id)
            pause = max(_LOOK, min(1.0, _RARELY * (now() - since)))
            progress("agents at work", closed, total)
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), pause)

    # -- the parts --------------------------------------------------------------------------------------

    async def _bus(self) -> Bus:
        url, broker = self._settings.redis_url, self._settings.bus_url
        prefix = f"brody:{self._ledger.vault.mark}"
        if self._home is not None and broker:
            from brody_agents.communication.bus.brokers import broker_bus

            return broker_bus(broker, prefix=prefix, values=self._redis(url, prefix) or MemoryBus())
        if self._home is None or url == "memory:" or (self._place and not url):
            return MemoryBus()
        from brody_agents.communication.bus.redis_streams import RedisStreamsBus

        if bus := self._redis(url, prefix):
            return bus
        try:
            server = await EmbeddedValkey.of_home(self._home)
        except BusUnavailable as error:
            log.warning("no embedded server: using the in-memory bus", error=str(error))
            return MemoryBus()
        self._exit.push_async_callback(server.stop)
        return RedisStreamsBus(server.client(), prefix=prefix, where=str(server.socket))

    def _resources(self, road: Bus) -> ResourceManager:
        """Return what keeps effects within budgets, rates and circuit breakers."""
        alone = self._home is None or not self._settings.database_url
        window = window_of(road, 1) if alone else window_of(road)
        rates = {account: Rate.of(text) for account, text in self._settings.rates.items()}
        return ResourceManager(self._ledger, window, rates=rates)

    @staticmethod
    def _redis(url: str, prefix: str) -> Bus | None:
        if url in ("", "memory:"):
            return None
        from brody_agents.communication.bus.redis_streams import RedisStreamsBus, client_of

        return RedisStreamsBus(client_of(url), prefix=prefix, where=url.rpartition("@")[2])

    async def _in_hand(self) -> InHand | None:
        """Open the note of what is in hand, having buried what has ended too many processes."""
        if self._home is None:
            return None
        in_hand = InHand(self._place.in_hand if self._place else self._home / "in-hand")
        self._exit.callback(in_hand.close)
        await bury_poison(self._ledger, in_hand.left(), self._settings.poison_after, self._registry)
        return in_hand

    def _bus_lost(self) -> None:
        self._coordinator.outbox.forget()
        self._coordinator.wake()

    def _context(self, agent: BrodyAgent, batch: Sequence[AgentMessage], values: LaneContext) -> Context:
        user_id, run_id = batch[0].user_id, batch[0].run_id
        now, zone = self._book.clock(run_id)
        run = self._book.get(run_id)
        cache = self._cache(user_id, run_id)
        reading = Reading(self._ledger, user_id, zone, run.accounts if run else None, cache=cache)
        return Context(
            agent=agent.name,
            messages=batch,
            now=now,
            timezone=zone,
            views=views(reading),
            shared=values,
            compute=self._pool.call,
            questions=self._questions,
            read=reading.seen,
            output_limit=self._settings.output_limit,
        )

    def _cache(self, user_id: str, run_id: str | None) -> dict[str, Any]:
        """Return what was read for a run; among others, what is no run's may have been changed by now."""
        if not self.share.alone and (run_id is None or len(self._caches) >= _CACHES):
            self._caches.clear()
        return self._caches.setdefault((user_id, run_id), {})

    async def _write_brief(self, ctx: Context, run_id: str) -> Any:
        async with self._ledger.read() as tx:
            run = (await runs.load(tx, [run_id]))[run_id]
        brief = await prepare(self._ledger, run, ctx)
        return brief.model_dump(mode="json", by_alias=True)

    @staticmethod
    def _steps(run: RunRecord) -> list[tuple[str, Any]]:
        return [(step.recipient, step.payload(run)) for step in playbook(run.playbook).steps]

    async def _load(self) -> None:
        """Know the users of what is open, and the runs under way."""
        async with self._ledger.read() as tx:
            users = await messages.open_users(tx)
            self._book.add(await runs.under_way(tx))
        await self._ledger.ensure_users(users)

    # -- waiting ----------------------------------------------------------------------------------------

    def _task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.create_task(work)

    async def _until(self, condition: Coroutine[Any, Any, None]) -> None:
        """Wait for a condition, or raise what ended the work."""
        waiting = asyncio.ensure_future(condition)
        try:
            await asyncio.wait({waiting, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                self.check()
            await waiting
        finally:
            waiting.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(waiting, return_exceptions=True)

    async def _drained(self) -> None:
        await self._settled(self._is_drained)

    async def _is_drained(self) -> bool:
        return await at_rest(self._ledger)

    async def _completed(self, run_id: str) -> None:
        """Wait until a run is complete, whichever worker completes it."""

        async def is_complete() -> bool:
            async with self._ledger.glance() as tx:
                return (await runs.load(tx, [run_id]))[run_id].state == runs.COMPLETE

        if not self.share.alone:
            return await self._settled(is_complete)
        while True:  # what completed it may not know so, where its commit was not answered
            with suppress(*AWAY, TimeoutError):
                return await asyncio.wait_for(self._book.completion(run_id), POLL)
            with suppress(*AWAY):
                if await is_complete():
                    return None

    async def _carried_out(self, action_id: str) -> None:
        async def is_carried_out() -> bool:
            action = await Actions(self._ledger).show(action_id)
            return action.put_off or action.state not in (ActionState.APPROVED, ActionState.EXECUTING)

        await self._settled(is_carried_out)

    async def _settled(self, holds: Callable[[], Awaitable[bool]]) -> None:
        """Wait until a condition holds, looking again after every transaction, and from time to time."""
        while True:
            change = self._book.next_change()
            with suppress(*AWAY):  # the work goes on when it is back, and so does waiting for it
                if await holds():
                    return
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL if self.share.alone else _LOOK):
                    await change.wait()


async def _set(event: asyncio.Event) -> None:
    await event.wait()
