"""The resource manager: what an effect may use, and whether its provider account can be called now.

Around an effect, in this order::

    admission = await manager.admit(account)                  # rate window and circuit breaker; outside of transactions
    async with ledger.write() as tx:                          # the intent's transaction
        reservation = await manager.reserve(tx, spender, wants)
    … the effect …
    await manager.report(admission, failure)                  # ``None`` when the account has answered
    async with ledger.write() as tx:                          # the result's transaction
        await manager.settle(tx, reservation, actuals)        # or release, if nothing was used

Budgets and leases lie in the ledger, rate windows in Redis: losing it never hands out a budget twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.coordinator.circuit_breaker import CircuitBreakers, Patience, is_outage
from brody_agents.coordinator.rate_windows import LocalWindow, Rate, Window, rate_of
from brody_agents.errors import ConfigurationError, Denied
from brody_agents.ledger import leases, reservations
from brody_agents.ledger.budgets import Unit
from brody_agents.ledger.leases import Lease
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.reservations import Overdraft, Reservation, Spender, Want

__all__ = ["Admission", "Patience", "Rate", "Reservation", "ResourceManager", "Spender", "Unit", "Want"]

Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Admission:
    """The leave to call an account once; ``probe`` is set where the call tries an account that kept failing."""

    account: str
    waited: float = 0.0
    probe: int | None = None


class ResourceManager:
    """Keep effects and model calls within budgets, rates, leases and circuit breakers.

    ``rates`` maps an account, or the word before its colon, to its rate; ``clock`` gives the wall clock, in UTC.
    """

    def __init__(
        self,
        ledger: Ledger,
        window: Window | None = None,
        *,
        rates: Mapping[str, Rate] | None = None,
        patience: Patience | None = None,
        clock: Clock = _now,
    ) -> None:
        self._ledger = ledger
        self._window = window or LocalWindow()
        self._rates = dict(rates or {})
        self._breakers = CircuitBreakers(ledger, patience)
        self._clock = clock

    # -- budgets: in the caller's transaction ---------------------------------------------------------

    async def reserve(self, tx: AsyncConnection, spender: Spender, wants: Sequence[Want]) -> Reservation:
        """Hold an attempt's estimates in all its budgets, or nothing: then ``Denied`` says which, and when it frees.

        The same attempt gets the same reservation again. Raises ``Unsettled`` beside an open earlier attempt (see
        ``recover``), ``Fenced`` after a later one, ``WrongCurrency`` where money is budgeted in others only.
        """
        return await reservations.reserve(tx, spender, wants, self._clock())

    async def settle(
        self, tx: AsyncConnection, reservation: Reservation, actuals: Mapping[Unit, int] | None = None
    ) -> list[Overdraft]:
        """Write what was used; a unit without an actual has used its estimate. Return what is overdrawn by it."""
        return await reservations.settle(tx, reservation, actuals)

    async def release(self, tx: AsyncConnection, reservation: Reservation) -> None:
        """Give all of it back, nothing having been used."""
        await reservations.release(tx, reservation)

    async def recover(self, tx: AsyncConnection, action_id: str, fence: int) -> Reservation | None:
        """Take over what a dead attempt holds, to settle or release it; ``None`` where it holds nothing."""
        return await reservations.recover(tx, action_id, fence)

    async def stranded(self, tx: AsyncConnection, older_than: timedelta) -> list[Reservation]:
        """Return reservations that have been open for long: candidates for ``recover``."""
        return await reservations.stranded(tx, self._clock() - older_than)

    # -- accounts: outside of transactions ------------------------------------------------------------

    async def admit(self, account: str, amount: int = 1, *, patience: float = 0.0) -> Admission:
        """Give leave to call an account now, having waited up to ``patience`` seconds for its rate window.

        Raises ``Denied`` with ``retry_after`` where the window needs longer or the circuit breaker is open. Every
        admission is to be reported. Call it outside of the ledger's transactions: it may wait, and write.
        """
        probe = await self._breakers.enter(account, self._clock())  # first: who is refused uses up no window
        try:
            waited = await self._wait(account, amount, patience)
        except BaseException:
            await self._breakers.leave(account, probe)
            raise
        return Admission(account, waited, probe)

    async def report(self, admission: Admission, failure: BaseException | None = None) -> None:
        """Say how a call ended: errors that may pass count against the account; a refusal is an answer.

        A failure's ``retry_after`` (seconds, as in HTTP's Retry-After, RFC 9110) opens the breaker for that long.
        """
        if failure is None or not is_outage(failure):
            await self._breakers.succeeded(admission.account, admission.probe)
        else:
            told = getattr(failure, "retry_after", None)
            await self._breakers.failed(admission.account, admission.probe, self._clock(), told)

    async def withdraw(self, admission: Admission) -> None:
        """Give an admission back that was not used, so that nothing is learned of the account."""
        await self._breakers.leave(admission.account, admission.probe)

    @asynccontextmanager
    async def calling(self, account: str, *, patience: float = 0.0) -> AsyncIterator[Admission]:
        """Call an account in a block: admitted before it, reported after it. Raises ``Denied``."""
        admission = await self.admit(account, patience=patience)
        try:
            yield admission
        except Exception as error:
            await self.report(admission, error)
            raise
        except BaseException:
            await self.withdraw(admission)
            raise
        await self.report(admission)

    async def _wait(self, account: str, amount: int, patience: float) -> float:
        rate = rate_of(self._rates, account)
        if rate is None:
            return 0.0
        if amount > rate.limit:
            what = f"{amount} at once is more than the rate of {account} ever allows ({rate.limit})."
            raise ConfigurationError(what, "Split the call.")
        began = time.monotonic()
        while (wait := await self._window.take(account, rate, amount)) > 0:
            if time.monotonic() - began + wait > patience:
                raise self._too_fast(account, rate, wait)
            await asyncio.sleep(wait)
        return time.monotonic() - began

    def _too_fast(self, account: str, rate: Rate, wait: float) -> Denied:
        what = f"{account} may be called {rate.limit} times in {rate.seconds:g} seconds, and was."
        frees_at = self._clock() + timedelta(seconds=wait)
        remedy = f"There is room again in {wait:.1f} seconds."
        return Denied(what, remedy, budget=f"rate/{account}", left=0, frees_at=frees_at, retry_after=wait)

    # -- exclusive resources ----------------------------------------------------------------------------

    @asynccontextmanager
    async def lease(self, resource: str, holder: str, ttl: timedelta) -> AsyncIterator[Lease]:
        """Hold a resource for a block; raise ``LeaseHeld``. Check it in every transaction that writes under it.

        It is not renewed by itself: use ``leases.renew`` when the work takes longer than ``ttl``.
        """
        async with self._ledger.write() as tx:
            lease = await leases.acquire(tx, resource, holder, ttl, self._clock())
        try:
            yield lease
        finally:
            async with self._ledger.write() as tx:
                await leases.release(tx, lease)
