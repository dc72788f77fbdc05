"""Lanes: the messages of one user for one agent are handled in order; lanes run side by side."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from brody_agents.agent import BrodyAgent, Handler, trigger_of
from brody_agents.communication.bus.base import BATCH
from brody_agents.communication.context_sharing import LaneContext
from brody_agents.communication.message_protocol import AgentMessage
from brody_agents.context import Context, Outcome, current
from brody_agents.errors import BrodyError, Retryable
from brody_agents.observability import logger

log = logger(__name__)
ATTEMPTS = 3


@dataclass(slots=True, eq=False)
class Delivery:
    """A message on its way to one agent; ``races`` counts how often its outcome lost one."""

    message: AgentMessage
    agent: str
    races: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a message could not be handled."""

    code: str
    reason: str


@dataclass(slots=True, eq=False)
class Finished:
    """Deliveries that were handled together, with their outcome or their failure."""

    lane: Lane
    epoch: int
    deliveries: list[Delivery]
    outcome: Outcome = field(default_factory=Outcome)
    failure: Failure | None = None


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
    ) -> None:
        self.user_id = user_id
        self.agent = agent
        self.epoch = 0
        """Grows when a race is lost: what was handled on top of the lost outcome is void."""
        self._values = values
        self._make_context = make_context
        self._finish = finish
        self._queue: deque[Delivery] = deque()
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
        """Handle deliveries again, in their order and before all others, reading shared values afresh."""
        self._unsettled -= len(voided)
        self._queue.extendleft(d for f in reversed(voided) for d in reversed(f.deliveries))
        self._values.reset(fresh=True)
        self._start()

    async def stop(self) -> None:
        """Give up what is being handled; the ledger still has it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(), name=f"{self.agent.name} for {self.user_id}")

    async def _work(self) -> None:
        while self._queue:
            handler = self.agent.handlers.get(type(self._queue[0].message.payload))
            await self._handle(self._take(handler), handler)

    def _take(self, handler: Handler | None) -> list[Delivery]:
        """Take the next delivery, or as many of its kind and run as a batch handler may have."""
        taken = [self._queue.popleft()]
        first = taken[0].message
        while handler and handler.batch and self._queue and len(taken) < BATCH:
            following = self._queue[0].message
            if type(following.payload) is not type(first.payload) or following.run_id != first.run_id:
                break
            taken.append(self._queue.popleft())
        return taken

    async def _handle(self, deliveries: list[Delivery], handler: Handler | None) -> None:
        epoch = self.epoch
        context = self._make_context(self.agent, [d.message for d in deliveries], self._values)
        try:
            await self._attempt(context, handler)
        except Exception as error:  # a handler may raise anything: it ends in the dead letters, the rest goes on
            if len(deliveries) > 1:
                for delivery in deliveries:
                    await self._handle([delivery], handler)
                return
            log.warning("handler failed", agent=self.agent.name, message=deliveries[0].message.id, exc_info=True)
            self._done(Finished(self, epoch, deliveries, failure=_failure(self.agent.name, error)))
        else:
            if epoch == self.epoch:
                self._values.advance(context.outcome)
            self._done(Finished(self, epoch, deliveries, context.outcome))

    def _done(self, finished: Finished) -> None:
        self._unsettled += 1
        self._finish(finished)

    async def _attempt(self, context: Context, handler: Handler | None) -> None:
        token = current.set(context)
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(Retryable),
                stop=stop_after_attempt(ATTEMPTS),
                wait=wait_exponential_jitter(multiplier=0.1, max=2, jitter=0.1),
                reraise=True,
            ):
                with attempt:
                    context.begin()
                    await self._call(context, handler)
        finally:
            current.reset(token)

    async def _call(self, context: Context, handler: Handler | None) -> None:
        if handler is None:
            await self._trigger(context)
            return
        payloads = [m.payload for m in context.messages]
        method = getattr(self.agent, handler.method)
        answer = await method(payloads if handler.batch else payloads[0], context)
        if answer is not None:
            raise TypeError(f"{handler.method} returned {type(answer).__name__}; a handler returns None")

    async def _trigger(self, context: Context) -> None:
        response = await self.agent.process_trigger(trigger_of(context.message, context.now))
        if response is not None and response.action is not None and response.result is None:
            context.propose(response.action)


def _failure(agent: str, error: Exception) -> Failure:
    code = error.code if isinstance(error, BrodyError) else "handler_failed"
    return Failure(code, f"{agent}: {type(error).__name__}: {error}")
