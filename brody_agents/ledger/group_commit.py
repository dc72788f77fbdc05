"""Group commit: what many want to write at the same time goes into one transaction, so that they share its fsync."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.ledger.ledger import Ledger

T = TypeVar("T")
Work = Callable[[AsyncConnection], Awaitable[T]]
BATCH = 64


class GroupCommit:
    """Write to a ledger; whoever comes while a transaction is under way shares the next one."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: list[tuple[Work[Any], asyncio.Future[Any]]] = []
        self._turn = asyncio.Lock()

    async def write(self, work: Work[T]) -> T:
        """Do some work in a transaction and return what it gave, once it is on disk.

        What the work raises undoes the work alone; what the ledger raises undoes all of the transaction's.
        """
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, done))
        try:
            async with self._turn:
                if not done.done():
                    await asyncio.shield(self._commit())  # whoever else is in the group needs its end
            return await done
        except asyncio.CancelledError:
            done.cancel()  # what has not begun is not done for nobody
            raise

    async def _commit(self) -> None:
        waiting = [one for one in self._waiting if not one[1].cancelled()]
        group, self._waiting = waiting[:BATCH], waiting[BATCH:]
        try:
            async with self._ledger.write() as tx:
                alone = len(group) == 1  # then the transaction is what undoes it
                outcomes = [await (work(tx) if alone else _tried(tx, work)) for work, _ in group]
        except Exception as error:
            outcomes = [error] * len(group)
        for (_, done), outcome in zip(group, outcomes, strict=True):
            if not done.cancelled():
                done.set_exception(outcome) if isinstance(outcome, Exception) else done.set_result(outcome)


async def _tried(tx: AsyncConnection, work: Work[Any]) -> Any:
    try:
        async with tx.begin_nested():
            return await work(tx)
    except DBAPIError:
        raise  # the ledger's fault
    except Exception as error:
        return error
