"""Autonomy: what each level does with real proposals, and from when on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from brody_agents import ActionState, AgentAction, Brody
from brody_agents.communication.message_protocol import AgentMessage, new_context
from brody_agents.communication.payloads import ApprovalResponse
from brody_agents.errors import InvalidArguments, UnknownAction
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import ActionClaim, Audit
from brody_agents.policy.autonomy import Level
from brody_agents.settings import Settings
from tests.policy.kit import Desk
from tests.policy.kit import desk as opened

pytestmark = pytest.mark.timeout(30)
MAIL: dict[str, Any] = {"account": "a", "to": ["ann@b.example"], "subject": "Plants", "text": "Done."}
FILE = {"account": "dir:/nowhere", "path": "plan.txt", "text": "New."}


@pytest.fixture
async def brody(settings: Settings) -> AsyncIterator[Brody]:
    """Give a ``Brody`` in memory without agents."""
    async with Brody(agents=[], settings=settings) as brody:
        yield brody


async def test_without_settings_every_kind_has_its_default(brody: Brody) -> None:
    found = {x.kind: x for x in await brody.autonomy.list()}
    assert found["task.create"] == Level("task.create", "act", "default")
    assert found["mail.send"] == Level("mail.send", "suggest", "default")
    assert await brody.autonomy.settings() == {}


async def test_a_setting_is_the_users_own_and_can_be_taken_back(brody: Brody) -> None:
    await brody.autonomy.set("mail.*", "act")
    await brody.autonomy.set("mail.send", "observe")
    await brody.autonomy.set("*", "suggest", user_id="ada")
    found = {x.kind: (x.level, x.set_by) for x in await brody.autonomy.list()}
    assert (found["mail.send"], found["mail.draft"]) == (("observe", "mail.send"), ("act", "mail.*"))
    assert await brody.autonomy.settings("ada") == {"*": "suggest"}
    assert [await brody.autonomy.reset("mail.send"), await brody.autonomy.reset("mail.send")] == [1, 0]
    assert await brody.autonomy.settings() == {"mail.*": "act"}
    await brody.autonomy.set("*", "observe")
    assert await brody.autonomy.reset() == 2
    assert await brody.autonomy.settings() == {}
    assert await brody.autonomy.settings("ada") == {"*": "suggest"}


async def test_what_is_no_kind_or_no_level_is_refused(brody: Brody) -> None:
    with pytest.raises(UnknownAction, match=r"mail\.\*"):
        await brody.autonomy.set("mail", "act")
    with pytest.raises(UnknownAction):
        await brody.autonomy.reset("task.sing")
    with pytest.raises(InvalidArguments, match="observe, suggest, act"):
        await brody.autonomy.set("*", "always")  # type: ignore[arg-type]
    assert await brody.autonomy.settings() == {}


async def test_settings_outlive_a_restart_and_are_in_the_audit(home: Path, settings: Settings) -> None:
    async with Brody(home, agents=[], settings=settings) as brody:
        await brody.autonomy.set("mail.*", "act")
        await brody.autonomy.set("mail.*", "observe")
        await brody.autonomy.reset("mail.*")
        await brody.autonomy.set("notify", "suggest")
    async with Brody(home, agents=[], settings=settings) as brody:
        assert await brody.autonomy.settings() == {"notify": "suggest"}
        async with brody.ledger.read() as tx:
            rows = await tx.execute(table(Audit).select().order_by(table(Audit).c.position))
            told = [(row.subject, row.event) for row in rows]
    assert told == [
        ("autonomy mail.*", "autonomy act"),
        ("autonomy mail.*", "autonomy observe"),
        ("autonomy mail.*", "autonomy reset"),
        ("autonomy notify", "autonomy suggest"),
    ]


# -- what the levels do ------------------------------------------------------------------------------------


async def test_what_is_observed_is_recorded_and_never_done(settings: Settings) -> None:
    """It is final and holds nothing; a level that is set later does not bring it back, a proposal again neither."""
    async with opened(settings=settings) as desk:
        await desk.brody.autonomy.set("task.*", "observe")
        await desk.wish("task.create", title="Call Ada", cause="c")
        (observed,) = await desk.brody.actions.list()
        assert (observed.state, observed.state.final) == (ActionState.OBSERVED, True)
        assert observed.reason == "You only observe this kind: it is recorded, and never done."
        async with desk.brody.ledger.read() as tx:
            assert list(await tx.execute(table(ActionClaim).select())) == []
        await desk.brody.autonomy.reset()
        await desk.wish("task.create", title="Call Ada", cause="c")
        assert [a.state for a in await desk.brody.actions.list()] == [ActionState.OBSERVED]
        (verdict,) = await desk.brody.actions.verdicts(observed.id)
        assert verdict.why == "The same was proposed again. It is only observed."
        assert await desk.tasks() == []
        assert await desk.brody.approvals.list(open_only=False) == []


async def test_what_is_observed_gets_its_verdict_and_hinders_nothing(settings: Settings) -> None:
    """A shadow shows what would have become of it among what is real."""
    async with opened(settings=settings) as desk:
        await desk.wish("task.create", title="Call Ada")
        await desk.brody.autonomy.set("task.create", "observe")
        await desk.wish("task.create", title="Call Ada")
        shadow, _ = await desk.brody.actions.list()
        (verdict,) = await desk.brody.actions.verdicts(shadow.id)
        assert (shadow.state, verdict.rule) == (ActionState.OBSERVED, "same_task")
        await desk.brody.autonomy.reset()
        await desk.wish("task.create", title="Water the plants")
        assert sorted(await desk.tasks()) == ["Call Ada", "Water the plants"]


async def test_a_change_takes_effect_with_the_next_proposal(settings: Settings) -> None:
    """What waits goes on waiting."""
    async with opened(asks=True, settings=settings) as desk:
        first = await desk.ask(title="Call Ada")
        await desk.brody.autonomy.set("task.create", "act")
        await desk.wish("task.create", title="Water the plants")
        assert await desk.tasks() == ["Water the plants"]
        assert (await desk.action(first)).state is ActionState.AWAITING_APPROVAL


async def test_a_level_is_for_one_user(settings: Settings) -> None:
    async with opened(asks=True, settings=settings) as desk:
        await desk.wish("task.create", "ada", title="Mine")
        await desk.wish("task.create", title="Ours")
        states = {a.user_id: a.state for a in await desk.brody.actions.list()}
    assert states == {"ada": ActionState.DONE, "me": ActionState.AWAITING_APPROVAL}


async def test_what_follows_others_words_asks_although_the_kind_may_act(settings: Settings) -> None:
    """The message came from outside; the person's own wish of the same kind is let through."""
    async with opened(settings=settings) as desk:
        await desk.brody.autonomy.set("*", "act")
        card = await desk.ask("mail.send", **MAIL)
        assert card.reason == "You let this kind act, but it follows others' words: you decide."
        assert (await desk.action(card)).provenance[""]["origin"] == "untrusted"
        own = await desk.brody.execute(AgentAction(kind="file.create", arguments=FILE))
        assert (own.state, "none that you named" in own.reason) == (ActionState.FAILED, True), "it was tried"


