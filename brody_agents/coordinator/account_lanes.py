"""Accounts side by side: what is done on one account is done in order, and one that hangs holds up no other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine


class AccountLanes:
    """Run one task an account, for at most ``places`` accounts at a time; ``wake`` is called when a place is free."""

    def __init__(self, places: int, wake: Callable[[], None]) -> None:
        self._places = places
        self._wake = wake
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._hanging: set[str] = set()
        self._broken: BaseException | None = None

    @property
    def busy(self) -> frozenset[str]:
        """Return the accounts on which something is under way."""
        return frozenset(self._tasks)

    @property
    def free(self) -> int:
        """Return how many more accounts may be worked on now."""
        return max(self._places - len(self._tasks) + len(self._hanging), 0)

    def start(self, account: str, work: Coroutine[None, None, None]) -> None:
        """Work on an account that is not busy."""
        task = self._tasks[account] = asyncio.create_task(work)
        task.add_done_callback(lambda ended: self._ended(account, ended))

    def hangs(self, account: str) -> None:
        """Give the place of an account to another one; it stays busy until its task ends."""
        self._hanging.add(account)
        self._wake()

    def check(self) -> None:
        """Raise what ended a task, if something did."""
        if self._broken is not None:
            raise self._broken

    async def close(self) -> None:
        """Wait for the tasks under way, but not for accounts that hang."""
        for account in self._hanging:
            self._tasks[account].cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values())

    def _ended(self, account: str, task: asyncio.Task[None]) -> None:
        del self._tasks[account]
        self._hanging.discard(account)
        if not task.cancelled() and (error := task.exception()):
            self._broken = error
        self._wake()
