"""Sending over a real SMTP server: who got it, what is sure, what is not, and where it is found again."""

# These tests look at files between the awaits.

from __future__ import annotations

import asyncio
import mailbox
from pathlib import Path

import pytest

from brody_agents.errors import BrodyError, NotSent, OutcomeUnknown, Refused, Retryable, Terminal
from brody_agents.integrations.mail.base import RawMail
from brody_agents.integrations.mail.maildir import Maildir
from brody_agents.integrations.mail.outbox import FOLDER
from brody_agents.integrations.mail.smtp import Smtp, Smtps
from tests.integration.conftest import SmtpServer, StartSmtp

pytestmark = pytest.mark.integration

ID = "<0f3a@brody.mail.example>"
MAIL = b"Message-ID: %s\nFrom: me@mail.example\nTo: ada@work.example\nSubject: Hi\n\nHello\n.\nBye\n"
ME, ADA = "me@mail.example", "ada@work.example"


def mail(message_id: str = ID, extra: bytes = b"") -> bytes:
    return extra + MAIL % message_id.encode()


def account(server: SmtpServer, sent: Path | None = None, options: str = "") -> Smtp:
    where = f"sent=maildir:{sent}&" if sent else ""
    return Smtp(f"//127.0.0.1:{server.port}?{where}timeout=5{options}")


def filed(sent: Path) -> list[str]:
    folder = sent / ".Sent"
    return [str(m["Message-ID"]) for m in mailbox.Maildir(folder, create=False)] if folder.is_dir() else []


async def test_a_message_is_sent_and_filed_and_found(smtp_server: StartSmtp, sent: Path) -> None:
    server = smtp_server()
    smtp = account(server, sent)
    assert await smtp.find_sent(ID) is False, "before anything was tried"
    result = await smtp.send(mail(), ME, [ADA, ADA])
    assert (result.message_id, result.accepted, result.refused, result.filed) == (ID, (ADA,), {}, True)
    assert "queued" in result.answer
    assert await smtp.find_sent(ID) is True
    assert server.ids() == [ID]
    assert server.delivered[0].get_payload() == "Hello\n.\nBye\n", "a line with a dot alone ends nothing"
    copy = (await read(Maildir(str(sent))))[0]
    assert (copy.folder, copy.flags, copy.data) == ("Sent", frozenset({"seen", "sent"}), mail())


async def read(maildir: Maildir) -> list[RawMail]:
    async def nothing() -> dict[str, str]:
        return {}

    return [item async for page in maildir.changes(None, nothing) for item in page.items]


async def test_what_left_stays_known_when_the_person_deletes_the_copy(smtp_server: StartSmtp, sent: Path) -> None:
    server = smtp_server()
    smtp = account(server, sent)
    await smtp.send(mail(), ME, [ADA])
    mailbox.Maildir(sent / ".Sent", create=False).clear()
    assert await smtp.find_sent(ID) is True
    with pytest.raises(OutcomeUnknown):
        await smtp.send(mail(), ME, [ADA])
    assert server.ids() == [ID]


async def test_two_who_send_the_same_message_at_once_send_it_once(smtp_server: StartSmtp, sent: Path) -> None:
    server = smtp_server()
    tries = (account(server, sent).send(mail(), ME, [ADA]) for _ in range(5))
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["OutcomeUnknown"] * 4 + ["Sent"]
    assert server.ids() == [ID]


async def test_some_recipients_are_refused_and_it_is_told_who_got_it(smtp_server: StartSmtp, sent: Path) -> None:
    server = smtp_server()
    result = await account(server, sent).send(mail(), ME, ["nobody@work.example", ADA, "later@work.example"])
    assert result.accepted == (ADA,)
    assert result.refused == {
        "nobody@work.example": "550 5.1.1 no such user",
        "later@work.example": "451 4.7.1 greylisted, come back",
    }
    assert server.delivered[0]["X-RcptTo"] == ADA


