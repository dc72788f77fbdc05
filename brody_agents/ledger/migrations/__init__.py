"""Alembic's migrations of the ledger, run when a home is opened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from brody_agents.errors import HomeTooNew, LedgerError

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0013"
"""The newest revision; a test holds it equal to the scripts'."""


def migrate(connection: Connection) -> None:
    """Bring the schema to ``HEAD`` inside the caller's transaction.

    Raises ``HomeTooNew`` for a later schema, ``LedgerError`` for a database of something else.
    """
    current = _current(connection)
    if current == HEAD:
        return  # alembic is not even imported
    from alembic import command
    from alembic.script import ScriptDirectory

    config = configuration()
    known = {revision.revision for revision in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise HomeTooNew(f"This home has schema {current}; this version knows {HEAD}.")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def configuration() -> Config:
    """Return Alembic's configuration for the scripts beside this file."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    return config


def _current(connection: Connection) -> str | None:
    tables = inspect(connection).get_table_names()
    found: str | None = None
    if "alembic_version" in tables:
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if tables and found is None and tables != ["alembic_version"]:
        what = f"The file brody.db is no ledger: it has a table {tables[0]} and no version."
        raise LedgerError(what, "Restore it from a copy, or use another --home.")
    return found
