"""Retention: with the clock moved on, the ledger keeps what it must and forgets the rest."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update
from sqlmodel import SQLModel

from brody_agents.action import ActionState
from brody_agents.communication.bus.base import partition_of
from brody_agents.ledger import actions, messages, runs
from brody_agents.ledger.actions import FORGOTTEN, Actions
from brody_agents.ledger.dead_letters import Burial, DeadLetters, bury
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.retention import Ages, Retention
from brody_agents.ledger.runs import RunRecord
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Approval, Audit, DeadLetter, Email, Handled, Message, Note
from brody_agents.policy import audit
from brody_agents.policy.audit import AuditEvent
from tests.ledger.test_actions import action
from tests.ledger.test_messages import message, write

AGES = Ages(timedelta(days=30), timedelta(days=400))
NOW = datetime.now(UTC)
MONTH, YEARS = NOW + timedelta(days=31), NOW + timedelta(days=800)


async def sweep(ledger: Ledger, now: datetime) -> dict[str, int]:
    """Sweep at a time and return what went, without what nothing went of."""
    return {name: count for name, count in (await Retention(ledger, AGES).sweep(now)).items() if count}


async def handle(ledger: Ledger, ids: Iterable[str], *, at: datetime | None = None) -> None:
    """Have messages handled and closed, at a time."""
    ids = list(ids)
    async with ledger.write() as tx:
        await messages.mark_handled(tx, [(i, "y") for i in ids])
        await messages.close(tx, ids)
        if at:
            await tx.execute(update(table(Handled)).where(table(Handled).c.message_id.in_(ids)).values(handled_at=at))


async def count(ledger: Ledger, model: type[SQLModel]) -> int:
    """Return how many rows a table has."""
    async with ledger.read() as tx:
        return (await tx.execute(select(func.count()).select_from(table(model)))).scalar_one()


async def ids(ledger: Ledger) -> set[str]:
    """Return the messages that are there."""
    async with ledger.read() as tx:
        return set((await tx.execute(select(table(Message).c.id))).scalars())


async def test_closed_messages_go_after_their_time(ledger: Ledger) -> None:
    """A thousand, more than a transaction takes; the next sweep finds nothing more."""
    written = await write(ledger, *(message(id=f"m{n}") for n in range(1_000)))
    await handle(ledger, [m.id for m in written])
    assert await sweep(ledger, NOW + timedelta(days=29)) == {}
    assert await sweep(ledger, MONTH) == {"messages": 1_000}
    assert await count(ledger, Handled) == 0
    assert await sweep(ledger, MONTH) == {}


async def test_what_may_still_be_asked_for_stays(ledger: Ledger) -> None:
    """An open message, one that was handled lately, one that a letter replays, one of a run under way."""
    run = RunRecord(id="r", user_id="me", playbook="p", now=NOW, timezone="UTC", state=runs.WORKING, started_at=NOW)
    names = ("open", "lately", "letter", "run")
    async with ledger.write() as tx:
        await runs.start(tx, run)
    await write(ledger, *(message(id=name, run_id="r" if name == "run" else None) for name in (*names, "old")))
    await handle(ledger, ["letter", "run", "old"])
    await handle(ledger, ["lately"], at=MONTH - timedelta(days=1))
    async with ledger.write() as tx:
        await bury(tx, ledger.vault, [Burial("me", "c", "why", b"{}", message_id="letter", agent="y")])
    assert await sweep(ledger, MONTH) == {"messages": 1}
    assert await ids(ledger) == set(names)
    (letter,) = await DeadLetters(ledger).list()
    await DeadLetters(ledger).reopen(letter.id)
    assert {w.id for w in await messages.backlog(ledger, 10)} == {"open", "letter"}


async def test_a_mail_that_is_still_there_stays_handled(ledger: Ledger) -> None:
    """Its message goes; that it was handled is known as long as the mail, for the brief and for who reads it again."""
    await write(ledger, message(id="of-a-mail"), message(id="other"))
    await handle(ledger, ["of-a-mail", "other"])
    mail = Email(id="e", user_id="me", email_account_id="box", received_id="of-a-mail", external_id="1", timestamp=NOW)
    async with ledger.write() as tx:
        await tx.execute(insert(table(Email)), mail.model_dump())
    assert await sweep(ledger, MONTH) == {"messages": 2}
    async with ledger.read() as tx:
        assert await messages.done(tx, {"of-a-mail", "other"}) == {("of-a-mail", "y")}


async def test_ten_days_of_traffic_are_what_a_ledger_holds(ledger: Ledger) -> None:
    """Thirty days, forty messages a day, a sweep a day."""
    most, ages = 0, Ages(timedelta(days=10), timedelta(days=400))
    for day in range(30):
        today = NOW + timedelta(days=day)
        written = await write(ledger, *(message(id=f"{day}-{n}") for n in range(40)))
        async with ledger.write() as tx:
            of = table(Message).c.id.in_([m.id for m in written])
            await tx.execute(update(table(Message)).where(of).values(created_at=today))
        await handle(ledger, [m.id for m in written], at=today)
        await Retention(ledger, ages).sweep(today)
        most = max(most, await count(ledger, Message), await count(ledger, Handled))
    assert most == 11 * 40


async def test_an_old_action_keeps_its_key_and_nothing_else(ledger: Ledger) -> None:
    """Proposed again years later it is still the same action; what waits for the person stays whole."""
    done = action("done", state=ActionState.DONE, arguments={"title": "secret"}, why="because")
    waiting = action("waits", state=ActionState.AWAITING_APPROVAL, arguments={"title": "open"})
    async with ledger.write() as tx:
        await actions.add(tx, ledger.vault, [done, waiting])
        await actions.add_verdicts(tx, ledger.vault, [verdict(done.id), verdict(waiting.id)])
    assert await sweep(ledger, MONTH) == {}
    assert await sweep(ledger, YEARS) == {"actions": 1}
    assert await sweep(ledger, YEARS) == {}
    shown = await Actions(ledger).show(done.id)
    assert (shown.state, shown.arguments, shown.why, shown.reason) == (ActionState.DONE, {}, "", FORGOTTEN)
    assert await Actions(ledger).verdicts(done.id) == []
    assert (await Actions(ledger).show(waiting.id)).arguments == {"title": "open"}
    assert len(await Actions(ledger).verdicts(waiting.id)) == 1
    async with ledger.write() as tx:
        assert set(await actions.known_keys(tx, {done.key, waiting.key})) == {done.key, waiting.key}
        await actions.add(tx, ledger.vault, [done])
    assert (await Actions(ledger).show(done.id)).reason == FORGOTTEN


async def test_records_go_after_their_time(ledger: Ledger) -> None:
    """Dead letters, notifications and decided approvals; a card that still asks stays."""
    async with ledger.write() as tx:
        await bury(tx, ledger.vault, [Burial("me", "c", "why", b"%d" % n) for n in range(300)])
        await tx.execute(insert(table(Note)), [{"id": f"{n}", "user_id": "me", "created_at": NOW} for n in range(3)])
        await tx.execute(insert(table(Approval)), [card("1", "approved"), card("2", "open")])
    assert await sweep(ledger, MONTH) == {}
    assert await sweep(ledger, YEARS) == {"dead_letters": 300, "notifications": 3, "approvals": 1}
    assert (await count(ledger, DeadLetter), await count(ledger, Note), await count(ledger, Approval)) == (0, 0, 1)


async def test_the_audit_can_be_checked_after_its_beginning_went(ledger: Ledger) -> None:
    """A later link vouches for the one that the chain begins with now; it grows and is pruned again."""
    partition = partition_of("me")
    for _ in range(3):
        async with ledger.write() as tx:
            await audit.append(tx, [AuditEvent("me", f"a{n}", "done") for n in range(300)])
    assert await sweep(ledger, MONTH) == {}
    await sweep(ledger, YEARS)
    assert 0 < await count(ledger, Audit) <= audit.WORTHWHILE
    async with ledger.write() as tx:
        await audit.append(tx, [AuditEvent("me", "b", "done")])
        assert await audit.broken_link(tx, partition) is None


@pytest.mark.parametrize("touch", ["shortened", "vouched otherwise"])
async def test_a_pruned_chain_shows_every_touch(ledger: Ledger, touch: str) -> None:
    """Nobody takes more links away unseen, nor puts another beginning in the place of what was pruned."""
    c, partition = table(Audit).c, partition_of("me")
    async with ledger.write() as tx:
        await audit.append(tx, [AuditEvent("me", f"a{n}", "done") for n in range(200)])
    await sweep(ledger, YEARS)
    async with ledger.write() as tx:
        await audit.append(tx, [AuditEvent("me", "b", "done")])
        assert await audit.broken_link(tx, partition) is None
        oldest = select(func.min(c.position)).scalar_subquery()
        touched: Any = {
            "shortened": table(Audit).delete().where(c.position == oldest),
            "vouched otherwise": update(table(Audit)).where(c.position == oldest).values(hash=bytes(32)),
        }
        await tx.execute(touched[touch])
        assert await audit.broken_link(tx, partition) is not None


async def test_what_is_forgotten_is_gone_while_others_write(ledger: Ledger) -> None:
    """A sweep is many small transactions; what is written between them stays."""
    written = await write(ledger, *(message(id=f"m{n}") for n in range(600)))
    await handle(ledger, [m.id for m in written])
    retention = Retention(ledger, AGES)
    retention.stop()
    assert await retention.sweep(MONTH) == {}
    assert await sweep(ledger, MONTH) == {"messages": 600}


def verdict(action_id: str) -> Any:
    """Return a verdict on an action."""
    return actions.VerdictRecord(
        id=f"v-{action_id}", user_id="me", run_id=None, action_id=action_id, kind="k", resource="r", verdict="keeps",
        rule="a_rule", parties=[], why="w", otherwise="o", options=[], created_at=NOW,
    )  # fmt: skip


def card(name: str, state: str) -> dict[str, Any]:
    """Return the row of a card."""
    times = {"created_at": NOW, "expires_at": NOW + timedelta(days=7)}
    return (
        {"id": name, "action_id": name, "number": 1, "user_id": "me", "kind": "k", "state": state, "digest": ""}
        | {"answer_digest": ""}
        | times
    )
