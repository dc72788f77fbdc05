"""Effects on a calendar file: what stays as it was, what the ledger sees, and what is refused, with words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from brody_agents import ActionState, Brody, BrodyAgent, Context, handles
from brody_agents.communication.message_protocol import stable_id
from brody_agents.communication.payloads import MeetingScheduled
from brody_agents.coordinator.account_effects.calendar import uid_of
from brody_agents.errors import ItemUnreadable, ProviderError
from brody_agents.integrations.calendar.local import IcsCalendar
from brody_agents.ledger import event_rows
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Action
from brody_agents.settings import Settings
from tests.coordinator.accounts_kit import approve, ended
from tests.coordinator.calendar_kit import (
    ASKED,
    BERLIN,
    MONDAYS,
    NINE,
    ONCE,
    SENT,
    TEN,
    Diary,
    invitation,
    new,
    vcalendar,
)

pytestmark = pytest.mark.timeout(30)
TIMES = {"start": NINE.isoformat(), "end": TEN.isoformat()}


class Listener(BrodyAgent):
    """Hear of meetings."""

    def __init__(self) -> None:
        super().__init__("listener")
        self.heard: list[tuple[str, str]] = []

    @handles
    async def on_meeting(self, meeting: MeetingScheduled, ctx: Context) -> None:
        """Write title and version down."""
        self.heard.append((meeting.title, meeting.version))


@pytest.fixture
def listener() -> Listener:
    """Return an agent that hears of meetings."""
    return Listener()


@pytest.fixture
async def diary(tmp_path: Path, settings: Settings, listener: Listener) -> AsyncIterator[Diary]:
    """Give an empty calendar file."""
    path = tmp_path / "mine.ics"
    path.write_bytes(b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//EN\r\nEND:VCALENDAR\r\n")
    calendar = IcsCalendar(path)
    async with Brody(accounts={"calendar": calendar}, agents=[listener], settings=settings) as brody:
        diary = Diary(brody, calendar)
        await diary.read()
        yield diary


async def test_no_byte_of_another_event_changes_and_undo_leaves_the_file_as_it_was(
    diary: Diary, tmp_path: Path
) -> None:
    odd = vcalendar("odd", *ONCE, "X-BAD:\t unfolded \\, kept", title="Odd").replace("SUMMARY", "summary")
    path = tmp_path / "mine.ics"
    path.write_bytes((odd + vcalendar("u", *MONDAYS)).encode())
    before = path.read_bytes()
    await diary.read()
    second = next(e for e in (await diary.seen())[::-1] if e.uid == "u")
    moved = await diary.do("calendar.update", event_id=second.id, location="Room 1")
    assert moved.state is ActionState.DONE
    assert path.read_bytes().startswith(odd.encode())
    assert path.read_bytes() != before
    await diary.undo(moved)
    assert path.read_bytes() == before


async def test_the_uid_is_made_from_the_key(diary: Diary) -> None:
    made = await diary.do("calendar.create", **new())
    assert [e.uid for e in await diary.there()] == [uid_of(made.key)] == [(made.result or {})["uid"]]


async def test_whole_days_are_whole_days(diary: Diary) -> None:
    """From one's own midnight to midnight, whatever the offset; an end within a day includes that day."""
    start = datetime(2026, 3, 2, tzinfo=BERLIN)
    for days, cause in ((timedelta(days=2), "1"), (timedelta(days=1, hours=10), "2")):
        times = {"start": start.isoformat(), "end": (start + days).isoformat()}
        made = await diary.do("calendar.create", cause=cause, title="Fair", all_day=True, **times)
        assert made.state is ActionState.DONE
    for event in await diary.there():
        assert (event.all_day, event.start.day, event.end.day) == (True, 2, 4)


# -- the ledger's own picture -------------------------------------------------------------------------------


