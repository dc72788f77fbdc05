"""Contacts: the address book that the user keeps; never the senders of mail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from brody_agents.integrations.base import Provider


@dataclass(frozen=True, slots=True)
class RawContact:
    """One card; ``key`` is its UID, else the hash of its content."""

    key: str
    version: str
    name: str
    addresses: tuple[str, ...] = ()
    """Mail addresses in lower case."""
    phones: tuple[str, ...] = ()
    organisation: str = ""
    title: str = ""


class ContactProvider(Provider[RawContact], Protocol):
    """An address book; read only."""
