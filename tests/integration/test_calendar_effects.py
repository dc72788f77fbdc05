"""The five kinds of action on calendars, the same on a file, on a folder and on a CalDAV server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from brody_agents import ActionState, Brody
from brody_agents.communication.message_protocol import stable_id
from brody_agents.coordinator.account_effects import EFFECTS
from brody_agents.coordinator.account_effects.base import Done, NotDone, Unclear
from brody_agents.errors import Stale
from brody_agents.integrations.calendar.caldav import CalDav
from brody_agents.integrations.calendar.local import IcsCalendar
from brody_agents.settings import Settings
from tests.coordinator.calendar_kit import ASKED, MONDAYS, NINE, ONCE, TEN, Diary, invitation, new, vcalendar

pytestmark = pytest.mark.timeout(60)
PLACES = ("file", "folder", pytest.param("caldav", marks=pytest.mark.integration))
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def opened(kind: str, folder: Path, request: pytest.FixtureRequest) -> Any:
    """Return an empty calendar of a kind."""
    if kind == "caldav":
        return CalDav(request.getfixturevalue("radicale").url)
    if kind == "folder":
        (folder / "calendars").mkdir()
        return IcsCalendar(folder / "calendars")
    (folder / "mine.ics").write_text("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//x//EN\nEND:VCALENDAR\n")
    return IcsCalendar(folder / "mine.ics")


@pytest.fixture(params=PLACES)
async def diary(request: pytest.FixtureRequest, tmp_path: Path, settings: Settings) -> AsyncIterator[Diary]:
    """Give an empty calendar of each kind in turn."""
    calendar = opened(request.param, tmp_path, request)
    async with Brody(accounts={"calendar": calendar}, agents=[], settings=settings) as brody:
        diary = Diary(brody, calendar)
        await diary.know_me()
        yield diary


async def titles(diary: Diary) -> list[tuple[str, str]]:
    """Return titles and times; the account and the ledger say the same, before it is read again and after."""
    before = [(e.title, f"{e.start:%d %b %H:%M}") for e in await diary.seen()]
    await diary.read()
    after = [(e.title, f"{e.start:%d %b %H:%M}") for e in await diary.seen()]
    assert before == after == [(e.title, f"{e.start:%d %b %H:%M}") for e in await diary.there()]
    return after


async def test_an_event_is_made_and_undone(diary: Diary) -> None:
    made = await diary.do("calendar.create", **new(), attendees=["ann@b.example"], location="Room 1")
    assert (made.state, made.fence) == (ActionState.DONE, 1)
    assert await titles(diary) == [("Dentist", "02 Mar 09:00")]
    (event,) = await diary.seen()
    assert [a.address for a in event.attendees] == ["ann@b.example"]
    assert (event.location, event.organizer and event.organizer.address) == ("Room 1", "me@b.example")
    await diary.undo(made)
    assert await titles(diary) == []


async def test_an_event_is_changed_and_changed_back(diary: Diary) -> None:
    await diary.add("u", *ONCE)
    (event,) = await diary.seen()
    before = await diary.calendar.fetch("u")
    moved = await diary.do("calendar.update", event_id=event.id, start=NOON.isoformat(), title="Review")
    assert moved.state is ActionState.DONE
    assert await titles(diary) == [("Review", "02 Mar 12:00")]
    assert "X-OTHER;A=b:kept as it is" in (await diary.calendar.fetch("u")).data
    await diary.undo(moved)
    assert await titles(diary) == [("Plan", "02 Mar 09:00")]
    assert (await diary.calendar.fetch("u")).data == before.data


async def test_one_occurrence_is_changed_and_another_called_off(diary: Diary) -> None:
    await diary.add("u", *MONDAYS)
    second, third = (await diary.seen())[1:3]
    changed = await diary.do("calendar.update", event_id=second.id, title="Review")
    off = await diary.do("calendar.cancel", event_id=third.id)
    assert (changed.state, off.state) == (ActionState.DONE, ActionState.DONE)
    dates = ["02 Mar 08:00", "09 Mar 08:00", "23 Mar 08:00"]
    assert await titles(diary) == [*zip(["Plan", "Review", "Plan"], dates, strict=True)]
    await diary.undo(off)
    assert len(await titles(diary)) == 4


async def test_a_series_is_moved_as_a_whole(diary: Diary) -> None:
    await diary.add("u", *MONDAYS)
    first = (await diary.seen())[0]
    await diary.do("calendar.cancel", event_id=first.id, recurrence_id=first.recurrence_id)
    series = stable_id(diary.account, "u")
    moved = await diary.do("calendar.update", event_id=series, start=datetime(2026, 3, 2, 13, tzinfo=UTC).isoformat())
    assert moved.state is ActionState.DONE, moved.reason
    assert [start for _, start in await titles(diary)] == ["09 Mar 13:00", "16 Mar 13:00", "23 Mar 13:00"]


async def test_an_event_is_called_off_and_comes_back_with_its_uid(diary: Diary) -> None:
    await diary.add("u", *ONCE)
    (event,) = await diary.seen()
    off = await diary.do("calendar.cancel", event_id=event.id, version=event.version)
    assert off.state is ActionState.DONE
    assert await titles(diary) == []
    await diary.undo(off)
    assert await titles(diary) == [("Plan", "02 Mar 09:00")]
    assert [e.id for e in await diary.seen()] == [event.id]


@pytest.mark.parametrize("answer", ["accepted", "tentative", "declined"])
async def test_an_invitation_is_answered_and_the_answer_taken_back(diary: Diary, answer: str) -> None:
    await diary.add("u", *ONCE, *ASKED)
    said = await diary.do("calendar.respond", uid="u", answer=answer, start=NINE.isoformat(), end=TEN.isoformat())
    assert said.state is ActionState.DONE
    (event,) = await diary.seen()
    assert [(a.address, a.status) for a in event.attendees] == [("me@b.example", answer)]
    assert event.busy is (answer != "declined")
    await diary.undo(said)
    assert [a.status for a in (await diary.seen())[0].attendees] == ["needs-action"]


async def test_one_occurrence_is_answered(diary: Diary) -> None:
    await diary.add("u", *MONDAYS, *ASKED)
    second = (await diary.seen())[1]
    times = {"start": second.start.isoformat(), "end": second.end.isoformat()}
    said = await diary.do("calendar.respond", uid="u", recurrence_id=second.recurrence_id, answer="declined", **times)
    assert said.state is ActionState.DONE
    await diary.read()
    assert [e.attendees[0].status for e in await diary.seen()] == [
        "needs-action",
        "declined",
        "needs-action",
        "needs-action",
    ]


async def test_an_invitation_that_only_came_by_mail_goes_into_the_calendar(diary: Diary) -> None:
    invite = vcalendar("u", *ONCE, *ASKED, head="METHOD:REQUEST\r\n")
    mail_id = await diary.mail(invitation(invite))
    times = {"start": NINE.isoformat(), "end": TEN.isoformat()}
    await diary.read()
    for answer, there in (("declined", []), ("accepted", ["accepted"])):
        said = await diary.do("calendar.respond", uid="u", answer=answer, email_id=mail_id, cause=answer, **times)
        assert said.state is ActionState.DONE, said.reason
        assert [e.attendees[0].status for e in await diary.seen()] == there
    await diary.undo(said)
    assert await titles(diary) == []


async def test_people_are_invited_and_uninvited(diary: Diary) -> None:
    await diary.add("u", *ONCE)
    (event,) = await diary.seen()
    asked = await diary.do("calendar.invite", event_id=event.id, attendees=["bob@b.example", "ann@b.example"])
    more = await diary.do("calendar.invite", event_id=event.id, attendees=["ann@b.example", "eve@b.example"])
    assert (asked.state, more.state) == (ActionState.DONE, ActionState.DONE)
    addresses = [a.address for a in (await diary.seen())[0].attendees]
    assert sorted(addresses) == ["ann@b.example", "bob@b.example", "eve@b.example"]
    await diary.undo(more)
    await diary.read()
    assert len((await diary.seen())[0].attendees) == 2


# -- somebody else was faster ----------------------------------------------------------------------------

ON_AN_EVENT: dict[str, dict[str, Any]] = {
    "calendar.update": {"title": "Review"},
    "calendar.cancel": {},
    "calendar.invite": {"attendees": ["bob@b.example"]},
    "calendar.respond": {"uid": "u", "answer": "accepted", "start": NINE.isoformat(), "end": TEN.isoformat()},
}


async def of_event(diary: Diary, kind: str) -> dict[str, Any]:
    """Have an event in the calendar and return the arguments of an action on it."""
    organizer = () if kind == "calendar.invite" else ASKED
    await diary.add("u", *ONCE, *organizer)
    (event,) = await diary.seen()
    return ON_AN_EVENT[kind] | ({} if kind == "calendar.respond" else {"event_id": event.id})


@pytest.mark.parametrize("kind", ON_AN_EVENT)
async def test_what_was_changed_since_it_was_read_stays_as_it_is(diary: Diary, kind: str) -> None:
    arguments = await of_event(diary, kind)
    await diary.edit("u", "SUMMARY:Plan", "SUMMARY:Moved by Ann")
    action = await diary.do(kind, **arguments)
    assert action.state is ActionState.FAILED
    assert action.reason.startswith("The event has changed since it was read.")
    assert await diary.calendar.find("u") is not None
    await diary.read()
    assert [(e.title, len(e.attendees)) for e in await diary.seen()] == [
        ("Moved by Ann", 0 if kind == "calendar.invite" else 1)
    ]


@pytest.mark.parametrize("kind", ON_AN_EVENT)
async def test_what_is_changed_between_plan_and_write_stays_as_it_is(diary: Diary, kind: str) -> None:
    """The write itself is conditional: nobody's change is lost to a moment of bad luck."""
    action = diary.proposed(kind, **await of_event(diary, kind))
    job = await diary.planned(EFFECTS[kind], action)
    await diary.edit("u", "SUMMARY:Plan", "SUMMARY:Moved by Ann")
    with pytest.raises(Stale):
        await EFFECTS[kind].apply(job)
    assert [e.title for e in await diary.there()] == ["Moved by Ann"]


