"""Give messages a deadline, and count their tries and the processes that ended over them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

OPEN = sa.text("open")
LATER = sa.text("open AND not_before IS NOT NULL")
NONE = sa.text("'9999-12-31 00:00:00.000000'")


def upgrade() -> None:
    """Add the columns, and the indexes of the order, of age and of what is due later."""
    deadline = sa.Column("deadline", sa.DateTime(timezone=True), nullable=False, server_default=NONE)
    op.add_column("messages", deadline)
    for name in ("attempts", "deaths"):
        op.add_column("messages", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    op.drop_index("ix_messages_backlog", "messages")
    columns = {
        "ix_messages_order": (["priority", "deadline", "seq", "user_id"], OPEN),
        "ix_messages_age": (["seq"], OPEN),
        "ix_messages_later": (["not_before"], LATER),
    }
    for name, (of, where) in columns.items():
        op.create_index(name, "messages", of, unique=False, sqlite_where=where, postgresql_where=where)
