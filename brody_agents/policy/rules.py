"""The policy's rules: whether an action may be carried out, waits for the person, or is only recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from brody_agents.action import ActionKind, ActionState, Risk
from brody_agents.communication.message_protocol import Origin

Autonomy = Literal["observe", "suggest", "act"]
"""How far a kind of action goes by itself: recorded only, always asked about, or as the policy decides."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The state that an action gets, and why."""

    state: ActionState
    reason: str


def default_autonomy(kind: ActionKind) -> Autonomy:
    """Return ``act`` for what stays inside, ``suggest`` for all else."""
    return "act" if kind.risk is Risk.INTERNAL else "suggest"


def judge(
    kind: ActionKind, autonomy: Autonomy | None = None, *, vouched: bool = True, dry_run: bool = False
) -> Judgement:
    """Judge an action of a kind under the user's autonomy for it; the default is the kind's.

    ``vouched``: nothing of what it was made from is somebody else's word. Without that nothing leaves, destroys or
    widens access unasked, whatever the autonomy. What a dry run proposes is only observed until a run does it.
    """
    mode = autonomy or default_autonomy(kind)
    if mode == "observe":
        return Judgement(ActionState.OBSERVED, "You only observe this kind: it is recorded, and never done.")
    if dry_run:
        return Judgement(ActionState.PROPOSED, "Only observed: recorded, not done.")
    if mode == "suggest":
        return Judgement(ActionState.AWAITING_APPROVAL, _ASKS[kind.risk])
    if kind.risk is Risk.INTERNAL:
        return Judgement(ActionState.APPROVED, "It stays inside and may be done without asking.")
    if vouched:
        return Judgement(ActionState.APPROVED, "You let this kind act, and nobody else's words are in it.")
    return Judgement(ActionState.AWAITING_APPROVAL, "You let this kind act, but it follows others' words: you decide.")


def is_vouched(provenance: Mapping[str, Any]) -> bool:
    """Say whether no part of an action comes from what others wrote; ``provenance`` is as the ledger keeps it."""
    return all(label.get("origin", Origin.UNTRUSTED) != Origin.UNTRUSTED for label in provenance.values())


_ASKS = {
    Risk.INTERNAL: "You asked to be asked.",
    Risk.OUTBOUND: "It reaches outside, so you decide.",
    Risk.DESTROY: "It destroys something, so you decide.",
    Risk.WIDEN: "It gives others access, so you decide.",
}
