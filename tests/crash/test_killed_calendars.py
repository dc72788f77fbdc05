"""A process that is killed anywhere around an effect on a calendar: started again, each effect is there once."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from brody_agents.integrations.calendar.expansion import StoredEvent, components
from tests.coordinator.calendar_kit import UTC_ZONE
from tests.crash.calendar_writer import KINDS, POINTS, open_calendar, work

pytestmark = [pytest.mark.crash, pytest.mark.timeout(120)]
LEFT = {
    "calendar.create": [("Dentist", 14, 0), ("Plan", 9, 0)],
    "calendar.update": [("Plan", 12, 0)],
    "calendar.cancel": [],
    "calendar.invite": [("Plan", 9, 1)],
}


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("kind", KINDS)
async def test_each_effect_on_a_file_is_there_exactly_once(kind: str, point: str, tmp_path: Path) -> None:
    (tmp_path / "mine.ics").write_text("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//x//EN\nEND:VCALENDAR\n")
    await survives(f"ics:{tmp_path / 'mine.ics'}", kind, point, tmp_path / "home")


async def survives(source: str, kind: str, point: str, home: Path) -> None:
    """Have one process killed and a second one finish, and look at the calendar."""
    assert await asyncio.to_thread(child, home, source, kind, point) == -signal.SIGKILL
    assert await asyncio.to_thread(child, home, source, kind, "never") == 0
    assert await there(source) == LEFT[kind]


async def there(source: str) -> list[tuple[str, int, int]]:
    """Return title, hour and number of attendees of all that a calendar holds."""

    async def nothing() -> dict[str, str]:
        return {}

    calendar = open_calendar(source)
    raws = [item async for page in calendar.changes(None, nothing) for item in page.items]
    await calendar.close()
    events = [e for raw in raws for e in components(StoredEvent("", raw.key, "", raw.data), UTC_ZONE)]
    return sorted((e.title, e.start.hour, len(e.attendees)) for e in events)


def child(home: Path, source: str, kind: str, point: str) -> int:
    """Run ``work`` in a process of its own and return how it ended."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["brody_agents.front", "alembic.command", "tests.crash.calendar_writer"])
    passwords = {name: value for name, value in os.environ.items() if name.startswith("BRODY_CALDAV_")}
    process = context.Process(target=work, args=(home, source, kind, point, passwords))
    process.start()
    process.join(60)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise AssertionError("It did not end.")
    return process.exitcode
