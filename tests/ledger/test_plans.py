"""Questions that are asked all the time are answered from an index, however much the ledger holds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.action import ActionState
from brody_agents.ledger import actions, direct, messages
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.rest import at_rest
from brody_agents.ledger.retention import Ages, Retention
from brody_agents.policy import audit
from brody_agents.policy.audit import AuditEvent
from tests.ledger.test_actions import action
from tests.ledger.test_messages import message, write

QUESTIONS: dict[str, Any] = {
    "open users": messages.open_users,
    "open runs": lambda tx: messages.open_runs(tx, {"r"}),
    "progress": lambda tx: messages.progress(tx, "r"),
    "standing": lambda tx: messages.standing(tx, {"m"}),
    "done": lambda tx: messages.done(tx, {"m"}),
    "busy runs": lambda tx: actions.busy_runs(tx, {"r"}),
    "known keys": lambda tx: actions.known_keys(tx, {"k"}),
    "held": lambda tx: actions.held(tx, {"s"}),
}


@contextmanager
def listening(ledger: Ledger, *verbs: str) -> Iterator[list[tuple[str, Any]]]:
    """Collect the statements that the ledger is asked, with their parameters: SELECT, unless others are named.

    Those that go past SQLAlchemy are among them.
    """
    asked: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *more: Any) -> None:
        if statement.startswith(verbs or "SELECT"):
            asked.append((statement, parameters))

    fetch = direct.fetch

    async def noted(tx: AsyncConnection, statement: str, values: Any) -> Any:
        note(tx, None, statement, tuple(values))
        return await fetch(tx, statement, values)

    engines = [engine.sync_engine for engine in (ledger._engine, ledger._reader)]
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(direct, "fetch", noted)
        yield asked
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)


async def plan(tx: AsyncConnection, statement: str, parameters: Any) -> list[str]:
    """Return how SQLite answers a statement, a line a step."""
    return [row.detail for row in await tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]


@pytest.mark.parametrize("question", QUESTIONS)
async def test_no_table_is_read_from_end_to_end(kept: Ledger, question: str) -> None:
    async with kept.read() as tx:
        with listening(kept) as asked:
            await QUESTIONS[question](tx)
        assert asked
        for statement, parameters in asked:
            steps = await plan(tx, statement, parameters)
            assert not [s for s in steps if s.startswith("SCAN") and "INDEX" not in s], steps


@pytest.mark.parametrize(
    "ask",
    [
        lambda kept: messages.longest_waiting(kept, 10, datetime.now(UTC), without={"a"}),
        lambda kept: messages.overdue(kept, 10),
        messages.next_due,
        lambda kept: messages.length(kept, 10),
        at_rest,
    ],
    ids=["longest waiting", "overdue", "next due", "length", "at rest"],
)
async def test_the_scheduler_looks_at_open_messages_only(kept: Ledger, ask: Callable[[Ledger], Awaitable[Any]]) -> None:
    """What is closed, a hundred times as much some day, is in none of the indexes that it asks."""
    with listening(kept) as asked:
        await ask(kept)
    async with kept.read() as tx:
        steps = await plan(tx, *asked[0])
    tables = [s for s in steps if "messages" in s]
    assert tables
    assert not [s for s in tables if "ix_messages_backlog" not in s and "ix_messages_later" not in s], steps
    assert not [s for s in steps if s.startswith(("SCAN actions", "SCAN runs")) and "INDEX" not in s], steps
    assert not [s for s in steps if "ORDER BY" in s], steps


async def test_the_backlog_is_read_in_its_order(kept: Ledger) -> None:
    """Nothing is sorted, so that the first of 50,000 costs no more than the first of ten."""
    for without in (set(), {"a", "b"}):
        with listening(kept) as asked:
            await messages.backlog(kept, 10, without=without)
        async with kept.read() as tx:
            steps = await plan(tx, *asked[0])
        assert steps[0].startswith("SCAN messages USING INDEX ix_messages_backlog"), steps
        assert not [s for s in steps if "ORDER BY" in s], steps


async def test_a_sweep_reads_only_small_tables_from_end_to_end(kept: Ledger) -> None:
    """What grows with the traffic is walked by its key, a part at a time."""
    old = datetime.now(UTC) + timedelta(days=9)
    await write(kept, message(id="m"))
    async with kept.write() as tx:
        await messages.close(tx, ["m"])
        await actions.add(tx, kept.vault, [action(state=ActionState.DONE)])
        await audit.append(tx, [AuditEvent("me", f"{n}", "done") for n in range(100)])
    with listening(kept, "SELECT", "UPDATE", "DELETE") as asked:
        gone = await Retention(kept, Ages(timedelta(days=8), timedelta(days=8))).sweep(old)
    assert gone == {"messages": 1, "actions": 1, "audit": 99}
    async with kept.read() as tx:
        plans = [step for statement, parameters in asked for step in await plan(tx, statement, parameters)]
    scanned = {step.split()[1] for step in plans if step.startswith("SCAN")}
    assert scanned <= {"approvals", "dead_letters", "notifications", "runs"} | {
        step for step in scanned if "anon" in step
    }
    assert any(step.startswith("SEARCH messages USING INTEGER PRIMARY KEY") for step in plans)