@pytest.mark.parametrize(
    ("people", "error"),
    [
        (["nobody@work.example"], Refused),
        (["later@work.example"], NotSent),
        (["nobody@work.example", "later@work.example"], NotSent),
        (["full@work.example"], NotSent),
        (["spam@work.example"], Refused),
    ],
)
async def test_an_answer_that_refuses_means_that_surely_nothing_left(
    people: list[str], error: type[BrodyError], smtp_server: StartSmtp, sent: Path
) -> None:
    server = smtp_server()
    smtp = account(server, sent)
    with pytest.raises(error) as caught:
        await smtp.send(mail(), ME, people)
    assert isinstance(caught.value, Retryable if error is NotSent else Terminal)
    assert caught.value.remedy.startswith("Nothing was sent")
    assert await smtp.find_sent(ID) is False
    assert (server.ids(), filed(sent)) == ([], [])
    await smtp.send(mail(), ME, [ADA])
    assert server.ids() == [ID], "what was refused may be sent again"


@pytest.mark.parametrize(("who", "delivered"), [("drop", [ID]), ("lost", []), ("slow", [ID])])
async def test_no_answer_to_the_message_is_unknown_and_is_never_sent_again(
    who: str, delivered: list[str], smtp_server: StartSmtp, sent: Path
) -> None:
    """The server took it in two of three cases, and nobody here can tell which."""
    server = smtp_server()
    smtp = Smtp(f"//127.0.0.1:{server.port}?sent=maildir:{sent}&timeout=0.1")
    with pytest.raises(OutcomeUnknown) as caught:
        await smtp.send(mail(), ME, [f"{who}@work.example"])
    assert not isinstance(caught.value, (Retryable, Terminal))
    assert server.ids() == delivered
    assert await smtp.find_sent(ID) is None
    with pytest.raises(OutcomeUnknown):
        await smtp.send(mail(), ME, [ADA])
    assert server.ids() == delivered


async def test_a_send_that_is_cancelled_while_it_waits_is_unknown(smtp_server: StartSmtp, sent: Path) -> None:
    server = smtp_server()
    smtp = account(server, sent)
    sending = asyncio.create_task(smtp.send(mail(), ME, ["slow@work.example"]))
    await asyncio.to_thread(server.wait)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert await smtp.find_sent(ID) is None
    with pytest.raises(OutcomeUnknown):
        await smtp.send(mail(), ME, [ADA])
    assert server.ids() == [ID]


async def test_a_lost_answer_is_found_where_the_server_delivers(smtp_server: StartSmtp, sent: Path) -> None:
    """Some servers file sent mail themselves, and a copy to oneself tells the same: no second copy is made."""
    server = smtp_server(maildir=sent)
    smtp = account(server, sent)
    with pytest.raises(OutcomeUnknown):
        await smtp.send(mail(), ME, ["drop@work.example"])
    assert await smtp.find_sent(ID) is True
    assert await smtp.find_sent(ID) is True
    assert server.ids() == [ID]
    assert not (sent / ".Sent").exists()


async def test_a_draft_with_the_same_id_is_no_sign_that_it_left(smtp_server: StartSmtp, sent: Path) -> None:
    server = smtp_server()
    smtp = account(server, sent)
    await Maildir(str(sent)).append(mail(), "Drafts", frozenset({"draft", "seen"}))
    with pytest.raises(OutcomeUnknown):
        await smtp.send(mail(), ME, ["lost@work.example"])
    assert await smtp.find_sent(ID) is None


async def test_without_a_place_for_sent_mail_nothing_can_be_told(smtp_server: StartSmtp) -> None:
    server = smtp_server()
    smtp = account(server)
    assert await smtp.find_sent(ID) is None
    assert (await smtp.send(mail(), ME, [ADA])).filed is False
    assert await smtp.find_sent(ID) is None


async def test_an_unwritable_place_for_sent_mail_stops_the_message_before_it_leaves(
    smtp_server: StartSmtp, sent: Path
) -> None:
    """What cannot be noted is not sent, for it could not be found again."""
    server = smtp_server()
    (sent / FOLDER).write_bytes(b"in the way")
    with pytest.raises(Refused):
        await account(server, sent).send(mail(), ME, [ADA])
    assert server.ids() == []


async def test_a_copy_that_cannot_be_filed_does_not_unsend_the_message(smtp_server: StartSmtp, sent: Path) -> None:
    """It left, so the result says so; the copy is made when the place is well again."""
    server = smtp_server()
    smtp = account(server, sent)
    (sent / ".Sent").write_bytes(b"in the way")
    assert (await smtp.send(mail(), ME, [ADA])).filed is False
    (sent / ".Sent").unlink()
    assert await smtp.find_sent(ID) is True
    assert (server.ids(), filed(sent)) == ([ID], [ID])


