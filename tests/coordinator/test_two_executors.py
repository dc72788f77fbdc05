"""Two executors on one ledger: each has its users, one takes over, and whoever is late writes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from brody_agents.action import ActionState
from brody_agents.communication.bus.base import PARTITIONS, partition_of
from brody_agents.coordinator import account_executor
from brody_agents.errors import ProviderUnavailable
from brody_agents.ledger.budgets import Budgets
from brody_agents.ledger.ledger import Ledger
from tests.coordinator.executor_kit import (
    Account,
    Source,
    create,
    ends,
    executor,
    let_time_pass,
    put,
    running,
    shown,
    stands,
    states,
)
from tests.coordinator.kit import until

pytestmark = pytest.mark.timeout(60)
ALL = frozenset(range(PARTITIONS))
MINE, THEIRS = frozenset({partition_of("me")}), frozenset({partition_of("ada")})


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.integration)])
async def ledgers(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Ledger, Ledger]]:
    """Give two connections to one ledger, as two processes have them."""
    url = request.getfixturevalue("database_url") if request.param == "postgres" else ""
    home = tmp_path / "home"
    home.mkdir()
    first, second = await Ledger.open(home, url), await Ledger.open(home, url)
    for ledger in (first, second):
        await ledger.ensure_users({"me", "ada"})
    await Budgets(first).set("user", "*", "calls", 100)
    yield first, second
    await first.close()
    await second.close()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have whoever takes over ask at once."""
    monkeypatch.setattr(account_executor, "TAKEOVER", 0.0)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Return one account."""
    return Source.at(tmp_path, "files")


@pytest.fixture
def account(source: Source) -> Account:
    """Return the account."""
    (found,) = source
    return found


async def used(ledger: Ledger) -> list[tuple[int, int]]:
    """Return (used, reserved) of each user's budget."""
    return [(usage.used, usage.reserved) for usage in await Budgets(ledger).usage()]


async def test_each_carries_out_what_belongs_to_its_partitions(
    ledgers: tuple[Ledger, Ledger], source: Source, account: Account
) -> None:
    assert MINE != THEIRS
    ledger, other = ledgers
    ids = await put(ledger, [create(account, f"{user}{n}", user) for n in range(5) for user in ("me", "ada")])
    async with running(executor(ledger, source, partitions=MINE)):
        await ends(ledger, ids[::2])
    assert await states(ledger, ids[1::2]) == ["approved"] * 5
    async with running(executor(other, source, partitions=ALL - MINE)):
        await ends(ledger, ids)
    assert sorted(account.written) == sorted(f"{user}{n}" for n in range(5) for user in ("me", "ada"))


async def test_both_at_the_same_actions_do_each_once(
    ledgers: tuple[Ledger, Ledger], source: Source, account: Account
) -> None:
    """For a while two workers may believe that they have the same partition."""
    ledger, other = ledgers
    ids = await put(ledger, [create(account, f"{n:02}") for n in range(30)])
    async with running(executor(ledger, source, partitions=MINE), executor(other, source, partitions=MINE)):
        done = await ends(ledger, ids)
    assert ({a.state for a in done}, {a.fence for a in done}) == ({ActionState.DONE}, {1})
    assert sorted(account.written) == [f"{n:02}" for n in range(30)]
    assert await used(ledger) == [(30, 0)]


async def test_what_a_stalled_worker_has_done_is_found_and_its_late_result_is_not_written(
    ledgers: tuple[Ledger, Ledger], source: Source, account: Account
) -> None:
    """The one that takes over asks the account; the other finds its fence gone."""
    ledger, other = ledgers
    account.may.clear()
    ids = await put(ledger, [create(account, "a")])
    stalled, successor = executor(ledger, source, partitions=MINE), executor(other, source, partitions=frozenset())
    async with running(stalled, successor):
        await until(lambda: account.running, "it is under way")
        await successor.hold(MINE)
        (done,) = await ends(other, ids)
        assert (done.state, done.fence, done.result) == (ActionState.DONE, 1, {"path": "a"})
        account.may.set()
        await until(lambda: not account.running, "the call of the stalled one has ended")
        await until(lambda: not stalled._lanes.busy, "it has tried to write")
    assert await shown(other, ids) == [done]
    assert (account.written, await used(ledger)) == (["a"], [(1, 0)])


