"""The vault: envelope encryption with one key a user, so that erasing the key erases the user's texts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from brody_agents.errors import LedgerError
from brody_agents.ledger.types import SealedBytes

_NONCE = 12


def _seal(cipher: AESGCM, data: bytes, bound_to: str) -> SealedBytes:
    nonce = os.urandom(_NONCE)
    return SealedBytes(nonce + cipher.encrypt(nonce, data, bound_to.encode()))


def _open(cipher: AESGCM, sealed: bytes, bound_to: str) -> bytes:
    try:
        return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], bound_to.encode())
    except InvalidTag as error:
        raise LedgerError(
            "A sealed value does not open with the home's key.", "Restore the file `key` of this home."
        ) from error


class Vault:
    """Seal and open values with AES-256-GCM; each user's key is itself sealed with the home's key."""

    def __init__(self, master: bytes) -> None:
        self._master = AESGCM(master)
        self._users: dict[str, AESGCM] = {}

    @classmethod
    def of_home(cls, home: Path) -> Vault:
        """Return the vault of a home; its key file is made (mode 0600) when it is not there."""
        path = home / "key"
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return cls(path.read_bytes())
        with os.fdopen(handle, "wb") as file:
            file.write(master := AESGCM.generate_key(256))
            file.flush()
            os.fsync(file.fileno())
        return cls(master)

    def new_key(self, user_id: str) -> SealedBytes:
        """Return a new key for a user, sealed, to be kept in the ledger."""
        return _seal(self._master, AESGCM.generate_key(256), user_id)

    def learn(self, user_id: str, wrapped: bytes) -> None:
        """Take a user's sealed key into use."""
        self._users[user_id] = AESGCM(_open(self._master, wrapped, user_id))

    def knows(self, user_id: str) -> bool:
        """Say whether the user's key is in use."""
        return user_id in self._users

    def seal(self, user_id: str, value: Any) -> SealedBytes:
        """Seal a JSON value for a user."""
        return _seal(self._users[user_id], orjson.dumps(value), user_id)

    def seal_bytes(self, user_id: str, data: bytes) -> SealedBytes:
        """Seal bytes for a user."""
        return _seal(self._users[user_id], data, user_id)

    def open(self, user_id: str, sealed: bytes | None) -> Any:
        """Open a JSON value; ``None`` stays ``None``."""
        return None if sealed is None else orjson.loads(_open(self._users[user_id], sealed, user_id))

    def open_bytes(self, user_id: str, sealed: bytes) -> bytes:
        """Open sealed bytes."""
        return _open(self._users[user_id], sealed, user_id)
