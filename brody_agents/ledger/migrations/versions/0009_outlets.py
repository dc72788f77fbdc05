"""Remember accounts that are only written to; give actions a hold and the person's word on what became of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a table and two columns."""
    op.create_table(
        "outlets",
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("domain", sa.String(), nullable=False),
        sa.Column("word", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("account", "user_id"),
    )
    op.add_column("actions", sa.Column("held_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("actions", sa.Column("settled", sa.Boolean(), nullable=True))
