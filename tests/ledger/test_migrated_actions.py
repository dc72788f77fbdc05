"""Actions of an older home: they get the partition of their user."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from brody_agents.communication.bus.base import partition_of
from brody_agents.ledger.migrations import configuration

COLUMNS = "id, key, user_id, kind, state, proposed_by, message_id, cause, priority, confidence, fence"
VALUES = ":id, :id, :user, 'notify', 'approved', 'x', '', '', 2, 1.0, 0"
USERS = ("me", "ada", "Zoë")


def test_actions_that_are_there_get_their_partition(tmp_path: Path) -> None:
    config = configuration()
    before = ScriptDirectory.from_config(config).get_revision("0011").down_revision
    engine = create_engine(f"sqlite:///{tmp_path / 'brody.db'}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, str(before))
        for user in USERS:
            row = (
                f"INSERT INTO actions ({COLUMNS}, created_at, updated_at) VALUES ({VALUES}, '2026-01-01', '2026-01-01')"
            )
            connection.execute(text(row), {"id": f"of {user}", "user": user})
        command.upgrade(config, "0011")
        found = connection.execute(text("SELECT user_id, partition, tries, account FROM actions")).all()
    engine.dispose()
    assert sorted(map(tuple, found)) == sorted((user, partition_of(user), None, None) for user in USERS)
