"""Inserts of many rows: SQLAlchemy writes the statement, once; the rows go to the driver as they are.

SQLAlchemy's own way with a list of dictionaries costs some thirty microseconds a row, SQLite's work six. PostgreSQL
gets one statement with an array a column: a statement a row costs it twice as much, and does not say what is new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import Dialect, Insert, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel

from brody_agents.ledger import direct
from brody_agents.ledger.statements import insert_new, table, upsert

Convert = Callable[[Any], Any]
_Prepared = tuple[str, list[int], list[tuple[int, Convert]]]


class Bulk:
    """Insert rows of a table, given as tuples of the named columns; those that are there already are left alone.

    With ``keep`` they are replaced instead, but for the columns in it. ``written`` are the JSON columns whose values
    are JSON texts already.
    """

    def __init__(
        self,
        model: type[SQLModel],
        *columns: str,
        keep: frozenset[str] | None = None,
        written: frozenset[str] = frozenset(),
    ) -> None:
        self._model, self._columns, self._keep, self._written = model, columns, keep, written
        self._prepared: dict[str, _Prepared] = {}

    async def insert(self, tx: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> int:
        """Insert rows and return how many are new."""
        return await direct.insert(tx, *self._call(tx, rows))

    async def new(self, tx: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> set[Any]:
        """Insert rows, in PostgreSQL, and return the first column of those that are new."""
        statement, values = self._call(tx, rows)
        return {row[0] for row in await direct.fetch(tx, f"{statement} RETURNING {self._columns[0]}", values)}

    def _call(self, tx: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> tuple[str, Any]:
        """Return the statement and what it takes: rows, or with PostgreSQL an array a column."""
        statement, order, converted = self._for(tx)
        columns: list[Sequence[Any]] = list(zip(*self._different(tx, rows), strict=True))
        for n, convert in converted:
            columns[n] = _each(columns[n], convert)
        columns = [columns[n] for n in order]
        if tx.dialect.name == "postgresql":
            return statement, tuple(map(list, columns))
        return statement, list(zip(*columns, strict=True))

    def _different(self, tx: AsyncConnection, rows: Sequence[tuple[Any, ...]]) -> Iterable[tuple[Any, ...]]:
        """Keep the last of those with the same key, where they are to replace others: PostgreSQL does so once only."""
        if self._keep is None or tx.dialect.name != "postgresql":
            return rows
        keys = [self._columns.index(column.name) for column in table(self._model).primary_key]
        return {tuple(row[n] for n in keys): row for row in rows}.values()

    def _for(self, tx: AsyncConnection) -> _Prepared:
        known = self._prepared.get(tx.dialect.name)
        if known is None:
            compiled = self._statement(tx).compile(dialect=tx.dialect, column_keys=list(self._columns))
            order = [self._columns.index(name) for name in compiled.positiontup or ()]
            known = self._prepared[tx.dialect.name] = (str(compiled), order, self._conversions(tx.dialect))
        return known

    def _statement(self, tx: AsyncConnection) -> Insert:
        insert = insert_new(tx, self._model) if self._keep is None else upsert(tx, self._model, self._keep)
        if tx.dialect.name != "postgresql":
            return insert
        columns = table(self._model).c
        arrays = [bindparam(name, type_=ARRAY(columns[name].type)) for name in self._columns]
        given = func.unnest(*arrays).table_valued(*self._columns).render_derived()
        return insert.from_select(self._columns, select(*given.c), include_defaults=False)

    def _conversions(self, dialect: Dialect) -> list[tuple[int, Convert]]:
        types = [
            (n, table(self._model).c[name].type) for n, name in enumerate(self._columns) if name not in self._written
        ]
        found = [(n, kind.dialect_impl(dialect).bind_processor(dialect)) for n, kind in types]
        return [(n, convert) for n, convert in found if convert is not None]


def _each(values: Iterable[Any], convert: Convert) -> list[Any]:
    """Convert the values of a column; what comes again at once, such as the time of writing, only once."""
    result: list[Any] = []
    last: Any = _Nothing
    for value in values:
        if value is not last:
            last, made = value, convert(value)
        result.append(made)
    return result


class _Nothing:
    """Be no value of any column."""
