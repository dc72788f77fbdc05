"""Reservations: hold the estimate of an attempt in every budget that it falls under, then settle what it really used.

All of it happens in the caller's transaction, by conditional updates in one fixed order (provider, workspace, user,
run), so that two processes never hand out the same amount and never wait for each other in a circle.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import and_, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.errors import ConfigurationError, Denied, Fenced, Unsettled, WrongCurrency
from brody_agents.ledger.budgets import Budget, Level, Period, Unit, amount_in_words, applicable
from brody_agents.ledger.statements import insert_new, table
from brody_agents.ledger.tables import BudgetReservation, BudgetUse

HELD, SETTLED, RELEASED = "held", "settled", "released"
BUSY = 5.0
"""Seconds until a new try makes sense where a budget frees when somebody else's work ends."""

_U = table(BudgetUse)
_R = table(BudgetReservation)
_PLACE = ("level", "subject", "unit", "currency", "period", "since")
_NOTHING = {"used": 0, "reserved": 0}


@dataclass(frozen=True, slots=True)
class Want:
    """An estimate of what will be used of a unit; money in micro-units of ``currency``. Zero where nobody can tell."""

    unit: Unit
    amount: int
    currency: str = ""

    def __post_init__(self) -> None:
        if self.amount < 0 or (self.unit is Unit.MONEY) != bool(self.currency):
            remedy = "Amounts are not negative; money, and nothing else, has a currency."
            raise ConfigurationError(f"{self} is nothing to reserve.", remedy)


@dataclass(frozen=True, slots=True)
class Spender:
    """Who spends: an attempt (``fence``, which grows) at an action, and whose budgets it falls under."""

    action_id: str
    fence: int
    provider: str | None = None
    workspace: str | None = None
    user: str | None = None
    run: str | None = None

    @property
    def subjects(self) -> dict[Level, str]:
        """Return the subjects of its budgets in the order of reserving."""
        return {level: subject for level in Level if (subject := getattr(self, level)) is not None}


@dataclass(frozen=True, slots=True)
class Held:
    """One budget's part of a reservation."""

    level: Level
    subject: str
    unit: Unit
    currency: str
    period: Period
    since: datetime
    amount: int


@dataclass(frozen=True, slots=True)
class Reservation:
    """What an attempt holds; ``fence`` is of who may settle it: the attempt itself, or who recovered it."""

    action_id: str
    attempt: int
    fence: int
    held: tuple[Held, ...] = ()


@dataclass(frozen=True, slots=True)
class Overdraft:
    """A budget of which more was used than it had: by ``by``, in its unit."""

    held: Held
    by: int

    def __str__(self) -> str:
        over = amount_in_words(self.by, self.held.unit, self.held.currency)
        return f"The budget of {self.held.level} {self.held.subject} is overdrawn by {over}."


async def reserve(tx: AsyncConnection, spender: Spender, wants: Sequence[Want], now: datetime) -> Reservation:
    """Hold every want in every budget that it falls under, all or nothing; the same attempt gets the same again.

    Raises ``Denied`` (nothing is held then, and the transaction can go on), ``WrongCurrency`` where money is budgeted
    in other currencies only, ``Unsettled`` while an earlier attempt is open, ``Fenced`` after a later one.
    """
    again = await _again(tx, spender)
    if again is not None:
        return again
    amounts: defaultdict[tuple[Unit, str], int] = defaultdict(int)
    for want in wants:
        amounts[want.unit, want.currency] += want.amount
    budgets = await applicable(tx, spender.subjects)
    _check_currencies(budgets, amounts)
    wanted = [(budget, amounts[key]) for budget in budgets if (key := (budget.unit, budget.currency)) in amounts]
    if not wanted:
        return Reservation(spender.action_id, spender.fence, spender.fence)
    async with tx.begin_nested():  # a denial undoes what the budgets before it have given
        held = [await _take(tx, budget, spender.subjects[budget.level], amount, now) for budget, amount in wanted]
        await _note(tx, spender, held, now)
    return Reservation(spender.action_id, spender.fence, spender.fence, tuple(held))


