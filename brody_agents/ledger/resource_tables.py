"""The tables of the resource manager: budgets, what is used and reserved of them, leases, circuit breakers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Index
from sqlmodel import Field

from brody_agents.ledger.rows import Row, time_column
from brody_agents.ledger.types import UtcTime


def _amount() -> Any:
    return Field(default=0, sa_column=Column(BigInteger, nullable=False))


class BudgetLimit(Row, table=True):
    """How much of a unit a provider account, workspace, user or run may use in a period; money in micro-units."""

    __tablename__ = "budgets"

    id: str = Field(primary_key=True)
    level: str = Field(index=True)
    subject: str
    """Whose it is; ``*`` for each one that has no budget of its own."""
    unit: str
    currency: str = ""
    period: str
    timezone: str = "UTC"
    limit: int = _amount()
    updated_at: datetime = time_column(nullable=False)


class BudgetUse(Row, table=True):
    """What was used, and is reserved, of a unit in the period that begins at ``since``."""

    __tablename__ = "usage"

    level: str = Field(primary_key=True)
    subject: str = Field(primary_key=True)
    unit: str = Field(primary_key=True)
    currency: str = Field(primary_key=True)
    period: str = Field(primary_key=True)
    since: datetime = Field(sa_column=Column(UtcTime, primary_key=True))
    used: int = _amount()
    reserved: int = _amount()


class BudgetReservation(Row, table=True):
    """An attempt's part of a budget: ``held``, then ``settled`` or ``released``, by the holder of ``fence`` only."""

    __tablename__ = "reservations"
    __table_args__ = (Index("ix_reservations_state", "state", "created_at"),)

    action_id: str = Field(primary_key=True)
    attempt: int = Field(primary_key=True, sa_type=BigInteger)
    level: str = Field(primary_key=True)
    unit: str = Field(primary_key=True)
    currency: str = Field(primary_key=True)
    period: str = Field(primary_key=True)
    subject: str
    since: datetime = time_column(nullable=False)
    amount: int = _amount()
    used: int = _amount()
    fence: int = _amount()
    state: str
    created_at: datetime = time_column(nullable=False)


class ResourceLease(Row, table=True):
    """Who holds an exclusive resource, until when; the row stays, so that ``fence`` only ever grows."""

    __tablename__ = "leases"

    resource: str = Field(primary_key=True)
    holder: str = ""
    fence: int = _amount()
    expires_at: datetime = time_column(nullable=False)


class Breaker(Row, table=True):
    """The circuit breaker of a provider account: closed while ``open_until`` is empty."""

    __tablename__ = "breakers"

    account: str = Field(primary_key=True)
    failures: int = 0
    trips: int = 0
    """How often it has opened in a row; the pauses grow with it."""
    open_until: datetime | None = time_column()
    probe: int = 0
    """The number of the newest probe."""
    probe_until: datetime | None = time_column()
