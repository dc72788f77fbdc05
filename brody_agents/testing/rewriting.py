"""An import hook for child processes: modules are compiled with a call before and after every crash point.

No code of the framework knows of it, and none is slower for it where the hook is not installed.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from brody_agents.testing.points import CrashPoint, Finder

_HOOKS = {name: f"_crash_{name}" for name in ("before", "after", "around", "each", "now", "today", "time")}
_CLOCKS = {"datetime.now": "now", "datetime.utcnow": "now", "date.today": "today", "time.time": "time"}


class Rewriter(Finder):
    """Put the calls of ``hooks`` into a module."""

    def found_await(self, node: ast.Await, point: CrashPoint) -> ast.expr:
        """Call before what is awaited begins, and after it has given its result."""
        node.value = _call("before", node.value, ast.Constant(point.name), node.value)
        return _call("after", node, ast.Constant(point.name), node)

    def found_with(self, manager: ast.expr, enter: CrashPoint, leave: CrashPoint) -> ast.expr:
        """Put a manager around the manager."""
        return _call("around", manager, ast.Constant(enter.name), ast.Constant(leave.name), manager)

    def found_for(self, iterator: ast.expr, point: CrashPoint) -> ast.expr:
        """Put an iterator around the iterator."""
        return _call("each", iterator, ast.Constant(point.name), iterator)

    def visit_Call(self, node: ast.Call) -> ast.expr:  # noqa: N802 - the name that `ast` calls
        """Take the time from the clock that can jump."""
        self.generic_visit(node)
        if not isinstance(node.func, ast.Attribute):
            return node
        words = ast.unparse(node.func).split(".")
        hook = _CLOCKS.get(".".join(words[-2:]))
        if hook is None:
            return node
        firsts: dict[str, list[ast.expr]] = {"now": [node.func], "today": [node.func.value], "time": []}
        return _call(hook, node, *firsts[hook], *node.args, keywords=node.keywords)

    def visit_Module(self, node: ast.Module) -> ast.Module:  # noqa: N802 - the name that `ast` calls
        """Import the hooks after the docstring and the ``__future__`` imports."""
        self.generic_visit(node)
        names = [ast.alias(name, alias) for name, alias in _HOOKS.items()]
        hooks = ast.ImportFrom("brody_agents.testing.hooks", names, 0)
        node.body.insert(_first(node.body), ast.copy_location(hooks, node.body[0]) if node.body else hooks)
        return node


def _call(hook: str, at: ast.expr, *arguments: ast.expr, keywords: Sequence[ast.keyword] = ()) -> ast.expr:
    return ast.copy_location(ast.Call(ast.Name(_HOOKS[hook], ast.Load()), list(arguments), list(keywords)), at)


def _first(body: Sequence[ast.stmt]) -> int:
    index = int(bool(body) and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant))
    while index < len(body) and isinstance(found := body[index], ast.ImportFrom) and found.module == "__future__":
        index += 1
    return index


class Loader(SourceFileLoader):
    """Load a module rewritten; neither reads nor writes compiled files."""

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of the rewritten source."""
        path = self.get_filename(fullname)
        tree = Rewriter(fullname).visit(ast.parse(self.get_data(path), path))
        code: CodeType = compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True)
        return code


class Hook(MetaPathFinder):
    """Find modules where Python finds them, and have those that are wanted rewritten."""

    def __init__(self, wanted: Callable[[str], bool]) -> None:
        self._wanted = wanted

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: Any = None) -> ModuleSpec | None:
        """Return the spec of a module to rewrite, or ``None``."""
        if not self._wanted(fullname):
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        spec = next((found for finder in others if (found := finder.find_spec(fullname, path, target))), None)
        if spec is not None and spec.origin is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = Loader(fullname, spec.origin)
        return spec


def install(modules: Sequence[str]) -> None:
    """Have the framework and these modules and packages rewritten when they are imported."""
    packages = ("brody_agents", *modules)

    def wanted(name: str) -> bool:
        inside = any(name == package or name.startswith(f"{package}.") for package in packages)
        return inside and not name.startswith("brody_agents.testing")

    sys.meta_path.insert(0, Hook(wanted))


def load(name: str, file: Path) -> ModuleType:
    """Import a module from its file, rewritten, under a name."""
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, file, loader=Loader(name, str(file)))
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
