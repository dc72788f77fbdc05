"""What the commands do: open a ``Brody``, call it, print the answer as text or JSON."""

from __future__ import annotations

import asyncio
import gc
import io
import json as json_module
import logging
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

from brody_agents.action import ActionState
from brody_agents.brody import Brody
from brody_agents.demo import sample_day
from brody_agents.errors import ConfigurationError, HomeBusy
from brody_agents.home import prepare_home
from brody_agents.ledger.actions import ActionRecord
from brody_agents.policy.recall import leaves_at
from brody_agents.proactive.accounts import zone_named
from brody_agents.proactive.playbooks.brief import Brief
from brody_agents.proactive.playbooks.rendering import show_brief
from brody_agents.registry import Registry
from brody_agents.settings import settings_from_environment

DEMO_USER = "mira"
DEMO_ZONE = "Europe/Berlin"
DEMO_NOW = datetime.fromisoformat("2026-10-26T07:30:00+01:00")

FOLLOW_UP = 10.0
"""Seconds that a command waits for what follows from an answer; what takes longer is done by whoever works next."""

COLLECT_AFTER = (20_000, 20, 20)
"""New objects between two looks for unused cycles: a page of mail or a turn makes far more than Python's 700."""
RUN_COLLECTS_AFTER = (300_000, 20, 20)
"""The same while a mailbox is read: most objects of a few turns are gone by then, and the process ends with the run."""

T = TypeVar("T")
_NOT_KEPT = "Nothing of it is kept; brody demo, without --once, keeps the day for the other commands."

_out = Console()
_err = Console(stderr=True)


def prepare_output() -> None:
    """Send logs to standard error, from the level that is set; what a terminal has no letter for is escaped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    logging.basicConfig(level=settings_from_environment().log_level, format="brody: %(message)s", stream=sys.stderr)


async def run_playbook(
    home: Path, playbook: str, accounts: Mapping[str, Any], options: dict[str, Any], *, json: bool
) -> None:
    """Run a playbook and print its brief; the progress bar goes to standard error."""
    gc.set_threshold(*RUN_COLLECTS_AFTER)
    async with Brody(home=home, accounts=accounts) as brody:
        gc.freeze()  # what stands now stands to the end; the collector need not look through it again
        for failure in brody.left_out:
            _err.print(f"brody: {failure.name} was left out: {failure.reason}", markup=False)
        with _progress() as report:
            brief = await brody.run(playbook, progress=report, **options)
        _print_brief(brief, json=json)  # before Brody notes that it was delivered
        await _tell_held(brody, options["user_id"])


async def work(home: Path, accounts: Mapping[str, Any], partitions: str) -> None:
    """Be a worker until SIGTERM or Ctrl-C: then end the turn, hand over, and return; a second signal ends at once."""
    settings = settings_from_environment()
    settings = settings.model_copy(update={"partitions": partitions or settings.partitions})
    async with Brody(home=home, accounts=accounts, settings=settings) as brody:
        gc.freeze()
        gc.set_threshold(*COLLECT_AFTER)
        name = await brody.worker_name()
        stop = asyncio.Event()
        _stop_at_signals(stop)
        if lost := (await brody.bus()).get("failed"):
            said = f"{lost['bus']} at {lost.get('at', '?')} cannot be reached; it works with a bus in memory."
            _err.print(f"brody: {said}", markup=False, soft_wrap=True)
        _err.print(f"brody: {name} works on {brody.home}.", markup=False, soft_wrap=True)
        await brody.work(stop)


def _stop_at_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def end() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)


def _print_brief(brief: Brief, *, json: bool) -> None:
    if not json:
        show_brief(_out, brief)
        return
    _write_json(brief.as_json())
    for problem in brief.problems:
        print(f"brody: {problem.account}: {problem.what} {problem.remedy}", file=sys.stderr)


def _progress() -> Any:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}"))
    return _Report(Progress(*columns, console=_err, transient=True, disable=not _err.is_terminal))


class _Report:
    """Show what a run does while it does it."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> _Report:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bar.add_task(stage, total=total)
        self._bar.update(self._tasks[stage], completed=done, total=total)


async def run_demo(home: Path | None, *, json: bool) -> None:
    """Prepare the sample day, in a home of its own or in one that is kept."""
    options = {"user_id": DEMO_USER, "timezone": DEMO_ZONE, "now": DEMO_NOW}
    with tempfile.TemporaryDirectory(prefix="brody-demo-") as scratch:
        place = prepare_home(home or Path(scratch))
        accounts = await asyncio.to_thread(sample_day, place)
        await run_playbook(place, "prepare-my-day", accounts, options, json=json)
    if not json:
        kept = f"The day is kept in {home}: add --home {home} to the commands." if home else _NOT_KEPT
        _out.print(kept, markup=False, soft_wrap=True)


