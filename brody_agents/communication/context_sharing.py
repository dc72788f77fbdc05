"""Context sharing: a user's values that all agents see, with versions, time to live and provenance.

The ledger holds the truth; Redis holds the live copy that handlers read. A value is compared and set in the turn's
transaction: whoever read an older version than the ledger has loses the race and runs again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from brody_agents.communication.message_protocol import Origin, Provenance
from brody_agents.outcome import ContextUpdate, Outcome

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from brody_agents.communication.bus.base import Bus
    from brody_agents.ledger.ledger import Ledger

Read = tuple[Any, int, Provenance]
Copies = dict[str, tuple[bytes | None, int | None]]
"""Live copies by key: the bytes (``None`` to drop it) and the milliseconds to live."""

NOTHING: Read = (None, 0, Provenance(origin=Origin.SELF))


class SharedValues:
    """Read and write shared values of all users."""

    def __init__(self, ledger: Ledger, bus: Bus) -> None:
        self._ledger = ledger
        self._bus = bus

    async def read(self, user_id: str, key: str, *, fresh: bool = False) -> Read:
        """Return value, version and provenance; ``fresh`` asks the ledger, not the live copy."""
        copy = None if fresh else await self._bus.get_shared(user_id, key)
        if copy is not None:
            value, version, label = orjson.loads(copy)
            return value, version, Provenance.model_validate(label)
        found = await self._from_ledger(user_id, key)
        return found

    async def all(self, user_id: str) -> dict[str, Any]:
        """Return all values of a user that have not expired."""
        from sqlalchemy import select

        from brody_agents.ledger.tables import ContextValue as C

        async with self._ledger.read() as tx:
            rows = await tx.execute(select(C.key, C.value, C.expires_at).where(C.user_id == user_id))  # type: ignore[call-overload]
            now = datetime.now(UTC)
            return {key: value for key, value, until in rows if value is not None and (not until or until > now)}

    async def restore(self) -> None:
        """Make all live copies what the ledger has: a worker that was killed may have left older ones."""
        from sqlalchemy import select

        from brody_agents.ledger.statements import table
        from brody_agents.ledger.tables import ContextValue

        async with self._ledger.read() as tx:
            rows = list((await tx.execute(select(table(ContextValue)))).mappings())
        now = datetime.now(UTC)
        users: dict[str, Copies] = {}
        for row in rows:
            left = None if row["expires_at"] is None else int((row["expires_at"] - now).total_seconds() * 1000)
            copy = orjson.dumps([row["value"], row["version"], row["provenance"]])
            users.setdefault(row["user_id"], {})[row["key"]] = (None, None) if (left or 1) <= 0 else (copy, left)
        for user_id, values in users.items():
            await self._bus.set_shared(user_id, values)

    async def settle(self, tx: AsyncConnection, outcomes: Sequence[tuple[str, str, Outcome]]) -> list[bool]:
        """Compare and set, in the turn's transaction; return for each (user, agent, outcome) whether it won.

        An outcome wins with all of its updates or with none; those before it in the list are seen by it. Behind one
        that lost, all of the same user and agent lose, since they may have built on it.
        """
        wanted = {(user, key) for user, _, outcome in outcomes for key in outcome.updates}
        if not wanted:
            return [True] * len(outcomes)
        versions = await self._versions(tx, wanted)
        won: list[bool] = []
        rows: list[dict[str, Any]] = []
        losers: set[tuple[str, str]] = set()
        for user, agent, outcome in outcomes:
            updates = outcome.updates.values()
            ok = (user, agent) not in losers and all(versions.get((user, u.key), 0) == u.expected for u in updates)
            won.append(ok)
            losers |= set() if ok else {(user, agent)}
            if ok:
                versions |= {(user, u.key): u.expected + 1 for u in updates}
                rows += [_row(user, agent, u) for u in updates]
        await _upsert(tx, rows)
        return won

    async def follow(self, updates: Iterable[tuple[str, ContextUpdate]]) -> None:
        """Let the live copies follow what was committed."""
        users: dict[str, Copies] = {}
        for user_id, u in updates:
            label = u.provenance.model_dump(mode="json")
            milliseconds = max(1, u.expires_in // timedelta(milliseconds=1)) if u.expires_in else None
            users.setdefault(user_id, {})[u.key] = (orjson.dumps([u.value, u.expected + 1, label]), milliseconds)
        for user_id, values in users.items():
            await self._bus.set_shared(user_id, values)

    async def _from_ledger(self, user_id: str, key: str) -> Read:
        from sqlalchemy import select

        from brody_agents.ledger.tables import ContextValue as C

        query = select(C.value, C.version, C.provenance, C.expires_at).where(C.user_id == user_id, C.key == key)  # type: ignore[call-overload]
        async with self._ledger.glance() as tx:
            row = (await tx.execute(query)).first()
        if row is None:
            return NOTHING
        value, version, label, until = row
        expired = until is not None and until <= datetime.now(UTC)
        return (None if expired else value), version, Provenance.model_validate(label)

    async def _versions(self, tx: AsyncConnection, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], int]:
        from sqlalchemy import select, tuple_

        from brody_agents.ledger.tables import ContextValue as C

        query = select(C.user_id, C.key, C.version).where(tuple_(C.user_id, C.key).in_(sorted(wanted)))  # type: ignore[call-overload]
        return {(user, key): version for user, key, version in await tx.execute(query)}


def _row(user_id: str, agent: str, update: ContextUpdate) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "user_id": user_id,
        "key": update.key,
        "version": update.expected + 1,
        "value": update.value,
        "expires_at": now + update.expires_in if update.expires_in else None,
        "provenance": update.provenance.model_dump(mode="json"),
        "writer": agent,
        "updated_at": now,
    }


async def _upsert(tx: AsyncConnection, rows: list[dict[str, Any]]) -> None:
    from brody_agents.ledger.statements import upsert
    from brody_agents.ledger.tables import ContextValue

    if rows:
        latest = {(row["user_id"], row["key"]): row for row in rows}
        await tx.execute(upsert(tx, ContextValue), list(latest.values()))


class LaneContext:
    """Shared values as one lane sees them: what its earlier, uncommitted outcomes set comes first."""

    def __init__(self, shared: SharedValues, user_id: str) -> None:
        self._shared = shared
        self._user_id = user_id
        self._ahead: dict[str, Read] = {}
        self._fresh = False

    async def read(self, key: str) -> Read:
        """Return value, version and provenance."""
        if key in self._ahead:
            return self._ahead[key]
        return await self._shared.read(self._user_id, key, fresh=self._fresh)

    async def all(self) -> dict[str, Any]:
        """Return all values, those that are ahead included."""
        return await self._shared.all(self._user_id) | {key: value for key, (value, _, _) in self._ahead.items()}

    def advance(self, outcome: Outcome) -> None:
        """See what an outcome sets before it is committed."""
        for key, u in outcome.updates.items():
            self._ahead[key] = (u.value, u.expected + 1, u.provenance)

    def reset(self, *, fresh: bool) -> None:
        """Forget what is ahead; ``fresh`` reads the ledger until the next reset, after a lost race."""
        self._ahead.clear()
        self._fresh = fresh
