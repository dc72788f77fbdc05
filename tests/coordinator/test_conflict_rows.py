"""The rows of the table of conflicts: what is decided, and the sentence that the person reads."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from brody_agents.action import ActionState
from brody_agents.coordinator.conflicts.files import held_back
from brody_agents.ledger import actions, items
from brody_agents.ledger.tables import Email, Run
from tests.coordinator.court import NINE, Court, propose

HOUR = timedelta(hours=1)
EVENT = {"account": "cal", "title": "Lunch", "start": NINE, "end": NINE + HOUR}
BLOCK = EVENT | {"title": "Focus: Report", "movable": True}
ANSWER = {"account": "cal", "uid": "u1", "title": "Review", "start": NINE, "end": NINE + HOUR, "answer": "accepted"}
DRAFT = {"to": ["ann@b.example"], "subject": "Re: plan", "text": "Yes.", "thread_id": "t1", "email_id": "m1"}
WAITS, DROPPED = ActionState.AWAITING_APPROVAL, ActionState.SUPERSEDED


# -- a slot ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("higher", "lower"),
    [
        ({"by": "user", "priority": 3}, {"priority": 0}),
        ({"priority": 1}, {"priority": 2}),
        ({"deadline": NINE + HOUR}, {"deadline": NINE + 2 * HOUR}),
        ({"deadline": NINE + HOUR}, {}),
    ],
    ids=["the person", "the priority", "the earlier deadline", "a deadline at all"],
)
@pytest.mark.parametrize("higher_first", [True, False])
async def test_the_higher_keeps_the_slot_and_the_other_is_placed_again(
    court: Court, at_once: bool, higher: dict[str, Any], lower: dict[str, Any], higher_first: bool
) -> None:
    """In whatever order they come; until it is placed, the lower holds no time."""
    keeps = propose("calendar.create", BLOCK | {"title": "A"}, cause="1", **higher)
    yields = propose("calendar.create", BLOCK | {"title": "B"}, cause="2", **lower)
    order = (keeps, yields) if higher_first else (yields, keeps)
    await court.settle(*order, at_once=at_once)
    verdict = await court.verdict(yields)
    held = await court.held()
    assert (verdict.verdict, verdict.rule) == ("replan", "held_slot" if higher_first else "outranked")
    assert "It is being placed at another time." in verdict.why
    assert (keeps.id in held, yields.id in held, await court.replans()) == (True, False, 1)
    assert (await court.actions.show(yields.id)).state is WAITS
    assert await court.actions.verdicts(keeps.id) == []


async def test_a_hard_time_comes_before_one_that_can_be_moved(court: Court, at_once: bool) -> None:
    """An invitation accepted takes the place of a focus block, also of one with a higher priority."""
    block = propose("calendar.create", BLOCK, priority=1)
    answer = propose("calendar.respond", ANSWER, by="calendar_agent")
    await court.settle(block, answer, at_once=at_once)
    verdict = await court.verdict(block)
    assert verdict.why == (
        "“Review” (calendar_agent) comes before “Focus: Report” (one_agent): it cannot be moved. "
        "It is being placed at another time."
    )
    assert verdict.otherwise == "Whoever came first would have kept the time."
    assert verdict.inputs["proposed"]["hard"] is True
    assert verdict.inputs["held"] == {"person": False, "hard": False, "priority": "high", "deadline": None}


async def test_who_cannot_be_moved_and_is_outranked_is_asked_about_with_three_options(court: Court) -> None:
    low = propose("calendar.create", EVENT, cause="1")
    high = propose("calendar.create", EVENT | {"title": "Board"}, cause="2", priority=0)
    await court.settle(low, high)
    verdict = await court.verdict(low)
    assert (verdict.verdict, verdict.rule, len(verdict.options)) == ("ask", "outranked", 3)
    assert await court.actions.verdicts(high.id) == []


async def test_what_is_being_placed_again_is_in_nobodys_way(court: Court, at_once: bool) -> None:
    """Also in the turn in which it lost its time."""
    low = propose("calendar.create", BLOCK | {"end": NINE + 2 * HOUR}, cause="1")
    high = propose("calendar.create", EVENT, cause="2", priority=0)
    after = propose("calendar.create", BLOCK | {"start": NINE + HOUR, "end": NINE + 2 * HOUR}, cause="3", priority=3)
    await court.settle(low, high, after, at_once=at_once)
    assert await court.actions.verdicts(after.id) == []


async def test_what_was_only_observed_loses_its_time_when_it_counts(court: Court) -> None:
    """Not before: a dry run plans nothing again."""
    keeps = propose("calendar.create", EVENT, cause="1", dry_run=True)
    yields = propose("calendar.create", BLOCK, cause="2", dry_run=True)
    await court.settle(keeps, yields)
    assert (set(await court.held()), await court.replans()) == ({keeps.id, yields.id}, 0)
    async with court.ledger.write() as tx:
        await court.resolver.promote(tx, "me")
    assert (set(await court.held()), await court.replans()) == ({keeps.id}, 1)
    assert (await court.actions.show(yields.id)).state is WAITS


async def test_what_was_decided_upon_keeps_its_slot_from_whoever_comes(court: Court) -> None:
    approved = propose("calendar.create", BLOCK, cause="1")
    await court.settle(approved)
    await court.decide(approved, ActionState.APPROVED)
    urgent = propose("calendar.create", EVENT | {"title": "Board"}, cause="2", priority=0)
    await court.settle(urgent)
    assert (await court.actions.show(approved.id)).state is ActionState.APPROVED
    assert (await court.verdict(urgent)).rule == "held_slot"


async def test_who_would_take_two_slots_but_loses_one_takes_none(court: Court, at_once: bool) -> None:
    """What takes another's place is compared with every holder: the weaker one is not displaced for nothing."""
    weak = propose("calendar.create", BLOCK | {"title": "Weak"}, cause="1", priority=3)
    strong = propose("calendar.create", EVENT | {"title": "Strong", "start": NINE + HOUR, "end": NINE + 2 * HOUR})
    long = propose("calendar.create", BLOCK | {"title": "Long", "end": NINE + 2 * HOUR}, cause="3")
    await court.settle(weak, strong, long, at_once=at_once)
    assert (await court.verdict(long)).why.startswith("The time is held by “Strong”")
    assert await court.actions.verdicts(weak.id) == []
    assert weak.id in await court.held()


