"""The division of partitions among workers: everybody computes the same, evenly, and little moves."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from brody_agents.coordinator.partitions import ALL, divided

NAMES = st.sampled_from([f"worker {n}" for n in range(8)])
ALLOWED = st.one_of(st.just(ALL), st.frozensets(st.integers(0, 63)))
WORKERS = st.dictionaries(NAMES, ALLOWED, max_size=8)
HOLDERS = st.dictionaries(st.integers(0, 63), NAMES)
UNRESTRICTED = st.sets(st.integers(0, 99).map(str), min_size=1, max_size=70).map(lambda ids: dict.fromkeys(ids, ALL))


@given(WORKERS, HOLDERS)
def test_every_partition_that_anybody_may_hold_goes_to_somebody_who_may(
    workers: dict[str, frozenset[int]], holders: dict[int, str]
) -> None:
    division = divided(workers, holders)
    assert division.keys() == frozenset().union(*workers.values())
    assert all(partition in workers[worker] for partition, worker in division.items())


@given(WORKERS, HOLDERS)
def test_a_division_is_its_own_division(workers: dict[str, frozenset[int]], holders: dict[int, str]) -> None:
    """Else partitions would go to and fro for ever."""
    division = divided(workers, holders)
    assert divided(workers, division) == division


@given(UNRESTRICTED, HOLDERS)
def test_shares_are_even(workers: dict[str, frozenset[int]], holders: dict[int, str]) -> None:
    shares = Counter(divided(workers, holders).values())
    assert {shares[worker] for worker in workers} <= {64 // len(workers), -(-64 // len(workers))}


@given(UNRESTRICTED)
def test_one_more_worker_moves_its_own_share_only(workers: dict[str, frozenset[int]]) -> None:
    before = divided(workers, {})
    after = divided(workers | {"one more": ALL}, before)
    moved = {p for p in ALL if before[p] != after[p]}
    assert {after[p] for p in moved} <= {"one more"}


@given(UNRESTRICTED, st.data())
def test_one_worker_less_moves_its_own_share_only(workers: dict[str, frozenset[int]], data: st.DataObject) -> None:
    before = divided(workers, {})
    gone = data.draw(st.sampled_from(sorted(workers)))
    rest = {worker: allowed for worker, allowed in workers.items() if worker != gone}
    after = divided(rest, before)
    assert all(before[p] == gone for p in after if before[p] != after[p])


def test_restrictions_are_kept_to_and_the_others_make_up_for_them() -> None:
    half = frozenset(range(32))
    division = divided({"a": ALL, "b": half}, dict.fromkeys(ALL, "a"))
    assert {p for p, worker in division.items() if worker == "b"} == half
    assert divided({}, {3: "a"}) == {}
