"""Statements past SQLAlchemy do what SQLAlchemy's do, on both databases, and fail as they do."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.errors import LedgerError
from brody_agents.ledger import direct, messages
from brody_agents.ledger.bulk import Bulk
from brody_agents.ledger.direct import Statement, one_of
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Message, User, UserKey
from tests.ledger.test_messages import message

_U = table(User).c
NAMES = Statement(lambda tx: select(_U.id).where(one_of(tx, _U.id, "ids"), _U.name != "").order_by(_U.id))
KEYS = Bulk(UserKey, "wrapped", "user_id", keep=frozenset())


async def test_a_statement_takes_its_values_by_name_and_its_constants_from_itself(ledger: Ledger) -> None:
    async with ledger.glance() as tx:
        assert [tuple(row) for row in await NAMES(tx, ids=["me", "nobody", "ada"])] == [("ada",), ("me",)]
    assert await ledger.ask(NAMES, ids=[]) == []


async def test_what_is_written_past_sqlalchemy_is_in_its_transaction(ledger: Ledger) -> None:
    """Both see what the other has written; an error undoes both."""
    with pytest.raises(LedgerError):
        await _spoilt(ledger)
    async with ledger.write() as tx:
        assert await _count(tx) == 0
        assert len((await tx.execute(table(UserKey).select())).all()) == 2


async def _spoilt(ledger: Ledger) -> None:
    async with ledger.write() as tx:
        await messages.write(tx, ledger.vault, [message(id="a")])
        assert await _count(tx) == 1
        await tx.execute(table(UserKey).delete())
        async with tx.begin_nested():
            await messages.write(tx, ledger.vault, [message(id="b")])
        await direct.fetch(tx, "SELECT nothing FROM nowhere", ())


async def _count(tx: AsyncConnection) -> int:
    return int((await tx.execute(select(func.count()).select_from(table(Message)))).scalar_one())


async def test_the_errors_of_the_driver_are_sqlalchemy_s(ledger: Ledger) -> None:
    async with ledger.glance() as tx:
        with pytest.raises(DBAPIError, match="nowhere"):
            await direct.fetch(tx, "SELECT nothing FROM nowhere", ())


@pytest.mark.parametrize("known", [(), ("b",), ("a", "b", "c")])
async def test_many_rows_keep_their_order_and_say_what_is_new(ledger: Ledger, known: Sequence[str]) -> None:
    """The ledger's order is theirs, on which the order of a user's messages stands."""
    async with ledger.write() as tx:
        await messages.write(tx, ledger.vault, [message(id=id) for id in known])
        written = await messages.write(tx, ledger.vault, [message(id=id) for id in ("c", "a", "b", "c")])
    assert [s.id for s in written] == [id for id in ("c", "a", "b") if id not in known]
    order = [*known, *(s.id for s in written)]
    assert [w.id for w in await messages.backlog(ledger, 9)] == order


async def test_the_last_of_those_with_one_key_replaces_them(ledger: Ledger) -> None:
    """Whether the one before it is there already or comes with it."""
    async with ledger.write() as tx:
        await KEYS.insert(tx, [(b"1", "me"), (b"2", "bob"), (b"3", "me")])
        rows = await tx.execute(select(table(UserKey)).order_by(table(UserKey).c.user_id))
        assert [(row.user_id, row.wrapped) for row in rows if row.user_id != "ada"] == [("bob", b"2"), ("me", b"3")]
