"""Budgets and reservations: never more than there is, by which budget it is refused, and when that frees."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from sqlalchemy import text

from brody_agents.errors import ConfigurationError, Denied, Fenced, NotFound, Unsettled, WrongCurrency
from brody_agents.ledger import reservations
from brody_agents.ledger.budgets import EACH, MICRO, Budgets, Level, Period, Unit, amount_of, prune, window
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.reservations import Reservation, Spender, Want

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
TOKENS, MONEY, SLOTS = Unit.TOKENS, Unit.MONEY, Unit.SLOTS


def spender(action: str = "a", fence: int = 1, **subjects: str) -> Spender:
    """Return an attempt of Ada's."""
    return Spender(action, fence, **{"provider": "ai:1", "workspace": "w", "user": "ada", "run": "r"} | subjects)


async def reserve(ledger: Ledger, who: Spender, *wants: Want, now: datetime = NOW) -> Reservation:
    """Reserve in a transaction of its own."""
    async with ledger.write() as tx:
        return await reservations.reserve(tx, who, wants, now)


async def denied(ledger: Ledger, who: Spender, *wants: Want, now: datetime = NOW) -> Denied:
    """Return the refusal."""
    with pytest.raises(Denied) as caught:
        await reserve(ledger, who, *wants, now=now)
    return caught.value


async def settle(ledger: Ledger, reservation: Reservation, **actuals: int) -> list[str]:
    """Settle in a transaction of its own and return what is overdrawn, in words."""
    async with ledger.write() as tx:
        over = await reservations.settle(tx, reservation, {Unit(name): amount for name, amount in actuals.items()})
    return [str(overdraft) for overdraft in over]


async def release(ledger: Ledger, reservation: Reservation) -> None:
    """Release in a transaction of its own."""
    async with ledger.write() as tx:
        await reservations.release(tx, reservation)


async def recover(ledger: Ledger, action: str, fence: int) -> Reservation | None:
    """Recover in a transaction of its own."""
    async with ledger.write() as tx:
        return await reservations.recover(tx, action, fence)


async def figures(ledger: Ledger, now: datetime = NOW) -> dict[str, tuple[int, int]]:
    """Return (used, reserved) of each budget."""
    found = await Budgets(ledger).usage(now=now)
    return {f"{u.budget.level}/{u.subject}/{u.budget.unit}": (u.used, u.reserved) for u in found}


# -- reserve, settle, release -------------------------------------------------------------------------


async def test_an_estimate_is_held_and_the_actual_takes_its_place(ledger: Ledger) -> None:
    await Budgets(ledger).set("user", "ada", "tokens", 100)
    held = await reserve(ledger, spender(), Want(TOKENS, 60))
    assert await figures(ledger) == {"user/ada/tokens": (0, 60)}
    assert await settle(ledger, held, tokens=25) == []
    assert await figures(ledger) == {"user/ada/tokens": (25, 0)}


async def test_what_was_not_used_is_given_back(ledger: Ledger) -> None:
    await Budgets(ledger).set("user", "ada", "tokens", 100)
    await release(ledger, await reserve(ledger, spender(), Want(TOKENS, 100)))
    assert await figures(ledger) == {"user/ada/tokens": (0, 0)}


async def test_a_unit_without_an_actual_has_used_its_estimate(ledger: Ledger) -> None:
    await Budgets(ledger).set("user", "ada", "tokens", 100)
    await settle(ledger, await reserve(ledger, spender(), Want(TOKENS, 60)))
    assert await figures(ledger) == {"user/ada/tokens": (60, 0)}


async def test_an_actual_above_the_estimate_is_written_and_the_overdraft_told(ledger: Ledger) -> None:
    """Then nothing more is given, not even to somebody who does not know what it will take."""
    await Budgets(ledger).set("user", "ada", "tokens", 100)
    over = await settle(ledger, await reserve(ledger, spender(), Want(TOKENS, 60)), tokens=130)
    assert over == ["The budget of user ada is overdrawn by 30 tokens."]
    [usage] = await Budgets(ledger).usage()
    assert usage.left == -30
    refusal = await denied(ledger, spender("b"), Want(TOKENS, 0))
    assert (refusal.left, refusal.retry_after) == (0, None)


