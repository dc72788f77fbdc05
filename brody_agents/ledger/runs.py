"""Runs in the ledger: a playbook's execution, complete when nothing that descends from it is open."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.errors import NotFound
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.statements import table, whole_id
from brody_agents.ledger.tables import Run

_R = table(Run).c
SYNCING, WORKING, COMPLETE, FAILED = "syncing", "working", "complete", "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run as the ledger has it; ``now`` is the time that its agents reason with."""

    id: str
    user_id: str
    playbook: str
    now: datetime
    timezone: str
    state: str = SYNCING
    step: int = 0
    dry_run: bool = False
    accounts: list[str] = field(default_factory=list)
    started_at: datetime
    completed_at: datetime | None = None
    delivered_at: datetime | None = None
    problems: list[dict[str, Any]] = field(default_factory=list)

    @property
    def zone(self) -> ZoneInfo:
        """Return the user's time zone."""
        return ZoneInfo(self.timezone)


async def start(tx: AsyncConnection, run: RunRecord) -> None:
    """Write a new run."""
    names = ("id", "user_id", "playbook", "now", "timezone", "state", "step", "dry_run", "accounts", "started_at")
    await tx.execute(table(Run).insert(), {name: getattr(run, name) for name in (*names, "problems")})


async def undelivered(tx: AsyncConnection, user_id: str, playbook: str) -> list[RunRecord]:
    """Return the runs of a playbook whose process was stopped, before or after they were complete, newest first."""
    query = (
        select(table(Run))
        .where(_R.user_id == user_id, _R.playbook == playbook, _R.state != FAILED, _R.delivered_at.is_(None))
        .order_by(_R.started_at.desc())
    )
    return [_record(dict(row)) for row in (await tx.execute(query)).mappings()]


async def under_way(tx: AsyncConnection) -> dict[str, RunRecord]:
    """Return all runs that neither completed nor failed."""
    rows = (await tx.execute(select(table(Run)).where(_R.state.in_((SYNCING, WORKING))))).mappings()
    return {row["id"]: _record(dict(row)) for row in rows}


async def load(tx: AsyncConnection, run_ids: Collection[str]) -> dict[str, RunRecord]:
    """Return runs by id."""
    rows = (await tx.execute(select(table(Run)).where(_R.id.in_(run_ids)))).mappings() if run_ids else ()
    return {row["id"]: _record(dict(row)) for row in rows}


async def change(tx: AsyncConnection, run_id: str, **values: Any) -> None:
    """Change columns of a run."""
    await tx.execute(update(table(Run)).where(_R.id == run_id).values(**values))


async def complete(tx: AsyncConnection, run_id: str) -> None:
    """Latch a run as complete."""
    done = update(table(Run)).where(_R.id == run_id, _R.state == WORKING)
    await tx.execute(done.values(state=COMPLETE, completed_at=datetime.now(UTC)))


async def deliver(tx: AsyncConnection, run_ids: Collection[str]) -> None:
    """Note that the briefs of runs were delivered."""
    ids = list(run_ids)
    await tx.execute(update(table(Run)).where(_R.id.in_(ids)).values(delivered_at=datetime.now(UTC)))


async def of_the_day(tx: AsyncConnection, run: RunRecord) -> list[str]:
    """Return the ids of the user's runs on the same day in the run's zone, this one included."""
    midnight = run.now.astimezone(run.zone).replace(hour=0, minute=0, second=0, microsecond=0)
    tomorrow = (midnight + timedelta(days=1)).replace(hour=0)
    query = select(_R.id).where(_R.user_id == run.user_id, _R.now >= midnight, _R.now < tomorrow)
    return list((await tx.execute(query)).scalars())


def new_id() -> str:
    """Return the id of a new run."""
    return str(uuid.uuid4())


def _record(row: dict[str, Any]) -> RunRecord:
    row.pop("brief")
    row["accounts"], row["problems"] = row["accounts"] or [], row["problems"] or []
    return RunRecord(**row)


Records = list[RunRecord]


class Runs:
    """The runs of a ledger; ``brody.runs``."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def list(self, user_id: str | None = None, limit: int = 50) -> Records:
        """Return the newest runs."""
        query = select(table(Run)).order_by(_R.started_at.desc()).limit(limit)
        if user_id is not None:
            query = query.where(_R.user_id == user_id)
        async with self._ledger.read() as tx:
            return [_record(dict(row)) for row in (await tx.execute(query)).mappings()]

    async def show(self, run_id: str) -> RunRecord:
        """Return the run with an id, or with the beginning of one; raise ``NotFound``."""
        async with self._ledger.read() as tx:
            whole = await whole_id(tx, _R.id, run_id)
            found = await load(tx, [whole])
        if whole not in found:
            raise NotFound(f"There is no run {run_id}.", "See: brody runs list")
        return found[whole]

    async def brief(self, run_id: str) -> dict[str, Any] | None:
        """Return the brief of a run as JSON, or ``None`` as long as it is not ready."""
        async with self._ledger.read() as tx:
            row = (await tx.execute(select(_R.user_id, _R.brief).where(_R.id == run_id))).first()
        if row is None or row.brief is None:
            return None
        await self._ledger.ensure_users({row.user_id})
        brief: dict[str, Any] = self._ledger.vault.open(row.user_id, row.brief)
        return brief