async def test_a_slot_stays_taken_from_the_claim_to_the_event(diary: Diary) -> None:
    """The claim is released when the event is there; in between nobody else can have the time."""
    made = await diary.do("calendar.create", **new())
    assert made.state is ActionState.DONE
    assert not made.state.holds_claims
    for cause in ("before the next read", "after it"):
        other = await diary.brody.execute(diary.action("calendar.create", cause=cause, **new("Garden")))
        (verdict,) = await diary.brody.actions.verdicts(other.action_id)
        assert verdict.why == "The time is taken by “Dentist” in your calendar. You decide."
        assert len(await diary.seen()) == 1
        await rejected(diary, other.action_id)
        await diary.read()


async def rejected(diary: Diary, action_id: str) -> None:
    """Answer the card of an action with no."""
    (card,) = [card for card in await diary.brody.approvals.list() if card.action_id == action_id]
    await diary.brody.approvals.decide(card.id, "reject")


async def test_a_slot_is_free_again_once_its_event_is_called_off(diary: Diary) -> None:
    await diary.add("u", *ONCE)
    (event,) = await diary.seen()
    await diary.do("calendar.cancel", event_id=event.id)
    other = await diary.brody.execute(diary.action("calendar.create", **new()))
    assert await diary.brody.actions.verdicts(other.action_id) == []


async def test_agents_hear_of_an_event_that_was_made_when_it_is_read_and_once(diary: Diary, listener: Listener) -> None:
    made = await diary.do("calendar.create", **new())
    assert listener.heard == []
    await diary.read()
    await diary.read()
    assert listener.heard == [("Dentist", (made.result or {})["version"])]


async def test_one_effect_after_another_needs_no_read_in_between(diary: Diary) -> None:
    made = await diary.do("calendar.create", **new())
    event_id = (made.result or {})["event_id"]
    moved = await diary.do("calendar.update", event_id=event_id, title="Doctor")
    assert moved.state is ActionState.DONE, moved.reason
    version = (await diary.seen())[0].version
    again = await diary.do("calendar.update", event_id=event_id, cause="again", title="Nurse", version=version)
    assert again.state is ActionState.DONE, again.reason


async def test_a_read_of_what_was_written_is_no_change_of_it(diary: Diary) -> None:
    """A card that was made before the next read is still good after it."""
    made = await diary.do("calendar.create", **new())
    (event,) = await diary.seen()
    update = diary.action("calendar.update", event_id=event.id, version=event.version, title="Doctor")
    proposed = await diary.brody.execute(update)
    await diary.read()
    await approve(diary.brody, proposed.action_id)
    assert (await ended(diary.brody, proposed.action_id)).state is ActionState.DONE
    assert [(e.title, e.uid) for e in await diary.there()] == [("Doctor", (made.result or {})["uid"])]


async def test_a_series_does_not_stand_in_its_own_way(diary: Diary) -> None:
    await diary.add("u", *MONDAYS)
    event_id = stable_id(diary.account, "u")
    times = {"start": "2026-03-02T08:30:00Z", "end": "2026-03-02T09:30:00Z"}
    for more in ({}, {"recurrence_id": "20260302T080000Z"}):
        proposed = await diary.brody.execute(diary.action("calendar.update", event_id=event_id, **times, **more))
        assert await diary.brody.actions.verdicts(proposed.action_id) == []
        await rejected(diary, proposed.action_id)


