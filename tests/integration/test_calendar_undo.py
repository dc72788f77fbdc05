from __future__ import annotations

import pytest

from brody_agents import ActionState
from tests.coordinator.calendar_kit import ONCE, Diary, new
from tests.integration.test_calendar_effects import ON_AN_EVENT, of_event, titles


@pytest.mark.parametrize("kind", ["calendar.create", *ON_AN_EVENT])
async def test_undone(diary: Diary, kind: str) -> None:
    arguments = new() if kind == "calendar.create" else await of_event(diary, kind)
    before = None if kind == "calendar.create" else (await diary.calendar.fetch("u")).data
    done = await diary.do(kind, **arguments)
    assert done.state is ActionState.DONE, done.reason
    undone = await diary.brody.actions.undo(done.id)
    assert undone.state is ActionState.UNDONE, undone.reason
    if before is None:
        assert await titles(diary) == []
    else:
        assert (await diary.calendar.fetch("u")).data == before
        assert await titles(diary) == [("Plan", "02 Mar 09:00")]


@pytest.mark.parametrize("kind", ["calendar.create", *ON_AN_EVENT])
async def test_not_undone(diary: Diary, kind: str) -> None:
    arguments = new() if kind == "calendar.create" else await of_event(diary, kind)
    done = await diary.do(kind, **arguments)
    if kind == "calendar.cancel":
        await diary.add("u", *ONCE, title="Again")
    else:
        await diary.edit(str((done.result or {})["uid"]), "END:VEVENT", "LOCATION:Room 2\r\nEND:VEVENT")
    left = await diary.brody.actions.undo(done.id)
    assert left.state is ActionState.DONE
    print(left.reason)
    assert "The event" in left.reason
