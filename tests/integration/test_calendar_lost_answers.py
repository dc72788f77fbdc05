"""A calendar server whose answer is lost: whether it had carried it out is asked, and nothing is done twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from brody_agents import ActionState, Brody
from brody_agents.integrations.calendar.caldav import CalDav
from brody_agents.settings import Settings
from tests.coordinator.calendar_kit import Diary, new
from tests.integration.conftest import Radicale
from tests.integration.proxy import Fault, Proxy
from tests.integration.test_calendar_effects import ON_AN_EVENT, of_event

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]
KINDS = ("calendar.create", *ON_AN_EVENT)


class Road(Proxy):
    """Lose the answer to the first write, or the write itself."""

    losing: Fault = None

    def lose(self, fault: Fault) -> None:
        """Have the next write get lost."""
        self.fault = self._once
        self.losing = fault

    def _once(self, head: str, body: bytes) -> Fault:
        if head.split()[0] not in ("PUT", "DELETE"):
            return None
        fault, self.losing = self.losing, None
        return fault

    @property
    def writes(self) -> int:
        """Return how often something was written."""
        return len([line for line in self.seen if line.split()[0] in ("PUT", "DELETE")])


@pytest.fixture
async def road(radicale: Radicale) -> AsyncIterator[Road]:
    """Give the road to the server."""
    road = Road(radicale.port)
    async with road:
        yield road


@pytest.fixture
async def diary(road: Road, settings: Settings) -> AsyncIterator[Diary]:
    """Give an empty calendar at the end of the road."""
    calendar = CalDav(f"http://me@127.0.0.1:{road.port}/")
    async with Brody(accounts={"calendar": calendar}, agents=[], settings=settings) as brody:
        diary = Diary(brody, calendar)
        await diary.know_me()
        yield diary


async def arguments(diary: Diary, kind: str) -> dict[str, Any]:
    """Return the arguments of an action of a kind."""
    if kind == "calendar.create":
        await diary.read()
        return new()
    return await of_event(diary, kind)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_was_committed_before_the_answer_was_lost_is_found_and_not_repeated(
    kind: str, diary: Diary, road: Road
) -> None:
    wanted, before = await arguments(diary, kind), road.writes
    road.lose("drop after")
    action = await diary.do(kind, **wanted)
    assert (action.state, action.fence, road.writes - before) == (ActionState.DONE, 1, 1)
    assert len(await diary.there()) == (0 if kind == "calendar.cancel" else 1)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_never_arrived_is_tried_again(kind: str, diary: Diary, road: Road) -> None:
    wanted, before = await arguments(diary, kind), road.writes
    road.lose("drop before")
    action = await diary.do(kind, **wanted)
    assert (action.state, action.fence, road.writes - before) == (ActionState.DONE, 2, 2)
    assert len(await diary.there()) == (0 if kind == "calendar.cancel" else 1)
