"""Files on this machine: where an account lies, how its files are named, read, versioned and replaced.

**Versions.** A version of a file comes from its status alone, so that a listing never opens a file:

- :func:`file_version`, ``mtime_ns-size``, for files that are written once (mail): it survives a copy of the mailbox
  that keeps times, and file systems whose inode numbers are not stable.
- :func:`file_etag`, ``mtime_ns-size-inode``, for files that people edit (documents, calendars): the precondition of
  every write. A program that replaces a file gives it a new inode, one that writes in place gives it a new time; what
  escapes is a write in place of the same size that sets the old time again on purpose.

A precondition is checked and the write done under :func:`exclusive`, so that two of us never race. A foreign program
that knows nothing of the lock can still write between check and rename: a window of microseconds, which no file
system interface of POSIX closes.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import ParamSpec, TypeVar

from brody_agents.errors import NotFound, ProviderError, ProviderUnavailable, SourceNotFound, Stale

P = ParamSpec("P")
T = TypeVar("T")

TEMPORARY = ".brody-"
"""Begins the name of a file that is being written; hidden, so that no listing ever shows it."""

# Reading must not make a mail reader believe that somebody has looked: it compares access and change times.
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_NO_ATIME = getattr(os, "O_NOATIME", 0)
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


# -- names --------------------------------------------------------------------------------------------


def storable(name: str) -> str:
    """Turn a file name of the system into text that UTF-8 can hold, reversible by :func:`native`.

    A byte that is not UTF-8 (a lone surrogate, PEP 383) becomes U+FFFD and two hexadecimal digits, a real U+FFFD is
    doubled; every other name stays as it is.
    """
    if name.isascii():
        return name
    return re.sub("[\ufffd\udc80-\udcff]", _escape, name)


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    return "\ufffd\ufffd" if char == "\ufffd" else f"\ufffd{ord(char) - 0xDC00:02X}"


def native(name: str) -> str:
    """Turn text of :func:`storable` back into the name that the system knows."""
    if "\ufffd" not in name:
        return name
    return re.sub("\ufffd(\ufffd|[89A-F][0-9A-F])", _unescape, name)


def _unescape(match: re.Match[str]) -> str:
    return "\ufffd" if match[1] == "\ufffd" else chr(0xDC00 + int(match[1], 16))


def place_of(scheme: str, text: str) -> Path:
    """Return the absolute, resolved path that ``text`` names; ``~`` is expanded.

    Raises ``SourceNotFound`` when there is nothing.
    """
    if not text:
        raise SourceNotFound(f"{scheme}: names no place.", f"Write {scheme}:PATH.")
    try:
        path = Path(native(text)).expanduser().resolve()
        path.stat()
    except (OSError, RuntimeError, ValueError) as error:
        what = f"{scheme}:{storable(text)} cannot be opened: {reason(error)}."
        raise SourceNotFound(what, "Check the path of this account.") from error
    return path


def account_key(scheme: str, path: Path) -> str:
    """Return the account's stable key, ``scheme:/absolute/resolved/path``."""
    return f"{scheme}:{storable(str(path))}"


def inside(root: Path, key: str) -> Path:
    """Return the resolved path of ``key`` (relative, with ``/``) under ``root``, which is resolved itself.

    Raises ``ProviderError`` when the key leaves the root: absolute, with ``..``, or through a symbolic link.
    """
    relative = PurePosixPath(native(key))
    path = root / relative
    # `..` is refused by its name already: `a/../b` is another file's key, however it resolves.
    if not key or "\0" in key or relative.is_absolute() or ".." in relative.parts:
        raise ProviderError(f"{key!r} names nothing inside {storable(str(root))}.", "Use a relative path.")
    if not leads_inside(root, path):
        raise ProviderError(f"{key!r} leads out of {storable(str(root))}.", "Put the file itself into the folder.")
    return path.parent.resolve() / path.name


def leads_inside(root: Path, path: Path) -> bool:
    """Say whether the file that ``path`` leads to lies under ``root``; a loop of links does not."""
    try:
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            path.stat()  # a loop raises here in every version; Path.resolve raises only before Python 3.13
        return path.resolve().is_relative_to(root)
    except (OSError, RuntimeError):
        return False


# -- reading ------------------------------------------------------------------------------------------


def file_version(status: os.stat_result) -> str:
    """Return the version of a file that is written once, for listings."""
    return f"{status.st_mtime_ns:x}-{status.st_size:x}"


def file_etag(status: os.stat_result) -> str:
    """Return the version of a file that people edit, the precondition of a write."""
    return f"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"


