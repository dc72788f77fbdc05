"""The executor: what the ledger's own actions do, and how they fail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from brody_agents import ActionResult, ActionState, AgentAction, Brody, BrodyAgent, Context, handles
from brody_agents.communication import payloads
from brody_agents.errors import InvalidArguments
from brody_agents.items import TaskItem
from brody_agents.ledger import items
from brody_agents.ledger.items import Owner
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Note as Notice
from brody_agents.settings import Settings
from tests.coordinator.kit import Note, note

pytestmark = pytest.mark.timeout(30)
MAIL, FILE = {"type": "email", "id": "m1"}, {"type": "file", "id": "f1"}
FRIDAY, MONDAY = datetime(2026, 3, 6, 17, tzinfo=UTC), datetime(2026, 3, 2, 9, tzinfo=UTC)


class Looker(BrodyAgent):
    """Look at the tasks, and hear what became of its own proposals."""

    def __init__(self) -> None:
        super().__init__("looker")
        self.tasks: list[TaskItem] = []
        self.completed: list[TaskItem] = []

    @handles
    async def on_note(self, message: Note, ctx: Context) -> None:
        """Read the list."""
        self.tasks, self.completed = await ctx.tasks.open(), await ctx.tasks.completed(MONDAY)


class Desk:
    """A ``Brody`` with shortcuts to have things done."""

    def __init__(self, brody: Brody, looker: Looker) -> None:
        self.brody, self.looker = brody, looker

    async def do(self, kind: str, user_id: str = "me", **arguments: Any) -> ActionResult:
        """Have an action carried out."""
        return await self.brody.execute(AgentAction(kind=kind, arguments=arguments), user_id=user_id)

    async def make(self, title: str, **arguments: Any) -> str:
        """Make a task and return its id."""
        result = await self.do("task.create", title=title, **arguments)
        assert result.state is ActionState.DONE, result
        return str(result.result["task_id"])

    async def tasks(self, user: str = "me") -> dict[str, TaskItem]:
        """Return the open tasks by title."""
        await self.brody.send(note("looker", user=user))
        await self.brody.drain()
        return {task.title: task for task in self.looker.tasks}


@pytest.fixture
async def desk(settings: Settings) -> AsyncIterator[Desk]:
    """Give a desk in memory."""
    looker = Looker()
    async with Brody(agents=[looker], settings=settings) as brody:
        yield Desk(brody, looker)


async def test_a_task_is_made_as_it_was_wished(desk: Desk) -> None:
    wish = {"due": FRIDAY, "priority": "high", "description": "Twice.", "assignee": "ann@b.example", "root": "thread"}
    await desk.make("Water the plants", sources=[MAIL, FILE], reasons=["They are dry."], **wish)
    task = (await desk.tasks())["Water the plants"]
    assert (task.due, task.priority, task.description, task.status) == (FRIDAY, "high", "Twice.", "pending")
    assert (task.assignee, task.root, task.version) == ("ann@b.example", "thread", 1)
    assert [s.model_dump() for s in task.sources] == [MAIL, FILE]
    assert task.reasons == ("They are dry.",)


async def test_a_change_of_a_task_leaves_the_rest_as_it_is(desk: Desk) -> None:
    """Sources and reasons are added; what was not named stays."""
    task_id = await desk.make("Call Ben", due=FRIDAY, sources=[MAIL], reasons=["He asked."])
    change: dict[str, Any] = {"title": "Call Ben back", "priority": "urgent", "reasons": ["Again."]}
    change |= {"add_sources": [MAIL, FILE]}
    assert (await desk.do("task.update", task_id=task_id, version=1, **change)).state is ActionState.DONE
    task = (await desk.tasks())["Call Ben back"]
    assert (task.due, task.priority, task.version) == (FRIDAY, "urgent", 2)
    assert [s.id for s in task.sources] == ["m1", "f1"]
    assert task.reasons == ("He asked.", "Again.")


@pytest.mark.parametrize("kind", ["task.complete", "task.update"])
async def test_a_completed_task_leaves_the_list_and_is_remembered(desk: Desk, kind: str) -> None:
    task_id = await desk.make("Post the letter")
    status = {"status": "completed"} if kind == "task.update" else {}
    await desk.do(kind, task_id=task_id, **status)
    assert await desk.tasks() == {}
    assert [t.title for t in desk.looker.completed] == ["Post the letter"]
    assert desk.looker.completed[0].completed_at is not None


async def test_a_task_that_is_taken_up_again_is_not_completed_any_more(desk: Desk) -> None:
    task_id = await desk.make("Post the letter")
    await desk.do("task.complete", task_id=task_id)
    await desk.do("task.update", task_id=task_id, status="in_progress")
    task = (await desk.tasks())["Post the letter"]
    assert (task.status, task.completed_at, desk.looker.completed) == ("in_progress", None, [])


async def test_two_tasks_that_are_one_keep_the_sources_of_both(desk: Desk) -> None:
    """The one that stays has the earliest due date and the highest priority."""
    stays = await desk.make("Book a room", sources=[MAIL], reasons=["1"], due=FRIDAY)
    goes = await desk.make("Reserve something to sit in", sources=[FILE], reasons=["2"], due=MONDAY, priority="urgent")
    assert (await desk.do("task.merge", task_id=goes, into=stays)).result == {"task_id": stays}
    tasks = await desk.tasks()
    assert list(tasks) == ["Book a room"]
    task = tasks["Book a room"]
    assert ([s.id for s in task.sources], task.reasons) == (["m1", "f1"], ("1", "2"))
    assert (task.due, task.priority) == (MONDAY, "urgent")


async def test_a_deleted_task_is_gone(desk: Desk) -> None:
    task_id = await desk.make("Nothing")
    await desk.do("task.delete", task_id=task_id, version=1)
    assert await desk.tasks() == {}
    assert (await desk.do("task.delete", task_id=task_id)).state is ActionState.FAILED


async def test_a_notification_is_kept_for_the_person(desk: Desk) -> None:
    result = await desk.do("notify", text="Look here.", level="urgent", about=["m1"])
    async with desk.brody.ledger.read() as tx:
        (row,) = (await tx.execute(table(Notice).select())).mappings()
    assert (row["id"], row["level"], row["about"]) == (result.result["notification_id"], "urgent", ["m1"])
    assert desk.brody.ledger.vault.open("me", row["text"]) == "Look here."


CHANGES: dict[str, dict[str, Any]] = {
    "task.update": {"title": "Changed"},
    "task.complete": {},
    "task.delete": {},
}


@pytest.mark.parametrize("kind", ["task.update", "task.delete"])
async def test_what_was_changed_meanwhile_is_not_overwritten(desk: Desk, kind: str) -> None:
    """An action on a version that is no more waits for the person, and says why; nothing of it is done."""
    task_id = await desk.make("Draw the plan")
    await desk.do("task.update", task_id=task_id, version=1, priority="high")
    result = await desk.do(kind, task_id=task_id, version=1, **CHANGES[kind])
    assert result.state is ActionState.AWAITING_APPROVAL
    assert "has changed since it was read" in result.reason
    task = (await desk.tasks())["Draw the plan"]
    assert (task.version, task.status, task.priority) == (2, "pending", "high")


@pytest.mark.parametrize("kind", [*CHANGES, "task.merge"])
async def test_what_is_not_there_or_another_users_fails(desk: Desk, kind: str) -> None:
    task_id = await desk.make("Mine")
    more = {"into": task_id} if kind == "task.merge" else CHANGES[kind]
    for user, wanted in (("me", "no-such-task"), ("ada", task_id)):
        result = await desk.do(kind, user_id=user, task_id=wanted, **more)
        assert result.state is ActionState.FAILED
        assert "There is no task" in result.reason
    assert list(await desk.tasks()) == ["Mine"]


async def test_a_task_cannot_be_merged_into_itself_or_into_one_that_is_over(desk: Desk) -> None:
    """Either would take a wish off the list."""
    task_id, done = await desk.make("Keep me"), await desk.make("Over and out")
    await desk.do("task.complete", task_id=done)
    for into in (task_id, done):
        assert (await desk.do("task.merge", task_id=task_id, into=into)).state is ActionState.FAILED
    assert list(await desk.tasks()) == ["Keep me"]


async def test_a_task_of_an_account_is_not_changed_behind_its_back(desk: Desk) -> None:
    """Its account holds it; a change of the copy here would be undone by the next reading."""
    from brody_agents.integrations.tasks.base import RawTask

    ledger, owner = desk.brody.ledger, Owner("me", "todo:1", None, MONDAY)
    await ledger.ensure_users({"me"})
    async with ledger.write() as tx:
        await items.write_tasks(tx, ledger.vault, owner, [RawTask("k", "1", "Theirs")])
    for kind, more in CHANGES.items():
        result = await desk.do(kind, task_id=owner.item_id("k"), **more)
        assert result.state is ActionState.FAILED
        assert "todo:1" in result.reason
    assert list(await desk.tasks()) == ["Theirs"]


async def test_a_title_is_as_long_as_a_new_tasks_may_be(desk: Desk) -> None:
    """Else it could not be merged any more."""
    task_id = await desk.make("Short")
    with pytest.raises(InvalidArguments):
        await desk.do("task.update", task_id=task_id, title="x" * 501)


async def test_an_effect_may_run_into_anything(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The action fails with the reason, nothing of it stays, and the executor goes on."""
    from brody_agents.coordinator import effects

    async def half(*arguments: Any) -> dict[str, Any]:
        await effects.create_task(*arguments)
        raise RuntimeError("half-way")

    monkeypatch.setattr(effects, "EFFECTS", dict(effects.EFFECTS) | {"task.create": half})
    result = await desk.do("task.create", title="Half a task")
    assert (result.state, result.result) == (ActionState.FAILED, {})
    assert "half-way" in result.reason
    assert await desk.tasks() == {}
    assert (await desk.do("notify", text="still here")).state is ActionState.DONE


