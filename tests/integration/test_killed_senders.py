"""A sender is killed at every step of a message; then it is asked whether it left, and sent again where it did not."""

# These tests look at files between the awaits.

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
from itertools import count
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from aiosmtplib import SMTP

from brody_agents import ActionState, Brody
from brody_agents.coordinator import account_executor
from brody_agents.coordinator.account_executor import AccountExecutor
from brody_agents.integrations.mail.outbox import Outbox
from brody_agents.integrations.mail.smtp import Smtp
from brody_agents.ledger import attempts
from tests.coordinator.accounts_kit import ENDED, World, approve
from tests.coordinator.kit import until
from tests.integration.conftest import SmtpServer, StartSmtp
from tests.integration.sending_kit import Person, sent
from tests.integration.sending_kit import mail as a_mail
from tests.integration.sending_kit import word as sender_word
from tests.integration.test_smtp import ADA, ID, ME, filed, mail

pytestmark = [pytest.mark.integration, pytest.mark.crash]

SENDER = """
import asyncio, os, signal, sys
from aiosmtplib import SMTP
from brody_agents.integrations.mail.outbox import Outbox
from brody_agents.integrations.mail.smtp import Smtp

url, recipient, when, owner, name = sys.argv[1:]
kind = {"SMTP": SMTP, "Outbox": Outbox}[owner]
original = getattr(kind, name)

async def deadly(self, *arguments, **named):
    if when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    result = await original(self, *arguments, **named)
    os.kill(os.getpid(), signal.SIGKILL)
    return result

if when != "never":
    setattr(kind, name, deadly)
asyncio.run(Smtp(url).send(sys.stdin.buffer.read(), "me@mail.example", [recipient]))
"""