def open_quietly(path: Path) -> int:
    """Open a regular file for reading without touching its access time where the system allows that.

    Raises ``OSError``; a pipe or a device is refused instead of waiting for it.
    """
    try:
        descriptor = os.open(path, _READ | _NO_ATIME)
    except PermissionError:
        descriptor = os.open(path, _READ)  # only the owner may leave the access time alone
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "It is no regular file", str(path))
    return descriptor


def read_file(path: Path) -> tuple[bytes, os.stat_result]:
    """Return the content of a file and the status that belongs to it, also while somebody writes to it."""
    descriptor = open_quietly(path)
    try:
        for _ in range(3):
            before = os.fstat(descriptor)
            data = _content(descriptor, before.st_size)
            if file_version(before) == file_version(os.fstat(descriptor)):
                break
    finally:
        os.close(descriptor)
    return data, before


def _content(descriptor: int, size: int) -> bytes:
    """Read a file in one call if it is as long as its status says; a file object would need five."""
    data = os.pread(descriptor, size + 1, 0)
    while len(data) != size and (more := os.pread(descriptor, 1 << 20, len(data))):
        data += more
    return data


# -- writing ------------------------------------------------------------------------------------------


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Keep our other processes and threads from writing under ``folder``; leaves nothing behind, not even a crash.

    Where the file system knows no such lock there is none.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


async def locked(root: Path, what: str, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a write in a thread under :func:`exclusive`; errors of the system come as ours and name ``what``."""

    def run() -> T:
        with speaking(what), exclusive(root):
            return work(*args, **kwargs)

    return await asyncio.to_thread(run)


def require(current: str, version: str | None, key: str) -> None:
    """Raise ``Stale`` unless ``current`` is the version that was read; ``None`` asks for nothing."""
    if version is not None and current != version:
        raise Stale(f"{key} has changed since it was read.", "Read it again, then decide again.")


def write_atomic(path: Path, data: bytes | Iterable[bytes], *, new: bool = False, mode: int = 0o666) -> os.stat_result:
    """Write a file as a whole, so that whoever looks sees the old content or the new one, also after a power cut.

    A temporary file in the same folder, fsync, rename, fsync of the folder. Mode and owner of a file that is there
    stay; ``mode`` (less the umask) is for a new one. With ``new``, a file that is there raises ``FileExistsError``.
    """
    temporary = _temporary(path)
    try:
        status = _fill(temporary, path, [data] if isinstance(data, bytes) else data, mode)
        if new:
            rename_new(temporary, path)
        else:
            os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return status


def _temporary(path: Path) -> Path:
    # One name for each target: what a killed writer has left is taken over by the next one, not collected.
    name = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
    return path.with_name(f"{TEMPORARY}{name}.tmp")


def _fill(temporary: Path, target: Path, blocks: Iterable[bytes], mode: int) -> os.stat_result:
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        with suppress(FileNotFoundError):
            _keep_rights(descriptor, target.stat())
        file.writelines(blocks)
        file.flush()
        os.fsync(descriptor)
        return os.fstat(descriptor)


def _keep_rights(descriptor: int, old: os.stat_result) -> None:
    new = os.fstat(descriptor)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        with suppress(PermissionError):
            os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


def rename_new(source: Path, target: Path) -> None:
    """Rename a file; raise ``FileExistsError`` when the target is there, also if it appears at this moment.

    A rename would replace it. A crash in between leaves both names of the one file, never none.
    """
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "It is there already", str(target)) from error
        os.rename(source, target)  # no hard links here (FAT, some network mounts): the best there is
    else:
        os.unlink(source)
    sync_folder(target.parent)
    if source.parent != target.parent:
        sync_folder(source.parent)


def remove(path: Path) -> None:
    """Remove a file, durably."""
    os.unlink(path)
    sync_folder(path.parent)


def make_folder(path: Path, mode: int = 0o777) -> None:
    """Make a folder and what is missing above it, durably."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=mode, exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Write a folder's entries to the disk, where the file system offers that."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


# -- errors -------------------------------------------------------------------------------------------


def reason(error: BaseException) -> str:
    """Say in words why the system refused, without the path, which the caller names better."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (text[:1].lower() + text[1:]).rstrip(".") or type(error).__name__


@contextmanager
def speaking(what: str) -> Iterator[None]:
    """Turn errors of the system into ours: ``what`` names the item that was to be read or written."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"{what} is not there.", "Read the account again.") from error
    except (PermissionError, FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise ProviderError(f"{what}: {reason(error)}.", "Check its name and its permissions.") from error
    except OSError as error:
        if error.errno == errno.EROFS:
            raise ProviderError(f"{what}: {reason(error)}.", "Make the place writable.") from error
        raise ProviderUnavailable(f"{what}: {reason(error)}.", "Nothing was changed; try again later.") from error
