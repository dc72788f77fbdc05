"""Undo of effects on real local accounts and of tasks: what comes back, and what the world has moved past."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from brody_agents import CATALOGUE, ActionState, AgentAction, Brody, TrackRecord
from brody_agents.coordinator.inverses import inverse
from brody_agents.errors import CannotUndo, NotFound, OutcomeUnknown, ProviderUnavailable, UnderWay
from brody_agents.integrations.files.local import Folder
from brody_agents.integrations.mail.maildir import Maildir
from brody_agents.ledger import actions, attempts, undo
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Action, Audit, Task
from brody_agents.settings import Settings
from tests.coordinator.accounts_kit import LETTER, NOTES, World, carried_out, ended
from tests.policy.kit import Asker, Desk, desk

pytestmark = pytest.mark.timeout(30)
DRAFT: dict[str, Any] = {"to": ["ann@b.example"], "subject": "Re: Plants", "text": "Done."}


@pytest.fixture
async def world(tmp_path: Path) -> World:
    """Return accounts with one mail and one file."""
    world = World.at(tmp_path)
    await world.fill()
    return world


@pytest.fixture
async def brody(world: World, settings: Settings) -> AsyncIterator[Brody]:
    """Give a ``Brody`` in memory over the accounts."""
    async with Brody(accounts=world.accounts, agents=[], settings=settings) as brody:
        yield brody


async def do(brody: Brody, world: World, kind: str, cause: str = "test", **arguments: Any) -> ActionRecord:
    """Have an action on the one mail or the one file carried out."""
    mail_id, file_id = await world.read_into(brody)
    if kind.startswith("mail."):
        arguments = {"account": world.mail.account, "email_id": mail_id} | arguments
    elif kind.startswith("file."):
        item = {} if kind == "file.create" else {"document_id": file_id}
        arguments = {"account": world.files.account} | item | arguments
    action = await carried_out(brody, AgentAction(kind=kind, arguments=arguments, cause=cause))
    assert action.state is ActionState.DONE, action.reason
    return action


async def tasks(brody: Brody) -> dict[str, dict[str, Any]]:
    """Return the tasks of the ledger by id, without their versions, texts opened."""
    async with brody.ledger.read() as tx:
        rows = [dict(row) for row in (await tx.execute(table(Task).select())).mappings()]
    opened = brody.ledger.vault.open
    for row in rows:
        row |= {name: opened("me", row[name]) for name in ("description", "reasons")}
        del row["version"]
    return {row["id"]: row for row in rows}


async def version(brody: Brody, task_id: str) -> int:
    """Return the version of a task."""
    t = table(Task).c
    async with brody.ledger.read() as tx:
        return int((await tx.execute(table(Task).select().where(t.id == task_id))).mappings().one()["version"])


async def look(world: World) -> tuple[list[tuple[str, bytes, frozenset[str]]], dict[str, bytes]]:
    """Return what the accounts hold."""
    mails = sorted((m.folder, m.data, m.flags) for m in await world.mails())
    return mails, await world.texts()


# -- what comes back ---------------------------------------------------------------------------------------

EFFECTS: list[tuple[str, dict[str, Any]]] = [
    ("mail.draft", DRAFT),
    ("mail.label", {"label": "flagged"}),
    ("mail.archive", {}),
    ("file.create", {"path": "new/plan.txt", "text": "New."}),
    ("file.append", {"text": "Two.\n"}),
    ("file.append", {"text": ""}),
    ("file.move", {"path": "old/notes.txt"}),
]


@pytest.mark.parametrize(("kind", "arguments"), EFFECTS)
async def test_an_undone_effect_leaves_the_account_as_it_was(
    kind: str, arguments: dict[str, Any], brody: Brody, world: World
) -> None:
    before = await look(world)
    action = await do(brody, world, kind, **arguments)
    undone = await brody.actions.undo(action.id)
    assert (undone.state, undone.reason) == (ActionState.UNDONE, "You had it undone.")
    assert await look(world) == before
    assert undone.result == action.result, "what it had led to is still told"


@pytest.mark.parametrize("text", [b"", b"No end of line", b"One\n"])
async def test_an_appended_file_is_what_it_was_to_the_byte(text: bytes, brody: Brody, world: World) -> None:
    version = await world.files.version("notes.txt")
    await world.files.write("notes.txt", text, version)
    action = await do(brody, world, "file.append", text="\nOne\n")
    assert (await world.texts())["notes.txt"] != text
    assert (await brody.actions.undo(action.id)).state is ActionState.UNDONE
    assert await world.texts() == {"notes.txt": text}


async def test_a_label_that_was_there_before_stays(brody: Brody, world: World) -> None:
    """Only what the action has changed is undone."""
    (mail,) = await world.mails()
    await world.mail.flag(mail.key, frozenset({"flagged"}), frozenset(), None)
    action = await do(brody, world, "mail.label", label="flagged")
    assert (await brody.actions.undo(action.id)).state is ActionState.UNDONE
    assert "flagged" in (await world.mails())[0].flags


async def test_a_label_that_was_taken_off_comes_back(brody: Brody, world: World) -> None:
    (mail,) = await world.mails()
    await world.mail.flag(mail.key, frozenset({"flagged"}), frozenset(), None)
    action = await do(brody, world, "mail.unlabel", label="flagged")
    assert "flagged" not in (await world.mails())[0].flags
    assert (await brody.actions.undo(action.id)).state is ActionState.UNDONE
    assert "flagged" in (await world.mails())[0].flags


# -- what the world has moved past --------------------------------------------------------------------------


async def test_a_draft_that_was_edited_stays(brody: Brody, world: World, tmp_path: Path) -> None:
    action = await do(brody, world, "mail.draft", **DRAFT)
    (path,) = (tmp_path / "mail" / ".Drafts" / "cur").iterdir()
    path.write_bytes(path.read_bytes() + b"And more.\r\n")
    before = await look(world)
    stays = await brody.actions.undo(action.id)
    assert (stays.state, await look(world)) == (ActionState.DONE, before)
    assert stays.reason.startswith("It was not undone: The draft was edited since.")


async def test_a_draft_that_was_sent_is_not_looked_for(brody: Brody, world: World) -> None:
    action = await do(brody, world, "mail.draft", **DRAFT)
    assert action.result is not None
    await world.mail.move(action.result["key"], "Sent", None)
    before = await look(world)
    stays = await brody.actions.undo(action.id)
    assert (stays.state, await look(world)) == (ActionState.DONE, before)
    assert "it was moved, sent or deleted" in stays.reason


@pytest.mark.parametrize(
    ("kind", "arguments", "path"),
    [
        ("file.create", {"path": "new.txt", "text": "New."}, "new.txt"),
        ("file.append", {"text": "Two.\n"}, "notes.txt"),
        ("file.move", {"path": "moved.txt"}, "moved.txt"),
    ],
)
async def test_a_file_that_somebody_changed_since_stays(
    kind: str, arguments: dict[str, Any], path: str, brody: Brody, world: World
) -> None:
    action = await do(brody, world, kind, **arguments)
    await world.files.write(path, b"Mine.\n", await world.files.version(path))
    stays = await brody.actions.undo(action.id)
    assert (stays.state, (await world.texts())[path]) == (ActionState.DONE, b"Mine.\n")
    assert f"It was not undone: {path} has changed since." in stays.reason


async def test_a_file_does_not_move_back_onto_another(brody: Brody, world: World) -> None:
    action = await do(brody, world, "file.move", path="moved.txt")
    await world.files.write("notes.txt", b"Mine.\n", None)
    stays = await brody.actions.undo(action.id)
    assert (stays.state, await world.texts()) == (ActionState.DONE, {"notes.txt": b"Mine.\n", "moved.txt": NOTES})


async def test_a_mail_that_left_the_archive_stays_where_it_is(brody: Brody, world: World) -> None:
    action = await do(brody, world, "mail.archive")
    assert action.result is not None
    await world.mail.move(action.result["key"], "Plants", None)
    assert (await brody.actions.undo(action.id)).state is ActionState.DONE
    assert [(m.folder, m.data) for m in await world.mails()] == [("Plants", LETTER)]


async def test_a_label_that_somebody_took_off_is_left_to_them(brody: Brody, world: World) -> None:
    action = await do(brody, world, "mail.label", label="flagged")
    assert action.result is not None
    await world.mail.flag(action.result["key"], frozenset(), frozenset({"flagged"}), None)
    stays = await brody.actions.undo(action.id)
    assert (stays.state, "changed by somebody else" in stays.reason) == (ActionState.DONE, True)


async def test_what_was_not_undone_can_be_undone_once_the_world_is_as_it_was(brody: Brody, world: World) -> None:
    action = await do(brody, world, "file.move", path="moved.txt")
    await world.files.write("notes.txt", b"Mine.\n", None)
    assert (await brody.actions.undo(action.id)).state is ActionState.DONE
    await world.files.delete("notes.txt", None)
    assert (await brody.actions.undo(action.id)).state is ActionState.UNDONE
    assert await world.texts() == {"notes.txt": NOTES}


async def test_an_account_that_cannot_be_asked_now_is_asked_later(
    brody: Brody, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wish stays in the ledger, and whoever waits is told how it stands; the executor goes on by itself."""
    action = await do(brody, world, "file.append", text="Two.\n")
    version = Folder.version

    async def away(folder: Folder, key: str) -> str:
        raise ProviderUnavailable("The folder is away.")

    monkeypatch.setattr(Folder, "version", away)
    waits = await brody.actions.undo(action.id)
    assert (waits.state, waits.undoing, "is away" in waits.reason) == (ActionState.APPROVED, True, True)
    monkeypatch.setattr(Folder, "version", version)
    async with brody.ledger.write() as tx:  # its time has come
        mine = table(Action).c.id == action.id
        await tx.execute(table(Action).update().where(mine).values(not_before=None))
    assert (await brody.actions.undo(action.id)).state is ActionState.UNDONE
    assert await world.texts() == {"notes.txt": NOTES}


