"""Give actions an intent, and a time before which nothing is tried."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the two columns."""
    op.add_column("actions", sa.Column("intent", sa.LargeBinary(), nullable=True))
    op.add_column("actions", sa.Column("not_before", sa.DateTime(timezone=True), nullable=True))