async def list_agents(*, json: bool) -> None:
    """Print the installed agents and the plug-ins that failed."""
    registry = Registry.of(None)
    rows = [
        {
            "name": agent.name,
            "capabilities": list(agent.capabilities),
            "handles": sorted(p.message_type for p in agent.handlers),
        }
        for agent in registry.agents.values()
    ]
    failed = [asdict(failure) for failure in registry.failures]
    if json:
        _print_json({"agents": rows, "left_out": failed})
        return
    _print_table(
        ("agent", "capabilities", "handles"),
        [[r["name"], _joined(r["capabilities"]), _joined(r["handles"])] for r in rows],
    )
    for failure in failed:
        _out.print(f"left out: {failure['name']}: {failure['reason']}", markup=False, style="red")


async def list_runs(home: Path, user: str | None, *, json: bool) -> None:
    """Print runs."""
    async with Brody(home=home, agents=[]) as brody:
        found = await brody.runs.list(user)
    if json:
        _print_json([asdict(run) for run in found])
        return
    rows = [[r.id[:8], r.playbook, r.user_id, f"{r.now.astimezone(r.zone):%Y-%m-%d %H:%M}", r.state] for r in found]
    _print_table(("run", "playbook", "user", "now", "state"), rows)


async def show_run(home: Path, run_id: str, *, json: bool) -> None:
    """Print the brief of a run, or where it stands."""
    async with Brody(home=home, agents=[]) as brody:
        run = await brody.runs.show(run_id)
        brief = await brody.runs.brief(run.id)
    if brief is None:
        _print_json(asdict(run)) if json else _out.print(f"Run {run.id} is {run.state} at step {run.step}.")
    elif json:
        _write_json(Brief.model_validate(brief).as_json())
    else:
        show_brief(_out, Brief.model_validate(brief))


async def list_actions(
    home: Path, user: str | None, state: str | None, run_id: str | None, limit: int, *, json: bool
) -> None:
    """Print actions; raise ``ConfigurationError`` for a state that there is none of."""
    if state is not None and state not in list(ActionState):
        raise ConfigurationError(f"There is no state {state!r}.", f"Use one of: {', '.join(ActionState)}.")
    async with Brody(home=home, agents=[]) as brody:
        found = _at_most(limit, await brody.actions.list(user, state=state, run_id=run_id, limit=limit + 1))
    if json:
        _print_json([asdict(action) for action in found])
        return
    rows = [[a.id[:8], a.kind, a.state, a.proposed_by, a.why] for a in found]
    _print_table(("action", "kind", "state", "proposed by", "why"), rows)


async def show_action(home: Path, action_id: str, *, json: bool) -> None:
    """Print an action, why it was proposed, and the verdicts on it."""
    async with Brody(home=home, agents=[]) as brody:
        action = await brody.actions.show(action_id)
        verdicts = await brody.actions.verdicts(action.id)
        cannot_undo = brody.actions.why_not(action)
    if json:
        _print_json(asdict(action) | {"verdicts": [asdict(v) for v in verdicts], "cannot_undo": cannot_undo})
        return
    rows = [("id", action.id), ("kind", action.kind), ("state", action.state), ("because", action.reason)]
    rows += [("waits until", f"{action.not_before:%Y-%m-%d %H:%M:%S} UTC")] if action.put_off else []
    rows += [("why", action.why), ("proposed by", action.proposed_by), ("cause", action.cause)]
    rows += [(f"argument {name}", _shown(value)) for name, value in action.arguments.items()]
    rows += [("comes from", _origin(action.provenance))]
    rows += [("result", _shown(action.result))] if action.result else []
    rows += [("done at", f"{action.done_at:%Y-%m-%d %H:%M:%S} UTC")] if action.done_at else []
    never = action.state.final and action.state is not ActionState.DONE
    rows += [] if never else [("undo", cannot_undo or f"brody actions undo {action.id[:8]}")]
    for v in verdicts:
        rows += [(f"verdict ({v.rule})", f"{v.verdict}: {v.why}"), ("otherwise", v.otherwise)]
        rows += [("options", "; ".join(v.options))] if v.options else []
        rows += (
            [("looked at", "; ".join(f"{name}: {_words(value)}" for name, value in v.inputs.items()))]
            if v.inputs
            else []
        )
        rows += [("between", "; ".join(f"{p.get('title', '')} ({p.get('by', '')})" for p in v.parties))]
    _print_table(("", ""), rows)


