"""Dead letters: buried once, put back, and buried again with what went wrong the last time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from brody_agents import AgentMessage
from brody_agents.communication.message_protocol import new_context
from brody_agents.communication.payloads import Notification
from brody_agents.errors import NotFound
from brody_agents.ledger import items, messages
from brody_agents.ledger.dead_letters import Burial, DeadLetters, bury, unbury_items
from brody_agents.ledger.items import Owner
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Cursor
from tests.ledger.test_messages import NOW, write

LETTER = Burial(user_id="me", code="handler_failed", reason="first", body=b"\xff{}", message_id="m", agent="a")
ITEM = Burial(user_id="me", code="item_unreadable", reason="broken", item_id="i")


async def dig(ledger: Ledger, *burials: Burial) -> DeadLetters:
    """Bury and return the dead letters."""
    async with ledger.write() as tx:
        await bury(tx, ledger.vault, burials)
    return DeadLetters(ledger)


async def test_the_same_failure_is_one_letter(ledger: Ledger) -> None:
    """A message has one for each agent; what has no message has one for the same bytes."""
    raw = Burial(user_id="me", code="not_json", reason="?", body=b"one")
    letters = await dig(ledger, LETTER, LETTER, replace(LETTER, agent="b"), raw, raw, replace(raw, body=b"two"))
    found = await letters.list()
    assert sorted((x.agent, x.body) for x in found) == [("", b"one"), ("", b"two"), ("a", b"\xff{}"), ("b", b"\xff{}")]


async def test_two_users_with_the_same_item_have_a_letter_each(ledger: Ledger) -> None:
    """Ids of items depend on the account only; a letter is its user's own."""
    letters = await dig(ledger, ITEM, replace(ITEM, user_id="ada", reason="broken for Ada"))
    assert [x.reason for x in await letters.list("me")] == ["broken"]
    assert [x.reason for x in await letters.list("ada")] == ["broken for Ada"]


async def test_a_letter_that_is_put_back_opens_its_message(ledger: Ledger) -> None:
    await write(
        ledger,
        note := AgentMessage(
            sender="x", recipient="y", payload=Notification(text=""), context=new_context("me"), id="m"
        ),
    )
    letters = await dig(ledger, LETTER)
    async with ledger.write() as tx:
        await messages.close(tx, [note.id])
    (letter,) = await letters.list()
    await letters.reopen(letter.id)
    assert [s.id for s in await messages.backlog(ledger, 9)] == ["m"]
    assert await letters.list() == []
    assert [x.id for x in await letters.list(replayed=True)] == [letter.id]


async def test_a_letter_that_failed_again_says_why_it_failed_the_last_time(ledger: Ledger) -> None:
    letters = await dig(ledger, LETTER)
    (letter,) = await letters.list()
    await letters.reopen(letter.id)
    await dig(ledger, replace(LETTER, reason="second"))
    (again,) = await letters.list()
    assert (again.id, again.reason, again.replayed_at) == (letter.id, "second", None)


@pytest.mark.parametrize("domain", list(items.TABLES))
async def test_an_item_that_is_put_back_is_read_again(ledger: Ledger, domain: str) -> None:
    """It counts as changed, and its account's cursor is forgotten, in every domain, for its own user only."""
    from brody_agents.integrations.base import BadItem

    owners = [Owner(user, "acc:1", None, NOW) for user in ("me", "ada")]
    burials = [Burial(user_id=o.user_id, code="item_unreadable", reason="?", item_id=o.item_id("k")) for o in owners]
    async with ledger.write() as tx:
        for owner in owners:
            await items.write_bad(tx, owner, domain, [BadItem("k", "v1", "?")])
            await items.move_cursor(tx, owner, domain, "cursor")
    letters = await dig(ledger, *burials)
    (letter,) = await letters.list("me")
    await letters.reopen(letter.id)
    async with ledger.read() as tx:
        assert await items.known(tx, "me", "acc:1", domain) == {"k": "unread v1" if domain == "calendar" else ""}
        assert await items.known(tx, "ada", "acc:1", domain) == {"k": "v1"}
        cursors = dict((await tx.execute(select(table(Cursor).c.user_id, table(Cursor).c.cursor))).all())
    assert cursors == {"me": "", "ada": "cursor"}


async def test_the_letter_of_an_item_that_can_be_read_goes(ledger: Ledger) -> None:
    letters = await dig(ledger, ITEM, replace(ITEM, user_id="ada"), LETTER)
    async with ledger.write() as tx:
        await unbury_items(tx, "me", ["i"])
    assert {(x.user_id, x.code) for x in await letters.list()} == {("me", "handler_failed"), ("ada", "item_unreadable")}


async def test_a_letter_is_found_by_the_beginning_of_its_id(ledger: Ledger) -> None:
    letters = await dig(ledger, LETTER)
    (letter,) = await letters.list()
    assert (await letters.show(letter.id[:8])).body == b"\xff{}"
    with pytest.raises(NotFound, match="dead-letters list"):
        await letters.show("nothing")
    with pytest.raises(NotFound):
        await letters.show("%")


async def test_the_newest_letters_come_first_and_no_more_than_asked_for(ledger: Ledger) -> None:
    letters = DeadLetters(ledger)
    for n in range(5):
        await dig(ledger, replace(LETTER, message_id=f"m{n}"))
    found: list[Any] = await letters.list(limit=3)
    assert [x.message_id for x in found] == ["m4", "m3", "m2"]
