"""Servers that somebody else wrote, each a process of its own on the loopback interface, ended with its test."""

from __future__ import annotations

import base64
import datetime as dt
import http.client
import mailbox
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@dataclass
class SmtpServer:
    """An aiosmtpd process, and what it has delivered."""

    process: subprocess.Popen[str]
    port: int
    maildir: Path

    @property
    def delivered(self) -> list[Message]:
        return list(mailbox.Maildir(self.maildir))

    def ids(self) -> list[str]:
        return sorted(str(message["Message-ID"]) for message in self.delivered)

    def wait(self) -> None:
        """Wait until something is delivered."""
        for _ in range(2000):
            if self.ids():
                return
            with suppress(subprocess.TimeoutExpired):
                pytest.fail(f"the server ended: {self.process.wait(timeout=0.01)}")
        pytest.fail("nothing was delivered")

    def stop(self) -> None:
        """Kill the server, as a power cut would."""
        self.process.kill()
        self.process.wait(timeout=10)


StartSmtp = Callable[..., SmtpServer]


@pytest.fixture
def smtp_server(tmp_path: Path) -> Iterator[StartSmtp]:
    """Return a function that starts a server with options of ``smtp_server.py``."""
    started: list[SmtpServer] = []

    def start(*options: str, maildir: Path = tmp_path / "delivered") -> SmtpServer:
        command = [sys.executable, str(HERE / "smtp_server.py"), str(maildir), *options]
        process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE)
        assert process.stdout is not None
        port = int(process.stdout.readline())
        started.append(SmtpServer(process, port, maildir))
        return started[-1]

    yield start
    for server in started:
        server.stop()
        assert server.process.stdout is not None
        server.process.stdout.close()


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a certificate for localhost with its key, and name it as an authority to trust."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
    builder = builder.add_extension(names, False).add_extension(x509.BasicConstraints(True, 0), True)
    made = builder.sign(key, hashes.SHA256())
    path = tmp_path / "localhost.pem"
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(*plain))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return path


@pytest.fixture
def sent(tmp_path: Path) -> Path:
    """Return an empty Maildir of the person who sends."""
    root = tmp_path / "Maildir"
    for name in ("new", "cur", "tmp"):
        os.makedirs(root / name)
    return root


@dataclass
class Radicale:
    """A radicale process with one user, ``me`` with the password ``right``, and two calendars."""

    process: subprocess.Popen[bytes]
    port: int
    storage: Path
    tls: bool = False

    @property
    def url(self) -> str:
        return f"http://me@127.0.0.1:{self.port}/"

    def request(self, method: str, path: str, body: str = "", **headers: str) -> tuple[int, str]:
        """Ask the server without our client."""
        with closing(self._connection()) as connection:
            secret = base64.b64encode(b"me:right").decode()
            connection.request(method, path, body.encode(), {"Authorization": f"Basic {secret}", **headers})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def _connection(self) -> http.client.HTTPConnection:
        if self.tls:
            return http.client.HTTPSConnection("localhost", self.port, timeout=30)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def files(self) -> list[str]:
        root = self.storage / "collection-root" / "me"
        return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.ics") if ".Radicale" not in str(path))

    def stop(self) -> None:
        """Kill the server, as a power cut would."""
        self.process.kill()
        self.process.wait(timeout=10)


_CALENDAR = """<?xml version="1.0"?><c:mkcalendar xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"><d:set><d:prop>
<d:displayname>{}</d:displayname></d:prop></d:set></c:mkcalendar>"""


@pytest.fixture
def radicale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Radicale]:
    """Start a radicale with the calendars ``private`` (Private life) and ``work`` (Work)."""
    monkeypatch.setenv("BRODY_CALDAV_PASSWORD", "right")
    with _radicale(tmp_path) as server:
        yield server


@pytest.fixture
def radicale_tls(tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Radicale]:
    """Start the same over TLS, for ``localhost``."""
    monkeypatch.setenv("BRODY_CALDAV_PASSWORD", "right")
    options = {"server-ssl": True, "server-certificate": certificate, "server-key": certificate}
    with _radicale(tmp_path, options) as server:
        yield server


@contextmanager
def _radicale(folder: Path, more: Mapping[str, object] | None = None) -> Iterator[Radicale]:
    (folder / "users").write_text("me:right\n")
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {
        "server-hosts": f"127.0.0.1:{port}",
        "storage-filesystem-folder": folder / "storage",
        "auth-type": "htpasswd",
        "auth-htpasswd-filename": folder / "users",
        "auth-htpasswd-encryption": "plain",
        "auth-delay": 0,
        **(more or {}),
    }
    command = [sys.executable, "-m", "radicale", *(f"--{name}={value}" for name, value in options.items())]
    with (folder / "radicale.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    server = Radicale(process, port, folder / "storage", bool(more))
    try:
        _until_it_listens(server)
        for path, name in (("private", "Private life"), ("work", "Work")):
            assert server.request("MKCALENDAR", f"/me/{path}/", _CALENDAR.format(name))[0] == 201
        yield server
    finally:
        server.stop()


def _until_it_listens(server: Radicale) -> None:
    for _ in range(1000):
        with suppress(ConnectionRefusedError), closing(socket.create_connection(("127.0.0.1", server.port))):
            return
        with suppress(subprocess.TimeoutExpired):
            pytest.fail(f"radicale ended: {server.process.wait(timeout=0.02)}")
    pytest.fail("radicale does not listen")
