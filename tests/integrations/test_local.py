"""Files of local accounts: names that are no text, places outside of the root, writes that survive a crash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brody_agents.errors import NotFound, ProviderError, ProviderUnavailable, SourceNotFound, Stale
from brody_agents.integrations import local


@given(st.binary(max_size=60))
def test_every_name_becomes_text_and_back(raw: bytes) -> None:
    name = os.fsdecode(raw)
    text = local.storable(name)
    text.encode("utf-8")
    assert local.native(text) == name


@given(st.text(max_size=30, alphabet=st.characters(exclude_characters="\ufffd", exclude_categories=["Cs"])))
def test_a_name_in_utf8_stays_as_it_is(name: str) -> None:
    assert local.storable(name) == name


def test_two_names_never_become_the_same_text() -> None:
    names = [b"a\xff", b"a\xef\xbf\xbdFF", "a\ufffdFF".encode(), b"a\xef\xbf\xbd\xff", b"aFF"]
    assert len({local.storable(os.fsdecode(name)) for name in names}) == len({*names})


def test_an_account_is_named_by_its_resolved_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert local.account_key("dir", local.place_of("dir", "~/link/../link")) == f"dir:{tmp_path}/real"


@pytest.mark.parametrize("text", ["", "nowhere", "a\0b", "~nobody-of-this-name/x"])
def test_a_place_that_is_not_there_is_said(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceNotFound) as caught:
        local.place_of("dir", text)
    assert caught.value.remedy


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../x", "a/../../x", "a/../b", "out/secret", "out", "loop/x", "a\0b"]
)
def test_a_key_never_leads_out_of_the_root(key: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret").write_text("x")
    (root / "out").symlink_to(tmp_path)
    (root / "loop").symlink_to("loop")
    with pytest.raises(ProviderError):
        local.inside(root.resolve(), key)


def test_a_link_inside_the_root_may_be_followed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").symlink_to("a")
    assert local.inside(tmp_path.resolve(), "b/file") == tmp_path / "a" / "file"


# -- writing ------------------------------------------------------------------------------------------


def test_a_write_replaces_the_whole_file_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o640)
    before = path.stat()
    local.write_atomic(path, [b"n", b"ew"])
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode == before.st_mode
    assert local.file_etag(path.stat()) != local.file_etag(before)
    assert os.listdir(tmp_path) == ["file"]


def test_a_new_file_respects_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        local.write_atomic(tmp_path / "file", b"x", new=True)
    finally:
        os.umask(old)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_a_new_file_never_replaces_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        local.write_atomic(tmp_path / "file", b"new", new=True)
    assert (tmp_path / "file").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")

    def blocks() -> object:
        yield b"half"
        raise OSError(28, "No space left on device")

    with pytest.raises(ProviderUnavailable, match="no space left"), local.speaking("file"):
        local.write_atomic(tmp_path / "file", blocks())  # type: ignore[arg-type]
    assert (tmp_path / "file").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from brody_agents.integrations import local

    def die(*arguments, **options):
        os.kill(os.getpid(), signal.SIGKILL)

    {hook}
    local.write_atomic(Path(sys.argv[1]), b"new" * 100_000)
"""


@pytest.mark.parametrize(
    ("hook", "expected"),
    [("os.fsync = die", b"old"), ("os.replace = die", b"old"), ("local.sync_folder = die", b"new" * 100_000)],
)
def test_a_writer_that_is_killed_leaves_the_old_file_or_the_new_one(hook: str, expected: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    program = textwrap.dedent(KILLED.format(hook=hook))
    ended = subprocess.run([sys.executable, "-c", program, str(path)], cwd=Path(__file__).parents[2], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert path.read_bytes() == expected
    assert all(name == "file" or name.startswith(local.TEMPORARY) for name in os.listdir(tmp_path))
    local.write_atomic(path, b"newer")
    assert os.listdir(tmp_path) == ["file"], "the next write takes over what the killed one has left"


def test_a_rename_never_replaces_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    with pytest.raises(FileExistsError):
        local.rename_new(tmp_path / "a", tmp_path / "b")
    local.rename_new(tmp_path / "a", tmp_path / "c")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"b": b"b", "c": b"a"}


def test_only_one_writer_at_a_time(tmp_path: Path) -> None:
    program = "import sys; from pathlib import Path; from brody_agents.integrations.local import exclusive\n"
    program += "with exclusive(Path(sys.argv[1])): print('mine', flush=True)\n"
    command = [sys.executable, "-c", program, str(tmp_path)]
    with local.exclusive(tmp_path):
        other = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(timeout=1)
    assert other.communicate(timeout=30)[0] == "mine\n"
    assert os.listdir(tmp_path) == []


def test_a_version_that_has_changed_is_stale() -> None:
    local.require("1", "1", "key")
    local.require("1", None, "key")
    with pytest.raises(Stale, match="key"):
        local.require("2", "1", "key")


# -- reading ------------------------------------------------------------------------------------------


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        local.read_file(tmp_path / "pipe")


@pytest.mark.skipif(not hasattr(os, "O_NOATIME"), reason="this system always notes a reading")
def test_reading_leaves_the_access_time_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    os.utime(path, ns=(1, 2_000_000_000))  # so old that even a lazy mount would note a reading
    assert local.read_file(path)[0] == b"x"
    assert path.stat().st_atime_ns == 1


def test_errors_of_the_system_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotFound), local.speaking("x"):
        (tmp_path / "nothing").read_bytes()
    with pytest.raises(ProviderError) as caught, local.speaking("the file x"):
        tmp_path.read_bytes()
    assert str(caught.value) == "the file x: is a directory. Check its name and its permissions."