async def test_an_actual_above_the_estimate_within_the_limit_is_no_overdraft(ledger: Ledger) -> None:
    await Budgets(ledger).set("user", "ada", "tokens", 100)
    assert await settle(ledger, await reserve(ledger, spender(), Want(TOKENS, 60)), tokens=100) == []


async def test_slots_are_held_and_never_used_up(ledger: Ledger) -> None:
    await Budgets(ledger).set("provider", "ai:1", "slots", 1)
    first = await reserve(ledger, spender("a"), Want(SLOTS, 1))
    refusal = await denied(ledger, spender("b"), Want(SLOTS, 1))
    assert "It frees when work that is under way ends." in str(refusal)
    assert refusal.retry_after == reservations.BUSY
    await settle(ledger, first)
    assert await figures(ledger) == {"provider/ai:1/slots": (0, 0)}
    await reserve(ledger, spender("b"), Want(SLOTS, 1))


async def test_several_wants_of_a_unit_are_one(ledger: Ledger) -> None:
    await Budgets(ledger).set("user", "ada", "tokens", 100)
    await reserve(ledger, spender(), Want(TOKENS, 30), Want(TOKENS, 30))
    assert await figures(ledger) == {"user/ada/tokens": (0, 60)}
    await denied(ledger, spender("b"), Want(TOKENS, 20), Want(TOKENS, 21))


async def test_what_has_no_budget_is_not_limited(ledger: Ledger) -> None:
    await Budgets(ledger).set("user", "ada", "tokens", 1)
    assert (await reserve(ledger, spender(), Want(Unit.CALLS, 10**6))).held == ()
    assert (await reserve(ledger, spender(user="ben"), Want(TOKENS, 10**6))).held == ()


# -- the hierarchy ------------------------------------------------------------------------------------


async def test_it_is_held_in_all_levels_in_the_fixed_order(ledger: Ledger) -> None:
    for level, subject in (("run", "r"), ("user", "ada"), ("workspace", "w"), ("provider", "ai:1")):
        await Budgets(ledger).set(level, subject, "tokens", 100)
    held = await reserve(ledger, spender(), Want(TOKENS, 40))
    assert [one.level for one in held.held] == ["provider", "workspace", "user", "run"]
    assert set((await figures(ledger)).values()) == {(0, 40)}


@pytest.mark.parametrize("tight", list(Level))
async def test_a_refusal_by_one_level_leaves_nothing_held_in_any(ledger: Ledger, tight: Level) -> None:
    """The transaction goes on: what else was written in it stands."""
    for level in Level:
        await Budgets(ledger).set(level, spender().subjects[level], "tokens", 10 if level is tight else 100)
    async with ledger.write() as tx:
        with pytest.raises(Denied) as caught:
            await reservations.reserve(tx, spender(), [Want(TOKENS, 11)], NOW)
        await tx.execute(text("UPDATE users SET name = 'written'"))
    assert caught.value.budget == f"{tight}/{spender().subjects[tight]}/tokens"
    assert caught.value.left == 10
    assert set((await figures(ledger)).values()) <= {(0, 0)}
    async with ledger.read() as tx:
        assert (await tx.execute(text("SELECT name FROM users"))).scalars().all() == ["written"] * 2


async def test_each_run_has_its_own_when_the_budget_is_for_each(ledger: Ledger) -> None:
    """One of one's own stands before it, larger or smaller."""
    await Budgets(ledger).set("run", EACH, "calls", 2)
    await Budgets(ledger).set("run", "big", "calls", 5)
    for run, amount in (("one", 2), ("two", 2), ("big", 5)):
        await reserve(ledger, spender(run, run=run), Want(Unit.CALLS, amount))
    assert (await denied(ledger, spender("x", run="two"), Want(Unit.CALLS, 1))).budget == "run/two/calls"
    assert await figures(ledger) == {"run/one/calls": (0, 2), "run/two/calls": (0, 2), "run/big/calls": (0, 5)}


async def test_a_limit_that_is_raised_keeps_what_was_used(ledger: Ledger) -> None:
    budgets = Budgets(ledger)
    await budgets.set("user", EACH, "tokens", 10)
    await settle(ledger, await reserve(ledger, spender(), Want(TOKENS, 10)))
    await budgets.set("user", "ada", "tokens", 15)
    assert (await denied(ledger, spender("b"), Want(TOKENS, 6))).left == 5


