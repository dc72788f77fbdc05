"""The sample day of ``brody demo``: a home works on a copy of its own, so that the package's files never change."""

from __future__ import annotations

import os
import shutil
import tempfile
from importlib.resources import files as package_files
from pathlib import Path

from brody_agents.errors import ConfigurationError

FOLDER = "day"
"""Where it lies in the home; the ids of its items come of its path, and so stay the same in one home."""


def demo_folder() -> Path:
    """Return the folder of the sample data, in a wheel and in a checkout."""
    packaged = Path(str(package_files("brody_agents") / "_demo"))
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "examples" / "demo"


def sample_day(home: Path, data: Path | None = None) -> dict[str, list[str]]:
    """Return the accounts of the sample day in a home; they are put there if they are missing, else left as they are.

    Raises ``ConfigurationError`` where they cannot be written.
    """
    day = home / FOLDER
    try:
        if not day.is_dir():
            _copy(data or demo_folder(), day)
    except OSError as error:
        raise ConfigurationError(f"{day} cannot be made: {error}.", "Give another folder with --home.") from error
    return {
        "mail": [f"eml:{day / 'mail'}"],
        "calendar": [f"ics:{day / 'calendar'}"],
        "files": [f"dir:{day / 'files'}"],
        "contacts": [f"vcf:{day / 'contacts.vcf'}"],
    }


def _copy(data: Path, to: Path) -> None:
    """Copy a folder as a whole or not at all, to be written to by the owner even where the original is not."""
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=f".{to.name}-") as name:
        new = Path(name) / to.name
        for source in sorted(data.rglob("*")):
            target = new / source.relative_to(data)
            if source.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            os.utime(target, ns=(source.stat().st_atime_ns, source.stat().st_mtime_ns))
        try:
            new.rename(to)
        except OSError:
            if not to.is_dir():  # else another process was first
                raise
