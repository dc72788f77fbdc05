"""The home's key: made once, whole, and never a second time for texts that it could not open."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from brody_agents.errors import LedgerError
from brody_agents.home import prepare_home
from brody_agents.ledger.vault import Vault


def test_a_new_home_gets_a_key_for_the_owner_only(home: Path) -> None:
    mark = Vault.of_home(prepare_home(home)).mark

    key = home / "key"
    assert (len(key.read_bytes()), key.stat().st_mode & 0o777) == (32, 0o600)
    assert Vault.of_home(home).mark == mark


def test_those_who_open_a_new_home_at_once_have_one_key(home: Path) -> None:
    prepare_home(home)
    with ThreadPoolExecutor(8) as pool:
        marks = {vault.mark for vault in pool.map(Vault.of_home, [home] * 40)}

    assert len(marks) == 1
    assert [path.name for path in home.iterdir() if path.name.startswith(".")] == []


def test_a_home_at_the_same_place_is_another_home(home: Path) -> None:
    first = Vault.of_home(prepare_home(home)).mark
    (home / "key").unlink()

    assert Vault.of_home(home).mark != first


def test_a_lost_key_is_not_replaced(home: Path) -> None:
    (prepare_home(home) / "brody.db").write_bytes(b"texts that another key has sealed")

    with pytest.raises(LedgerError, match=r"key .* is lost.* Restore it"):
        Vault.of_home(home)
    assert not (home / "key").exists()


@pytest.mark.parametrize("key", [b"", b"half of a key", bytes(33)])
def test_a_damaged_key_is_named_and_left_alone(home: Path, key: bytes) -> None:
    (prepare_home(home) / "key").write_bytes(key)

    with pytest.raises(LedgerError, match=r"damaged.*has \d+ bytes, not 32.* Restore it"):
        Vault.of_home(home)
    assert (home / "key").read_bytes() == key


def test_a_folder_in_place_of_the_key_is_named(home: Path) -> None:
    (prepare_home(home) / "key").mkdir()

    with pytest.raises(LedgerError, match=r"key cannot be used: Is a directory"):
        Vault.of_home(home)
