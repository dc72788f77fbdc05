"""``brody actions show`` prints a verdict with its rule, what it looked at, and what would have happened otherwise."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from brody_agents import front
from brody_agents.home import prepare_home
from brody_agents.ledger.ledger import Ledger
from tests.coordinator.court import NINE, Court, propose

HOUR = {"account": "cal", "start": NINE, "end": NINE + timedelta(hours=1)}


async def settled(home: Path) -> str:
    """Have two proposals want the same hour; return the id of the one that has to wait."""
    ledger = await Ledger.open(prepare_home(home))
    await ledger.ensure_users({"me"})
    low = propose("calendar.create", HOUR | {"title": "Garden"}, cause="1", by="garden_agent")
    high = propose("calendar.create", HOUR | {"title": "Dentist"}, cause="2", by="health_agent", priority=1)
    await Court(ledger).settle(low, high)
    await ledger.close()
    return low.id


async def test_a_person_reads_who_keeps_the_time_and_why(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    action_id = await settled(home)
    await front.show_action(home, action_id[:8], json=False)
    shown = " ".join(capsys.readouterr().out.split())
    for part in (
        "verdict (outranked)",
        "ask: “Dentist” (health_agent) comes before “Garden” (garden_agent): its priority is higher. You decide.",
        "Whoever came first would have kept the time.",
        "Keep what holds the time; Take the time for this one; Find another time for this one",
        "between Dentist (health_agent); Garden (garden_agent)",
        "looked at",
        "proposed: person no, hard yes, priority high, deadline none;",
    ):
        assert part in shown


async def test_a_program_reads_the_same(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    action_id = await settled(home)
    await front.show_action(home, action_id, json=True)
    (verdict,) = json.loads(capsys.readouterr().out)["verdicts"]
    assert (verdict["rule"], verdict["inputs"]["held"]["priority"]) == ("outranked", "normal")
    assert [p["by"] for p in verdict["parties"]] == ["health_agent", "garden_agent"]
