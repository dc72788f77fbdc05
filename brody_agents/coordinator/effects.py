"""Effects on the ledger's own things: tasks and notifications. They share the transaction that records them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.action import CATALOGUE
from brody_agents.arguments import Notify, TaskCreate, TaskMerge, TaskTarget, TaskUpdate
from brody_agents.communication.message_protocol import stable_id
from brody_agents.coordinator import task_history
from brody_agents.coordinator.conflicts.tasks import merge_into_task
from brody_agents.coordinator.task_history import bring_back
from brody_agents.errors import NotFound, ProviderError, Stale
from brody_agents.ledger.actions import ActionRecord, merged_into, task_of
from brody_agents.ledger.statements import insert_new, table
from brody_agents.ledger.tables import Note, Task
from brody_agents.ledger.vault import Vault

_T = table(Task)
OPEN = ("pending", "in_progress")

Inverse = Callable[[AsyncConnection, Vault, ActionRecord], Awaitable[None]]
"""Undo an action from what its ``intent`` says; raise ``Stale`` where the world is not as it has left it."""
Effect = Callable[[AsyncConnection, Vault, ActionRecord, Any], Awaitable[dict[str, Any]]]


async def apply(tx: AsyncConnection, vault: Vault, action: ActionRecord) -> tuple[dict[str, Any], dict[str, Any]]:
    """Carry out an action; return its result, and what its undo needs. Raises what the effect raises."""
    arguments = CATALOGUE[action.kind].model.model_validate(action.arguments)
    before = await task_history.before(tx, vault, action, arguments)
    result = await EFFECTS[action.kind](tx, vault, action, arguments)
    if not before:
        return result, {}
    return result, {"before": before, "after": await task_history.after(tx, vault, action.user_id, before)}


async def create_task(tx: AsyncConnection, vault: Vault, action: ActionRecord, a: TaskCreate) -> dict[str, Any]:
    """Add a task; what was merged into its proposal comes with it."""
    task_id = task_of(action.id)
    first = a.sources[0] if a.sources else None
    row = {
        "id": task_id,
        "user_id": action.user_id,
        "title": a.title,
        "description": vault.seal(action.user_id, a.description),
        "priority": a.priority.value,
        "status": "pending",
        "due_date": a.due,
        "source_type": first.type if first else "manual",
        "source_id": first.id if first else None,
        "ai_generated": True,
        "created_at": datetime.now(UTC),
        "completed_at": None,
        "sources": [s.model_dump() for s in a.sources],
        "reasons": vault.seal(action.user_id, a.reasons),
        "assignee": a.assignee,
        "root": a.root,
        "normalised": a.normalised,
        "version": 1,
        "account": "",
        "external_id": "",
        "external_version": "",
        "problem": "",
        "removed": False,
    }
    await tx.execute(insert_new(tx, Task), [row])
    merged = await merged_into(tx, vault, [action.id])
    if merged:
        await merge_into_task(tx, vault, row, [TaskCreate.model_validate(m.arguments) for m in merged])
    return {"task_id": task_id}


async def update_task(tx: AsyncConnection, vault: Vault, action: ActionRecord, a: TaskUpdate) -> dict[str, Any]:
    """Change a task; a version that was given must still be the task's."""
    task = await _task(tx, action.user_id, a.task_id, a.version)
    new: dict[str, Any] = {
        name: value for name, value in (("title", a.title), ("due_date", a.due), ("status", a.status)) if value
    }
    if a.priority is not None:
        new["priority"] = a.priority.value
    if a.status is not None:
        new["completed_at"] = datetime.now(UTC) if a.status == "completed" else None
    known = task["sources"] or []
    new["sources"] = known + [s.model_dump() for s in a.add_sources if s.model_dump() not in known]
    reasons = vault.open(action.user_id, task["reasons"]) or []
    new["reasons"] = vault.seal(action.user_id, reasons + [r for r in a.reasons if r not in reasons])
    await _write(tx, task, new)
    return {"task_id": a.task_id, "version": task["version"] + 1}


async def complete_task(tx: AsyncConnection, vault: Vault, action: ActionRecord, a: TaskTarget) -> dict[str, Any]:
    """Mark a task as done."""
    task = await _task(tx, action.user_id, a.task_id, a.version)
    await _write(tx, task, {"status": "completed", "completed_at": datetime.now(UTC)})
    return {"task_id": a.task_id}


async def merge_tasks(tx: AsyncConnection, vault: Vault, action: ActionRecord, a: TaskMerge) -> dict[str, Any]:
    """Put one task into another, which keeps the sources of both."""
    goes, stays = [await _task(tx, action.user_id, i, None) for i in (a.task_id, a.into)]
    if a.task_id == a.into or stays["status"] not in OPEN:
        raise Stale(f"Task {a.into} is not another open task.")
    wish = TaskCreate(
        title=goes["title"],
        priority=goes["priority"],
        due=goes["due_date"],
        sources=goes["sources"] or [],
        reasons=vault.open(action.user_id, goes["reasons"]) or [],
    )
    await merge_into_task(tx, vault, stays, [wish])
    await _write(tx, goes, {"status": "cancelled"})
    return {"task_id": a.into}


async def delete_task(tx: AsyncConnection, vault: Vault, action: ActionRecord, a: TaskTarget) -> dict[str, Any]:
    """Take a task off the list."""
    task = await _task(tx, action.user_id, a.task_id, a.version)
    await tx.execute(_T.delete().where(*_is(task)))
    return {"task_id": a.task_id}


async def notify(tx: AsyncConnection, vault: Vault, action: ActionRecord, a: Notify) -> dict[str, Any]:
    """Leave a word for the person."""
    row = {
        "id": stable_id("notification", action.id),
        "user_id": action.user_id,
        "run_id": action.run_id,
        "text": vault.seal(action.user_id, a.text),
        "level": a.level,
        "about": a.about,
        "created_at": datetime.now(UTC),
    }
    await tx.execute(insert_new(tx, Note), [row])
    return {"notification_id": row["id"]}


INVERSES: Mapping[str, Inverse | str] = {
    **dict.fromkeys(("task.create", "task.update", "task.complete", "task.merge", "task.delete"), bring_back),
    "notify": CATALOGUE["notify"].inverse,
}
"""What undoes each of them, or why nothing does."""

EFFECTS: Mapping[str, Effect] = {
    "task.create": create_task,
    "task.update": update_task,
    "task.complete": complete_task,
    "task.merge": merge_tasks,
    "task.delete": delete_task,
    "notify": notify,
}
"""What the executor can carry out so far."""


async def _task(tx: AsyncConnection, user_id: str, task_id: str, version: int | None) -> dict[str, Any]:
    """Return a task of the ledger's own list; one of an account is changed there only."""
    row = (await tx.execute(select(_T).where(_T.c.id == task_id, _T.c.user_id == user_id))).mappings().first()
    if row is None:
        raise NotFound(f"There is no task {task_id}.")
    if version is not None and row["version"] != version:
        raise Stale(f"Task {task_id} has changed since it was read.")
    if row["account"]:
        raise ProviderError(f"Task {task_id} lies in {row['account']}.", "Change it there; the next run reads it.")
    return dict(row)


def _is(task: dict[str, Any]) -> tuple[Any, Any]:
    return _T.c.id == task["id"], _T.c.user_id == task["user_id"]


async def _write(tx: AsyncConnection, task: dict[str, Any], new: dict[str, Any]) -> None:
    await tx.execute(update(_T).where(*_is(task)).values(**new, version=task["version"] + 1))
