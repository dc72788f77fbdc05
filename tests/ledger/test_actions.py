"""Actions in the ledger: what they hold while they are open, what they let go of, and how they are found."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event, select

from brody_agents.action import ActionState, Claim, action_id
from brody_agents.errors import NotFound
from brody_agents.ledger import actions
from brody_agents.ledger.actions import ActionRecord, Actions, VerdictRecord
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.rest import at_rest
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import ActionClaim

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
CLAIMS = (Claim("cal/slots", "interval", NOW, NOW.replace(hour=10)), Claim("cal/event/1", "exclusive"))


def action(key: str = "k", **changes: Any) -> ActionRecord:
    """Return an action that waits for the person."""
    made = ActionRecord(
        id=action_id(key),
        key=key,
        user_id="me",
        run_id="r",
        kind="calendar.create",
        arguments={"title": "Lunch", "when": "ü"},
        state=ActionState.AWAITING_APPROVAL,
        why="You eat.",
        reason="It reaches outside.",
        proposed_by="agent",
        cause="c",
        priority=1,
        provenance={"": {"origin": "untrusted"}},
        created_at=NOW,
        updated_at=NOW,
        claims=CLAIMS,
    )
    return replace(made, **changes)


async def add(ledger: Ledger, *added: ActionRecord) -> Actions:
    """Write actions and return all."""
    async with ledger.write() as tx:
        await actions.add(tx, ledger.vault, added)
    return Actions(ledger)


async def held(ledger: Ledger) -> list[tuple[str, Claim]]:
    """Return what is held of the resources."""
    async with ledger.read() as tx:
        return await actions.held(tx, {c.resource for c in CLAIMS})


async def test_an_action_comes_back_as_it_was_written(ledger: Ledger) -> None:
    found = await (await add(ledger, action())).show(action().id)
    assert found == replace(action(), claims=())


async def test_the_same_action_is_written_once(ledger: Ledger) -> None:
    """The first one stands."""
    all_of_them = await add(ledger, action())
    await add(ledger, action(why="Another time."))
    assert [a.why for a in await all_of_them.list()] == ["You eat."]
    assert len(await held(ledger)) == 2


@pytest.mark.parametrize("state", list(ActionState))
async def test_an_action_holds_its_resources_until_it_is_final(ledger: Ledger, state: ActionState) -> None:
    await add(ledger, action())
    assert await held(ledger) == [(action().id, claim) for claim in CLAIMS]
    async with ledger.write() as tx:
        await actions.move(tx, ledger.vault, [action().moved(state, "moved", result={"id": 1}, fence=3)])
    assert bool(await held(ledger)) is not state.final
    found = await Actions(ledger).show(action().id)
    assert (found.state, found.reason, found.result, found.fence) == (state, "moved", {"id": 1}, 3)


async def test_an_action_that_is_final_from_the_start_holds_nothing(ledger: Ledger) -> None:
    await add(ledger, action(state=ActionState.MERGED, merged_into="other"))
    async with ledger.read() as tx:
        assert (await tx.execute(select(table(ActionClaim)))).all() == []
        assert [a.id for a in await actions.merged_into(tx, ledger.vault, ["other"])] == [action().id]


async def test_only_what_is_under_way_keeps_a_run_open(ledger: Ledger) -> None:
    """What waits for a person does not."""
    for state in ActionState:
        await add(ledger, action(state.value, run_id=state.value, state=state))
    async with ledger.read() as tx:
        assert await actions.busy_runs(tx, [s.value for s in ActionState]) == {"approved", "executing", "unknown"}
    assert not await at_rest(ledger)


async def test_actions_are_found_by_the_beginning_of_their_id(ledger: Ledger) -> None:
    """As long as it is the beginning of one only."""
    found = await add(ledger, *(action(str(n)) for n in range(40)))
    some = await found.show(action("7").id)
    assert (await found.show(some.id[:13])).key == "7"
    with pytest.raises(NotFound, match="Give more of the id"):
        await found.show("")
    with pytest.raises(NotFound, match="actions list"):
        await found.show("no-such-action")
    with pytest.raises(NotFound):
        await found.show("%")


async def test_actions_are_listed_newest_first_and_by_what_is_asked_for(ledger: Ledger) -> None:
    done = ActionState.DONE
    found = await add(
        ledger, action("1"), action("2", state=done), action("3", user_id="ada"), action("4", run_id=None)
    )
    assert [a.key for a in await found.list()] == ["4", "3", "2", "1"]
    assert [a.key for a in await found.list("me", state="done")] == ["2"]
    assert [a.key for a in await found.list(run_id="r", limit=2)] == ["3", "2"]
    assert [a.key for a in await found.pending("me")] == ["1", "4"]


async def test_a_verdict_is_given_once_and_can_be_read(ledger: Ledger) -> None:
    verdict = VerdictRecord(
        id="v",
        user_id="me",
        run_id="r",
        action_id=action().id,
        kind="slot",
        resource="cal/slots",
        verdict="ask",
        rule="held_slot",
        parties=[{"id": "1", "title": "Lunch"}],
        why="Because.",
        otherwise="Else.",
        options=["Yes", "No"],
        created_at=NOW,
    )
    found = await add(ledger, action())
    async with ledger.write() as tx:
        await actions.add_verdicts(tx, ledger.vault, [verdict])
        await actions.add_verdicts(tx, ledger.vault, [replace(verdict, why="Otherwise.")])
    assert await found.verdicts(action().id) == [verdict]


async def test_many_are_moved_by_few_statements(ledger: Ledger) -> None:
    """One for all of them, and one for the claims that they let go of."""
    many = [action(f"k{n}") for n in range(100)]
    await add(ledger, *many)
    moved = [
        a.moved(ActionState.DONE if n % 2 else ActionState.APPROVED, f"{n}", result={"n": n} if n % 3 else None)
        for n, a in enumerate(many)
    ]
    statements: list[str] = []
    listener = lambda connection, cursor, statement, *more: statements.append(statement)  # noqa: E731
    event.listen(ledger._engine.sync_engine, "before_cursor_execute", listener)
    async with ledger.write() as tx:
        await actions.move(tx, ledger.vault, moved)
    event.remove(ledger._engine.sync_engine, "before_cursor_execute", listener)
    assert len([s for s in statements if s.startswith(("UPDATE", "DELETE"))]) == 2
    found = {a.id: a for a in await Actions(ledger).list("me")}
    assert all(
        (found[a.id].state, found[a.id].reason, found[a.id].result) == (a.state, a.reason, a.result) for a in moved
    )
    assert {action_id for action_id, _ in await held(ledger)} == {a.id for a in moved if not a.state.final}
