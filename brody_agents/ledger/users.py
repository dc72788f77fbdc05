"""Users in the ledger: their sealing keys, taken into use when something of theirs is met."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import UserKey
from brody_agents.ledger.vault import Vault

_K = table(UserKey).c


async def learn(tx: AsyncConnection, vault: Vault, user_ids: Iterable[str]) -> list[str]:
    """Take the keys of users into use; return, in order, those who have none yet."""
    unknown = sorted({user_id for user_id in user_ids if not vault.knows(user_id)})
    if unknown:
        for user_id, wrapped in await tx.execute(select(_K.user_id, _K.wrapped).where(_K.user_id.in_(unknown))):
            vault.learn(user_id, wrapped)
    return [user_id for user_id in unknown if not vault.knows(user_id)]
