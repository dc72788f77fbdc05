"""Give actions the time when they were done, and what their undo needs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; what is done already was last changed when it was done."""
    op.add_column("actions", sa.Column("done_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("actions", sa.Column("undo_asked_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("actions", sa.Column("undo", sa.LargeBinary(), nullable=True))
    op.execute("UPDATE actions SET done_at = updated_at WHERE state = 'done'")