async def test_an_undo_whose_answer_is_lost_is_found_and_not_tried_again(
    brody: Brody, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete, calls = Maildir.delete, []

    async def lost(account: Maildir, key: str, version: str | None) -> None:
        calls.append(key)
        await delete(account, key, version)
        raise OutcomeUnknown("The connection broke after the last byte.", "Nobody knows.")

    action = await do(brody, world, "mail.draft", **DRAFT)
    monkeypatch.setattr(Maildir, "delete", lost)
    await brody.actions.undo(action.id)
    undone = await ended(brody, action.id, {ActionState.UNDONE})
    assert (undone.fence, len(calls)) == (action.fence + 1, 1)
    assert [m.folder for m in await world.mails()] == [""]


# -- tasks ----------------------------------------------------------------------------------------------------


async def made(brody: Brody, title: str = "Water the plants", **more: Any) -> str:
    """Have a task made and return its id."""
    wish = {"title": title, "reasons": ["She asked."], "sources": [{"type": "email", "id": title}]} | more
    result = await brody.execute(AgentAction(kind="task.create", arguments=wish, cause=title))
    assert result.state is ActionState.DONE
    return str(result.result["task_id"])


CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("task.update", {"title": "Sow", "due": "2026-03-02T09:00:00+00:00", "priority": "high", "reasons": ["Spring."]}),
    ("task.update", {"status": "completed"}),
    ("task.complete", {}),
    ("task.delete", {}),
]


