"""What attempts at effects spend: reserved with the intent, settled or given back with what becomes of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.action import ActionState
from brody_agents.communication.message_protocol import new_context
from brody_agents.coordinator.account_effects.base import Job, Step, wants_of
from brody_agents.coordinator.resource_manager import Reservation, ResourceManager, Spender, Unit
from brody_agents.errors import Unsettled
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.statements import in_parts, table
from brody_agents.ledger.tables import Action

_A = table(Action).c
_BEGUN = (ActionState.EXECUTING, ActionState.UNKNOWN)


class Spending:
    """Keep what the attempts under way hold of budgets; the ledger knows it too, for those of dead processes."""

    def __init__(self, manager: ResourceManager) -> None:
        self._manager = manager
        self._held: dict[str, Reservation] = {}

    async def reserve(self, tx: AsyncConnection, step: Step, job: Job, begun: ActionRecord) -> None:
        """Hold what an attempt will use, in the transaction of its intent; raise ``Denied``."""
        workspace = new_context(begun.user_id).workspace_id
        whose = {"provider": job.provider.account, "workspace": workspace, "user": begun.user_id, "run": begun.run_id}
        spender, wants = Spender(begun.id, begun.fence, **whose), wants_of(step, job)
        try:
            held = await self._manager.reserve(tx, spender, wants)
        except Unsettled:  # it was approved again, so the attempt before is known to have done nothing
            if left := await self._manager.recover(tx, begun.id, begun.fence):
                await self._manager.release(tx, left)
            held = await self._manager.reserve(tx, spender, wants)
        self._held[begun.id] = held

    async def close(self, tx: AsyncConnection, was: ActionState, now: ActionRecord) -> None:
        """End what an attempt holds, in the transaction that writes what has become of it.

        Done or refused: it was used. Surely not done: it is given back. Unknown: it stays held, but for the slots.
        """
        if was not in _BEGUN or was is now.state is ActionState.UNKNOWN:
            return
        held = self._held.pop(now.id, None)
        if held is None or held.attempt != now.fence:
            held = await self._manager.recover(tx, now.id, now.fence)
        if held is None or not held.held:
            return
        if now.state is ActionState.UNKNOWN:
            slots = tuple(part for part in held.held if part.unit is Unit.SLOTS)
            await self._manager.settle(tx, replace(held, held=slots))
        elif now.state is ActionState.DONE or (now.state is ActionState.FAILED and was is ActionState.EXECUTING):
            await self._manager.settle(tx, held)
        else:
            await self._manager.release(tx, held)

    def forget(self, action_id: str) -> None:
        """Leave an attempt to whoever has taken it over."""
        self._held.pop(action_id, None)

    async def sweep(self, tx: AsyncConnection, older_than: timedelta) -> int:
        """Settle what is still held for actions that have ended some other way, as by a person; return how many."""
        open_ = {held.action_id: held for held in await self._manager.stranded(tx, older_than)}
        ended: list[str] = []
        for part in in_parts(list(open_)):
            rows = await tx.execute(select(_A.id, _A.state).where(_A.id.in_(part)))
            ended += [action_id for action_id, state in rows if ActionState(state).final]
        for action_id in ended:
            await self._manager.settle(tx, open_[action_id])
        return len(ended)
