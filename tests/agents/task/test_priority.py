"""A priority follows from what is known, and says why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brody_agents import Priority
from brody_task.priority import Facts, judge

NOW = datetime(2026, 5, 11, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("left", "priority", "reason"),
    [
        (timedelta(hours=-1), Priority.URGENT, "overdue"),
        (timedelta(hours=24), Priority.URGENT, "within 24 hours"),
        (timedelta(hours=25), Priority.HIGH, "within three days"),
        (timedelta(days=4), Priority.NORMAL, "Friday, 2026-05-15"),
        (timedelta(days=-15), Priority.LOW, "15 days ago"),
    ],
)
def test_the_due_date_decides(left: timedelta, priority: Priority, reason: str) -> None:
    judgement = judge(Facts("pay", due=NOW + left), NOW)
    assert judgement.priority == priority
    assert reason in judgement.reasons[0]


def test_a_sender_in_the_address_book_raises_by_one_step_but_never_to_urgent() -> None:
    for stated in (Priority.NORMAL, Priority.HIGH):
        judgement = judge(Facts("pay", stated, known_sender="Anna Kern"), NOW)
        assert judgement.priority == Priority.HIGH
        assert judgement.reasons == ["Anna Kern, who asks, is in your address book"]


def test_a_known_sender_does_not_hurry_what_has_time() -> None:
    later = NOW + timedelta(days=4)
    assert judge(Facts("pay", due=later, known_sender="Anna Kern"), NOW).priority == Priority.NORMAL
    assert judge(Facts("pay", Priority.LOW, due=later, known_sender="Anna Kern"), NOW).priority == Priority.NORMAL


@pytest.mark.parametrize(
    ("text", "priority"),
    [
        ("this is urgent", Priority.HIGH),
        ("ASAP please", Priority.HIGH),
        ("dringend", Priority.HIGH),
        ("no rush", Priority.LOW),
        ("not urgent", Priority.LOW),
        ("eilt nicht", Priority.LOW),
        ("insurgents", Priority.NORMAL),
    ],
)
def test_words_of_haste_and_leisure_move_it_by_one_step(text: str, priority: Priority) -> None:
    assert judge(Facts(text), NOW).priority == priority


def test_a_promise_of_the_user_is_never_low() -> None:
    judgement = judge(Facts("no rush", Priority.LOW, commitment=True), NOW)
    assert judgement.priority == Priority.NORMAL
    assert "you promised it" in judgement.reasons


def test_a_request_long_past_is_low_whatever_else_holds() -> None:
    facts = Facts("urgent", Priority.URGENT, asked_at=NOW - timedelta(days=31), known_sender="Anna", commitment=True)
    assert judge(facts, NOW).priority == Priority.LOW
    assert judge(facts, NOW).reasons == ["it was asked on Friday, 2026-04-10, 31 days ago"]


_MOMENTS = st.none() | st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)).map(lambda d: d.replace(tzinfo=UTC))


@settings(deadline=None)
@given(
    st.builds(Facts, st.text(), st.sampled_from(Priority), _MOMENTS, _MOMENTS, st.booleans(), st.just("")), st.data()
)
def test_an_earlier_due_date_is_never_less_urgent(facts: Facts, data: st.DataObject) -> None:
    """As long as it is not long past."""
    early, late = sorted(data.draw(st.lists(st.integers(-14 * 24, 2000), min_size=2, max_size=2)))
    ranks = [
        judge(Facts(facts.text, facts.stated, NOW + timedelta(hours=hours), facts.asked_at), NOW).priority.rank
        for hours in (early, late)
    ]
    assert ranks[0] <= ranks[1]
