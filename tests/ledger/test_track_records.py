"""Track records: an action counts once, by its worst answer, whoever notes it how often and in whatever order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brody_agents.action import ActionState
from brody_agents.communication.decision_engine import TrackRecord
from brody_agents.communication.message_protocol import PERSON
from brody_agents.ledger import actions
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.track_records import WINDOW, Answer, TrackRecords, load, note
from tests.ledger.test_actions import NOW, action

ACCEPTED, EDITED, REJECTED = Answer
KEY = ("agent", "calendar.create")


def proposed(n: int = 0, *, by: str = "agent", kind: str = "calendar.create", user: str = "me") -> ActionRecord:
    """Return one of an agent's proposals."""
    return replace(action(f"{by} {kind} {user} {n}"), proposed_by=by, kind=kind, user_id=user)


async def answered(ledger: Ledger, *answers: tuple[ActionRecord, Answer]) -> None:
    """Note answers, one a transaction, a second apart."""
    for second, (one, answer) in enumerate(answers):
        async with ledger.write() as tx:
            await note(tx, [one], answer, at=NOW + timedelta(seconds=second))


async def of(ledger: Ledger, user: str = "me") -> dict[tuple[str, str], TrackRecord]:
    """Return a user's records."""
    return await TrackRecords(ledger).of(user)


async def test_answers_are_counted_by_user_agent_and_kind(kept: Ledger) -> None:
    await answered(
        kept,
        (proposed(1), ACCEPTED),
        (proposed(2), ACCEPTED),
        (proposed(3), EDITED),
        (proposed(4), REJECTED),
        (proposed(1, kind="mail.send"), REJECTED),
        (proposed(1, by="other"), REJECTED),
        (proposed(1, user="ada"), EDITED),
    )

    assert await of(kept) == {
        KEY: TrackRecord(accepted=2, edited=1, rejected=1),
        ("agent", "mail.send"): TrackRecord(rejected=1),
        ("other", "calendar.create"): TrackRecord(rejected=1),
    }
    assert await of(kept, "ada") == {KEY: TrackRecord(edited=1)}
    assert await of(kept, "nobody") == {}


async def test_only_what_is_asked_for_is_loaded(ledger: Ledger) -> None:
    await answered(
        ledger, (proposed(), ACCEPTED), (proposed(by="b"), EDITED), (proposed(by="b", kind="mail.send"), EDITED)
    )
    async with ledger.read() as tx:
        assert list(await load(tx, "me", kind="calendar.create")) == [KEY, ("b", "calendar.create")]
        assert list(await load(tx, "me", kind="calendar.create", agents=["b", "c"])) == [("b", "calendar.create")]
        assert await load(tx, "me", agents=[]) == {}


async def test_an_answer_that_is_noted_twice_counts_once(ledger: Ledger) -> None:
    await answered(ledger, (proposed(), ACCEPTED), (proposed(), ACCEPTED))
    async with ledger.write() as tx:
        await note(tx, [proposed(), proposed(2), proposed(2)], ACCEPTED)

    assert await of(ledger) == {KEY: TrackRecord(accepted=2)}


@pytest.mark.parametrize("before", [ACCEPTED, EDITED])
async def test_a_later_rejection_outweighs_the_approval(ledger: Ledger, before: Answer) -> None:
    """A late second word of the approval does not turn it back."""
    await answered(ledger, (proposed(), before), (proposed(), REJECTED), (proposed(), before))

    assert await of(ledger) == {KEY: TrackRecord(rejected=1)}


async def test_who_proposed_the_same_shares_the_answer(ledger: Ledger) -> None:
    """What was merged into the action, once for each agent; a rejection later reaches all of them."""
    first, same, again, mine = proposed(), proposed(by="b"), proposed(1, by="b"), proposed(1)
    merged = [replace(a, state=ActionState.MERGED, merged_into=first.id) for a in (same, again, mine)]
    async with ledger.write() as tx:
        await actions.add(tx, ledger.vault, [first, *merged])
    await answered(ledger, (first, ACCEPTED), (first, ACCEPTED))
    assert await of(ledger) == dict.fromkeys([KEY, ("b", KEY[1])], TrackRecord(accepted=1))

    await answered(ledger, (first, REJECTED))
    assert await of(ledger) == dict.fromkeys([KEY, ("b", KEY[1])], TrackRecord(rejected=1))


async def test_what_the_person_proposed_is_no_agents(ledger: Ledger) -> None:
    await answered(ledger, (proposed(by=PERSON), REJECTED))

    assert await of(ledger) == {}


async def test_an_answer_counts_if_the_transaction_that_carries_it_out_commits(ledger: Ledger) -> None:
    class Crash(Exception):
        pass

    async def crash() -> None:
        async with ledger.write() as tx:
            await note(tx, [proposed()], ACCEPTED)
            raise Crash

    with pytest.raises(Crash):
        await crash()

    assert await of(ledger) == {}


async def test_the_newest_answers_count_and_older_ones_are_forgotten(ledger: Ledger) -> None:
    """Who has become better is not held down by the past; the window is each agent's own."""
    old = [(proposed(n), REJECTED) for n in range(WINDOW)]
    new = [(proposed(WINDOW + n), ACCEPTED) for n in range(10)]
    await answered(ledger, (proposed(by="quiet"), EDITED), *old, *new)

    assert await of(ledger) == {
        KEY: TrackRecord(accepted=10, rejected=WINDOW - 10),
        ("quiet", "calendar.create"): TrackRecord(edited=1),
    }


ANSWERS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(Answer)), min_size=1, max_size=8)


@settings(max_examples=25, deadline=None)
@given(ANSWERS, st.randoms())
def test_the_record_is_the_same_in_whatever_order_and_however_often(
    answers: list[tuple[int, Answer]], random: Random
) -> None:
    """An action counts by the worst of its answers."""
    shuffled = [*answers, *answers]
    random.shuffle(shuffled)
    worst = [max((a for m, a in answers if m == n), key=list(Answer).index) for n in {n for n, _ in answers}]
    expected = TrackRecord(*(worst.count(a) for a in Answer))

    assert asyncio.run(_recorded(answers)) == asyncio.run(_recorded(shuffled)) == {KEY: expected}


async def _recorded(answers: Sequence[tuple[int, Answer]]) -> dict[tuple[str, str], TrackRecord]:
    ledger = await Ledger.open(None)
    try:
        await answered(ledger, *((proposed(n), a) for n, a in answers))
        return await of(ledger)
    finally:
        await ledger.close()
