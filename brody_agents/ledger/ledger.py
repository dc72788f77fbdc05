"""Open the ledger and run its transactions; only one write transaction is open at a time, so settling is serial.

SQLite runs in WAL mode with ``synchronous=FULL`` on every connection; a write transaction begins with
``BEGIN IMMEDIATE``. On PostgreSQL it takes an advisory lock, and ``synchronous_commit`` is on.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import URL, event
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool

from brody_agents.errors import BrodyError, LedgerError, LedgerFull, Retryable
from brody_agents.ledger import postgres
from brody_agents.ledger.direct import Rows, Statement
from brody_agents.ledger.driver import BEGIN_WRITE, connect
from brody_agents.ledger.kept import Kept
from brody_agents.ledger.migrations import migrate
from brody_agents.ledger.statements import insert_new, table
from brody_agents.ledger.tables import Row, User, UserKey
from brody_agents.ledger.users import learn
from brody_agents.ledger.vault import Vault

_PATIENCE = 1.0
"""Seconds that a ledger which is being opened has to be done with it when nobody wants it any more."""


class LedgerBusy(Retryable):
    """Another process held the database for longer than the time-out."""

    code = "ledger_busy"
    remedy = "Try again; nothing was written."


class Ledger:
    """The database of a home, or one in memory (``home=None``)."""

    def __init__(self, engine: AsyncEngine, reader: AsyncEngine, vault: Vault, *, single: bool) -> None:
        self._engine = engine
        self._reader = reader
        self.vault = vault
        self._writing = asyncio.Lock()
        self._learning = asyncio.Lock()
        self._single = single
        own = engine.dialect.name == "sqlite"
        self._writer = Kept(engine) if own else None
        self._asked = Kept(engine) if own and not single else None

    @classmethod
    async def open(cls, home: Path | None, url: str = "") -> Ledger:
        """Open the ledger of a home, in its file or in the PostgreSQL at ``url``, and bring its schema up to date.

        Raises ``HomeTooNew`` for a schema that this version does not know, ``LedgerError`` for a file that is no
        ledger, ``LedgerFull`` when the disk is full.
        """
        opening = asyncio.ensure_future(cls._open(home, url))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:  # the driver does not take it well to be given up half-way
            await asyncio.wait({opening}, timeout=_PATIENCE)
            if opening.done() and opening.exception() is None:
                await opening.result().close()
            raise

    @classmethod
    async def _open(cls, home: Path | None, url: str) -> Ledger:
        vault = _vault(home)
        if url:
            engine = postgres.engine(url, _JSON)
            ledger = cls(engine, engine, vault, single=False)
        elif home:
            _try(_file(home))
            ledger = cls(_engine(_file(home), near=True), _engine(_file(home), near=False), vault, single=False)
        else:
            engine = _memory()
            ledger = cls(engine, engine, vault, single=True)
        try:
            with _translated():
                async with ledger._begun() as tx:
                    await tx.run_sync(migrate if home or url else _create)
        except BaseException:
            await ledger.close()
            raise
        return ledger

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection that sees one snapshot; its questions may take long, the event loop goes on meanwhile."""
        async with self._looking(self._reader) as connection:
            yield connection

    @asynccontextmanager
    async def glance(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection that sees one snapshot, for what an index answers at once."""
        async with self._looking(self._engine) as connection:
            yield connection

    async def ask(self, statement: Statement, **values: Any) -> Rows:
        """Return the rows of one statement, which an index answers at once."""
        if self._asked is None:
            async with self.glance() as tx:
                return await statement(tx, **values)
        with _translated():
            return await statement(await self._asked.connection(), **values)

    @asynccontextmanager
    async def _looking(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        guard: AbstractAsyncContextManager[Any] = self._writing if self._single else nullcontext()
        with _translated():
            async with guard, engine.connect() as plain:
                yield await _snapshot(plain)

    @asynccontextmanager
    async def write(self, within: Collection[str] | None = None) -> AsyncIterator[AsyncConnection]:
        """Give a connection in a write transaction: committed and on disk at the end, or undone by an error.

        It is the only one. With the scopes ``within`` which it keeps (see ``scopes``), other processes may write beside
        it to a PostgreSQL within others.
        """
        with _translated():
            async with self._writing, self._transaction(within) as tx:
                yield tx

    def _transaction(self, within: Collection[str] | None) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._writer.writing() if self._writer else self._begun(within)

    @asynccontextmanager
    async def _begun(self, within: Collection[str] | None = None) -> AsyncIterator[AsyncConnection]:
        async with self._engine.connect() as plain:
            connection = await plain.execution_options(brody_write=True)
            async with connection.begin():
                if connection.dialect.name == "postgresql":
                    await postgres.only_writer(connection, within)
                yield connection

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[AsyncConnection]:
        """Give a write transaction that waits for no turn, for tables that no turn writes and that lock for themselves.

        SQLite has one writer in any case.
        """
        if self._engine.dialect.name != "postgresql":
            async with self.write() as tx:
                yield tx
            return
        with _translated():
            async with self._engine.begin() as tx:
                yield tx

    @asynccontextmanager
    async def only_one(self, what: str, timeout: float) -> AsyncIterator[None]:
        """Let one process at a time go on with something; raise ``LedgerBusy`` after ``timeout`` seconds.

        Only the processes of a PostgreSQL need it: the home's lock does it for the others. The server frees it when
        the process ends, however it ends.
        """
        if self._engine.dialect.name != "postgresql":
            yield
            return
        with _translated():
            async with self._engine.connect() as plain:
                connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
                if not await postgres.only_one(connection, what, timeout):
                    raise LedgerBusy(f"Another process is at it: {what}.")
                try:
                    yield
                finally:
                    with suppress(DBAPIError):  # a server that has lost the connection has freed it
                        await postgres.let_others(connection, what)

    async def ensure_users(self, user_ids: set[str]) -> None:
        """Create the users that are unknown, and take their sealing keys into use."""
        if all(map(self.vault.knows, user_ids)):
            return
        async with self._learning:  # whoever asks for the same user at the same time finds it known then
            await self._learn(sorted(u for u in user_ids if not self.vault.knows(u)))

    async def _learn(self, unknown: list[str]) -> None:
        if not unknown:
            return
        async with self.write() as tx:
            new = {user_id: self.vault.new_key(user_id) for user_id in await learn(tx, self.vault, unknown)}
            now = datetime.now(UTC)
            for user_id, wrapped in new.items():
                await tx.execute(table(UserKey).insert(), {"user_id": user_id, "wrapped": wrapped})
                row = {"id": user_id, "name": user_id, "created_at": now, "updated_at": now}
                await tx.execute(insert_new(tx, User), row)
        for user_id, wrapped in new.items():
            self.vault.learn(user_id, wrapped)

    async def close(self) -> None:
        """Close all connections."""
        for kept in (self._writer, self._asked):
            if kept:
                await kept.close()
        await self._engine.dispose()
        await self._reader.dispose()


async def _snapshot(connection: AsyncConnection) -> AsyncConnection:
    if connection.dialect.name == "postgresql":  # SQLite's transactions are snapshots by themselves
        return await connection.execution_options(isolation_level="REPEATABLE READ")
    return connection


def _create(connection: Connection) -> None:
    """Make the newest tables at once: what is in memory is always new."""
    Row.metadata.create_all(connection, checkfirst=False)


def _vault(home: Path | None) -> Vault:
    return Vault.of_home(home) if home else Vault(os.urandom(32))


def _engine(file: Path, *, near: bool) -> AsyncEngine:
    place = URL.create("sqlite+aiosqlite", database=str(file))  # a name may have a ? or a # in it
    how: dict[str, Any] = {"async_creator": partial(connect, file)} if near else {}
    return _listening(create_async_engine(place, pool_size=4, **_JSON, **how))


def _memory() -> AsyncEngine:
    return _listening(create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool, async_creator=connect, **_JSON))


def _written(value: Any) -> str:
    return orjson.dumps(value).decode()


def _read(text: Any) -> Any:
    return orjson.loads(text) if isinstance(text, str) else text  # SQLite gives a bare number back as one


_JSON: dict[str, Any] = {"json_serializer": _written, "json_deserializer": _read}


def _listening(engine: AsyncEngine) -> AsyncEngine:
    event.listen(engine.sync_engine, "connect", _configure)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _file(home: Path) -> Path:
    return home / "brody.db"


def _try(file: Path) -> None:
    """Open the file once with the plain driver: the asynchronous one leaves a thread behind when it cannot."""
    try:
        sqlite3.connect(file).close()
    except sqlite3.OperationalError as error:
        raise _explained(error) from error


def _configure(connection: Any, record: object) -> None:
    connection.isolation_level = None  # SQLAlchemy's `begin` event below issues BEGIN, not the driver
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=15000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    driver: Any = connection.connection.driver_connection
    if driver.in_transaction:  # the writer has begun it
        return
    write = connection.get_execution_options().get("brody_write")
    connection.exec_driver_sql(BEGIN_WRITE if write else "BEGIN")


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the driver's errors into this package's."""
    try:
        yield
    except DBAPIError as error:
        raise (postgres.explained(error) or _explained(error.orig)) from error


def _explained(error: BaseException | None) -> BrodyError:
    words = str(error)
    if "disk is full" in words or "disk I/O" in words:
        return LedgerFull(f"The ledger could not be written: {words}.")
    if isinstance(error, sqlite3.OperationalError) and "locked" in words:
        return LedgerBusy("The ledger is in use by another process.")
    if "not a database" in words or "malformed" in words:
        return LedgerError(f"The file brody.db is damaged: {words}.", "Restore it from a copy, or use another --home.")
    if "unable to open" in words or "readonly" in words:
        what = f"The file brody.db cannot be used: {words}."
        return LedgerError(what, "Check its permissions, or use another --home.")
    return LedgerError(f"The ledger refused: {words}.", "This is a fault of this package; please report it.")
