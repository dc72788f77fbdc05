"""Give messages a deadline, and count their tries and the processes that ended over them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

OPEN: dict[str, Any] = {"sqlite_where": sa.text("open = 1"), "postgresql_where": sa.text("open")}
LATER: dict[str, Any] = {
    "sqlite_where": sa.text("open = 1 AND not_before IS NOT NULL"),
    "postgresql_where": sa.text("open AND not_before IS NOT NULL"),
}
NONE = sa.text("'9999-12-31 00:00:00.000000'")


def upgrade() -> None:
    """Add the columns, and the indexes of the order and of what is due later."""
    deadline = sa.Column("deadline", sa.DateTime(timezone=True), nullable=False, server_default=NONE)
    op.add_column("messages", deadline)
    for name in ("attempts", "deaths"):
        op.add_column("messages", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    op.drop_index("ix_messages_backlog", "messages")
    op.create_index("ix_messages_backlog", "messages", ["priority", "deadline", "seq", "user_id"], **OPEN)
    op.create_index("ix_messages_later", "messages", ["not_before"], **LATER)
