"""The wheel carries what a person needs and nothing of the workshop; CI installs it and runs it."""

import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
PLUGINS = {"brody_email", "brody_calendar", "brody_task", "brody_file", "brody_analytics"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    """Build the wheel with what is installed; no index is asked."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, text=True)
    [built] = folder.glob("*.whl")
    return ZipFile(built)


@pytest.fixture(scope="module")
def names(wheel: ZipFile) -> set[str]:
    """List the files in the wheel, without its own records."""
    return {name for name in wheel.namelist() if ".dist-info/" not in name}


def packed(folder: str) -> set[str]:
    """List the files below a folder of the repository, relative to it."""
    found = (path.relative_to(ROOT / folder) for path in (ROOT / folder).rglob("*") if path.is_file())
    return {path.as_posix() for path in found if "__pycache__" not in path.parts}


def below(names: set[str], folder: str) -> set[str]:
    """Strip a folder of the wheel from the names that stand below it."""
    return {name.removeprefix(f"{folder}/") for name in names if name.startswith(f"{folder}/")}


def test_framework_and_five_plugins_stand_at_the_top_and_nothing_beside_them(names: set[str]) -> None:
    assert {name.split("/")[0] for name in names} == {"brody_agents", *PLUGINS}


@pytest.mark.parametrize("plugin", sorted(PLUGINS))
def test_plugin_is_complete(names: set[str], plugin: str) -> None:
    assert below(names, plugin) == packed(f"agents/{plugin}")


def test_schemas_travel_with_the_package(names: set[str]) -> None:
    schemas = below(names, "brody_agents/_protocols")

    assert any(name.endswith(".schema.json") for name in schemas)
    assert schemas == packed("protocols")


def test_demo_data_travels_with_the_package_byte_for_byte(wheel: ZipFile, names: set[str]) -> None:
    demo = below(names, "brody_agents/_demo")

    assert demo == packed("examples/demo")
    for name in demo:
        assert wheel.read(f"brody_agents/_demo/{name}") == (ROOT / "examples/demo" / name).read_bytes()


def test_entry_points_name_the_command_and_every_plugin(wheel: ZipFile) -> None:
    [record] = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    entry_points = ConfigParser()
    entry_points.read_string(wheel.read(record).decode())

    assert entry_points["console_scripts"]["brody"] == "brody_agents.cli:main"
    assert {target.split(":")[0] for target in entry_points["brody_agents.agents"].values()} == PLUGINS


def test_licence_travels_with_the_package(wheel: ZipFile) -> None:
    [licence] = [name for name in wheel.namelist() if name.endswith("licenses/LICENSE")]

    assert wheel.read(licence) == (ROOT / "LICENSE").read_bytes()