async def test_what_a_stalled_worker_has_not_done_is_done_by_the_next_one_once(
    ledgers: tuple[Ledger, Ledger], source: Source, account: Account, tmp_path: Path
) -> None:
    """Here its call fails in the end; that says nothing any more."""
    ledger, other = ledgers
    hanging = Account(tmp_path / "files")
    hanging.inner.write = _never(hanging)  # type: ignore[method-assign]
    hanging.may.clear()
    ids = await put(ledger, [create(account, "a")])
    stalled = executor(ledger, Source({hanging.account: hanging}), partitions=MINE)
    successor = executor(other, source, partitions=frozenset())
    async with running(stalled, successor):
        await until(lambda: hanging.running, "it is under way")
        await successor.hold(MINE)
        await stands(other, ids[0], ActionState.APPROVED, waits=True)
        await let_time_pass(other)
        successor.wake()
        (done,) = await ends(other, ids)
        hanging.may.set()
        await until(lambda: not stalled._lanes.busy, "the stalled one has tried to write")
    assert await shown(other, ids) == [done]
    assert (done.state, done.fence, account.written) == (ActionState.DONE, 2, ["a"])
    assert await used(ledger) == [(1, 0)]


def _never(account: Account) -> Any:
    async def write(key: str, data: bytes, version: str | None) -> str:
        await account.may.wait()
        raise ProviderUnavailable("The line went dead.")

    return write


async def test_a_worker_that_takes_its_own_partition_again_does_not_disown_what_it_is_at(
    ledgers: tuple[Ledger, Ledger], source: Source, account: Account
) -> None:
    ledger, _ = ledgers
    account.may.clear()
    ids = await put(ledger, [create(account, "a")])
    one = executor(ledger, source, partitions=MINE)
    async with running(one):
        await until(lambda: account.running, "it is under way")
        await one.hold(frozenset())
        await one.hold(MINE)
        assert await states(ledger, ids) == ["executing"]
        account.may.set()
        (done,) = await ends(ledger, ids)
    assert (done.state, done.fence) == (ActionState.DONE, 1)


async def test_a_worker_begins_nothing_more_of_a_partition_that_it_has_lost(
    ledgers: tuple[Ledger, Ledger], source: Source, account: Account
) -> None:
    ledger, _ = ledgers
    account.may.clear()
    ids = await put(ledger, [create(account, f"{n}") for n in range(3)])
    one = executor(ledger, source, partitions=MINE)
    async with running(one):
        await until(lambda: account.running, "the first is under way")
        assert one.at_work() == MINE
        await one.hold(THEIRS)
        account.may.set()
        await ends(ledger, ids[:1])
        await until(lambda: not one._lanes.busy, "its lane has ended")
        assert one.at_work() == frozenset()
    assert await states(ledger, ids) == ["done", "approved", "approved"]


async def test_an_effect_that_was_not_begun_soon_after_its_intent_is_left_alone(
    ledgers: tuple[Ledger, Ledger], source: Source, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that slept in between may have lost its partition, and its successor asks after ``TAKEOVER``."""
    assert account_executor.GRACE < 10
    monkeypatch.setattr(account_executor, "GRACE", -1.0)
    ledger, _ = ledgers
    ids = await put(ledger, [create(account, "a")])
    one = executor(ledger, source, partitions=MINE)
    async with running(one):
        left = await stands(ledger, ids[0], ActionState.APPROVED, waits=True)
        assert (left.fence, account.written, await used(ledger)) == (1, [], [(0, 0)])
        monkeypatch.setattr(account_executor, "GRACE", 5.0)
        await let_time_pass(ledger)
        one.wake()
        (done,) = await ends(ledger, ids)
    assert (done.state, done.fence, await used(ledger)) == (ActionState.DONE, 2, [(1, 0)])


async def test_what_was_begun_is_asked_about_only_after_the_time_in_which_it_may_still_begin(
    ledgers: tuple[Ledger, Ledger], source: Source, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_executor, "TAKEOVER", 3600.0)
    ledger, other = ledgers
    account.may.clear()
    ids = await put(ledger, [create(account, "a")])
    async with running(executor(ledger, source, partitions=MINE)):
        await until(lambda: account.running, "it is under way")
        await executor(other, source, partitions=frozenset()).hold(MINE)
        unknown = await stands(other, ids[0], ActionState.UNKNOWN, waits=True)
        account.may.set()
    assert (unknown.not_before is not None, account_executor.GRACE < 10.0) == (True, True)
