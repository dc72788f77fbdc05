"""What undoes an action, and how an action that is undone ends.

An undo is carried out by the executor that has carried out the action, by the same steps: intent, effect, result,
and ``unknown`` where nobody knows. Only its ends differ: what would be ``done`` is ``undone``, and what would have
``failed`` is ``done``, as before.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.action import ActionState
from brody_agents.coordinator import effects
from brody_agents.coordinator.account_effects import EFFECTS
from brody_agents.coordinator.account_effects.base import Step
from brody_agents.errors import CannotUndo, NoEffect
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.vault import Vault

UNDONE = "You had it undone."
NEVER_DONE = "You took it back; nothing of it was done."


def inverse(kind: str) -> Step | effects.Inverse | str:
    """Return what undoes a kind of action, on an account or in the ledger, or why nothing does."""
    if kind in effects.INVERSES:
        return effects.INVERSES[kind]
    return EFFECTS[kind].inverse if kind in EFFECTS else f"Nothing here carries out {kind} yet."


def step_of(action: ActionRecord) -> Step:
    """Return what is to be done on the account of an action now: its effect, or the inverse of it."""
    if action.kind not in EFFECTS:
        raise NoEffect(f"Nothing here carries out {action.kind} yet.")
    effect = EFFECTS[action.kind]
    if not action.undoing:
        return effect
    if isinstance(effect.inverse, str):
        raise CannotUndo(effect.inverse)
    return effect.inverse


async def undo_in_ledger(tx: AsyncConnection, vault: Vault, action: ActionRecord) -> None:
    """Undo an action whose effect lies in the ledger, in the transaction that records it."""
    undo = effects.INVERSES[action.kind]
    if isinstance(undo, str):
        raise CannotUndo(undo)
    await undo(tx, vault, action)


def is_taken_back(action: ActionRecord) -> bool:
    """Say whether an action is to be undone before it was done."""
    return action.undoing and action.done_at is None


def ended(before: ActionRecord, now: ActionRecord) -> ActionRecord:
    """Return how an action stands after a step; one that goes backwards keeps what it has led to."""
    if not before.undoing or not now.state.final or now.state is ActionState.UNDONE:
        return now
    if now.state is ActionState.DONE:
        return replace(before, state=ActionState.UNDONE, reason=UNDONE, not_before=None)
    return replace(before, state=ActionState.DONE, reason=f"It was not undone: {now.reason}", not_before=None)


def is_refused(action: ActionRecord) -> bool:
    """Say whether an action was to be undone, and stays done."""
    return action.undoing and action.state is ActionState.DONE
