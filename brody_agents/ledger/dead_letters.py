"""Dead letters: what could not be handled, with the reason and the bytes, to be shown and replayed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.communication.message_protocol import stable_id
from brody_agents.errors import NotFound
from brody_agents.ledger.items import read_again
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.statements import table, upsert, whole_id
from brody_agents.ledger.tables import DeadLetter, Message
from brody_agents.ledger.vault import Vault

_D = table(DeadLetter).c


@dataclass(frozen=True, slots=True)
class Burial:
    """Something that goes to the dead letters: a message for an agent, an item of an account, or plain bytes."""

    user_id: str
    code: str
    reason: str
    body: bytes = b""
    message_id: str | None = None
    agent: str = ""
    item_id: str | None = None
    message_type: str = ""
    run_id: str | None = None

    @property
    def id(self) -> str:
        """Return the letter's id; the same message or item has one for each agent and code, else the same bytes."""
        what = self.message_id or self.item_id or hashlib.sha256(self.body).hexdigest()
        return stable_id("dead-letter", self.user_id, what, self.agent, self.code)


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter as it is shown."""

    id: str
    user_id: str
    code: str
    reason: str
    message_type: str
    agent: str
    message_id: str | None
    item_id: str | None
    run_id: str | None
    created_at: datetime
    replayed_at: datetime | None
    body: bytes = b""


Letters = list[Letter]


async def bury(tx: AsyncConnection, vault: Vault, burials: Iterable[Burial]) -> None:
    """Write dead letters; one that was replayed and failed again is a letter once more, with the new reason."""
    now = datetime.now(UTC)
    rows = [
        {
            "id": b.id,
            "user_id": b.user_id,
            "message_id": b.message_id,
            "agent": b.agent,
            "item_id": b.item_id,
            "message_type": b.message_type,
            "code": b.code,
            "reason": vault.seal(b.user_id, b.reason),
            "body": vault.seal_bytes(b.user_id, b.body),
            "run_id": b.run_id,
            "created_at": now,
            "replayed_at": None,
        }
        for b in burials
    ]
    if rows:
        await tx.execute(upsert(tx, DeadLetter), rows)


async def unbury_items(tx: AsyncConnection, user_id: str, item_ids: Iterable[str]) -> None:
    """Take the letters of a user's items away that can be read now."""
    ids = list(item_ids)
    if ids:
        await tx.execute(table(DeadLetter).delete().where(_D.item_id.in_(ids), _D.user_id == user_id))


class DeadLetters:
    """The dead letters of a ledger; ``brody.dead_letters``."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def list(self, user_id: str | None = None, *, replayed: bool = False, limit: int = 200) -> Letters:
        """Return the newest letters, those that were replayed only when asked for."""
        query = select(table(DeadLetter)).order_by(_D.created_at.desc(), _D.id).limit(limit)
        if user_id is not None:
            query = query.where(_D.user_id == user_id)
        if not replayed:
            query = query.where(_D.replayed_at.is_(None))
        return await self._letters(query)

    async def show(self, letter_id: str) -> Letter:
        """Return the letter with an id, or with the beginning of one, and its bytes; raise ``NotFound``."""
        async with self._ledger.read() as tx:
            whole = await whole_id(tx, _D.id, letter_id)
        for letter in await self._letters(select(table(DeadLetter)).where(_D.id == whole)):
            return letter
        raise NotFound(f"There is no dead letter {letter_id}.", "See: brody dead-letters list")

    async def reopen(self, letter_id: str) -> Letter:
        """Put a letter back in the backlog, or have its item read again by the next run."""
        letter = await self.show(letter_id)
        async with self._ledger.write() as tx:
            now = datetime.now(UTC)
            await tx.execute(update(table(DeadLetter)).where(_D.id == letter.id).values(replayed_at=now))
            if letter.message_id:
                m = table(Message)
                await tx.execute(update(m).where(m.c.id == letter.message_id).values(open=True, attempts=0, deaths=0))
            elif letter.item_id:
                await read_again(tx, letter.user_id, letter.item_id)
        return letter

    async def _letters(self, query: Any) -> Letters:
        async with self._ledger.read() as tx:
            rows = (await tx.execute(query)).mappings().all()
        await self._ledger.ensure_users({row["user_id"] for row in rows})
        return [self._letter(dict(row)) for row in rows]

    def _letter(self, row: dict[str, Any]) -> Letter:
        vault, user_id = self._ledger.vault, row["user_id"]
        row |= {"reason": vault.open(user_id, row["reason"]), "body": vault.open_bytes(user_id, row["body"])}
        return Letter(**row)
