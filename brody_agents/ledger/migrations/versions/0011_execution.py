"""Give actions their partition, their account, and how often they were put off."""

from __future__ import annotations

import zlib

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0006"
branch_labels = None
depends_on = None

_ACTIONS = sa.table("actions", sa.column("user_id", sa.String()), sa.column("partition", sa.Integer()))


def upgrade() -> None:
    """Add the three columns, and say where the actions belong that are there."""
    for column in (sa.Column("tries", sa.Integer()), sa.Column("partition", sa.Integer())):
        op.add_column("actions", column)
    op.add_column("actions", sa.Column("account", sa.String()))
    users = op.get_bind().execute(sa.select(_ACTIONS.c.user_id).distinct()).scalars().all()
    for user_id in users:
        partition = zlib.crc32(user_id.encode("utf-8", "surrogatepass")) % 64
        op.execute(_ACTIONS.update().where(_ACTIONS.c.user_id == user_id).values(partition=partition))
