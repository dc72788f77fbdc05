"""Make the next thing while the last one is used: so the pool parses a page while the one before it is committed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

T = TypeVar("T")


async def ahead(made: AsyncIterator[T]) -> AsyncGenerator[T]:
    """Yield what an iterator gives, which goes on meanwhile, one thing ahead of what was asked for.

    It runs in one task of its own. What it raises comes after all that it gave before. Close this generator: that
    ends the task.
    """
    ready: asyncio.Queue[tuple[T] | Exception | None] = asyncio.Queue(maxsize=1)

    async def make() -> None:
        end: Exception | None = None
        try:
            async for one in made:
                await ready.put((one,))
        except Exception as error:
            end = error
        await ready.put(end)

    making = asyncio.create_task(make(), name="reading ahead")
    try:
        while isinstance(found := await ready.get(), tuple):
            yield found[0]
        if found is not None:
            raise found
    finally:
        making.cancel()
        await asyncio.gather(making, return_exceptions=True)
