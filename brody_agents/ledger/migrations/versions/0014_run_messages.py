"""Keep only messages of runs in the index of runs: all others were written to it twice for nothing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index again."""
    of_a_run = sa.text("run_id IS NOT NULL")
    op.drop_index("ix_messages_run", "messages")
    op.create_index("ix_messages_run", "messages", ["run_id", "open"], sqlite_where=of_a_run, postgresql_where=of_a_run)