async def test_an_account_that_cannot_be_read_afterwards_leaves_the_effect_done(
    diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the ledger could not note is found by the next read."""

    async def unreadable(*args: object) -> None:
        raise ItemUnreadable("No.")

    monkeypatch.setattr(event_rows, "written", unreadable)
    made = await diary.do("calendar.create", **new())
    assert (made.state, await diary.seen()) == (ActionState.DONE, [])
    await diary.read()
    assert len(await diary.seen()) == 1


# -- what is refused ----------------------------------------------------------------------------------------


async def test_an_answer_needs_to_know_who_the_person_is(diary: Diary) -> None:
    await diary.add("u", *ONCE, *ASKED)
    said = await diary.do("calendar.respond", uid="u", answer="accepted", **TIMES)
    assert said.state is ActionState.FAILED
    assert said.reason.startswith("None of its attendees is you (none of your addresses is known).")
    await diary.mail(SENT, "sent")
    again = await diary.do("calendar.respond", uid="u", answer="accepted", cause="again", **TIMES)
    assert again.state is ActionState.DONE


async def test_what_is_in_no_calendar_and_no_mail_is_not_answered(diary: Diary) -> None:
    said = await diary.do("calendar.respond", uid="u", answer="accepted", **TIMES)
    assert (said.state, said.reason.startswith("u is in no calendar")) == (ActionState.FAILED, True)


async def test_a_meeting_that_the_organizer_has_changed_is_not_answered(diary: Diary) -> None:
    await diary.mail(SENT, "sent")
    await diary.add("u", *ONCE, *ASKED, "SEQUENCE:2")
    said = await diary.do("calendar.respond", uid="u", answer="accepted", sequence=1, **TIMES)
    assert said.reason.startswith("The organizer has changed the meeting since.")


async def test_a_newer_invitation_takes_the_place_of_what_the_calendar_has(diary: Diary) -> None:
    await diary.mail(SENT, "sent")
    await diary.add("u", *ONCE, *ASKED)
    later = ("DTSTART:20260302T140000Z", "DTEND:20260302T150000Z", "SEQUENCE:1")
    mail_id = await diary.mail(invitation(vcalendar("u", *later, *ASKED, head="METHOD:REQUEST\r\n")))
    said = await diary.do("calendar.respond", uid="u", answer="accepted", sequence=1, email_id=mail_id, **TIMES)
    assert said.state is ActionState.DONE, said.reason
    (event,) = await diary.there()
    assert (event.start.hour, event.sequence, event.attendees[0].status) == (14, 1, "accepted")
    await diary.undo(said)
    assert [e.start.hour for e in await diary.there()] == [9]


@pytest.mark.parametrize(
    ("kind", "arguments", "words"),
    [
        ("calendar.update", {"event_id": "nothing", "title": "x"}, "There is no event nothing in ics:"),
        ("calendar.update", {}, "Nothing is to be changed."),
        ("calendar.update", {"end": "2026-03-02T08:00:00Z"}, "The end lies before the start."),
        ("calendar.cancel", {"recurrence_id": "20260303T090000Z"}, "There is no occurrence 20260303T090000Z"),
        ("calendar.invite", {"attendees": ["Ann"]}, "'Ann' is no mail address."),
    ],
)
async def test_what_cannot_be_done_fails_and_says_why(
    kind: str, arguments: dict[str, Any], words: str, diary: Diary, tmp_path: Path
) -> None:
    await diary.add("u", *ONCE)
    before = (tmp_path / "mine.ics").read_bytes()
    (event,) = await diary.seen()
    action = await diary.do(kind, **{"event_id": event.id} | arguments)
    assert (action.state, action.reason[: len(words)]) == (ActionState.FAILED, words)
    assert (tmp_path / "mine.ics").read_bytes() == before


async def test_nothing_is_undone_where_nothing_was_written(diary: Diary) -> None:
    mail_id = await diary.mail(invitation(vcalendar("u", *ONCE, *ASKED, head="METHOD:REQUEST\r\n")))
    said = await diary.do("calendar.respond", uid="u", answer="declined", email_id=mail_id, **TIMES)
    assert (said.state, (said.result or {})["kept"]) == (ActionState.DONE, False)
    with pytest.raises(ProviderError, match="Nothing was written"):
        await diary.undo(said)


async def test_the_earlier_text_is_sealed(diary: Diary) -> None:
    """Nobody who reads the database reads what was in the calendar."""
    await diary.add("u", *ONCE, title="Secret plan")
    (event,) = await diary.seen()
    done = await diary.do("calendar.cancel", event_id=event.id)
    async with diary.brody.ledger.read() as tx:
        row = (await tx.execute(select(table(Action)).where(table(Action).c.id == done.id))).one()
    assert "Secret plan" in str((done.intent or {})["before"])
    assert "Secret plan" not in repr(tuple(row))