@pytest.mark.parametrize(("kind", "arguments"), CHANGES)
async def test_a_task_is_what_it_was(kind: str, arguments: dict[str, Any], brody: Brody) -> None:
    task_id = await made(brody, due="2026-03-01T09:00:00+00:00", description="All of them.")
    before, old = await tasks(brody), await version(brody, task_id)
    done = await brody.execute(AgentAction(kind=kind, arguments={"task_id": task_id} | arguments))
    assert await tasks(brody) != before
    assert (await brody.actions.undo(done.action_id)).state is ActionState.UNDONE
    assert await tasks(brody) == before
    assert await version(brody, task_id) > old, "who has read it meanwhile reads it again"


async def test_a_new_task_is_gone(brody: Brody) -> None:
    await made(brody)
    (action,) = await brody.actions.list()
    assert (await brody.actions.undo(action.id)).state is ActionState.UNDONE
    assert await tasks(brody) == {}


async def test_two_merged_tasks_are_two_again(brody: Brody) -> None:
    one, two = await made(brody, due="2026-03-02T09:00:00+00:00"), await made(brody, "Sow carrots", priority="high")
    before = await tasks(brody)
    done = await brody.execute(AgentAction(kind="task.merge", arguments={"task_id": two, "into": one}))
    assert (await tasks(brody))[one] != before[one]
    assert (await brody.actions.undo(done.action_id)).state is ActionState.UNDONE
    assert await tasks(brody) == before


@pytest.mark.parametrize("gone", [False, True])
async def test_a_task_that_has_changed_since_stays(gone: bool, brody: Brody) -> None:
    task_id = await made(brody)
    (action,) = await brody.actions.list()
    change = AgentAction(kind="task.delete" if gone else "task.complete", arguments={"task_id": task_id})
    assert (await brody.execute(change)).state is ActionState.DONE
    before = await tasks(brody)
    stays = await brody.actions.undo(action.id)
    assert (stays.state, await tasks(brody)) == (ActionState.DONE, before)
    assert ("is not there any more" if gone else "has changed since") in stays.reason


