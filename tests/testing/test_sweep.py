"""A sweep finds what is done twice and says what it could not try."""

# These look at files between the awaits.
# ruff: noqa: ASYNC240

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from brody_agents.testing import ChildFailed, crash_points, kill_at, lose_answer_at, stop_at, sweep
from tests.testing import counting

pytestmark = pytest.mark.crash
OWN = crash_points([counting], framework=False)


async def test_what_is_done_carefully_survives_everywhere(tmp_path: Path) -> None:
    report = await sweep(counting.careful, counting.lines, tmp_path, points=OWN)

    assert report.ok, str(report)
    assert report.expected == ["one"]
    assert {case.hit.point for case in report.survived} == {p.name for p in OWN if p.function in REACHED}
    assert {point.function for point in report.unreached} == {p.function for p in OWN} - set(REACHED)
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == [], "no case is left to be looked at"


REACHED = ("careful", "write", "parts")


async def test_what_is_done_twice_is_found_with_where_and_how(tmp_path: Path) -> None:
    """Between the line and the note that it is written, each crash repeats it."""
    report = await sweep(counting.careless, counting.lines, tmp_path, points=OWN)

    assert not report.ok
    places = [(case.hit.point.partition(":")[2], case.hit.when) for case in report.broken]
    assert places == [
        ("careless await asyncio.sleep", "before"),
        ("careless await asyncio.sleep", "after"),
        ("careless await write", "before"),
        ("write next parts", "before"),
        ("write next parts", "after"),
        ("parts await asyncio.sleep", "before"),
        ("parts await asyncio.sleep", "after"),
    ]
    assert all(case.world == ["one", "one"] for case in report.broken)
    assert "differs: kill after tests.testing.counting:careless await asyncio.sleep, visit 1" in str(report)
    assert "expected ['one']\nseen     ['one', 'one']" in str(report)
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == len(report.broken), "each is left as it was"


async def test_a_budget_leaves_out_evenly_and_says_so(tmp_path: Path) -> None:
    report = await sweep(counting.careful, counting.lines, tmp_path, points=OWN, visits=3, budget=4)

    assert len(report.cases) == 4
    assert report.left_out > 4
    assert f"{report.left_out} hits left out" in str(report)
    assert len({case.hit.point for case in report.cases}) > 2


async def test_several_visits_of_a_point_are_tried(tmp_path: Path) -> None:
    (point,) = [p for p in OWN if p.name == "tests.testing.counting:write next parts"]
    report = await sweep(counting.careful, counting.lines, tmp_path, points=[point], when=("before",), visits=3)

    assert [case.hit.nth for case in report.survived] == [1, 3, 5]


async def test_a_process_that_does_not_come_to_the_point_again_is_missed_not_passed(tmp_path: Path) -> None:
    def late(point: object, /, *, nth: int, when: object) -> object:
        return kill_at(str(point), nth=nth + 100)

    points = [p for p in OWN if p.function == "careful"]
    report = await sweep(counting.careful, counting.lines, tmp_path, points=points, hit=late)  # type: ignore[arg-type]

    assert {case.outcome for case in report.cases} == {"missed"}
    assert not report.ok
    assert "8 missed" in str(report)


async def test_the_world_is_disturbed_while_a_process_is_stopped(tmp_path: Path) -> None:
    """What the disturbance does is seen, and taken back when the process has ended."""
    points = [p for p in OWN if p.name == "tests.testing.counting:careful await asyncio.to_thread"]
    trail = []

    @asynccontextmanager
    async def other_text(folder: Path) -> AsyncIterator[None]:
        (folder / "lines.new").write_text("another\n")
        yield
        trail.append((folder / "lines").read_text())

    report = await sweep(
        counting.careful, counting.lines, tmp_path, points=points, hit=stop_at, when=("before",), disturb=other_text
    )

    assert trail == ["another\n"]
    assert [case.world for case in report.broken] == [["another"]]


async def test_lost_answers_are_a_sweep_too(tmp_path: Path) -> None:
    report = await sweep(counting.careful, counting.lines, tmp_path, points=OWN, hit=lose_answer_at, when=("after",))

    assert report.ok, str(report)


async def test_each_case_has_its_surroundings(tmp_path: Path) -> None:
    made, gone = [], []

    @asynccontextmanager
    async def place(folder: Path) -> AsyncIterator[Mapping[str, str]]:
        made.append(folder)
        yield {"PLACE": folder.name}
        gone.append(folder)

    await sweep(counting.careful, counting.lines, tmp_path, points=OWN, budget=2, surroundings=place)

    assert [folder.name for folder in made] == ["unhurt", "0000", "0001"]
    assert gone == made


@pytest.mark.parametrize(
    ("scenario", "expected", "why"),
    [
        (counting.failing, None, "does not run unhurt.*what went wrong"),
        (counting.careful, ["two"], "is not the one expected"),
    ],
)
async def test_a_scenario_that_does_not_work_unhurt_is_no_test(
    scenario: object, expected: object, why: str, tmp_path: Path
) -> None:
    with pytest.raises(ChildFailed, match=f"(?s){why}"):
        await sweep(scenario, counting.lines, tmp_path, points=OWN, expected=expected)  # type: ignore[arg-type]


async def test_a_scenario_that_repeats_itself_is_no_test(tmp_path: Path) -> None:
    """Called again on its folder it has to find its work done."""
    with pytest.raises(ChildFailed, match="run a second time"):
        await sweep(repeating, counting.lines, tmp_path, points=OWN)


async def repeating(folder: Path) -> None:
    with (folder / "lines").open("a") as file:
        file.write("again\n")
