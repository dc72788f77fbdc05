"""What others wrote is sealed: nothing of it can be read off the disk, and erasing a user's key erases the user."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import LargeBinary, select
from sqlalchemy.dialects import sqlite

from brody_agents import AgentMessage, Brody, BrodyAgent, Context, handles
from brody_agents.communication.message_protocol import new_context
from brody_agents.communication.payloads import EmailReceived, Notification
from brody_agents.errors import LedgerError
from brody_agents.integrations.base import BadItem, Known, Page
from brody_agents.integrations.mail.base import RawMail
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import DeadLetter, Email, UserKey
from brody_agents.ledger.types import Sealed
from brody_agents.settings import Settings

BODY = b"From: a@b.example\r\nTo: me@b.example\r\nSubject: Hello\r\nMessage-ID: <1@b.example>\r\n\r\nXBODYX\r\n"


class Post:
    """A mail account with one good and one unreadable mail."""

    account = "post:one"

    async def changes(self, cursor: str | None, known: Known) -> AsyncIterator[Page[RawMail]]:
        """Give both once."""
        if not cursor:
            bad = BadItem("bad", "1", "XBADREASONX", b"XBADBYTESX")
            yield Page([RawMail("good", "1", BODY)], [bad], [], "1", 2)

    async def check(self) -> str:
        """Be well."""
        return "fine"

    async def close(self) -> None:
        """Hold nothing."""


class Quoter(BrodyAgent):
    """Put what mails say wherever an agent can put it."""

    @handles
    async def on_mail(self, message: EmailReceived, ctx: Context) -> None:
        """Quote."""
        (mail,) = await ctx.mail.get([message.email_id])
        for n, subject in enumerate(("XSUBJECTX", "XSECONDX")):
            draft = {"to": ["a@b.example"], "subject": subject, "text": f"XARGUMENTX {mail.text}", "thread_id": f"t{n}"}
            ctx.propose("mail.draft", draft, why="XWHYX")
        slot = {"account": "cal", "start": "2026-03-02T09:00:00Z", "end": "2026-03-02T10:00:00Z"}
        for title in ("XTITLEX", "XOTHERTITLEX"):
            ctx.propose("calendar.create", {"title": title, "description": "XDESCRIPTIONX"} | slot, why="XWHYX")
        ctx.propose("notify", {"text": f"XNOTIFYX {mail.text}"})
        ctx.propose("task.complete", {"task_id": "none"})
        ctx.tell("quoter", Notification(text=f"XTOLDX {mail.text}"))

    @handles
    async def on_note(self, message: Notification, ctx: Context) -> None:
        """Fail with words of others."""
        raise ValueError(f"XERRORX {message.text}")


async def written(home: Path, settings: Settings) -> bytes:
    """Run, and return every byte of the database while it is open and after it."""
    accounts: dict[str, Any] = {"mail": Post()}
    raw = b""
    async with Brody(home=home, accounts=accounts, agents=[Quoter("quoter")], settings=settings) as brody:
        await brody.run("inbox-scan")
        await brody.send(
            AgentMessage(
                sender="x", recipient="XNOBODYX", payload=Notification(text="XLETTERX"), context=new_context("me")
            )
        )
        await brody.drain()
        assert {a.kind for a in await brody.actions.list()} >= {"mail.draft", "calendar.create", "notify"}
        assert len(await brody.dead_letters.list()) == 3
        raw += await asyncio.to_thread(files, home)
    return raw + await asyncio.to_thread(files, home)


def files(home: Path) -> bytes:
    """Return the bytes of the database and its log."""
    found = sorted(home.glob("brody.db*"))
    assert found
    return b"".join(path.read_bytes() for path in found)


async def test_nothing_that_others_wrote_can_be_read_off_the_disk(home: Path, settings: Settings) -> None:
    """Bodies, arguments, reasons, errors, messages and dead letters: in the file and its log, before and after."""
    raw = await written(home, settings)
    words = ["BODY", "BADREASON", "BADBYTES", "SUBJECT", "SECOND", "ARGUMENT", "WHY", "TITLE", "OTHERTITLE"]
    words += ["DESCRIPTION", "NOTIFY", "TOLD", "ERROR", "LETTER"]
    assert b"post:one" in raw
    assert [word for word in words if f"X{word}X".encode() in raw] == []


def test_a_column_that_is_sealed_takes_nothing_readable() -> None:
    for value in (b"plain", "plain", bytearray(b"plain"), {"plain": 1}):
        with pytest.raises(TypeError, match=r"Vault\.seal"):
            Sealed().process_bind_param(value, sqlite.dialect())
    assert isinstance(Sealed().impl, LargeBinary)


async def test_another_homes_key_does_not_open(kept: Ledger, made: Path) -> None:
    sealed = kept.vault.seal("me", "secret")
    other = await Ledger.open(None)
    await other.ensure_users({"me"})
    with pytest.raises(LedgerError, match="Restore the file `key`"):
        other.vault.open("me", sealed)
    await other.close()
    await kept.close()
    await asyncio.to_thread((made / "key").write_bytes, bytes(32))
    again = await Ledger.open(made)
    with pytest.raises(LedgerError, match="Restore the file `key`"):
        await again.ensure_users({"me"})
    await again.close()


@pytest.mark.parametrize("content", [b"", b"short"])
async def test_a_damaged_key_is_named_with_the_remedy(made: Path, content: bytes) -> None:
    await asyncio.to_thread((made / "key").write_bytes, content)
    with pytest.raises(LedgerError, match=r"key.*Restore"):
        await Ledger.open(made)


async def test_the_key_is_for_its_owner_only(kept: Ledger, home: Path) -> None:
    assert (await asyncio.to_thread((home / "key").stat)).st_mode & 0o777 == 0o600
    assert [path.name async for path in listed(home)] == []


async def listed(home: Path) -> AsyncIterator[Path]:
    """Give what was left over of making the key."""
    for path in await asyncio.to_thread(lambda: list(home.glob("key?*"))):
        yield path


async def test_a_value_opens_for_its_own_user_only(ledger: Ledger) -> None:
    sealed = ledger.vault.seal("me", {"a": [1, "ü"]})
    assert ledger.vault.open("me", sealed) == {"a": [1, "ü"]}
    assert ledger.vault.seal("me", {"a": [1, "ü"]}) != sealed
    with pytest.raises(LedgerError):
        ledger.vault.open("ada", sealed)
    with pytest.raises(LedgerError):
        ledger.vault.open("me", type(sealed)(sealed[:-1] + bytes([sealed[-1] ^ 1])))


async def test_erasing_a_users_key_erases_the_user_and_nobody_else(kept: Ledger, home: Path) -> None:
    sealed = {user: kept.vault.seal(user, f"about {user}") for user in ("me", "ada")}
    async with kept.write() as tx:
        await tx.execute(table(UserKey).delete().where(table(UserKey).c.user_id == "me"))
    await kept.close()
    again = await Ledger.open(home)
    await again.ensure_users({"me", "ada"})
    assert again.vault.open("ada", sealed["ada"]) == "about ada"
    with pytest.raises(LedgerError):
        again.vault.open("me", sealed["me"])
    assert again.vault.open("me", again.vault.seal("me", "a new beginning")) == "a new beginning"
    await again.close()


async def test_a_row_of_plain_bytes_is_refused(ledger: Ledger) -> None:
    row = {"id": "1", "user_id": "me", "code": "x", "agent": "", "message_type": "", "created_at": datetime.now(UTC)}
    with pytest.raises(Exception, match=r"Vault\.seal"):
        await insert(ledger, row | {"body": b"plain"})
    async with ledger.read() as tx:
        assert (await tx.execute(select(table(DeadLetter)))).all() == []
        assert (await tx.execute(select(table(Email)))).all() == []


async def insert(ledger: Ledger, row: dict[str, Any]) -> None:
    """Write a dead letter as somebody would who does not know of the vault."""
    async with ledger.write() as tx:
        await tx.execute(table(DeadLetter).insert(), row)