async def settle_action(home: Path, action_id: str, done: bool, *, json: bool) -> None:
    """Close an unknown action by the person's word, and print how it stands."""
    async with _following(home) as brody:
        action = await brody.actions.settle(action_id, done)
        with suppress(HomeBusy, TimeoutError):
            async with asyncio.timeout(FOLLOW_UP):
                await brody.follow(action.id)
        action = await brody.actions.show(action.id)
    _print_json(asdict(action)) if json else _out.print(_stands(action), markup=False)


async def list_approvals(home: Path, user: str | None, everything: bool, limit: int, *, json: bool) -> None:
    """Print cards."""
    async with Brody(home=home, agents=[]) as brody:
        found = _at_most(limit, await brody.approvals.list(user, open_only=not everything, limit=limit + 1))
    if json:
        _print_json([asdict(card) for card in found])
        return
    rows = [[c.id[:8], c.kind, c.state, c.proposed_by, f"{c.expires_at:%Y-%m-%d %H:%M}", c.why] for c in found]
    _print_table(("approval", "kind", "state", "proposed by", "expires (UTC)", "why"), rows)


async def show_approval(home: Path, approval_id: str, *, json: bool) -> None:
    """Print a card with all that it is bound to."""
    async with Brody(home=home, agents=[]) as brody:
        card = await brody.approvals.show(approval_id)
    if json:
        _print_json(asdict(card))
        return
    rows = [("id", card.id), ("action", card.action_id), ("kind", card.kind), ("state", card.state)]
    rows += [(f"argument {name}", _shown(value)) for name, value in card.arguments.items()]
    rows += [("why", card.why), ("you are asked because", card.reason), ("proposed by", card.proposed_by)]
    rows += [("comes from", _origin({"": {"origin": card.origin, "sources": card.sources}}))]
    rows += [("if you do nothing", card.if_nothing), ("digest", card.digest)]
    rows += [("changed", words) for words in card.changed]
    rows += [("options", "; ".join(card.options))] if card.options else []
    rows += [("answer", _shown(card.answer))] if card.answer else []
    _print_table(("", ""), rows)


def _stands(action: ActionRecord) -> str:
    if action.state in (ActionState.FAILED, ActionState.UNKNOWN):
        word = "has failed" if action.state is ActionState.FAILED else "is unknown"
        return f"{action.kind} {word}: {action.reason}"
    if action.state is ActionState.APPROVED and action.fence:
        return f"{action.kind} waits to be tried again: {action.reason}"
    refused = (action.result or {}).get("refused") or {}
    missed = "".join(f" {person} did not get it: {answer}" for person, answer in refused.items())
    waits = f" {action.reason}" if action.put_off else ""
    return f"{action.kind} is {action.state}.{missed}{waits}"


def _leaves(action: ActionRecord, at: datetime) -> str:
    when = at.astimezone(zone_named(settings_from_environment().timezone))
    return f"{action.kind} leaves at {when:%H:%M:%S}; brody actions undo {action.id[:8]} recalls it."


async def _tell_held(brody: Brody, user_id: str) -> None:
    """Say what was approved and waits for its time, and would not leave without a process that works."""
    for action in await brody.actions.list(user_id, state=ActionState.APPROVED):
        if at := leaves_at(action, brody.settings.recall_seconds):
            said = f"brody: {_leaves(action, at)} It is sent by whatever runs on this home then."
            print(said, file=sys.stderr)


@asynccontextmanager
async def _following(home: Path) -> AsyncIterator[Brody]:
    """Open a home without waiting for another process that works on it."""
    settings = settings_from_environment().model_copy(update={"lock_timeout": 0.0})
    async with Brody(home=home, settings=settings) as brody:
        yield brody


async def _followed(brody: Brody, action_id: str, *, json: bool = True) -> ActionRecord:
    """Have done what follows for an action, unless another process works on the home: then that one does it.

    A message that is held is told of, and waited for.
    """
    with suppress(HomeBusy, TimeoutError):
        async with asyncio.timeout(FOLLOW_UP):
            await brody.drain()
    action = await brody.actions.show(action_id)
    at = leaves_at(action, brody.settings.recall_seconds)
    if at is None:
        return action
    if not json:
        _out.print(_leaves(action, at), markup=False)
    with suppress(HomeBusy, TimeoutError):
        async with asyncio.timeout(max((at - datetime.now(UTC)).total_seconds(), 0) + FOLLOW_UP):
            await brody.follow(action_id)
    return await brody.actions.show(action_id)


