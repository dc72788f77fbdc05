"""Undo: of an action, and of all that a run has done, the last first.

A wish to undo is written to the ledger, so that it outlives whoever wrote it; the executor that carries actions out
carries it out. What waits for an answer, or for its time, is taken back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from brody_agents.action import ActionState
from brody_agents.coordinator.executor import tell
from brody_agents.coordinator.inverses import NEVER_DONE, inverse
from brody_agents.coordinator.undo_claims import claims_of_undo
from brody_agents.errors import BrodyError, CannotUndo, UnderWay
from brody_agents.ledger import actions as ledger_actions
from brody_agents.ledger import runs as ledger_runs
from brody_agents.ledger import undo as wishes
from brody_agents.ledger.actions import BUSY, ActionRecord
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.statements import serialise, table
from brody_agents.ledger.tables import Action
from brody_agents.registry import Registry

_A = table(Action).c
_ASKED = "You want it undone."
_WAITING = (ActionState.PROPOSED, ActionState.AWAITING_APPROVAL)
_NOT_TRIED = "It was not tried: it was done before what could not be undone."
SeeThrough = Callable[[str], Awaitable[None]]
"""Have an action carried out that is due, and return when it is, or when that takes too long."""


class Actions(ledger_actions.Actions):
    """The actions of a ledger, which can be undone; ``brody.actions``."""

    def __init__(
        self, ledger: Ledger, registry: Registry, see_through: SeeThrough, settled: Callable[[], Awaitable[None]]
    ) -> None:
        super().__init__(ledger, settled)
        self._registry, self._see_through = registry, see_through

    async def undo(self, action_id: str) -> ActionRecord:
        """Undo an action and return how it stands then.

        It is ``undone``; or ``done`` as before, with the reason, where the world has moved past it; or still open,
        where its account cannot be reached now: whoever works next goes on. What was not done yet is taken back, and
        what is undone already stays so. Raises ``NotFound``, ``CannotUndo`` for what nothing undoes and what was
        never done, ``UnderWay`` for what is being carried out or unknown.
        """
        action = await self.show(action_id)
        while not await self._asked(action):
            action = await self.show(action.id)  # it has moved on since it was read
        if (await self.show(action.id)).state in BUSY:
            await self._see_through(action.id)
        return await self.show(action.id)

    def why_not(self, action: ActionRecord) -> str:
        """Say why an action cannot be undone, ever; empty if it can."""
        found = inverse(action.kind)
        if action.state is ActionState.DONE and not action.arguments:
            return action.reason  # what it was about has been forgotten
        if action.state is ActionState.DONE:
            return found if isinstance(found, str) else ""
        if action.state is ActionState.MERGED:
            return f"It has become one with {action.merged_into or 'a task'}."
        is_over = action.state.final and action.state is not ActionState.UNDONE
        return f"It was never done: it is {action.state}." if is_over else ""

    async def _asked(self, action: ActionRecord) -> bool:
        """Write what the person wants; ``False`` if the action has moved on."""
        if action.state is ActionState.UNDONE or (action.undoing and action.state in BUSY):
            return True
        if why := self.why_not(action):
            raise CannotUndo(f"{action.kind} is not undone. {why}")
        if action.state in (ActionState.EXECUTING, ActionState.UNKNOWN):
            raise UnderWay(f"{action.kind} is {action.state}: {action.reason}")
        claims = claims_of_undo(action) if action.state is ActionState.DONE else ()
        async with self._ledger.write() as tx:
            if action.state not in _WAITING:
                await serialise(tx, {str(action.arguments.get("account") or action.user_id)})
                return await wishes.ask(tx, self._ledger.vault, action, _ASKED, claims)
            gone = await wishes.take_back(tx, self._ledger.vault, action, NEVER_DONE)
            await tell(tx, self._ledger, self._registry, [gone] if gone else [])
        return gone is not None


@dataclass(frozen=True, slots=True)
class Left:
    """An action that stays done, and why."""

    action: ActionRecord
    why: str


@dataclass(slots=True)
class UndoneRun:
    """What became of a run that was to be undone."""

    run_id: str
    undone: list[ActionRecord] = field(default_factory=list)
    """In the order in which they were undone, the last one done first."""
    left: list[Left] = field(default_factory=list)
    """What the world has moved past, and all that was done before it."""
    impossible: list[Left] = field(default_factory=list)
    """What nothing undoes."""


class Runs(ledger_runs.Runs):
    """The runs of a ledger, which can be undone; ``brody.runs``."""

    def __init__(self, ledger: Ledger, actions: Actions) -> None:
        super().__init__(ledger)
        self._actions = actions

    async def undo(self, run_id: str) -> UndoneRun:
        """Undo what a run has done, the last first, and take back what it has not done yet.

        It stops at the first action that cannot be undone now, since what was done before may be what that one
        stands on; what can never be undone is passed over. Called again, it goes on. Raises ``NotFound``.
        """
        run = await self.show(run_id)
        async with self._ledger.read() as tx:
            found = await ledger_actions.load(tx, self._ledger.vault, _A.run_id == run.id)
        result = UndoneRun(run.id)
        for action in [*_not_begun(found), *_last_first(found)]:
            if why := self._actions.why_not(action):
                result.impossible.append(Left(action, why))
            elif result.left:
                result.left.append(Left(action, _NOT_TRIED))
            else:
                await self._undo(action, result)
        return result

    async def _undo(self, action: ActionRecord, result: UndoneRun) -> None:
        try:
            action = await self._actions.undo(action.id)
        except CannotUndo as error:  # it has ended otherwise meanwhile
            return result.impossible.append(Left(action, str(error)))
        except BrodyError as error:
            return result.left.append(Left(action, str(error)))
        if action.state is ActionState.UNDONE:
            result.undone.append(action)
        else:
            result.left.append(Left(action, action.reason))


def _not_begun(actions: Sequence[ActionRecord]) -> list[ActionRecord]:
    """Return what waits, newest first."""
    waiting = (*_WAITING, ActionState.APPROVED)
    return [a for a in reversed(actions) if a.state in waiting and a.done_at is None]


def _last_first(actions: Sequence[ActionRecord]) -> list[ActionRecord]:
    """Return what was begun, from the last that was done; what has no end yet was begun last."""
    begun = (ActionState.DONE, ActionState.EXECUTING, ActionState.UNKNOWN)
    found = [(n, a) for n, a in enumerate(actions) if a.state in begun or (a.state in BUSY and a.done_at is not None)]
    latest = datetime.max.replace(tzinfo=UTC)
    return [a for _, a in sorted(found, key=lambda pair: (pair[1].done_at or latest, pair[0]), reverse=True)]
