"""Make the tables of budgets, leases and circuit breakers."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _text(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String(), nullable=False) for name in names]


def _amounts(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), nullable=False) for name in names]


def _time(name: str, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    """Create budgets, their use and reservations, leases, breakers."""
    op.create_table(
        "budgets",
        *_text("id", "level", "subject", "unit", "currency", "period", "timezone"),
        *_amounts("limit"),
        _time("updated_at"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_budgets_level"), "budgets", ["level"], unique=False)
    op.create_table(
        "usage",
        *_text("level", "subject", "unit", "currency", "period"),
        _time("since"),
        *_amounts("used", "reserved"),
        sa.PrimaryKeyConstraint("level", "subject", "unit", "currency", "period", "since"),
    )
    op.create_table(
        "reservations",
        *_text("action_id"),
        *_amounts("attempt"),
        *_text("level", "unit", "currency", "period", "subject"),
        _time("since"),
        *_amounts("amount", "used", "fence"),
        *_text("state"),
        _time("created_at"),
        sa.PrimaryKeyConstraint("action_id", "attempt", "level", "unit", "currency", "period"),
    )
    op.create_index("ix_reservations_state", "reservations", ["state", "created_at"], unique=False)
    op.create_table(
        "leases",
        *_text("resource", "holder"),
        *_amounts("fence"),
        _time("expires_at"),
        sa.PrimaryKeyConstraint("resource"),
    )
    op.create_table(
        "breakers",
        *_text("account"),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("failures", "trips")),
        _time("open_until", nullable=True),
        sa.Column("probe", sa.Integer(), nullable=False),
        _time("probe_until", nullable=True),
        sa.PrimaryKeyConstraint("account"),
    )
