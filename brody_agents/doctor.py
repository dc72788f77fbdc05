"""Examine what is configured: is it reachable, is it writable, and what to do about the rest."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, make_url, select

from brody_agents.brody import Brody
from brody_agents.errors import BrodyError
from brody_agents.integrations.remote import shown
from brody_agents.integrations.sources import open_source
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Cursor, UserKey
from brody_agents.ledger.users import learn
from brody_agents.proactive.accounts import zone_named
from brody_agents.settings import Settings, settings_from_environment

_ENOUGH = 100 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one thing, and the remedy where it is not well."""

    subject: str
    ok: bool
    found: str
    remedy: str = ""


async def examine(home: Path, accounts: Mapping[str, Any]) -> list[Finding]:
    """Return the findings: time zone, home, ledger, bus, agents and accounts."""
    settings = settings_from_environment()
    findings = [_zone(settings)]
    try:
        async with Brody(home=home, settings=settings.model_copy(update={"lock_timeout": 0.0})) as brody:
            assert brody.home is not None
            findings += [_home(brody.home), await _ledger(brody)]
            findings += [await _bus(brody), *_agents(brody), await _known(brody)]
    except BrodyError as error:
        findings.append(_failed(f"home {home}", error))
    return findings + [await _account(domain, word) for domain, words in accounts.items() for word in words]


def _zone(settings: Settings) -> Finding:
    try:
        return Finding("time zone", True, zone_named(settings.timezone).key)
    except BrodyError as error:
        return _failed("time zone", error)


def _home(home: Path) -> Finding:
    free = shutil.disk_usage(home).free
    said = f"{home}, {free / 1e9:.1f} GB free"
    return Finding("home", free >= _ENOUGH, said, "" if free >= _ENOUGH else "Free some space on this disk.")


async def _ledger(brody: Brody) -> Finding:
    """Find out whether the home's key opens what is sealed for each user."""
    try:
        async with brody.ledger.read() as tx:
            users = list((await tx.execute(select(table(UserKey).c.user_id))).scalars())
            await learn(tx, brody.ledger.vault, users)
    except BrodyError as error:
        return _failed("ledger", error)
    database = brody.settings.database_url
    return Finding("ledger", True, repr(make_url(database)) if database else f"{brody.home}/brody.db")


async def _bus(brody: Brody) -> Finding:
    try:
        bus = await brody.bus()
    except BrodyError as error:
        return _failed("bus", error)
    return Finding("bus", "failed" not in bus, ", ".join(f"{k}: {v}" for k, v in bus.items()))


def _agents(brody: Brody) -> list[Finding]:
    names = ", ".join(agent.name for agent in brody.agents)
    good = Finding("agents", bool(names), names or "none", "" if names else "Install a package that has agents.")
    return [good, *(Finding(f"plug-in {f.name}", False, f.reason, "Mend or remove it.") for f in brody.left_out)]


async def _known(brody: Brody) -> Finding:
    c = table(Cursor).c
    async with brody.ledger.read() as tx:
        count, latest = (await tx.execute(select(func.count(), func.max(c.updated_at)))).one()
    return Finding(
        "accounts read before", True, f"{count}" + (f", last at {latest:%Y-%m-%d %H:%M} UTC" if latest else "")
    )


async def _account(domain: str, word: str) -> Finding:
    subject = f"{domain} {shown(word)}"
    try:
        provider = open_source(domain, word)
        try:
            return Finding(subject, True, await provider.check())
        finally:
            with suppress(BrodyError):
                await provider.close()
    except BrodyError as error:
        return _failed(subject, error)


def _failed(subject: str, error: BrodyError) -> Finding:
    return Finding(subject, False, error.what, error.remedy or f"[{error.code}]")
