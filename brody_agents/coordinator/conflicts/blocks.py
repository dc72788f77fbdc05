"""A task's due date against its time block: the date is hard, the block soft."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from brody_agents.action import ActionState
from brody_agents.coordinator.conflicts.ruling import WAITING, Ruling, resource_of
from brody_agents.coordinator.conflicts.scene import Scene, moment
from brody_agents.coordinator.conflicts.slots import span_of
from brody_agents.ledger.actions import ActionRecord
from brody_agents.policy.basis import title_of


def block_before_due(action: ActionRecord, scene: Scene) -> Ruling | None:
    """Plan a block again that does not end before its task is due: it is shortened, split or moved."""
    due = scene.world.due.get((action.user_id, str(action.arguments.get("task_id"))))
    span = span_of(action)
    if action.kind != "calendar.create" or due is None or span is None or span[1] <= due:
        return None
    return _late(action, str(action.arguments["task_id"]), action, due)


def due_before_blocks(action: ActionRecord, scene: Scene) -> Ruling | None:
    """Have the open blocks of a task give way to its new due date."""
    due = moment(action.arguments.get("due"))
    if action.kind != "task.update" or due is None:
        return None
    for block in scene.of_user(action, "calendar.create"):
        span, of_task = span_of(block), block.arguments.get("task_id") == action.arguments["task_id"]
        if of_task and span and span[1] > due and block.state in WAITING:
            return _late(action, block.id, block, due, supersedes=True, of_other=True)
    return None


def _late(action: ActionRecord, other: str, block: ActionRecord, due: datetime, **more: Any) -> Ruling:
    return Ruling(
        kind="due_vs_block",
        resource=resource_of(block),
        verdict="replan",
        rule="due_before_block",
        state=ActionState.AWAITING_APPROVAL,
        other=other,
        why=f"“{title_of(block)}” would end after its task is due ({due:%a %d %b %H:%M}). It is being planned again.",
        otherwise="The time for the task would have come too late.",
        replan="due_vs_block",
        before=due,
        inputs={"due": due.isoformat(), "end": str(block.arguments.get("end"))},
        **more,
    )