async def test_the_changes_of_a_task_are_undone_from_the_last_to_the_first(brody: Brody) -> None:
    task_id = await made(brody)
    await brody.execute(AgentAction(kind="task.complete", arguments={"task_id": task_id}))
    complete, create = await brody.actions.list()
    assert (await brody.actions.undo(complete.id)).state is ActionState.UNDONE
    assert (await brody.actions.undo(create.id)).state is ActionState.UNDONE
    assert await tasks(brody) == {}


# -- every kind -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CATALOGUE)
def test_every_kind_has_an_inverse_or_says_why_not(kind: str) -> None:
    found = inverse(kind)
    assert not isinstance(found, str) or found.endswith("."), "a sentence for people"


async def test_what_has_no_inverse_says_why_and_stays(brody: Brody, world: World) -> None:
    gone = await do(brody, world, "file.delete")
    with pytest.raises(CannotUndo, match="What was deleted for good cannot be restored"):
        await brody.actions.undo(gone.id)
    said = await brody.execute(AgentAction(kind="notify", arguments={"text": "Hello"}))
    with pytest.raises(CannotUndo, match="A notification may have been read"):
        await brody.actions.undo(said.action_id)
    assert {a.state for a in await brody.actions.list()} == {ActionState.DONE}


# -- what was not done ------------------------------------------------------------------------------------------


async def test_what_waits_for_an_answer_is_taken_back(brody: Brody) -> None:
    """Its card is over, and what it claimed is free."""
    asked = await brody.execute(AgentAction(kind="mail.send", arguments=DRAFT | {"account": "a"}))
    (card,) = await brody.approvals.list()
    undone = await brody.actions.undo(asked.action_id[:12])
    assert (undone.state, undone.reason) == (ActionState.UNDONE, "You took it back; nothing of it was done.")
    assert (await brody.approvals.show(card.id)).state == "withdrawn"


async def test_what_was_approved_and_is_held_is_recalled_before_it_leaves(brody: Brody, world: World) -> None:
    """As a mail in its recall time: its time never comes."""
    asked = await brody.execute(AgentAction(kind="file.create", arguments=_new_file(world)))
    waiting = await brody.actions.show(asked.action_id)
    later = datetime.now(UTC) + timedelta(hours=1)
    async with brody.ledger.write() as tx:
        held = waiting.moved(ActionState.APPROVED, "You approved it.", not_before=later)
        assert await attempts.leave(tx, brody.ledger.vault, ActionState.AWAITING_APPROVAL, held)
    undone = await brody.actions.undo(asked.action_id)
    assert (undone.state, undone.reason) == (ActionState.UNDONE, "You took it back; nothing of it was done.")
    assert await world.texts() == {"notes.txt": NOTES}


async def test_what_began_before_the_wish_to_undo_it_is_not_taken_for_the_undo(brody: Brody, world: World) -> None:
    """An executor that has read the action before the person recalled it cannot begin it any more."""
    asked = await brody.execute(AgentAction(kind="mail.send", arguments=DRAFT | {"account": "a"}))
    waiting = await brody.actions.show(asked.action_id)
    approved = waiting.moved(ActionState.APPROVED, "You approved it.")
    vault = brody.ledger.vault
    async with brody.ledger.write() as tx:
        assert await attempts.leave(tx, vault, ActionState.AWAITING_APPROVAL, approved)
        assert await undo.ask(tx, vault, approved, "Undo it.")
        assert await attempts.begin(tx, vault, approved, {}) is None
        assert not await attempts.leave(tx, vault, ActionState.APPROVED, approved.moved(ActionState.FAILED, "No."))


@pytest.mark.parametrize("state", [ActionState.EXECUTING, ActionState.UNKNOWN])
async def test_what_is_under_way_is_not_undone_yet(state: ActionState, brody: Brody) -> None:
    asked = await brody.execute(AgentAction(kind="calendar.respond", arguments=_ANSWER))
    await _put(brody, asked.action_id, state)
    with pytest.raises(UnderWay, match=f"calendar.respond is {state}"):
        await brody.actions.undo(asked.action_id)


@pytest.mark.parametrize(
    "state",
    [ActionState.FAILED, ActionState.REJECTED, ActionState.MERGED, ActionState.SUPERSEDED, ActionState.EXPIRED],
)
async def test_what_was_never_done_cannot_be_undone(state: ActionState, brody: Brody) -> None:
    asked = await brody.execute(AgentAction(kind="calendar.respond", arguments=_ANSWER))
    await _put(brody, asked.action_id, state)
    with pytest.raises(CannotUndo):
        await brody.actions.undo(asked.action_id)
    assert (await brody.actions.show(asked.action_id)).state is state


