"""Effects on real local accounts: what they do, how they are reconciled, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from brody_agents import ActionState, AgentAction, Brody
from brody_agents.coordinator.account_effects import EFFECTS, KINDS
from brody_agents.coordinator.account_effects.base import Done, Job, NotDone, Unclear
from brody_agents.coordinator.account_executor import AccountExecutor
from brody_agents.errors import OutcomeUnknown
from brody_agents.integrations.files.local import Folder
from brody_agents.integrations.mail.maildir import Maildir
from brody_agents.integrations.mail.parsing import parse_mail
from brody_agents.ledger import attempts
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.settling import settle
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Action
from brody_agents.settings import Settings
from tests.coordinator.accounts_kit import LETTER, NOTES, World, approve, carried_out, ended
from tests.coordinator.kit import until

pytestmark = pytest.mark.timeout(30)


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


async def do(brody: Brody, world: World, kind: str, **arguments: Any) -> ActionRecord:
    """Have an action on the one mail or the one file carried out."""
    mail_id, file_id = await world.read_into(brody)
    if kind.startswith("mail."):
        arguments = {"account": world.mail.account, "email_id": mail_id} | arguments
    elif kind != "file.create":
        arguments = {"document_id": file_id} | arguments
    if kind.startswith("file."):
        arguments = {"account": world.files.account} | arguments
    return await carried_out(brody, AgentAction(kind=kind, arguments=arguments, cause="test"))


async def test_a_draft_of_an_answer_lies_in_its_thread(brody: Brody, world: World) -> None:
    action = await do(brody, world, "mail.draft", to=["ann@b.example"], subject="Re: Plants", text="Grüße, done.")
    assert (action.state, action.fence) == (ActionState.DONE, 1)
    (draft,) = [m for m in await world.mails() if m.folder == "Drafts"]
    parsed = parse_mail(draft.data)
    assert "draft" in draft.flags
    assert parsed.in_reply_to == "plants@b.example"
    assert parsed.references == ("earlier@b.example", "plants@b.example")
    assert (parsed.subject, parsed.text.strip()) == ("Re: Plants", "Grüße, done.")


@pytest.mark.parametrize("kind", ["mail.send", "mail.reply", "mail.forward"])
async def test_without_a_transport_nothing_is_sent_and_it_says_what_is_missing(
    kind: str, brody: Brody, world: World
) -> None:
    more = {} if kind == "mail.forward" else {"subject": "Re: Plants"}
    action = await do(brody, world, kind, to=["ann@b.example"], text="Done.", **more)
    assert action.state is ActionState.FAILED
    assert "smtp:" in action.reason
    assert len(await world.mails()) == 1


def test_every_kind_of_the_catalogue_is_carried_out_by_somebody() -> None:
    """What nobody carried out would stay approved, and keep whoever waits for it."""
    assert set(EFFECTS) >= KINDS


async def test_a_label_is_put_on_and_taken_off(brody: Brody, world: World) -> None:
    assert (await do(brody, world, "mail.label", label="flagged")).state is ActionState.DONE
    assert "flagged" in (await world.mails())[0].flags
    assert (await do(brody, world, "mail.unlabel", label="flagged")).state is ActionState.DONE
    assert "flagged" not in (await world.mails())[0].flags


async def test_a_label_that_the_account_does_not_know_fails(brody: Brody, world: World) -> None:
    action = await do(brody, world, "mail.label", label="plants")
    assert (action.state, "no letter for plants" in action.reason) == (ActionState.FAILED, True)


async def test_a_mail_is_archived_unchanged(brody: Brody, world: World) -> None:
    action = await do(brody, world, "mail.archive")
    assert action.state is ActionState.DONE
    assert [(m.folder, m.data) for m in await world.mails()] == [("Archive", LETTER)]


async def test_a_mail_is_deleted(brody: Brody, world: World) -> None:
    assert (await do(brody, world, "mail.delete")).state is ActionState.DONE
    assert await world.mails() == []


async def test_files_are_made_and_grow_and_move_and_go(brody: Brody, world: World) -> None:
    assert (await do(brody, world, "file.append", text="Two.\n")).state is ActionState.DONE
    assert await world.texts() == {"notes.txt": NOTES + b"Two.\n"}
    assert (await do(brody, world, "file.move", path="old/notes.txt")).state is ActionState.DONE
    assert await world.texts() == {"old/notes.txt": NOTES + b"Two.\n"}
    assert (await do(brody, world, "file.create", path="new.txt", text="New.")).state is ActionState.DONE
    assert (await world.texts())["new.txt"] == b"New."


async def test_a_file_is_deleted(brody: Brody, world: World) -> None:
    assert (await do(brody, world, "file.delete")).state is ActionState.DONE
    assert await world.texts() == {}


async def test_a_folder_cannot_share(brody: Brody, world: World) -> None:
    action = await do(brody, world, "file.share", person="ann@b.example")
    assert (action.state, "cannot share" in action.reason) == (ActionState.FAILED, True)


async def test_a_file_that_changed_since_it_was_read_stays_as_it_is(brody: Brody, world: World, tmp_path: Path) -> None:
    _, file_id = await world.read_into(brody)
    (file,) = (tmp_path / "files").iterdir()
    file.write_text("Mine.\n")
    arguments = {"account": world.files.account, "document_id": file_id, "text": "Two.\n"}
    action = await carried_out(brody, AgentAction(kind="file.append", arguments=arguments, cause="test"))
    assert (action.state, await world.texts()) == (ActionState.FAILED, {"notes.txt": b"Mine.\n"})


async def test_what_may_have_happened_is_asked_about_and_not_taken_for_refused(
    brody: Brody, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The draft is there, and the account could not say so: it is found, and not written again."""
    append = Maildir.append

    async def lost(account: Maildir, data: bytes, folder: str, flags: frozenset[str] = frozenset()) -> str:
        await append(account, data, folder, flags)
        raise OutcomeUnknown("The connection broke after the last byte.", "Nobody knows.")

    mail_id, _ = await world.read_into(brody)
    monkeypatch.setattr(Maildir, "append", lost)
    arguments = {
        "account": world.mail.account,
        "email_id": mail_id,
        "to": ["ann@b.example"],
        "subject": "Re",
        "text": "Done.",
    }
    action = await carried_out(brody, AgentAction(kind="mail.draft", arguments=arguments, cause="test"))
    assert (action.state, action.fence) == (ActionState.DONE, 1)
    assert len([m for m in await world.mails() if m.folder == "Drafts"]) == 1


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionResetError("Connection reset by peer"), OSError(113, "")])
async def test_what_breaks_while_an_effect_is_planned_is_tried_again(
    error: OSError, brody: Brody, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was begun, so nothing is lost: whatever the library of an account raises for a network that is away."""
    read, failed = Folder.read, 0

    async def away(account: Folder, key: str) -> bytes:
        nonlocal failed
        if (failed := failed + 1) == 1:
            raise error
        return await read(account, key)

    _, file_id = await world.read_into(brody)
    monkeypatch.setattr(Folder, "read", away)
    arguments = {"account": world.files.account, "document_id": file_id, "text": "Two.\n"}
    proposed = await brody.execute(AgentAction(kind="file.append", arguments=arguments, cause="test"))
    await approve(brody, proposed.action_id)
    await until(lambda: failed, "it is tried")
    waits = await until(lambda: put_off(brody, proposed.action_id), "it waits")
    assert (waits.state, waits.fence) == (ActionState.APPROVED, 0)
    await its_time_has_come(brody, proposed.action_id)
    done = await ended(brody, proposed.action_id)
    assert (done.state, await world.texts()) == (ActionState.DONE, {"notes.txt": NOTES + b"Two.\n"})


async def put_off(brody: Brody, action_id: str) -> ActionRecord | None:
    """Return an action that waits for its time."""
    found = await brody.actions.show(action_id)
    return found if found.not_before else None


async def its_time_has_come(brody: Brody, action_id: str) -> None:
    """Have an action wait no more."""
    async with brody.ledger.write() as tx:
        mine = table(Action).c.id == action_id
        await tx.execute(table(Action).update().where(mine).values(not_before=None))


async def test_an_account_that_was_never_named_is_not_opened(brody: Brody, world: World, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    action = await do(brody, world, "file.create", account=f"dir:{elsewhere}", path="x.txt", text="X")
    assert (action.state, list(elsewhere.iterdir())) == (ActionState.FAILED, [])


async def test_a_post_is_in_its_channel_once(brody: Brody, settings: Settings, tmp_path: Path) -> None:
    """Also where the folder could not say so: it is found by its id."""
    post = AgentAction(kind="chat.post", arguments={"channel": "team", "text": "Hello"}, cause="test")
    assert "--chat" in (await carried_out(brody, post)).reason
    async with Brody(accounts={"chat": f"chat:{tmp_path}"}, agents=[], settings=settings) as other:
        action = await carried_out(other, post)
        assert (action.state, (action.result or {})["where"]) == (ActionState.DONE, "team.jsonl")
    (line,) = (tmp_path / "team.jsonl").read_text().splitlines()
    assert f'"id": "{action.key[:40]}"' in line


async def test_a_draft_is_from_the_person(brody: Brody, world: World) -> None:
    """Whom the mail that is answered was written to, where nothing says more; its Message-ID is of that domain."""
    action = await do(brody, world, "mail.draft", to=["ann@b.example"], bcc=["c@b.example"], subject="Re", text="Done.")
    (draft,) = [m for m in await world.mails() if m.folder == "Drafts"]
    parsed = parse_mail(draft.data)
    assert (parsed.sender.address, parsed.message_id) == ("me@b.example", f"{action.key[:40]}@b.example")
    assert b"Bcc: c@b.example" in draft.data, "the person sends it, and must see to whom"


async def test_a_draft_is_from_the_address_that_sends(world: World, settings: Settings) -> None:
    accounts = {**world.accounts, "send": "smtp://mira@home.example"}
    async with Brody(accounts=accounts, agents=[], settings=settings) as brody:
        await do(brody, world, "mail.draft", to=["ann@b.example"], subject="Re", text="Done.")
    (draft,) = [m for m in await world.mails() if m.folder == "Drafts"]
    assert parse_mail(draft.data).sender.address == "mira@home.example"


# -- reconciling -----------------------------------------------------------------------------------------

ARGUMENTS: dict[str, dict[str, Any]] = {
    "mail.draft": {"to": ["ann@b.example"], "subject": "Re: Plants", "text": "Done."},
    "mail.label": {"label": "flagged"},
    "mail.archive": {},
    "mail.delete": {},
    "file.create": {"path": "new.txt", "text": "New."},
    "file.append": {"text": "Two."},
    "file.move": {"path": "moved.txt"},
    "file.delete": {},
}


async def etag(world: World) -> str:
    """Return the version of the one file."""

    async def nothing() -> dict[str, str]:
        return {}

    (version,) = [f.version async for page in world.files.changes(None, nothing) for f in page.items]
    return version


async def planned(kind: str, world: World) -> Job:
    """Return a job on the one mail or file, as it is when its intent has been written."""
    mail, file = (await world.mails())[0], "notes.txt"
    is_mail = kind.startswith("mail.")
    account = world.mail.account if is_mail else world.files.account
    item = {} if kind == "file.create" else {"email_id" if is_mail else "document_id": "i"}
    checked, now = AgentAction(kind=kind, arguments={"account": account} | item | ARGUMENTS[kind]), datetime.now(UTC)
    action = ActionRecord(
        id="a",
        key="k" * 64,
        user_id="me",
        run_id=None,
        kind=kind,
        arguments=checked.arguments,
        state=ActionState.APPROVED,
        why="",
        proposed_by="x",
        cause="test",
        priority=2,
        created_at=now,
        updated_at=now,
    )
    provider: Any = world.mail if is_mail else world.files
    version = mail.version if is_mail else await etag(world)
    job = Job(action, checked.checked()[1], provider, mail.key if is_mail else file, version)
    return replace(job, intent=await EFFECTS[kind].plan(job))


@pytest.mark.parametrize("kind", ARGUMENTS)
async def test_what_was_not_applied_is_found_not_done_and_what_was_is_found_done(kind: str, world: World) -> None:
    job, effect = await planned(kind, world), EFFECTS[kind]
    assert await effect.reconcile(job) == NotDone()
    await effect.apply(job)
    assert isinstance(await effect.reconcile(job), Done)


async def test_a_file_that_somebody_else_wrote_meanwhile_is_for_a_person(world: World) -> None:
    job = await planned("file.append", world)
    await world.files.write("notes.txt", b"Other.", await etag(world))
    assert isinstance(await EFFECTS["file.append"].reconcile(job), Unclear)


# -- outcomes that are not known ----------------------------------------------------------------------------


class Slow:
    """A folder that answers only when it may."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.writes, self.may = inner, 0, asyncio.Event()
        self.account = inner.account

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def write(self, key: str, data: bytes, version: str | None) -> str:
        """Write, and answer late."""
        self.writes += 1
        written: str = await self.inner.write(key, data, version)
        await self.may.wait()
        return written


async def test_a_write_that_answers_late_is_not_tried_again(
    world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(world.files)
    monkeypatch.setattr("brody_agents.worker.AccountExecutor", partial(AccountExecutor, limit=0.05))
    accounts: Any = {"files": slow}
    async with Brody(accounts=accounts, agents=[], settings=settings) as brody:
        doing = asyncio.ensure_future(do(brody, world, "file.create", path="new.txt", text="New."))
        await until(lambda: brody.actions.list(state="unknown"), "its outcome is unknown")
        slow.may.set()
        action = await doing
    assert (action.state, slow.writes, action.fence) == (ActionState.DONE, 1, 1)


async def test_whoever_waits_for_an_action_does_not_wait_for_its_budget_to_free(brody: Brody, world: World) -> None:
    """It may be done without asking, and not today."""
    await brody.autonomy.set("file.create", "act")
    await brody.budgets.set("user", "me", "calls", 1, period="month")
    for name, state in (("a", "done"), ("b", "approved")):
        arguments = {"account": world.files.account, "path": name, "text": "New."}
        told = await asyncio.wait_for(brody.execute(AgentAction(kind="file.create", arguments=arguments)), 10)
        assert told.state == state
    assert "1 call a month for user me has 0 calls left" in told.reason


async def test_only_one_of_two_can_begin_an_action(brody: Brody, world: World) -> None:
    proposed = await brody.execute(AgentAction(kind="mail.delete", arguments={"email_id": "m"}, cause="test"))
    waiting = await brody.actions.show(proposed.action_id)
    approved = waiting.moved(ActionState.APPROVED, "Approved.")
    async with brody.ledger.write() as tx:
        vault = brody.ledger.vault
        assert await attempts.leave(tx, vault, ActionState.AWAITING_APPROVAL, approved)
        first = await attempts.begin(tx, vault, approved, {"n": 1})
        assert first is not None
        assert await attempts.begin(tx, vault, approved, {"n": 2}) is None
        # Whoever is late with an older fence changes nothing.
        assert not await attempts.leave(tx, vault, ActionState.EXECUTING, approved.moved(ActionState.DONE, ""))
        assert await attempts.leave(tx, vault, ActionState.EXECUTING, first.moved(ActionState.FAILED, "No."))


async def test_only_whoever_began_an_attempt_may_hand_its_message_over(brody: Brody) -> None:
    """Not once it was taken over: then it may be tried again, and the first one must not send after all."""
    proposed = await brody.execute(AgentAction(kind="mail.delete", arguments={"email_id": "m"}, cause="test"))
    approved = (await brody.actions.show(proposed.action_id)).moved(ActionState.APPROVED, "Approved.")
    vault = brody.ledger.vault
    async with brody.ledger.write() as tx:
        assert await attempts.leave(tx, vault, ActionState.AWAITING_APPROVAL, approved)
        begun = await attempts.begin(tx, vault, approved, {"announced": True})
        assert begun is not None
        assert begun.handed_over is False
        assert await attempts.orphan(tx, KINDS) == 1
        assert not await attempts.hand_over(tx, begun)
        again = begun.moved(ActionState.APPROVED, "It did not happen.")
        assert await attempts.leave(tx, vault, ActionState.UNKNOWN, again)
        second = await attempts.begin(tx, vault, again, {"announced": True})
        assert second is not None
        assert not await attempts.hand_over(tx, begun)
        assert await attempts.hand_over(tx, second)
    assert (await brody.actions.show(begun.id)).handed_over is True


async def test_a_word_on_one_attempt_says_nothing_of_the_next(brody: Brody, world: World) -> None:
    """An action that was settled may be tried again, as when it is undone; of that nobody has said anything yet."""
    proposed = await brody.execute(AgentAction(kind="mail.delete", arguments={"email_id": "m"}, cause="test"))
    waiting = await brody.actions.show(proposed.action_id)
    approved, vault = waiting.moved(ActionState.APPROVED, "Approved."), brody.ledger.vault
    async with brody.ledger.write() as tx:
        assert await attempts.leave(tx, vault, ActionState.AWAITING_APPROVAL, approved)
        begun = await attempts.begin(tx, vault, approved, {"n": 1})
        assert begun is not None
        unknown = begun.moved(ActionState.UNKNOWN, "Nobody knows.")
        assert await attempts.leave(tx, vault, ActionState.EXECUTING, unknown)
        assert await settle(tx, unknown.id, True)
        again = unknown.moved(ActionState.APPROVED, "Again.")
        assert await attempts.leave(tx, vault, ActionState.UNKNOWN, again)
        second = await attempts.begin(tx, vault, again, {"n": 2})
    assert second is not None
    assert (second.settled, (await brody.actions.show(second.id)).settled) == (None, None)
