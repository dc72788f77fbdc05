"""A provider that commits and whose answer is cut off, late or doubled, on the way to the real clients."""

from __future__ import annotations

from pathlib import Path

import pytest

from brody_agents.errors import OutcomeUnknown
from brody_agents.integrations.calendar.caldav import CalDav
from brody_agents.integrations.mail.smtp import Smtp
from brody_agents.testing import Road
from brody_agents.testing.road import MESSAGE
from tests.integration.conftest import Radicale, StartSmtp
from tests.integration.test_caldav import event
from tests.integration.test_smtp import ADA, ID, ME, mail

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("fault", ["cut", "late"])
async def test_a_message_that_was_taken_without_an_answer_is_unknown_and_found(
    fault: str, smtp_server: StartSmtp, sent: Path
) -> None:
    server = smtp_server(maildir=sent)
    async with Road(server.port, MESSAGE, "late" if fault == "late" else "cut", seconds=30) as road:
        smtp = Smtp(f"//127.0.0.1:{road.port}?sent=maildir:{sent}&timeout=1")
        with pytest.raises(OutcomeUnknown):
            await smtp.send(mail(), ME, [ADA])

    assert road.struck == 1
    assert server.ids() == [ID]
    assert await smtp.find_sent(ID) is True


async def test_a_message_whose_answer_comes_twice_is_sent_once(smtp_server: StartSmtp, sent: Path) -> None:
    server = smtp_server(maildir=sent)
    async with Road(server.port, MESSAGE, "twice") as road:
        result = await Smtp(f"//127.0.0.1:{road.port}?sent=maildir:{sent}&timeout=5").send(mail(), ME, [ADA])

    assert road.struck == 1
    assert result.accepted == (ADA,)
    assert server.ids() == [ID]


async def test_only_the_first_answers_go_astray(smtp_server: StartSmtp, sent: Path) -> None:
    server = smtp_server(maildir=sent)
    async with Road(server.port, MESSAGE, times=1) as road:
        smtp = Smtp(f"//127.0.0.1:{road.port}?sent=maildir:{sent}&timeout=5")
        with pytest.raises(OutcomeUnknown):
            await smtp.send(mail(), ME, [ADA])
        other = ID.replace("0f3a", "0f3b")
        await smtp.send(mail(other), ME, [ADA])

    assert server.ids() == sorted([ID, other])


async def test_an_event_that_was_made_without_an_answer_is_unknown_and_found(radicale: Radicale) -> None:
    async with Road(radicale.port, rb"^PUT ") as road:
        calendar = CalDav(f"http://me@127.0.0.1:{road.port}/me/work/")
        try:
            with pytest.raises(OutcomeUnknown):
                await calendar.put(event("a-uid"), None)
            assert road.struck == 1
            assert radicale.files() == ["work/a-uid.ics"]
            assert await calendar.find("a-uid") is not None
        finally:
            await calendar.close()
