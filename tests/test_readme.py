"""What the README promises: its code runs, its commands print what it shows, its tables are complete."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from brody_agents.action import CATALOGUE
from brody_agents.cli import app
from brody_agents.communication.message_protocol import decode
from brody_agents.communication.payloads import built_in_registry
from brody_agents.integrations.sources import BUILT_IN
from brody_agents.integrations.sources import GROUP as PROVIDERS
from brody_agents.policy.rules import default_autonomy
from brody_agents.proactive.playbooks import PLAYBOOKS
from brody_agents.proactive.playbooks.brief import Brief
from brody_agents.registry import GROUP as AGENTS
from brody_agents.settings import Settings

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "examples" / "demo"
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
CUT = "…"


def blocks(language: str) -> list[str]:
    """Return the README's blocks of a language."""
    return [text for name, text in BLOCKS if name == language]


@cache
def rows(heading: str, number: int = 0) -> list[list[str]]:
    """Return the cells of a table below a heading, without its head."""
    section = README.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    table = re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE)[number]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def quoted(text: str) -> list[str]:
    """Return what stands in backticks."""
    return re.findall(r"`([^`]+)`", text)


def plain(text: str) -> str:
    """Return a text with one space between words, so that the width of the terminal does not count."""
    return " ".join(text.split())


def shown(expected: str, printed: str) -> bool:
    """Say whether a text holds the pieces of another that stand between cuts, in their order."""
    pieces = [plain(piece) for piece in expected.split(CUT) if piece.strip()]
    return re.search(".*".join(map(re.escape, pieces)), plain(printed)) is not None


# -- a person's machine ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home directory with a Maildir, a calendar, documents and an address book: the demo's."""
    home = tmp_path_factory.mktemp("person")
    for folder in ("cur", "new", "tmp"):
        (home / "Maildir" / folder).mkdir(parents=True)
    mails = sorted(path for path in (DEMO / "mail").rglob("*") if path.is_file())
    for number, path in enumerate(mails):
        shutil.copyfile(path, home / "Maildir" / "new" / f"1790000000.{number}.mx")
    shutil.copytree(DEMO / "calendar", home / "calendar")
    shutil.copytree(DEMO / "files", home / "Documents")
    shutil.copyfile(DEMO / "contacts.vcf", home / "contacts.vcf")
    return home


def call(command: list[str], home: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as this person; the checkout is the current directory."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BRODY_")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = inherited | {"HOME": str(home), "PATH": path, "BRODY_CPU_WORKERS": "0", "COLUMNS": "80"}
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=100)


