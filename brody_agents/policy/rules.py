"""The policy's rules: whether an action may be carried out, waits for the person, or is only recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from brody_agents.action import ActionKind, ActionState, Risk

Autonomy = Literal["observe", "suggest", "act"]

CARRIED_OUT = frozenset({"task.create", "task.update", "task.complete", "task.merge", "task.delete", "notify"})
"""The kinds that the executor can carry out; every other one waits for the person, whatever the autonomy."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The state that an action gets, and why."""

    state: ActionState
    reason: str


def default_autonomy(kind: ActionKind) -> Autonomy:
    """Return ``act`` for what stays inside, ``suggest`` for all else."""
    return "act" if kind.risk is Risk.INTERNAL else "suggest"


def judge(kind: ActionKind, autonomy: Autonomy | None = None) -> Judgement:
    """Judge an action of a kind under the user's autonomy for it; the default is the kind's."""
    mode = autonomy or default_autonomy(kind)
    if mode == "observe":
        return Judgement(ActionState.PROPOSED, "Only observed: recorded, not done.")
    if mode == "act" and kind.name in CARRIED_OUT:
        return Judgement(ActionState.APPROVED, "It stays inside and may be done without asking.")
    return Judgement(ActionState.AWAITING_APPROVAL, _ASKS[kind.risk])


_ASKS = {
    Risk.INTERNAL: "You asked to be asked.",
    Risk.OUTBOUND: "It reaches outside, so you decide.",
    Risk.DESTROY: "It destroys something, so you decide.",
    Risk.WIDEN: "It gives others access, so you decide.",
}
