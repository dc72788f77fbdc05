"""Ledgers for the tests: one in memory and one in a home, each with two users."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from brody_agents.ledger.ledger import Ledger

USERS = {"me", "ada"}


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.integration)])
async def ledger(request: pytest.FixtureRequest) -> AsyncIterator[Ledger]:
    """Give an open ledger: in memory, and in a PostgreSQL."""
    url = request.getfixturevalue("database_url") if request.param == "postgres" else ""
    opened = await Ledger.open(None, url)
    await opened.ensure_users(USERS)
    yield opened
    await opened.close()


@pytest.fixture
def made(home: Path) -> Path:
    """Return the folder of a home that is there."""
    home.mkdir()
    return home


@pytest.fixture
async def kept(made: Path) -> AsyncIterator[Ledger]:
    """Give the open ledger of a home."""
    opened = await Ledger.open(made)
    await opened.ensure_users(USERS)
    yield opened
    await opened.close()
