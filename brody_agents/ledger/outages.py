"""Outages: while the database is away, wait for it and go on from where one was.

What is tried again is a whole transaction, which left nothing behind, or a question. A commit whose answer was lost
may have succeeded: what is tried again must find that out by itself, as a turn and a result do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential_jitter

from brody_agents.ledger.ledger import LedgerBusy
from brody_agents.ledger.postgres import LedgerUnavailable
from brody_agents.observability import logger

log = logger(__name__)
T = TypeVar("T")
AWAY = (LedgerBusy, LedgerUnavailable)
"""What passes without anybody's doing; a full disk does not."""
_WAITED_FOR = (*AWAY, TimeoutError)
"""An answer that does not come is the database's, whatever is asked."""
_FIRST = 0.1
_WAIT = wait_exponential_jitter(multiplier=2 * _FIRST, max=2, jitter=_FIRST)


class Outages:
    """Ride outages of a database out, together: the log says once that it is away, and once that it is back."""

    def __init__(self) -> None:
        self._waiting = 0
        self._over = asyncio.Event()

    def give_up(self) -> None:
        """Wait for the database no more: from now on, what it says is raised."""
        self._over.set()

    async def ride_out(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do some work and return what it gives; while the database is away, do it again after a while."""
        try:
            return await work()
        except _WAITED_FOR as error:  # the policies below cost more than most questions, and are hardly ever needed
            self._note(error)
        try:
            await self._sleep(_FIRST)
            result = await self._again(work)
        finally:
            self._waiting -= 1
        if not self._waiting:
            log.warning("the database is back; the work goes on")
        return result

    def _note(self, error: BaseException) -> None:
        """Count who waits; that it is away is an error, since somebody may have to see to the server."""
        if not self._waiting:
            log.error("the database is away; the work goes on when it is back", error=str(error))
        self._waiting += 1

    async def _again(self, work: Callable[[], Awaitable[T]]) -> T:
        async def once_more() -> T:
            return await work()

        away = retry_if_exception_type(_WAITED_FOR)
        again = AsyncRetrying(retry=away, wait=_WAIT, stop=self._gives_up, sleep=self._sleep, reraise=True)
        return await again(once_more)

    def _gives_up(self, state: RetryCallState) -> bool:
        return self._over.is_set()

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), seconds)
