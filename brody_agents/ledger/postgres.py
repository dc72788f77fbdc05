"""The ledger in PostgreSQL (asyncpg): how it is reached, how writers take turns, what its errors mean."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Collection
from typing import Any

from sqlalchemy import URL, event, func, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from brody_agents.errors import BrodyError, ConfigurationError, LedgerError, Retryable

_WRITER = 0x62726F6479  # "brody"
_PATIENCE_MS = 15_000
_IDLE_MS = 10_000
"""How long a process that was stopped in a write transaction may hold up all others."""
_SETTINGS = {
    "synchronous_commit": "on",
    "lock_timeout": str(_PATIENCE_MS),
    "timezone": "UTC",
    "plan_cache_mode": "force_custom_plan",
}
"""A plan that is kept was made when the tables were small, and would go through all of each for every turn."""
_FRESH = 0.5
"""Seconds for which a connection that nobody uses is taken to be still there; asking costs three round trips."""


class LedgerUnavailable(Retryable):
    """The database server cannot be reached, or gave up the connection."""

    code = "ledger_unavailable"
    remedy = "Try again when the server answers; nothing was written."


class WriteConflict(LedgerUnavailable):
    """Two processes wrote the same in another order, and the server gave up one of them."""

    code = "write_conflict"
    remedy = "Try again; nothing was written."


def engine(url: str, options: dict[str, Any]) -> AsyncEngine:
    """Return an engine for a database; raise ``ConfigurationError`` for a URL that names none, or without asyncpg."""
    how: dict[str, Any] = {"server_settings": _SETTINGS, "timeout": _PATIENCE_MS / 1000}
    try:
        made = create_async_engine(_place(url), pool_size=8, connect_args=how, **options)
    except ModuleNotFoundError as error:
        what = "BRODY_DATABASE_URL names a PostgreSQL, and asyncpg is not installed."
        raise ConfigurationError(what, "Install brody-agents[postgres].") from error
    event.listen(made.sync_engine, "do_connect", _connect)
    event.listen(made.sync_engine, "checkin", _note_time)
    event.listen(made.sync_engine, "checkout", _check)
    return made


def _connect(dialect: Any, record: object, arguments: Any, named: dict[str, Any]) -> Any:
    """Connect as SQLAlchemy would, which lets the errors of the network through as they are."""
    try:
        return dialect.connect(*arguments, **named)
    except OSError as error:
        raise LedgerUnavailable(f"The database cannot be reached: {error}.") from error


def _note_time(connection: Any, record: ConnectionPoolEntry) -> None:
    record.info["idle since"] = time.monotonic()


def _check(connection: Any, record: ConnectionPoolEntry, proxy: object) -> None:
    """Have a connection that is lost, and with it all others, be made again; those in use a moment ago are there."""
    try:
        if connection.driver_connection.is_closed():
            raise InvalidatePoolError("The server has closed it.")
        if time.monotonic() - record.info.get("idle since", math.inf) >= _FRESH:
            connection.ping()
    except (connection.dbapi.Error, OSError) as error:
        raise InvalidatePoolError("The server does not answer on it.") from error


def _place(url: str) -> URL:
    try:
        place = make_url(url)
    except ArgumentError as error:
        raise ConfigurationError("BRODY_DATABASE_URL is no URL.", _LIKE) from error
    if place.get_backend_name() != "postgresql":
        raise ConfigurationError(f"BRODY_DATABASE_URL names a {place.get_backend_name()}.", _LIKE)
    return place.set(drivername="postgresql+asyncpg")


_LIKE = "Set it like postgresql://user:password@host/database, or unset it."


_LIMITED = f"SELECT set_config('idle_in_transaction_session_timeout', '{_IDLE_MS}', true)"
_ONLY_WRITER = text(f"{_LIMITED}, pg_advisory_xact_lock(:writer)")
_WITHIN = text(
    f"{_LIMITED}, pg_advisory_xact_lock_shared(:writer), pg_advisory_xact_lock(hashtextextended(scope, 0))"
    " FROM unnest(CAST(:scopes AS text[])) AS scope"
)
"""The locks are taken in the order of the array."""


async def only_writer(tx: AsyncConnection, within: Collection[str] | None = None) -> None:
    """Wait until no other transaction writes, or none within the same scopes; the locks end with the transaction."""
    if within:
        await tx.execute(_WITHIN, {"writer": _WRITER, "scopes": sorted(set(within))})
    else:
        await tx.execute(_ONLY_WRITER, {"writer": _WRITER})


async def only_one(connection: AsyncConnection, what: str, timeout: float) -> bool:
    """Take a lock of the session; say whether it could be had within ``timeout`` seconds."""
    until = time.monotonic() + timeout
    while not (await connection.execute(select(func.pg_try_advisory_lock(_key(what))))).scalar():
        if time.monotonic() >= until:
            return False
        await asyncio.sleep(0.05)
    return True


async def let_others(connection: AsyncConnection, what: str) -> None:
    """Free a lock of the session."""
    await connection.execute(select(func.pg_advisory_unlock(_key(what))))


def _key(what: str) -> Any:
    return func.hashtextextended(f"brody {what}", 0)


def explained(error: DBAPIError) -> BrodyError | None:
    """Return what an error of the server means; ``None`` for an error of another database."""
    state = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
    if error.connection_invalidated or (state or "").startswith(("08", "57P")):
        return LedgerUnavailable(f"The database went away: {error.orig}.")
    if state in ("40P01", "40001"):
        return WriteConflict("Another process wrote the same at the same time.")
    if state == "53300" or (state == "55000" and "accepting connections" in str(error.orig)):
        return LedgerUnavailable(f"The database takes no connection: {error.orig}.")
    if state == "55P03":
        return LedgerUnavailable("Another process writes for longer than it should.")
    if state is None:
        return None
    if state.startswith(("28", "3D")):
        return LedgerError(f"The database refused: {error.orig}.", "Check BRODY_DATABASE_URL.")
    return LedgerError(f"The database refused: {error.orig}.", "Look at the server's log.")
