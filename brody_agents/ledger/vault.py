"""The vault: envelope encryption with one key a user, so that erasing the key erases the user's texts."""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from brody_agents.errors import LedgerError, LedgerFull
from brody_agents.integrations.local import exclusive, write_atomic
from brody_agents.ledger.types import SealedBytes

_NONCE, _KEY = 12, 32
_RESTORE = "Restore it from a copy, or use another --home."


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


def _make_key(path: Path) -> None:
    """Write a new key as a whole; of two processes that do so at once, the second keeps the first's."""
    with exclusive(path.parent), suppress(FileExistsError):
        write_atomic(path, AESGCM.generate_key(256), new=True, mode=0o600)


def _refused(path: Path, error: OSError) -> LedgerError | LedgerFull:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return LedgerFull(f"{path} could not be written: {error.strerror}.")
    return LedgerError(f"{path} cannot be used: {error.strerror}.", "Check its permissions, or use another --home.")


class Vault:
    """Seal and open values with AES-256-GCM; each user's key is itself sealed with the home's key."""

    def __init__(self, master: bytes) -> None:
        self._master = AESGCM(master)
        self.mark = hashlib.blake2b(master, digest_size=8, person=b"brody home").hexdigest()
        """What tells this home from every other, also from one that was at the same place before."""
        self._users: dict[str, AESGCM] = {}

    @classmethod
    def of_home(cls, home: Path) -> Vault:
        """Return the vault of a home; a new home gets its key (file mode 0600).

        Raises ``LedgerError`` for a home whose key is lost or damaged, ``LedgerFull`` when the disk is full.
        """
        path, ledger = home / "key", home / "brody.db"
        try:
            is_new = not ledger.exists() or not ledger.stat().st_size  # asked first: a ledger comes after its key
            if is_new and not path.exists():
                _make_key(path)
            key = path.read_bytes()
        except FileNotFoundError as error:
            raise LedgerError(f"The key that opens {ledger} is lost: there is no {path}.", _RESTORE) from error
        except OSError as error:
            raise _refused(path, error) from error
        if len(key) != _KEY:
            raise LedgerError(f"The key of this home is damaged: {path} has {len(key)} bytes, not {_KEY}.", _RESTORE)
        return cls(key)

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
