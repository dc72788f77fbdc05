"""A scenario runs in a process of its own; it is hit where it was said, and how it ended is known."""

# These look at files between the awaits.
# ruff: noqa: ASYNC240

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from brody_agents.errors import ConfigurationError
from brody_agents.testing import ChildFailed, Harness, jump_clock_at, kill_at, lose_answer_at, stop_at
from tests.testing import counting

pytestmark = pytest.mark.crash
WRITES = "tests.testing.counting:write next parts"
RENAMES = "tests.testing.counting:careful await asyncio.to_thread"


@pytest.fixture
async def careful() -> AsyncIterator[Harness]:
    async with Harness(counting.careful) as harness:
        yield harness


async def test_what_is_not_hit_ends_by_itself_and_has_counted_its_visits(careful: Harness, tmp_path: Path) -> None:
    ended = await careful.run(tmp_path)

    assert ended.code == 0, ended.err
    assert counting.lines(tmp_path) == ["one"]
    assert ended.visits[WRITES, "before"] == ended.visits[WRITES, "after"] + 1 == 5, "the last step ends the loop"


@pytest.mark.parametrize(("nth", "left"), [(1, None), (2, "o"), (5, "one\n")])
async def test_it_is_killed_at_the_visit_that_was_named(
    careful: Harness, tmp_path: Path, nth: int, left: str | None
) -> None:
    ended = await careful.run(tmp_path, kill_at(WRITES, nth=nth))

    assert ended.code == -signal.SIGKILL
    file = tmp_path / "lines.new"
    assert (file.read_text() if file.exists() else None) == left


@pytest.mark.parametrize(("when", "left"), [("before", "lines.new"), ("after", "lines")])
async def test_it_is_killed_before_a_call_or_after_it(careful: Harness, tmp_path: Path, when: str, left: str) -> None:
    await careful.run(tmp_path, kill_at(RENAMES, when="after" if when == "after" else "before"))

    assert [path.name for path in tmp_path.iterdir()] == [left]


async def test_a_killed_one_goes_on_when_it_is_started_again(careful: Harness, tmp_path: Path) -> None:
    for _ in range(3):
        assert (await careful.run(tmp_path, kill_at(RENAMES))).code == -signal.SIGKILL
    assert (await careful.run(tmp_path)).code == 0
    assert counting.lines(tmp_path) == ["one"]


async def test_it_is_stopped_while_the_world_changes_and_goes_on(careful: Harness, tmp_path: Path) -> None:
    run = await careful.start(tmp_path, stop_at(RENAMES))
    assert await run.stopped() is None
    (tmp_path / "lines.new").write_text("something else\n")
    run.resume()

    assert (await run.wait()).code == 0
    assert counting.lines(tmp_path) == ["something else"]


async def test_one_that_is_not_stopped_says_how_it_ended(careful: Harness, tmp_path: Path) -> None:
    run = await careful.start(tmp_path, stop_at(RENAMES, nth=2))
    ended = await run.stopped()

    assert ended is not None
    assert ended.code == 0


async def test_a_lost_answer_is_an_error_after_the_work(careful: Harness, tmp_path: Path) -> None:
    ended = await careful.run(tmp_path, lose_answer_at(RENAMES))

    assert ended.code == 1
    assert f"TimeoutError: The answer was lost: {RENAMES}." in ended.err
    assert counting.lines(tmp_path) == ["one"]


async def test_the_clock_of_the_process_jumps(tmp_path: Path) -> None:
    async with Harness(counting.timed) as harness:
        jump = jump_clock_at("tests.testing.counting:timed await asyncio.sleep", timedelta(hours=-3))
        assert (await harness.run(tmp_path, jump)).code == 0

    assert (tmp_path / "seconds").read_text() == f"{-3 * 3600}"


async def test_what_it_writes_and_what_went_wrong_is_kept(tmp_path: Path) -> None:
    (folder := tmp_path / "case").mkdir()
    async with Harness(counting.failing) as harness:
        ended = await harness.run(folder)

    assert (ended.code, ended.out) == (1, "before\n")
    assert "ValueError: this is what went wrong" in ended.err
    assert list(folder.iterdir()) == [], "it is kept beside the folder of the case"


async def test_one_that_does_not_end_is_killed_and_said_to(tmp_path: Path) -> None:
    async with Harness(counting.endless) as harness:
        run = await harness.start(tmp_path)
        with pytest.raises(ChildFailed, match=re.escape("within 0.2 s")):
            await run.wait(timeout=0.2)

        with pytest.raises(ProcessLookupError):
            os.kill(run.pid, 0)


async def test_nothing_is_left_of_a_harness_whose_own_process_is_killed(tmp_path: Path) -> None:
    """Neither the process that runs are forked from nor a run that is stopped."""
    program = (
        "import asyncio, sys; from pathlib import Path; from brody_agents.testing import Harness, stop_at\n"
        "async def main():\n"
        "    async with Harness('tests.testing.counting:careful') as harness:\n"
        f"        run = await harness.start(Path({str(tmp_path)!r}), stop_at({RENAMES!r}))\n"
        "        await run.stopped()\n"
        "        print(run.pid, flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())"
    )
    pipe = asyncio.subprocess.PIPE
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=pipe)
    assert parent.stdout is not None
    child = psutil.Process(int(await parent.stdout.readline()))
    parent.kill()
    await parent.wait()
    with suppress(psutil.NoSuchProcess):
        await asyncio.to_thread(child.wait, 30)
    assert not child.is_running()


async def test_the_environment_reaches_it(tmp_path: Path) -> None:
    async with Harness(told, environment={"FIRST": "1", "SECOND": "1"}) as harness:
        ended = await harness.run(tmp_path, environment={"SECOND": "2"})

    assert ended.out == "1 2\n", ended.err


@pytest.mark.parametrize("where", ["tests.testing.counting", counting.__file__])
async def test_a_scenario_is_named_by_where_it_is(where: str, tmp_path: Path) -> None:
    async with Harness(f"{where}:careful") as harness:
        assert (await harness.run(tmp_path)).code == 0

    assert counting.lines(tmp_path) == ["one"]


async def told(folder: Path) -> None:
    print(os.environ["FIRST"], os.environ["SECOND"])


async def test_a_scenario_that_no_other_process_can_find_is_refused() -> None:
    async def inner(folder: Path) -> None:
        pass

    with pytest.raises(ConfigurationError, match="no scenario"):
        Harness(inner)
    for word in ("tests/testing/test_harness.py", ":work", "nowhere.py:"):
        with pytest.raises(ConfigurationError, match="no scenario"):
            Harness(word)


async def test_a_module_that_cannot_be_imported_is_reported_with_its_error(tmp_path: Path) -> None:
    file = tmp_path / "broken_scenario.py"
    file.write_text("async def work(folder): ...\n")
    names: dict[str, object] = {"__name__": "broken_scenario"}
    exec(compile(file.read_text(), str(file), "exec"), names)
    file.write_text("import there_is_no_such_module\nasync def work(folder): ...\n")
    with pytest.raises(ChildFailed, match="there_is_no_such_module"):
        async with Harness(names["work"]):  # type: ignore[arg-type]
            pass


async def test_a_harness_that_is_not_open_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not open"):
        await Harness(counting.careful).run(tmp_path)
