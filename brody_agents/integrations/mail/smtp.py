"""Mail that leaves by a submission server: ``smtp://USER@HOST:PORT`` (RFC 6409), ``smtps://`` (RFC 8314).

**What is sure.** A message is a server's as soon as that has read the dot that ends it and not answered with an error
(RFC 5321, 4.2.5 and 6.1). So

==================================================================================  ==================================
what happened                                                                       raised
==================================================================================  ==================================
no connection, no TLS, a connection lost or a time-out before DATA; an answer 4xx   ``NotSent``: surely not, try again
to anything, the message itself included
an answer 5xx to anything, the message itself included; no valid certificate; a     ``Refused``: surely not, and not
wrong password; too large; SMTPUTF8 or 8BITMIME needed and missing                  the next time either
a connection lost, a time-out or no understandable answer after DATA was sent       ``OutcomeUnknown``
==================================================================================  ==================================

Some recipients may be refused while others are accepted: the message goes to these, and ``Sent`` tells who got it.

**Where it is found again.** With ``sent=maildir:DIR`` :mod:`.outbox` notes it before DATA, so that ``find_sent`` tells
the truth after any crash but one between DATA and the server's answer; then it is looked for in the Maildir, where some
servers file or deliver it. With ``sent=imaps:`` it is looked for in that folder (:mod:`.imap_sent`). Without ``sent=``
nothing can be told. That is for what was announced (``about_to``) only: before that, nothing has left.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING

from brody_agents.errors import BrodyError, ConfigurationError, NotFound, NotSent, OutcomeUnknown, Refused
from brody_agents.integrations import remote
from brody_agents.integrations.mail.base import Sent
from brody_agents.integrations.mail.envelope import Envelope, envelope_of
from brody_agents.integrations.mail.imap_sent import PORTS as IMAP_PORTS
from brody_agents.integrations.mail.imap_sent import ImapSent
from brody_agents.integrations.mail.outbox import Outbox
from brody_agents.observability import logger

if TYPE_CHECKING:
    from aiosmtplib import SMTP

log = logger(__name__)

PORTS = {"smtp": 587, "smtps": 465}
OPTIONS = ("from", "sent", "timeout", "tls")
TIMEOUT = 60.0
"""Seconds for each step; the answer to a message may take ten times as long (RFC 5321, 4.5.3.2.6: ten minutes)."""


class Smtp:
    """A submission server; implements ``Outgoing``. Each message has a connection of its own."""

    scheme = "smtp"
    announces = True

    def __init__(self, rest: str) -> None:
        """Take what follows ``smtp:``, as in ``//me@mail.example:587?sent=maildir:~/Maildir``; opens no connection.

        ``from`` is whom mail is from, where that is not the user at the host; ``sent`` is the Maildir of the sent mail,
        ``timeout`` the seconds for each step, ``tls=required`` asks for STARTTLS on the loopback interface too, where
        it is not used otherwise.
        """
        self._place = remote.place_of(f"{self.scheme}:{rest}", PORTS, OPTIONS)
        if self._place.path.strip("/"):
            raise ConfigurationError(f"{self.account} has a path.", "Write nothing between the port and the `?`.")
        self._timeout = _seconds(self._place.options.get("timeout"))
        wanted = _asked(self._place.options.get("tls")) or not self._place.loopback
        self._starttls = wanted and self.scheme == "smtp"
        self._outbox = _outbox(self._place.options.get("sent"), self._timeout)

    @property
    def account(self) -> str:
        """Return the URL without options, such as ``smtp://me@mail.example:587``."""
        return self._place.key.rstrip("/")

    @property
    def author(self) -> str:
        """Return ``from=``, else the user if that is an address, else the user at the host."""
        user, host = self._place.user, self._place.host
        if given := self._place.options.get("from"):
            return given
        if "@" in user:
            return user
        if not user or self._place.loopback:
            raise ConfigurationError(f"{self.account} does not say whom mail is from.", "Add from=ADDRESS to it.")
        return f"{user}@{host}"

    async def send(
        self,
        data: bytes,
        sender: str,
        recipients: Sequence[str],
        about_to: Callable[[], Awaitable[None]] | None = None,
    ) -> Sent:
        """Send a message; see ``Outgoing.send`` and the table above. ``about_to`` is awaited before DATA."""
        envelope = envelope_of(data, sender, recipients)
        async with self._session() as server:
            with _nothing_happened(self.account):
                self._require(server, envelope)
                refused = await _address(server, envelope)
            if about_to:
                await about_to()
            if self._outbox:
                await self._outbox.begin(envelope.message_id, data)
            answer = await self._hand_over(server, envelope)
        filed = await self._note(envelope.message_id, data)
        accepted = tuple(person for person in envelope.recipients if person not in refused)
        return Sent(envelope.message_id, accepted, refused, answer, filed)

    async def find_sent(self, message_id: str) -> bool | None:
        """Say whether a message left; see ``Outgoing.find_sent``. Finishes the filing of one that did."""
        if self._outbox is None:
            return None
        state = await asyncio.to_thread(self._outbox.state, message_id)
        if state == "sending" and await self._outbox.arrived(message_id):
            with suppress(NotFound):  # whoever sends it noted it in this moment
                await self._outbox.left(message_id)
            state = "sent"
        if state == "sent":
            await self._filed(self._outbox, message_id)
        return {"none": False, "sending": None, "sent": True}[state]

    async def check(self) -> str:
        """Sign in, and say how the server is reached, what it takes, and where sent mail is found again."""
        async with self._session() as server:
            secure = "TLS" if server.get_transport_info("sslcontext") else "not encrypted, on this machine"
            who = f"signed in as {self._place.user}" if self._place.user else "nobody signed in"
            largest = _limit(server)
        size = f", up to {largest / 1e6:.0f} MB" if largest else ""
        sent = f"sent mail in {self._outbox.account}" if self._outbox else "no sent=: a lost answer asks you"
        with suppress(ConfigurationError):
            who += f", mail is from {self.author}"
        return f"{self._place.netloc}, {secure}, {who}{size}, {sent}"

    async def close(self) -> None:
        """Do nothing: no connection is kept."""

    # -- the steps, in order ---------------------------------------------------------------------------

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[SMTP]:
        with _nothing_happened(self.account):
            server = self._client()
            await server.connect()
        try:
            with _nothing_happened(self.account):
                if server.last_ehlo_response is None:
                    await server.ehlo()
            yield server
            with suppress(Exception):  # whatever it says now, what was to be said is said
                await server.quit(timeout=5)
        finally:
            server.close()

    def _client(self) -> SMTP:
        aiosmtplib = remote.required("aiosmtplib")
        user = self._place.user or None
        client: SMTP = aiosmtplib.SMTP(
            hostname=self._place.host,
            port=self._place.port,
            username=user,
            password=remote.password("SMTP", self._place) if user else None,
            use_tls=self.scheme == "smtps",
            start_tls=self._starttls,
            local_hostname="localhost" if self._place.loopback else None,
            timeout=self._timeout,
        )
        return client

    def _require(self, server: SMTP, envelope: Envelope) -> None:
        largest = _limit(server)
        if largest and envelope.size > largest:
            what = f"The message has {envelope.size} bytes; {self.account} takes {largest}."
            raise Refused(what, "Share large files by a link instead.")
        for needed, extension in ((envelope.international, "smtputf8"), (envelope.eight_bit, "8bitmime")):
            if needed and not server.supports_extension(extension):
                what = f"The message needs {extension.upper()}, which {self.account} does not offer."
                raise Refused(what, "Use addresses and headers in ASCII and an encoding of seven bits.")

    async def _hand_over(self, server: SMTP, envelope: Envelope) -> str:
        from aiosmtplib import SMTPDataError

        try:
            return (await server.data(envelope.data, timeout=self._timeout * 10)).message
        except SMTPDataError as error:
            if not 400 <= error.code < 600:
                raise self._unknown(envelope, error) from error
            if self._outbox:
                with suppress(BrodyError, OSError):  # then it cannot be told later, which is the safe side
                    await self._outbox.refused(envelope.message_id)
            raise _answered(self.account, error.code, error.message) from error
        except Exception as error:
            raise self._unknown(envelope, error) from error

    def _unknown(self, envelope: Envelope, error: Exception) -> OutcomeUnknown:
        what = f"{self.account} gave no clear answer to {envelope.message_id}: {_words(error)}."
        return OutcomeUnknown(what, "Look among the sent mail, or ask a recipient, before it is sent again.")

    async def _note(self, message_id: str, data: bytes) -> bool:
        """Note that a message left. It did: nothing that fails from here on may say otherwise."""
        if self._outbox is None:
            return False
        try:
            await self._outbox.left(message_id)
        except (BrodyError, OSError) as error:
            log.warning("sent mail not noted", account=self.account, error=str(error))
            return False
        return await self._filed(self._outbox, message_id, data)

    async def _filed(self, outbox: Outbox | ImapSent, message_id: str, data: bytes = b"") -> bool:
        try:
            await outbox.file(message_id, data)
        except (BrodyError, OSError) as error:
            log.warning("sent mail not filed", account=self.account, error=str(error))
            return False
        return True


