"""Statements of the hot path, handed to the driver as they are: SQLAlchemy writes each once, and executes none.

Its execution of a small statement costs ten to a hundred times what the database needs for it. Only statements whose
columns need no conversion are run so: texts, numbers, bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import JSON, BindParameter, ColumnElement, Dialect, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

Rows = Sequence[tuple[Any, ...]]
_Take = Callable[[Mapping[str, Any]], Any]
_Prepared = tuple[str, list[_Take]]


class Statement:
    """A statement with named values; ``write`` makes it for the database of a transaction, the first time."""

    def __init__(self, write: Callable[[AsyncConnection], Any]) -> None:
        self._write = write
        self._prepared: dict[str, _Prepared] = {}

    async def __call__(self, tx: AsyncConnection, **values: Any) -> Rows:
        """Run it and return its rows. In what is no write transaction it is a snapshot of its own."""
        statement, taking = self._for(tx)
        return await fetch(tx, statement, [taken(values) for taken in taking])

    def _for(self, tx: AsyncConnection) -> _Prepared:
        known = self._prepared.get(tx.dialect.name)
        if known is None:
            compiled: Any = self._write(tx).compile(dialect=tx.dialect)
            taking = [_taking(compiled.binds[name], tx.dialect) for name in compiled.positiontup]
            known = self._prepared[tx.dialect.name] = (str(compiled), taking)
        return known


def _taking(bind: BindParameter[Any], dialect: Dialect) -> _Take:
    """Return what takes a parameter out of the named values and makes it what the driver wants."""
    convert = bind.type.dialect_impl(dialect).bind_processor(dialect)
    if not bind.required:  # a constant of the statement
        fixed = convert(bind.value) if convert else bind.value
        return lambda values: fixed
    name = bind.key
    return (lambda values: convert(values[name])) if convert else (lambda values: values[name])


def one_of(tx: AsyncConnection, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Return the condition that a column is one of many values, which the statement takes as a list by that name."""
    if tx.dialect.name == "sqlite":
        each = func.json_each(bindparam(name, type_=JSON)).table_valued("value")
        return column.in_(select(each.c.value))
    return column == any_(bindparam(name, type_=ARRAY(column.type)))


async def fetch(tx: AsyncConnection, statement: str, values: Sequence[Any]) -> Rows:
    """Run a statement once and return its rows."""
    with explained(tx, statement):
        if tx.dialect.name == "postgresql":
            rows: Rows = await driver(tx).fetch(statement, *values)
        else:
            rows = await driver(tx).execute_fetchall(statement, values)
    return rows


async def insert(tx: AsyncConnection, statement: str, values: Sequence[Any]) -> int:
    """Insert what ``values`` are, with SQLite rows, with PostgreSQL an array a column; return how many rows are new."""
    with explained(tx, statement):
        if tx.dialect.name == "postgresql":
            return int((await driver(tx).execute(statement, *values)).rpartition(" ")[2])
        async with driver(tx).executemany(statement, values) as cursor:
            count: int = cursor.rowcount
    return count


def driver(tx: AsyncConnection) -> Any:
    """Return the driver's own connection."""
    return _adapted(tx).driver_connection


def _adapted(tx: AsyncConnection) -> Any:
    connection = tx.sync_connection
    assert connection is not None
    return connection.connection.dbapi_connection


@contextmanager
def explained(tx: AsyncConnection, statement: str) -> Iterator[None]:
    """Raise the errors of the driver as SQLAlchemy does."""
    dbapi: Any = tx.dialect.loaded_dbapi
    adapted = _adapted(tx)
    try:
        try:
            yield
        except Exception as error:
            adapted._handle_exception(error)
    except dbapi.Error as error:
        lost = tx.dialect.is_disconnect(error, adapted, None)
        raise DBAPIError(statement, None, error, connection_invalidated=lost) from error
