"""The kept connection of a writer: each transaction is whole or undone, whoever took part and however it ends."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from brody_agents.ledger import direct
from brody_agents.ledger.driver import BEGIN_WRITE
from brody_agents.ledger.ledger import Ledger


def ids(home: Path) -> set[str]:
    """Return what another process sees."""
    with closing(sqlite3.connect(home / "brody.db")) as other:
        return {row[0] for row in other.execute("SELECT id FROM dead_letters")}


async def add(ledger: Ledger, name: str, *, past: bool) -> None:
    """Write a row, past SQLAlchemy or by it, in a transaction of its own."""
    statement = (
        "INSERT INTO dead_letters (id, user_id, code, agent, message_type, created_at)"
        f" VALUES ('{name}', 'me', 'c', 'a', 't', '2026-01-01 00:00:00.000000')"
    )
    async with ledger.write() as tx:
        await (direct.fetch(tx, statement, ()) if past else tx.execute(text(statement)))
        if name.startswith("bad"):
            raise ValueError(name)


@pytest.mark.parametrize("past", [True, False], ids=["past SQLAlchemy", "by SQLAlchemy"])
async def test_a_transaction_is_committed_or_undone(kept: Ledger, made: Path, past: bool) -> None:
    await add(kept, "one", past=past)
    with pytest.raises(ValueError, match="bad"):
        await add(kept, "bad", past=past)
    await add(kept, "two", past=not past)
    assert ids(made) == {"one", "two"}


async def test_whoever_gives_up_waiting_for_the_lock_leaves_none(kept: Ledger, made: Path) -> None:
    """The beginning that comes too late is undone, and the next one writes."""
    with closing(sqlite3.connect(made / "brody.db", isolation_level=None)) as other:
        other.execute(BEGIN_WRITE)
        waiting = asyncio.create_task(add(kept, "late", past=True))
        for _ in range(10):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        other.execute("ROLLBACK")
        with pytest.raises(asyncio.CancelledError):
            await waiting
        other.execute(BEGIN_WRITE)  # nobody holds it
        other.execute("ROLLBACK")
    await add(kept, "next", past=True)
    assert ids(made) == {"next"}


async def test_a_connection_that_is_lost_is_made_again(kept: Ledger, made: Path) -> None:
    with pytest.raises(EOFError):
        await _lost(kept)
    await add(kept, "next", past=True)
    assert ids(made) == {"next"}


async def _lost(ledger: Ledger) -> None:
    async with ledger.write() as tx:
        await tx.invalidate()
        raise EOFError