class Smtps(Smtp):
    """A submission server that speaks TLS from the first byte: ``smtps://USER@HOST:465``."""

    scheme = "smtps"


async def _address(server: SMTP, envelope: Envelope) -> dict[str, str]:
    """Say from whom and for whom; return who was refused and why, or raise when everybody was."""
    from aiosmtplib import SMTPRecipientRefused

    options = [f"SIZE={envelope.size}"] if server.supports_extension("size") else []
    options += ["BODY=8BITMIME"] if server.supports_extension("8bitmime") else []
    options += ["SMTPUTF8"] if envelope.international else []
    encoding = "utf-8" if envelope.international else "ascii"
    await server.mail(envelope.sender, options=options, encoding=encoding)
    errors = []
    for person in envelope.recipients:
        try:
            await server.rcpt(person, encoding=encoding)
        except SMTPRecipientRefused as error:
            errors.append(error)
    if len(errors) == len(envelope.recipients):
        raise next((error for error in errors if error.code < 500), errors[0])
    return {error.recipient: f"{error.code} {error.message}" for error in errors}


@contextmanager
def _nothing_happened(account: str) -> Iterator[None]:
    """Turn what fails before DATA into ``NotSent`` or ``Refused``: both mean that surely nothing was sent."""
    try:
        yield
    except BrodyError:
        raise
    except ssl.SSLCertVerificationError as error:
        raise _untrusted(account, error) from error
    except Exception as error:
        raise _before_data(account, error) from error


