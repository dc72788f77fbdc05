"""What gives way is placed again, outside of the transaction, and the person is asked where nothing can be found.

The solver is another module's; these tests put a tiny search with its interface in its place.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from brody_agents import AgentMessage, Brody, BrodyAgent, Context, handles
from brody_agents.action import ActionState
from brody_agents.communication.message_protocol import new_context
from brody_agents.communication.payloads import Notification, Replan
from brody_agents.coordinator.conflicts.placing import Wanted, place
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.tables import Task
from brody_agents.settings import Settings
from tests.coordinator.court import NINE as COURT_NINE
from tests.coordinator.court import Court, propose

HOUR = timedelta(hours=1)


@dataclass
class Item:
    id: str
    duration: timedelta
    participants: list[str]
    windows: list[tuple[datetime, datetime]] | None = None
    preferences: list[Any] = field(default_factory=list)
    at: datetime | None = None
    movable: bool = True
    move_cost: int = 1
    drop_cost: int | None = None


@dataclass
class Person:
    id: str
    busy: list[tuple[datetime, datetime]]


@dataclass
class Preference:
    window: tuple[datetime, datetime]
    weight: int


@dataclass
class Problem:
    start: datetime
    end: datetime
    slot: timedelta
    people: list[Person]
    items: list[Item]


@dataclass
class Plan:
    status: str
    placements: dict[str, datetime | None]


def search(problem: Problem, time_limit: float = 2.0, seed: int = 0) -> Plan:
    """Place one item after the other at the earliest time."""
    busy, placements = list(problem.people[0].busy), dict[str, datetime | None]()
    for item in problem.items:
        at = problem.start
        while at < problem.end and not _fits(at, item, busy):
            at += problem.slot
        if at >= problem.end:
            return Plan("infeasible", {})
        placements[item.id] = at
        busy.append((at, at + item.duration))
    return Plan("optimal", placements)


def _fits(at: datetime, item: Item, busy: list[tuple[datetime, datetime]]) -> bool:
    end = at + item.duration
    inside = any(start <= at and end <= ends for start, ends in item.windows or [])
    return inside and all(end <= start or ends <= at for start, ends in busy)


Solve = Callable[..., Plan]


@pytest.fixture
def solver(monkeypatch: pytest.MonkeyPatch) -> Callable[[Solve], None]:
    """Return a function that puts a solver in its place."""

    def put(solve: Solve) -> None:
        module: Any = ModuleType("brody_agents.scheduling")
        module.Item, module.Person, module.Preference, module.Problem = Item, Person, Preference, Problem
        module.solve = solve
        monkeypatch.setitem(sys.modules, "brody_agents.scheduling", module)

    put(search)
    return put


@pytest.fixture
def no_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the extra missing."""
    monkeypatch.setitem(sys.modules, "brody_agents.scheduling", None)


class Planner(BrodyAgent):
    """Propose what a notification names: ``title|hours from the start|length|options``."""

    name = "planner"

    @handles
    async def on_notification(self, message: Notification, ctx: Context) -> None:
        """Propose the blocks of all lines."""
        for line in message.text.splitlines():
            title, begin, length, priority, task = line.split("|")
            start = monday() + float(begin) * HOUR
            arguments = {"account": "cal", "title": title, "start": start, "end": start + float(length) * HOUR}
            more = {"movable": True} | ({"task_id": task} if task else {})
            ctx.propose("calendar.create", arguments | more, cause=line, priority=priority)


def monday() -> datetime:
    """Return nine o'clock of a Monday to come; agents reason with the clock of the wall here."""
    now = datetime.now(UTC)
    day = now.date() + timedelta(days=7 - now.weekday())
    return datetime(day.year, day.month, day.day, 9, tzinfo=UTC)


@dataclass
class Office:
    """A ``Brody`` with a planner."""

    brody: Brody
    court: Court

    async def say(self, *lines: str) -> dict[str, ActionRecord]:
        """Have the planner propose, wait until all is settled, and return the open actions by their titles."""
        message = AgentMessage(
            sender="x",
            recipient="planner",
            payload=Notification(text="\n".join(lines)),
            context=new_context("me"),
        )
        await self.brody.send(message)
        await self.brody.drain()
        return {a.arguments.get("title", a.kind): a for a in await self.brody.actions.pending("me")}

    async def rules(self, action_id: str) -> list[str]:
        """Return the rules of the verdicts on an action, in their order."""
        return [v.rule for v in await self.brody.actions.verdicts(action_id)]


