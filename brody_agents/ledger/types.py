"""Column types: instants in UTC, and sealed values that are encrypted before they reach the database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, LargeBinary
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator


class UtcTime(TypeDecorator[datetime]):
    """Store aware datetimes in UTC; SQLite, which has no zones, gets them without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the instant in UTC; refuse a naive one."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise TypeError("a time without a zone cannot be stored")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the instant with its zone."""
        return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)


class SealedBytes(bytes):
    """Encrypted bytes; made by ``Vault.seal`` only."""


class Sealed(TypeDecorator[SealedBytes]):
    """Store sealed values; anything that was not sealed is refused, so that nothing slips in readable."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | None:
        """Return the bytes of a sealed value."""
        if value is None or isinstance(value, SealedBytes):
            return value
        raise TypeError("this column takes sealed values only: use Vault.seal")

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> SealedBytes | None:
        """Return the sealed value."""
        return None if value is None else SealedBytes(value)