def brody(line: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of the shell."""
    return call(["sh", "-c", line], home)


def sessions() -> Iterator[tuple[str, str]]:
    """Yield the (command, what it prints) of the README, in order."""
    for language, block in BLOCKS:
        if language == "sh":
            yield from ((line, CUT) for line in block.splitlines() if line.startswith("brody "))
        elif language == "console":
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, _, printed = part.partition("\n")
                yield command, printed


# -- what runs ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_python_runs_as_it_stands(person: Path) -> None:
    """All blocks together are one program, and it prints what the comment says."""
    ended = call([sys.executable, "-W", "error", "-c", "\n".join(blocks("python"))], person)

    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert f"# {lines[0]}\n" in README
    assert re.fullmatch(r"\d+ \d+ True", lines[1])
    comments = re.findall(r"# (.*)\n", README)
    beginnings = tuple(comment.removesuffix("…") for comment in comments if comment.endswith("…"))
    assert [line for line in lines[2:] if line not in comments and not line.startswith(beginnings)] == []


def test_the_smallest_agent_is_eight_lines_at_most() -> None:
    lines = [line for line in blocks("python")[0].splitlines() if line.strip()]

    assert len(lines) <= 8


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_commands_run_and_print_what_is_shown(person: Path) -> None:
    """One after the other, since later ones see what earlier ones left."""
    wrong = []
    for command, printed in sessions():
        ended = brody(command, person)
        if ended.returncode or ended.stderr or not shown(printed, ended.stdout):
            wrong.append(f"$ {command}\n{ended.stdout[-2000:]}{ended.stderr}[{ended.returncode}]")

    assert wrong == []


@pytest.mark.slow
def test_the_excerpt_is_what_the_demo_prints(person: Path) -> None:
    printed = brody("brody demo --once", person).stdout

    assert shown(blocks("text")[0], printed)


@pytest.mark.slow
def test_the_exit_code_says_whether_anything_could_be_done(person: Path) -> None:
    good, missing = f"--mail eml:{DEMO / 'mail'}", "--calendar ics:~/nowhere"

    some = brody(f"brody run inbox-scan {good} {missing} --json --home ~/codes", person)
    none = brody(f"brody run inbox-scan {missing} --home ~/codes", person)

    assert some.returncode == 0
    assert [p["account"] for p in json.loads(some.stdout)["problems"]] == ["ics:~/nowhere"]
    assert none.returncode != 0
    assert "nowhere" in none.stderr
    assert brody("brody run tidy-up --home ~/codes", person).returncode == 2
    assert brody("brody runs show 12345678 --home ~/codes", person).returncode == 1


@pytest.mark.slow
def test_a_home_holds_what_the_table_names_and_only_its_owner_reads_it(person: Path) -> None:
    assert brody(f"brody run inbox-scan --mail eml:{DEMO / 'mail'} --home ~/new/home", person).returncode == 0

    home = person / "new" / "home"
    named = {quoted(cells[0])[0].rstrip("/") for cells in rows("The home")}
    assert {path.name for path in home.iterdir()} - {"brody.db-wal", "brody.db-shm"} == named
    assert home.stat().st_mode & 0o777 == 0o700


def test_the_make_targets_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    wanted = re.findall(r"^make ([\w-]+)", "\n".join(blocks("sh")), re.MULTILINE)

    assert wanted == ["demo", "test"]
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in wanted)


# -- what is listed ----------------------------------------------------------------------------------


def commands(command: Any, path: tuple[str, ...] = ("brody",)) -> Iterator[str]:
    """Yield the commands of the command line that are no groups."""
    below = getattr(command, "commands", None)
    if below is None:
        yield " ".join(path)
    for name, inner in (below or {}).items():
        yield from commands(inner, (*path, name))


def test_the_table_of_commands_has_every_one_and_no_other() -> None:
    listed = [re.sub(r"( [A-Z]+)+$", "", quoted(cells[0])[0]) for cells in rows("Commands")]

    assert sorted(listed) == sorted(commands(typer.main.get_command(app)))


def test_the_table_of_commands_names_every_playbook() -> None:
    [run] = [cells for cells in rows("Commands") if cells[0] == "`brody run PLAYBOOK`"]

    assert set(quoted(run[1])) == set(PLAYBOOKS)


def test_options_that_are_named_exist() -> None:
    """Every option of a command line in the README is one of that command."""
    for command, _ in sessions():
        words = shlex.split(command)[1:]
        found: Any = typer.main.get_command(app)
        while hasattr(found, "commands"):
            found = found.commands[words.pop(0)]
        known = {option for parameter in found.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, command


def test_the_table_of_settings_has_every_one_with_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = {quoted(cells[0])[0]: cells[1].strip("`") for cells in rows("Settings")}
    fields = Settings.model_fields
    for name in fields:
        monkeypatch.delenv(f"BRODY_{name.upper()}", raising=False)

    assert set(listed) == {f"BRODY_{name.upper()}" for name in fields}
    in_words = {"empty": "", "number of cores": str(os.cpu_count()), "the system's": ""}
    defaults = Settings()
    for name in fields:
        said = listed[f"BRODY_{name.upper()}"]
        assert str(getattr(defaults, name)) == in_words.get(said, said)


def test_the_table_of_accounts_has_every_word_of_its_domain() -> None:
    listed = {
        (quoted(cells[1])[0].removeprefix("--"), quoted(cells[0])[0].partition(":")[0]) for cells in rows("Accounts")
    }

    assert listed == {(domain, word) for domain, words in BUILT_IN.items() for word in words}


def test_the_groups_of_plug_ins_are_the_ones_that_are_looked_up() -> None:
    [example] = blocks("toml")

    assert list(tomllib.loads(example)["project"]["entry-points"]) == [AGENTS]
    assert f"`{PROVIDERS}`" in README


def test_only_tasks_and_notifications_are_carried_out_as_it_says() -> None:
    acts = {name for name, kind in CATALOGUE.items() if default_autonomy(kind) == "act"}
    assert {kind for kind in CATALOGUE if kind.startswith("task.")} | {"notify"} == acts


# -- JSON --------------------------------------------------------------------------------------------


def test_the_message_is_one() -> None:
    message = decode(blocks("json")[0].encode(), built_in_registry())

    assert message.message_type == "task_suggestion"
    assert (
        message.payload
        == decode((ROOT / "protocols/v1/examples/valid/original.json").read_bytes(), built_in_registry()).payload
    )


def test_the_brief_is_one_for_the_model_and_for_the_schema() -> None:
    text = blocks("json")[1]
    schema = json.loads((ROOT / "protocols/v1/brief.schema.json").read_text("utf-8"))

    Draft202012Validator(schema).validate(json.loads(text))
    brief = Brief.model_validate_json(text)
    assert json.loads(brief.as_json()) == json.loads(text), "a field of the brief is missing in the example"


def parts(model: type[BaseModel]) -> dict[str, set[str]]:
    """Return the fields of a model with the names of all fields below each."""
    return {field.alias or name: set(_below(field.annotation)) for name, field in model.model_fields.items()}


def _below(annotation: Any) -> Iterator[str]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, names in parts(annotation).items():
            yield name
            yield from names
    for inner in get_args(annotation):
        if not isinstance(inner, str):
            yield from _below(inner)


def test_the_table_of_the_brief_explains_every_field() -> None:
    listed = {quoted(cells[0])[0]: set(quoted(cells[2])) for cells in rows("The brief as JSON")}
    fields = parts(Brief)

    assert list(listed) == list(fields)
    assert {name: below - listed[name] for name, below in fields.items() if below - listed[name]} == {}


# -- links -------------------------------------------------------------------------------------------

PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for place in ("*.md", "docs/**/*.md", "deploy/*.md", "examples/*.md")
    for path in ROOT.glob(place)
)


def anchor(heading: str) -> str:
    """Return the anchor that a heading gets: lower case, without punctuation, hyphens for spaces."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("https:", "http:", "mailto:")):
            continue
        place, _, part = link.partition("#")
        target = ((ROOT / page).parent / place).resolve() if place else ROOT / page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if part:
            headings = re.findall(r"^#+ (.+)$", target.read_text("utf-8"), re.MULTILINE)
            assert part in {anchor(heading) for heading in headings}, link
