"""Runs: steps in their order, complete by counting, latched, and apart from each other."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from brody_agents import ActionState, AgentMessage, Brody, BrodyAgent, Context, handles
from brody_agents.communication.message_protocol import new_context
from brody_agents.communication.payloads import BriefReady, EmailReceived, Notification, ScanInbox
from brody_agents.errors import BrodyError, ProviderUnavailable
from brody_agents.settings import Settings
from tests.coordinator.kit import Mailbox, Place, until

pytestmark = pytest.mark.timeout(60)
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


class Clerk(BrodyAgent):
    """Handle mail in two stages, and write down what happened in which order."""

    def __init__(self) -> None:
        super().__init__("clerk")
        self.diary: list[str] = []

    @handles
    async def on_mail(self, message: EmailReceived, ctx: Context) -> None:
        """Pass the mail on to oneself."""
        self.diary.append(f"mail {message.subject} for {ctx.user_id}")
        ctx.tell("clerk", Notification(text=message.subject))

    @handles
    async def on_note(self, message: Notification, ctx: Context) -> None:
        """Do something about it, slowly."""
        await asyncio.sleep(0.02)
        if message.text == "poison":
            raise ValueError("bad mail")
        self.diary.append(f"note {message.text} for {ctx.user_id}")
        arguments = {"title": f"Answer {message.text}", "sources": [{"type": "email", "id": ctx.message.id}]}
        ctx.propose("task.create", arguments, cause=message.text)

    @handles
    async def on_scan(self, message: ScanInbox, ctx: Context) -> None:
        """Begin the second step."""
        heads = await ctx.mail.heads()
        self.diary.append(f"scan of {len(heads)} mails, {len(await ctx.tasks.open())} tasks for {ctx.user_id}")

    @handles
    async def on_brief(self, message: BriefReady, ctx: Context) -> None:
        """Hear that it is over."""
        self.diary.append(f"brief for {ctx.user_id}")


async def test_each_step_begins_when_all_before_it_is_over(place: Place) -> None:
    """Messages that messages cause, and the actions that they propose, belong to the step."""
    clerk = Clerk()
    async with place.brody(clerk, accounts={"mail": Mailbox("a", "b")}) as brody:
        brief = await brody.run("inbox-scan", now=NOW)
    assert sorted(clerk.diary[:4]) == ["mail a for me", "mail b for me", "note a for me", "note b for me"]
    assert clerk.diary[4:] == ["scan of 2 mails, 2 tasks for me", "brief for me"]
    assert brief.complete
    assert brief.counts.model_dump() == {"messages_read": 2, "handled": 2, "dead_letters": 0, "new_messages": 2}


async def test_nothing_is_handled_before_all_accounts_are_read(quick: Place) -> None:
    """What handlers see does not depend on how fast accounts are read."""
    clerk, box = Clerk(), Mailbox("apples", "bread", "cherries")

    async def between() -> None:
        for _ in range(5):
            await asyncio.sleep(0.01)
        assert clerk.diary == []

    box.between = between
    async with quick.brody(clerk, accounts={"mail": [box]}) as brody:
        await brody.run("inbox-scan", now=NOW)
    assert "scan of 3 mails, 3 tasks for me" in clerk.diary


async def test_a_complete_run_stays_complete(quick: Place) -> None:
    """A late message of a run does not open it again; nothing of it is sent twice."""
    clerk = Clerk()
    async with quick.brody(clerk, accounts={"mail": Mailbox("a")}) as brody:
        brief = await brody.run("inbox-scan", now=NOW)
        before = await brody.runs.show(brief.run_id)
        late = AgentMessage(
            sender="x",
            recipient="clerk",
            payload=Notification(text="late"),
            context=new_context("me"),
            run_id=brief.run_id,
        )
        await brody.send(late)
        await brody.drain()
        after = await brody.runs.show(brief.run_id)
    assert before == after
    assert (after.state, clerk.diary.count("brief for me")) == ("complete", 1)
    assert "note late for me" in clerk.diary


async def test_a_message_that_fails_does_not_keep_a_run_open(quick: Place) -> None:
    """The brief says so."""
    clerk = Clerk()
    async with quick.brody(clerk, accounts={"mail": Mailbox("a", "poison", "b")}) as brody:
        brief = await brody.run("inbox-scan", now=NOW)
        (letter,) = await brody.dead_letters.list()
    assert brief.complete
    assert "scan of 3 mails, 2 tasks for me" in clerk.diary
    assert (letter.run_id, letter.message_type) == (brief.run_id, "notification")
    assert any("could not be handled" in notice.text for notice in brief.notices)


async def test_runs_of_two_users_at_the_same_time_are_apart(place: Place) -> None:
    """Each sees its own mail, tasks and brief."""
    clerk = Clerk()
    async with place.brody(clerk, accounts={"mail": Mailbox("a", "b")}) as brody:
        mine, adas = await asyncio.gather(
            brody.run("inbox-scan", now=NOW), brody.run("inbox-scan", user_id="ada", now=NOW)
        )
    for brief, user in ((mine, "me"), (adas, "ada")):
        assert (brief.user_id, brief.complete, brief.counts.new_messages) == (user, True, 2)
        assert {task.title for task in brief.tasks} == {"Answer a", "Answer b"}
        assert [line for line in clerk.diary if line.endswith(f"tasks for {user}")] == [
            f"scan of 2 mails, 2 tasks for {user}"
        ]
    assert {t.id for t in mine.tasks}.isdisjoint({t.id for t in adas.tasks})


async def test_the_same_run_asked_for_twice_at_once_is_done_one_after_the_other(quick: Place) -> None:
    """The second reads only what the first has left."""
    clerk = Clerk()
    async with quick.brody(clerk, accounts={"mail": Mailbox("a", "b")}) as brody:
        briefs = await asyncio.gather(*(brody.run("inbox-scan", now=NOW) for _ in range(3)))
        found = await brody.runs.list()
    assert [brief.counts.new_messages for brief in briefs] == [2, 0, 0]
    assert len({brief.run_id for brief in briefs}) == 3
    assert {run.state for run in found} == {"complete"}
    assert sorted(clerk.diary[:4]) == ["mail a for me", "mail b for me", "note a for me", "note b for me"]
    assert clerk.diary.count("mail a for me") == 1


async def test_a_dry_run_does_nothing_and_the_next_run_does_it(quick: Place) -> None:
    """What a dry run proposes is recorded; a run that counts takes it up without handling the mail again."""
    clerk = Clerk()
    async with quick.brody(clerk, accounts={"mail": Mailbox("a", "b")}) as brody:
        dry = await brody.run("inbox-scan", now=NOW, dry_run=True)
        observed = await brody.actions.list()
        real = await brody.run("inbox-scan", now=NOW)
        done = await brody.actions.list()
    assert {a.state for a in observed} == {ActionState.PROPOSED}
    assert (dry.tasks, {p.state for p in dry.proposals}) == ([], {"proposed"})
    assert {a.state for a in done} == {ActionState.DONE}
    assert {t.title for t in real.tasks} == {"Answer a", "Answer b"}
    assert real.proposals == []
    assert clerk.diary.count("mail a for me") == 1


async def test_what_is_only_observed_by_now_is_not_done_after_a_dry_run_either(quick: Place) -> None:
    """The person has decided in between; what became of it is final, and no later run looks at it again."""
    async with quick.brody(Clerk(), accounts={"mail": Mailbox("a", "b")}) as brody:
        await brody.run("inbox-scan", now=NOW, dry_run=True)
        await brody.autonomy.set("task.*", "observe")
        real = await brody.run("inbox-scan", now=NOW)
        assert (real.tasks, {a.state for a in await brody.actions.list()}) == ([], {ActionState.OBSERVED})
        await brody.autonomy.reset()
        assert (await brody.run("inbox-scan", now=NOW)).tasks == []


async def test_a_dry_run_leaves_the_list_as_it_is(quick: Place) -> None:
    """A wish that a task already fulfils is not merged into it until it counts."""
    clerk = Clerk()
    from brody_agents import AgentAction

    async with quick.brody(clerk, accounts={"mail": Mailbox("a")}) as brody:
        await brody.execute(AgentAction(kind="task.create", arguments={"title": "Answer a"}))
        (before,) = (await brody.run("inbox-scan", now=NOW, dry_run=True)).tasks
        (after,) = (await brody.run("inbox-scan", now=NOW)).tasks
        states = [a.state for a in await brody.actions.list()]
    assert before.sources == []
    assert len(after.sources) == 1
    assert states == [ActionState.MERGED, ActionState.DONE]


async def test_a_run_that_was_given_up_goes_on_with_its_id(place: Place) -> None:
    """Where it was stopped, in a process that ended in between."""
    hold = asyncio.Event()

    class Slow(Clerk):
        @handles
        async def on_note(self, message: Notification, ctx: Context) -> None:
            self.diary.append("stuck")
            await hold.wait()

    stuck, clerk, box = Slow(), Clerk(), Mailbox("a", "b")
    async with place.brody(stuck, accounts={"mail": box}) as brody:
        running = asyncio.create_task(brody.run("inbox-scan", now=NOW))
        await until(lambda: "stuck" in stuck.diary, "the handler that hangs")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        (given_up,) = await brody.runs.list()
    async with place.brody(clerk, accounts={"mail": box}) as brody:
        brief = await brody.run("inbox-scan", now=NOW)
        found = await brody.runs.list()
    assert (brief.run_id, [run.id for run in found]) == (given_up.id, [given_up.id])
    assert brief.counts.model_dump() == {"messages_read": 2, "handled": 2, "dead_letters": 0, "new_messages": 2}
    assert clerk.diary == ["note a for me", "note b for me", "scan of 2 mails, 2 tasks for me", "brief for me"]


@pytest.mark.parametrize(
    "error", [ProviderUnavailable("It is away."), OSError("cable"), ZeroDivisionError(), OSError("half\udcff")]
)
async def test_an_account_that_fails_in_whatever_way_is_a_problem_of_its_own(quick: Place, error: Exception) -> None:
    """The others are read; when nothing can be read the run ends with the account's error, and can begin again."""
    clerk, good, bad = Clerk(), Mailbox("a"), Mailbox("b", account="box:2", broken=error)
    async with quick.brody(clerk, accounts={"mail": [bad, good]}) as brody:
        brief = await brody.run("inbox-scan", now=NOW)
    assert [p.account for p in brief.problems] == ["box:2"]
    assert (brief.complete, brief.counts.messages_read) == (True, 1)
    assert str(error) in brief.problems[0].what or type(error).__name__ in brief.problems[0].what
    async with Brody(agents=[clerk], accounts={"mail": bad}, settings=quick.settings) as brody:
        with pytest.raises(BrodyError):
            await brody.run("inbox-scan", now=NOW)
        assert [run.state for run in await brody.runs.list()] == ["failed"]
        bad.broken = None
        assert (await brody.run("inbox-scan", now=NOW)).counts.messages_read == 1