async def settle(
    tx: AsyncConnection, reservation: Reservation, actuals: Mapping[Unit, int] | None = None
) -> list[Overdraft]:
    """Write what was really used in the place of what was held; return the budgets that are overdrawn by it.

    A unit that ``actuals`` does not name is taken to have used its estimate; slots are only given back. Settling again
    changes nothing. Raises ``Fenced`` after somebody else has recovered it.
    """
    said = dict(actuals or {})
    if any(amount < 0 for amount in said.values()):
        raise ConfigurationError(f"{said} cannot have been used.", "Amounts are not negative.")
    overdrafts = []
    for held in reservation.held:
        used = 0 if held.unit is Unit.SLOTS else said.get(held.unit, held.amount)
        if await _close(tx, reservation, held, SETTLED, used) and used > held.amount:
            overdrafts += await _overdraft(tx, held)
    return overdrafts


async def release(tx: AsyncConnection, reservation: Reservation) -> None:
    """Give back what was held, nothing having been used; raise ``Fenced`` after somebody else has recovered it."""
    for held in reservation.held:
        await _close(tx, reservation, held, RELEASED, 0)


async def recover(tx: AsyncConnection, action_id: str, fence: int) -> Reservation | None:
    """Take over the open reservation of an attempt that died; with the old fencing number nobody can end it then.

    Returns ``None`` where nothing is open. Raises ``Fenced`` where somebody has a newer number.
    """
    r = _R.c
    theirs = (r.action_id == action_id, r.state == HELD)
    await tx.execute(update(_R).where(*theirs, r.fence < fence).values(fence=fence))
    rows = (await tx.execute(select(_R).where(*theirs).order_by(r.attempt))).mappings().all()
    if not rows:
        return None
    if any(row["fence"] > fence for row in rows):
        raise Fenced(f"Somebody newer than {fence} has recovered what {action_id} holds.")
    return _reservation(rows)


async def stranded(tx: AsyncConnection, before: datetime) -> list[Reservation]:
    """Return the reservations that have been open since before a time, the oldest first: their holders may be dead."""
    r = _R.c
    query = select(_R).where(r.state == HELD, r.created_at < before).order_by(r.created_at, r.action_id, r.attempt)
    found: dict[tuple[str, int], list[Any]] = {}
    for row in (await tx.execute(query)).mappings():
        found.setdefault((row["action_id"], row["attempt"]), []).append(row)
    return [_reservation(rows) for rows in found.values()]


async def _again(tx: AsyncConnection, spender: Spender) -> Reservation | None:
    """Return what this attempt has reserved already; refuse beside an open attempt, and after a later one."""
    rows = (await tx.execute(select(_R).where(_R.c.action_id == spender.action_id))).mappings().all()
    if any(max(row["attempt"], row["fence"]) > spender.fence for row in rows):
        raise Fenced(f"A later attempt than {spender.fence} has been made at {spender.action_id}.")
    mine = [row for row in rows if row["attempt"] == spender.fence]
    if any(row["state"] == HELD for row in rows if row["attempt"] < spender.fence):
        raise Unsettled(f"An attempt before {spender.fence} at {spender.action_id} still holds its reservation.")
    if any(row["state"] != HELD for row in mine):
        raise Fenced(f"Attempt {spender.fence} at {spender.action_id} has ended.", "Try again with a new number.")
    return _reservation(mine) if mine else None


def _check_currencies(budgets: Iterable[Budget], amounts: Mapping[tuple[Unit, str], int]) -> None:
    wanted = {currency for unit, currency in amounts if unit is Unit.MONEY}
    budgeted: defaultdict[Level, set[str]] = defaultdict(set)
    for budget in budgets:
        if budget.unit is Unit.MONEY:
            budgeted[budget.level].add(budget.currency)
    for level, currencies in budgeted.items():
        if other := sorted(wanted - currencies):
            known = ", ".join(sorted(currencies))
            raise WrongCurrency(f"The money of this {level} is budgeted in {known}, not {other[0]}.")


async def _take(tx: AsyncConnection, budget: Budget, subject: str, amount: int, now: datetime) -> Held:
    """Hold an amount in one budget: the condition and the change are one statement."""
    since, _ = budget.window(now)
    held = Held(budget.level, subject, budget.unit, budget.currency, budget.period, since, amount)
    await tx.execute(insert_new(tx, BudgetUse), [{name: getattr(held, name) for name in _PLACE} | _NOTHING])
    room = _U.c.used + _U.c.reserved + amount <= budget.limit
    taken = await tx.execute(update(_U).where(_at(held), room).values(reserved=_U.c.reserved + amount))
    if taken.rowcount != 1:
        used, reserved = (await tx.execute(select(_U.c.used, _U.c.reserved).where(_at(held)))).one()
        raise _denied(budget, held, used, budget.limit - used - reserved, now)
    return held


