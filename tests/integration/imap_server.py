"""A dovecot of its own for a test, on the loopback interface: user ``me@home.example``, password ``right``."""

from __future__ import annotations

import mailbox
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import missing

_CONFIGURATION = """
protocols = imap
base_dir = {folder}/run
log_path = {folder}/log
listen = 127.0.0.1
ssl = {ssl}
disable_plaintext_auth = no
mail_location = maildir:{folder}/mail
passdb {{
  driver = static
  args = password=right
}}
userdb {{
  driver = static
  args = uid={user.pw_uid} gid={user.pw_gid} home={folder}/mail
}}
service imap-login {{
  inet_listener imap {{
    port = {plain}
  }}
  inet_listener imaps {{
    port = {secure}
    ssl = yes
  }}
}}
"""


@dataclass
class ImapServer:
    """A dovecot, and the mail that it holds."""

    process: subprocess.Popen[bytes]
    port: int
    mail: Path

    def filed(self, folder: str = "Sent") -> list[str]:
        """Return the Message-IDs in a folder."""
        place = self.mail / f".{folder}"
        return [str(m["Message-ID"]) for m in mailbox.Maildir(place, create=False)] if place.is_dir() else []

    def stop(self) -> None:
        """End it, with the processes that it started."""
        self.process.terminate()
        self.process.wait(timeout=20)


@contextmanager
def dovecot(certificate: Path | None = None) -> Iterator[ImapServer]:
    """Start a server; with a certificate (and its key) it speaks TLS from the first byte."""
    binary = shutil.which("dovecot")
    if binary is None:
        missing("there is no dovecot")
    if os.getuid() != 0:
        missing("dovecot starts as root only")
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Not below pytest's own folder, which only root may enter; and the paths of sockets must be short.
    with tempfile.TemporaryDirectory(prefix="brody-imap-", ignore_cleanup_errors=True) as name:
        folder, user = Path(name), pwd.getpwnam("nobody")
        folder.chmod(0o755)
        (folder / "mail").mkdir()
        os.chown(folder / "mail", user.pw_uid, user.pw_gid)
        text = _CONFIGURATION.format(
            folder=folder,
            user=user,
            plain=0 if certificate else port,
            secure=port if certificate else 0,
            ssl=f"yes\nssl_cert = <{certificate}\nssl_key = <{certificate}" if certificate else "no",
        )
        (folder / "conf").write_text(text)
        server = ImapServer(subprocess.Popen([str(binary), "-F", "-c", str(folder / "conf")]), port, folder / "mail")
        try:
            _until_it_listens(server, folder)
            yield server
        finally:
            server.stop()


def _until_it_listens(server: ImapServer, folder: Path) -> None:
    for _ in range(1000):
        with suppress(OSError), socket.create_connection(("127.0.0.1", server.port), timeout=1):
            return
        if server.process.poll() is not None:
            pytest.fail(f"dovecot ended: {(folder / 'log').read_text()}")
        time.sleep(0.02)
    pytest.fail("dovecot does not listen")
