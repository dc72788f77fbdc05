"""Rules that others add: in their place, reported where they are broken, and never the turn's end."""

from __future__ import annotations

import re
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from brody_agents import Brody
from brody_agents.action import ActionState
from brody_agents.coordinator.conflict_resolver import ConflictResolver
from brody_agents.coordinator.conflicts import order
from brody_agents.coordinator.conflicts.order import RULES, OwnRule, installed_rules, with_own
from brody_agents.coordinator.conflicts.ruling import Ruling, ask
from brody_agents.coordinator.conflicts.scene import Scene
from brody_agents.ledger.actions import ActionRecord
from brody_agents.settings import Settings
from tests.coordinator.court import Court, propose


def quiet_sundays(action: ActionRecord, scene: Scene) -> Ruling | None:
    """Ask before anything is said."""
    if action.kind != "notify":
        return None
    return ask(action, action, "stale", "quiet_sundays", "Today is a quiet day.")


def broken(action: ActionRecord, scene: Scene) -> Ruling | None:
    """Be of no use."""
    raise RuntimeError("no")


def names(rules: Any) -> list[str]:
    """Return what rules are called."""
    return [rule.__name__ for rule in rules]


def test_the_page_names_every_rule_in_its_order() -> None:
    """What the README says of a conflict, a rule does."""
    page = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    rows = page[page.index("### Conflicts") :].split("\n## ")[0].splitlines()
    named = [name for row in rows if row.startswith("| ") for name in re.findall(r"`(\w+)`", row.split("|")[3])]
    assert named == names(RULES)


def test_a_rule_has_its_place_before_or_after_another_or_is_the_last() -> None:
    first = with_own(RULES, [OwnRule(quiet_sundays, before="slot")])
    assert names(first)[names(first).index("slot") - 1] == "quiet_sundays"
    after = with_own(RULES, [OwnRule(quiet_sundays, after="slot")])
    assert names(after)[names(after).index("slot") + 1] == "quiet_sundays"
    assert names(with_own(RULES, [OwnRule(quiet_sundays)]))[-1] == "quiet_sundays"
    with pytest.raises(LookupError, match="there is no rule 'slots'"):
        with_own(RULES, [OwnRule(quiet_sundays, before="slots")])


async def test_a_rule_of_ones_own_decides(court: Court) -> None:
    court.resolver = ConflictResolver(court.ledger.vault, with_own(RULES, [OwnRule(quiet_sundays)]))
    (asked,) = await court.settle(propose("notify", {"text": "Hello"}))
    assert (asked.state, asked.reason) == (ActionState.AWAITING_APPROVAL, "Today is a quiet day. You decide.")


async def test_a_rule_that_raises_has_the_person_asked(court: Court) -> None:
    """A safety hook that fails stops the action; the turn goes on."""
    court.resolver = ConflictResolver(court.ledger.vault, with_own(RULES, [OwnRule(broken)]))
    note = propose("notify", {"text": "Hello"})
    (asked,) = await court.settle(note)
    assert asked.state is ActionState.AWAITING_APPROVAL
    assert (await court.verdict(note)).why == "The rule “broken” failed: RuntimeError. You decide."


async def test_a_rule_that_gives_no_ruling_has_the_person_asked(court: Court) -> None:
    def says_yes(action: ActionRecord, scene: Scene) -> Any:
        return "yes"

    court.resolver = ConflictResolver(court.ledger.vault, with_own(RULES, [OwnRule(says_yes)]))
    note = propose("notify", {"text": "Hello"})
    (asked,) = await court.settle(note)
    assert asked.state is ActionState.AWAITING_APPROVAL
    assert (await court.verdict(note)).why == "The rule “says_yes” failed: TypeError. You decide."


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have packages installed that add rules, some of them broken."""
    module: Any = ModuleType("own_rules")
    module.good = OwnRule(quiet_sundays, before="same_task")
    module.plain, module.nothing = quiet_sundays, 3
    module.misplaced = OwnRule(quiet_sundays, after="nowhere")
    monkeypatch.setitem(sys.modules, "own_rules", module)
    found = [EntryPoint(name, f"own_rules:{name}", order.GROUP) for name in ("good", "plain", "nothing", "misplaced")]
    found.append(EntryPoint("absent", "not_there:rule", order.GROUP))
    monkeypatch.setattr(order, "entry_points", lambda group: found if group == order.GROUP else [])


@pytest.mark.usefixtures("installed")
def test_installed_rules_are_found_and_broken_ones_reported_and_left_out() -> None:
    rules, failures = installed_rules()
    assert (names(rules)[-1], len(rules)) == ("quiet_sundays", len(RULES) + 2)
    assert names(rules).index("quiet_sundays") == names(rules).index("same_task") - 1
    assert [f.name for f in failures] == ["absent", "misplaced", "nothing"]
    assert failures[2].reason == "TypeError: own_rules:nothing gives a int, no rule"


@pytest.mark.usefixtures("installed")
async def test_a_brody_uses_them_and_tells_of_those_left_out(settings: Settings) -> None:
    from brody_agents import AgentAction

    async with Brody(agents=[], settings=settings) as brody:
        result = await brody.execute(AgentAction(kind="notify", arguments={"text": "Hello"}))
        assert result.reason == "Today is a quiet day. You decide."
        assert [f.name for f in brody.left_out] == ["absent", "misplaced", "nothing"]
