"""Bad homes: every command says what is wrong and what to do, and nothing in the home is lost."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.kit import MAIL, Commands, refused, unchanged
from tests.conftest import missing
from tests.crash.kit import Kit

LOOKS = (
    *((noun, "list") for noun in ("runs", "actions", "dead-letters")),
    *((noun, "show", "x") for noun in ("runs", "actions", "dead-letters")),
    ("dead-letters", "replay", "x"),
)


@pytest.fixture(scope="session")
def used_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home that has worked on two mails, for copies of it."""
    folder = tmp_path_factory.mktemp("used")
    (folder / "mail").mkdir()
    for name in ("one", "two"):
        (folder / "mail" / f"{name}.eml").write_text(MAIL.format(name=name))
    brody = Commands(Kit(folder, {"BRODY_REDIS_URL": "memory:"}), folder / "home")
    assert brody.scan("--mail", f"eml:{folder}/mail")["complete"]
    return folder / "home"


@pytest.fixture
def used(used_home: Path, home: Path) -> Path:
    """Return a copy of that home."""
    shutil.copytree(used_home, home)
    return home


def of_the_future(home: Path) -> None:
    change(home, "UPDATE alembic_version SET version_num = '9999'")


def without_its_version(home: Path) -> None:
    change(home, "DELETE FROM alembic_version")


def change(home: Path, statement: str) -> None:
    """Change the ledger of a home."""
    with closing(sqlite3.connect(home / "brody.db")) as db, db:
        db.execute(statement)


def of_another_program(home: Path) -> None:
    (home / "brody.db").unlink()
    change(home, "CREATE TABLE users (name TEXT)")


def of_noise(home: Path) -> None:
    (home / "brody.db").write_bytes(bytes(range(256)) * 200)


def cut_in_half(home: Path) -> None:
    data = (home / "brody.db").read_bytes()
    (home / "brody.db").write_bytes(data[: len(data) // 2])


def with_flipped_pages(home: Path) -> None:
    data = bytearray((home / "brody.db").read_bytes())
    for page in range(8192, len(data), 4096):
        data[page : page + 200] = b"\xa5" * 200
    (home / "brody.db").write_bytes(data)


def with_a_folder_for_a_ledger(home: Path) -> None:
    (home / "brody.db").unlink()
    (home / "brody.db").mkdir()


def without_its_key(home: Path) -> None:
    (home / "key").unlink()


def with_half_a_key(home: Path) -> None:
    (home / "key").write_bytes((home / "key").read_bytes()[:16])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (of_the_future, ["schema 9999; this version knows", "Upgrade brody-agents", "[home_too_new]"]),
        (without_its_version, ["brody.db is no ledger", "Restore it from a copy", "[ledger]"]),
        (of_another_program, ["brody.db is no ledger: it has a table users", "another --home", "[ledger]"]),
        (of_noise, ["brody.db is damaged", "Restore it from a copy, or use another --home", "[ledger]"]),
        (cut_in_half, ["brody.db is damaged", "Restore it from a copy", "[ledger]"]),
        (with_flipped_pages, ["brody.db is damaged", "Restore it from a copy", "[ledger]"]),
        (with_a_folder_for_a_ledger, ["brody.db cannot be used: unable to open", "Check its permissions", "[ledger]"]),
        (without_its_key, ["key", "is lost", "Restore it from a copy", "[ledger]"]),
        (with_half_a_key, ["key of this home is damaged", "16 bytes", "Restore it", "[ledger]"]),
    ],
)
def test_a_damaged_home_is_named_by_every_command(
    brody: Commands, used: Path, mail: Path, damage: Callable[[Path], None], words: list[str]
) -> None:
    """And left as it is, so that it can be restored."""
    damage(used)
    before = contents(used)
    refused(brody.run("--mail", f"eml:{mail}"), 1, *words)
    for command in LOOKS:
        refused(brody(*command), 1, *words)
    doctor = brody("doctor", "--json")
    assert doctor.code == 1
    assert words[0].split(":")[0] in doctor.out
    assert contents(used) == before


def contents(home: Path) -> list[bytes]:
    """Return the key and the ledger, but for the first page, where SQLite notes that it has opened it."""
    places = ((home / "key", 0), (home / "brody.db", 4096))
    return [path.read_bytes()[skipped:] for path, skipped in places if path.is_file()]


def test_another_homes_key_opens_nothing(brody: Commands, used: Path, mail: Path) -> None:
    """Doctor finds it before anything is read."""
    (used / "key").write_bytes(bytes(32))
    refused(brody.run("--mail", f"eml:{mail}"), 1, "does not open with the home's key", "Restore the file `key`")
    assert brody("actions", "list").code == 1
    assert brody("runs", "list").code == 0
    doctor = brody("doctor", "--json")
    assert doctor.code == 1
    assert "does not open with the home's key" in doctor.out


def test_a_write_ahead_log_of_noise_is_ignored(brody: Commands, used: Path) -> None:
    """As after a power cut: what was committed before is there."""
    (used / "brody.db-wal").write_bytes(bytes(range(256)) * 100)
    assert len(brody.listed("runs")) == 1
    assert brody("doctor").code == 0


