"""Lanes: the messages of one user for one agent are handled in order; lanes run side by side."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from brody_agents.agent import BrodyAgent, Handler
from brody_agents.communication.bus.base import BATCH
from brody_agents.communication.context_sharing import LaneContext
from brody_agents.communication.message_protocol import AgentMessage
from brody_agents.context import Context, current
from brody_agents.coordinator.in_hand import InHand
from brody_agents.coordinator.questions import called
from brody_agents.coordinator.task_scheduler import PATIENCE, pause
from brody_agents.errors import BrodyError, HandlerTimeout, words_of
from brody_agents.ledger.outages import AWAY, Outages
from brody_agents.observability import logger
from brody_agents.outcome import Outcome

log = logger(__name__)
ATTEMPTS = 3
GRACE = 5.0
"""Seconds that a handler has to end once it is cancelled, before its lane goes on without it."""


@dataclass(slots=True, eq=False)
class Delivery:
    """A message on its way to one agent.

    ``races`` counts how often its outcome lost one, ``tries`` how often it failed before it came here; ``alone``
    is set when the batch that it was in has failed, or has ended its process.
    """

    message: AgentMessage
    agent: str
    races: int = 0
    alone: bool = False
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a message could not be handled."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What every handler is held to: seconds, and where it is noted that one is at work."""

    timeout: float = 300.0
    in_hand: InHand | None = None
    outages: Outages = field(default_factory=Outages)


@dataclass(slots=True, eq=False)
class Finished:
    """Deliveries that were handled together, with their outcome, their failure, or the time of their next try."""

    lane: Lane
    deliveries: list[Delivery]
    outcome: Outcome = field(default_factory=Outcome)
    failure: Failure | None = None
    later: datetime | None = None


MakeContext = Callable[[BrodyAgent, Sequence[AgentMessage], LaneContext], Context]


