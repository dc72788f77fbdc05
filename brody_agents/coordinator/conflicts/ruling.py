"""What a rule decides, and the words in which a person reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from brody_agents.action import ActionState
from brody_agents.communication.message_protocol import PERSON, Origin, stable_id
from brody_agents.ledger.actions import ActionRecord, VerdictRecord
from brody_agents.policy.basis import title_of

WAITING = frozenset({ActionState.PROPOSED, ActionState.AWAITING_APPROVAL})
"""States in which nobody has decided yet."""

Reason = Literal["slot", "due_vs_block", "stale"]
"""Why something is planned again."""

_CHOICE = ("Keep the earlier one", "Take this one instead", "Drop both")


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a rule decides of a proposal: the state it gets, and the explanation."""

    kind: str
    resource: str
    verdict: str
    rule: str
    state: ActionState
    """The state of whoever gives way: the other action if it ``supersedes``, else the proposal."""
    other: str
    """The id of the action or item that it meets."""
    why: str
    otherwise: str
    options: tuple[str, ...] = ()
    supersedes: bool = False
    """Whether the other action gives way instead of this one."""
    of_other: bool = False
    """Whether the verdict belongs to the other action, whose fate it is."""
    into_task: str | None = None
    replan: Reason | None = None
    """Why whoever gives way is to be planned again; until then it waits and holds no time."""
    before: datetime | None = None
    """What is planned again has to end by then."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """What the rule looked at: JSON values."""
    title: str = ""
    """The name of the other party where it is no action and no task."""
    parties: tuple[dict[str, Any], ...] = ()
    """Who was weighed, with the figures; by default the two that meet."""


def ask(
    action: ActionRecord,
    other: ActionRecord | str,
    kind: str,
    rule: str,
    why: str,
    options: tuple[str, ...] = _CHOICE,
    **more: Any,
) -> Ruling:
    """Leave it to the person."""
    return Ruling(
        kind=kind,
        resource=resource_of(action),
        verdict="ask",
        rule=rule,
        state=ActionState.AWAITING_APPROVAL,
        other=other if isinstance(other, str) else other.id,
        why=f"{why} You decide.",
        otherwise=f"{action.kind} would have gone the usual way.",
        options=options,
        **more,
    )


def supersede(action: ActionRecord, other: ActionRecord, rule: str, why: str, kind: str = "") -> Ruling:
    """Drop an earlier proposal that still waits; what the person has approved is the person's."""
    if other.state not in WAITING:
        return ask(action, other, kind or "stale", rule, f"{why} The earlier {other.kind} is {other.state} already.")
    return Ruling(
        kind=kind or ("thread" if action.kind.startswith("mail.") else "stale"),
        resource=resource_of(action),
        verdict="superseded",
        rule=rule,
        state=ActionState.SUPERSEDED,
        other=other.id,
        why=f"{why} The earlier proposal is dropped.",
        otherwise="The earlier proposal would have stood beside the new one.",
        supersedes=True,
    )


def drop(action: ActionRecord, other: str, kind: str, rule: str, why: str, otherwise: str, **more: Any) -> Ruling:
    """Let the proposal itself give way for good."""
    return Ruling(kind, resource_of(action), "superseded", rule, ActionState.SUPERSEDED, other, why, otherwise, **more)


def resource_of(action: ActionRecord) -> str:
    """Return the resource that a verdict names."""
    return action.claims[0].resource if action.claims else f"{action.user_id}/action/{action.id}"


def authority(action: ActionRecord) -> int:
    """Return whose word an action is: 3 the person's, 2 a rule of the person's, 1 learned, 0 anything else.

    A proposal made from nothing but the person's own words comes of a rule of theirs; one made from what the
    framework itself keeps is learned.
    """
    if action.proposed_by == PERSON:
        return 3
    origin = (action.provenance.get("") or {}).get("origin")
    return {Origin.USER.value: 2, Origin.SELF.value: 1}.get(str(origin), 0)


def is_persons(action: ActionRecord) -> bool:
    """Say whether an action is in the person's words: asked for, edited, or made from nothing else."""
    return authority(action) >= 2


AUTHORITIES = ("a suggestion", "what was learned", "your rule", "your own word")
"""What the ranks of ``authority`` are called."""


def party(action: ActionRecord) -> dict[str, Any]:
    """Return an action as a verdict names it; what holds a time comes with it."""
    named: dict[str, Any] = {"id": action.id, "title": title_of(action), "by": action.proposed_by}
    if action.kind.startswith("calendar.") and action.arguments.get("start"):
        named |= {name: action.arguments[name] for name in ("start", "end") if action.arguments.get(name)}
        named |= {"priority": action.priority, "movable": bool(action.arguments.get("movable"))}
    return named


def verdict_of(action: ActionRecord, ruling: Ruling, theirs: dict[str, Any], of: ActionRecord) -> VerdictRecord:
    """Return a ruling as the ledger keeps it: the verdict on ``of``, one of the two that meet."""
    return VerdictRecord(
        id=stable_id("verdict", action.id, ruling.rule, theirs["id"]),
        user_id=of.user_id,
        run_id=of.run_id,
        action_id=of.id,
        kind=ruling.kind,
        resource=ruling.resource,
        verdict=ruling.verdict,
        rule=ruling.rule,
        parties=list(ruling.parties) or [party(action), theirs],
        why=ruling.why,
        otherwise=ruling.otherwise,
        options=list(ruling.options),
        inputs=dict(ruling.inputs),
        created_at=datetime.now(UTC),
    )


def said(
    action: ActionRecord, rule: str, verdict: str, kind: str, why: str, otherwise: str, *marks: str, **more: Any
) -> VerdictRecord:
    """Return a verdict on an action that meets no other; ``marks`` tell it from others of its rule."""
    return VerdictRecord(
        id=stable_id("verdict", action.id, rule, *marks),
        user_id=action.user_id,
        run_id=action.run_id,
        action_id=action.id,
        kind=kind,
        resource=resource_of(action),
        verdict=verdict,
        rule=rule,
        parties=[party(action)],
        why=why,
        otherwise=otherwise,
        options=more.pop("options", []),
        created_at=datetime.now(UTC),
        **more,
    )
