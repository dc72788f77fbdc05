"""Keep what the person made of each action, for the weights of the decision engine; find the verdicts on a resource."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of answers, and the way to the verdicts on a resource."""
    op.create_table(
        "track_records",
        sa.Column("action_id", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("answer", sa.String(), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("action_id"),
    )
    op.create_index(
        "ix_track_records_agent", "track_records", ["user_id", "kind", "agent", "answered_at"], unique=False
    )
    op.create_index("ix_verdicts_resource", "verdicts", ["resource"], unique=False)