async def test_whoever_would_get_access_is_asked_about_whatever_the_autonomy(brody: Brody) -> None:
    await brody.autonomy.set("*", "act")
    arguments = {"account": "a", "document_id": "d", "person": "ann@b.example"}
    shared = await brody.execute(AgentAction(kind="file.share", arguments=arguments))
    assert shared.state is ActionState.AWAITING_APPROVAL


# -- what it costs -----------------------------------------------------------------------------------------


async def test_levels_are_read_once_in_a_turn_and_only_where_there_is_something_to_judge(settings: Settings) -> None:
    async with opened(settings=settings) as desk:
        with queries(desk) as seen:
            await desk.brody.send(_answer())
            await desk.brody.drain()
            assert seen == []
            await desk.wish("task.create", title="Call Ada")
            assert len(seen) == 1


@contextmanager
def queries(desk: Desk) -> Iterator[list[str]]:
    """Collect the statements that read the levels."""
    found: list[str] = []

    def note(*arguments: object) -> None:
        if "FROM autonomy" in str(arguments[2]):
            found.append(str(arguments[2]))

    engine = desk.brody.ledger._engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield found
    event.remove(engine, "before_cursor_execute", note)


def _answer() -> AgentMessage:
    payload = ApprovalResponse(approval_id="p", action_id="a", kind="notify", answer="approve")
    return AgentMessage(sender="x", recipient="asker", payload=payload, context=new_context("me"))
