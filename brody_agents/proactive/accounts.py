"""The accounts that a ``Brody`` was given, opened when they are first read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import delete, select

from brody_agents.errors import BrodyError, ConfigurationError
from brody_agents.integrations.base import Provider
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.statements import table, upsert
from brody_agents.ledger.tables import Cursor, Outlet

Source = str | Provider[Any]
AccountsLike = Mapping[str, Source | Sequence[Source]]
_O = table(Outlet).c
DOMAINS = ("contacts", "calendar", "files", "mail", "tasks", "send", "chat")
WRITTEN_ONLY = frozenset({"send", "chat"})
"""What is never read: it comes in addition to the accounts that were given or remembered."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An account that could not be opened or read in a run."""

    account: str
    error: BrodyError

    def as_json(self) -> dict[str, str]:
        """Return the problem as the brief shows it."""
        return {
            "account": self.account,
            "code": self.error.code,
            "what": self.error.what,
            "remedy": self.error.remedy,
        }


@dataclass(slots=True)
class Opened:
    """The accounts of a user that could be opened, in their order, and the problems of those that could not."""

    providers: dict[str, list[Provider[Any]]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def of(self, domain: str) -> list[Provider[Any]]:
        """Return the accounts of a domain."""
        return self.providers.get(domain, [])

    def keys(self, domains: Iterable[str]) -> list[str]:
        """Return the account keys of some domains."""
        return [provider.account for domain in domains for provider in self.of(domain)]


class Accounts:
    """Open source words once, and keep their order."""

    def __init__(self, given: AccountsLike) -> None:
        self._given = {domain: _listed(sources) for domain, sources in given.items()}
        for domain in self._given:
            if domain not in DOMAINS:
                raise ConfigurationError(f"There is no domain {domain!r}.", f"Use: {', '.join(DOMAINS)}.")
        self._given["tasks"] = [s for s in self._given.get("tasks", []) if s != "ledger:"]
        self._opened: dict[str, Opened] = {}
        self._written: dict[tuple[str, str], Provider[Any]] = {}

    async def open(self, ledger: Ledger, user_id: str, domains: Iterable[str]) -> Opened:
        """Return the accounts that were given, or those of the user's earlier runs if none were.

        Raises the first account's error if not one of these domains could be opened, ``ConfigurationError`` if there
        are none.
        """
        given = any(sources for domain, sources in self._given.items() if domain not in WRITTEN_ONLY)
        extra = {domain: self._given.get(domain, []) for domain in WRITTEN_ONLY}
        wanted = self._given if given else {**await _remembered(ledger, user_id), **extra}
        if not any(wanted.get(domain) for domain in domains):
            raise ConfigurationError(
                f"No account was given for any of {', '.join(domains)}.",
                "Name at least one, such as --mail maildir:~/Maildir or --calendar ics:~/calendar.",
            )
        key = "" if wanted is self._given else user_id
        opened = self._opened[key] = self._opened.get(key) or _opened(wanted)
        if opened.problems and not opened.keys(domains):
            error = opened.problems[0].error
            del self._opened[key]  # it may be there the next time
            raise error
        await _remember(ledger, user_id, self._given)
        return opened

    async def provider(self, ledger: Ledger, user_id: str, domain: str, account: str) -> Provider[Any]:
        """Return an account to write to: one that was given, or one of the user's earlier runs; by its key.

        Raises ``ConfigurationError`` for any other: an action never opens what the person did not name.
        """
        if any(self._given.values()) and "" not in self._opened:
            self._opened[""] = _opened(self._given)
        for opened in (self._opened.get("", Opened()), self._opened.get(user_id, Opened())):
            for provider in opened.of(domain):
                if provider.account == account:
                    return provider
        if account not in (await _remembered(ledger, user_id)).get(domain, []):
            what = f"{account or 'No account'} is none that you named for {domain}."
            raise ConfigurationError(what, "Name the account in a run first.")
        if (domain, account) not in self._written:
            from brody_agents.integrations.sources import open_source

            self._written[domain, account] = open_source(domain, account)
        return self._written[domain, account]

    async def outlets(self, ledger: Ledger, user_id: str, domain: str) -> Sequence[Any]:
        """Return the accounts of a domain that is only written to: those given, else those of the user's last runs."""
        if self._given.get(domain):
            self._opened.setdefault("", _opened(self._given))
            return self._opened[""].of(domain)
        from brody_agents.integrations.sources import open_source

        found = []
        for account, word in await _words(ledger, user_id, domain):
            if (domain, account) not in self._written:
                self._written[domain, account] = open_source(domain, word)
            found.append(self._written[domain, account])
        return found

    async def close(self) -> None:
        """Close what was opened."""
        for provider in self._written.values():
            await provider.close()
        for opened in self._opened.values():
            for provider in (p for providers in opened.providers.values() for p in providers):
                await provider.close()


def _opened(wanted: Mapping[str, Sequence[Source]]) -> Opened:
    from brody_agents.integrations.remote import shown
    from brody_agents.integrations.sources import open_source

    opened = Opened()
    for domain, sources in wanted.items():
        found: dict[str, Provider[Any]] = {}
        for source in sources:
            try:
                provider = open_source(domain, source) if isinstance(source, str) else source
                found.setdefault(provider.account, provider)
            except BrodyError as error:
                opened.problems.append(Problem(shown(str(source)), error))
        opened.providers[domain] = list(found.values())
    return opened


async def _remembered(ledger: Ledger, user_id: str) -> dict[str, list[Source]]:
    c = table(Cursor).c
    found: dict[str, list[Source]] = {}
    async with ledger.read() as tx:
        rows = await tx.execute(select(c.domain, c.account).where(c.user_id == user_id).order_by(c.account))
        for domain, account in rows:
            found.setdefault(domain, []).append(account)
    return found


async def _remember(ledger: Ledger, user_id: str, given: Mapping[str, Sequence[Source]]) -> None:
    """Write down where a user's mail leaves and chat is posted: what is approved later has to find it."""
    from brody_agents.integrations.sources import open_source

    rows = []
    for domain in sorted(WRITTEN_ONLY):
        for word in (source for source in given.get(domain, []) if isinstance(source, str)):
            with suppress(BrodyError):  # one that cannot be opened is a problem of the run
                account = open_source(domain, word).account
                rows.append({"account": account, "user_id": user_id, "domain": domain, "word": word})
    if rows:
        async with ledger.write() as tx:
            domains = {row["domain"] for row in rows}
            await tx.execute(delete(table(Outlet)).where(_O.user_id == user_id, _O.domain.in_(domains)))
            await tx.execute(upsert(tx, Outlet), rows)


async def _words(ledger: Ledger, user_id: str, domain: str) -> list[tuple[str, str]]:
    query = select(_O.account, _O.word).where(_O.user_id == user_id, _O.domain == domain).order_by(_O.account)
    async with ledger.read() as tx:
        return [(account, word) for account, word in await tx.execute(query)]


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
