"""Statements that SQLite and PostgreSQL share, made for many rows each."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Insert, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel


def table(model: type[SQLModel]) -> Table:
    """Return the Core table of a model, for the hot path."""
    found: Table = model.__table__  # type: ignore[attr-defined]
    return found


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
