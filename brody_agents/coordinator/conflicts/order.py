"""All rules in their one order, and the place of those that others add.

A package adds a rule by an entry point of the group ``brody_agents.conflict_rules`` that names an :class:`OwnRule`,
or a plain function, which comes last. A rule that cannot be loaded or placed is reported and left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points

from brody_agents.coordinator.conflicts.answers import contradiction
from brody_agents.coordinator.conflicts.blocks import block_before_due, due_before_blocks
from brody_agents.coordinator.conflicts.files import share_before_move, widening
from brody_agents.coordinator.conflicts.places import kept_mail, one_move
from brody_agents.coordinator.conflicts.ruling import Ruling, ask
from brody_agents.coordinator.conflicts.scene import Rule, Scene
from brody_agents.coordinator.conflicts.slots import busy_slot, slot
from brody_agents.coordinator.conflicts.stale import stale_read
from brody_agents.coordinator.conflicts.tasks import same_task
from brody_agents.coordinator.conflicts.threads import one_draft_a_thread, own_words
from brody_agents.coordinator.conflicts.undone import being_undone
from brody_agents.errors import said
from brody_agents.ledger.actions import ActionRecord
from brody_agents.observability import logger
from brody_agents.registry import PluginFailure

log = logger(__name__)
GROUP = "brody_agents.conflict_rules"
_KINDS = {"mail": "label", "calendar": "slot", "task": "task", "file": "move_vs_share"}


def exclusive(action: ActionRecord, scene: Scene) -> Ruling | None:
    """Let one open action hold a resource; what comes later waits for the person."""
    for other in scene.clashing(action):
        why = f"{other.proposed_by} has an open {other.kind} on the same."
        return ask(action, other, _KINDS.get(action.kind.split(".")[0], "stale"), "held_resource", why)
    return None


RULES: tuple[Rule, ...] = (
    being_undone,
    same_task,
    contradiction,
    stale_read,
    own_words,
    one_draft_a_thread,
    kept_mail,
    one_move,
    share_before_move,
    widening,
    block_before_due,
    due_before_blocks,
    busy_slot,
    slot,
    exclusive,
)
"""All rules in their order.

First what is going; then what makes two the same, what contradicts, what is stale; then each domain; last the rest.

A rule that looks deeper into contradictions has its place right after ``contradiction``.
"""


@dataclass(frozen=True, slots=True)
class OwnRule:
    """A rule that others add, just before or after a rule that is named; by default last."""

    rule: Rule
    before: str = ""
    after: str = ""


def with_own(rules: Sequence[Rule], own: Iterable[OwnRule]) -> tuple[Rule, ...]:
    """Return the rules with others in their places; raise ``LookupError`` for a place that there is not."""
    ordered = list(rules)
    for added in own:
        guarded = _guarded(added.rule)
        if not (added.before or added.after):
            ordered.append(guarded)
            continue
        names = [_name(rule) for rule in ordered]
        place = added.before or added.after
        if place not in names:
            raise LookupError(f"there is no rule {place!r}; there are: {', '.join(names)}")
        ordered.insert(names.index(place) + (0 if added.before else 1), guarded)
    return tuple(ordered)


def installed_rules(rules: Sequence[Rule] = RULES) -> tuple[tuple[Rule, ...], list[PluginFailure]]:
    """Return the rules with all that are installed, and those that had to be left out."""
    ordered, failures = tuple(rules), []
    for entry in sorted(entry_points(group=GROUP), key=lambda e: e.name):
        try:
            loaded = entry.load()
            if not (isinstance(loaded, OwnRule) or callable(loaded)):
                raise TypeError(f"{entry.value} gives a {type(loaded).__name__}, no rule")
            ordered = with_own(ordered, [loaded if isinstance(loaded, OwnRule) else OwnRule(loaded)])
        except (Exception, SystemExit) as error:  # whatever a third party's code raises: the rest runs
            failures.append(PluginFailure(entry.name, said(error)))
    return ordered, failures


def _name(rule: Rule) -> str:
    return str(getattr(rule, "__name__", type(rule).__name__))


def _guarded(rule: Rule) -> Rule:
    """Return a rule that asks the person where the given one raises: a safety hook that fails stops the action."""

    def guarded(action: ActionRecord, scene: Scene) -> Ruling | None:
        try:
            ruling = rule(action, scene)
            if not isinstance(ruling, Ruling | None):
                raise TypeError(f"it gave a {type(ruling).__name__}, no ruling")
            return ruling
        except Exception as error:  # a third party's code may raise anything, and a transaction is open
            log.warning("a rule failed", rule=_name(rule), action=action.id, exc_info=True)
            why = f"The rule “{_name(rule)}” failed: {type(error).__name__}."
            return ask(action, action, "stale", "failed_rule", why, ("Do it all the same", "Do not do it"))

    guarded.__name__ = _name(rule)
    return guarded
