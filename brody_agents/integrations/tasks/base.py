"""Tasks: the neutral form of a task and the protocol of a task account."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from brody_agents.integrations.base import Provider


@dataclass(frozen=True, slots=True)
class RawTask:
    """A task as an account holds it."""

    key: str
    version: str
    title: str
    due: datetime | None = None
    notes: str = ""
    status: Literal["pending", "in_progress", "completed", "cancelled"] = "pending"
    priority: Literal["urgent", "high", "normal", "low"] = "normal"


class TaskProvider(Provider[RawTask], Protocol):
    """A task account; the ledger's own list needs none."""

    async def put(self, task: RawTask, version: str | None) -> str:
        """Store a task and return its new version."""

    async def delete(self, key: str, version: str | None) -> None:
        """Remove a task."""