# -- money --------------------------------------------------------------------------------------------


async def test_money_is_counted_in_millionths_and_shown_in_full(ledger: Ledger) -> None:
    budget = await Budgets(ledger).set("user", "ada", "money", 20 * MICRO, period="month", currency="EUR")
    await reserve(ledger, spender(), Want(MONEY, 19 * MICRO + 999_997, "EUR"))
    refusal = await denied(ledger, spender("b"), Want(MONEY, 4, "EUR"))
    assert budget.words == "20.00 EUR a month for user ada"
    assert str(refusal).startswith(
        "The budget of 20.00 EUR a month for user ada has 0.000003 EUR left; user ada wants 0.000004 EUR."
    )


async def test_money_of_another_currency_does_not_slip_by(ledger: Ledger) -> None:
    await Budgets(ledger).set("user", "ada", "money", MICRO, currency="EUR")
    with pytest.raises(WrongCurrency, match=r"user is budgeted in EUR, not USD\. Set a budget"):
        await reserve(ledger, spender(), Want(MONEY, 1, "USD"))


@pytest.mark.parametrize(("written", "unit", "amount"), [("12.50", MONEY, 12_500_000), ("1e3", TOKENS, 1000)])
def test_amounts_are_read_exactly(written: str, unit: Unit, amount: int) -> None:
    assert amount_of(written, unit) == amount


@pytest.mark.parametrize(
    ("written", "unit"), [("0.0000001", MONEY), ("1.5", TOKENS), ("lots", MONEY), ("inf", TOKENS), ("nan", MONEY)]
)
def test_what_is_no_amount_is_refused(written: str, unit: Unit) -> None:
    with pytest.raises(ConfigurationError, match="is no limit"):
        amount_of(written, unit)


# -- periods ------------------------------------------------------------------------------------------


async def test_a_full_day_is_free_again_at_midnight_of_the_users_zone(ledger: Ledger) -> None:
    """Also what is still reserved from yesterday stays with yesterday."""
    await Budgets(ledger).set("user", "ada", "tokens", 10, period="day", timezone="America/New_York")
    await settle(ledger, await reserve(ledger, spender("a"), Want(TOKENS, 7)))
    open_ = await reserve(ledger, spender("b"), Want(TOKENS, 3))
    refusal = await denied(ledger, spender("c"), Want(TOKENS, 4))
    midnight = datetime(2026, 3, 11, 4, 0, tzinfo=UTC)
    assert refusal.frees_at == midnight
    assert refusal.retry_after == 16 * 3600
    assert "It frees on 2026-03-11 at 00:00 (America/New_York)." in str(refusal)
    await denied(ledger, spender("c"), Want(TOKENS, 4), now=midnight - timedelta(microseconds=1))
    await reserve(ledger, spender("c"), Want(TOKENS, 10), now=midnight)
    await settle(ledger, open_, tokens=3)
    assert await figures(ledger) == {"user/ada/tokens": (10, 0)}
    assert await figures(ledger, midnight) == {"user/ada/tokens": (0, 10)}


async def test_more_than_the_whole_budget_never_frees(ledger: Ledger) -> None:
    await Budgets(ledger).set("user", "ada", "tokens", 10, period="day")
    refusal = await denied(ledger, spender(), Want(TOKENS, 11))
    assert (refusal.left, refusal.frees_at, refusal.retry_after) == (10, None, None)
    assert "brody budgets set user ada tokens" in str(refusal)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Pacific/Apia", "Asia/Kathmandu"])
@pytest.mark.parametrize("period", [Period.HOUR, Period.DAY, Period.MONTH])
def test_periods_follow_one_another_without_gap_or_overlap(zone: str, period: Period) -> None:
    """Through the changes of daylight saving time, and the day that Samoa left out."""
    at = datetime(2011, 12, 1, tzinfo=UTC)
    since, until = window(period, ZoneInfo(zone), at)
    while at < datetime(2012, 4, 15, tzinfo=UTC):
        at += timedelta(hours=7) if period is not Period.HOUR else timedelta(minutes=35)
        began, ends = window(period, ZoneInfo(zone), at)
        assert until is not None
        assert ends is not None
        assert began <= at < ends
        assert (began, ends) == (since, until) or began >= until
        if period is not Period.HOUR and (began, ends) != (since, until):
            assert began == until
        since, until = began, ends


