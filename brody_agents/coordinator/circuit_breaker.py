"""A circuit breaker for each provider account: leave an account alone that keeps failing, then try it once.

Its state lies in the ledger, where all workers see it: it changes only when something fails, and an account that has
asked for an hour of peace must have it through restarts and a lost Redis.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, or_, select, update

from brody_agents.errors import BrodyError, Denied, Retryable, Stale
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.statements import insert_new, table
from brody_agents.ledger.tables import Breaker

_T = table(Breaker)
_B = _T.c


@dataclass(frozen=True, slots=True)
class Patience:
    """When a breaker opens and for how long: ``pause`` doubles with each opening in a row, up to ``longest``."""

    failures: int = 5
    pause: timedelta = timedelta(seconds=10)
    longest: timedelta = timedelta(minutes=10)
    probe: timedelta = timedelta(minutes=1)
    """How long a probe may take before another worker may make one."""

    def after(self, trips: int) -> timedelta:
        """Return the pause after so many openings in a row, the first being 0."""
        doubled: int = 2 ** min(trips, 20)
        return min(self.pause * doubled, self.longest)


class CircuitBreakers:
    """The circuit breakers of a ledger: closed, open for a while, then half-open for one probe at a time."""

    def __init__(self, ledger: Ledger, patience: Patience | None = None) -> None:
        self._ledger = ledger
        self._patience = patience or Patience()

    async def enter(self, account: str, now: datetime) -> int | None:
        """Return ``None`` where the account is in order, else the number of the one probe; raise ``Denied``."""
        async with self._ledger.glance() as tx:
            row = (await tx.execute(select(_T).where(_B.account == account))).mappings().first()
        if row is None or row["open_until"] is None:
            return None
        if row["open_until"] > now:
            raise _denied(account, row["open_until"], now)
        async with self._ledger.write() as tx:
            free = or_(_B.probe_until.is_(None), _B.probe_until <= now)
            probe = update(_T).where(_B.account == account, _B.open_until <= now, free)
            probe = probe.values(probe=_B.probe + 1, probe_until=now + self._patience.probe)
            number: int | None = (await tx.execute(probe.returning(_B.probe))).scalar_one_or_none()
        if number is None:
            raise _denied(account, row["probe_until"] or now + self._patience.probe, now, probed=True)
        return number

    async def leave(self, account: str, probe: int | None) -> None:
        """Give a probe back that was not made, so that somebody else can make it."""
        if probe is not None:
            async with self._ledger.write() as tx:
                mine = update(_T).where(_B.account == account, _B.probe == probe)
                await tx.execute(mine.values(probe_until=None))

    async def succeeded(self, account: str, probe: int | None) -> None:
        """Note that the account has answered; it closes the breaker if this was its probe."""
        async with self._ledger.glance() as tx:
            if not (await tx.execute(select(_B.account).where(*_troubled(account)))).first():
                return  # as nearly always: nothing to write
        closed = {"failures": 0, "trips": 0, "open_until": None, "probe_until": None}
        async with self._ledger.write() as tx:
            of_probe = _B.open_until.is_(None) if probe is None else _B.probe == probe
            await tx.execute(update(_T).where(_B.account == account, of_probe).values(closed))

    async def failed(self, account: str, probe: int | None, now: datetime, retry_after: float | None = None) -> None:
        """Count a failure in a row; open at the limit, after a failed probe, and when told to wait (Retry-After)."""
        async with self._ledger.write() as tx:
            empty = {"account": account, "failures": 0, "trips": 0, "probe": 0, "open_until": None, "probe_until": None}
            await tx.execute(insert_new(tx, Breaker), [empty])
            counted = update(_T).where(_B.account == account).values(failures=_B.failures + 1)
            await tx.execute(counted)
            row = (await tx.execute(select(_T).where(_B.account == account))).mappings().one()
            opening = self._opening(dict(row), probe, now, retry_after)
            if opening:
                await tx.execute(update(_T).where(_B.account == account).values(opening))

    def _opening(
        self, row: dict[str, Any], probe: int | None, now: datetime, retry_after: float | None
    ) -> dict[str, Any]:
        """Return what changes in a breaker by a failure; nothing where it stays as it is."""
        told = None if retry_after is None else now + timedelta(seconds=retry_after)
        if row["open_until"] is not None and probe != row["probe"]:  # a call from before: it can only prolong
            return {"open_until": told} if told and told > row["open_until"] else {}
        if told is None and row["open_until"] is None and row["failures"] < self._patience.failures:
            return {}
        until = max(filter(None, (told, now + self._patience.after(row["trips"]))))
        return {"open_until": until, "probe_until": None, "trips": row["trips"] + 1}


def is_outage(failure: BaseException) -> bool:
    """Say whether a failure is the account's: one that may pass. A refusal is an answer, so the account works."""
    if isinstance(failure, BrodyError):
        return isinstance(failure, Retryable) and not isinstance(failure, (Stale, Denied))
    return isinstance(failure, (OSError, TimeoutError))


def _troubled(account: str) -> tuple[ColumnElement[bool], ...]:
    return _B.account == account, or_(_B.failures > 0, _B.open_until.is_not(None))


def _denied(account: str, until: datetime, now: datetime, *, probed: bool = False) -> Denied:
    why = "is being tried by one call after it kept failing" if probed else "keeps failing and is left alone"
    remedy = f"It is tried again at {until:%H:%M:%S} UTC."
    seconds = max((until - now).total_seconds(), 0.0)
    return Denied(f"{account} {why}.", remedy, budget=f"breaker/{account}", frees_at=until, retry_after=seconds)
