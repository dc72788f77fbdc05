"""A process that is killed around a write to a CalDAV server: started again, each event is there once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.calendar_writer import KINDS, POINTS
from tests.crash.test_killed_calendars import survives
from tests.integration.conftest import Radicale

pytestmark = [pytest.mark.integration, pytest.mark.crash, pytest.mark.timeout(120)]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("kind", KINDS)
async def test_each_effect_on_a_server_is_there_exactly_once(
    kind: str, point: str, radicale: Radicale, tmp_path: Path
) -> None:
    await survives(f"caldav:{radicale.url}", kind, point, tmp_path / "home")