async def test_a_result_may_have_a_long_reason(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proposer hears its beginning, the person reads all of it."""
    from brody_agents.coordinator import effects

    async def fail(*arguments: Any) -> dict[str, Any]:
        raise RuntimeError("x" * 5_000)

    class Wisher(BrodyAgent):
        heard: tuple[str, ...] = ()

        @handles
        async def on_note(self, message: Note, ctx: Context) -> None:
            ctx.propose("notify", {"text": "hello"})

        @handles
        async def on_result(self, result: payloads.ActionResult, ctx: Context) -> None:
            self.heard += (result.reason,)

    monkeypatch.setattr(effects, "EFFECTS", {"notify": fail})
    async with Brody(agents=[wisher := Wisher("wisher")], settings=settings) as brody:
        await brody.send(note("wisher"))
        await brody.drain()
        (action,) = await brody.actions.list()
    assert wisher.heard == (action.reason[:2_000],)
    assert len(action.reason) > 5_000


async def test_the_result_goes_to_a_proposer_that_handles_results_and_to_nobody_else(settings: Settings) -> None:
    class Wisher(BrodyAgent):
        @handles
        async def on_note(self, message: Note, ctx: Context) -> None:
            arguments = {"task_id": self.name} if message.text == "fail" else {"text": "hello"}
            ctx.propose("task.complete" if message.text == "fail" else "notify", arguments)

    class Hearer(Wisher):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.heard: list[tuple[str, str]] = []

        @handles
        async def on_result(self, result: payloads.ActionResult, ctx: Context) -> None:
            assert ctx.message.sender == "coordinator"
            self.heard.append((result.kind, result.state))

    deaf, hearer, other = Wisher("deaf"), Hearer("hearer"), Hearer("other")
    async with Brody(agents=[deaf, hearer, other], settings=settings) as brody:
        for agent in ("deaf", "hearer"):
            for text in ("fail", "go"):
                await brody.send(note(agent, text))
        await brody.drain()
        assert await brody.dead_letters.list() == []
        assert len(await brody.actions.list("me")) == 4
    assert sorted(hearer.heard) == [("notify", "done"), ("task.complete", "failed")]
    assert other.heard == []
