"""The coordinator and its turn: decode, drop, expire, handle, judge, commit once, publish, acknowledge.

A turn commits the outcomes that are ready; a handler that still runs joins a later turn. All that a handler put
out is committed in one transaction, together with the fact that its message was handled.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.action import ActionState, AgentAction
from brody_agents.communication.bus.base import SharedBus, partition_of
from brody_agents.communication.context_sharing import LaneContext, SharedValues
from brody_agents.communication.message_protocol import PERSON
from brody_agents.coordinator.admission import Admission, Decoded, burial
from brody_agents.coordinator.conflict_resolver import ConflictResolver
from brody_agents.coordinator.lanes import ATTEMPTS, Delivery, Failure, Finished, Lane, Limits, MakeContext, failure_of
from brody_agents.coordinator.outbox import Outbox
from brody_agents.coordinator.partitions import Fences, Share
from brody_agents.coordinator.progress import RunBook
from brody_agents.coordinator.proposals import in_account, mail_without_account, proposal_record, record
from brody_agents.errors import BusUnavailable, Retryable, Unwritable, said
from brody_agents.ledger import autonomy, items, partitions
from brody_agents.ledger import messages as backlog
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.dead_letters import bury
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.messages import Stored
from brody_agents.ledger.outages import Outages
from brody_agents.ledger.scopes import scopes
from brody_agents.policy import audit
from brody_agents.policy.audit import AuditEvent
from brody_agents.policy.autonomy import judged_by
from brody_agents.policy.cards import Cards
from brody_agents.registry import Registry

POLL = 1.0
"""Seconds between looks at the backlog for what the wake-ups missed."""


@dataclass(slots=True)
class Turn:
    """What one transaction has written, for what follows it."""

    settled: list[Finished] = field(default_factory=list)
    lost: list[Finished] = field(default_factory=list)
    raced: list[Delivery] = field(default_factory=list)
    """Those of the lost that did lose a race; the others only came behind them."""
    shaken: list[Lane] = field(default_factory=list)
    """Lanes that lost a race: whatever else they have made was made on top of what is void."""
    closed: list[str] = field(default_factory=list)
    postponed: list[str] = field(default_factory=list)
    """Messages that no agent is at any more and that one will try again later."""
    outgoing: list[Stored] = field(default_factory=list)
    actions: list[ActionRecord] = field(default_factory=list)
    completed: set[str] = field(default_factory=set)


class Coordinator:
    """Work the messages off; one of them works on a home at a time."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        bus: SharedBus,
        registry: Registry,
        shared: SharedValues,
        resolver: ConflictResolver,
        runs: RunBook,
        cards: Cards,
        make_context: MakeContext,
        wake_executor: Callable[[], None],
        limits: Limits | None = None,
        share: Share | None = None,
        outages: Outages | None = None,
    ) -> None:
        self._ledger = ledger
        self._bus = bus
        self._registry = registry
        self._shared = shared
        self._resolver = resolver
        self._runs = runs
        self._cards = cards
        self._make_context = make_context
        self._wake_executor = wake_executor
        self._limits = limits or Limits()
        self.share = share or Share()
        self._outages = outages or Outages()
        self.outbox = Outbox(ledger, bus, self.share, self._outages)
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._admission = Admission(ledger, bus, registry, self.outbox, self.share, self._outages)
        self._ready: list[Finished] = []
        self._something = asyncio.Event()
        self._reading: asyncio.Task[list[Decoded]] | None = None
        self._stopping = self._running = False
        self._change: tuple[Fences, asyncio.Future[None]] | None = None

    async def run(self) -> None:
        """Take turns until ``stop``."""
        self._running = True
        try:
            await self.outbox.fill(sweep=True)
            while not self._stopping:
                await self.turn()
        finally:
            await self._give_up()

    def stop(self) -> None:
        """End after the turn under way; handlers that still run are given up, the ledger has their messages."""
        self._stopping = True
        self.wake()

    async def turn(self) -> None:
        """Take one turn."""
        deliveries = await self._admission.admit(await self._arrivals())
        deliveries += await self._admission.refuse(self.outbox.take_refused())
        runs = {d.message.run_id for d in deliveries if d.message.run_id}
        await self._outages.ride_out(lambda: self._runs.know(runs))
        self._dispatch(deliveries)
        finished = self._take_ready()
        if finished:
            turn = await self._committed(finished)
            await self._after(turn)
        await self.outbox.fill()
        await self._follow_change()

    async def hold(self, fences: Fences) -> None:
        """Work on these partitions and no others, from the end of the turn under way on; return when that is so."""
        done = asyncio.get_running_loop().create_future()
        self._change = (fences, done)
        if self._running:
            self.wake()
            await done
        else:
            await self._follow_change()

    async def _follow_change(self) -> None:
        if self._change is None:
            return
        (fences, done), self._change = self._change, None
        before, self.share.fences = self.share.fences or {}, fences
        try:
            await self._let_go({p for p, fence in before.items() if fences.get(p) != fence})
            await self._bus.hold(fences)
            if set(fences.items()) - set(before.items()):
                await self.outbox.fill(sweep=True)
        except BaseException:
            done.cancel()  # whoever waits must not wait for ever
            raise
        done.set_result(None)

    async def _let_go(self, partitions: Collection[int]) -> None:
        """Give up what is under way in partitions; the ledger has it for whoever holds them next."""
        lanes = [self._lanes.pop(key) for key in list(self._lanes) if partition_of(key[0]) in partitions]
        await asyncio.gather(*(lane.stop() for lane in lanes))
        self._admission.let_go(partitions)
        self.outbox.let_go(partitions)

    def wake(self) -> None:
        """Have the next turn begin now."""
        self._something.set()

    async def propose(self, action: AgentAction, user_id: str) -> ActionRecord:
        """Settle an action that came from outside any message, in the user's name."""
        proposed = record(action, OUTSIDE, user_id, cause=action.cause or str(uuid.uuid4()))
        async with self._ledger.write() as tx:
            (labelled,) = await self._labelled(tx, [proposed])
            await self._note(tx, await self._resolver.settle(tx, [labelled]))
        self._wake_executor()
        return labelled

    async def promote(self, tx: AsyncConnection, user_id: str) -> None:
        """Take what dry runs only observed for proposed now."""
        await self._note(tx, await self._resolver.promote(tx, user_id))

    async def _note(self, tx: AsyncConnection, settled: Sequence[ActionRecord]) -> None:
        """Write the audit of what was settled, and the cards of what waits for the person."""
        await audit.append(tx, map(_proposed, settled))
        await self._cards.make(tx, settled)

    # -- in -----------------------------------------------------------------------------------------

    async def _arrivals(self) -> list[Decoded]:
        """Return new entries as soon as there are some, or none as soon as an outcome is ready.

        The next ones are read and decoded meanwhile, while the turn waits for the disk.
        """
        if self._reading is None:
            self._reading = self._read_on()
        if not self._ready:
            ready = asyncio.create_task(self._something.wait(), name="outcome ready")
            try:
                due = self.outbox.seconds_until_due()
                await asyncio.wait({self._reading, ready}, timeout=due, return_when=asyncio.FIRST_COMPLETED)
            finally:
                ready.cancel()
        else:
            await asyncio.sleep(0)
        self._something.clear()
        if not self._reading.done():
            return []
        reading, self._reading = self._reading, None if self._stopping else self._read_on()
        return reading.result()

    def _read_on(self) -> asyncio.Task[list[Decoded]]:
        async def read() -> list[Decoded]:
            return self._admission.decoded(await self._bus.read(timeout=POLL))

        return asyncio.create_task(read(), name="bus read")

    def _dispatch(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            if delivery.agent:
                self._lane(delivery.message.user_id, delivery.agent).put(delivery)
            else:
                self._finish(Finished(NO_LANE, [delivery]))

    def _lane(self, user_id: str, agent: str) -> Lane:
        lane = self._lanes.get((user_id, agent))
        if lane is None:
            values = LaneContext(self._shared, user_id)
            lane = Lane(user_id, self._registry.agents[agent], values, self._make_context, self._finish, self._limits)
            self._lanes[user_id, agent] = lane
        return lane

    def _finish(self, finished: Finished) -> None:
        self._ready.append(finished)
        self._something.set()

    def _take_ready(self) -> list[Finished]:
        """Return the outcomes that are ready, without those of messages that were let go."""
        ready, self._ready = self._ready, []
        return ready if self.share.alone else [f for f in ready if self._is_mine(f)]

    def _is_mine(self, finished: Finished) -> bool:
        lane = self._lanes.get((_user(finished), _agent(finished)), NO_LANE)
        return lane is finished.lane and all(d.message.id in self._admission.open for d in finished.deliveries)

    # -- the transaction ----------------------------------------------------------------------------

    async def _committed(self, finished: Sequence[Finished]) -> Turn:
        """Commit outcomes, when the database is there."""

        async def work() -> Turn:
            return await self._commit(finished)

        return await self._outages.ride_out(work)

    async def _commit(self, finished: Sequence[Finished]) -> Turn:
        """Commit outcomes together; one that cannot be written is a failure, and harms no other."""
        try:
            return await self._transaction(finished)
        except (Retryable, OSError):
            raise  # nobody's fault here
        except Exception:
            writable = [await self._writable(f) for f in finished]
            if writable == list(finished):
                raise  # the ledger's own fault
            return await self._transaction(writable)

    async def _writable(self, finished: Finished) -> Finished:
        """Return an outcome that can be written by itself, or the failure that says why it cannot be."""
        try:
            with suppress(_Tried):
                async with self._ledger.write() as tx:
                    await self._written(tx, [finished])
                    raise _Tried  # the only end of a write transaction that keeps nothing
        except (Retryable, OSError):
            raise
        except Exception as error:
            failure = failure_of(_agent(finished), Unwritable(f"What it put out cannot be written: {said(error)}"))
            return Finished(finished.lane, finished.deliveries, failure=failure)
        return finished

    async def _transaction(self, finished: Sequence[Finished]) -> Turn:
        async with self._ledger.write(within=_scopes(finished)) as tx:
            return await self._written(tx, finished)

    async def _written(self, tx: AsyncConnection, finished: Sequence[Finished]) -> Turn:
        """Write outcomes: claims, verdicts, messages, context, handled, audit."""
        turn = Turn()
        finished = await self._held(tx, finished)
        await self._settle_context(tx, finished, turn)
        await self._resolver.withdraw(tx, [(w.by, w) for f in turn.settled for w in f.outcome.withdrawals])
        judged = await self._judged(tx, turn.settled)
        turn.actions = await self._resolver.settle(tx, judged)
        await self._cards.make(tx, turn.actions)
        turn.outgoing = await self._write(tx, turn.settled)
        for f in turn.settled:
            for write in f.outcome.writes:
                await write(tx)
        await self._mark(tx, turn)
        await audit.append(tx, [*map(_proposed, turn.actions), *_failed(turn.settled)])
        following = await self._runs.advance(tx, _runs(turn.settled))
        turn.outgoing += await backlog.write(tx, self._ledger.vault, following.messages)
        turn.completed = following.completed
        return turn

    async def _write(self, tx: AsyncConnection, settled: Sequence[Finished]) -> list[Stored]:
        encoded = {i: data for f in reversed(settled) for i, data in f.outcome.encoded.items()}  # the first one counts
        return await backlog.write(tx, self._ledger.vault, [m for f in settled for m in f.outcome.messages], encoded)

    async def _held(self, tx: AsyncConnection, finished: Sequence[Finished]) -> Sequence[Finished]:
        """Drop outcomes of partitions that another worker has taken over; none can be until this transaction ends."""
        if self.share.fences is None:
            return finished
        fences = {p: self.share.fences.get(p, -1) for p in (partition_of(_user(f)) for f in finished)}
        held = await partitions.held(tx, fences)
        if held != fences.keys():
            self.share.lost(fences.keys() - held)
        return [f for f in finished if partition_of(_user(f)) in held]

    async def _settle_context(self, tx: AsyncConnection, finished: Sequence[Finished], turn: Turn) -> None:
        """Sort out what was handled before, what lost a race on shared context, and what won."""
        done = await backlog.done(tx, {d.message.id for f in finished for d in f.deliveries})
        fresh = [f for f in finished if not all((d.message.id, d.agent) in done for d in f.deliveries)]
        turn.settled = [Finished(f.lane, f.deliveries) for f in finished if f not in fresh]
        won = await self._shared.settle(tx, [(_user(f), _agent(f), f.outcome) for f in fresh])
        for f, ok in zip(fresh, won, strict=True):
            if ok:
                turn.settled.append(f)
            else:
                self._lose(f, turn)

    def _lose(self, finished: Finished, turn: Turn) -> None:
        first = finished.lane not in turn.shaken
        if first:  # those behind the one that lost only have to wait for it
            turn.shaken.append(finished.lane)
            turn.raced += finished.deliveries
        if finished.deliveries[0].races + first < ATTEMPTS:
            turn.lost.append(finished)
            return
        failure = Failure("context_conflict", f"Shared context changed under it {ATTEMPTS} times.")
        turn.settled.append(Finished(finished.lane, finished.deliveries, failure=failure))

    async def _judged(self, tx: AsyncConnection, settled: Sequence[Finished]) -> list[ActionRecord]:
        """Judge all proposals; those about a mail get its account, since claims begin with it."""
        proposals = [p for f in settled for p in f.outcome.proposals]
        mails = {(p.because.user_id, i) for p in proposals if (i := mail_without_account(p))}
        accounts = await items.mail_accounts(tx, mails)
        return await self._labelled(tx, [proposal_record(in_account(p, accounts)) for p in proposals])

    async def _labelled(self, tx: AsyncConnection, records: Sequence[ActionRecord]) -> list[ActionRecord]:
        """Judge proposals: whether each may be done, waits for the person, or is only recorded."""
        if not records:
            return []
        settings = await autonomy.load(tx, {r.user_id for r in records})
        judgements = [judged_by(settings, r, dry_run=self._runs.is_dry(r.run_id)) for r in records]
        return [r.moved(j.state, j.reason) for r, j in zip(records, judgements, strict=True)]

    async def _mark(self, tx: AsyncConnection, turn: Turn) -> None:
        """Write what is handled, what is dead, and which messages are closed by it."""
        handled, burials, pauses = [], [], []
        remaining: defaultdict[str, set[str]] = defaultdict(set)
        for f in turn.settled:
            for d in f.deliveries:
                remaining[d.message.id].add(d.agent)
                if f.later:
                    self._admission.open[d.message.id].later = True
                    pauses.append((d.message.id, f.later, d.tries))
                elif f.failure:
                    burials.append(burial(d.message, f.failure.code, f.failure.reason, agent=d.agent))
                elif d.agent:
                    handled.append((d.message.id, d.agent))
        await backlog.mark_handled(tx, handled)
        await bury(tx, self._ledger.vault, burials)
        await backlog.postpone(tx, pauses)
        over = [i for i, agents in remaining.items() if self._admission.open[i].waiting <= agents]
        turn.postponed = [i for i in over if self._admission.open[i].later]
        turn.closed = [i for i in over if not self._admission.open[i].later]
        await backlog.close(tx, turn.closed)

    # -- out ----------------------------------------------------------------------------------------

    async def _after(self, turn: Turn) -> None:
        """Let Redis, the bus and the waiting know what was committed."""
        await self._follow(turn)
        for delivery in turn.raced:
            delivery.races += 1
        for f in turn.settled:
            for d in f.deliveries:
                self._admission.open[d.message.id].waiting.discard(d.agent)
            if f.lane is not NO_LANE:
                f.lane.settled(f)
        self._repeat(turn)
        over = [*turn.closed, *turn.postponed]
        entries = [e for i in over for e in self._admission.open.pop(i).entries]
        self.outbox.closed(over)
        for f in turn.settled:
            if f.later:
                self.outbox.due_at(f.later)
        await self.outbox.publish(turn.outgoing)
        await self._bus.acknowledge(entries)
        self._runs.note(turn.completed, closed=turn.closed)
        if any(a.state is ActionState.APPROVED for a in turn.actions):
            self._wake_executor()
        if len(self._lanes) > 4096:
            self._lanes = {key: lane for key, lane in self._lanes.items() if not lane.idle}

    async def _follow(self, turn: Turn) -> None:
        updates = [(_user(f), u) for f in turn.settled for u in f.outcome.updates.values()]
        with suppress(BusUnavailable):  # the ledger has them; a stale live copy only costs its reader a race
            await self._shared.follow(updates)

    def _repeat(self, turn: Turn) -> None:
        """Have outcomes that lost a race made again, with those that were made on top of them."""
        for lane in turn.shaken:
            void = [f for f in (*turn.lost, *self._ready) if f.lane is lane]
            self._ready = [f for f in self._ready if f.lane is not lane]
            lane.again(void)

    async def _give_up(self) -> None:
        self._running = False
        if self._change:
            self._change[1].set_result(None)
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await asyncio.gather(*(lane.stop() for lane in self._lanes.values()))


class _Tried(Exception):
    """It could be written."""


OUTSIDE = PERSON
"""The proposer of actions that come from no agent."""
NO_LANE: Any = None
"""The lane of messages that go to nobody."""


def _user(finished: Finished) -> str:
    return finished.deliveries[0].message.user_id


def _agent(finished: Finished) -> str:
    return finished.deliveries[0].agent


def _runs(settled: Sequence[Finished]) -> set[str]:
    return {d.message.run_id for f in settled for d in f.deliveries if d.message.run_id}


def _scopes(finished: Sequence[Finished]) -> frozenset[str] | None:
    """Return the scopes that outcomes of messages alone keep within; ``None`` for those of which more comes."""
    outcomes = [f.outcome for f in finished]
    if any(o.proposals or o.withdrawals or o.updates or o.writes for o in outcomes):
        return None
    users = {_user(f) for f in finished} | {m.user_id for o in outcomes for m in o.messages}
    return scopes(users, _runs(finished))


def _proposed(action: ActionRecord) -> AuditEvent:
    return AuditEvent(action.user_id, action.id, f"{action.kind} {action.state}", action.arguments)


def _failed(settled: Sequence[Finished]) -> list[AuditEvent]:
    return [
        AuditEvent(d.message.user_id, d.message.id, f"dead letter {f.failure.code}", f.failure.reason)
        for f in settled
        if f.failure
        for d in f.deliveries
    ]
