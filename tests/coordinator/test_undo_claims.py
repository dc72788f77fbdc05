"""While an action is undone it holds what it touches, so that another agent's action is settled against it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from brody_agents import ActionState
from brody_agents.communication.message_protocol import stable_id
from brody_agents.coordinator.undo_claims import claims_of_undo
from brody_agents.coordinator.undoing import Actions
from brody_agents.ledger import actions as ledger_actions
from brody_agents.ledger.actions import ActionRecord, task_of
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Action
from brody_agents.registry import Registry
from tests.coordinator.court import Court, propose

FILE = {"account": "dir:x", "document_id": "d1", "text": "More.\n"}
DRAFT = {"to": ["ann@b.example"], "subject": "Re: plan", "text": "Yes.", "thread_id": "t1", "email_id": "m1"}
NEXT_YEAR = f"{datetime.now().year + 1}"
HOUR = timedelta(hours=1)
NEW = f"dir:x/file/{stable_id('dir:x', 'n.txt')}"


async def being_undone(court: Court, action: ActionRecord, **known: Any) -> ActionRecord:
    """Have an action done, and then the wish to undo it written; nobody carries it out yet."""

    async def nobody(*_: Any) -> None:
        return None

    (settled,) = await court.settle(action)
    done = settled.moved(ActionState.DONE, "", **known)
    async with court.ledger.write() as tx:
        await ledger_actions.move(tx, court.ledger.vault, [done])
    assert not (await court.held()).get(action.id)
    return await Actions(court.ledger, Registry.of([]), nobody, nobody).undo(action.id)


async def ends(court: Court, action: ActionRecord, state: ActionState) -> None:
    """Have the undo end, as the executor does."""
    await court.decide(action, state)


async def test_a_file_that_is_being_restored_is_not_appended_to_unasked(court: Court) -> None:
    """Whatever the autonomy; the person reads why, and once the undo has ended nothing is in the way any more."""
    undone = await being_undone(court, propose("file.append", FILE, autonomy="act"))
    assert (undone.state, undone.undoing) == (ActionState.APPROVED, True)
    (meanwhile,) = await court.settle(propose("file.append", FILE, by="other", cause="b", autonomy="act"))
    verdict = await court.verdict(meanwhile)
    assert (meanwhile.state, verdict.rule) == (ActionState.AWAITING_APPROVAL, "being_undone")
    assert "You are having" in verdict.why
    assert "file.append" in verdict.why
    await court.decide(meanwhile, ActionState.REJECTED)
    await ends(court, undone, ActionState.UNDONE)
    assert not await court.held()
    (later,) = await court.settle(propose("file.append", FILE, by="other", cause="d", autonomy="act"))
    assert (later.state, await court.actions.verdicts(later.id)) == (ActionState.APPROVED, [])


async def test_what_could_not_be_undone_lets_go_as_well(court: Court) -> None:
    undone = await being_undone(court, propose("file.append", FILE))
    assert await court.held()
    await ends(court, undone, ActionState.DONE)
    assert not await court.held()


async def test_a_draft_does_not_become_one_with_a_draft_that_is_being_undone(court: Court) -> None:
    """It would be gone with it; the person is asked."""
    await court.mail("m1")
    await being_undone(court, propose("mail.draft", DRAFT))
    (other,) = await court.settle(propose("mail.draft", DRAFT, by="other", cause="b"))
    assert (other.state, (await court.verdict(other)).rule) == (ActionState.AWAITING_APPROVAL, "being_undone")


async def test_a_wish_does_not_become_one_with_a_task_that_is_being_undone(court: Court) -> None:
    wish = {"title": "Send the report to Ann"}
    await being_undone(court, propose("task.create", wish, cause="mail"))
    (again,) = await court.settle(propose("task.create", wish, by="other", cause="file"))
    assert (again.state, (await court.verdict(again)).rule) == (ActionState.AWAITING_APPROVAL, "being_undone")


async def test_the_time_that_an_event_takes_again_is_held(court: Court) -> None:
    """The meeting was moved from nine to eleven; while it goes back to nine, nobody else gets that."""
    nine = datetime.fromisoformat(f"{NEXT_YEAR}-03-02T09:00:00+00:00")
    eleven = {"account": "cal", "event_id": "e1", "start": nine + 2 * HOUR, "end": nine + 3 * HOUR}
    intent = {"key": "", "uid": "u1", "before": event("0900"), "after": event("1100")}
    await being_undone(court, propose("calendar.update", eleven), intent=intent, result={"event_id": "e1"})
    slot = {"account": "cal", "title": "Review", "start": nine, "end": nine + HOUR}
    (wanted,) = await court.settle(propose("calendar.create", slot, by="other"))
    assert (wanted.state, (await court.verdict(wanted)).rule) == (ActionState.AWAITING_APPROVAL, "being_undone")
    free = slot | {"start": nine + 5 * HOUR, "end": nine + 6 * HOUR}
    (beside,) = await court.settle(propose("calendar.create", free, by="other", cause="b"))
    assert not await court.actions.verdicts(beside.id)


def event(start: str) -> str:
    """Return an event of an hour in the next year."""
    end = f"{int(start) + 100:04}"
    times = f"DTSTART:{NEXT_YEAR}0302T{start}00Z\r\nDTEND:{NEXT_YEAR}0302T{end}00Z\r\n"
    body = f"BEGIN:VEVENT\r\nUID:u1\r\nDTSTAMP:20260101T000000Z\r\nSUMMARY:Review\r\n{times}END:VEVENT\r\n"
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{body}END:VCALENDAR\r\n"


@pytest.mark.parametrize(
    ("kind", "arguments", "known", "touched"),
    [
        (
            "file.create",
            {"account": "dir:x", "path": "n.txt", "text": "N"},
            {},
            NEW,
        ),
        (
            "file.move",
            {"account": "dir:x", "document_id": "d1", "path": "new.txt"},
            {"intent": {"key": "old.txt"}},
            "dir:x/path/old.txt",
        ),
        ("mail.archive", {"account": "maildir:x", "email_id": "m1"}, {}, "maildir:x/place/m1"),
        ("task.complete", {"task_id": "t1"}, {}, "me/task/t1"),
    ],
)
def test_an_undo_claims_what_it_touches(
    kind: str, arguments: dict[str, Any], known: dict[str, Any], touched: str
) -> None:
    action = replace(propose(kind, arguments), **known)
    claims = claims_of_undo(action)
    assert touched in {claim.resource for claim in claims}
    assert set(action.claims) <= set(claims)


def test_the_undo_of_a_new_task_claims_the_task() -> None:
    action = propose("task.create", {"title": "Water the plants"})
    assert f"me/task/{task_of(action.id)}" in {claim.resource for claim in claims_of_undo(action)}


async def test_an_action_that_was_not_begun_holds_its_own_claims_until_it_is_taken_back(court: Court) -> None:
    (settled,) = await court.settle(propose("file.append", FILE, autonomy="act"))
    await court.decide(settled, ActionState.APPROVED)
    before = await court.held()

    async def nobody(*_: Any) -> None:
        return None

    await Actions(court.ledger, Registry.of([]), nobody, nobody).undo(settled.id)
    assert await court.held() == before
    async with court.ledger.read() as tx:
        (row,) = await tx.execute(table(Action).select().where(table(Action).c.id == settled.id))
    assert row.undo_asked_at is not None