async def test_who_outranks_two_takes_the_place_of_both(court: Court, at_once: bool) -> None:
    one = propose("calendar.create", BLOCK | {"title": "One"}, cause="1")
    two = propose("calendar.create", BLOCK | {"title": "Two", "start": NINE + HOUR, "end": NINE + 2 * HOUR}, cause="2")
    both = propose("calendar.create", EVENT | {"title": "Both", "end": NINE + 2 * HOUR}, cause="3")
    await court.settle(one, two, both, at_once=at_once)
    assert [(await court.verdict(a)).rule for a in (one, two)] == ["outranked"] * 2
    assert list(await court.held()) == [both.id]


@pytest.mark.parametrize("days", [0, 7, 70])
async def test_an_event_of_the_calendar_keeps_its_time(court: Court, days: int) -> None:
    """Also an occurrence of a series, however far from its beginning."""
    await court.event("weekly", NINE - timedelta(weeks=1), NINE - timedelta(weeks=1) + HOUR, "RRULE:FREQ=WEEKLY")
    later = {"start": NINE + timedelta(days=days), "end": NINE + HOUR + timedelta(days=days)}
    meeting = propose("calendar.create", EVENT | later)
    block = propose("calendar.create", BLOCK | later, cause="2")
    free = propose("calendar.create", EVENT | {"start": later["end"], "end": later["end"] + HOUR}, cause="3")
    await court.settle(meeting)
    await court.settle(block, free)
    verdict = await court.verdict(meeting)
    assert (verdict.verdict, verdict.rule, len(verdict.options)) == ("ask", "busy_slot", 3)
    assert verdict.why == "The time is taken by “Event weekly” in your calendar. You decide."
    assert verdict.parties[1]["title"] == "Event weekly"
    assert (await court.verdict(block)).verdict == "replan"
    assert await court.actions.verdicts(free.id) == []


