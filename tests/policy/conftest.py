"""A desk where every action waits for the person."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from brody_agents.policy import rules
from brody_agents.settings import Settings
from tests.policy.kit import Desk
from tests.policy.kit import desk as opened


@pytest.fixture
def asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have everything asked for, as for a person who allows nothing without being asked."""
    monkeypatch.setattr(rules, "default_autonomy", lambda kind: "suggest")


@pytest.fixture
async def desk(asks: None, settings: Settings) -> AsyncIterator[Desk]:
    """Give a desk in memory."""
    async with opened(settings=settings) as found:
        yield found