async def test_an_action_that_there_is_not_cannot_be_undone(brody: Brody) -> None:
    with pytest.raises(NotFound):
        await brody.actions.undo("nothing")


_ANSWER = {
    "account": "cal",
    "uid": "u",
    "answer": "declined",
    "start": "2026-03-02T09:00:00+00:00",
    "end": "2026-03-02T10:00:00+00:00",
}


async def _put(brody: Brody, action_id: str, state: ActionState) -> None:
    action = await brody.actions.show(action_id)
    async with brody.ledger.write() as tx:
        await actions.move(tx, brody.ledger.vault, [action.moved(state, "So it is.")])


def _new_file(world: World) -> dict[str, Any]:
    return {"account": world.files.account, "path": "new.txt", "text": "New."}


# -- once ---------------------------------------------------------------------------------------------------------


async def test_undone_twice_is_undone_once(brody: Brody, world: World) -> None:
    action = await do(brody, world, "file.create", path="new.txt", text="New.")
    first = await brody.actions.undo(action.id)
    await world.files.write("new.txt", b"New.", None)
    again = await brody.actions.undo(action.id)
    assert (first.state, again) == (ActionState.UNDONE, first)
    assert "new.txt" in await world.texts(), "what is there now is somebody else's"


async def test_undone_many_times_at_once_is_undone_once(brody: Brody, world: World) -> None:
    action = await do(brody, world, "file.append", text="Two.\n")
    ends = await asyncio.gather(*(brody.actions.undo(action.id) for _ in range(8)))
    assert {end.state for end in ends} == {ActionState.UNDONE}
    assert {end.fence for end in ends} == {action.fence + 1}
    assert await world.texts() == {"notes.txt": NOTES}


async def test_an_undo_is_in_the_audit(brody: Brody, world: World) -> None:
    action = await do(brody, world, "file.move", path="moved.txt")
    await world.files.write("notes.txt", b"Mine.\n", None)
    await brody.actions.undo(action.id)
    await world.files.delete("notes.txt", None)
    await brody.actions.undo(action.id)
    a = table(Audit).c
    async with brody.ledger.read() as tx:
        rows = await tx.execute(table(Audit).select().where(a.subject == action.id).order_by(a.position))
        events = [row.event for row in rows]
    assert events[-3:] == ["file.move done", "file.move not undone", "file.move undone"]


async def test_the_proposer_hears_that_its_action_was_undone(world: World, settings: Settings) -> None:
    """Once, and nothing of an undo that was refused; what waited and was taken back is told as well."""
    asker = Asker()
    async with Brody(accounts=world.accounts, agents=[asker], settings=settings) as brody:
        found = Desk(brody, asker)
        await found.wish("task.create", title="Water the plants")
        (task,) = await brody.actions.list()
        await brody.actions.undo(task.id)
        await brody.actions.undo(task.id)
        card = await found.ask("mail.send", account="a", to=["ann@b.example"], subject="S", text="T")
        await brody.actions.undo(card.action_id)
        await brody.drain()
    assert [(r.action_id, r.state) for r in asker.results] == [
        (task.id, "done"),
        (task.id, "undone"),
        (card.action_id, "undone"),
    ]


async def test_what_was_undone_is_not_done_because_it_is_proposed_again(brody: Brody) -> None:
    wish = AgentAction(kind="task.create", arguments={"title": "Water the plants"}, cause="c")
    done = await brody.execute(wish)
    await brody.actions.undo(done.action_id)
    again = await brody.execute(wish)
    assert (again.action_id, again.state) == (done.action_id, ActionState.UNDONE)
    (verdict,) = await brody.actions.verdicts(done.action_id)
    assert verdict.why == "user proposes what you have undone. It stays undone."
    assert await tasks(brody) == {}


async def test_an_undo_says_nothing_of_who_proposed_it(settings: Settings) -> None:
    """Track records hold answers; people undo their own mistakes as well."""
    async with desk(asks=True, settings=settings) as found:
        card = await found.ask(title="Water the plants")
        await found.brody.approvals.decide(card.id, "approve")
        await found.brody.drain()
        before = await found.brody.track_records.of("me")
        assert (await found.brody.actions.undo(card.action_id)).state is ActionState.UNDONE
        assert await found.brody.track_records.of("me") == before == {("asker", "task.create"): TrackRecord(accepted=1)}
