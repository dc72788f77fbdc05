"""Pure CPU work beside the event loop: a pool of processes, made when it is first worth it."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")
CHUNK = 64
WORTH_IT = 1500
"""Items below which a pool costs more (its processes start in about 0.5 s of CPU time each) than it gives."""


class Pool:
    """Run pure module-level functions in processes, or in a thread where there is little to do.

    ``workers=0`` never makes a process. Processes are started afresh, not forked from the running program.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._executor: ProcessPoolExecutor | None = None

    async def call(self, function: Callable[..., R], *arguments: Any) -> R:
        """Run one call: in the pool if it is up, else in a thread."""
        if self._executor is not None and function.__module__ != "__main__":
            try:
                with _main_hidden(), _interrupts_held_back():
                    result = asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)
                return await result
            except BrokenExecutor:  # a process of it was killed, as a system does that is short of memory
                self._executor, self._workers = None, 0
        return await asyncio.to_thread(function, *arguments)

    async def map(self, function: Callable[..., list[R]], items: Sequence[T], expected: int, *more: Any) -> list[R]:
        """Run a function over chunks of a list side by side and return the results in order.

        It gets a chunk and ``more``. ``expected`` is how many items there may be in all calls together; it decides
        whether processes are started.
        """
        if self._executor is None and self._workers > 0 and expected >= WORTH_IT:
            context = multiprocessing.get_context("spawn")
            self._executor = ProcessPoolExecutor(self._workers, mp_context=context, initializer=_begin)
        chunks = [items[i : i + CHUNK] for i in range(0, len(items), CHUNK)]
        results = await asyncio.gather(*(self.call(function, chunk, *more) for chunk in chunks))
        return [result for part in results for result in part]

    async def close(self) -> None:
        """End the processes."""
        if self._executor is not None:
            executor, self._executor = self._executor, None
            await asyncio.to_thread(executor.shutdown, cancel_futures=True)


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Keep new processes from running the program's main module again.

    Multiprocessing imports it in every process, and so a script without a ``__main__`` guard would start itself over
    and over. Functions of the main module are not sent to the pool, so no process needs it.
    """
    main = sys.modules["__main__"]
    names = [name for name in ("__file__", "__spec__") if name in vars(main)]
    hidden: dict[str, Any] = {name: vars(main).pop(name) for name in names}
    main.__spec__ = None
    try:
        yield
    finally:
        vars(main).update(hidden)


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Start new processes deaf to Ctrl-C, which a terminal sends to all: their parent hears it, and ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin() -> None:
    """Make ready a process of a pool."""
    gc.set_threshold(20_000, 20, 20)  # it makes and drops thousands of objects at a time, hardly ever in cycles
    _end_with_parent()


def _end_with_parent() -> None:
    """Have this process of a pool end when its parent is gone; one that was killed tells nobody."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="end with parent").start()
