"""The rules: one test each with the sentence that the person reads, and what holds whatever is proposed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from itertools import combinations
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from brody_agents.action import CATALOGUE, ActionState
from brody_agents.coordinator.conflict_resolver import ConflictResolver
from brody_agents.coordinator.conflicts.order import RULES
from brody_agents.ledger.actions import ActionRecord, VerdictRecord
from brody_agents.ledger.ledger import Ledger
from brody_agents.policy.rules import judge
from tests.coordinator.court import NINE, Court, propose

HOUR = timedelta(hours=1)
EVENT = {"account": "cal", "title": "Lunch", "start": NINE, "end": NINE + HOUR}
ANSWER = {"account": "cal", "uid": "u1", "title": "Review", "start": NINE, "end": NINE + HOUR}
DRAFT = {"to": ["ann@b.example"], "subject": "Re: plan", "text": "Yes.", "thread_id": "t1", "email_id": "m1"}


def test_the_rules_are_these_in_this_order() -> None:
    assert [rule.__name__ for rule in RULES] == [
        "being_undone",
        "same_task",
        "contradiction",
        "stale_read",
        "own_words",
        "one_draft_a_thread",
        "kept_mail",
        "one_move",
        "share_before_move",
        "widening",
        "block_before_due",
        "due_before_blocks",
        "busy_slot",
        "slot",
        "exclusive",
    ]


# -- each rule ---------------------------------------------------------------------------------------


async def test_the_same_wish_for_the_same_cause_is_one_action(court: Court, at_once: bool) -> None:
    first, again = propose("notify", {"text": "Hello"}), propose("notify", {"text": "Hello"}, by="other")
    await court.settle(first, again, at_once=at_once)
    assert [a.proposed_by for a in await court.actions.list()] == ["one_agent"]


async def test_the_same_task_from_two_sources_is_merged(court: Court, at_once: bool) -> None:
    one = propose("task.create", {"title": "Send the report to Ann"}, cause="mail")
    two = propose("task.create", {"title": "send the report to ann"}, cause="file", by="other")
    kept, merged = await court.settle(one, two, at_once=at_once)
    verdict = await court.verdict(two)
    assert (kept.state, merged.state, merged.merged_into) == (ActionState.APPROVED, ActionState.MERGED, one.id)
    assert (verdict.kind, verdict.verdict, verdict.rule) == ("task", "merged", "same_task")
    assert "both sources stay" in verdict.why
    assert verdict.otherwise == "The task would have stood twice on the list."
    assert [p["by"] for p in verdict.parties] == ["other", "the task list"]


async def test_what_may_be_the_same_task_is_asked(court: Court, at_once: bool) -> None:
    one = propose("task.create", {"title": "Send the report"}, cause="mail")
    two = propose("task.create", {"title": "Send the report to Ann"}, cause="file")
    _, asked = await court.settle(one, two, at_once=at_once)
    verdict = await court.verdict(two)
    assert asked.state is ActionState.AWAITING_APPROVAL
    assert (verdict.verdict, verdict.rule) == ("ask", "perhaps_same_task")
    assert "may be the same as" in verdict.why
    assert verdict.options == ["Merge the two", "Keep both", "Drop the new one"]


@pytest.mark.parametrize(
    ("title", "more"),
    [
        ("Pay invoice 18", {}),
        ("Pay invoice 17", {"assignee": "ben@b.example"}),
        ("Water the plants", {}),
    ],
)
async def test_what_is_another_task_stays_another(court: Court, title: str, more: dict[str, Any]) -> None:
    """Another number, another person, another thing."""
    one = propose("task.create", {"title": "Pay invoice 17"}, cause="1")
    two = propose("task.create", {"title": title} | more, cause="2")
    assert [a.state for a in await court.settle(one, two)] == [ActionState.APPROVED] * 2


async def test_another_users_task_is_no_conflict(court: Court) -> None:
    one = propose("task.create", {"title": "Send the report"})
    two = propose("task.create", {"title": "Send the report"}, user="ada")
    assert [a.state for a in await court.settle(one, two)] == [ActionState.APPROVED] * 2


async def test_opposite_answers_to_an_invitation_are_asked(court: Court, at_once: bool) -> None:
    yes = propose("calendar.respond", ANSWER | {"answer": "accepted"}, cause="1")
    no = propose("calendar.respond", ANSWER | {"answer": "declined"}, cause="2", by="other")
    await court.settle(yes, no, at_once=at_once)
    verdict = await court.verdict(no)
    assert (verdict.kind, verdict.verdict, verdict.rule) == ("contradiction", "ask", "opposite_answers")
    assert verdict.why.startswith("Two answers contradict each other. “accepted” (50%) and “declined” (50%)")
    assert verdict.why.endswith("You decide.")
    assert verdict.options == ["Keep the earlier one", "Take this one instead", "Drop both"]


@pytest.mark.parametrize("newer_first", [False, True])
async def test_the_answer_to_the_newer_invitation_stands(court: Court, at_once: bool, newer_first: bool) -> None:
    """In whatever order the two are proposed."""
    old = propose("calendar.respond", ANSWER | {"answer": "accepted", "sequence": 1}, cause="1")
    new = propose("calendar.respond", ANSWER | {"answer": "declined", "sequence": 2}, cause="2")
    order = [new, old] if newer_first else [old, new]
    await court.settle(*order, at_once=at_once)
    stands, dropped = await court.actions.show(new.id), await court.actions.show(old.id)
    verdict = await court.verdict(order[1])
    assert (stands.state, dropped.state) == (ActionState.AWAITING_APPROVAL, ActionState.SUPERSEDED)
    assert verdict.rule == ("older_invitation" if newer_first else "newer_invitation")
    assert "The organizer has changed the invitation since" in verdict.why


async def test_who_takes_the_place_of_another_is_looked_at_by_the_other_rules(court: Court, at_once: bool) -> None:
    """The newer answer goes to a time that is held: the person is told of both."""
    held = propose("calendar.create", EVENT, cause="0")
    elsewhere = {"start": NINE + 3 * HOUR, "end": NINE + 4 * HOUR, "sequence": 1}
    old = propose("calendar.respond", ANSWER | elsewhere | {"answer": "accepted"}, cause="1")
    new = propose("calendar.respond", ANSWER | {"answer": "accepted", "sequence": 2}, cause="2")
    await court.settle(held, old, new, at_once=at_once)
    verdicts = await court.actions.verdicts(new.id)
    assert sorted(v.rule for v in verdicts) == ["held_slot", "newer_invitation"]
    assert (await court.actions.show(old.id)).state is ActionState.SUPERSEDED
    assert "The time is held by “Lunch”" in (await court.actions.show(new.id)).reason


async def test_a_thread_has_one_draft(court: Court, at_once: bool) -> None:
    one = propose("mail.draft", DRAFT, cause="1")
    two = propose("mail.reply", {"email_id": "m1", "thread_id": "t1", "text": "No."}, cause="2", by="other")
    kept, merged = await court.settle(one, two, at_once=at_once)
    verdict = await court.verdict(two)
    assert (kept.state, merged.state) == (ActionState.AWAITING_APPROVAL, ActionState.MERGED)
    assert (verdict.kind, verdict.rule) == ("thread", "one_draft_a_thread")
    assert verdict.why == "one_agent has already prepared an answer in this thread."


async def test_the_answer_to_a_newer_mail_takes_the_place_of_a_draft(court: Court, at_once: bool) -> None:
    old = propose("mail.draft", DRAFT, cause="1")
    new = propose("mail.draft", DRAFT | {"email_id": "m2", "text": "Now no."}, cause="2")
    dropped, stands = await court.settle(old, new, at_once=at_once)
    verdict = await court.verdict(new)
    assert (dropped.state, stands.state) == (ActionState.SUPERSEDED, ActionState.AWAITING_APPROVAL)
    assert (verdict.rule, verdict.why) == (
        "newer_mail",
        "A newer mail came in the thread. The earlier proposal is dropped.",
    )


async def test_what_the_person_has_approved_is_not_dropped(court: Court) -> None:
    """A newer plan of an agent is asked then: a person's decision outranks any agent's."""
    from brody_agents.ledger import actions

    old = propose("mail.draft", DRAFT, cause="1")
    await court.settle(old)
    async with court.ledger.write() as tx:
        await actions.move(tx, court.ledger.vault, [old.moved(ActionState.APPROVED, "You said so.")])
    new = propose("mail.draft", DRAFT | {"email_id": "m2"}, cause="2")
    (asked,) = await court.settle(new)
    assert (await court.actions.show(old.id)).state is ActionState.APPROVED
    assert asked.state is ActionState.AWAITING_APPROVAL
    assert "approved already" in (await court.verdict(new)).why


async def test_a_slot_is_held_by_one(court: Court, at_once: bool) -> None:
    """Whoever is first holds it, also for part of the time; what only touches it is no conflict."""
    first = propose("calendar.create", EVENT, cause="1")
    late = propose("calendar.create", EVENT | {"title": "Talk", "start": NINE + HOUR / 2, "end": NINE + 2 * HOUR})
    after = propose("calendar.create", EVENT | {"title": "Walk", "start": NINE + 2 * HOUR, "end": NINE + 3 * HOUR})
    other = propose("calendar.create", EVENT | {"title": "Elsewhere", "account": "other"})
    await court.settle(first, late, after, other, at_once=at_once)
    verdict = await court.verdict(late)
    assert (verdict.kind, verdict.verdict, verdict.rule) == ("slot", "ask", "held_slot")
    assert verdict.why == "The time is held by “Lunch” (one_agent). You decide."
    assert verdict.options[0] == "Keep what holds the time"
    for free in (first, after, other):
        assert await court.actions.verdicts(free.id) == []


@pytest.mark.parametrize(
    ("kind", "arguments", "verdict_kind"),
    [
        ("calendar.cancel", {"account": "cal", "event_id": "e1"}, "slot"),
        ("task.complete", {"task_id": "k1"}, "task"),
        ("file.append", {"account": "disk", "document_id": "d1", "text": "x"}, "move_vs_share"),
    ],
)
async def test_a_thing_is_changed_by_one_at_a_time(
    court: Court, at_once: bool, kind: str, arguments: dict[str, Any], verdict_kind: str
) -> None:
    """What comes later waits for the person, even if it may be done without asking otherwise."""
    one, two = (propose(kind, arguments, cause=cause, by=f"agent_{cause}") for cause in "12")
    _, asked = await court.settle(one, two, at_once=at_once)
    verdict = await court.verdict(two)
    assert asked.state is ActionState.AWAITING_APPROVAL
    assert (verdict.kind, verdict.rule) == (verdict_kind, "held_resource")
    assert verdict.why == f"agent_1 has an open {kind} on the same. You decide."
    assert asked.reason == verdict.why


async def test_labels_go_together(court: Court) -> None:
    labels = [propose("mail.label", {"email_id": "m1", "label": label}) for label in ("a", "b")]
    await court.settle(*labels)
    assert [await court.actions.verdicts(a.id) for a in labels] == [[], []]


async def test_what_is_over_stands_in_nobodys_way(court: Court) -> None:
    from brody_agents.ledger import actions

    first = propose("calendar.create", EVENT, cause="1")
    await court.settle(first)
    async with court.ledger.write() as tx:
        await actions.move(tx, court.ledger.vault, [first.moved(ActionState.REJECTED, "No.")])
    second = propose("calendar.create", EVENT | {"title": "Talk"}, cause="2")
    await court.settle(second)
    assert await court.actions.verdicts(second.id) == []


async def test_a_developers_own_rule_has_its_place(court: Court) -> None:
    """Rules are given in their order; the first that says something ends the matter."""
    asked: list[str] = []

    def never(action: ActionRecord, scene: object) -> None:
        asked.append(action.kind)

    court.resolver = ConflictResolver(court.ledger.vault, [never])
    await court.settle(propose("calendar.create", EVENT), propose("calendar.create", EVENT | {"title": "Talk"}))
    assert asked == ["calendar.create"] * 2
    assert [a.state for a in await court.actions.list()] == [ActionState.AWAITING_APPROVAL] * 2


# -- dry runs ----------------------------------------------------------------------------------------


async def test_what_is_only_observed_gets_its_verdict_and_stays_observed(court: Court, at_once: bool) -> None:
    one = propose("task.create", {"title": "Send the report"}, cause="1", dry_run=True)
    two = propose("task.create", {"title": "Send the report"}, cause="2", dry_run=True)
    states = [a.state for a in await court.settle(one, two, at_once=at_once)]
    assert states == [ActionState.PROPOSED] * 2
    assert (await court.verdict(two)).rule == "same_task"


async def test_what_is_only_observed_stands_in_nobodys_way(court: Court) -> None:
    dry = propose("calendar.create", EVENT, cause="1", dry_run=True)
    real = propose("calendar.create", EVENT | {"title": "Talk"}, cause="2")
    await court.settle(dry, real, at_once=False)
    assert await court.actions.verdicts(real.id) == []


async def test_what_was_observed_is_settled_by_the_rules_when_it_counts(court: Court) -> None:
    """Then one of two same tasks is merged, and what would have been asked is asked."""
    tasks = [propose("task.create", {"title": "Send it"}, cause=c, dry_run=True) for c in "12"]
    mail = propose("mail.draft", DRAFT, dry_run=True)
    await court.settle(*tasks, mail)
    async with court.ledger.write() as tx:
        await court.resolver.promote(tx, "ada")
        promoted = await court.resolver.promote(tx, "me")
        assert await court.resolver.promote(tx, "me") == []
    states = [(await court.actions.show(p.id)).state for p in (*tasks, mail)]
    assert states == [ActionState.APPROVED, ActionState.MERGED, ActionState.AWAITING_APPROVAL]
    assert [p.state for p in promoted] == states


# -- whatever is proposed ----------------------------------------------------------------------------

_SLOTS = st.tuples(st.integers(0, 5), st.integers(1, 3)).map(
    lambda s: {"start": NINE + s[0] * HOUR, "end": NINE + (s[0] + s[1]) * HOUR}
)
_WORDS = st.lists(st.sampled_from(["send", "the", "report", "plan", "ann", "17", "18", "call"]), min_size=1, max_size=4)
_FILE: dict[str, dict[str, str]] = {
    "file.move": {"path": "new"},
    "file.share": {"person": "ann@b.example"},
    "file.append": {"text": "x"},
    "file.delete": {},
}
PROPOSALS = st.one_of(
    st.tuples(st.just("calendar.create"), _SLOTS.map(lambda s: EVENT | s)),
    st.tuples(st.just("calendar.create"), _SLOTS.map(lambda s: EVENT | s | {"movable": True})),
    st.tuples(
        st.sampled_from(["file.move", "file.share", "file.append", "file.delete"]),
        st.sampled_from(["d1", "d2"]),
    ).map(lambda p: (p[0], {"account": "disk", "document_id": p[1]} | _FILE[p[0]])),
    st.tuples(
        st.just("calendar.respond"),
        st.builds(
            lambda s, uid, answer, n: ANSWER | s | {"uid": uid, "answer": answer, "sequence": n},
            _SLOTS,
            st.sampled_from(["u1", "u2"]),
            st.sampled_from(["accepted", "declined", "tentative"]),
            st.integers(0, 2),
        ),
    ),
    st.tuples(st.just("task.create"), _WORDS.map(lambda w: {"title": " ".join(w)})),
    st.tuples(
        st.sampled_from(["task.complete", "task.delete", "task.update"]),
        st.sampled_from(["k1", "k2"]).map(lambda k: {"task_id": k}),
    ),
    st.tuples(
        st.sampled_from(["mail.draft", "mail.send"]),
        st.tuples(st.sampled_from(["t1", "t2"]), st.sampled_from(["m1", "m2"])).map(
            lambda t: DRAFT | {"thread_id": t[0], "email_id": t[1]}
        ),
    ),
    st.tuples(
        st.sampled_from(["mail.archive", "mail.delete", "mail.label"]),
        st.just({"email_id": "m1"}),
    ).map(lambda p: (p[0], p[1] | ({"label": "x"} if p[0] == "mail.label" else {}))),
)
FEW = settings(max_examples=25, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
"""Each example is a ledger of its own, so that shrinking one would take minutes."""
MANY = st.lists(PROPOSALS, min_size=2, max_size=12)


def _wish(n: int, kind: str, arguments: dict[str, Any]) -> ActionRecord:
    """Return a proposal of an agent, or the person's, with one of the priorities."""
    return propose(kind, arguments, cause=str(n), by="user" if n % 5 == 3 else f"agent_{n % 3}", priority=n % 4)