def _before_data(account: str, error: Exception) -> BrodyError:
    from aiosmtplib import SMTPException, SMTPResponseException

    if isinstance(error.__cause__, ssl.SSLCertVerificationError):
        return _untrusted(account, error.__cause__)
    if isinstance(error, SMTPResponseException):
        return _answered(account, error.code, error.message)
    if isinstance(error, (ConnectionError, TimeoutError, asyncio.TimeoutError, OSError)):
        return NotSent(f"{account} cannot be reached: {_words(error)}.", "Nothing was sent; try again later.")
    what = _words(error) if isinstance(error, (SMTPException, ValueError)) else repr(error)
    return Refused(f"{account}: {what}.", "Nothing was sent; check the account and the addresses.")


def _answered(account: str, code: int, message: str) -> BrodyError:
    what = f"{account} answered {code} {' '.join(message.split())[:300]}."
    if 400 <= code < 500:
        return NotSent(what, "Nothing was sent; try again later.")
    if code in (530, 534, 535):
        return Refused(what, "Nothing was sent; check the user and the password of this account.")
    return Refused(what, "Nothing was sent; the server will not take it as it is.")


def _untrusted(account: str, error: ssl.SSLCertVerificationError) -> Refused:
    what = f"The certificate of {account} is not valid: {error.verify_message}."
    return Refused(what, "Nothing was sent; mend the host's name, or name its authority by SSL_CERT_FILE.")


def _words(error: BaseException) -> str:
    return str(error).rstrip(".") or type(error).__name__


def _limit(server: SMTP) -> int:
    """Return the largest message that a server takes, in bytes; 0 if it does not say."""
    size = server.esmtp_extensions.get("size", "")
    return int(size) if size.isdigit() else 0


def _seconds(text: str | None) -> float:
    try:
        seconds = float(text) if text else TIMEOUT
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise ConfigurationError(f"timeout={text} is no number of seconds.", "Write one from 1 to 3600.")
    return seconds


def _asked(tls: str | None) -> bool:
    if tls not in (None, "required"):
        raise ConfigurationError(f"tls={tls} is not known.", "Write tls=required, or nothing.")
    return tls is not None


def _outbox(word: str | None, timeout: float) -> Outbox | ImapSent | None:
    from brody_agents.integrations.mail.maildir import Maildir

    if word is None:
        return None
    scheme, _, path = word.partition(":")
    if scheme in IMAP_PORTS:
        return ImapSent(word, timeout)
    if scheme != "maildir":
        what = f"sent={word}: sent mail can be filed in a Maildir or over IMAP."
        raise ConfigurationError(what, "Write sent=maildir:DIR or sent=imaps://USER@HOST/FOLDER, or leave sent= out.")
    return Outbox(Maildir(path))
