"""Budgets on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from brody_agents import AgentAction, Brody
from brody_agents.settings import Settings
from tests.cli.kit import Commands, refused


def listed(brody: Commands, *options: str) -> dict[str, Any]:
    """Return what ``brody budgets list --json`` prints."""
    ended = brody("budgets", "list", "--json", *options)
    assert ended.code == 0, ended.err
    found: dict[str, Any] = json.loads(ended.out)
    return found


def unwrapped(text: str) -> str:
    """Return a text without what wraps it: a long word, such as a path, is broken too."""
    return "".join(text.split())


async def test_an_action_that_a_budget_denies_says_by_which_and_until_when(brody: Commands, tmp_path: Path) -> None:
    """Where the answer is given, where the action is shown, and in what is left of the budget."""
    (tmp_path / "files").mkdir()
    account = f"dir:{tmp_path / 'files'}"
    settings = Settings(cpu_workers=0, redis_url="memory:")
    assert brody("budgets", "set", "provider", account, "calls", "1", "--period", "month", "--tz", "UTC").code == 0
    async with Brody(home=brody.home, accounts={"files": account}, agents=[], settings=settings) as inside:
        for name in ("a", "b"):
            wish = {"account": account, "path": name, "text": "New."}
            await inside.execute(AgentAction(kind="file.create", arguments=wish))
        first, second = await inside.approvals.list()
        await inside.approvals.decide(first.id, "approve")
        await inside.drain()
        await inside.approvals.decide(second.id, "approve")
        await inside.drain()
    denial = f"The budget of 1 call a month for provider {account} has 0 calls left"
    answered = unwrapped(brody("approvals", "decide", second.id, "approve").out)
    assert unwrapped(f"file.create is approved. {denial}") in answered
    shown = unwrapped(brody("actions", "show", second.action_id).out)
    assert unwrapped(denial) in shown
    assert unwrapped("waits until") in shown
    [usage] = listed(brody)["usage"]
    assert (usage["used"], usage["reserved"], usage["left"]) == (1, 0, 0)


def test_budgets_are_set_listed_and_removed(brody: Commands) -> None:
    money = ("user", "me", "money", "12.50", "--currency", "EUR", "--period", "month", "--tz", "Europe/Berlin")
    ended = brody("budgets", "set", *money)
    assert ended.out == "12.50 EUR a month for user me: user/me/money/EUR/month\n"
    brody("budgets", "set", "run", "*", "calls", "100")
    found = listed(brody)
    [month, calls] = found["budgets"]
    assert (month["id"], month["limit"], month["timezone"]) == ("user/me/money/EUR/month", 12_500_000, "Europe/Berlin")
    assert (calls["id"], calls["limit"]) == ("run/*/calls/none", 100)
    [usage] = found["usage"]
    assert (usage["budget"], usage["used"], usage["left"]) == ("user/me/money/EUR/month", 0, 12_500_000)
    shown = " ".join(brody("budgets", "list").out.split())
    assert "run/*/calls/none * 100 calls" in shown
    assert [b["subject"] for b in listed(brody, "--for", "me")["budgets"]] == ["me"]
    assert brody("budgets", "remove", "user/me").out == "Removed: 12.50 EUR a month for user me.\n"
    assert json.loads(brody("budgets", "remove", "run/*/calls/none", "--json").out)["subject"] == "*"
    assert listed(brody) == {"budgets": [], "usage": []}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("set", "user", "me", "apples", "1"), 2, "tokens, money, quota, calls, slots"),
        (("set", "user", "me", "tokens", "1.5"), 2, "whole number"),
        (("set", "user", "me", "money", "1"), 2, "ISO 4217"),
        (("remove", "user/nobody"), 1, "[not_found]"),
    ],
)
def test_what_is_wrong_is_said(brody: Commands, words: tuple[str, ...], code: int, said: str) -> None:
    refused(brody("budgets", *words), code, said)