def _told(verdicts: Sequence[VerdictRecord]) -> list[tuple[str, str, str]]:
    return [(v.rule, v.verdict, v.why) for v in verdicts if v.rule != "same_action"]


async def outcome(wishes: Sequence[tuple[str, dict[str, Any]]], groups: int) -> list[tuple[Any, ...]]:
    """Settle wishes in so many turns, in a ledger of their own; return how each stands, what it holds, and why.

    Settling them once more changes nothing.
    """
    ledger = await Ledger.open(None)
    try:
        await ledger.ensure_users({"me"})
        court = Court(ledger)
        proposals = [_wish(n, kind, arguments) for n, (kind, arguments) in enumerate(wishes)]
        for start in range(0, len(proposals), max(1, len(proposals) // groups)):
            await court.settle(*proposals[start : start + max(1, len(proposals) // groups)])
        found = [await court.actions.show(p.id) for p in proposals]
        held = await court.held()
        again = len(await court.actions.list(limit=1000))
        for start in range(0, len(proposals), 5):
            await court.settle(*proposals[start : start + 5])
        assert [await court.actions.show(p.id) for p in proposals] == found
        assert (len(await court.actions.list(limit=1000)), await court.held()) == (again, held)
        return [(a, held.get(a.id, []), _told(await court.actions.verdicts(a.id))) for a in found]
    finally:
        await ledger.close()


@FEW
@given(MANY, st.integers(1, 4))
def test_settling_is_the_same_every_time_however_turns_are_cut(
    wishes: list[tuple[str, dict[str, Any]]], groups: int
) -> None:
    """The order of the proposals decides, and nothing else."""

    def told(groups: int) -> list[tuple[Any, ...]]:
        return [(a.state, a.reason, a.merged_into, v) for a, _, v in asyncio.run(outcome(wishes, groups))]

    assert told(1) == told(groups)


@FEW
@given(MANY, st.integers(1, 4))
def test_of_two_open_actions_that_clash_one_waits_for_the_person(
    wishes: list[tuple[str, dict[str, Any]]], groups: int
) -> None:
    """Two that may be done never meet, and whoever waits knows why."""
    settled = asyncio.run(outcome(wishes, groups))
    open_ones = [(a, claims, verdicts) for a, claims, verdicts in settled if a.state.holds_claims]
    for (one, ones, said_of_one), (two, twos, said_of_two) in combinations(open_ones, 2):
        if any(c.clashes(d) for c in ones for d in twos):
            waits = [(a, said) for a, said in ((one, said_of_one), (two, said_of_two)) if _asked(a, said)]
            assert waits, (one.kind, two.kind)
    for action, _, verdicts in settled:
        if action.state in (ActionState.MERGED, ActionState.SUPERSEDED) and not verdicts:
            assert action.reason in {why for _, _, told in settled for _, _, why in told}
        if action.state is ActionState.APPROVED:
            assert judge(CATALOGUE[action.kind]).state is ActionState.APPROVED


def _asked(action: ActionRecord, verdicts: Sequence[tuple[str, str, str]]) -> bool:
    return action.state is ActionState.AWAITING_APPROVAL and any(verdict == "ask" for _, verdict, _ in verdicts)
