"""What accounts on other machines share: where they are, who signs in, and the secret, which no URL ever holds.

**Secrets.** An account's password is in the environment, so that what is stored, logged and shown never has it. For
``smtp://me@mail.example:587`` these are looked at in turn, the first that is set counts::

    BRODY_SMTP_PASSWORD_ME_MAIL_EXAMPLE        for this account only
    BRODY_SMTP_PASSWORD_ME_MAIL_EXAMPLE_FILE   the same, in a file (mounted secrets, systemd credentials)
    BRODY_SMTP_PASSWORD                        for every account of the kind
    BRODY_SMTP_PASSWORD_FILE

**Transport.** Everything but the loopback interface is reached over TLS with a verified certificate. A private
authority is named as everywhere else in OpenSSL, by ``SSL_CERT_FILE``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from types import ModuleType
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from brody_agents.errors import ConfigurationError

_PASSWORD = re.compile(r"(//[^/@:?#\s]*):[^/\s]*@")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a remote account is: the parts of its URL that are no secret."""

    scheme: str
    host: str
    port: int
    user: str
    path: str
    options: Mapping[str, str]

    @property
    def loopback(self) -> bool:
        """Say whether the host is this machine, so that what is said to it is heard by nobody else."""
        try:
            return self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def netloc(self) -> str:
        """Return ``host:port``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def key(self) -> str:
        """Return the URL without options, in one form."""
        user = f"{quote(self.user, safe='')}@" if self.user else ""
        return f"{self.scheme}://{user}{self.netloc}{self.path}"


def place_of(url: str, ports: Mapping[str, int], options: Collection[str] = ()) -> Place:
    """Return what a URL names; ``ports`` are the default ports by scheme, ``options`` the names that may follow ``?``.

    Raises ``ConfigurationError``; no message repeats a password.
    """
    try:
        parts = urlsplit(url)
        port, host, given = parts.port, parts.hostname, dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise ConfigurationError(f"{shown(url)} is no URL: {error}.", "Write SCHEME://USER@HOST:PORT.") from error
    if parts.scheme not in ports or not host or parts.fragment:
        expected = " or ".join(f"{scheme}://" for scheme in ports)
        raise ConfigurationError(f"{shown(url)} names no server.", f"Write {expected}, then USER@HOST:PORT.")
    if parts.password is not None:
        what = f"{shown(url)} has a password in it, and an account's URL is stored and shown."
        raise ConfigurationError(what, "Take it out, and set it in the environment (see README, Remote accounts).")
    if unknown := given.keys() - set(options):
        known = f"It knows: {', '.join(options)}." if options else "It takes none."
        raise ConfigurationError(f"{shown(url)} has an option that is not known: {min(unknown)}.", known)
    user = unquote(parts.username or "")
    return Place(parts.scheme, host, port or ports[parts.scheme], user, parts.path, given)


def shown(text: str) -> str:
    """Return a source word as it may be shown: a password that somebody wrote into it is left out."""
    return _PASSWORD.sub(r"\1:***@", text)


def password(kind: str, place: Place) -> str:
    """Return the account's password, ``kind`` being ``SMTP`` or ``CALDAV``; raise ``ConfigurationError`` for none."""
    general = f"BRODY_{kind}_PASSWORD"
    own = f"{general}_{re.sub(r'[^A-Z0-9]+', '_', f'{place.user}_{place.host}'.upper())}"
    for name in (own, general):
        if value := os.environ.get(name):
            return value
        if file := os.environ.get(f"{name}_FILE"):
            return _from_file(f"{name}_FILE", file)
    raise ConfigurationError(f"There is no password for {place.key}.", f"Set {own}, or {own}_FILE.")


def _from_file(name: str, file: str) -> str:
    try:
        return Path(file).expanduser().read_text().rstrip("\r\n")
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigurationError(f"{name} names a file that cannot be read.", "Check the path and its mode.") from error


def required(name: str) -> ModuleType:
    """Import a library of the extra ``remote``, or say how to get it (``ConfigurationError``)."""
    from importlib import import_module

    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        what = f"Remote accounts need the library {error.name}, which is not installed."
        raise ConfigurationError(what, "pip install 'brody-agents[remote]'") from error
