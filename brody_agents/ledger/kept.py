"""Connections that a ledger in SQLite keeps, and write transactions that begin and end at the driver.

A connection out of the pool, with a beginning and an end by SQLAlchemy, costs as much as all that a small turn writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from brody_agents.ledger import direct
from brody_agents.ledger.driver import BEGIN_WRITE


class Kept:
    """One connection to a database, made when it is wanted and again when it was lost."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._connection: AsyncConnection | None = None
        self._connecting = asyncio.Lock()

    async def connection(self) -> AsyncConnection:
        """Return the connection."""
        async with self._connecting:
            if self._connection is None or self._connection.invalidated:
                await self.close()
                self._connection = await self._engine.connect()
            return self._connection

    async def close(self) -> None:
        """Give it back."""
        kept, self._connection = self._connection, None
        if kept is not None:
            await kept.close()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Give the connection in a write transaction: committed at the end, or undone by an error; one at a time."""
        tx = await self.connection()
        driver = direct.driver(tx)
        try:
            with direct.explained(tx, BEGIN_WRITE):
                await driver.execute(BEGIN_WRITE)
            yield tx
            if tx.in_transaction():  # SQLAlchemy took part, and keeps account of that
                await tx.commit()
            else:
                with direct.explained(tx, "COMMIT"):
                    await driver.commit()
        except BaseException:  # also where nobody waits for the beginning any more: it is undone when it comes
            await self._undo(tx, driver)
            raise

    async def _undo(self, tx: AsyncConnection, driver: Any) -> None:
        if tx.invalidated:
            await self.close()
            return
        await tx.rollback()
        await driver.rollback()
