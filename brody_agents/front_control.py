"""What the commands do by which a person keeps control: undo, autonomy and budgets."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from brody_agents.action import ActionState
from brody_agents.brody import Brody
from brody_agents.coordinator.undoing import Left
from brody_agents.front import FOLLOW_UP, _out, _print_json, _print_table
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.budgets import Budget, Unit, Usage, amount_of


async def undo_action(home: Path, action_id: str, *, json: bool) -> None:
    """Undo an action and print how it stands; raise ``SystemExit`` 1 where it is not undone."""
    async with Brody(home=home) as brody:
        whole = (await brody.actions.show(action_id)).id
        with suppress(TimeoutError):
            async with asyncio.timeout(FOLLOW_UP):
                await brody.actions.undo(whole)
        action = await brody.actions.show(whole)
    _print_json(asdict(action)) if json else _out.print(_stands(action), markup=False)
    if action.state is not ActionState.UNDONE:
        raise SystemExit(1)


def _stands(action: ActionRecord) -> str:
    if action.state is ActionState.UNDONE:
        return f"{action.kind} is undone. {action.reason}"
    if action.state is ActionState.DONE:
        return f"{action.kind} stays done. {action.reason}"
    return f"{action.kind} is {action.state}; whoever works next goes on. {action.reason}"


async def undo_run(home: Path, run_id: str, *, json: bool) -> None:
    """Undo a run and print what became of its actions; raise ``SystemExit`` 1 where something is left."""
    async with Brody(home=home) as brody:
        result = await brody.runs.undo(run_id)
    if json:
        _print_json(asdict(result))
    else:
        rows = [["undone", a.kind, a.id[:8], a.reason] for a in result.undone]
        rows += [_row("left", x) for x in result.left] + [_row("cannot be undone", x) for x in result.impossible]
        _print_table(("", "kind", "action", "because"), rows)
    if result.left:
        raise SystemExit(1)


def _row(word: str, left: Left) -> list[Any]:
    return [word, left.action.kind, left.action.id[:8], left.why]


async def list_autonomy(home: Path, user: str, *, json: bool) -> None:
    """Print how far every kind goes for a user."""
    async with Brody(home=home, agents=[]) as brody:
        await _print_levels(brody, user, json=json)


async def set_autonomy(home: Path, user: str, kind: str, level: Any, *, json: bool) -> None:
    """Set how far a kind goes for a user, and print how far every kind that this is about goes then."""
    async with Brody(home=home, agents=[]) as brody:
        await brody.autonomy.set(kind, level, user_id=user)
        await _print_levels(brody, user, json=json, about=kind)


async def reset_autonomy(home: Path, user: str, kind: str, *, json: bool) -> None:
    """Take back one of a user's settings or all, and print how far the kinds go then."""
    async with Brody(home=home, agents=[]) as brody:
        await brody.autonomy.reset(kind or None, user_id=user)
        await _print_levels(brody, user, json=json, about=kind or "*")


async def _print_levels(brody: Brody, user: str, *, json: bool, about: str = "*") -> None:
    found = [x for x in await brody.autonomy.list(user) if fnmatchcase(x.kind, about)]
    if json:
        _print_json({"settings": await brody.autonomy.settings(user), "kinds": [asdict(x) for x in found]})
    else:
        _print_table(("kind", "level", "set by"), [[x.kind, x.level, x.set_by] for x in found])


async def list_budgets(home: Path, subject: str | None, *, json: bool) -> None:
    """Print budgets with what is used and reserved; a budget for each is listed even before anybody has used it."""
    async with Brody(home=home, agents=[]) as brody:
        budgets = await brody.budgets.list(subject)
        usage = await brody.budgets.usage(subject)
    if json:
        _print_json({"budgets": [_budget(b) for b in budgets], "usage": [_usage(u) for u in usage]})
        return
    rows = [[u.budget.id, u.subject, *map(u.budget.shown, (u.budget.limit, u.used, u.reserved, u.left))] for u in usage]
    known = {u.budget.id for u in usage}
    rows += [[b.id, b.subject, b.shown(b.limit), "", "", ""] for b in budgets if b.id not in known]
    _print_table(("budget", "of", "limit", "used", "reserved", "left"), rows)


async def set_budget(
    home: Path, place: tuple[str, str, str], limit: str, options: dict[str, Any], *, json: bool
) -> None:
    """Set a budget and print it; raise ``ConfigurationError`` for what is none."""
    level, subject, unit = place
    async with Brody(home=home, agents=[]) as brody:
        amount = amount_of(limit, Unit(unit)) if unit in list(Unit) else 0
        budget = await brody.budgets.set(level, subject, unit, amount, **options)
    _print_json(_budget(budget)) if json else _out.print(f"{budget.words}: {budget.id}", markup=False)


async def remove_budget(home: Path, budget_id: str, *, json: bool) -> None:
    """Remove a budget and print it."""
    async with Brody(home=home, agents=[]) as brody:
        budget = await brody.budgets.remove(budget_id)
    _print_json(_budget(budget)) if json else _out.print(f"Removed: {budget.words}.", markup=False)


def _budget(budget: Budget) -> dict[str, Any]:
    return {"id": budget.id} | asdict(budget)


def _usage(usage: Usage) -> dict[str, Any]:
    return asdict(usage) | {"budget": usage.budget.id, "left": usage.left}
