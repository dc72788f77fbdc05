"""What rewritten code calls at its crash points; imported in child processes only."""

from __future__ import annotations

import os
import signal
import time as system_time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from types import TracebackType
from typing import Any, TypeVar

from brody_agents.testing.hits import Hit, When

T = TypeVar("T")


class Visits:
    """Count the visits to points, and act at those that are to be hit."""

    def __init__(self, hits: Iterable[Hit] = ()) -> None:
        self.counts: Counter[tuple[str, When]] = Counter()
        self.offset = 0.0
        """Seconds by which the wall clock has jumped."""
        self._hits = {(hit.point, hit.when, hit.nth): hit for hit in hits}

    def __call__(self, point: str, when: When) -> None:
        """Note a visit, and do what is to be done at it."""
        self.counts[point, when] += 1
        hit = self._hits.get((point, when, self.counts[point, when]))
        if hit is None:
            return
        if hit.what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif hit.what == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        elif hit.what == "jump":
            self.offset += hit.seconds
        else:
            raise TimeoutError(f"The answer was lost: {point}.")


visits = Visits()
"""This process's: rewritten code has no other way to find it."""


def arm(hits: Iterable[Hit]) -> None:
    """Begin to count, and have these points hit."""
    visits.__init__(hits)  # type: ignore[misc]


def before(point: str, awaitable: Awaitable[T]) -> Awaitable[T]:
    """Stand between an awaitable and its ``await``."""
    visits(point, "before")
    return awaitable


def after(point: str, result: T) -> T:
    """Stand between an ``await`` and the use of its result."""
    visits(point, "after")
    return result


class around(AbstractAsyncContextManager[Any]):  # noqa: N801 - it stands for a call
    """Stand around the way into and out of an ``async with``."""

    def __init__(self, enter: str, leave: str, manager: AbstractAsyncContextManager[Any]) -> None:
        self._enter, self._leave, self._manager = enter, leave, manager

    async def __aenter__(self) -> Any:
        visits(self._enter, "before")
        value = await self._manager.__aenter__()
        try:
            visits(self._enter, "after")
        except BaseException as error:  # what was entered is left again: a lock must not be held for ever
            await self._manager.__aexit__(type(error), error, error.__traceback__)
            raise
        return value

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        visits(self._leave, "before")
        swallowed = await self._manager.__aexit__(kind, error, trace)
        visits(self._leave, "after")
        return swallowed


class each(AsyncIterator[T]):  # noqa: N801 - it stands for a call
    """Stand around every step of an ``async for``."""

    def __init__(self, point: str, iterable: Any) -> None:
        self._point, self._iterator = point, aiter(iterable)

    async def __anext__(self) -> T:
        visits(self._point, "before")
        item: T = await anext(self._iterator)
        visits(self._point, "after")
        return item


def now(kind: Any, *arguments: Any, **named: Any) -> Any:
    """Stand for ``datetime.now`` and ``datetime.utcnow``: the time after all jumps."""
    return kind(*arguments, **named) + timedelta(seconds=visits.offset)


def today(kind: Any) -> Any:
    """Stand for ``date.today``."""
    return kind.fromtimestamp(time())


def time() -> float:
    """Stand for ``time.time``."""
    return system_time.time() + visits.offset
