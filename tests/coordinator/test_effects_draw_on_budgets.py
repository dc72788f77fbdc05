"""What effects on accounts use of budgets, rates and patience, and what becomes of an action that is denied."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from brody_agents.action import ActionState
from brody_agents.coordinator.account_effects import EFFECTS
from brody_agents.coordinator.account_effects.base import Job, NotDone, wants_of
from brody_agents.coordinator.circuit_breaker import Patience
from brody_agents.coordinator.rate_windows import Rate
from brody_agents.coordinator.resource_manager import ResourceManager, Unit, Want
from brody_agents.errors import ConfigurationError, OutcomeUnknown, ProviderUnavailable, Refused
from brody_agents.ledger import actions, runs
from brody_agents.ledger.budgets import Budgets
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.runs import RunRecord
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

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
async def ledger() -> AsyncIterator[Ledger]:
    """Give a ledger in memory."""
    opened = await Ledger.open(None)
    yield opened
    await opened.close()


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
    """Return (used, reserved) of each budget."""
    return [(usage.used, usage.reserved) for usage in await Budgets(ledger).usage()]


async def test_a_denied_action_waits_until_its_budget_frees_and_says_which(
    ledger: Ledger, source: Source, account: Account
) -> None:
    """At midnight, here; and when its time has come it is done, and nothing tells of the wait any more."""
    await Budgets(ledger).set("provider", account.account, "calls", 2, period="day")
    ids = await put(ledger, [create(account, name) for name in ("a", "b", "c")])
    one = executor(ledger, source)
    async with running(one):
        denied = await stands(ledger, ids[2], ActionState.APPROVED, waits=True)
        assert await states(ledger, ids) == ["done", "done", "approved"]
        assert denied.reason.startswith(f"The budget of 2 calls a day for provider {account.account} has 0 calls left")
        midnight = (datetime.now(UTC) + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        assert denied.not_before is not None
        assert abs(denied.not_before - midnight) < timedelta(seconds=5)
        assert (account.written, denied.fence, await used(ledger)) == (["a", "b"], 0, [(2, 0)])
        await Budgets(ledger).set("provider", account.account, "calls", 3, period="day")
        await let_time_pass(ledger)
        one.wake()
        done = (await ends(ledger, ids))[2]
    assert (done.state, done.reason, await used(ledger)) == (ActionState.DONE, "", [(3, 0)])


async def test_a_budget_that_can_never_suffice_fails_the_action_in_words(
    ledger: Ledger, source: Source, account: Account
) -> None:
    await Budgets(ledger).set("user", "me", "calls", 0, period="day")
    ids = await put(ledger, [create(account, "a")])
    async with running(executor(ledger, source)):
        (failed,) = await ends(ledger, ids)
    assert (failed.state, account.written) == (ActionState.FAILED, [])
    assert "brody budgets set user me calls" in failed.reason


async def test_a_budget_for_good_that_is_used_up_is_looked_at_again_since_somebody_may_raise_it(
    ledger: Ledger, source: Source, account: Account
) -> None:
    await Budgets(ledger).set("user", "me", "calls", 1)
    ids = await put(ledger, [create(account, "a"), create(account, "b")])
    async with running(executor(ledger, source)):
        denied = await stands(ledger, ids[1], ActionState.APPROVED, waits=True)
    assert denied.not_before is not None
    assert timedelta(minutes=50) < denied.not_before - datetime.now(UTC) < timedelta(minutes=61)
    assert "raise it" in denied.reason


async def test_one_that_is_denied_by_its_run_does_not_hold_up_the_next(
    ledger: Ledger, source: Source, account: Account
) -> None:
    await Budgets(ledger).set("run", "r1", "calls", 1, period="day")
    wishes = [create(account, name, run_id=run) for name, run in (("a", "r1"), ("b", "r1"), ("c", "r2"))]
    ids = await put(ledger, wishes)
    async with running(executor(ledger, source)):
        await ends(ledger, [ids[2]])
    assert await states(ledger, ids) == ["done", "approved", "done"]


async def test_a_run_does_not_stay_open_for_what_waits_for_a_budget(
    ledger: Ledger, source: Source, account: Account
) -> None:
    now = datetime.now(UTC)
    run = RunRecord(id="r", user_id="me", playbook="p", now=now, timezone="UTC", started_at=now, state=runs.WORKING)
    await ledger.ensure_users({"me"})
    async with ledger.write() as tx:
        await runs.start(tx, run)
    await Budgets(ledger).set("user", "me", "calls", 1, period="month")
    ids = await put(ledger, [create(account, name, run_id="r") for name in ("a", "b")])
    async with running(executor(ledger, source)):
        await stands(ledger, ids[1], ActionState.APPROVED, waits=True)
    async with ledger.read() as tx:
        assert (await runs.load(tx, ["r"]))["r"].state == runs.COMPLETE


async def test_what_is_refused_has_used_its_call_and_what_is_unknown_holds_it(
    ledger: Ledger, source: Source, account: Account
) -> None:
    await Budgets(ledger).set("user", "me", "calls", 10)
    await Budgets(ledger).set("user", "me", "slots", 5)
    account.fails = Refused("The disk is full.", "Make room.")
    ids = await put(ledger, [create(account, "a")])
    async with running(executor(ledger, source)):
        (failed,) = await ends(ledger, ids)
        assert (failed.state, await used(ledger)) == (ActionState.FAILED, [(1, 0), (0, 0)])
    account.fails, account.reads_fail = OutcomeUnknown("The line went dead.", ""), None
    ids = await put(ledger, [create(account, "b")])
    lost = _gone_after_the_write(account)
    async with running(executor(ledger, source)):
        await stands(ledger, ids[0], ActionState.UNKNOWN, waits=True)
    assert lost.written == ["a", "b"]
    assert await used(ledger) == [(1, 1), (0, 0)]  # nothing is under way, so no place is taken


def _gone_after_the_write(account: Account) -> Account:
    """Have nothing be read any more once something was written."""
    write = account.write

    async def gone(key: str, data: bytes, version: str | None) -> str:
        account.reads_fail = ProviderUnavailable("It is gone.")
        return await write(key, data, version)

    account.write = gone  # type: ignore[method-assign]
    return account


async def test_what_surely_did_not_happen_is_given_back_before_the_next_attempt(
    ledger: Ledger, source: Source, account: Account
) -> None:
    """With room for one only, the second attempt finds it."""
    await Budgets(ledger).set("user", "me", "calls", 1)
    account.fails = OutcomeUnknown("The line went dead.", "")
    ids = await put(ledger, [create(account, "a")])
    one = executor(ledger, source)
    async with running(one):
        again = await stands(ledger, ids[0], ActionState.APPROVED, waits=True)
        assert (again.fence, await used(ledger)) == (1, [(0, 0)])
        account.fails = None
        await let_time_pass(ledger)
        one.wake()
        (done,) = await ends(ledger, ids)
    assert (done.state, done.fence, await used(ledger)) == (ActionState.DONE, 2, [(1, 0)])


async def test_what_a_person_has_ended_is_settled_at_the_next_start(
    ledger: Ledger, source: Source, account: Account
) -> None:
    await Budgets(ledger).set("user", "me", "calls", 5)
    ids = await put(ledger, [create(account, "a")])
    account.fails = OutcomeUnknown("The line went dead.", "")
    _gone_after_the_write(account)
    async with running(executor(ledger, source)):
        unknown = await stands(ledger, ids[0], ActionState.UNKNOWN, waits=True)
    async with ledger.write() as tx:
        await actions.move(tx, ledger.vault, [unknown.moved(ActionState.DONE, "You said that it was done.")])
    assert await used(ledger) == [(0, 1)]
    await executor(ledger, source).recover()
    assert await used(ledger) == [(1, 0)]


# -- rates and circuit breakers -------------------------------------------------------------------------


async def test_more_than_the_rate_of_an_account_waits_in_the_ledger(
    ledger: Ledger, source: Source, account: Account
) -> None:
    manager = ResourceManager(ledger, rates={account.account: Rate(2, 60)})
    ids = await put(ledger, [create(account, f"{n}") for n in range(5)])
    async with running(executor(ledger, source, resources=manager)):
        last = await stands(ledger, ids[4], ActionState.APPROVED, waits=True)
    assert account.written == ["0", "1"]
    assert f"{account.account} may be called 2 times in 60 seconds" in last.reason
    assert all(action.not_before for action in (await shown(ledger, ids))[2:])


async def test_an_account_that_keeps_failing_is_left_alone_then_tried_once(
    ledger: Ledger, source: Source, account: Account
) -> None:
    patience = Patience(failures=2, pause=timedelta(milliseconds=300), longest=timedelta(seconds=1))
    account.reads_fail = ProviderUnavailable("It does not answer.")
    ids = await put(ledger, [create(account, f"{n}") for n in range(4)])
    one = executor(ledger, source, resources=ResourceManager(ledger, patience=patience))
    async with running(one):
        left = await stands(ledger, ids[3], ActionState.APPROVED, waits=True)
        assert "keeps failing and is left alone" in left.reason
        account.reads_fail = None
        await ends(ledger, ids[2:])
        await let_time_pass(ledger)
        one.wake()
        assert {a.state for a in await ends(ledger, ids)} == {ActionState.DONE}


# -- what is wanted ---------------------------------------------------------------------------------------


def job(provider: Any, tmp_path: Path) -> Job:
    """Return a job of which only the kind and the provider count."""
    return Job(create(Account(tmp_path / "files"), "a"), None, provider)


class _Metered:
    """A provider with units of its own."""

    units = {"file.create": 50}


class _Many:
    """An effect that says what it uses."""

    domain = "files"

    def wants(self, job: Job) -> list[Want]:
        return [Want(Unit.QUOTA, 7), Want(Unit.MONEY, 100, "EUR")]

    async def plan(self, job: Job) -> dict[str, Any]:
        return {}

    async def apply(self, job: Job) -> dict[str, Any]:
        return {}

    async def reconcile(self, job: Job) -> NotDone:
        return NotDone()


@pytest.mark.parametrize(
    ("effect", "provider", "quota"),
    [(EFFECTS["file.create"], object(), 1), (EFFECTS["file.create"], _Metered(), 50), (_Many(), _Metered(), 7)],
    ids=["a provider that says nothing", "a provider with units", "an effect that says it"],
)
def test_an_attempt_takes_one_call_one_slot_and_the_units_of_its_provider(
    effect: Any, provider: Any, quota: int, tmp_path: Path
) -> None:
    wants = wants_of(effect, job(provider, tmp_path))
    amounts = {want.unit: want.amount for want in wants}
    assert (amounts[Unit.CALLS], amounts[Unit.SLOTS], amounts[Unit.QUOTA]) == (1, 1, quota)
    assert len(wants) == len(amounts)
    assert (Want(Unit.MONEY, 100, "EUR") in wants) == isinstance(effect, _Many)


def test_a_rate_is_written_as_so_many_in_so_many_seconds() -> None:
    assert Rate.of("250/60") == Rate(250, 60)
    for text in ("", "250", "x/60", "0/60", "5/0"):
        with pytest.raises(ConfigurationError):
            Rate.of(text)