@pytest.mark.parametrize(
    "place", ["memory", pytest.param("redis-and-postgres", marks=pytest.mark.integration)], indirect=True
)
@pytest.mark.parametrize("key", ["a\0b", "half\udcff"])
async def test_an_account_with_ids_that_cannot_be_stored_is_a_problem_of_its_own(place: Place, key: str) -> None:
    clerk, good, bad = Clerk(), Mailbox("a"), Mailbox("b", account="box:2")
    bad.mails = [replace(bad.mails[0], key=key)]
    async with place.brody(clerk, accounts={"mail": [bad, good]}) as brody:
        brief = await brody.run("inbox-scan", now=NOW)
    assert [(p.account, "NUL" in p.what) for p in brief.problems] == [("box:2", True)]
    assert (brief.complete, brief.counts.messages_read) == (True, 1)


async def test_what_agents_reason_with_is_the_time_of_the_run(settings: Settings) -> None:
    """In the zone of the run, for all that descends from it; without a run it is the clock."""
    seen: list[Any] = []

    class Watch(BrodyAgent):
        @handles
        async def on_scan(self, message: ScanInbox, ctx: Context) -> None:
            seen.append((ctx.now, ctx.now.utcoffset(), ctx.timezone.key))
            ctx.tell("watch", Notification(text="and you?"))

        @handles
        async def on_note(self, message: Notification, ctx: Context) -> None:
            seen.append((ctx.now, ctx.now.utcoffset(), ctx.timezone.key))

    async with Brody(agents=[Watch("watch")], accounts={"mail": Mailbox()}, settings=settings) as brody:
        await brody.run("inbox-scan", now=NOW, timezone="Asia/Kathmandu")
        message = AgentMessage(sender="x", recipient="watch", payload=Notification(text=""), context=new_context("me"))
        await brody.send(message)
        await brody.drain()
    assert seen[0] == seen[1] == (NOW, NOW.astimezone(seen[0][0].tzinfo).utcoffset(), "Asia/Kathmandu")
    assert seen[2][2] == "UTC"
    assert abs((seen[2][0] - datetime.now(UTC)).total_seconds()) < 60