@pytest.mark.parametrize("line", ["TRANSP:TRANSPARENT", "STATUS:CANCELLED"])
async def test_what_takes_no_time_in_the_calendar_is_in_nobodys_way(court: Court, line: str) -> None:
    await court.event("free", NINE, NINE + HOUR, line)
    proposal = propose("calendar.create", EVENT)
    await court.settle(proposal)
    assert await court.actions.verdicts(proposal.id) == []


async def test_an_invitation_does_not_meet_itself_nor_an_event_its_own_change(court: Court) -> None:
    await court.event("u1", NINE, NINE + HOUR)
    answer = propose("calendar.respond", ANSWER)
    await court.settle(answer)
    assert await court.actions.verdicts(answer.id) == []


# -- a thread ----------------------------------------------------------------------------------------


async def test_what_the_person_writes_takes_the_place_of_an_agents_draft(court: Court, at_once: bool) -> None:
    agents = propose("mail.draft", DRAFT, cause="1")
    own = propose("mail.draft", DRAFT | {"text": "Mine."}, cause="2", by="user")
    dropped, stands = await court.settle(agents, own, at_once=at_once)
    assert (dropped.state, stands.state) == (DROPPED, WAITS)
    assert (await court.verdict(own)).why == "You write in this thread yourself. The earlier proposal is dropped."


async def test_an_agent_does_not_write_beside_the_person(court: Court, at_once: bool) -> None:
    """Not even to a newer mail."""
    own = propose("mail.draft", DRAFT, cause="1", by="user")
    agents = propose("mail.draft", DRAFT | {"email_id": "m2"}, cause="2")
    stands, dropped = await court.settle(own, agents, at_once=at_once)
    assert (stands.state, dropped.state) == (WAITS, DROPPED)
    assert (await court.verdict(agents)).rule == "own_words"


async def test_a_draft_that_the_person_has_edited_stays(court: Court) -> None:
    """Neither another agent's draft nor a newer mail takes its place: its words are the person's."""
    await court.mail("m1")
    edited = propose("mail.draft", DRAFT, provenance={"": {"origin": "user"}})
    agents = propose("mail.draft", DRAFT | {"email_id": "m2"}, cause="2")
    stands, dropped = await court.settle(edited, agents)
    await court._insert(Run, _run("after", NINE + HOUR))
    await court.mail("new", at=NINE + HOUR, run="after")
    await moved(court, "new")
    assert (stands.state, dropped.state) == (WAITS, DROPPED)
    assert (await court.actions.show(edited.id)).state is WAITS


@pytest.mark.parametrize(
    ("flag", "rule", "said"),
    [
        ("draft", "own_draft", "You have a draft of your own in this thread."),
        ("sent", "answered_since", "You have written in this thread since."),
    ],
)
async def test_a_thread_that_the_person_writes_in_needs_no_draft(court: Court, flag: str, rule: str, said: str) -> None:
    await court.mail("m1")
    await court.mail("m2", at=NINE + HOUR, flags=[flag])
    draft = propose("mail.draft", DRAFT)
    (dropped,) = await court.settle(draft)
    assert (dropped.state, dropped.reason) == (DROPPED, said)
    assert (await court.verdict(draft)).rule == rule


async def _written(court: Court, *, since_edited: bool = False) -> None:
    """Have the executor write a draft of an answer to m1, and have it read as any mail of the thread."""
    first = propose("mail.draft", DRAFT, cause="first")
    await court.settle(first)
    async with court.ledger.write() as tx:
        done = first.moved(ActionState.DONE, "", result={"folder": "Drafts", "key": "Drafts/1"})
        await actions.move(tx, court.ledger.vault, [done])
    await court._insert(Run, _run("after", NINE + 2 * HOUR))
    await court.mail("written", at=NINE + HOUR, flags=["draft"], run="after")
    values = {"message_id": f"{first.key[:40]}@home.example", "external_id": "Drafts/2" if since_edited else "Drafts/1"}
    await court.change(Email, "written", **values)


