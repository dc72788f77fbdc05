"""A desk where every action waits for the person."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from brody_agents.settings import Settings
from tests.policy.kit import Desk
from tests.policy.kit import desk as opened


@pytest.fixture
async def desk(settings: Settings) -> AsyncIterator[Desk]:
    """Give a desk in memory."""
    async with opened(asks=True, settings=settings) as found:
        yield found
