"""The shape of the repository: its top, its packages, the length of its files, its lock and its version."""

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TOP_LEVEL = {
    ".ci",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "agents",
    "brody_agents",
    "deploy",
    "docs",
    "examples",
    "protocols",
    "pyproject.toml",
    "requirements.lock",
    "tests",
}
PLUGINS = ("brody_email", "brody_calendar", "brody_task", "brody_file", "brody_analytics")
CODE = ("brody_agents", "agents", "tests", "examples")
LONGEST_FILE = 500
LOCKED = re.compile(r"[a-z0-9.\-]+==[\w.+]+(?: ; [^:@]+)? \\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+")


def project_files() -> list[str]:
    """List the files that git keeps, or would keep; needs a checkout."""
    if not (ROOT / ".git").exists() and not os.environ.get("CI"):
        pytest.skip("not a git checkout: what belongs to the project cannot be told from what does not")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.splitlines() if (ROOT / name).exists()]


def test_top_level_holds_exactly_what_the_design_names() -> None:
    entries = {name.split("/")[0] for name in project_files()}

    assert {entry for entry in entries if not entry.startswith(".git")} == TOP_LEVEL


@pytest.mark.parametrize("folder", ["agents", "protocols"])
def test_folder_is_no_package_and_so_shadows_nobodys_name(folder: str) -> None:
    assert (ROOT / folder).is_dir()
    assert not (ROOT / folder / "__init__.py").exists()


@pytest.mark.parametrize("package", ["brody_agents", *(f"agents/{name}" for name in PLUGINS)])
def test_package_says_that_it_is_typed(package: str) -> None:
    assert (ROOT / package / "__init__.py").is_file()
    assert (ROOT / package / "py.typed").is_file()


def test_every_plugin_is_announced_by_entry_point() -> None:
    announced = PROJECT["entry-points"]["brody_agents.agents"].values()

    assert {target.split(":")[0] for target in announced} == set(PLUGINS)


def test_no_source_file_is_longer_than_the_limit() -> None:
    sources = [path for folder in CODE for path in (ROOT / folder).rglob("*.py")]
    lengths = {str(path.relative_to(ROOT)): len(path.read_bytes().splitlines()) for path in sources}

    assert len(lengths) > len(PLUGINS)
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_lock_holds_names_versions_and_hashes_and_nothing_else() -> None:
    assert LOCKED.sub("", (ROOT / "requirements.lock").read_text()) == ""


def test_lock_pins_every_dependency_of_the_project() -> None:
    extras = PROJECT["optional-dependencies"]
    wanted = {
        re.split(r"[\[><=;\s]", requirement, maxsplit=1)[0]
        for requirement in [*PROJECT["dependencies"], *extras["api"], *extras["dev"]]
    }
    pinned = set(re.findall(r"^([a-z0-9.\-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))

    assert wanted - pinned == set()


def test_changelog_and_package_have_the_version_of_the_project() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    headings = re.findall(r"^## \[(.+?)\]", changelog, re.MULTILINE)
    package = (ROOT / "brody_agents" / "__init__.py").read_text()

    assert next(heading for heading in headings if heading != "Unreleased") == PROJECT["version"]
    assert f'__version__ = "{PROJECT["version"]}"' in package
