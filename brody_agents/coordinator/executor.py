"""The executor: carry out approved actions, each exactly once, and tell the proposer.

What it can carry out so far lies in the ledger itself, so intent, effect and result are one transaction; after a
crash the action is either still approved or done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.action import ActionState
from brody_agents.communication import payloads
from brody_agents.communication.message_protocol import (
    COORDINATOR,
    AgentMessage,
    Origin,
    Provenance,
    new_context,
    stable_id,
)
from brody_agents.coordinator import effects, inverses
from brody_agents.coordinator.partitions import Share
from brody_agents.coordinator.progress import Following, RunBook
from brody_agents.errors import said
from brody_agents.ledger import actions, messages
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.messages import Stored
from brody_agents.ledger.outages import Outages
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Action
from brody_agents.observability import logger
from brody_agents.policy import audit
from brody_agents.policy.audit import AuditEvent
from brody_agents.registry import Registry

log = logger(__name__)
BATCH = 256
POLL = 1.0
Publish = Callable[[Sequence[Stored]], Awaitable[None]]


class Executor:
    """Work off the approved actions."""

    def __init__(
        self,
        ledger: Ledger,
        registry: Registry,
        runs: RunBook,
        publish: Publish,
        share: Share | None = None,
        outages: Outages | None = None,
    ) -> None:
        self._ledger = ledger
        self._registry = registry
        self._runs = runs
        self._publish = publish
        self._share = share or Share()
        self._outages = outages or Outages()
        self._wanted = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """Have it look now."""
        self._wanted.set()

    def stop(self) -> None:
        """End after the transaction under way."""
        self._stopping = True
        self.wake()

    async def run(self) -> None:
        """Carry out actions until ``stop``."""
        while not self._stopping:
            self._wanted.clear()
            self.check()
            while await self._outages.ride_out(self.carry_out) and not self._stopping:
                pass
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), POLL)

    def check(self) -> None:
        """Raise what ended a part of the work, if something did."""

    async def carry_out(self) -> int:
        """Carry out the oldest approved actions and return how many there were."""
        a = table(Action).c
        wanted = (a.state == ActionState.APPROVED, a.kind.in_(sorted(effects.EFFECTS)))
        async with self._ledger.glance() as tx:
            found = (await tx.execute(select(a.user_id).where(*wanted).distinct())).scalars()
            users = [user_id for user_id in found if self._share.has(user_id)][:BATCH]
        if not users:
            return 0
        await self._ledger.ensure_users(set(users))
        async with self._ledger.write() as tx:
            approved = await actions.load(tx, self._ledger.vault, *wanted, a.user_id.in_(users), limit=BATCH)
            ended = [await self._carried_out(tx, action) for action in approved]
            await actions.move(tx, self._ledger.vault, ended)
            stored, following = await self._told(tx, ended)
        await self._publish(stored)
        self._runs.note(following.completed, closed=())
        return len(ended)

    async def _told(
        self, tx: AsyncConnection, ended: Sequence[ActionRecord], runs: Collection[str] = ()
    ) -> tuple[list[Stored], Following]:
        """Write what follows from actions that ended: audit, events to the proposers, the next steps of runs.

        ``runs`` may go on as well, since nothing keeps them open any more.
        """
        stored = await tell(tx, self._ledger, self._registry, ended)
        following = await self._runs.advance(tx, {e.run_id for e in ended if e.run_id} | set(runs))
        return stored + await messages.write(tx, self._ledger.vault, following.messages), following

    async def _carried_out(self, tx: AsyncConnection, action: ActionRecord) -> ActionRecord:
        tried = action.moved(ActionState.DONE, action.reason, fence=action.fence + 1)
        if inverses.is_taken_back(action):
            return action.moved(ActionState.UNDONE, inverses.NEVER_DONE)
        try:
            async with tx.begin_nested():
                if action.undoing:
                    await inverses.undo_in_ledger(tx, self._ledger.vault, action)
                else:
                    result, intent = await effects.apply(tx, self._ledger.vault, action)
                    tried = replace(tried, result=result, intent=intent)
        except DBAPIError:
            raise  # the ledger's fault, not the action's
        except Exception as error:  # an effect may run into anything: the action fails, the others go on
            log.warning("effect failed", action=action.id, kind=action.kind, exc_info=True)
            tried = tried.moved(ActionState.FAILED, said(error))
        return inverses.ended(replace(action, fence=tried.fence), tried)


async def tell(tx: AsyncConnection, ledger: Ledger, registry: Registry, ended: Sequence[ActionRecord]) -> list[Stored]:
    """Write the audit of actions that ended, and the messages to the proposers that want to hear of it."""
    words = ((e, "not undone" if inverses.is_refused(e) else e.state) for e in ended)
    await audit.append(tx, [AuditEvent(e.user_id, e.id, f"{e.kind} {word}", e.result) for e, word in words])
    news = [e for e in ended if not inverses.is_refused(e) and _wants_result(registry, e)]
    return await messages.write(tx, ledger.vault, [_result(e) for e in news])


def _wants_result(registry: Registry, action: ActionRecord) -> bool:
    agent = registry.agents.get(action.proposed_by)
    return agent is not None and payloads.ActionResult in agent.handlers


def _result(action: ActionRecord) -> AgentMessage:
    return AgentMessage(
        id=stable_id("action-result", action.id, action.state),
        sender=COORDINATOR,
        recipient=action.proposed_by,
        payload=payloads.ActionResult(
            action_id=action.id,
            kind=action.kind,
            state=action.state.value,
            reason=action.reason[:2000],
            result=action.result or {},
        ),
        context=new_context(action.user_id),
        causation_id=action.message_id,
        run_id=action.run_id,
        provenance={"": Provenance(origin=Origin.SELF)},
    )
