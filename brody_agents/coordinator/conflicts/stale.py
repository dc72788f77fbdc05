"""Stale reads: what was read has changed since; it is read again and planned again, or the person is asked."""

from __future__ import annotations

from brody_agents.action import ActionState
from brody_agents.coordinator.conflicts.ruling import Ruling, ask, resource_of
from brody_agents.coordinator.conflicts.scene import Scene
from brody_agents.coordinator.conflicts.world import ITEMS
from brody_agents.ledger.actions import ActionRecord

REBASED = frozenset({"task.complete", "file.append"})
"""The kinds that mean the same on a newer version: they overwrite nothing of it."""

_OVERWRITES = frozenset({"title", "priority", "due"})
"""What a ``task.update`` may overwrite; one that only adds, or sets the status, means the same on a newer version."""

_OPTIONS = ("Do it to what is there now", "Look at it again first", "Leave it")


def stale_read(action: ActionRecord, scene: Scene) -> Ruling | None:
    """Compare the version that an action was made on with the one that the ledger has."""
    read, item = action.arguments.get("version"), item_of(action)
    now = scene.world.versions.get((action.user_id, item))
    if read is None or now is None or now == str(read):
        return None
    why, inputs = "What it is about has changed since it was read.", {"read": str(read), "now": now}
    if not _means_the_same(action):
        return ask(action, item, "stale", "stale_read", why, _OPTIONS, inputs=inputs)
    return Ruling(
        kind="stale",
        resource=resource_of(action),
        verdict="replan",
        rule="stale_read",
        state=ActionState.AWAITING_APPROVAL,
        other=item,
        why=f"{why} It is being read again.",
        otherwise="It would have failed, or overwritten what is new.",
        replan="stale",
        inputs=inputs,
    )


def _means_the_same(action: ActionRecord) -> bool:
    """Say whether an action can be made on a newer version; what was changed there outranks an older plan."""
    adds_only = action.kind == "task.update" and not _OVERWRITES & action.arguments.keys()
    return action.kind in REBASED or adds_only


def item_of(action: ActionRecord) -> str:
    """Return the id of the item that an action is about; empty for none."""
    domain = action.kind.partition(".")[0]
    argument = ITEMS[domain][1] if domain in ITEMS else "task_id"
    return str(action.arguments.get(argument, ""))