def sender(url: str, recipient: str, *crash: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", SENDER, url, recipient, *crash]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(mail())
    process.stdin.close()
    return process


def ended(process: subprocess.Popen[bytes]) -> int:
    code = process.wait(timeout=60)
    assert process.stderr is not None
    process.stderr.close()
    return code


@pytest.mark.parametrize("same_place", [False, True], ids=["filed by us", "delivered where we look"])
@pytest.mark.parametrize(
    ("crash", "left", "told"),
    [
        (("before", "SMTP", "connect"), False, False),
        (("after", "SMTP", "rcpt"), False, False),
        (("before", "Outbox", "begin"), False, False),
        (("after", "Outbox", "begin"), False, None),
        (("before", "SMTP", "data"), False, None),
        (("after", "SMTP", "data"), True, None),
        (("before", "Outbox", "left"), True, None),
        (("after", "Outbox", "left"), True, True),
        (("before", "Outbox", "file"), True, True),
        (("after", "Outbox", "file"), True, True),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
async def test_whoever_is_asked_after_a_kill_tells_the_truth_or_nothing(
    crash: tuple[str, str, str],
    left: bool,
    told: bool | None,
    same_place: bool,
    smtp_server: StartSmtp,
    sent: Path,
    tmp_path: Path,
) -> None:
    """And what surely did not leave is sent again, so that it arrives once; what cannot be told is left alone."""
    server = smtp_server(maildir=sent if same_place else tmp_path / "delivered")
    word = f"//127.0.0.1:{server.port}?sent=maildir:{sent}"
    assert ended(sender(word, ADA, *crash)) == -signal.SIGKILL
    assert server.ids() == [ID] * left
    smtp = Smtp(word)
    answer = await smtp.find_sent(ID)
    assert answer == (True if same_place and left else told)
    if answer is False:
        await smtp.send(mail(), ME, [ADA])
    assert server.ids() == [ID] * (left or answer is False)
    if answer is not None:
        assert await smtp.find_sent(ID) is True
        assert len(filed(sent)) == (0 if same_place else 1), "one copy among the sent mail, or the server's"


@pytest.mark.parametrize("same_place", [False, True])
async def test_a_sender_killed_while_it_waits_for_the_answer(
    same_place: bool, smtp_server: StartSmtp, sent: Path, tmp_path: Path
) -> None:
    """The server has the message, and the one who could have heard so is dead."""
    server = smtp_server(maildir=sent if same_place else tmp_path / "delivered")
    word = f"//127.0.0.1:{server.port}?sent=maildir:{sent}"
    process = sender(word, "slow@work.example", "never", "SMTP", "data")
    server.wait()
    process.kill()
    assert ended(process) == -signal.SIGKILL
    assert await Smtp(word).find_sent(ID) is (True if same_place else None)
    assert server.ids() == [ID]


# -- the whole way: an approved action, the executor, the server ------------------------------------------------

SUBJECTS = ["One", "Two", "Three"]
TOLD = "brody actions settle"


def _work(home: Path, folder: Path, word: str, recipient: str, point: str, subjects: list[str], url: str = "") -> None:
    """Be a worker that sends approved mails, and is killed at the second one's ``point``."""
    account_executor.TAKEOVER = 0.0  # whoever was there before is dead, and is not waited for
    if point:
        _arm(*point.split())
    asyncio.run(_send(Person(World.at(folder), home, [word]), recipient, subjects, url))


async def _send(person: Person, recipient: str, subjects: list[str], url: str) -> None:
    async with person.brody(database_url=url) as brody:
        for subject in subjects:
            proposed = await brody.execute(a_mail("mail.send", recipient, subject=subject))
            if proposed.state is ActionState.AWAITING_APPROVAL:
                await approve(brody, proposed.action_id)
        await until(lambda: _all_told(brody, len(subjects)), "each has ended, or waits for a person")


async def _all_told(brody: Brody, number: int) -> bool:
    found = await brody.actions.list()
    return len(found) == number and all(a.state in ENDED or TOLD in a.reason for a in found)


def _arm(when: str, owner: str, name: str) -> None:
    """Have this process kill itself the second time that it comes to a place."""
    places: Any = (SMTP, Outbox, Smtp, AccountExecutor, attempts)
    place = next(place for place in places if place.__name__.endswith(owner))
    original, visits = getattr(place, name), count(1)

    async def deadly(*arguments: Any, **named: Any) -> Any:
        second = next(visits) == 2
        if second and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        if second and when == "within":
            await _half_of_it(*arguments)
        result = await original(*arguments, **named)
        if second and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(place, name, deadly)


async def _half_of_it(server: SMTP, message: bytes) -> None:
    """Send half of a message and die."""
    await server.execute_command(b"DATA")
    assert server.transport is not None
    server.transport.write(message[: len(message) // 2])  # type: ignore[attr-defined]
    os.kill(os.getpid(), signal.SIGKILL)


def _process(*arguments: object) -> BaseProcess:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["brody_agents.front", "aiosmtplib", "tests.integration.sending_kit"])
    process = context.Process(target=_work, args=arguments)
    process.start()
    return process


def _end(process: BaseProcess) -> int | None:
    process.join(60)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise AssertionError("It did not end.")
    return process.exitcode


async def _settled_by_a_person(person: Person, server: SmtpServer, recipient: str, url: str) -> int:
    """Have a person look who got what, say so, and want again what did not leave; return how many were asked about."""
    async with person.brody(database_url=url) as brody:
        unclear = await brody.actions.list(state="unknown")
        for action in unclear:
            subject = action.arguments["subject"]
            left = subject in [m["Subject"] for m in server.delivered]
            await brody.actions.settle(action.id, left)
            await brody.follow(action.id)
            assert (await brody.actions.show(action.id)).state is (ActionState.DONE if left else ActionState.FAILED)
            if not left:
                again = a_mail("mail.send", recipient, subject=subject).model_copy(update={"redo_of": action.id})
                await sent(brody, again)
    return len(unclear)


EVERYWHERE = [
    ("before attempts begin", 0),
    ("before Executor _tried", 0),
    ("before Smtp send", 0),
    ("before Outbox begin", 0),
    ("after Outbox begin", 1),
    ("before SMTP data", 1),
    ("within SMTP data", 1),
    ("after SMTP data", 0),
    ("before Outbox left", 0),
    ("after Outbox left", 0),
    ("after Outbox file", 0),
    ("after Smtp send", 0),
    ("after attempts leave", 0),
    ("after Executor _leave", 0),
]
IN_POSTGRES = {"after Outbox begin", "after SMTP data", "after attempts leave"}


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("point", "asked", "database"),
    [(*case, "") for case in EVERYWHERE] + [(*case, "database_url") for case in EVERYWHERE if case[0] in IN_POSTGRES],
)
async def test_each_approved_mail_arrives_once_although_its_sender_is_killed(
    point: str, asked: int, database: str, smtp_server: StartSmtp, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The next process asks the account; a person is asked only where the message may be on its way, and nothing is."""
    world = World.at(tmp_path / "world")
    await world.fill()
    server = smtp_server(maildir=world.mail.root)
    word, home = sender_word(server.port, world.mail.root), tmp_path / "home"
    url = request.getfixturevalue(database) if database else ""
    assert _end(_process(home, tmp_path / "world", word, ADA, point, SUBJECTS, url)) == -signal.SIGKILL
    assert _end(_process(home, tmp_path / "world", word, ADA, "", SUBJECTS, url)) == 0
    assert await _settled_by_a_person(Person(world, home, [word]), server, ADA, url) == asked
    assert sorted(m["Subject"] for m in server.delivered if m["Subject"] in SUBJECTS) == sorted(SUBJECTS)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("point", "asked"),
    [
        ("before Executor _tried", 0),
        ("before Smtp send", 0),
        ("before SMTP rcpt", 0),
        ("after attempts hand_over", 0),
        ("before SMTP data", 1),
        ("after SMTP data", 1),
    ],
)
async def test_where_nobody_can_be_asked_what_was_not_begun_is_still_known_and_sent(
    point: str, asked: int, smtp_server: StartSmtp, tmp_path: Path
) -> None:
    """Without ``sent=``, or where the server of ``imaps:`` files nothing, a person is asked about the rest only."""
    world = World.at(tmp_path / "world")
    server = smtp_server(maildir=tmp_path / "theirs")
    word, home = sender_word(server.port), tmp_path / "home"
    assert _end(_process(home, tmp_path / "world", word, ADA, point, SUBJECTS)) == -signal.SIGKILL
    assert _end(_process(home, tmp_path / "world", word, ADA, "", SUBJECTS)) == 0
    assert await _settled_by_a_person(Person(world, home, [word]), server, ADA, "") == asked
    assert sorted(m["Subject"] for m in server.delivered) == sorted(SUBJECTS)


@pytest.mark.timeout(120)
async def test_a_mail_that_the_server_took_before_its_sender_was_killed_is_found(
    smtp_server: StartSmtp, tmp_path: Path
) -> None:
    """The server has delivered, has not answered yet, and the one who waits for the answer dies."""
    world = World.at(tmp_path / "world")
    server = smtp_server(maildir=world.mail.root)
    word, home, slow = sender_word(server.port, world.mail.root), tmp_path / "home", "slow@work.example"
    process = _process(home, tmp_path / "world", word, slow, "", SUBJECTS[:1])
    await asyncio.to_thread(server.wait)
    process.kill()
    assert _end(process) == -signal.SIGKILL
    async with Person(world, home, [word]).brody() as brody:
        await brody.drain()
        await until(lambda: brody.actions.list(state="done"), "the one that was under way is found")
        (first,) = await brody.actions.list(state="done")
    assert server.ids().count((first.result or {})["message_id"]) == 1
