"""An SMTP server of aiosmtpd as a process of its own: it delivers into a Maildir and prints the port that it got.

The recipients choose what it does: ``nobody`` is refused, ``later`` is refused for now; ``full`` and ``spam`` are
answered 452 and 554 after the dot; ``drop`` is delivered, then cut off without an answer; ``lost`` is cut off without
being delivered; ``slow`` is delivered and never answered.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import ssl
from pathlib import Path
from typing import Any

from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

_AT_RCPT = {"nobody": "550 5.1.1 no such user", "later": "451 4.7.1 greylisted, come back"}
_AT_DATA = {"full": "452 4.3.1 the disk is full", "spam": "554 5.6.0 we do not like it"}


class Handler(Mailbox):
    """Deliver, and misbehave as the recipients ask for."""

    def __init__(self, maildir: str) -> None:
        super().__init__(Path(maildir))

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, rcpt_options: list[str]
    ) -> str:
        answer = _AT_RCPT.get(address.partition("@")[0])
        if answer is None:
            envelope.rcpt_tos.append(address)
        return answer or "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        who = {address.partition("@")[0] for address in envelope.rcpt_tos}
        if refusal := next((_AT_DATA[name] for name in who if name in _AT_DATA), None):
            return refusal
        if "lost" not in who:
            await super().handle_DATA(server, session, envelope)
        if who & {"drop", "lost"}:
            server.transport.abort()
        if "slow" in who:
            await asyncio.Event().wait()
        return "250 2.0.0 queued as 1"


def _authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"me@mail.example", b"right")
    return AuthResult(success=right, handled=right)


async def serve(options: argparse.Namespace) -> None:
    """Serve until the process is ended."""
    context = None
    if options.certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options.certificate)
    handler = Handler(options.maildir)

    def protocol() -> SMTP:
        return SMTP(
            handler,
            data_size_limit=options.size,
            enable_SMTPUTF8=not options.ascii,
            hostname="localhost",
            tls_context=None if options.implicit else context,
            authenticator=_authenticate if options.authentication else None,
            auth_required=options.authentication,
            auth_require_tls=context is not None and not options.implicit,
        )

    server = await asyncio.get_running_loop().create_server(
        protocol, "127.0.0.1", options.port, ssl=context if options.implicit else None
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    with contextlib.suppress(asyncio.CancelledError):
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("maildir")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--size", type=int, default=100_000)
    parser.add_argument("--certificate")
    for flag in ("--implicit", "--ascii", "--authentication"):
        parser.add_argument(flag, action="store_true")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(serve(parser.parse_args()))
