"""An action whose outcome only a person can tell is known by its column, whatever its reason says."""

from __future__ import annotations

from dataclasses import replace

from brody_agents.action import ActionState
from brody_agents.ledger import actions, attempts
from brody_agents.ledger.actions import Actions
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.settling import asking, waits_for_a_person
from tests.coordinator.court import propose

WORDS = "Look at it: brody actions settle 12345678 --done, or --not-done."


async def test_what_asks_a_person_is_not_told_by_its_words(ledger: Ledger) -> None:
    """A provider's message may have any words in it; and a person's question survives a restart."""
    one, other = (propose("file.append", {"account": "dir:x", "document_id": i, "text": "x"}) for i in "ab")
    await ledger.ensure_users({"me"})
    async with ledger.write() as tx:
        await actions.add(tx, ledger.vault, [one, other])
        for action in (one, other):
            await attempts.leave(tx, ledger.vault, action.state, action.moved(ActionState.UNKNOWN, WORDS))
        unknown = replace(one, state=ActionState.UNKNOWN)
        await attempts.leave(tx, ledger.vault, ActionState.UNKNOWN, asking(unknown, "Nobody can tell."))
    found = {a.id: a for a in await Actions(ledger).list("me")}
    assert (waits_for_a_person(found[one.id]), waits_for_a_person(found[other.id])) == (True, False)
    assert (
        found[one.id].reason
        == f"Nobody can tell. Then say so: brody actions settle {one.id[:8]} --done, or --not-done."
    )
    async with ledger.write() as tx:
        again = replace(found[one.id], state=ActionState.APPROVED)
        await attempts.leave(tx, ledger.vault, ActionState.UNKNOWN, again)
        begun = await attempts.begin(tx, ledger.vault, again, {})
    assert begun is not None
    assert not begun.asks_person
    assert not (await Actions(ledger).show(one.id)).asks_person