def _denied(budget: Budget, held: Held, used: int, left: int, now: datetime) -> Denied:
    """Say which budget, how much of it is left, and when it frees."""
    name = f"{held.level}/{held.subject}/{held.unit}"
    left = max(left, 0)
    what = f"The budget of {budget.words} has {budget.shown(left)} left; {held.level} {held.subject} wants "
    what += f"{budget.shown(held.amount)}."
    _, until = budget.window(now)
    if held.amount > budget.limit or (until is None and used + held.amount > budget.limit):
        remedy = f"It does not free by itself; raise it: brody budgets set {held.level} {held.subject} {held.unit} …"
        return Denied(what, remedy, budget=name, left=left, never=held.amount > budget.limit)
    if used + held.amount <= budget.limit:  # the rest is only reserved: it may come back at any time
        remedy = "It frees when work that is under way ends."
        return Denied(what, remedy, budget=name, left=left, frees_at=until, retry_after=BUSY)
    assert until is not None
    frees_at = until.astimezone(ZoneInfo(budget.timezone))
    seconds = max((until - now).total_seconds(), 0.0)
    remedy = f"It frees on {frees_at:%Y-%m-%d at %H:%M} ({budget.timezone})."
    return Denied(what, remedy, budget=name, left=left, frees_at=until, retry_after=seconds)


async def _note(tx: AsyncConnection, spender: Spender, held: Sequence[Held], now: datetime) -> None:
    same = {"action_id": spender.action_id, "attempt": spender.fence, "fence": spender.fence}
    same |= {"used": 0, "state": HELD, "created_at": now}
    rows = [same | {name: getattr(one, name) for name in Held.__slots__} for one in held]
    if rows:
        await tx.execute(_R.insert(), rows)


async def _close(tx: AsyncConnection, reservation: Reservation, held: Held, state: str, used: int) -> bool:
    """End one budget's part; return whether it was open. The fencing number is part of the condition."""
    r = _R.c
    mine = (r.action_id == reservation.action_id, r.attempt == reservation.attempt)
    one = (*mine, *(r[name] == getattr(held, name) for name in _PLACE if name != "since"))
    mark = update(_R).where(*one, r.fence == reservation.fence, r.state == HELD).values(state=state, used=used)
    if (await tx.execute(mark)).rowcount != 1:
        if (await tx.execute(select(r.fence).where(*one))).scalar() != reservation.fence:
            raise Fenced(f"What {reservation.action_id} holds was recovered by somebody with a newer number.")
        return False
    values = {"reserved": _U.c.reserved - held.amount, "used": _U.c.used + used}
    await tx.execute(update(_U).where(_at(held)).values(values))
    return True


async def _overdraft(tx: AsyncConnection, held: Held) -> list[Overdraft]:
    subjects = {held.level: held.subject}
    limits = [b.limit for b in await applicable(tx, subjects) if _same(b, held)]
    total = (await tx.execute(select(func.max(_U.c.used + _U.c.reserved)).where(_at(held)))).scalar_one()
    return [Overdraft(held, total - limit) for limit in limits if total > limit]


def _same(budget: Budget, held: Held) -> bool:
    return (budget.unit, budget.currency, budget.period) == (held.unit, held.currency, held.period)


def _at(held: Held) -> Any:
    return and_(*(_U.c[name] == getattr(held, name) for name in _PLACE))


def _held(row: Any) -> Held:
    words = (Level(row["level"]), row["subject"], Unit(row["unit"]), row["currency"], Period(row["period"]))
    return Held(*words, since=row["since"], amount=row["amount"])


def _reservation(rows: Sequence[Any]) -> Reservation:
    held = [_held(row) for row in rows]
    held.sort(key=lambda one: (list(Level).index(one.level), one.unit, one.currency, one.period))
    return Reservation(rows[0]["action_id"], rows[0]["attempt"], rows[0]["fence"], tuple(held))