async def decide_approval(
    home: Path, approval_id: str, answer: Any, arguments: str, text: str, digest: str, *, json: bool
) -> None:
    """Answer a card and have done what follows, unless another process works on the home: then that one does it."""
    async with _following(home) as brody:
        decision = await brody.approvals.decide(
            approval_id, answer, arguments=_arguments(arguments), text=text, digest=digest or None
        )
        action = await _followed(brody, decision.card.action_id, json=json)
    instead = decision.instead
    if json:
        told = {"approval": asdict(decision.card), "action": asdict(action), "repeated": decision.repeated}
        _print_json(told | {"instead": asdict(instead) if instead else None})
        return
    _out.print(f"{decision.card.state}: {_stands(action)}", markup=False)
    if instead is not None:
        changed = " ".join(instead.changed)
        _out.print(f"It is not done yet: {changed} See: brody approvals show {instead.id[:8]}", markup=False)


def _arguments(text: str) -> dict[str, Any] | None:
    if not text:
        return None
    try:
        found = json_module.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"--arguments is no JSON: {error}.", "Give a JSON object.") from None
    if not isinstance(found, dict):
        raise ConfigurationError("--arguments is no JSON object.", 'Give one, such as \'{"title": "Call Ada"}\'.')
    return found


async def list_letters(home: Path, user: str | None, replayed: bool, limit: int, *, json: bool) -> None:
    """Print dead letters."""
    async with Brody(home=home, agents=[]) as brody:
        found = _at_most(limit, await brody.dead_letters.list(user, replayed=replayed, limit=limit + 1))
    if json:
        _print_json([_letter(letter) for letter in found])
        return
    rows = [[x.id[:8], x.code, x.message_type, x.agent, x.reason] for x in found]
    _print_table(("letter", "code", "type", "agent", "reason"), rows)


async def show_letter(home: Path, letter_id: str, *, json: bool) -> None:
    """Print a dead letter with its bytes."""
    async with Brody(home=home, agents=[]) as brody:
        letter = await brody.dead_letters.show(letter_id)
    if json:
        _print_json(_letter(letter))
        return
    _print_table(("", ""), [(name, _shown(value)) for name, value in _letter(letter).items()])


async def replay_letter(home: Path, letter_id: str, *, json: bool) -> None:
    """Have a dead letter handled again and say what became of it."""
    async with Brody(home=home) as brody:
        letter = await brody.replay(letter_id)
        if letter.item_id is None:
            await brody.drain()
        again = await brody.dead_letters.show(letter_id)
    dead = letter.item_id is None and again.replayed_at is None
    item = letter.item_id is not None
    said = "The next run reads the item again." if item else "It failed again." if dead else "It was handled."
    _print_json({"id": letter_id, "replayed": not dead, "said": said}) if json else _out.print(said)


async def doctor(home: Path, accounts: Mapping[str, Any], *, json: bool) -> None:
    """Print what is configured, reachable and writable; raise ``SystemExit`` 1 where something is not."""
    from brody_agents.doctor import examine

    findings = await examine(home, accounts)
    if json:
        _print_json([asdict(f) for f in findings])
    else:
        rows = [["ok" if f.ok else "!!", f.subject, f.found, f.remedy] for f in findings]
        _print_table(("", "what", "found", "what to do"), rows)
    if not all(f.ok for f in findings):
        raise SystemExit(1)


def _at_most(limit: int, found: list[T]) -> list[T]:
    """Return what is listed, and say on standard error that there is more."""
    if len(found) > limit:
        _err.print(f"brody: there are more than these {limit}; --limit lists them.", markup=False, soft_wrap=True)
    return found[:limit]


def _origin(provenance: dict[str, Any]) -> str:
    """Say whose words an action's arguments are, and name the first items that they come from."""
    label = provenance.get("", {})
    sources = label.get("sources", [])
    rest = f" and {len(sources) - 3} more" if len(sources) > 3 else ""
    return f"{label.get('origin', 'user')}: {', '.join(sources[:3])}{rest}" if sources else label.get("origin", "user")


def _letter(letter: Any) -> dict[str, Any]:
    return asdict(letter) | {"body": letter.body.decode("utf-8", "backslashreplace")}


def _joined(words: Any) -> str:
    return ", ".join(words)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json_module.dumps(value, ensure_ascii=False, default=str)


def _words(value: Any) -> str:
    """Return a JSON value as a person writes it."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(of)}" for name, of in value.items())
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    return {None: "none", True: "yes", False: "no"}[value] if value is None or isinstance(value, bool) else str(value)


def _print_json(value: Any) -> None:
    _write_json(json_module.dumps(value, ensure_ascii=False, indent=2, default=_plain))


def _write_json(text: str) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # RFC 8259, whatever the terminal speaks
    print(text, flush=True)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _print_table(columns: tuple[str, ...], rows: Any) -> None:
    from rich.text import Text

    from brody_agents.proactive.playbooks.rendering import clean

    table = Table(box=None, pad_edge=False, show_header=any(columns))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(clean(str(cell))) for cell in row))
    _out.print(table if table.row_count else "Nothing.")
