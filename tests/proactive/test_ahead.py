"""Reading ahead: the same things in the same order, the next one made meanwhile, and nothing left running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from brody_agents.proactive.ahead import ahead


class Source:
    """Give the numbers up to an end, or to an error, and note what was made."""

    def __init__(self, *numbers: int, error: Exception | None = None) -> None:
        self.numbers, self.error = numbers, error
        self.made: list[int] = []
        self.over = asyncio.Event()
        self.three = asyncio.Event()

    async def give(self) -> AsyncIterator[int]:
        try:
            for number in self.numbers:
                self.made.append(number)
                if len(self.made) == 3:
                    self.three.set()
                yield number
            if self.error:
                raise self.error
        finally:
            self.over.set()


async def test_everything_comes_in_its_order() -> None:
    async with aclosing(ahead(Source(1, 2, 3, 4).give())) as numbers:
        assert [number async for number in numbers] == [1, 2, 3, 4]


async def test_the_next_is_made_while_the_last_is_used_and_no_more() -> None:
    source = Source(1, 2, 3, 4, 5, 6)
    async with aclosing(ahead(source.give())) as numbers, asyncio.timeout(10):
        assert await anext(numbers) == 1
        await source.three.wait()  # one waits to be used, one waits for its place
        for _ in range(10):
            await asyncio.sleep(0)
        assert source.made == [1, 2, 3]


async def test_an_error_comes_after_what_was_made_before_it() -> None:
    async with aclosing(ahead(Source(1, 2, error=OSError("gone")).give())) as numbers:
        assert [await anext(numbers), await anext(numbers)] == [1, 2]
        with pytest.raises(OSError, match="gone"):
            await anext(numbers)


async def test_whoever_stops_early_leaves_nothing_running() -> None:
    source = Source(*range(10))
    before = asyncio.all_tasks()
    async with aclosing(ahead(source.give())) as numbers:
        await anext(numbers)
    assert asyncio.all_tasks() == before
