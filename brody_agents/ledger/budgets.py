"""Budgets: how much of a unit a provider account, workspace, user or run may use in a period.

Amounts are integers; money is in micro-units of its currency (1 EUR is 1,000,000), so that no sum is ever rounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.errors import ConfigurationError, NotFound
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.statements import table, upsert, whole_id
from brody_agents.ledger.tables import BudgetLimit, BudgetReservation, BudgetUse

EACH = "*"
"""The subject of a budget that each one has who has none of their own."""
MICRO = 1_000_000
LARGEST = 10**15
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
"""When a budget without a period began."""

Word = TypeVar("Word", bound=StrEnum)
_B = table(BudgetLimit).c
_U = table(BudgetUse).c
_R = table(BudgetReservation).c


class Level(StrEnum):
    """Whose budget it is, in the order in which budgets are reserved."""

    PROVIDER = "provider"
    WORKSPACE = "workspace"
    USER = "user"
    RUN = "run"


class Unit(StrEnum):
    """What is counted. ``quota`` is a provider's own unit; ``slots`` are held while work runs and never used up."""

    TOKENS = "tokens"
    MONEY = "money"
    QUOTA = "quota"
    CALLS = "calls"
    SLOTS = "slots"


class Period(StrEnum):
    """After which time a budget is full again; days and months begin in the budget's zone."""

    NONE = "none"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit of a unit for one subject of a level, or for each one (``*``)."""

    level: Level
    subject: str
    unit: Unit
    limit: int
    period: Period = Period.NONE
    currency: str = ""
    timezone: str = "UTC"

    @property
    def id(self) -> str:
        """Return what tells it from other budgets: all but the limit and the zone."""
        return "/".join(filter(None, (self.level, self.subject, self.unit, self.currency, self.period)))

    @property
    def words(self) -> str:
        """Return it in words, such as ``20.00 EUR a month for user ada``."""
        per = "" if self.period is Period.NONE else f" {'an' if self.period is Period.HOUR else 'a'} {self.period}"
        whom = f"each {self.level}" if self.subject == EACH else f"{self.level} {self.subject}"
        return f"{self.shown(self.limit)}{per} for {whom}"

    def shown(self, amount: int) -> str:
        """Return an amount of its unit in words."""
        return amount_in_words(amount, self.unit, self.currency)

    def window(self, now: datetime) -> tuple[datetime, datetime | None]:
        """Return when the period that ``now`` lies in began, and when it ends."""
        return window(self.period, ZoneInfo(self.timezone), now)


@dataclass(frozen=True, slots=True)
class Usage:
    """How much of a budget is used and reserved in the period that runs now; ``left`` may be negative."""

    budget: Budget
    subject: str
    used: int
    reserved: int
    since: datetime
    until: datetime | None

    @property
    def left(self) -> int:
        """Return what can still be reserved; below zero where more was used than estimated."""
        return self.budget.limit - self.used - self.reserved


def window(period: Period, zone: ZoneInfo, now: datetime) -> tuple[datetime, datetime | None]:
    """Return the beginning and the end of a period, as instants in UTC; one without a period has no end."""
    if period is Period.NONE:
        return ALWAYS, None
    if period is Period.HOUR:
        hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        return hour, hour + timedelta(hours=1)
    first = now.astimezone(zone).date()
    if period is Period.MONTH:
        first = first.replace(day=1)
    after = first + timedelta(days=1 if period is Period.DAY else 32)
    if period is Period.MONTH:
        after = after.replace(day=1)
    began, ends = (datetime.combine(day, time.min, zone).astimezone(UTC) for day in (first, after))
    return began, ends


def amount_in_words(amount: int, unit: Unit, currency: str = "") -> str:
    """Return an amount for people; money exactly, with two decimals at least."""
    if unit is not Unit.MONEY:
        return f"{amount:,} {unit if amount != 1 or unit is Unit.QUOTA else unit.removesuffix('s')}"
    whole, _, part = f"{Decimal(amount) / MICRO:,f}".partition(".")
    return f"{whole}.{part.rstrip('0').ljust(2, '0')} {currency}"


def amount_of(text: str, unit: Unit) -> int:
    """Return the amount that a person wrote; money as in ``12.50``, all else whole."""
    try:
        amount = Decimal(text) * (MICRO if unit is Unit.MONEY else 1)
        if amount == int(amount):
            return int(amount)
    except (InvalidOperation, OverflowError, ValueError):
        pass
    example = "an amount with six decimals at most, such as 12.50" if unit is Unit.MONEY else "a whole number"
    raise ConfigurationError(f"{text!r} is no limit of {unit}.", f"Give {example}.")


async def applicable(tx: AsyncConnection, subjects: dict[Level, str]) -> list[Budget]:
    """Return the budgets of these subjects in the order of reserving; one of their own stands before ``each``."""
    query = select(table(BudgetLimit)).where(_B.level.in_(subjects), _B.subject.in_([*subjects.values(), EACH]))
    found: dict[tuple[Any, ...], Budget] = {}
    for budget in _budgets((await tx.execute(query)).mappings()):
        place = (list(Level).index(budget.level), budget.unit, budget.currency, budget.period)
        if budget.subject == subjects[budget.level] or (budget.subject == EACH and place not in found):
            found[place] = budget
    return [found[place] for place in sorted(found)]


async def prune(tx: AsyncConnection, before: datetime) -> int:
    """Remove what was reserved and used in periods that are long over; return how many rows there were."""
    old = table(BudgetReservation).delete().where(_R.state != "held", _R.created_at < before)
    # a row of use without a period is the budget itself, however old it is
    past = table(BudgetUse).delete().where(_U.period != Period.NONE, _U.since < before, _U.reserved == 0)
    return sum([(await tx.execute(statement)).rowcount for statement in (old, past)])


Listed = list[Budget]


class Budgets:
    """The budgets of a ledger; ``brody.budgets``."""

    def __init__(self, ledger: Ledger, timezone: str = "UTC") -> None:
        self._ledger = ledger
        self._timezone = timezone

    async def list(self, subject: str | None = None) -> Listed:
        """Return the budgets, of one subject or all, in the order in which they are reserved."""
        query = select(table(BudgetLimit)).order_by(_B.subject, _B.unit, _B.currency, _B.period)
        if subject is not None:
            query = query.where(_B.subject == subject)
        async with self._ledger.read() as tx:
            found = list(_budgets((await tx.execute(query)).mappings()))
        return sorted(found, key=lambda budget: list(Level).index(budget.level))

    async def set(
        self,
        level: str,
        subject: str,
        unit: str,
        limit: int,
        *,
        period: str = Period.NONE,
        currency: str = "",
        timezone: str | None = None,
    ) -> Budget:
        """Set a limit, in the place of an earlier one; what was used stays. Money is in micro-units.

        ``timezone`` says when days and months begin. Raises ``ConfigurationError`` for what is no budget.
        """
        words = (_one_of(Level, level), subject, _one_of(Unit, unit), limit, _one_of(Period, period), currency)
        budget = _checked(Budget(*words, timezone=timezone or self._timezone))
        row = {name: getattr(budget, name) for name in ("id", *Budget.__slots__)} | {"updated_at": datetime.now(UTC)}
        async with self._ledger.write() as tx:
            await tx.execute(upsert(tx, BudgetLimit), [row])
        return budget

    async def remove(self, budget_id: str) -> Budget:
        """Remove the budget with an id, or with the beginning of one; raise ``NotFound``."""
        async with self._ledger.write() as tx:
            whole = await whole_id(tx, _B.id, budget_id)
            rows = await tx.execute(select(table(BudgetLimit)).where(_B.id == whole))
            for budget in _budgets(rows.mappings()):
                await tx.execute(table(BudgetLimit).delete().where(_B.id == whole))
                return budget
        raise NotFound(f"There is no budget {budget_id}.", "See: brody budgets list")

    async def usage(self, subject: str | None = None, *, now: datetime | None = None) -> Usages:
        """Return how much of each budget is used in the period that runs; of ``*``, for each who has used it."""
        at = now or datetime.now(UTC)
        found: Usages = []
        budgets = await self.list()
        own = {budget.id for budget in budgets if budget.subject != EACH}
        async with self._ledger.read() as tx:
            for budget in budgets:
                found += await _usage(tx, budget, at, own)
        return [usage for usage in found if subject is None or usage.subject == subject]


Usages = list[Usage]


async def _usage(tx: AsyncConnection, budget: Budget, now: datetime, own: set[str]) -> Usages:
    since, until = budget.window(now)
    rows = await tx.execute(_uses(budget, since))
    of = {row.subject: Usage(budget, row.subject, row.used, row.reserved, since, until) for row in rows}
    if budget.subject != EACH:
        return [of.get(budget.subject, Usage(budget, budget.subject, 0, 0, since, until))]
    theirs = {subject: Budget(budget.level, subject, budget.unit, 0, budget.period, budget.currency) for subject in of}
    return [usage for subject, usage in of.items() if theirs[subject].id not in own]


def _uses(budget: Budget, since: datetime) -> Select[tuple[str, int, int]]:
    same = [_U[name] == getattr(budget, name) for name in ("level", "unit", "currency", "period")]
    query = select(_U.subject, _U.used, _U.reserved).where(*same, _U.since == since).order_by(_U.subject)
    return query if budget.subject == EACH else query.where(_U.subject == budget.subject)


def _budgets(rows: Iterable[Any]) -> Iterable[Budget]:
    for row in rows:
        budget = {name: row[name] for name in Budget.__slots__}
        words = {"level": Level(row["level"]), "unit": Unit(row["unit"]), "period": Period(row["period"])}
        yield Budget(**budget | words)


def _one_of(words: type[Word], text: str) -> Word:
    try:
        return words(text)
    except ValueError:
        remedy = f"Use one of: {', '.join(words)}."
        raise ConfigurationError(f"{text!r} is no {words.__name__.lower()}.", remedy) from None


def _checked(budget: Budget) -> Budget:
    """Return a budget that can be kept, or say what is wrong with it."""
    money = budget.unit is Unit.MONEY
    if not 0 <= budget.limit <= LARGEST:
        raise ConfigurationError(f"A limit of {budget.limit} is out of reach.", f"Give one from 0 to {LARGEST}.")
    if not 1 <= len(budget.subject) <= 512:
        raise ConfigurationError("A budget needs a subject.", f"Name whose it is, or {EACH} for each.")
    if money != bool(re.fullmatch("[A-Z]{3}", budget.currency)):
        remedy = "Give its code of three letters (ISO 4217), such as EUR." if money else "Only money has one."
        raise ConfigurationError(f"{budget.currency!r} is no currency of {budget.unit}.", remedy)
    if budget.unit is Unit.SLOTS and budget.period is not Period.NONE:
        raise ConfigurationError("Slots are held, not used up.", "Give them no period.")
    if budget.unit is Unit.QUOTA and budget.level is not Level.PROVIDER:
        raise ConfigurationError("Quota units are a provider's own.", "Set them at the level provider.")
    try:
        ZoneInfo(budget.timezone)
    except (KeyError, ValueError, OSError):
        what = f"There is no time zone {budget.timezone!r}."
        raise ConfigurationError(what, "Use one such as Europe/Berlin.") from None
    return budget