# -- attempts and fencing -----------------------------------------------------------------------------


async def test_the_same_attempt_reserves_once(ledger: Ledger) -> None:
    await Budgets(ledger).set("user", "ada", "tokens", 100)
    first = await reserve(ledger, spender(), Want(TOKENS, 60))
    assert await reserve(ledger, spender(), Want(TOKENS, 60)) == first
    assert await figures(ledger) == {"user/ada/tokens": (0, 60)}


async def test_to_settle_twice_is_to_settle_once(ledger: Ledger) -> None:
    await Budgets(ledger).set("user", "ada", "tokens", 100)
    held = await reserve(ledger, spender(), Want(TOKENS, 60))
    await settle(ledger, held, tokens=50)
    await settle(ledger, held, tokens=60)
    await release(ledger, held)
    assert await figures(ledger) == {"user/ada/tokens": (50, 0)}
    with pytest.raises(Fenced, match="has ended"):
        await reserve(ledger, spender(), Want(TOKENS, 60))


async def test_a_new_attempt_waits_until_the_old_one_is_known(ledger: Ledger) -> None:
    """Whoever recovers it ends it; the holder of the old number can end nothing any more."""
    await Budgets(ledger).set("user", "ada", "tokens", 100)
    old = await reserve(ledger, spender(fence=1), Want(TOKENS, 60))
    with pytest.raises(Unsettled):
        await reserve(ledger, spender(fence=2), Want(TOKENS, 40))
    found = await recover(ledger, "a", 2)
    assert found is not None
    assert (found.attempt, found.fence, found.held) == (1, 2, old.held)
    for end in (settle, release):
        with pytest.raises(Fenced):
            await end(ledger, old)
    with pytest.raises(Fenced):
        await reserve(ledger, spender(fence=1), Want(TOKENS, 60))
    await release(ledger, found)
    new = await reserve(ledger, spender(fence=3), Want(TOKENS, 100))
    with pytest.raises(Fenced):
        await recover(ledger, "a", 2)
    await settle(ledger, new)
    assert await recover(ledger, "a", 4) is None
    assert await figures(ledger) == {"user/ada/tokens": (100, 0)}


async def test_what_stays_open_for_long_is_found(ledger: Ledger) -> None:
    await Budgets(ledger).set("user", "ada", "tokens", 100)
    await Budgets(ledger).set("provider", "ai:1", "tokens", 100)
    old = await reserve(ledger, spender("old"), Want(TOKENS, 1))
    await reserve(ledger, spender("young"), Want(TOKENS, 1), now=NOW + timedelta(minutes=5))
    async with ledger.read() as tx:
        assert await reservations.stranded(tx, NOW + timedelta(minutes=1)) == [old]


async def test_what_is_long_over_is_removed_and_what_counts_stays(ledger: Ledger) -> None:
    budgets = Budgets(ledger)
    await budgets.set("user", "ada", "tokens", 100, period="day")
    await budgets.set("user", "ada", "calls", 100)
    for action in ("done", "open"):
        held = await reserve(ledger, spender(action), Want(TOKENS, 1), Want(Unit.CALLS, 1))
        if action == "done":
            await settle(ledger, held)
    await settle(ledger, await reserve(ledger, spender("c"), Want(TOKENS, 1), now=NOW - timedelta(days=1)))
    async with ledger.write() as tx:
        assert await prune(tx, NOW + timedelta(days=1)) == 4  # three reservations' rows, one day of use
    assert await figures(ledger) == {"user/ada/tokens": (1, 1), "user/ada/calls": (1, 1)}


# -- the front ----------------------------------------------------------------------------------------


