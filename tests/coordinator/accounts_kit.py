"""A Maildir and a folder with one item each, and how a test lets an action through."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from brody_agents import ActionState, AgentAction, Brody
from brody_agents.integrations.base import Provider
from brody_agents.integrations.files.local import Folder
from brody_agents.integrations.mail.base import RawMail
from brody_agents.integrations.mail.maildir import Maildir
from brody_agents.integrations.mail.parsing import parse_mail
from brody_agents.ledger import items
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.items import Owner
from tests.coordinator.kit import until

LETTER = (
    b"From: ann@b.example\r\nTo: me@b.example\r\nSubject: Plants\r\nMessage-ID: <plants@b.example>\r\n"
    b"References: <earlier@b.example>\r\nDate: Mon, 2 Mar 2026 08:00:00 +0000\r\n\r\nPlease water them.\r\n"
)
NOTES = b"One.\n"
ENDED = {ActionState.DONE, ActionState.FAILED}


@dataclass
class World:
    """The accounts of a person."""

    mail: Maildir
    files: Folder

    @classmethod
    def at(cls, folder: Path) -> World:
        """Open the accounts in a folder, which are made if they are missing."""
        for name in ("cur", "new", "tmp"):
            (folder / "mail" / name).mkdir(parents=True, exist_ok=True)
        (folder / "files").mkdir(exist_ok=True)
        return cls(Maildir(str(folder / "mail")), Folder(str(folder / "files")))

    async def fill(self) -> None:
        """Put the mail and the file there."""
        await self.mail.append(LETTER, "INBOX")
        await self.files.write("notes.txt", NOTES, None)

    async def mails(self) -> list[RawMail]:
        """Return all mails."""
        return [item async for page in self.mail.changes(None, _nothing) for item in page.items]

    async def texts(self) -> dict[str, bytes]:
        """Return the content of all files."""
        found = [item.key async for page in self.files.changes(None, _nothing) for item in page.items]
        return {key: await self.files.read(key) for key in found}

    async def read_into(self, brody: Brody) -> tuple[str, str]:
        """Write the items to a ledger as a run would and return the ids of the first mail and the first file."""
        await brody.ledger.ensure_users({"me"})
        mails = await self.mails()
        files = [item async for page in self.files.changes(None, _nothing) for item in page.items]
        of_mail, of_files = (Owner("me", p.account, None, datetime.now(UTC)) for p in (self.mail, self.files))
        async with brody.ledger.write() as tx:
            pairs = [(m, parse_mail(m.data)) for m in mails]
            await items.write_mail(tx, brody.ledger.vault, of_mail, pairs)
            await items.write_documents(tx, brody.ledger.vault, of_files, files)
        return of_mail.item_id(mails[0].key), of_files.item_id(files[0].key)

    @property
    def accounts(self) -> dict[str, Provider[object] | str]:
        """Return them as ``Brody`` takes them."""
        return {"mail": self.mail.account, "files": self.files.account}


async def approve(brody: Brody, action_id: str) -> None:
    """Answer the card of an action as the person does."""
    (card,) = [card for card in await brody.approvals.list() if card.action_id == action_id]
    decision = await brody.approvals.decide(card.id, "approve", digest=card.digest)
    assert decision.action_state is ActionState.APPROVED


async def carried_out(brody: Brody, action: AgentAction) -> ActionRecord:
    """Propose an action, let it through, and return it once it has ended."""
    proposed = await brody.execute(action)
    if proposed.state is ActionState.AWAITING_APPROVAL:
        await approve(brody, proposed.action_id)
    return await ended(brody, proposed.action_id)


async def ended(brody: Brody, action_id: str, ends: Collection[ActionState] = ENDED) -> ActionRecord:
    """Wait until an action has ended."""

    async def look() -> ActionRecord | None:
        found = await brody.actions.show(action_id)
        return found if found.state in ends else None

    found: ActionRecord = await until(look, f"{action_id} has ended")
    return found


async def _nothing() -> dict[str, str]:
    return {}
