"""The same task from two sources; and what is kept when two are merged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rapidfuzz import fuzz
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.action import ActionState
from brody_agents.arguments import SourceRef, TaskCreate
from brody_agents.coordinator.conflicts.ruling import Ruling
from brody_agents.coordinator.conflicts.scene import Scene
from brody_agents.coordinator.conflicts.wishes import Wish
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Task
from brody_agents.ledger.vault import Vault

SAME_TASK, PERHAPS_SAME_TASK = 85.0, 70.0
"""Similarity of two normalised actions (rapidfuzz token_sort_ratio, 0 to 100): one task; ask the person."""

SAME_WORD = 80.0
"""Similarity of two words that are taken as one, such as singular and plural."""


def same_task(action: ActionRecord, scene: Scene) -> Ruling | None:
    """Merge a task with one that is open or proposed: the same action for the same person."""
    if action.kind != "task.create":
        return None
    wanted = TaskCreate.model_validate(action.arguments)
    best, score = _nearest(wanted, action, scene)
    if best is None:
        return None
    differ = _each_has_its_own_word(wanted.action, best.action)
    if differ and score < SAME_TASK:
        return None
    inputs = {"alike": round(score), "one": wanted.action, "other": best.action, "each_has_its_own_word": differ}
    make = _merged if score >= SAME_TASK and not differ else _perhaps
    return make(wanted, best, score, f"{action.user_id}/task-key/{wanted.task_key}", inputs)


def _merged(wanted: TaskCreate, best: Wish, score: float, resource: str, inputs: dict[str, Any]) -> Ruling:
    return Ruling(
        kind="task",
        resource=resource,
        verdict="merged",
        rule="same_task",
        state=ActionState.MERGED,
        other=best.id,
        why=_asked_twice(wanted.title, best.title, score),
        otherwise="The task would have stood twice on the list.",
        into_task=best.id if best.is_task else None,
        inputs=inputs,
    )


def _perhaps(wanted: TaskCreate, best: Wish, score: float, resource: str, inputs: dict[str, Any]) -> Ruling:
    return Ruling(
        kind="task",
        resource=resource,
        verdict="ask",
        rule="perhaps_same_task",
        state=ActionState.AWAITING_APPROVAL,
        other=best.id,
        why=f"“{wanted.title}” may be the same as “{best.title}” ({score:.0f} of 100 alike).",
        otherwise="The task would have been added without asking.",
        options=("Merge the two", "Keep both", "Drop the new one"),
        inputs=inputs,
    )


def _nearest(wanted: TaskCreate, action: ActionRecord, scene: Scene) -> tuple[Wish | None, float]:
    best: Wish | None = None
    score = 0.0
    for wish, alike in scene.wishes.like(action.user_id, wanted, PERHAPS_SAME_TASK):
        if alike > score and (wish.is_task or _is_open(wish, action, scene)):
            best, score = wish, alike
    return best, score


def _is_open(wish: Wish, action: ActionRecord, scene: Scene) -> bool:
    proposal = scene.actions.get(wish.id)
    return proposal is not None and scene.stands(proposal, action)


def _asked_twice(one: str, other: str, score: float) -> str:
    if one == other:
        return f"“{one}” is asked for twice; both sources stay."
    return f"“{one}” and “{other}” ask for the same ({score:.0f} of 100 alike); both sources stay."


def _each_has_its_own_word(one: str, other: str) -> bool:
    """Say whether both name something that the other does not: an invoice is no contract, whoever gets it."""

    def own(words: list[str], others: list[str]) -> bool:
        return any(all(fuzz.ratio(word, o) < SAME_WORD for o in others) for word in words)

    return own(one.split(), other.split()) and own(other.split(), one.split())


async def merge_into_task(
    tx: AsyncConnection, vault: Vault, task: dict[str, Any], others: Sequence[TaskCreate]
) -> None:
    """Keep the sources and reasons of the same wish, its earliest due date and its highest priority."""
    user_id = task["user_id"]
    ranks = ["urgent", "high", "normal", "low"]
    sources = [SourceRef.model_validate(s) for s in task["sources"] or []]
    reasons: list[str] = vault.open(user_id, task["reasons"]) or []
    for other in others:
        sources += [s for s in other.sources if s not in sources]
        reasons += [r for r in other.reasons if r not in reasons]
        task["due_date"] = min((d for d in (task["due_date"], other.due) if d), default=None)
        task["priority"] = min(task["priority"], other.priority.value, key=ranks.index)
    task["sources"] = [s.model_dump() for s in sources]
    task["reasons"] = vault.seal(user_id, reasons)
    task["version"] += 1
    changed = {name: task[name] for name in ("sources", "reasons", "due_date", "priority", "version")}
    t = table(Task)
    await tx.execute(t.update().where(t.c.id == task["id"], t.c.user_id == user_id).values(**changed))
