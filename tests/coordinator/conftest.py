"""Places to work at: a home on each bus."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from brody_agents.communication.bus.embedded import socket_of
from brody_agents.ledger.ledger import Ledger
from brody_agents.settings import Settings
from tests.brokers import BROKERS
from tests.conftest import BROKERED, BUSES
from tests.coordinator.court import Court
from tests.coordinator.kit import Place, Server


def _place(name: str, home: Path, settings: Settings, request: pytest.FixtureRequest) -> Place:
    if name == "memory":
        return Place(home, settings.model_copy(update={"redis_url": "memory:"}), Server(name, None, home))
    if name == "valkey":
        return Place(home, settings, Server(name, socket_of(home), home))
    if name in BROKERS:
        url = request.getfixturevalue("broker_url")(name)
        return Place(home, settings.model_copy(update={"bus_url": url}), Server(name, None, home))
    socket = request.getfixturevalue("redis_server")
    urls = {"redis_url": f"unix://{socket}"}
    if name == "redis-and-postgres":
        urls["database_url"] = request.getfixturevalue("database_url")
    return Place(home, settings.model_copy(update=urls), Server("redis-server", socket, home))


@pytest.fixture(params=[*BUSES, *BROKERED, pytest.param("redis-and-postgres", marks=pytest.mark.integration)])
def place(request: pytest.FixtureRequest, home: Path, settings: Settings) -> Place:
    """Return a new home on each bus and broker in turn, and on Redis with PostgreSQL in place of the home's file."""
    return _place(request.param, home, settings, request)


@pytest.fixture(params=BUSES[1:])
def served(request: pytest.FixtureRequest, home: Path, settings: Settings) -> Place:
    """Return a new home on each server in turn."""
    return _place(request.param, home, settings, request)


@pytest.fixture(params=BROKERED)
def brokered(request: pytest.FixtureRequest, home: Path, settings: Settings) -> Place:
    """Return a new home on each broker in turn."""
    return _place(request.param, home, settings, request)


@pytest.fixture
def quick(home: Path, settings: Settings, request: pytest.FixtureRequest) -> Place:
    """Return a new home on the in-memory bus."""
    return _place("memory", home, settings, request)


@pytest.fixture
async def court() -> AsyncIterator[Court]:
    """Give a court in memory."""
    ledger = await Ledger.open(None)
    await ledger.ensure_users({"me", "ada"})
    yield Court(ledger)
    await ledger.close()


@pytest.fixture(params=[True, False], ids=["in one turn", "one after the other"])
def at_once(request: pytest.FixtureRequest) -> bool:
    """Say whether proposals come in the same turn."""
    return bool(request.param)
