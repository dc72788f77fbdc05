"""Approved mail leaves by a real SMTP server: what arrives, what is told, and what is never sent twice."""

# These tests look at files between the awaits.

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from brody_agents import ActionState
from brody_agents.errors import NotUnclear
from brody_agents.integrations.mail.parsing import parse_mail
from brody_agents.ledger import attempts
from tests.coordinator.accounts_kit import LETTER, World, approve
from tests.coordinator.kit import until
from tests.integration.conftest import SmtpServer, StartSmtp
from tests.integration.sending_kit import Person, approved, became, mail, sent, word

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]
ADA = "ada@work.example"


@pytest.fixture
async def world(tmp_path: Path) -> World:
    world = World.at(tmp_path / "world")
    await world.fill()
    return world


@pytest.fixture
def server(smtp_server: StartSmtp) -> SmtpServer:
    return smtp_server()


@pytest.fixture
def person(world: World, server: SmtpServer, home: Path) -> Person:
    """Return a person whose sent mail is noted in the Maildir."""
    return Person(world, home, [word(server.port, world.mail.root)])


def arrived(server: SmtpServer) -> Any:
    """Return the one mail that arrived, as a mail program reads it."""
    (one,) = server.delivered
    return message_from_bytes(one.as_bytes(), policy=default)


# -- what arrives ---------------------------------------------------------------------------------------


async def test_a_mail_leaves_with_the_accounts_own_address(person: Person, server: SmtpServer, world: World) -> None:
    async with person.brody() as brody:
        action = await sent(brody, mail("mail.send", ADA, cc=["Bob <bob@work.example>"], bcc=["eve@work.example"]))
    assert (action.state, action.fence) == (ActionState.DONE, 1)
    assert action.result is not None
    assert action.result["recipients"] == [ADA, "bob@work.example", "eve@work.example"]
    message = arrived(server)
    assert (message["From"], message["To"]) == ("Mira Example <mira@home.example>", ADA)
    assert message["Message-ID"] == action.result["message_id"] == f"<{action.key[:40]}@home.example>"
    assert message["X-RcptTo"] == f"{ADA}, bob@work.example, eve@work.example"
    assert "Bcc" not in message
    (copy,) = (world.mail.root / ".Sent" / "cur").iterdir()
    assert b"eve@" not in copy.read_bytes()
    assert abs(message["Date"].datetime - datetime.now(UTC)) < timedelta(minutes=1)
    assert message.get_content().strip() == "Grüße from us."


async def test_an_answer_goes_to_the_writer_in_the_thread(person: Person, server: SmtpServer, world: World) -> None:
    async with person.brody() as brody:
        mail_id, _ = await world.read_into(brody)
        assert (await sent(brody, mail("mail.reply", email_id=mail_id))).state is ActionState.DONE
    message = arrived(server)
    assert (message["To"], message["Subject"]) == ("ann@b.example", "Re: Plants")
    assert message["In-Reply-To"] == "<plants@b.example>"
    assert message["References"] == "<earlier@b.example> <plants@b.example>"


async def test_where_a_mail_wants_its_answer_elsewhere_a_person_names_to_whom(
    person: Person, server: SmtpServer, world: World, tmp_path: Path
) -> None:
    """Nobody who says yes to an answer has seen the address that others wrote into Reply-To."""
    (letter,) = (path for place in ("new", "cur") for path in (world.mail.root / place).iterdir())
    letter.write_bytes(b"Reply-To: evil@elsewhere.example\r\n" + LETTER)
    async with person.brody() as brody:
        mail_id, _ = await world.read_into(brody)
        action = await sent(brody, mail("mail.reply", email_id=mail_id))
    assert (action.state, server.delivered) == (ActionState.FAILED, [])
    assert "asks for answers to evil@elsewhere.example" in action.reason


async def test_what_is_passed_on_is_the_mail_itself(person: Person, server: SmtpServer, world: World) -> None:
    async with person.brody() as brody:
        mail_id, _ = await world.read_into(brody)
        assert (await sent(brody, mail("mail.forward", ADA, email_id=mail_id))).state is ActionState.DONE
    message = arrived(server)
    words, original = message.iter_parts()
    assert (message["Subject"], words.get_content().strip()) == ("Fwd: Plants", "Grüße from us.")
    assert original.get_content_type() == "message/rfc822"
    inner = original.get_payload(0)
    assert inner["Message-ID"] == "<plants@b.example>"
    assert inner.get_content().strip() == "Please water them."


async def test_the_copy_lies_among_the_sent_mail(person: Person, server: SmtpServer, world: World) -> None:
    async with person.brody() as brody:
        action = await sent(brody, mail("mail.send", ADA))
    (copy,) = [m for m in await world.mails() if m.folder == "Sent"]
    assert f"<{parse_mail(copy.data).message_id}>" == (action.result or {})["message_id"]


# -- what is told ----------------------------------------------------------------------------------------


