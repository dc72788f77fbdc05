"""Two scenarios without a framework: one writes a line exactly once however often it is killed, one does not."""

# These look at files between the awaits.
# ruff: noqa: ASYNC240

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path


async def careful(folder: Path) -> None:
    """Write a whole file beside and rename it."""
    async with opened(folder) as name:
        await write(name.with_suffix(".new"), "one\n")
        await asyncio.to_thread(name.with_suffix(".new").rename, name)


async def careless(folder: Path) -> None:
    """Append, and note afterwards that it was done."""
    if not (folder / "done").exists():
        with (folder / "lines").open("a") as file:
            file.write("one\n")
        await asyncio.sleep(0)
        await write(folder / "done", "x")


async def write(file: Path, text: str) -> None:
    async for part in parts(text):
        file.write_text(part)


async def parts(text: str) -> AsyncIterator[str]:
    for end in range(1, len(text) + 1):
        await asyncio.sleep(0)
        yield text[:end]


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Path]:
    yield folder / "lines"


async def endless(folder: Path) -> None:
    print("begun", flush=True)
    await asyncio.Event().wait()


async def failing(folder: Path) -> None:
    print("before")
    raise ValueError("this is what went wrong")


async def timed(folder: Path) -> None:
    """Write the time before and after a point."""
    before = datetime.now(UTC)
    await asyncio.sleep(0)
    (folder / "seconds").write_text(f"{(datetime.now(UTC) - before).total_seconds():.0f}")


async def never(folder: Path) -> None:
    await asyncio.sleep(1)


def lines(folder: Path) -> list[str]:
    """Look at the world of the scenarios."""
    return (folder / "lines").read_text().splitlines()
