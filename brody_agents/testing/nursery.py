"""The process that children are forked from: it imports everything once, rewritten, so that a child starts at once.

Run as ``python -m brody_agents.testing.nursery``. It reads one JSON object a line and answers in the same form: first
``{"path", "modules", "preload", "scenario"}``, answered with ``{"ready"}``; then for each child ``{"folder", "output",
"environment", "hits"}``, answered with ``{"pid"}``, with ``{"stopped"}`` whenever SIGSTOP has stopped the child, and
with ``{"code"}`` when it has ended.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Coroutine
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from brody_agents.testing import hooks, rewriting
from brody_agents.testing.hits import Hit

Scenario = Callable[[Path], Coroutine[Any, Any, None]]
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve until the other side closes the pipe, or dies."""
    _end_with_parent()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what an import prints is no answer
    order = json.loads(sys.stdin.readline())
    scenario = _prepared(order)
    _say(answers, {"ready": True})
    gc.freeze()
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            _live(scenario, order)
        _say(answers, {"pid": child})
        _watch(child, answers)
        _learn(Path(f"{order['output']}.modules"))


def _prepared(order: dict[str, Any]) -> Scenario:
    sys.path[:] = order["path"]
    rewriting.install(order["modules"])
    name, file, attribute = order["scenario"]
    found: Any = _module(name, Path(file))
    for needed in order["preload"] if "brody_agents.brody" in sys.modules else ():
        with suppress(ImportError):
            import_module(needed)
    for part in attribute.split("."):
        found = getattr(found, part)
    scenario: Scenario = found
    return scenario


def _module(name: str, file: Path) -> Any:
    """Return a module by its name if that leads to the file, else from the file itself."""
    with suppress(ImportError, ValueError):
        spec = find_spec(name)
        if spec is not None and spec.origin and Path(spec.origin).samefile(file):
            return import_module(name)
    return rewriting.load(name, file)


def _end_with_parent() -> None:
    """Leave no process behind, not even a stopped one, where the system can see to it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _watch(child: int, answers: Any) -> None:
    while True:
        _, status = os.waitpid(child, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            return _say(answers, {"code": os.waitstatus_to_exitcode(status)})
        _say(answers, {"stopped": True})


def _learn(file: Path) -> None:
    """Import what a child has imported, so that the next ones need not."""
    if not file.exists():
        return
    for name in file.read_text().split():
        if name not in sys.modules:
            with suppress(Exception):  # it may not be importable here; then each child imports it for itself
                import_module(name)
    file.unlink()
    gc.freeze()


def _say(answers: Any, what: dict[str, Any]) -> None:
    answers.write(json.dumps(what) + "\n")
    answers.flush()


def _live(scenario: Scenario, order: dict[str, Any]) -> None:
    """Be the child: run the scenario and end; never return to what the nursery does."""
    code, known = 1, set(sys.modules)
    try:
        _end_with_parent()
        output = order["output"]
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for descriptor, ending in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{output}.{ending}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), descriptor)
        os.environ.update(order["environment"])
        hooks.arm(Hit(**hit) for hit in order["hits"])
        asyncio.run(scenario(Path(order["folder"])))
        code = 0
    except BaseException:  # whatever it is, the other side reads it
        traceback.print_exc()
    finally:
        counts = [[point, when, count] for (point, when), count in hooks.visits.counts.items()]
        Path(f"{order['output']}.visits").write_text(json.dumps(counts))
        Path(f"{order['output']}.modules").write_text(" ".join(sys.modules.keys() - known))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