async def test_who_did_not_get_it_is_told(person: Person, server: SmtpServer) -> None:
    async with person.brody() as brody:
        action = await sent(brody, mail("mail.send", [ADA, "nobody@work.example"]))
    assert (action.state, action.result and action.result["recipients"]) == (ActionState.DONE, [ADA])
    assert action.result is not None
    assert "no such user" in action.result["refused"]["nobody@work.example"]


async def test_what_the_server_refuses_has_failed(person: Person, server: SmtpServer) -> None:
    async with person.brody() as brody:
        action = await sent(brody, mail("mail.send", "spam@work.example"))
    assert (action.state, server.delivered) == (ActionState.FAILED, [])
    assert "we do not like it" in action.reason


@pytest.mark.parametrize("noted", [True, False], ids=["noted", "nowhere noted"])
async def test_what_surely_did_not_leave_is_sent_later(
    noted: bool, world: World, server: SmtpServer, home: Path
) -> None:
    """Also where the account keeps no note: that nothing left, the server has said itself."""
    person = Person(world, home, [word(server.port, world.mail.root if noted else None)])
    async with person.brody() as brody:
        action_id = await approved(brody, mail("mail.send", "full@work.example"))
        action = await became(brody, action_id, ActionState.APPROVED, attempts=1)
    assert "disk is full" in action.reason
    assert action.not_before is not None
    assert action.not_before > datetime.now(UTC) + timedelta(seconds=20), "servers that defer mail want some time"
    assert server.delivered == []


async def test_a_server_that_is_back_gets_the_message_once(
    person: Person, server: SmtpServer, smtp_server: StartSmtp
) -> None:
    server.stop()
    async with person.brody() as brody:
        action_id = await approved(brody, mail("mail.send", ADA))
        action = await became(brody, action_id, ActionState.APPROVED, attempts=1)
        again = smtp_server("--port", str(server.port))
        async with brody.ledger.write() as tx:  # the time has come
            assert await attempts.leave(tx, brody.ledger.vault, ActionState.APPROVED, replace(action, not_before=None))
        action = await became(brody, action_id, ActionState.DONE)
    assert (action.fence, len(again.delivered)) == (2, 1)


async def test_a_lost_answer_is_found_where_the_server_delivers(
    world: World, smtp_server: StartSmtp, home: Path
) -> None:
    """The mail was taken, the connection broke: it is looked for, found, and not sent again."""
    server = smtp_server(maildir=world.mail.root)
    person = Person(world, home, [word(server.port, world.mail.root)])
    async with person.brody() as brody:
        action_id = await approved(brody, mail("mail.send", "drop@work.example"))
        action = await became(brody, action_id, ActionState.DONE)
    assert action.fence == 1
    assert server.ids().count((action.result or {})["message_id"]) == 1


@pytest.mark.parametrize("done", [True, False])
async def test_what_nobody_can_tell_waits_for_the_persons_word(
    done: bool, world: World, server: SmtpServer, home: Path
) -> None:
    """It is not sent again whatever the word is; after it, nothing is open any more."""
    person = Person(world, home, [word(server.port)])
    async with person.brody() as brody:
        action_id = await approved(brody, mail("mail.send", "drop@work.example"))

        async def told() -> bool:
            return "brody actions settle" in (await brody.actions.show(action_id)).reason

        await became(brody, action_id, ActionState.UNKNOWN)
        await until(told, "it says what a person can do")
        await brody.actions.settle(action_id, done)
        action = await became(brody, action_id, ActionState.DONE, ActionState.FAILED)
        with pytest.raises(NotUnclear, match=f"is {action.state}"):
            await brody.actions.settle(action_id, not done)
    assert action.state is (ActionState.DONE if done else ActionState.FAILED)
    assert action.reason.startswith("You said that it")
    assert len(server.delivered) == 1


async def test_on_postgresql_it_is_the_same(world: World, server: SmtpServer, home: Path, database_url: str) -> None:
    """Sent, held, remembered, settled: each in the other database."""
    person = Person(world, home, [word(server.port)])
    async with person.brody(database_url=database_url) as brody:
        await brody.run("inbox-scan")
        assert (await sent(brody, mail("mail.send", ADA))).state is ActionState.DONE
    async with person.silent().brody(database_url=database_url) as brody:
        lost = (await brody.execute(mail("mail.send", "drop@work.example"))).action_id
        await approve(brody, lost)
        await brody.follow(lost)
        await became(brody, lost, ActionState.UNKNOWN)
        await brody.actions.settle(lost, True)
        await brody.follow(lost)
        assert (await brody.actions.show(lost)).state is ActionState.DONE
    async with person.silent().brody(database_url=database_url, recall_seconds=3600) as brody:
        held = await approved(brody, mail("mail.send", ADA, subject="Held"))
        await brody.drain()
        assert (await brody.actions.show(held)).not_before is not None
    assert len(server.delivered) == 2


# -- by which account ---------------------------------------------------------------------------------------