def test_an_emptied_ledger_is_made_anew(brody: Commands, used: Path, mail: Path) -> None:
    """An empty file is what SQLite takes for a new database."""
    (used / "brody.db").write_bytes(b"")
    assert brody.scan("--mail", f"eml:{mail}")["counts"]["new_messages"] == 2


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda home: home.write_text("a file"), ["cannot be made: File exists", "another folder with --home"]),
        (lambda home: home.symlink_to("/nowhere/at/all"), ["cannot be made: File exists", "--home"]),
        (lambda home: (home.mkdir(), (home / "lock").mkdir()), ["lock cannot be opened: Is a directory", "Remove it"]),
    ],
    ids=["a file", "a dangling link", "a folder for a lock"],
)
def test_a_place_that_cannot_be_a_home_is_named(
    brody: Commands, home: Path, mail: Path, make: Callable[[Path], object], words: list[str]
) -> None:
    """Wrong use: exit code 2."""
    make(home)
    refused(brody.run("--mail", f"eml:{mail}"), 2, *words)
    assert brody("doctor").code == 1


@pytest.mark.parametrize("name", ["with space", "what?x=1#y%41", 'it\'s "quoted"', "new\nline", "äö", "-h", "a:b"])
def test_a_home_may_have_any_name(brody: Commands, tmp_path: Path, mail: Path, name: str) -> None:
    """With a server of its own, and everything that a home is made of in it and nowhere else."""
    brody.kit.environment = {"BRODY_LOG_LEVEL": "WARNING"}
    brody.home = tmp_path / "homes" / name
    brody.home.parent.mkdir()
    ended = brody.run("--mail", f"eml:{mail}")
    assert ended.brief["complete"]
    assert ended.err == ""
    assert len(brody.listed("runs")) == 1
    assert [path.name for path in brody.home.parent.iterdir()] == [name]
    assert sorted(path.name for path in brody.home.iterdir()) == ["brody.db", "in-hand", "key", "lock"]


# -- disks ----------------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Return a way to mount a small disk of its own, and to change it."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options: str) -> Path:
        again = "remount," if place.is_mount() else ""
        command = ["mount", "-t", "tmpfs", "-o", f"{again}{options}", "tmpfs", str(place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
        return place

    if shutil.which("mount") is None:
        missing("there is no mount")
    yield mount
    if place.is_mount():
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("size", ["4k", "16k", "200k", "400k", "500k", "700k"])
def test_a_run_on_a_full_disk_goes_on_when_there_is_space(
    brody: Commands, disk: Callable[[str], Path], tmp_path: Path, size: str
) -> None:
    """Wherever it runs out of space: an error with the remedy, nothing half done, and then the same brief."""
    brody.home = disk(f"size={size}") / "home"
    mail = tmp_path / "much"
    mail.mkdir()
    for n in range(60):
        (mail / f"{n}.eml").write_text(f"Message-ID: <{n}@a.example>\nFrom: a@a.example\nSubject: {n}\n\n{'x' * 2000}")
    with unchanged(mail):
        ended = brody.run("--mail", f"eml:{mail}")
    refused(ended, 1, "Free some space and run again", "[disk_full]")
    for noun in ("runs", "actions", "dead-letters"):
        look = brody(noun, "list")
        assert look.code == 0 or "[disk_full]" in look.err
    disk("size=50m")
    counts = brody.scan("--mail", f"eml:{mail}")["counts"]
    assert counts == {"messages_read": 60, "handled": 60, "dead_letters": 0, "new_messages": 60}
    assert [run["state"] for run in brody.listed("runs")] == ["complete"]


def test_a_home_on_a_disk_that_cannot_be_written_to(brody: Commands, disk: Callable[[str], Path], mail: Path) -> None:
    """The same for a new home and for one that is there."""
    brody.home = disk("size=50m") / "home"
    brody.scan("--mail", f"eml:{mail}")
    disk("ro")
    for command in (("runs", "list"), ("actions", "list"), ("dead-letters", "list")):
        refused(brody(*command), 2, "cannot be written to", "another folder with --home")
    refused(brody.run("--mail", f"eml:{mail}"), 2, "cannot be written to")
    refused(brody.run("--mail", f"eml:{mail}", home=brody.home / "new"), 2, "cannot be made: Read-only file system")
    assert brody("doctor").code == 1
    disk("rw")
    assert brody.scan("--mail", f"eml:{mail}")["counts"]["new_messages"] == 0


def test_output_that_cannot_be_written_is_an_error_in_words(brody: Commands, used: Path) -> None:
    """A full disk behind standard output."""
    (brody.kit.folder / "0.out").symlink_to("/dev/full")
    run = brody.kit.start("runs", "list", "--json", "--home", used)
    run.process.join(60)
    assert run.process.exitcode == 1
    assert (brody.kit.folder / "0.err").read_text() == (
        "brody: the system refused: [Errno 28] No space left on device.\n"
    )
