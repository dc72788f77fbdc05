"""Time: a slot is held by one, and a busy one by what is in the calendar; who gives way is placed again, or asked."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from brody_agents.action import ActionState, Claim
from brody_agents.communication.message_protocol import PERSON, Priority, stable_id
from brody_agents.coordinator.conflicts.ruling import WAITING, Ruling, ask, resource_of
from brody_agents.coordinator.conflicts.scene import Scene, moment
from brody_agents.integrations.calendar.base import Event
from brody_agents.ledger.actions import ActionRecord
from brody_agents.policy.basis import title_of

OPTIONS = ("Keep what holds the time", "Take the time for this one", "Find another time for this one")
BUSY_OPTIONS = ("Leave your calendar as it is", "Take the time all the same", "Find another time for this one")

Rank = tuple[bool, bool, int, float]
"""The person's own, hard, priority, earlier deadline: the higher keeps the time; among equals the earlier proposal."""


def slot(action: ActionRecord, scene: Scene) -> Ruling | None:
    """Let the higher of two proposals hold a slot; the other is placed again, or waits for the person."""
    holders = scene.clashing(action, "interval")
    mine = rank(action, scene)
    stronger = [h for h in holders if h.state not in WAITING or rank(h, scene) >= mine]
    for holder in stronger or holders:
        inputs = {
            "proposed": _said(mine),
            "held": _said(rank(holder, scene)),
            "order": "person, hard, priority, deadline",
        }
        if stronger:
            return _loses(action, holder, _because(rank(holder, scene), mine), inputs)
        return _wins(action, holder, _because(mine, rank(holder, scene)), inputs)
    return None


def busy_slot(action: ActionRecord, scene: Scene) -> Ruling | None:
    """Keep what is in the calendar: the person put it there, or agreed to it."""
    if action.arguments.get("answer") == "tentative":
        return None
    account = str(action.arguments.get("account", ""))
    for event in scene.world.busy.get((action.user_id, account), ()):
        if any(_overlap(claim, event) for claim in action.claims) and not _itself(action, event):
            inputs = {"event": event.title, "start": event.start.isoformat(), "end": event.end.isoformat()}
            why = f"The time is taken by “{event.title}” in your calendar."
            more = {"inputs": inputs, "title": event.title}
            if is_movable(action):
                return _again(action, event.id, "busy_slot", why, **more)
            return ask(action, event.id, "slot", "busy_slot", why, BUSY_OPTIONS, **more)
    return None


def rank(action: ActionRecord, scene: Scene) -> Rank:
    """Return how high an action stands in a dispute over time."""
    task = (action.user_id, str(action.arguments.get("task_id")))
    deadline = action.deadline or scene.world.due.get(task)
    soon = -deadline.timestamp() if deadline else float("-inf")
    return action.proposed_by == PERSON, not is_movable(action), -action.priority, soon


def is_movable(action: ActionRecord) -> bool:
    """Say whether an action may be placed at another time without asking."""
    return action.kind == "calendar.create" and bool(action.arguments.get("movable"))


_REASONS = ("it is your own wish", "it cannot be moved", "its priority is higher", "its deadline is earlier")


def _because(higher: Rank, lower: Rank) -> str:
    """Return what decides between two; nothing where only the order of their coming did."""
    decisive = (reason for reason, one, other in zip(_REASONS, higher, lower, strict=True) if one != other)
    return f": {next(decisive)}" if higher > lower else ""


def _loses(action: ActionRecord, holder: ActionRecord, because: str, inputs: dict[str, Any]) -> Ruling:
    why = f"The time is held by “{title_of(holder)}” ({holder.proposed_by}){because}."
    if is_movable(action):
        return _again(action, holder.id, "held_slot", why, inputs=inputs)
    return ask(action, holder, "slot", "held_slot", why, OPTIONS, inputs=inputs)


def _wins(action: ActionRecord, holder: ActionRecord, because: str, inputs: dict[str, Any]) -> Ruling:
    names = [f"“{title_of(a)}” ({a.proposed_by})" for a in (action, holder)]
    why = f"{names[0]} comes before {names[1]}{because}."
    movable = is_movable(holder)
    return Ruling(
        kind="slot",
        resource=resource_of(action),
        verdict="replan" if movable else "ask",
        rule="outranked",
        state=ActionState.AWAITING_APPROVAL,
        other=holder.id,
        why=f"{why} {_PLACED_AGAIN if movable else 'You decide.'}",
        otherwise="Whoever came first would have kept the time.",
        options=() if movable else OPTIONS,
        supersedes=True,
        of_other=True,
        replan="slot" if movable else None,
        inputs=inputs,
    )


_PLACED_AGAIN = "It is being placed at another time."


def _again(action: ActionRecord, other: str, rule: str, why: str, **more: Any) -> Ruling:
    return Ruling(
        kind="slot",
        resource=resource_of(action),
        verdict="replan",
        rule=rule,
        state=ActionState.AWAITING_APPROVAL,
        other=other,
        why=f"{why} {_PLACED_AGAIN}",
        otherwise="Two things would have stood at the same time.",
        replan="slot",
        **more,
    )


def _overlap(claim: Claim, event: Event) -> bool:
    if claim.mode != "interval" or claim.start is None or claim.end is None:
        return False
    return claim.start < event.end and event.start < claim.end


def _itself(action: ActionRecord, event: Event) -> bool:
    a = action.arguments
    series = stable_id(event.account, event.uid)
    return event.uid == a.get("uid") or a.get("event_id") in (event.id, series)


def _said(found: Rank) -> dict[str, Any]:
    person, hard, priority, deadline = found
    due = None if deadline == float("-inf") else datetime.fromtimestamp(-deadline).astimezone().isoformat()
    return {"person": person, "hard": hard, "priority": list(Priority)[-priority].value, "deadline": due}


def span_of(action: ActionRecord) -> tuple[datetime, datetime] | None:
    """Return the time that an action is about."""
    start, end = (moment(action.arguments.get(name)) for name in ("start", "end"))
    return (start, end) if start and end else None
