"""The database: how every connection is set, how its schema is made, and what is said when it cannot be used."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, select, text

from brody_agents.errors import BrodyError, HomeTooNew, LedgerError
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.migrations import HEAD, configuration
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Row, User
from brody_agents.ledger.vault import Vault

PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 15000}


async def pragma(connection: Any, name: str) -> Any:
    """Read a setting back from the database."""
    return (await connection.execute(text(f"PRAGMA {name}"))).scalar()


async def test_every_connection_of_the_pool_is_durable(kept: Ledger) -> None:
    """WAL, synchronous=FULL (2) and foreign keys hold on each of several connections, for reading and writing."""
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(kept.read()) for _ in range(6)]
        connections.append(await stack.enter_async_context(kept.write()))
        drivers = {id((await c.get_raw_connection()).dbapi_connection) for c in connections}
        assert len(drivers) == 7
        for connection in connections:
            assert {name: await pragma(connection, name) for name in PRAGMAS} == PRAGMAS


def difference(connection: Connection) -> list[Any]:
    """Return how the database differs from the declared tables."""
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return list(compare_metadata(context, Row.metadata))


async def test_the_migrations_make_exactly_the_declared_tables(kept: Ledger, ledger: Ledger) -> None:
    """A home, which is migrated, has what a ledger in memory is made with."""
    for opened in (kept, ledger):
        async with opened.read() as tx:
            assert await tx.run_sync(difference) == []


def test_the_newest_script_is_the_one_that_the_package_names() -> None:
    assert ScriptDirectory.from_config(configuration()).get_heads() == [HEAD]


async def test_a_file_that_cannot_be_opened_starts_no_thread_of_the_driver(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a thread would outlive the event loop, and write its trouble over what the person reads."""
    home.mkdir()  # noqa: ASYNC240
    Vault.of_home(home)
    (home / "brody.db").mkdir()
    monkeypatch.setattr(threading.Thread, "start", lambda thread: pytest.fail(f"{thread} was started"))
    with pytest.raises(LedgerError, match="unable to open"):
        await Ledger.open(home)


async def test_a_home_of_a_newer_version_is_refused_and_left_as_it_is(kept: Ledger, home: Path) -> None:
    async with kept.write() as tx:
        await tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await kept.close()
    with pytest.raises(HomeTooNew, match=r"9999.*Upgrade brody-agents"):
        await Ledger.open(home)
    with pytest.raises(HomeTooNew):
        await Ledger.open(home)


async def test_opening_again_changes_nothing(kept: Ledger, home: Path) -> None:
    await kept.close()
    again = await Ledger.open(home)
    async with again.read() as tx:
        assert await tx.run_sync(difference) == []
        assert set((await tx.execute(select(table(User).c.id))).scalars()) == {"me", "ada"}
    await again.close()


@pytest.mark.parametrize("content", [b"this was never a database" * 100, b"SQLite format 3\x00" + bytes(5000)])
async def test_a_file_that_is_no_ledger_is_named_with_the_remedy(made: Path, content: bytes) -> None:
    await asyncio.to_thread((made / "brody.db").write_bytes, content)
    with pytest.raises(LedgerError, match=r"brody\.db.*another --home"):
        await Ledger.open(made)


async def test_an_error_undoes_the_whole_transaction(kept: Ledger) -> None:
    async def fail() -> None:
        async with kept.write() as tx:
            await tx.execute(table(User).update().values(name="changed"))
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        await fail()
    async with kept.read() as tx:
        assert "changed" not in set((await tx.execute(select(table(User).c.name))).scalars())


async def test_a_refusal_of_the_database_is_an_error_of_this_package(ledger: Ledger) -> None:
    with pytest.raises(BrodyError, match="refused"):
        async with ledger.write() as tx:
            await tx.execute(text("SELECT * FROM no_such_table"))


async def test_a_user_who_is_unknown_is_made_once_however_many_ask(kept: Ledger, home: Path) -> None:
    await asyncio.gather(*(kept.ensure_users({"new", f"only-{n % 2}"}) for n in range(8)))
    sealed = kept.vault.seal("new", "kept")
    await kept.close()
    again = await Ledger.open(home)
    await again.ensure_users({"new"})
    assert again.vault.open("new", sealed) == "kept"
    async with again.read() as tx:
        assert sorted((await tx.execute(select(table(User).c.id))).scalars()) == [
            "ada",
            "me",
            "new",
            "only-0",
            "only-1",
        ]
    await again.close()
