"""Say of an action whether a message was handed over, and whether only a person can tell what became of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; what waits for a person is asked about again within the hour, and gets its own then."""
    op.add_column("actions", sa.Column("handed_over", sa.Boolean(), nullable=True))
    op.add_column("actions", sa.Column("asks_person", sa.Boolean(), nullable=True))