@pytest.mark.parametrize("kind", ["calendar.create", *ON_AN_EVENT])
async def test_what_was_changed_since_it_was_done_is_not_undone(diary: Diary, kind: str) -> None:
    arguments = new() if kind == "calendar.create" else await of_event(diary, kind)
    done = await diary.do(kind, **arguments)
    assert done.state is ActionState.DONE, done.reason
    if kind == "calendar.cancel":
        await diary.add("u", *ONCE, title="Again")
    else:
        uid = str((done.result or {})["uid"])
        await diary.edit(uid, "END:VEVENT", "LOCATION:Room 2\r\nEND:VEVENT")
    with pytest.raises(Stale):
        await diary.undo(done)
    assert [(e.title, e.location) for e in await diary.there()] == [
        {"calendar.create": ("Dentist", "Room 2"), "calendar.cancel": ("Again", "")}.get(
            kind, ("Review" if kind == "calendar.update" else "Plan", "Room 2")
        )
    ]


# -- asking what became of it ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["calendar.create", *ON_AN_EVENT])
async def test_what_was_done_is_told_from_what_was_not(diary: Diary, kind: str) -> None:
    """Of the effect, and of its inverse."""
    arguments = new() if kind == "calendar.create" else await of_event(diary, kind)
    effect, action = EFFECTS[kind], diary.proposed(kind, **arguments)
    job = await diary.planned(effect, action)
    assert await effect.reconcile(job) == NotDone()
    await effect.apply(job)
    found = await effect.reconcile(job)
    assert isinstance(found, Done)

    back = effect.inverse
    assert not isinstance(back, str)
    undoing = await diary.planned(back, action.moved(ActionState.DONE, "", intent=job.intent, result=found.result))
    assert await back.reconcile(undoing) == NotDone()
    await back.apply(undoing)
    assert isinstance(await back.reconcile(undoing), Done)
    assert len(await diary.there()) == (0 if kind == "calendar.create" else 1)


