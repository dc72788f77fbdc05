"""The judge: which of all actions may be carried out without a person."""

from __future__ import annotations

from typing import get_args

import pytest

from brody_agents.action import CATALOGUE, ActionKind, ActionState, Risk
from brody_agents.coordinator.effects import EFFECTS
from brody_agents.policy.rules import CARRIED_OUT, Autonomy, default_autonomy, judge

INSIDE = {"task.create", "task.update", "task.complete", "task.merge", "task.delete", "notify"}
KINDS = list(CATALOGUE.values())
ASKED = {
    Risk.OUTBOUND: "It reaches outside, so you decide.",
    Risk.DESTROY: "It destroys something, so you decide.",
    Risk.WIDEN: "It gives others access, so you decide.",
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.name)
def test_what_stays_inside_acts_and_all_else_asks(kind: ActionKind) -> None:
    """By default; the person reads why."""
    judgement = judge(kind)
    if kind.name in INSIDE:
        assert (default_autonomy(kind), judgement.state) == ("act", ActionState.APPROVED)
        assert judgement.reason == "It stays inside and may be done without asking."
    else:
        assert (default_autonomy(kind), judgement.state) == ("suggest", ActionState.AWAITING_APPROVAL)
        assert judgement.reason == ASKED[kind.risk]


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.name)
def test_no_autonomy_lets_anything_out(kind: ActionKind) -> None:
    """Whatever the person allows, what leaves the ledger waits; ``observe`` never does, ``suggest`` always asks."""
    states: dict[Autonomy, ActionState] = {mode: judge(kind, mode).state for mode in get_args(Autonomy)}
    acts = ActionState.APPROVED if kind.name in INSIDE else ActionState.AWAITING_APPROVAL
    assert states == {"observe": ActionState.PROPOSED, "suggest": ActionState.AWAITING_APPROVAL, "act": acts}


def test_what_may_be_done_is_exactly_what_can_be_carried_out() -> None:
    assert set(EFFECTS) == CARRIED_OUT == INSIDE
