"""Stale reads, and the same action twice: what is decided, and the sentence that the person reads."""

from __future__ import annotations

import pytest

from brody_agents.action import ActionState
from brody_agents.ledger.tables import Task
from tests.coordinator.court import Court, propose

DRAFT = {"to": ["ann@b.example"], "subject": "Re: plan", "text": "Yes.", "thread_id": "t1", "email_id": "m1"}
WAITS = ActionState.AWAITING_APPROVAL

# -- stale reads ---------------------------------------------------------------------------------------


async def test_what_was_made_on_a_stale_read_is_planned_again(court: Court) -> None:
    await court.task("k1", version=3)
    stale = propose("task.update", {"task_id": "k1", "version": 2, "status": "in_progress"})
    (waits,) = await court.settle(stale)
    verdict = await court.verdict(stale)
    assert (waits.state, verdict.verdict, verdict.rule) == (WAITS, "replan", "stale_read")
    assert verdict.why == "What it is about has changed since it was read. It is being read again."
    assert verdict.inputs == {"read": "2", "now": "3"}


@pytest.mark.parametrize("kind", ["mail.delete", "file.delete"])
async def test_what_destroys_is_not_made_on_a_newer_version_by_itself(court: Court, kind: str) -> None:
    await court.mail("x1", version="new")
    await court.document("x1", version="new")
    arguments = {"email_id": "x1"} if kind == "mail.delete" else {"account": "disk", "document_id": "x1"}
    stale = propose(kind, arguments | {"version": "old"})
    await court.settle(stale)
    verdict = await court.verdict(stale)
    assert (verdict.verdict, verdict.rule, len(verdict.options)) == ("ask", "stale_read", 3)


async def test_what_would_overwrite_something_newer_is_asked(court: Court) -> None:
    await court.task("k1", version=3)
    stale = propose("task.update", {"task_id": "k1", "version": 1, "title": "Older"})
    await court.settle(stale)
    assert (await court.verdict(stale)).verdict == "ask"


async def test_a_read_that_is_not_stale_is_no_conflict(court: Court) -> None:
    await court.task("k1", version=3)
    fresh = propose("task.update", {"task_id": "k1", "version": 3, "priority": "high"})
    (found,) = await court.settle(fresh)
    assert found.state is ActionState.APPROVED
    await court.change(Task, "k1", version=4)
    unknown = propose("task.update", {"task_id": "not here", "version": 1, "priority": "high"})
    await court.settle(unknown)
    assert await court.actions.verdicts(unknown.id) == []


# -- the same action twice -----------------------------------------------------------------------------


async def test_the_same_action_twice_is_one_and_says_so(court: Court, at_once: bool) -> None:
    one, again = propose("notify", {"text": "Hi"}), propose("notify", {"text": "Hi"}, by="other")
    await court.settle(one, again, at_once=at_once)
    verdict = await court.verdict(one)
    assert (verdict.kind, verdict.rule) == ("duplicate", "same_action")
    assert verdict.why == "The same was proposed again. It is done once, however often it is proposed."


async def test_what_was_rejected_is_not_proposed_again(court: Court) -> None:
    """Unless the person wants it repeated: that is another action."""
    one = propose("mail.draft", DRAFT)
    await court.settle(one)
    await court.decide(one, ActionState.REJECTED)
    (still,) = await court.settle(propose("mail.draft", DRAFT))
    verdict = await court.verdict(one)
    assert (still.state, verdict.rule) == (ActionState.REJECTED, "rejected_before")
    assert verdict.why == "one_agent proposes what you have rejected. The answer stands."
    redo = propose("mail.draft", DRAFT, redo_of=one.id)
    (waits,) = await court.settle(redo)
    assert (waits.state, waits.id != one.id) == (WAITS, True)


async def test_an_edit_keeps_the_key_so_that_the_agents_own_words_do_not_come_again(court: Court) -> None:
    draft = propose("mail.draft", DRAFT)
    await court.settle(draft)
    edited = propose("mail.draft", DRAFT | {"text": "Yes, gladly."})
    assert edited.key == draft.key
    (stands,) = await court.settle(edited)
    assert stands.arguments["text"] == "Yes."
