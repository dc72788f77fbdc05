"""The child of the crash tests on calendars: it carries one action out, and dies where it is told to."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from brody_agents import ActionState, AgentAction, Brody
from brody_agents.coordinator.account_executor import AccountExecutor
from brody_agents.integrations.calendar.caldav import CalDav
from brody_agents.integrations.calendar.local import IcsCalendar
from brody_agents.ledger import attempts
from brody_agents.settings import Settings
from tests.coordinator.accounts_kit import carried_out
from tests.coordinator.calendar_kit import NINE, ONCE, Diary, new

POINTS = (
    *("before intent", "after intent", "before effect", "after effect"),
    *("before result", "after result"),
)
KINDS = ("calendar.create", "calendar.update", "calendar.cancel", "calendar.invite")


def work(home: Path, source: str, kind: str, point: str, passwords: dict[str, str]) -> None:
    """Carry an action of a kind out on a calendar, until it is done or ``point`` is reached."""
    os.environ.update(passwords)  # the server that forks may be older than they are
    _arm(point)
    asyncio.run(_carry_out(home, source, kind))


async def _carry_out(home: Path, source: str, kind: str) -> None:
    settings = Settings(redis_url="memory:", timezone="UTC", cpu_workers=0)
    async with Brody(home=home, accounts={"calendar": source}, agents=[], settings=settings) as brody:
        known = await brody.actions.list()
        if known:
            action = AgentAction(kind=kind, arguments=known[0].arguments, cause="test")
        else:
            action = await _first(brody, source, kind)
        assert (await carried_out(brody, action)).state is ActionState.DONE


async def _first(brody: Brody, source: str, kind: str) -> AgentAction:
    calendar: Any = open_calendar(source)
    diary = Diary(brody, calendar)
    await diary.add("u", *ONCE)
    (event,) = await diary.seen()
    await calendar.close()
    more = {
        "calendar.create": new(start=NINE.replace(hour=14), end=NINE.replace(hour=15)),
        "calendar.update": {"event_id": event.id, "start": NINE.replace(hour=12).isoformat()},
        "calendar.cancel": {"event_id": event.id},
        "calendar.invite": {"event_id": event.id, "attendees": ["ann@b.example"]},
    }
    return diary.action(kind, **more[kind])


def open_calendar(source: str) -> CalDav | IcsCalendar:
    """Open a calendar by its source word."""
    scheme, _, place = source.partition(":")
    return CalDav(place) if scheme == "caldav" else IcsCalendar(place)


def _arm(point: str) -> None:
    """Have this process kill itself where ``point`` says."""
    when, _, what = point.partition(" ")
    if what == "effect":
        for owner in (CalDav, IcsCalendar):
            _around_writes(owner, when)
    elif what == "intent":
        _around(attempts, "begin", when) if when == "before" else _around(AccountExecutor, "_tried", "before")
    elif what == "result":
        _around(attempts, "leave", "after") if when == "before" else _around(AccountExecutor, "_leave", "after")


def _around_writes(owner: Any, when: str) -> None:
    """Die at a write of the executor's: the one that fills the calendar for the test goes through."""
    put = owner.put

    async def filling(self: Any, event: Any, version: str | None) -> Any:
        if event.key == "u" and version is None:
            return await put(self, event, version)
        return await self.deadly_put(event, version)

    owner.deadly_put = put
    _around(owner, "deadly_put", when)
    owner.put = filling
    _around(owner, "delete", when)


def _around(owner: Any, name: str, when: str) -> None:
    real: Callable[..., Any] = getattr(owner, name)

    async def deadly(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        await real(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, deadly)