async def test_a_draft_that_the_executor_wrote_is_not_taken_for_the_persons(court: Court) -> None:
    """A newer mail of the thread may be answered although the answer to the older one still lies there."""
    await court.mail("m1")
    await _written(court)
    await court.mail("m2", at=NINE + HOUR / 2)
    (waits,) = await court.settle(propose("mail.draft", DRAFT | {"email_id": "m2"}, cause="2"))
    assert waits.state is WAITS
    await moved(court, "written")
    assert (await court.actions.show(waits.id)).state is WAITS


async def test_a_draft_that_the_person_took_over_is_the_persons(court: Court) -> None:
    """Whoever edits it in a mail program leaves another message there, perhaps with the same Message-ID."""
    await court.mail("m1")
    await _written(court, since_edited=True)
    draft = propose("mail.draft", DRAFT | {"email_id": "m2"}, cause="2")
    (dropped,) = await court.settle(draft)
    assert (dropped.state, (await court.verdict(draft)).rule) == (DROPPED, "own_draft")


async def test_what_was_sent_before_the_mail_is_no_answer_to_it(court: Court) -> None:
    await court.mail("m0", at=NINE - HOUR, flags=["sent"])
    await court.mail("m1")
    (waits,) = await court.settle(propose("mail.draft", DRAFT))
    assert waits.state is WAITS


async def test_a_draft_to_an_older_mail_gives_way_to_one_to_a_newer(court: Court, at_once: bool) -> None:
    """In whatever order they are proposed."""
    await court.mail("m1")
    await court.mail("m2", at=NINE + HOUR)
    newer = propose("mail.draft", DRAFT | {"email_id": "m2"}, cause="2")
    older = propose("mail.draft", DRAFT, cause="1", by="other")
    stands, dropped = await court.settle(newer, older, at_once=at_once)
    assert (stands.state, dropped.state) == (WAITS, DROPPED)
    assert (await court.verdict(older)).why == "one_agent answers a newer mail of this thread."


@pytest.mark.parametrize(("flags", "rule"), [((), "newer_mail_since"), (("sent",), "answered_since")])
async def test_a_mail_that_comes_or_goes_later_cancels_a_waiting_draft(
    court: Court, flags: tuple[str, ...], rule: str
) -> None:
    """But not one that was read before the draft was made: of that the agent knew."""
    await court.mail("m1")
    draft = propose("mail.draft", DRAFT)
    await court.settle(draft)
    await court._insert(Run, _run("before", NINE - HOUR))
    await court._insert(Run, _run("after", NINE + HOUR))
    await court.mail("known", at=NINE + HOUR / 2, flags=flags, run="before")
    await court.mail("elsewhere", thread="t2", at=NINE + HOUR, flags=flags, run="after")
    await moved(court, "known", "elsewhere")
    assert (await court.actions.show(draft.id)).state is WAITS
    await court.mail("new", at=NINE + HOUR, flags=flags, run="after")
    await moved(court, "new")
    assert (await court.actions.show(draft.id)).state is DROPPED
    assert (await court.verdict(draft)).rule == rule


async def test_what_took_the_place_of_a_draft_is_known_when_it_comes_again(court: Court) -> None:
    """Whatever became of it: only what a newer mail has cancelled is proposed again."""
    old, new = propose("mail.draft", DRAFT, cause="1"), propose("mail.draft", DRAFT | {"email_id": "m2"}, cause="2")
    await court.settle(old, new)
    await court.decide(new, ActionState.SUPERSEDED)
    await court.settle(new, old)
    assert len(await court.actions.list("me")) == 2


