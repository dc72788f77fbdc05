"""Autonomy on the command line: listed, set, taken back, and obeyed by the next run."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.kit import Commands, refused


def test_levels_are_listed_set_and_taken_back(brody: Commands) -> None:
    """What was set is printed with what says so; one user's levels are not another's."""
    assert brody("autonomy", "list").out.split()[:6] == ["kind", "level", "set", "by", "mail.draft", "suggest"]
    told = json.loads(brody("autonomy", "set", "mail.*", "observe", "--json").out)
    assert told["settings"] == {"mail.*": "observe"}
    assert {(x["level"], x["set_by"]) for x in told["kinds"]} == {("observe", "mail.*")}
    assert {x["kind"].partition(".")[0] for x in told["kinds"]} == {"mail"}
    assert json.loads(brody("autonomy", "list", "--user", "ada", "--json").out)["settings"] == {}
    assert json.loads(brody("autonomy", "reset", "--json").out)["settings"] == {}


def test_what_is_no_kind_or_level_is_refused(brody: Commands) -> None:
    refused(brody("autonomy", "set", "mail", "act"), 1, "There is no action 'mail'.", "mail.*", "[unknown_action]")
    refused(brody("autonomy", "set", "*", "always"), 1, "observe, suggest, act", "[invalid_arguments]")


def test_the_next_run_keeps_to_it(brody: Commands, mail: Path) -> None:
    """What is only observed is listed under its state, and nothing is done."""
    assert brody("autonomy", "set", "*", "observe").code == 0
    assert brody.scan("--mail", f"eml:{mail}")["tasks"] == []
    assert {a["state"] for a in brody.listed("actions")} == {"observed"}
    assert brody("actions", "list", "--state", "observed").out != "Nothing.\n"