async def test_budgets_are_set_listed_and_removed(ledger: Ledger) -> None:
    budgets = Budgets(ledger, "Europe/Berlin")
    day = await budgets.set("user", "ada", "tokens", 10, period="day")
    slots = await budgets.set("provider", "ai:1", "slots", 2)
    assert day.timezone == "Europe/Berlin"
    assert await budgets.list() == [slots, day]
    assert await budgets.list("ada") == [day]
    more = await budgets.set("user", "ada", "tokens", 11, period="day")
    assert (more.id, await budgets.list("ada")) == (day.id, [more])
    assert await budgets.remove("provider/") == slots
    with pytest.raises(NotFound, match="brody budgets list"):
        await budgets.remove(slots.id)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"level": "team"}, "provider, workspace, user, run"),
        ({"unit": "apples"}, "is no unit"),
        ({"period": "week"}, "is no period"),
        ({"limit": -1}, "out of reach"),
        ({"limit": 2**63}, "out of reach"),
        ({"subject": ""}, "needs a subject"),
        ({"unit": "money"}, "ISO 4217"),
        ({"currency": "EUR"}, "Only money has one"),
        ({"unit": "slots", "period": "day"}, "no period"),
        ({"unit": "quota"}, "level provider"),
        ({"timezone": "Mars/Olympus"}, "no time zone"),
    ],
)
async def test_what_is_no_budget_is_refused(ledger: Ledger, wrong: dict[str, Any], said: str) -> None:
    good: dict[str, Any] = {"level": "user", "subject": "ada", "unit": "tokens", "limit": 1}
    with pytest.raises(ConfigurationError, match=said):
        await Budgets(ledger).set(**good | wrong)
    assert await Budgets(ledger).list() == []


@pytest.mark.parametrize(("unit", "amount", "currency"), [(TOKENS, -1, ""), (MONEY, 1, ""), (TOKENS, 1, "EUR")])
def test_what_is_no_want_is_refused(unit: Unit, amount: int, currency: str) -> None:
    with pytest.raises(ConfigurationError, match="nothing to reserve"):
        Want(unit, amount, currency)


# -- any order ----------------------------------------------------------------------------------------

LIMITS = {"ada": 20, "ben": 30}
SHARED = 40


class AnyOrder(RuleBasedStateMachine):
    """Reservations of two users under one provider, in any order, beside a model that only adds up."""

    open_ = Bundle("open")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.ledger: Ledger = self.runner.run(Ledger.open(None))
        self.used, self.held = dict.fromkeys(LIMITS, 0), {name: dict[str, int]() for name in LIMITS}
        self.number = 0
        for level, subject, limit in (("provider", "ai:1", SHARED), *(("user", *item) for item in LIMITS.items())):
            self.runner.run(Budgets(self.ledger).set(level, subject, "tokens", limit))

    def taken(self, user: str) -> int:
        return self.used[user] + sum(self.held[user].values())

    @rule(target=open_, user=st.sampled_from(sorted(LIMITS)), amount=st.integers(0, 25))
    def reserve(self, user: str, amount: int) -> tuple[str, Reservation] | None:
        self.number += 1
        who = Spender(f"{self.number}", 1, provider="ai:1", user=user)
        fits = self.taken(user) + amount <= LIMITS[user] and sum(map(self.taken, LIMITS)) + amount <= SHARED
        if not fits:
            refusal = self.runner.run(denied(self.ledger, who, Want(TOKENS, amount)))
            assert refusal.left == max(
                0,
                SHARED - sum(map(self.taken, LIMITS))
                if refusal.budget.startswith("provider")
                else LIMITS[user] - self.taken(user),
            )
            return None
        held = self.runner.run(reserve(self.ledger, who, Want(TOKENS, amount)))
        self.held[user][who.action_id] = amount
        return user, held

    @rule(one=open_, actual=st.integers(0, 30))
    def settle(self, one: tuple[str, Reservation] | None, actual: int) -> None:
        if one is not None:
            self.runner.run(settle(self.ledger, one[1], tokens=actual))
            if self.held[one[0]].pop(one[1].action_id, None) is not None:
                self.used[one[0]] += actual

    @rule(one=open_)
    def release(self, one: tuple[str, Reservation] | None) -> None:
        if one is not None:
            self.runner.run(release(self.ledger, one[1]))
            self.held[one[0]].pop(one[1].action_id, None)

    @invariant()
    def it_is_what_the_model_says(self) -> None:
        found = self.runner.run(figures(self.ledger))
        expected = {f"user/{user}/tokens": (self.used[user], sum(self.held[user].values())) for user in LIMITS}
        used, reserved = (sum(figure[n] for figure in expected.values()) for n in (0, 1))
        assert found == expected | {"provider/ai:1/tokens": (used, reserved)}

    def teardown(self) -> None:
        self.runner.run(self.ledger.close())
        self.runner.close()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
