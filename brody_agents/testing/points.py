"""Crash points: every place where a coroutine waits, found in the source and named so that the name lasts.

A point is an ``await``, the way into or out of an ``async with``, or a step of an ``async for``. Its name is made of
module, function and what is awaited, never of a line: it changes when the code that it names changes.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from brody_agents.errors import ConfigurationError

Kind = Literal["await", "enter", "exit", "next"]
FRAMEWORK = (
    "brody_agents.coordinator",
    "brody_agents.communication.bus",
    "brody_agents.communication.context_sharing",
    "brody_agents.ledger",
    "brody_agents.policy",
    "brody_agents.integrations",
)
"""Whose awaits lie between reading a message and acknowledging it, or in the executor."""
Module = str | Path | ModuleType
"""A module or package by name, by file, or as it was imported."""
_LONGEST = 60


class NoSuchModule(ConfigurationError):
    """A module whose crash points are wanted has no source that can be found."""

    code = "no_such_module"


@dataclass(frozen=True, slots=True, order=True)
class CrashPoint:
    """A place where a coroutine waits; ``ordinal`` tells those apart that are alike in one function, from 1."""

    module: str
    function: str
    kind: Kind
    call: str
    """What is awaited, without its arguments: ``self._bus.read``."""
    ordinal: int = 1
    line: int = field(default=0, compare=False)

    @property
    def name(self) -> str:
        """Return the name: ``my_agent:Clerk.on_mail await ctx.mail.find#2``."""
        ordinal = f"#{self.ordinal}" if self.ordinal > 1 else ""
        return f"{self.module}:{self.function} {self.kind} {self.call}{ordinal}"

    def __str__(self) -> str:
        return self.name


def crash_points(modules: Iterable[Module] = (), *, framework: bool = True) -> list[CrashPoint]:
    """Return the crash points of modules and packages, in the order of their source, after the framework's own.

    Nothing is imported but the parents of what is named. Raises ``NoSuchModule`` for what has no source.
    """
    wanted: list[Module] = [*(FRAMEWORK if framework else ()), *modules]
    sources = dict(pair for module in wanted for pair in sources_of(module))
    return [point for name, file in sources.items() for point in _points_in(name, file)]


def sources_of(module: Module) -> Iterator[tuple[str, Path]]:
    """Yield the name and the file of a module and, if it is a package, of all that it contains."""
    name, file = _place(module)
    if file.name != "__init__.py":
        yield name, file
        return
    for path in sorted(file.parent.rglob("*.py")):
        parts = path.relative_to(file.parent).with_suffix("").parts
        yield ".".join((name, *(part for part in parts if part != "__init__"))), path


def _place(module: Module) -> tuple[str, Path]:
    if isinstance(module, Path):
        if not module.is_file():
            raise NoSuchModule(f"There is no file {module}.", "Name a module that Python finds, or its file.")
        return module.stem, module
    if isinstance(module, ModuleType):
        file = getattr(module, "__file__", None)
        if file is not None:  # a program's main module is known by the name of its file
            return Path(file).stem if module.__name__ == "__main__" else module.__name__, Path(file)
    name = module.__name__ if isinstance(module, ModuleType) else module
    loaded = sys.modules.get(name)
    if name == "__main__" and loaded is not None:
        return _place(loaded)
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        raise NoSuchModule(f"There is no source of a module {name!r}.", "Name a module that Python finds, or its file.")
    return name, Path(spec.origin)


@cache
def _points_in(module: str, file: Path) -> tuple[CrashPoint, ...]:
    finder = Finder(module)
    finder.visit(ast.parse(file.read_bytes(), str(file)))
    return tuple(sorted(finder.points, key=lambda point: point.line))


class Finder(ast.NodeTransformer):
    """Walk through a module and find its points; a subclass may put something in their place."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.points: list[CrashPoint] = []
        self._scope: list[str] = []
        self._seen: Counter[tuple[str, Kind, str]] = Counter()

    # -- what a subclass changes -------------------------------------------------------------------------

    def found_await(self, node: ast.Await, point: CrashPoint) -> ast.expr:
        """Return what stands in place of an ``await``."""
        return node

    def found_with(self, manager: ast.expr, enter: CrashPoint, leave: CrashPoint) -> ast.expr:
        """Return what stands in place of the manager of an ``async with``."""
        return manager

    def found_for(self, iterator: ast.expr, point: CrashPoint) -> ast.expr:
        """Return what stands in place of what an ``async for`` goes through."""
        return iterator

    # -- the walk ------------------------------------------------------------------------------------------

    def visit_Await(self, node: ast.Await) -> ast.expr:
        point = self._point("await", node.value)
        self.generic_visit(node)
        return self.found_await(node, point)

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        points = [[self._point(kind, item.context_expr) for kind in ("enter", "exit")] for item in node.items]
        self.generic_visit(node)
        for item, (enter, leave) in zip(node.items, points, strict=True):
            item.context_expr = self.found_with(item.context_expr, enter, leave)
        return node

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        point = self._point("next", node.iter)
        self.generic_visit(node)
        node.iter = self.found_for(node.iter, point)
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        point = self._point("next", node.iter) if node.is_async else None
        self.generic_visit(node)
        if point is not None:
            node.iter = self.found_for(node.iter, point)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._inside(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._inside(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._inside(node)

    def _inside(self, node: Any) -> ast.AST:
        self._scope.append(node.name)
        self.generic_visit(node)
        self._scope.pop()
        return node  # type: ignore[no-any-return]

    def _point(self, kind: Kind, awaited: ast.expr) -> CrashPoint:
        function, call = ".".join(self._scope) or "<module>", _words(awaited)
        self._seen[function, kind, call] += 1
        ordinal = self._seen[function, kind, call]
        self.points.append(CrashPoint(self.module, function, kind, call, ordinal, awaited.lineno))
        return self.points[-1]


def _words(awaited: ast.expr) -> str:
    text = ast.unparse(awaited.func if isinstance(awaited, ast.Call) else awaited)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def evenly(items: Sequence[Any], most: int | None) -> list[Any]:
    """Return at most so many items, the first among them, spread evenly over all."""
    if most is None or len(items) <= most:
        return list(items)
    return [items[i * len(items) // most] for i in range(most)]
