"""The judge: which of all actions may be carried out without a person."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brody_agents.action import CATALOGUE, ActionKind, ActionState, Risk
from brody_agents.communication.message_protocol import Origin
from brody_agents.coordinator.effects import EFFECTS
from brody_agents.policy.autonomy import PATTERNS, level_of
from brody_agents.policy.rules import Autonomy, default_autonomy, is_vouched, judge

INSIDE = {"task.create", "task.update", "task.complete", "task.merge", "task.delete", "notify"}
KINDS = list(CATALOGUE.values())
ASKED = {
    Risk.OUTBOUND: "It reaches outside, so you decide.",
    Risk.DESTROY: "It destroys something, so you decide.",
    Risk.WIDEN: "It gives others access, so you decide.",
}
LEVELS: tuple[Autonomy, ...] = get_args(Autonomy)


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
def test_no_autonomy_lets_anything_out_that_follows_others_words(kind: ActionKind) -> None:
    """Whatever the person allows; ``observe`` never does, ``suggest`` always asks."""
    states = {mode: judge(kind, mode, vouched=False).state for mode in LEVELS}
    acts = ActionState.APPROVED if kind.name in INSIDE else ActionState.AWAITING_APPROVAL
    assert states == {"observe": ActionState.OBSERVED, "suggest": ActionState.AWAITING_APPROVAL, "act": acts}


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.name)
def test_what_the_person_lets_act_acts_on_their_own_words(kind: ActionKind) -> None:
    assert judge(kind, "act").state is ActionState.APPROVED
    assert judge(kind, "suggest").state is ActionState.AWAITING_APPROVAL


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.name)
def test_a_dry_run_does_nothing_whatever_the_autonomy(kind: ActionKind, level: Autonomy) -> None:
    """A later run does what it would have done; what is only observed anyway, none does."""
    state = judge(kind, level, dry_run=True).state
    assert state is (ActionState.OBSERVED if level == "observe" else ActionState.PROPOSED)


def test_what_acts_by_default_lies_in_the_ledger() -> None:
    assert set(EFFECTS) == INSIDE == {kind.name for kind in KINDS if default_autonomy(kind) == "act"}


@pytest.mark.parametrize("origin", Origin)
def test_one_untrusted_part_is_enough(origin: Origin) -> None:
    """A person's edit of one argument does not vouch for the others."""
    parts = {"": {"origin": origin.value}, "/text": {"origin": "user"}}
    assert is_vouched(parts) is (origin is not Origin.UNTRUSTED)
    assert is_vouched({})
    assert not is_vouched({"": {}})


@given(settings=st.dictionaries(st.sampled_from(PATTERNS), st.sampled_from(LEVELS)), kind=st.sampled_from(KINDS))
def test_the_most_exact_setting_counts(settings: dict[str, Autonomy], kind: ActionKind) -> None:
    found = level_of(kind, settings)
    about = [p for p in settings if p in (kind.name, f"{kind.name.split('.')[0]}.*", "*")]
    if not about:
        assert (found.level, found.set_by) == (default_autonomy(kind), "default")
    else:
        exact = max(about, key=len)  # "mail.draft" is longer than "mail.*", which is longer than "*"
        assert (found.level, found.set_by) == (settings[exact], exact)