class Lane:
    """Run the handlers of one agent for one user, one after the other."""

    def __init__(
        self,
        user_id: str,
        agent: BrodyAgent,
        values: LaneContext,
        make_context: MakeContext,
        finish: Callable[[Finished], None],
        limits: Limits,
    ) -> None:
        self.user_id = user_id
        self.agent = agent
        self._values = values
        self._make_context = make_context
        self._finish = finish
        self._limits = limits
        self._queue: deque[Delivery] = deque()
        self._current: list[Delivery] = []
        self._task: asyncio.Task[None] | None = None
        self._unsettled = 0

    @property
    def idle(self) -> bool:
        """Say whether the lane has neither work nor outcomes that wait to be committed."""
        return not self._queue and not self._unsettled and (self._task is None or self._task.done())

    def put(self, delivery: Delivery) -> None:
        """Add a delivery and see to it that the lane works."""
        self._queue.append(delivery)
        self._start()

    def settled(self, finished: Finished) -> None:
        """Learn that an outcome is committed."""
        self._unsettled -= 1
        if not self._unsettled and not self._queue:
            self._values.reset(fresh=False)

    def again(self, voided: Sequence[Finished]) -> None:
        """Handle deliveries again, in their order and before all others, reading shared values afresh.

        What is being handled now may have built on them: its outcome is void, and it comes after them.
        """
        self._unsettled -= len(voided)
        void, self._current = [*(d for f in voided for d in f.deliveries), *self._current], []
        self._queue.extendleft(reversed(void))
        self._values.reset(fresh=True)
        self._start()

    async def stop(self) -> None:
        """Give up what is being handled; the ledger still has it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=GRACE)  # a handler may refuse

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(), name=f"{self.agent.name} for {self.user_id}")

    async def _work(self) -> None:
        while self._queue and self._task is asyncio.current_task():
            handler = self.agent.handlers.get(type(self._queue[0].message.payload))
            self._current = self._take(handler)
            if self._current[0].message.expired:
                self._ended(self._current, Outcome(), Failure("expired", "Its deadline had passed."))
            else:
                await self._handle(self._current, handler)

    def _take(self, handler: Handler | None) -> list[Delivery]:
        """Take the next delivery, or as many of its kind and run as a batch handler may have."""
        taken = [self._queue.popleft()]
        while handler and handler.batch and self._queue and len(taken) < BATCH and _together(taken[0], self._queue[0]):
            taken.append(self._queue.popleft())
        return taken

    async def _handle(self, deliveries: list[Delivery], handler: Handler | None) -> None:
        """Try until it succeeds or is not worth another try; a long pause is left to the ledger."""
        retry = (handler and handler.retry) or self.agent.retry
        tries = max(d.tries for d in deliveries)
        while True:
            outcome, error = await self._attempt(deliveries, handler)
            if isinstance(error, AWAY) and self._current is deliveries:
                try:
                    outcome, error = await self._ridden_out(deliveries, handler)
                except AWAY:
                    return  # all is to stop; the ledger has the messages
            if self._current is not deliveries:
                return  # void: a race was lost meanwhile and they are in the queue again, or its time was over
            if error is None:
                return self._ended(deliveries, outcome)
            tries += 1
            wait = pause(error, tries, retry)
            if wait is None:
                return self._failed(deliveries, error)
            if wait > PATIENCE:
                return self._postponed(deliveries, tries, wait)
            await asyncio.sleep(wait)
            if self._current is not deliveries:
                return

    def _failed(self, deliveries: list[Delivery], error: BaseException) -> None:
        if len(deliveries) > 1:
            self._one_by_one(deliveries)
        else:
            self._ended(deliveries, Outcome(), failure_of(self.agent.name, error))

    def _postponed(self, deliveries: list[Delivery], tries: int, wait: float) -> None:
        for delivery in deliveries:
            delivery.tries = tries
        self._ended(deliveries, Outcome(), later=datetime.now(UTC) + timedelta(seconds=wait))

    def _ended(
        self,
        deliveries: list[Delivery],
        outcome: Outcome,
        failure: Failure | None = None,
        later: datetime | None = None,
    ) -> None:
        self._values.advance(outcome)
        self._unsettled += 1
        self._current = []
        self._finish(Finished(self, deliveries, outcome, failure, later))

    def _one_by_one(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            delivery.alone = True
        self._queue.extendleft(reversed(deliveries))
        self._current = []

    async def _ridden_out(
        self, deliveries: list[Delivery], handler: Handler | None
    ) -> tuple[Outcome, BaseException | None]:
        """Call the handler again while the ledger is away: that is no fault of its message, and costs it no try."""

        async def again() -> tuple[Outcome, BaseException | None]:
            outcome, error = await self._attempt(deliveries, handler)
            if isinstance(error, AWAY) and self._current is deliveries:
                raise error
            return outcome, error

        return await self._limits.outages.ride_out(again)

    async def _attempt(
        self, deliveries: list[Delivery], handler: Handler | None
    ) -> tuple[Outcome, BaseException | None]:
        """Call the handler, within its time; it may raise anything, and nothing ends the lane but its own end."""
        limit = (handler and handler.timeout) or self._limits.timeout
        watch = asyncio.get_running_loop().call_later(limit + GRACE, self._abandon, deliveries, limit)
        in_hand = self._limits.in_hand
        slot = in_hand.begin(self.agent.name, [d.message.id for d in deliveries]) if in_hand else 0
        context: Context | None = None
        try:
            context = self._make_context(self.agent, [d.message for d in deliveries], self._values)
            context.begin()
            await self._timed(context, handler, limit)
            return context.outcome, None
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task and task.cancelling():
                raise  # the lane itself is stopped
            message_id = deliveries[0].message.id
            log.warning("handler failed", agent=self.agent.name, message=message_id, exc_info=True)
            return Outcome(), error
        finally:
            watch.cancel()
            if context is not None:
                context.end()
            if in_hand:
                in_hand.end(slot)

    async def _timed(self, context: Context, handler: Handler | None, limit: float) -> None:
        token = current.set(context)
        try:
            async with asyncio.timeout(limit) as timeout:
                answer = await called(self.agent, handler, context)
            if answer is not None:
                context.reply(answer)
            context.check()
        except TimeoutError as error:
            if timeout.expired():
                raise _overdue(limit) from error
            raise
        finally:
            current.reset(token)

    def _abandon(self, deliveries: list[Delivery], limit: float) -> None:
        """Go on without a handler that refused to be cancelled; what it still does is lost."""
        if self._current is deliveries:
            log.error("handler refuses to be cancelled", agent=self.agent.name, message=deliveries[0].message.id)
            self._task = None
            self._failed(deliveries, _overdue(limit))
            self._start()


def _together(first: Delivery, following: Delivery) -> bool:
    one, other = first.message, following.message
    alike = type(one.payload) is type(other.payload) and one.run_id == other.run_id
    return alike and not (first.alone or following.alone or one.expired or other.expired)


def _overdue(limit: float) -> HandlerTimeout:
    return HandlerTimeout(f"It did not end within {limit:g} s.")


def failure_of(agent: str, error: BaseException) -> Failure:
    """Return the failure that an error is."""
    code = error.code if isinstance(error, BrodyError) else "handler_failed"
    return Failure(code, f"{agent}: {type(error).__name__}: {words_of(error)}")
