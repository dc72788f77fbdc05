"""Mark events that an effect has written and no read has seen yet."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the mark."""
    op.add_column("calendar_events", sa.Column("unread", sa.Boolean(), nullable=False, server_default=sa.false()))