async def test_what_others_changed_meanwhile_does_not_hide_what_was_done(diary: Diary) -> None:
    action = diary.proposed("calendar.update", **await of_event(diary, "calendar.update"))
    effect = EFFECTS["calendar.update"]
    job = await diary.planned(effect, action)
    await diary.edit("u", "END:VEVENT", "LOCATION:Room 2\r\nEND:VEVENT")
    assert await effect.reconcile(job) == NotDone()
    await diary.edit("u", "SUMMARY:Plan", "SUMMARY:Review")
    assert isinstance(await effect.reconcile(job), Done)
    await diary.edit("u", "SUMMARY:Review", "SUMMARY:Something else")
    assert isinstance(await effect.reconcile(job), Unclear)


async def test_a_new_event_that_was_edited_at_once_is_not_made_again(diary: Diary) -> None:
    action = diary.proposed("calendar.create", **new())
    effect = EFFECTS["calendar.create"]
    job = await diary.planned(effect, action)
    await effect.apply(job)
    await diary.edit(job.intent["uid"], "SUMMARY:Dentist", "SUMMARY:Doctor")
    assert isinstance(await effect.reconcile(job), Done)


@pytest.mark.parametrize("kind", ["calendar.create", *ON_AN_EVENT])
async def test_what_was_done_is_undone(diary: Diary, kind: str) -> None:
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
async def test_what_somebody_else_has_changed_since_is_not_undone(diary: Diary, kind: str) -> None:
    arguments = new() if kind == "calendar.create" else await of_event(diary, kind)
    done = await diary.do(kind, **arguments)
    if kind == "calendar.cancel":
        await diary.add("u", *ONCE, title="Again")
    else:
        await diary.edit(str((done.result or {})["uid"]), "END:VEVENT", "LOCATION:Room 2\r\nEND:VEVENT")
    left = await diary.brody.actions.undo(done.id)
    assert left.state is ActionState.DONE
    assert "The event" in left.reason
