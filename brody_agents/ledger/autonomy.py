"""How far each user lets kinds of actions go by themselves."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.ledger.statements import table, upsert
from brody_agents.ledger.tables import AutonomySetting

_S = table(AutonomySetting).c
Levels = dict[str, dict[str, str]]
"""Levels by user and by kind, prefix or ``*``."""


async def load(tx: AsyncConnection, users: Collection[str]) -> Levels:
    """Return what users have set; who has set nothing is not in it."""
    found: Levels = {}
    query = select(_S.user_id, _S.kind, _S.level).where(_S.user_id.in_(users)).order_by(_S.kind)
    for user_id, kind, level in await tx.execute(query) if users else ():
        found.setdefault(user_id, {})[kind] = level
    return found


async def put(tx: AsyncConnection, user_id: str, kind: str, level: str) -> None:
    """Set the level of a kind, prefix or ``*``."""
    row = {"user_id": user_id, "kind": kind, "level": level, "changed_at": datetime.now(UTC)}
    await tx.execute(upsert(tx, AutonomySetting), row)


async def remove(tx: AsyncConnection, user_id: str, kind: str | None) -> int:
    """Remove a setting, or all of a user's, and return how many there were."""
    mine = (_S.user_id == user_id, *(() if kind is None else (_S.kind == kind,)))
    return (await tx.execute(table(AutonomySetting).delete().where(*mine))).rowcount
