"""What every provider of every domain has in common: change pages and how items are named.

A provider reads changes after a cursor and yields them in pages; the watcher commits each page, its cursor and
the messages it causes in one transaction. A provider never writes unless an approved action does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")

Known = Callable[[], Awaitable[Mapping[str, str]]]
"""Give the versions that the ledger has by key; for providers that find changes by comparing listings."""


@dataclass(frozen=True, slots=True)
class BadItem:
    """One item that could not be read; it goes to the dead letters and counts as read."""

    key: str
    version: str
    reason: str
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of changes, at most some hundred items; ``cursor`` is where the next read begins.

    ``total`` is the number of items in the whole source where the provider knows it; ``removed`` are keys.
    """

    items: list[T] = field(default_factory=list)
    bad: list[BadItem] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    cursor: str = ""
    total: int | None = None


class Provider(Protocol[T]):
    """An account that can be read; each domain adds its writes."""

    @property
    def account(self) -> str:
        """Return the account's stable key, such as ``maildir:/home/me/Maildir``; part of every item's id."""

    def changes(self, cursor: str | None, known: Known) -> AsyncIterator[Page[T]]:
        """Yield what changed after ``cursor`` (``None``: everything), oldest first, and at least one page.

        Raises ``SourceNotFound``, ``SourceLocked``, ``ProviderUnavailable`` for the account as a whole; single
        items that cannot be read come as :class:`BadItem`.
        """

    async def check(self) -> str:
        """Return one line for ``brody doctor`` or raise the error that says what to do."""

    async def close(self) -> None:
        """Give up handles and connections."""
