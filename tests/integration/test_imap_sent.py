"""Sent mail in a folder of a real IMAP server: filed once, found again, and nothing concluded from its absence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from brody_agents import ActionState
from brody_agents.errors import OutcomeUnknown, ProviderError, ProviderUnavailable
from brody_agents.integrations.mail.imap_sent import ImapSent
from brody_agents.integrations.mail.smtp import Smtp
from tests.coordinator.accounts_kit import World
from tests.integration.conftest import StartSmtp
from tests.integration.imap_server import ImapServer, dovecot
from tests.integration.sending_kit import Person
from tests.integration.sending_kit import mail as a_mail
from tests.integration.sending_kit import sent as was_sent
from tests.integration.test_smtp import ADA, ID, ME, mail

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]


@pytest.fixture
def imap(monkeypatch: pytest.MonkeyPatch) -> Iterator[ImapServer]:
    monkeypatch.setenv("BRODY_IMAP_PASSWORD", "right")
    with dovecot() as server:
        yield server


def folder(imap: ImapServer, name: str = "Sent") -> str:
    return f"imap://me%2540home.example@127.0.0.1:{imap.port}/{name}"


def account(port: int, sent: str) -> Smtp:
    return Smtp(f"//127.0.0.1:{port}?sent={sent}&timeout=5")


async def test_a_message_is_filed_once_and_found(imap: ImapServer, smtp_server: StartSmtp) -> None:
    """In a folder that is made when it is missing, with the copy that the author keeps."""
    server = smtp_server()
    smtp = account(server.port, folder(imap))
    assert await smtp.find_sent(ID) is None, "what is not there may have left"
    assert (await smtp.send(mail(extra=b"Bcc: eve@work.example\n"), ME, [ADA])).filed
    assert await smtp.find_sent(ID) is True
    assert (imap.filed(), server.ids()) == ([ID], [ID])
    copy = next((imap.mail / ".Sent").glob("*/*")).read_bytes()
    assert b"Bcc: eve@work.example" in copy
    assert "sent mail in imap://" in await smtp.check()


async def test_a_copy_that_the_server_has_filed_is_not_filed_again(imap: ImapServer, smtp_server: StartSmtp) -> None:
    sent = ImapSent(folder(imap).replace("%25", "%"), 5)
    await sent.file(ID, mail())
    assert (await account(smtp_server().port, folder(imap)).send(mail(), ME, [ADA])).filed
    assert imap.filed() == [ID]


async def test_a_lost_answer_is_found_where_the_server_files(imap: ImapServer, smtp_server: StartSmtp) -> None:
    smtp = account(smtp_server().port, folder(imap))
    with pytest.raises(OutcomeUnknown):
        await smtp.send(mail(), ME, ["drop@work.example"])
    assert await smtp.find_sent(ID) is None
    await ImapSent(folder(imap).replace("%25", "%"), 5).file(ID, mail())
    assert await smtp.find_sent(ID) is True


async def test_a_draft_with_the_same_id_is_no_sign_that_it_left(imap: ImapServer, smtp_server: StartSmtp) -> None:
    sent = ImapSent(folder(imap).replace("%25", "%"), 5)
    await sent.file(ID, mail())
    assert await sent.arrived(ID)
    (copy,) = (imap.mail / ".Sent" / "cur").iterdir()
    copy.rename(copy.with_name(copy.name.rpartition(":")[0] + ":2,D"))
    assert not await sent.arrived(ID)


async def test_a_wrong_password_and_a_server_that_is_gone_are_told_and_unsend_nothing(
    imap: ImapServer, smtp_server: StartSmtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = smtp_server()
    monkeypatch.setenv("BRODY_IMAP_PASSWORD", "wrong")
    sent = ImapSent(folder(imap).replace("%25", "%"), 5)
    with pytest.raises(ProviderError, match="refused user or password"):
        await sent.arrived(ID)
    imap.stop()
    with pytest.raises(ProviderUnavailable, match="cannot be asked"):
        await sent.arrived(ID)
    assert not (await account(server.port, folder(imap)).send(mail(), ME, [ADA])).filed
    assert server.ids() == [ID]


async def test_over_tls_the_certificate_is_verified(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRODY_IMAP_PASSWORD", "right")
    with dovecot(certificate) as server:
        trusted = ImapSent(f"imaps://me%40home.example@localhost:{server.port}/Sent", 5)
        assert not await trusted.arrived(ID)
        other = ImapSent(f"imaps://me%40home.example@127.0.0.1:{server.port}/Sent", 5)
        with pytest.raises(ProviderUnavailable, match="certificate"):
            await other.arrived(ID)


async def test_an_approved_mail_is_filed_there(
    imap: ImapServer, smtp_server: StartSmtp, tmp_path: Path, home: Path
) -> None:
    server, world = smtp_server(), World.at(tmp_path / "world")
    word = f"smtp://127.0.0.1:{server.port}?sent={folder(imap)}&from=mira%40home.example&timeout=5"
    async with Person(world, home, [word]).brody() as brody:
        action = await was_sent(brody, a_mail("mail.send", ADA))
    assert (action.state, (action.result or {})["filed"]) == (ActionState.DONE, True)
    assert imap.filed() == [(action.result or {})["message_id"]] == server.ids()
