"""Progress of runs: send the next step when all before it has closed, and latch completion; counted, never waited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.communication.message_protocol import (
    COORDINATOR,
    AgentMessage,
    Origin,
    Payload,
    Provenance,
    new_context,
    stable_id,
)
from brody_agents.ledger import actions, messages, runs
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.runs import RunRecord

StepsOf = Callable[[RunRecord], list[tuple[str, Payload]]]
"""Give the (recipient, payload) of every step of a run's playbook."""


@dataclass(slots=True)
class Following:
    """What follows from a transaction: messages of next steps, runs that are complete."""

    messages: list[AgentMessage] = field(default_factory=list)
    completed: set[str] = field(default_factory=set)


class RunBook:
    """Keep the runs under way."""

    def __init__(self, ledger: Ledger, steps_of: StepsOf, timezone: ZoneInfo) -> None:
        self._ledger = ledger
        self._steps_of = steps_of
        self._timezone = timezone
        self._runs: dict[str, RunRecord] = {}
        self._done: dict[str, asyncio.Event] = {}
        self.closed = 0
        """How many messages this process has closed."""
        self._changed = asyncio.Event()

    def add(self, known: Mapping[str, RunRecord]) -> None:
        """Take runs into account."""
        self._runs.update(known)

    async def know(self, run_ids: Collection[str]) -> None:
        """Take runs into account that another process has begun."""
        if unknown := [run_id for run_id in run_ids if run_id not in self._runs]:
            async with self._ledger.glance() as tx:
                self._runs.update(await runs.load(tx, unknown))

    def get(self, run_id: str | None) -> RunRecord | None:
        """Return a run that is known here."""
        return self._runs.get(run_id or "")

    def clock(self, run_id: str | None) -> tuple[datetime, ZoneInfo]:
        """Return the time and zone that agents reason with for a run; without one, the wall clock."""
        run = self._runs.get(run_id or "")
        return (run.now, run.zone) if run else (datetime.now(UTC), self._timezone)

    def is_dry(self, run_id: str | None) -> bool:
        """Say whether nothing that a run proposes is to be done."""
        run = self._runs.get(run_id or "")
        return run is not None and run.dry_run

    async def advance(self, tx: AsyncConnection, run_ids: Collection[str]) -> Following:
        """Look, in the transaction that closed something, whether runs go on; write their state.

        A run is open while a message of it is open or an action of it is approved, executing or unknown.
        """
        following = Following()
        if not run_ids:
            return following
        still = await messages.open_runs(tx, run_ids) | await actions.busy_runs(tx, run_ids)
        for run in (await runs.load(tx, set(run_ids) - still)).values():
            if run.state == runs.WORKING:
                await self._next(tx, run, following)
        return following

    async def _next(self, tx: AsyncConnection, run: RunRecord, following: Following) -> None:
        steps = self._steps_of(run)
        if run.step >= len(steps):
            await runs.complete(tx, run.id)
            following.completed.add(run.id)
            return
        following.messages.append(_message(run, *steps[run.step]))
        await runs.change(tx, run.id, step=run.step + 1)

    def note(self, completed: Collection[str], closed: Collection[str]) -> None:
        """Tell those who wait."""
        self.closed += len(closed)
        self._changed.set()
        self._changed = asyncio.Event()
        for run_id in completed:
            self._done.setdefault(run_id, asyncio.Event()).set()

    def next_change(self) -> asyncio.Event:
        """Return an event that is set after the next transaction of the coordinator or the executor."""
        return self._changed

    async def completion(self, run_id: str) -> None:
        """Wait until a run is complete."""
        await self._done.setdefault(run_id, asyncio.Event()).wait()
        self._done.pop(run_id, None)


def _message(run: RunRecord, recipient: str, payload: Payload) -> AgentMessage:
    message_id = stable_id("step", run.id, str(run.step))
    return AgentMessage(
        id=message_id,
        sender=COORDINATOR,
        recipient=recipient,
        payload=payload,
        context=new_context(run.user_id),
        correlation_id=run.id,
        run_id=run.id,
        provenance={"": Provenance(origin=Origin.SELF)},
    )
