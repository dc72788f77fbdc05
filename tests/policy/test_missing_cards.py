"""Cards that are missing: an action that waits again gets its next one, and they are found through an index."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import update

from brody_agents.action import ActionState
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Action
from brody_agents.settings import Settings
from tests.ledger.test_plans import listening, plan
from tests.policy.kit import Desk
from tests.policy.kit import desk as opened


@pytest.fixture
async def kept(home: Path, settings: Settings) -> AsyncIterator[Desk]:
    """Give a desk with a home."""
    async with opened(asks=True, home=home, settings=settings.model_copy(update={"redis_url": "memory:"})) as found:
        yield found


async def wait_again(desk: Desk, action_id: str) -> None:
    """Have an action wait for the person once more, as after an undo."""
    again = update(table(Action)).where(table(Action).c.id == action_id).values(state=ActionState.AWAITING_APPROVAL)
    async with desk.brody.ledger.write() as tx:
        await tx.execute(again)


async def test_an_action_that_waits_again_gets_its_next_card(desk: Desk) -> None:
    """The first card has had its answer; its number, and so its id, are taken."""
    first = await desk.ask(title="Call Ann")
    await desk.brody.approvals.decide(first.id, "reject")
    for number in (2, 3):
        await wait_again(desk, first.action_id)
        (card,) = await desk.brody.approvals.list()
        assert (card.action_id, card.number) == (first.action_id, number)
        await desk.brody.approvals.decide(card.id, "reject")


async def test_missing_cards_are_looked_for_through_the_index_of_open_cards(kept: Desk) -> None:
    """Any other index compares all that wait with all open cards.

    SQLite plans before it knows what is bound, so the state must be written out: the plan may not hang on values.
    """
    ledger, approvals = kept.brody.ledger, kept.brody.approvals
    with listening(ledger) as asked:
        assert not await approvals._wants_sweep()
    ((statement, parameters),) = [
        one for one in asked if "NOT (EXISTS" in one[0] and one[0].startswith("SELECT actions")
    ]
    async with ledger.read() as tx:
        steps = await plan(tx, statement, tuple(None for _ in parameters))
    (of_cards,) = [step for step in steps if "approvals" in step]
    assert "ix_approvals_one_open (action_id=?)" in of_cards, steps
