"""Statements that SQLite and PostgreSQL share, made for many rows each."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, TypeVar

import orjson
from sqlalchemy import ColumnElement, Insert, String, Table, any_, cast, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel

from brody_agents.errors import NotFound

T = TypeVar("T")
_AT_A_TIME = 10_000


def table(model: type[SQLModel]) -> Table:
    """Return the Core table of a model, for the hot path."""
    found: Table = model.__table__  # type: ignore[attr-defined]
    return found


async def whole_id(tx: AsyncConnection, column: Any, beginning: str) -> str:
    """Return the one id that begins so, else the text itself; raise ``NotFound`` where several do."""
    query = select(column).where(column.startswith(beginning, autoescape=True)).limit(2)
    found = list((await tx.execute(query)).scalars())
    if len(found) > 1 and beginning not in found:
        raise NotFound(f"Several ids begin with {beginning!r}.", "Give more of the id.")
    return found[0] if len(found) == 1 else beginning


def in_parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield values as many at a time as a statement of either database takes (32,767 with PostgreSQL)."""
    for start in range(0, len(values), _AT_A_TIME):
        yield values[start : start + _AT_A_TIME]


def among(tx: AsyncConnection, column: ColumnElement[Any], values: Collection[str]) -> ColumnElement[bool]:
    """Return the condition that a text is one of many: one parameter, so that it stays the same statement."""
    if tx.dialect.name == "sqlite":
        each = func.json_each(orjson.dumps(list(values)).decode()).table_valued("value")
        return column.in_(select(each.c.value))
    return column == any_(cast(list(values), postgresql.ARRAY(String)))


def insert(tx: AsyncConnection, model: type[SQLModel]) -> Any:
    """Return the dialect's INSERT, which knows ON CONFLICT."""
    module: Any = sqlite if tx.dialect.name == "sqlite" else postgresql
    return module.insert(table(model))


def insert_new(tx: AsyncConnection, model: type[SQLModel]) -> Insert:
    """Return an INSERT that leaves rows alone that are there already."""
    statement: Insert = insert(tx, model).on_conflict_do_nothing()
    return statement


def upsert(tx: AsyncConnection, model: type[SQLModel], keep: frozenset[str] = frozenset()) -> Insert:
    """Return an INSERT that replaces a row with the same primary key, but for the columns in ``keep``."""
    statement = insert(tx, model)
    keys = [column.name for column in table(model).primary_key]
    others = {c.name: statement.excluded[c.name] for c in table(model).columns if c.name not in {*keys, *keep}}
    replaced: Insert = statement.on_conflict_do_update(index_elements=keys, set_=others)
    return replaced


async def serialise(tx: AsyncConnection, accounts: Collection[str]) -> None:
    """Let one transaction at a time settle what belongs to these accounts, until it ends.

    PostgreSQL: a transaction-level advisory lock an account, in sorted order, so that no two wait for each other.
    SQLite has nothing to do: a write transaction begins with ``BEGIN IMMEDIATE`` and is alone.
    """
    if tx.dialect.name == "postgresql":
        for account in sorted(set(accounts)):
            await tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(account, 0))))
