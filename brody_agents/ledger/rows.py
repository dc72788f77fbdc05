"""What all tables of the ledger are made of: the base class, and the columns that many have."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Integer, MetaData
from sqlmodel import Field, SQLModel

from brody_agents.ledger.types import Sealed, UtcTime


def time_column(nullable: bool = True, index: bool = False) -> Any:
    """Declare an instant."""
    return Field(default=None, sa_column=Column(UtcTime, nullable=nullable, index=index))


def sealed_column() -> Any:
    """Declare a sealed value."""
    return Field(default=None, sa_column=Column(Sealed, nullable=True))


def json_column() -> Any:
    """Declare a JSON value."""
    return Field(default=None, sa_column=Column(JSON, nullable=True))


SEQUENCE = BigInteger().with_variant(Integer, "sqlite")
"""A number that the database counts up by itself."""


class Row(SQLModel):
    """Base of all tables; its metadata is this package's own."""

    model_config = {"arbitrary_types_allowed": True}

    metadata = MetaData(
        naming_convention={"ix": "ix_%(table_name)s_%(column_0_name)s", "uq": "uq_%(table_name)s_%(column_0_name)s"}
    )
