"""A sender is killed at every step of a message; then it is asked whether it left, and sent again where it did not."""

# These tests look at files between the awaits.

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from brody_agents.integrations.mail.smtp import Smtp
from tests.integration.conftest import StartSmtp
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
