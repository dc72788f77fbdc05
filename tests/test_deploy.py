"""The files of `deploy/` are what systemd and the command line take."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from brody_agents.cli import app

UNITS = Path(__file__).parents[1] / "deploy" / "systemd"


def test_systemd_takes_the_units_without_a_word(tmp_path: Path) -> None:
    """The command is looked for where this environment has it; `verify` warns of every line that it does not know."""
    analyse = shutil.which("systemd-analyze")
    if analyse is None:
        pytest.skip("there is no systemd-analyze")
    for unit in UNITS.iterdir():
        text = unit.read_text("utf-8").replace("%h/.local/bin/brody", str(Path(sys.executable).parent / "brody"))
        (tmp_path / unit.name).write_text(text, "utf-8")
    environment = os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)}
    command = [analyse, "--user", "verify", *sorted(str(path) for path in tmp_path.iterdir())]

    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")


def test_the_service_calls_a_command_that_there_is() -> None:
    service = (UNITS / "brody-day.service").read_text("utf-8")
    [line] = re.findall(r"^ExecStart=(.+)$", service, re.MULTILINE)
    program, name, *words = shlex.split(line)

    command: Any = typer.main.get_command(app)
    known = {option for parameter in command.commands[name].params for option in parameter.opts}

    assert program.endswith("/brody")
    assert {word for word in words if word.startswith("--")} <= known
