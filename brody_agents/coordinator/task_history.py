"""What the tasks that an action changes were before it, and how that is brought back as long as it is the last word."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.arguments import Arguments, TaskCreate, TaskMerge
from brody_agents.errors import Stale
from brody_agents.ledger.actions import ActionRecord, task_of
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Task
from brody_agents.ledger.vault import Vault
from brody_agents.policy.canonical import digest

_T = table(Task)
_SEALED, _TIMES = ("description", "reasons"), ("due_date", "created_at", "completed_at")
Rows = dict[str, dict[str, Any] | None]
"""Tasks by id, as JSON; ``None`` for one that there was not."""


def touched(action: ActionRecord, a: Arguments) -> list[str]:
    """Return the ids of the tasks that an action changes."""
    if isinstance(a, TaskCreate):
        return [task_of(action.id)]
    ids = (getattr(a, name, None) for name in ("task_id", *(("into",) if isinstance(a, TaskMerge) else ())))
    return [i for i in ids if i]


async def before(tx: AsyncConnection, vault: Vault, action: ActionRecord, a: Arguments) -> Rows:
    """Return the tasks that an action is about to change; of one that it makes nobody has to ask."""
    ids = touched(action, a)
    return dict.fromkeys(ids) if isinstance(a, TaskCreate) else await _rows(tx, vault, action.user_id, ids)


async def after(tx: AsyncConnection, vault: Vault, user_id: str, ids: Iterable[str]) -> dict[str, str | None]:
    """Return the digests of what tasks are now, whatever their version; ``None`` for one that there is not."""
    rows = await _rows(tx, vault, user_id, list(ids))
    return {i: None if row is None else digest(row | {"version": 0}) for i, row in rows.items()}


async def bring_back(tx: AsyncConnection, vault: Vault, action: ActionRecord) -> None:
    """Make the tasks that an action has changed what they were; raise ``Stale`` if one was changed since."""
    kept = action.intent or {}
    if "before" not in kept:
        raise Stale("What it needs was not kept when it was done.", "Change it by hand.")
    now = await after(tx, vault, action.user_id, kept["after"])
    for task_id, content in kept["after"].items():
        if now[task_id] != content:
            has = "is not there any more" if now[task_id] is None else "has changed since"
            raise Stale(f"Task {task_id} {has}.", "Change it by hand.")
    for task_id, row in kept["before"].items():
        await _put(tx, vault, (_T.c.id == task_id, _T.c.user_id == action.user_id), row)


async def _put(tx: AsyncConnection, vault: Vault, is_it: tuple[Any, Any], row: dict[str, Any] | None) -> None:
    """Write a task as it was, with a version that no reader has seen; without a row, remove it."""
    if row is None:
        await tx.execute(_T.delete().where(*is_it))
        return
    version = (await tx.execute(select(_T.c.version).where(*is_it))).scalar()
    if version is None:
        await tx.execute(_T.insert(), _again(vault, row) | {"version": row["version"] + 1})
    else:
        await tx.execute(_T.update().where(*is_it).values(**_again(vault, row) | {"version": version + 1}))


async def _rows(tx: AsyncConnection, vault: Vault, user_id: str, ids: list[str]) -> Rows:
    if not ids:
        return {}
    rows = (await tx.execute(select(_T).where(_T.c.user_id == user_id, _T.c.id.in_(ids)))).mappings()
    return dict.fromkeys(ids) | {row["id"]: _kept(vault, dict(row)) for row in rows}


def _kept(vault: Vault, row: dict[str, Any]) -> dict[str, Any]:
    opened = {name: vault.open(row["user_id"], row[name]) for name in _SEALED}
    return row | opened | {name: row[name].isoformat() if row[name] else None for name in _TIMES}


def _again(vault: Vault, row: dict[str, Any]) -> dict[str, Any]:
    sealed = {name: None if row[name] is None else vault.seal(row["user_id"], row[name]) for name in _SEALED}
    return row | sealed | {name: datetime.fromisoformat(row[name]) if row[name] else None for name in _TIMES}
