"""The tables of many workers: who is there, and who holds which partition."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlmodel import Field

from brody_agents.ledger.rows import Row, json_column, time_column


class LiveWorker(Row, table=True):
    """A worker and the partitions that it may hold; it counts as dead from ``expires_at`` on."""

    __tablename__ = "workers"

    id: str = Field(primary_key=True)
    partitions: list[Any] | None = json_column()
    expires_at: datetime = time_column(nullable=False)


class PartitionLease(Row, table=True):
    """Who hands out the messages of a partition; the row stays, so that ``fence`` only ever grows."""

    __tablename__ = "partition_leases"

    partition: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    holder: str = ""
    fence: int = 0
    expires_at: datetime = time_column(nullable=False)
