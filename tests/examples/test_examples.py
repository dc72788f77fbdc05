"""Every example runs by itself, without a server, and prints what its page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from brody_agents.communication.message_protocol import decode
from brody_agents.communication.payloads import built_in_registry

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(path.name for path in EXAMPLES.glob("[0-9]*.py"))
PRINTED: Mapping[str, list[str]] = {
    "01_hello_agent.py": [
        "hello_agent proposed notify: Hello, Ada!",
        "because: Somebody came in.",
        "it is done: It stays inside and may be done without asking.",
    ],
    "02_two_agents_talk.py": [
        "host_agent asks pantry_agent: 4 loaves?",
        "pantry_agent says to host_agent: 3 missing",
        "task.create is done: It stays inside and may be done without asking.",
        "mail.send is awaiting_approval: It reaches outside, so you decide.",
    ],
    "03_custom_agent.py": [
        "by hand:    Look at the door: done",
        "by message: Look at the window: done, proposed by repair_agent",
    ],
    "04_schedule_a_week.py": [
        "optimal, cost 3, moved ['review'], dropped []",
        "  review: Thu 11:00",
        "  planning: Tue 11:00",
        "  focus: Thu 09:00",
        "  gym: Mon 12:00",
        "infeasible: planning cannot be placed: ada is busy from 2026-10-26 09:00 to 2026-10-26 12:00; "
        "ada is busy from 2026-10-27 13:00 to 2026-10-27 17:00; "
        "ben is busy from 2026-10-26 13:00 to 2026-10-26 17:00; "
        "ben is busy from 2026-10-27 09:00 to 2026-10-27 11:00; planning has to lie in its windows.",
    ],
    "05_two_agents_one_slot.py": [
        "in home.ics:",
        "  DTSTART:20260302T090000Z",
        "  SUMMARY:Dentist",
        "  DTSTART:20260302T100000Z",
        "  SUMMARY:Water the garden",
        "$ brody actions show …",
        "id                   ID",
        "kind                 calendar.create",
        "state                superseded",
        "because              It is moved: “Water the garden” is now on Mon 02 Mar 10:00–11:00.",
        "why                  It has not rained for a week.",
        "proposed by          garden_agent",
        "cause                ID",
        "argument start       2026-03-02T09:00:00Z",
        "argument end         2026-03-02T10:00:00Z",
        "argument account     ics:…/home.ics",
        "argument title       Water the garden",
        "argument movable     true",
        "comes from           self",
        "verdict (outranked)  replan: “Dentist” (health_agent) comes before “Water the garden”",
        "                     (garden_agent): it cannot be moved. It is being placed at another time.",
        "otherwise            Whoever came first would have kept the time.",
        "looked at            proposed: person no, hard yes, priority high, deadline none; held: person no,",
        "                     hard no, priority normal, deadline none; order: person, hard, priority,",
        "                     deadline",
        "between              Dentist (health_agent); Water the garden (garden_agent)",
        "verdict (replaced)   superseded: It is moved: “Water the garden” is now on Mon 02 Mar 10:00–11:00.",
        "otherwise            It would have waited for you where it could not stay.",
        "looked at            attempt: 1; by: ID",
        "between              Water the garden (garden_agent)",
    ],
    "06_crash_test_your_agent.py": [
        "baker: 1 of 1 kills survived",
        "hasty baker: 0 of 1 kills survived",
        "  kill after 06_crash_test_your_agent:HastyBaker.on_order await ctx.remember, visit 1",
        "    left '3 loaves\\n3 loaves\\n' instead of '3 loaves\\n'",
    ],
}
ORIGINAL = """\
    async def process_trigger(self, trigger: AgentTrigger) -> AgentResponse:
        # Custom agent logic
        context = await self.context_manager.get_context(trigger.user_id)
        action = self.decide_action(trigger, context)
        result = await self.action_executor.execute(action)
        return AgentResponse(action=action, result=result)
"""


def run(name: str, home: Path) -> list[str]:
    """Run an example with a home folder of its own and return its lines."""
    environment = os.environ | {"HOME": str(home), "PYTHONWARNINGS": "error"}
    command = [sys.executable, str(EXAMPLES / name)]
    ended = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, timeout=110)
    assert (ended.returncode, ended.stderr) == (0, "")
    return [_stable(line) for line in ended.stdout.splitlines()]


def _stable(line: str) -> str:
    """Return a line without what is another one each time: ids, the temporary folder, and how wide a table is."""
    line = re.sub(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "ID", line)
    return re.sub(r"(?<=show )[0-9a-f]{8}|(?<=ics:)\S+(?=/home.ics)", "…", line).rstrip()


@pytest.mark.parametrize("name", NAMES)
def test_an_example_prints_what_is_expected_and_leaves_nothing_behind(name: str, tmp_path: Path) -> None:
    lines = [line for line in run(name, tmp_path) if not line.startswith("On the wire: ")]

    assert lines == PRINTED[name]
    assert list(tmp_path.iterdir()) == []


def test_the_message_that_the_second_example_shows_is_one(tmp_path: Path) -> None:
    """Another process decodes what the example printed."""
    wire = run("02_two_agents_talk.py", tmp_path)[0].removeprefix("On the wire: ")

    message = decode(wire.encode(), built_in_registry())

    assert (message.sender, message.recipient, message.message_type) == ("you", "host_agent", "guests_expected")


def test_the_custom_agent_stands_as_the_original_document_has_it() -> None:
    source = (EXAMPLES / "03_custom_agent.py").read_text("utf-8")

    assert ORIGINAL in source
    for line in ("self.context_manager = ContextManager()", "self.action_executor = ActionExecutor()"):
        assert line in source


def test_the_page_of_the_examples_names_every_one() -> None:
    page = (EXAMPLES / "README.md").read_text("utf-8")

    assert re.findall(r"^\| \[`([0-9][\w.]+)`\]", page, re.MULTILINE) == NAMES