async def test_a_draft_that_a_newer_mail_cancelled_may_be_proposed_again(court: Court) -> None:
    """Once: its agent has read the newer mail by now. What the person has answered does not come again."""
    await court.mail("m1")
    draft = propose("mail.draft", DRAFT)
    await court.settle(draft)
    await court._insert(Run, _run("after", NINE + HOUR))
    await court.mail("new", at=NINE + HOUR, run="after")
    await moved(court, "new")
    for _ in range(2):
        await court.settle(propose("mail.draft", DRAFT))
    again = [a for a in await court.actions.list("me") if a.redo_of == draft.id]
    assert [a.state for a in again] == [WAITS]


async def moved(court: Court, *mails: str) -> None:
    """Have mails come in."""
    async with court.ledger.write() as tx:
        await court.resolver.threads_moved(tx, "me", mails)


def _run(run_id: str, at: datetime) -> dict[str, Any]:
    return {"id": run_id, "user_id": "me", "playbook": "day", "now": at, "started_at": at}


# -- where a mail lies --------------------------------------------------------------------------------

RULE: dict[str, Any] = {"provenance": {"": {"origin": "user"}}}
LEARNED: dict[str, Any] = {"provenance": {"": {"origin": "self"}}}


async def test_labels_and_a_move_go_together(court: Court, at_once: bool) -> None:
    label = propose("mail.label", {"email_id": "m1", "label": "bills"})
    archive = propose("mail.archive", {"email_id": "m1"}, cause="2")
    await court.settle(label, archive, at_once=at_once)
    assert [await court.actions.verdicts(a.id) for a in (label, archive)] == [[], []]


@pytest.mark.parametrize(
    ("higher", "lower", "words"),
    [
        ({"by": "user"}, RULE, ("your own word", "your rule")),
        (RULE, LEARNED, ("your rule", "what was learned")),
        (LEARNED, {}, ("what was learned", "a suggestion")),
    ],
)
@pytest.mark.parametrize("higher_first", [True, False])
async def test_a_mail_is_moved_by_the_highest_word(
    court: Court,
    at_once: bool,
    higher: dict[str, Any],
    lower: dict[str, Any],
    words: tuple[str, str],
    higher_first: bool,
) -> None:
    """At most once: archived or deleted."""
    archive = propose("mail.archive", {"email_id": "m1"}, cause="1", **higher)
    delete = propose("mail.delete", {"email_id": "m1"}, cause="2", **lower)
    order = (archive, delete) if higher_first else (delete, archive)
    await court.settle(*order, at_once=at_once)
    verdict = await court.verdict(order[1])
    assert [(await court.actions.show(a.id)).state for a in (archive, delete)] == [WAITS, DROPPED]
    assert verdict.rule == "one_move"
    assert f"To archive it is {words[0]}; to delete it is only {words[1]}." in verdict.why


async def test_two_equal_words_about_a_mail_are_asked(court: Court, at_once: bool) -> None:
    archive = propose("mail.archive", {"email_id": "m1"}, cause="1")
    delete = propose("mail.delete", {"email_id": "m1"}, cause="2", by="other")
    await court.settle(archive, delete, at_once=at_once)
    assert (await court.verdict(delete)).why == (
        "one_agent wants to archive this mail, other to delete it. You decide."
    )


async def test_the_same_move_twice_is_one(court: Court, at_once: bool) -> None:
    one, two = (propose("mail.archive", {"email_id": "m1"}, cause=cause) for cause in "12")
    _, merged = await court.settle(one, two, at_once=at_once)
    assert (merged.state, merged.merged_into) == (ActionState.MERGED, one.id)


@pytest.mark.parametrize(("flag", "rule"), [("flagged", "user_pin"), ("Important", "protected_label"), ("seen", "")])
async def test_what_is_pinned_or_protected_is_not_moved_without_the_person(court: Court, flag: str, rule: str) -> None:
    await court.mail("m1", flags=[flag])
    archive = propose("mail.archive", {"email_id": "m1"}, state=ActionState.APPROVED, **RULE)
    (found,) = await court.settle(archive)
    assert [v.rule for v in await court.actions.verdicts(archive.id)] == [rule][: bool(rule)]
    assert found.state is (WAITS if rule else ActionState.APPROVED)


