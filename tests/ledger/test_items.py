"""Items of accounts: what triage said of a mail outlives a change of it; two users with one account share nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from brody_agents.communication.message_protocol import stable_id
from brody_agents.integrations.base import BadItem
from brody_agents.integrations.mail.base import Address, ParsedMail, RawMail
from brody_agents.integrations.tasks.base import RawTask
from brody_agents.ledger import items
from brody_agents.ledger.items import Owner
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Email, EmailAccount, Task

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
ME, ADA = (Owner(user, "eml:/mail", "run-1", NOW) for user in ("me", "ada"))
JUDGED = {"category": "urgent", "urgency": "high", "needs_reply": True, "reply_state": "owed", "thread_id": "t"}


def mail(subject: str, version: str = "1") -> tuple[RawMail, ParsedMail]:
    """Return a mail as a watcher writes it."""
    parsed = ParsedMail("m@b.example", subject, Address("a@b.example"), text=f"about {subject}")
    return RawMail("key", version, b"", flags=frozenset({"seen"})), parsed


async def write(ledger: Ledger, owner: Owner, *mails: tuple[RawMail, ParsedMail]) -> None:
    """Write mails."""
    async with ledger.write() as tx:
        await items.write_mail(tx, ledger.vault, owner, mails)


async def rows(ledger: Ledger, model: Any, user: str) -> list[dict[str, Any]]:
    """Return a user's rows."""
    t = table(model)
    async with ledger.read() as tx:
        return [dict(row) for row in (await tx.execute(select(t).where(t.c.user_id == user))).mappings()]


async def test_a_mail_that_changes_keeps_what_triage_said_of_it(ledger: Ledger) -> None:
    """Content and version follow the source; judgement and the run that saw it first stay."""
    await write(ledger, ME, mail("before"))
    t = table(Email)
    async with ledger.write() as tx:
        await tx.execute(t.update().values(**JUDGED, reasons=ledger.vault.seal("me", ["it says so"])))
    later = Owner("me", ME.account, "run-2", NOW + timedelta(days=1))
    await write(ledger, later, mail("after", "2"))
    (row,) = await rows(ledger, Email, "me")
    assert (row["subject"], row["version"], row["run_id"]) == ("after", "2", "run-1")
    assert {name: row[name] for name in JUDGED} == JUDGED
    assert ledger.vault.open("me", row["reasons"]) == ["it says so"]
    assert ledger.vault.open("me", row["body"])["text"] == "about after"
    assert row["received_id"] == items.received_id(later, mail("after", "2")[0])


async def test_a_mail_that_becomes_unreadable_and_readable_again_is_the_same_mail(ledger: Ledger) -> None:
    async def state() -> tuple[str, str, str]:
        (row,) = await rows(ledger, Email, "me")
        return row["problem"], row["version"], row["run_id"]

    await write(ledger, ME, mail("good"))
    async with ledger.write() as tx:
        await items.write_bad(tx, Owner("me", ME.account, "run-2", NOW), "mail", [BadItem("key", "2", "damaged")])
    assert await state() == (items.UNREADABLE, "2", "run-1")
    await write(ledger, ME, mail("good", "3"))
    assert await state() == ("", "3", "run-1")


async def test_what_is_gone_from_the_source_is_known_no_more_and_comes_back(ledger: Ledger) -> None:
    async def known() -> dict[str, str]:
        async with ledger.read() as tx:
            return await items.known(tx, "me", ME.account, "mail")

    await write(ledger, ME, mail("here"))
    assert await known() == {"key": "1"}
    async with ledger.write() as tx:
        await items.remove(tx, ME, "mail", ["key", "never seen"])
    assert await known() == {}
    await write(ledger, ME, mail("here"))
    assert await known() == {"key": "1"}


async def test_thousands_of_items_may_be_gone_at_once(ledger: Ledger) -> None:
    """A whole mailbox that was emptied is one page; the last of it is gone as the first."""
    await write(ledger, ME, mail("here"))
    async with ledger.write() as tx:
        await items.remove(tx, ME, "mail", ["never seen", *(f"key-{n}" for n in range(40_000)), "key"])
    async with ledger.read() as tx:
        assert await items.known(tx, "me", ME.account, "mail") == {}


async def test_two_users_with_the_same_account_have_rows_of_their_own(ledger: Ledger) -> None:
    """In every table: mails, and tasks of a task account."""
    task = RawTask("key", "1", "Water the plants", notes="mine")
    for owner in (ME, ADA):
        await write(ledger, owner, mail(owner.user_id))
        async with ledger.write() as tx:
            await items.write_tasks(tx, ledger.vault, owner, [task])
            await items.move_cursor(tx, owner, "mail", f"cursor of {owner.user_id}")
    for owner in (ME, ADA):
        (row,) = await rows(ledger, Email, owner.user_id)
        (task_row,) = await rows(ledger, Task, owner.user_id)
        assert (row["id"], row["subject"]) == (stable_id(ME.account, "key"), owner.user_id)
        assert ledger.vault.open(owner.user_id, task_row["description"]) == "mine"
        async with ledger.read() as tx:
            assert await items.cursor(tx, owner.user_id, ME.account) == f"cursor of {owner.user_id}"


async def test_a_mail_account_keeps_its_address_and_tokens_when_it_is_read(ledger: Ledger) -> None:
    async with ledger.write() as tx:
        await items.move_cursor(tx, ME, "mail", "1")
        token = ledger.vault.seal("me", "secret")
        await tx.execute(table(EmailAccount).update().values(email_address="me@b.example", access_token=token))
        await items.move_cursor(tx, ME, "mail", "2")
    (row,) = await rows(ledger, EmailAccount, "me")
    assert (row["email_address"], row["provider"]) == ("me@b.example", "eml")
    assert ledger.vault.open("me", row["access_token"]) == "secret"