@pytest.fixture
async def office(settings: Settings) -> AsyncIterator[Office]:
    """Give an office in memory."""
    async with Brody(agents=[Planner()], settings=settings) as brody:
        await brody.ledger.ensure_users({"me"})
        yield Office(brody, Court(brody.ledger))


def starts(action: ActionRecord) -> float:
    """Return when it begins, in hours after Monday's nine."""
    return (datetime.fromisoformat(action.arguments["start"]) - monday()) / HOUR


async def test_what_loses_its_slot_is_placed_at_a_free_one(office: Office, solver: Any) -> None:
    """Not where the calendar is busy, nor where another proposal holds the time; the first gives way for good."""
    await office.court.event("e", monday() - HOUR * 24 * 7, monday() - HOUR * 24 * 7 + HOUR, "RRULE:FREQ=WEEKLY")
    found = await office.say("First|1|1|high|", "Second|1|1|low|")
    moved = found["Second"]
    original = await office.brody.actions.show(str(moved.redo_of))
    assert (starts(found["First"]), moved.state, moved.proposed_by) == (1, ActionState.AWAITING_APPROVAL, "planner")
    assert starts(moved) not in (0, 1)
    assert original.state is ActionState.SUPERSEDED
    assert original.reason.startswith("It is moved: “Second” is now on ")
    assert await office.rules(original.id) == ["held_slot", "replaced"]
    held = await office.court.held()
    assert (moved.id in held, original.id in held) == (True, False)


async def test_where_no_time_is_found_the_person_gets_three_options(office: Office, no_solver: None) -> None:
    """Without the solver a simple scan of the free times makes them; nothing is dropped."""
    found = await office.say("First|1|1|high|", "Second|1|1|low|")
    verdict = (await office.brody.actions.verdicts(found["Second"].id))[-1]
    assert found["Second"].state is ActionState.AWAITING_APPROVAL
    assert (verdict.verdict, verdict.rule, len(verdict.options)) == ("ask", "not_placed", 3)
    assert found["Second"].reason == verdict.why == "No other time was found for it. You decide."
    assert verdict.options[0].startswith("Put it on ")


async def test_a_plan_that_was_overtaken_is_made_again_and_after_three_the_person_is_asked(
    office: Office, solver: Callable[[Solve], None]
) -> None:
    """The solver is slow, and the time that it finds is taken each time before the answer is committed."""
    tries: list[datetime] = []

    def overtaken(problem: Problem, **options: Any) -> Plan:
        tries.append(problem.start)
        return Plan("optimal", {"0": monday() + HOUR})  # where the first one sits

    solver(overtaken)
    found = await office.say("First|1|1|high|", "Second|1|1|low|")
    verdict = (await office.brody.actions.verdicts(found["Second"].id))[-1]
    assert len(tries) == 3
    assert (verdict.verdict, verdict.rule, len(verdict.options)) == ("ask", "not_placed", 3)
    assert verdict.why == "It changed 3 times while it was planned again. You decide."
    assert await office.court.replans() == 0


async def test_a_plan_that_was_overtaken_once_is_made_again(office: Office, solver: Callable[[Solve], None]) -> None:
    answers = iter([monday() + HOUR, monday() + 3 * HOUR])
    solver(lambda problem, **options: Plan("optimal", {"0": next(answers)}))
    found = await office.say("First|1|1|high|", "Second|1|1|low|")
    assert starts(found["Second"]) == 3


async def test_a_block_is_split_where_its_task_is_due_in_the_middle(office: Office, solver: Any) -> None:
    await office.court.task("k1", due=monday() + 2 * HOUR)
    await office.say("Work|1|3|normal|k1")
    blocks = [a for a in await office.brody.actions.pending("me") if a.kind == "calendar.create"]
    spans = [[datetime.fromisoformat(b.arguments[name]) for name in ("start", "end")] for b in blocks]
    assert (len(blocks), sum((end - start for start, end in spans), timedelta())) == (2, 3 * HOUR)
    assert all(end <= monday() + 2 * HOUR for _, end in spans)


async def test_what_was_made_on_a_stale_read_is_made_on_what_is_there_now(office: Office) -> None:
    """And done, in one turn more."""
    await office.court.task("k1", version=3)
    stale = propose("task.update", {"task_id": "k1", "version": 2, "status": "in_progress"})
    await office.brody.send(_noise())
    await office.court.settle(stale)
    await office.brody.drain()
    done = [a for a in await office.brody.actions.list("me") if a.redo_of == stale.id]
    assert [(a.state, a.arguments["version"]) for a in done] == [(ActionState.DONE, 3)]
    assert (await office.brody.actions.show(stale.id)).state is ActionState.SUPERSEDED