async def test_a_server_that_is_not_there_is_surely_nothing(smtp_server: StartSmtp, sent: Path) -> None:
    server = smtp_server()
    server.stop()
    smtp = account(server, sent)
    with pytest.raises(NotSent, match="cannot be reached"):
        await smtp.send(mail(), ME, [ADA])
    assert await smtp.find_sent(ID) is False


async def test_what_is_too_large_or_not_ascii_for_the_server_is_refused_first(smtp_server: StartSmtp) -> None:
    server = smtp_server("--size", "500", "--ascii")
    smtp = account(server)
    with pytest.raises(Refused, match="takes 500"):
        await smtp.send(mail() + b"x" * 500, ME, [ADA])
    with pytest.raises(Refused, match="SMTPUTF8"):
        await smtp.send(mail(), ME, ["josé@work.example"])
    assert server.ids() == []


async def test_international_addresses_and_headers_are_sent(smtp_server: StartSmtp) -> None:
    server = smtp_server()
    text = "Subject: Grüße\n".encode()
    result = await account(server).send(mail(extra=text), ME, ["josé@bücher.example"])
    assert result.accepted == ("josé@xn--bcher-kva.example",)
    assert server.ids() == [ID]


async def test_blind_copies_are_not_told_to_the_others_but_stay_in_the_own_copy(
    smtp_server: StartSmtp, sent: Path
) -> None:
    server = smtp_server()
    secret = b"Bcc: eve@work.example,\n fritz@work.example\n"
    await account(server, sent).send(mail(extra=secret), ME, [ADA, "eve@work.example"])
    assert server.delivered[0]["Bcc"] is None
    assert b"fritz" not in server.delivered[0].as_bytes()
    assert server.delivered[0]["X-RcptTo"] == "ada@work.example, eve@work.example"
    copy = next(iter(mailbox.Maildir(sent / ".Sent", create=False)))
    assert "eve@work.example" in copy["Bcc"]


async def test_signing_in_over_starttls_and_over_tls(
    smtp_server: StartSmtp, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRODY_SMTP_PASSWORD", "right")
    one = smtp_server("--certificate", str(certificate), "--authentication")
    two = smtp_server("--certificate", str(certificate), "--implicit", "--authentication")
    for smtp in (
        Smtp(f"//me@mail.example@localhost:{one.port}?tls=required"),
        Smtps(f"//me%40mail.example@localhost:{two.port}"),
    ):
        line = await smtp.check()
        assert "TLS, signed in as me@mail.example" in line
        assert "right" not in line + smtp.account
        await smtp.send(mail(), ME, [ADA])
    assert one.ids() == [ID, ID], "both deliver into the same place"


async def test_a_wrong_password_is_refused_and_said(
    smtp_server: StartSmtp, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRODY_SMTP_PASSWORD_ME_MAIL_EXAMPLE_LOCALHOST", "wrong")
    monkeypatch.setenv("BRODY_SMTP_PASSWORD", "right")
    server = smtp_server("--certificate", str(certificate), "--authentication")
    with pytest.raises(Refused, match="535") as caught:
        await Smtp(f"//me@mail.example@localhost:{server.port}?tls=required").send(mail(), ME, [ADA])
    assert "password" in caught.value.remedy
    assert "wrong" not in str(caught.value)


async def test_a_certificate_that_is_not_trusted_or_for_another_host_is_refused(
    smtp_server: StartSmtp, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starttls = smtp_server("--certificate", str(certificate))
    implicit = smtp_server("--certificate", str(certificate), "--implicit")
    with pytest.raises(Refused, match="certificate"):
        await Smtps(f"//127.0.0.1:{implicit.port}").send(mail(), ME, [ADA])
    monkeypatch.delenv("SSL_CERT_FILE")
    for smtp in (Smtp(f"//localhost:{starttls.port}?tls=required"), Smtps(f"//localhost:{implicit.port}")):
        with pytest.raises(Refused, match="certificate"):
            await smtp.send(mail(), ME, [ADA])
    assert starttls.ids() == []


async def test_a_server_without_tls_gets_nothing_where_tls_is_required(smtp_server: StartSmtp) -> None:
    server = smtp_server()
    with pytest.raises(Refused, match="STARTTLS"):
        await Smtp(f"//localhost:{server.port}?tls=required").send(mail(), ME, [ADA])
    assert server.ids() == []
