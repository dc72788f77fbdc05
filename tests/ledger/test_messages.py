"""Messages in the ledger: written once, due in order, open until everybody is done with them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from brody_agents import AgentMessage
from brody_agents.communication.message_protocol import encode, new_context
from brody_agents.communication.payloads import Notification
from brody_agents.ledger import messages, runs
from brody_agents.ledger.dead_letters import Burial, bury
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.messages import Stored
from brody_agents.ledger.rest import at_rest
from brody_agents.ledger.runs import RunRecord

NOW = datetime.now(UTC)


def message(text: str = "", user: str = "me", **envelope: Any) -> AgentMessage:
    """Return a notification."""
    return AgentMessage(
        sender="x", recipient="y", payload=Notification(text=text), context=new_context(user), **envelope
    )


async def write(ledger: Ledger, *written: AgentMessage) -> list[Stored]:
    """Write messages in one transaction."""
    async with ledger.write() as tx:
        return await messages.write(tx, ledger.vault, written)


async def texts(ledger: Ledger, limit: int = 100, **options: Any) -> list[str]:
    """Return the texts of the backlog."""
    ids = [waiting.id for waiting in await messages.backlog(ledger, limit, **options)]
    backlog = await messages.still_open(ledger, ids)
    assert [stored.id for stored in backlog] == ids
    return [stored.body.decode().partition('"text":"')[2].partition('"')[0] for stored in backlog]


async def test_a_message_that_is_written_twice_is_there_once(ledger: Ledger) -> None:
    """Only what is new is returned, whether it comes again in the same transaction or later; the first one stays."""
    first, other = message("first", id="same"), message("other", id="same")
    assert [s.body for s in await write(ledger, first, other, first)] == [encode(first)]
    assert await write(ledger, other) == []
    assert await texts(ledger) == ["first"]


async def test_what_comes_back_is_what_was_written(ledger: Ledger) -> None:
    (stored,) = await write(ledger, message("ü", user="ada", run_id="r"))
    (waiting,) = await messages.backlog(ledger, 1)
    assert (waiting.id, waiting.user_id) == (stored.id, "ada")
    (found,) = await messages.still_open(ledger, [waiting.id])
    assert found == stored
    assert (found.user_id, found.run_id, found.begun) == ("ada", "r", False)


async def test_the_backlog_goes_by_priority_and_then_by_age(ledger: Ledger) -> None:
    priorities = ["low", "normal", "urgent", "high", "normal", "urgent"]
    await write(ledger, *(message(f"{n} {p}", priority=p) for n, p in enumerate(priorities)))
    ordered = ["2 urgent", "5 urgent", "3 high", "1 normal", "4 normal", "0 low"]
    assert await texts(ledger) == ordered
    assert await texts(ledger, 3) == ordered[:3]


async def test_some_users_can_be_passed_over(ledger: Ledger) -> None:
    await write(ledger, message("1"), message("2", user="ada"), message("3"))
    assert await texts(ledger, without={"me"}) == ["2"]


async def test_a_message_is_due_from_its_time_on(ledger: Ledger) -> None:
    await write(
        ledger,
        message("past", not_before=NOW - timedelta(days=1)),
        message("future", not_before=NOW + timedelta(days=1)),
    )
    assert await texts(ledger) == ["past"]


def run_record(**changes: Any) -> RunRecord:
    """Return a run that reads its accounts."""
    times = {"now": NOW, "started_at": NOW}
    values: dict[str, Any] = {"id": "r", "user_id": "me", "playbook": "p", "timezone": "UTC"} | times
    return RunRecord(**(values | changes))


async def test_a_runs_messages_wait_until_it_has_read_its_accounts(ledger: Ledger) -> None:
    """Those of other runs and of none do not."""
    async with ledger.write() as tx:
        await runs.start(tx, run_record())
        await runs.start(tx, run_record(id="other", state=runs.WORKING))
    await write(ledger, message("1", run_id="r"), message("2"), message("3", run_id="other"), message("4", run_id="?"))
    assert await texts(ledger) == ["2", "3", "4"]
    async with ledger.write() as tx:
        await runs.change(tx, "r", state=runs.WORKING)
    assert await texts(ledger) == ["1", "2", "3", "4"]


async def standing_of(ledger: Ledger, ids: Sequence[str]) -> dict[str, messages.Standing]:
    """Return what the ledger knows of messages."""
    async with ledger.read() as tx:
        return await messages.standing(tx, ids)


async def test_the_ledger_knows_who_is_done_with_a_message(ledger: Ledger) -> None:
    """Done is who has handled it or given it up; a letter that was put back is not done."""
    await write(ledger, message(id="a"), message(id="b"))
    burial = Burial(user_id="me", code="c", reason="r", message_id="a", agent="gave_up")
    async with ledger.write() as tx:
        await messages.mark_handled(tx, [("a", "one"), ("a", "one")])
        await bury(tx, ledger.vault, [burial])
    standing = await standing_of(ledger, ["a", "b", "unknown"])
    assert {key: (s.open, s.done) for key, s in standing.items()} == {
        "a": (True, {"one", "gave_up"}),
        "b": (True, set()),
    }
    assert [(s.id, s.begun) for s in await messages.still_open(ledger, ["b", "a"])] == [("a", True), ("b", False)]
    async with ledger.write() as tx:
        await messages.close(tx, ["a"])
    assert not (await standing_of(ledger, ["a"]))["a"].open
    assert [s.id for s in await messages.backlog(ledger, 9)] == ["b"]
    assert [s.id for s in await messages.still_open(ledger, ["a", "b"])] == ["b"]


async def test_progress_counts_what_is_closed(ledger: Ledger) -> None:
    await write(ledger, message(id="a", run_id="r"), message(id="b", run_id="r"), message(id="c"))
    async with ledger.write() as tx:
        await messages.close(tx, ["a"])
        assert await messages.progress(tx, "r") == (1, 2)
        assert await messages.open_runs(tx, ["r", "other"]) == {"r"}
        await messages.close(tx, ["b"])
        assert await messages.open_runs(tx, ["r", "other"]) == set()
        assert await messages.open_users(tx) == {"me"}
    assert not await at_rest(ledger)
