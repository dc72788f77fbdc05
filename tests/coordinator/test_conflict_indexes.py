"""The indexes find exactly what a comparison with everything finds, and look at what is near only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz import fuzz

from brody_agents.action import Claim
from brody_agents.arguments import TaskCreate
from brody_agents.coordinator.conflicts.holders import Holders
from brody_agents.coordinator.conflicts.wishes import Wishes

BEGIN = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


def _claim(resource: str, mode: str, start: int, length: int) -> Claim:
    if mode != "interval":
        return Claim(resource, mode)  # type: ignore[arg-type]
    begin = BEGIN + start * HOUR
    return Claim(resource, "interval", begin if start % 7 else None, begin + length * HOUR)


CLAIMS = st.builds(
    _claim,
    st.sampled_from(["a", "b"]),
    st.sampled_from(["read", "add", "exclusive", "interval", "interval", "interval"]),
    st.integers(1, 2000),
    st.sampled_from([0, 1, 5, 30, 24 * 70]),
)


@given(st.lists(CLAIMS, max_size=30), st.lists(CLAIMS, min_size=1, max_size=3))
def test_who_clashes_is_whom_a_comparison_with_all_finds_the_oldest_first(
    held: list[Claim], wanted: list[Claim]
) -> None:
    holders = Holders((str(n), claim) for n, claim in enumerate(held))
    expected = [str(n) for n, claim in enumerate(held) if any(c.clashes(claim) for c in wanted)]
    assert holders.clashing(wanted) == expected


@given(st.lists(CLAIMS, max_size=20), CLAIMS)
def test_who_lets_go_of_time_keeps_the_rest(held: list[Claim], wanted: Claim) -> None:
    holders = Holders(("one", claim) for claim in held)
    holders.release_time("one")
    rest = [claim for claim in held if claim.mode != "interval" and wanted.clashes(claim)]
    assert holders.clashing([wanted]) == (["one"] if rest else [])


def test_among_thousands_of_slots_only_those_of_the_day_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    holders = Holders(
        (str(n), Claim("cal", "interval", BEGIN + n * HOUR, BEGIN + (n + 1) * HOUR)) for n in range(5_000)
    )
    looked_at, clashes = [], Claim.clashes

    def counted(claim: Claim, other: Claim) -> bool:
        looked_at.append(other)
        return clashes(claim, other)

    monkeypatch.setattr(Claim, "clashes", counted)
    start = BEGIN + 1_000 * HOUR
    assert holders.clashing([Claim("cal", "interval", start, start + HOUR)]) == ["1000"]
    assert len(looked_at) <= 48


WORDS = st.lists(st.sampled_from(["send", "sign", "the", "report", "plan", "ann", "17", "18"]), min_size=1, max_size=5)


@given(st.lists(WORDS, max_size=20), WORDS)
def test_wishes_alike_are_those_that_a_comparison_with_all_finds(known: list[list[str]], wanted: list[str]) -> None:
    """Those with the same numbers, in their order, with the similarity of rapidfuzz."""
    wishes = Wishes()
    for n, words in enumerate(known):
        wishes.propose(str(n), "me", TaskCreate(title=" ".join(words)))
    made = TaskCreate(title=" ".join(wanted))
    expected = []
    for n, words in enumerate(known):
        score = fuzz.token_sort_ratio(made.action, " ".join(words), score_cutoff=70)
        if score and {w for w in words if w.isdigit()} == {w for w in wanted if w.isdigit()}:
            expected.append((str(n), round(score, 6)))
    assert [(wish.id, round(score, 6)) for wish, score in wishes.like("me", made, 70)] == expected
    assert list(wishes.like("ada", made, 70)) == []