async def test_what_is_not_there_any_more_is_asked(office: Office) -> None:
    await office.court.task("k1", version=3)
    stale = propose("task.update", {"task_id": "k1", "version": 2, "status": "in_progress"})
    await office.court.settle(stale)
    await office.court.change(Task, "k1", removed=True)
    await office.brody.send(_noise())
    await office.brody.drain()
    found = await office.brody.actions.show(stale.id)
    assert (found.state, found.reason) == (
        ActionState.AWAITING_APPROVAL,
        "It is not there any more. You decide.",
    )


async def test_what_was_decided_meanwhile_is_not_planned_again(office: Office, solver: Any) -> None:
    block = propose("calendar.create", _block(), cause="1")
    high = propose("calendar.create", _block() | {"title": "High"}, cause="2", priority=0)
    await office.court.settle(block, high)
    await office.court.decide(block, ActionState.REJECTED)
    await office.brody.send(_noise())
    await office.brody.drain()
    assert (await office.brody.actions.show(block.id)).state is ActionState.REJECTED
    assert len(await office.brody.actions.list("me")) == 2


async def test_nobody_has_planned_again_what_no_verdict_does(office: Office, solver: Any) -> None:
    """A message alone moves nothing: neither what is held, nor what cannot be moved."""
    block = propose("calendar.create", _block(), cause="1")
    await office.court.settle(block)
    payload = Replan(action_id=block.id, reason="slot")
    await office.brody.send(
        AgentMessage(sender="x", recipient="coordinator", payload=payload, context=new_context("me"))
    )
    await office.brody.drain()
    assert [a.id for a in await office.brody.actions.list("me")] == [block.id]


def _noise() -> AgentMessage:
    """Return a message that only has work begin."""
    return AgentMessage(sender="x", recipient="planner", payload=Notification(text=""), context=new_context("me"))


def _block() -> dict[str, Any]:
    return {"account": "cal", "title": "B", "start": monday(), "end": monday() + HOUR, "movable": True}


# -- the ways of placing -----------------------------------------------------------------------------


def wanted(start: float, end: float, *, before: float | None = None, busy: Any = (), soft: bool = True) -> Wanted:
    """Return what is to be placed, in hours after nine of a Monday; it may begin then."""

    def at(hours: float) -> datetime:
        return COURT_NINE + hours * HOUR

    spans = tuple((at(s), at(e)) for s, e in busy)
    limit = None if before is None else at(before)
    return Wanted("Work", at(start), at(end), COURT_NINE, limit, spans, ZoneInfo("UTC"), soft)


@pytest.mark.parametrize(
    ("problem", "how", "spans"),
    [
        (wanted(1, 3, before=2), "shortened", [(1, 2)]),
        (wanted(1.5, 3.5, before=2), "split", [(0, 1.5), (1.5, 2)]),
        (wanted(1, 4, before=2, busy=[(0, 0.5)]), "", []),
        (wanted(2, 3, before=1.5), "moved", [(0, 1)]),
        (wanted(2, 4, before=3, busy=[(1, 2), (2.5, 3)]), "", []),
        (wanted(3, 5, before=3, busy=[(1, 2)]), "halved", [(0, 1), (2, 3)]),
        (wanted(1, 2, busy=[(0, 3)], soft=False), "moved", [(3, 4)]),
    ],
)
def test_a_block_is_shortened_split_or_moved_in_this_order(
    solver: Any, problem: Wanted, how: str, spans: list[tuple[float, float]]
) -> None:
    placed = place(problem)
    assert placed.how == how
    found = [((s - COURT_NINE) / HOUR, (e - COURT_NINE) / HOUR) for s, e in placed.spans]
    if spans:
        assert found == spans
    for begin, end in placed.spans:
        assert all(end <= b or e <= begin for b, e in problem.busy)
        assert end <= problem.limit
    assert bool(placed.spans) != bool(placed.options)
    assert len(placed.options) in (0, 3)


def test_three_options_are_there_even_if_nothing_is_free(no_solver: None) -> None:
    full = wanted(1, 2, before=2, busy=[(-24, 24 * 30)])
    assert place(full).options == ("Move the due date", "Do without it", "Decide later")
    late = wanted(1, 2, before=2, busy=[(-24, 24)])
    assert place(late).options[0] == "Put it on Tue 03 Mar 09:00–10:00, after the due date"
