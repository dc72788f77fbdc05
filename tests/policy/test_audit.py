"""The audit log: a chain in which every change shows, without a word of what it tells of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from brody_agents import Brody, BrodyAgent, Context, handles
from brody_agents.communication.bus.base import PARTITIONS, partition_of
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Audit, UserKey
from brody_agents.policy import audit
from brody_agents.policy.audit import AuditEvent
from brody_agents.settings import Settings
from tests.coordinator.kit import Note, note

ME = partition_of("me")
CHAIN = [AuditEvent("me", f"action-{n}", "task.create done", {"title": f"secret {n}"}) for n in range(6)]


@pytest.fixture
async def chained() -> AsyncIterator[Ledger]:
    """Give a ledger with a chain, written in two transactions."""
    ledger = await Ledger.open(None)
    for part in (CHAIN[:2], CHAIN[2:]):
        async with ledger.write() as tx:
            await audit.append(tx, part)
    yield ledger
    await ledger.close()


async def broken(ledger: Ledger, partition: int = ME) -> int | None:
    """Return the first link that does not fit."""
    async with ledger.read() as tx:
        return await audit.broken_link(tx, partition)


async def test_a_chain_that_nobody_touched_is_sound(chained: Ledger) -> None:
    assert [await broken(chained, partition) for partition in range(PARTITIONS)] == [None] * PARTITIONS


@dataclass(frozen=True)
class Change:
    """A way to touch a chain, and the first link that shows it."""

    what: str
    sql: str
    shows_at: int | None


CHANGES = [
    Change("another event", "UPDATE audit SET event = 'task.create failed' WHERE position = 3", 3),
    Change("another subject", "UPDATE audit SET subject = 'action-9' WHERE position = 2", 2),
    Change("another content", "UPDATE audit SET content = zeroblob(32) WHERE position = 1", 1),
    Change("another time", "UPDATE audit SET at = '2020-01-01 00:00:00.000000' WHERE position = 4", 4),
    Change("another hash", "UPDATE audit SET hash = zeroblob(32) WHERE position = 5", 5),
    Change("one removed", "DELETE FROM audit WHERE position = 3", 3),
    Change("the first removed", "DELETE FROM audit WHERE position = 1", 1),
    Change(
        "two exchanged",
        "UPDATE audit SET position = CASE position WHEN 2 THEN -3 ELSE -2 END WHERE position IN (2, 3);"
        "UPDATE audit SET position = -position WHERE position < 0",
        2,
    ),
    Change("moved up", "DELETE FROM audit WHERE position = 2; UPDATE audit SET position = position - 1", 1),
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: c.what)
async def test_every_touch_shows(chained: Ledger, change: Change) -> None:
    async with chained.write() as tx:
        for statement in change.sql.split(";"):
            await tx.exec_driver_sql(statement)
    found = await broken(chained)
    assert found is not None
    if change.what != "moved up":
        assert found == change.shows_at


async def test_the_chain_goes_on_where_it_ended(chained: Ledger) -> None:
    async with chained.write() as tx:
        await audit.append(tx, CHAIN[:1])
        rows = (await tx.execute(select(table(Audit)).order_by(table(Audit).c.position))).all()
    assert [row.position for row in rows] == list(range(1, 8))
    assert await broken(chained) is None


class Doer(BrodyAgent):
    """Have things done, fail, and have things wait."""

    @handles
    async def on_note(self, message: Note, ctx: Context) -> None:
        """Propose two actions, or fail."""
        if message.text == "fail":
            raise ValueError("no")
        ctx.propose("task.create", {"title": message.text})
        ctx.propose("chat.post", {"channel": "c", "text": message.text})


async def test_a_run_of_work_leaves_a_sound_chain_that_tells_of_all_of_it(settings: Settings) -> None:
    """What was proposed, what became of it and what failed; and no word of the contents."""
    async with Brody(agents=[Doer("doer")], settings=settings) as brody:
        for user in ("me", "ada"):
            for text in ("secret errand", "fail"):
                await brody.send(note("doer", text, user=user))
        await brody.drain()
        async with brody.ledger.write() as tx:
            rows: list[Any] = [dict(r) for r in (await tx.execute(select(table(Audit)))).mappings()]
            await tx.execute(table(UserKey).delete())
        assert [await broken(brody.ledger, partition_of(user)) for user in ("me", "ada")] == [None, None]
    mine = sorted(row["event"] for row in rows if row["partition"] == ME)
    assert mine == [
        "chat.post awaiting_approval",
        "dead letter handler_failed",
        "task.create approved",
        "task.create done",
    ]
    assert "secret" not in repr(rows)
    assert all(row["at"] <= datetime.now(UTC) for row in rows)