async def test_the_person_may_move_what_is_pinned(court: Court) -> None:
    await court.mail("m1", flags=["flagged"])
    archive = propose("mail.archive", {"email_id": "m1"}, by="user")
    await court.settle(archive)
    assert await court.actions.verdicts(archive.id) == []


# -- a due date against its block ----------------------------------------------------------------------


async def test_a_block_that_ends_after_its_task_is_due_is_planned_again(court: Court) -> None:
    await court.task("k1", due=NINE + HOUR / 2)
    block = propose("calendar.create", BLOCK | {"task_id": "k1"})
    await court.settle(block)
    verdict = await court.verdict(block)
    assert (verdict.kind, verdict.verdict, verdict.rule) == ("due_vs_block", "replan", "due_before_block")
    assert verdict.why == (
        "“Focus: Report” would end after its task is due (Mon 02 Mar 09:30). It is being planned again."
    )
    assert await court.replans() == 1


async def test_a_new_due_date_stands_and_the_block_gives_way(court: Court, at_once: bool) -> None:
    await court.task("k1", due=NINE + 5 * HOUR)
    block = propose("calendar.create", BLOCK | {"task_id": "k1"})
    other = propose("calendar.create", BLOCK | {"task_id": "k2", "start": NINE + HOUR, "end": NINE + 2 * HOUR})
    change = propose("task.update", {"task_id": "k1", "due": NINE}, cause="2")
    await court.settle(block, other, change, at_once=at_once)
    assert (await court.actions.show(change.id)).state is ActionState.APPROVED
    assert (await court.verdict(block)).rule == "due_before_block"
    assert await court.actions.verdicts(other.id) == []
    assert await court.replans() == 1


# -- files ---------------------------------------------------------------------------------------------

MOVE = {"account": "disk", "document_id": "d1", "path": "new/plan.pdf"}
SHARE = {"account": "disk", "document_id": "d1", "person": "ann@b.example"}


@pytest.mark.parametrize("move_first", [True, False])
async def test_a_file_is_shared_before_it_is_moved(court: Court, at_once: bool, move_first: bool) -> None:
    move, share = propose("file.move", MOVE, by="filer"), propose("file.share", SHARE, by="sharer")
    order = (move, share) if move_first else (share, move)
    await court.settle(*order, at_once=at_once)
    verdict = (await court.actions.verdicts(order[1].id))[0]
    assert (verdict.kind, verdict.rule, verdict.options[0]) == (
        "move_vs_share",
        "share_before_move",
        "Share first, then move",
    )
    async with court.ledger.read() as tx:
        assert await held_back(tx, [move]) == {move.id}
    await court.decide(share, ActionState.DONE)
    async with court.ledger.read() as tx:
        assert await held_back(tx, [move]) == set()


async def test_whoever_gives_others_access_asks_whatever_the_autonomy(court: Court) -> None:
    share = propose("file.share", SHARE, state=ActionState.APPROVED)
    (asked,) = await court.settle(share)
    assert (asked.state, asked.reason) == (WAITS, "ann@b.example would be able to read this file. You decide.")


async def test_two_shares_of_a_file_go_together(court: Court) -> None:
    one, two = propose("file.share", SHARE), propose("file.share", SHARE | {"person": "bo@b.example"})
    await court.settle(one, two)
    assert [(await court.verdict(a)).rule for a in (one, two)] == ["widening"] * 2


async def test_an_event_that_is_to_be_read_again_is_still_of_the_version_that_was_read(court: Court) -> None:
    """Having it read again says nothing of whether it has changed; a version that is older is stale as before."""
    await court.event("e1", NINE, NINE + HOUR)
    async with court.ledger.write() as tx:
        await items.read_again(tx, "me", "e1")
    moved = {"account": "cal", "event_id": "e1", "title": "Review"}
    (fresh,) = await court.settle(propose("calendar.update", moved | {"version": "1"}))
    assert not await court.actions.verdicts(fresh.id)
    await court.decide(fresh, ActionState.REJECTED)
    (old,) = await court.settle(propose("calendar.update", moved | {"version": "0"}, cause="b"))
    assert (await court.verdict(old)).rule == "stale_read"
