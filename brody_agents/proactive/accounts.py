"""The accounts that a ``Brody`` was given, opened when they are first read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import select

from brody_agents.errors import ConfigurationError
from brody_agents.integrations.base import Provider
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Cursor

Source = str | Provider[Any]
AccountsLike = Mapping[str, Source | Sequence[Source]]
DOMAINS = ("contacts", "calendar", "files", "mail", "tasks")


class Accounts:
    """Open source words once, and keep their order."""

    def __init__(self, given: AccountsLike) -> None:
        self._given = {domain: _listed(sources) for domain, sources in given.items()}
        for domain in self._given:
            if domain not in DOMAINS:
                raise ConfigurationError(f"There is no domain {domain!r}.", f"Use: {', '.join(DOMAINS)}.")
        self._given["tasks"] = [s for s in self._given.get("tasks", []) if s != "ledger:"]
        self._open: dict[str, list[Provider[Any]]] = {}

    def of(self, domain: str) -> list[Provider[Any]]:
        """Return the providers of a domain; raise ``UnknownSource`` or ``SourceNotFound`` for a wrong word."""
        from brody_agents.integrations.sources import open_source

        if domain not in self._open:
            found = [open_source(domain, s) if isinstance(s, str) else s for s in self._given.get(domain, [])]
            self._open[domain] = list({p.account: p for p in found}.values())
        return self._open[domain]

    def keys(self, domains: Iterable[str]) -> list[str]:
        """Return the account keys of some domains."""
        return [provider.account for domain in domains for provider in self.of(domain)]

    async def remembered(self, ledger: Ledger, user_id: str, domains: Iterable[str]) -> None:
        """Use the accounts of the user's earlier runs if none were given now; raise if there are none either."""
        if any(self._given.values()):
            return
        c = table(Cursor).c
        async with ledger.read() as tx:
            rows = await tx.execute(select(c.domain, c.account).where(c.user_id == user_id).order_by(c.account))
            for domain, account in rows:
                self._given.setdefault(domain, []).append(account)
        self._open.clear()
        if not any(self._given.get(domain) for domain in domains):
            raise ConfigurationError(
                "No account was given.",
                "Name at least one, such as --mail maildir:~/Maildir or --calendar ics:~/calendar.",
            )

    async def close(self) -> None:
        """Close what was opened."""
        for providers in self._open.values():
            for provider in providers:
                await provider.close()


def zone_named(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name, or the system's for an empty one; raise ``ConfigurationError``."""
    if not name:
        from tzlocal import get_localzone_name

        name = get_localzone_name() or "UTC"
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigurationError(f"There is no time zone {name!r}.", "Use a name such as Europe/Berlin.") from error


def _listed(sources: Source | Sequence[Source]) -> list[Source]:
    return list(sources) if isinstance(sources, (list, tuple)) else [sources]  # type: ignore[list-item]