async def test_a_sending_account_is_remembered_with_its_options(
    person: Person, server: SmtpServer, world: World
) -> None:
    """What is approved later, in another process, has to leave by it, and to be noted where it says."""
    async with person.brody() as brody:
        await brody.run("inbox-scan")
        action_id = (await brody.execute(mail("mail.send", ADA))).action_id
    async with person.silent().brody() as brody:
        await approve(brody, action_id)
        await brody.drain()
        action = await became(brody, action_id, ActionState.DONE, ActionState.FAILED)
    assert (action.state, (action.result or {}).get("filed")) == (ActionState.DONE, True)
    assert len(server.delivered) == 1


async def test_of_several_accounts_the_one_that_was_written_to_answers(
    world: World, server: SmtpServer, smtp_server: StartSmtp, home: Path, tmp_path: Path
) -> None:
    """Where that does not tell, the person says which."""
    other = smtp_server(maildir=tmp_path / "other")
    mine = word(other.port).replace("mira%40home.example", "me%40b.example")
    person = Person(world, home, [word(server.port), mine])
    async with person.brody() as brody:
        mail_id, _ = await world.read_into(brody)
        answer = await sent(brody, mail("mail.reply", email_id=mail_id))
        unclear = await sent(brody, mail("mail.send", ADA))
        named = await sent(brody, mail("mail.send", ADA, subject="2", account=f"smtp://127.0.0.1:{server.port}"))
    assert [answer.state, unclear.state, named.state] == [ActionState.DONE, ActionState.FAILED, ActionState.DONE]
    assert "Say by which" in unclear.reason
    assert (len(other.delivered), len(server.delivered)) == (1, 1)


# -- recall -----------------------------------------------------------------------------------------------


async def test_a_message_is_held_before_it_leaves_also_over_a_restart(person: Person, server: SmtpServer) -> None:
    """The time counts from the yes, and stands in the ledger; ``drain`` does not wait for it."""
    async with person.brody(recall_seconds=3600) as brody:
        action_id = await approved(brody, mail("mail.send", ADA))
        await brody.drain()
        held = await brody.actions.show(action_id)
    assert held.state is ActionState.APPROVED
    assert held.not_before is not None
    assert timedelta(minutes=59) < held.not_before - datetime.now(UTC) <= timedelta(hours=1)
    async with person.brody(recall_seconds=0) as brody:
        await brody.drain()
        again = await brody.actions.show(action_id)
    assert (again.not_before, server.delivered) == (held.not_before, [])


async def test_a_message_leaves_when_its_time_has_come(person: Person, server: SmtpServer) -> None:
    async with person.brody(recall_seconds=0.2) as brody:
        action_id = await approved(brody, mail("mail.send", ADA))
        await brody.follow(action_id)
        action = await brody.actions.show(action_id)
    assert action.state is ActionState.DONE
    (message,) = server.delivered
    assert message["Message-ID"]


async def test_a_message_that_is_withdrawn_while_it_is_held_never_leaves(person: Person, server: SmtpServer) -> None:
    async with person.brody(recall_seconds=3600) as brody:
        action_id = await approved(brody, mail("mail.send", ADA))
        other = await approved(brody, mail("mail.send", ADA, subject="Another"))
        await brody.drain()
        held = await brody.actions.show(action_id)
        gone = held.moved(ActionState.UNDONE, "You recalled it.", not_before=None)
        due = replace(await brody.actions.show(other), not_before=None, held_until=datetime.now(UTC))
        async with brody.ledger.write() as tx:
            for action in (gone, due):
                assert await attempts.leave(tx, brody.ledger.vault, ActionState.APPROVED, action)
        await became(brody, other, ActionState.DONE)
        await brody.follow(action_id)
    assert [message["Subject"] for message in server.delivered] == ["Another"]


async def test_a_message_that_had_to_wait_before_is_held_all_the_same(person: Person, server: SmtpServer) -> None:
    """A pause for another reason, such as an account that is locked, does not count as its hold."""
    async with person.brody(recall_seconds=3600) as brody:
        proposed = await brody.execute(mail("mail.send", ADA))
        waiting = await brody.actions.show(proposed.action_id)
        past = datetime.now(UTC) - timedelta(seconds=1)
        put_off = replace(waiting.moved(ActionState.APPROVED, "It was locked."), not_before=past)
        async with brody.ledger.write() as tx:
            assert await attempts.leave(tx, brody.ledger.vault, ActionState.AWAITING_APPROVAL, put_off)
        await brody.drain()
        held = await brody.actions.show(proposed.action_id)
    assert held.held_until is not None
    assert held.held_until > datetime.now(UTC) + timedelta(minutes=59)
    assert server.delivered == []


async def test_what_cannot_be_sent_is_told_before_the_hold(person: Person) -> None:
    async with person.brody(recall_seconds=3600) as brody:
        action = await sent(brody, mail("mail.send", "not an address"))
    assert (action.state, "is no mail address" in action.reason) == (ActionState.FAILED, True)
