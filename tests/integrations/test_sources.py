"""Source words: which provider they open, and what is said of a wrong one."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from brody_agents.errors import ConfigurationError, SourceNotFound, UnknownSource
from brody_agents.integrations import sources
from brody_agents.integrations.sources import open_source


@pytest.fixture
def places(tmp_path: Path) -> Path:
    for name in ("Maildir/cur", "Maildir/new", "mails", "docs"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "inbox").write_bytes(b"")
    (tmp_path / "book.vcf").write_bytes(b"")
    (tmp_path / "day.ics").write_bytes(b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nEND:VCALENDAR\r\n")
    return tmp_path


@pytest.mark.parametrize(
    ("domain", "scheme", "place"),
    [
        ("mail", "maildir", "Maildir"),
        ("mail", "eml", "mails"),
        ("mail", "mbox", "inbox"),
        ("calendar", "ics", "day.ics"),
        ("files", "dir", "docs"),
        ("contacts", "vcf", "book.vcf"),
    ],
)
async def test_every_word_opens_its_provider(domain: str, scheme: str, place: str, places: Path) -> None:
    provider = open_source(domain, f"{scheme}:{places / place}")
    assert provider.account == f"{scheme}:{(places / place).resolve()}"
    again = open_source(domain, provider.account)
    assert again.account == provider.account, "an account's key is a source word"
    assert isinstance(await provider.check(), str)
    await provider.close()
    with pytest.raises(SourceNotFound) as caught:
        open_source(domain, f"{scheme}:{places / 'nothing'}")
    assert caught.value.remedy
    with pytest.raises(SourceNotFound):
        open_source(domain, f"{scheme}:")


def test_options_go_to_the_provider(places: Path) -> None:
    assert open_source("mail", f"mbox:{places / 'inbox'}", lock_timeout=9.0).lock_timeout == 9.0  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("domain", "word", "said"),
    [
        ("mail", "{}/Maildir", "Did you mean maildir:{}/Maildir?"),
        ("mail", "{}/mails", "Did you mean eml:{}/mails?"),
        ("mail", "{}/inbox", "Did you mean mbox:{}/inbox?"),
        ("mail", "imp:{}/inbox", "Did you mean mbox:{}/inbox?"),
        ("calendar", "{}/day.ics", "Did you mean ics:{}/day.ics?"),
        ("files", "{}/docs", "Did you mean dir:{}/docs?"),
        ("contacts", "{}/book.vcf", "Did you mean vcf:{}/book.vcf?"),
        ("mail", "ics:{}/day.ics", "ics: is a source of calendar: use --calendar."),
        ("mail", "nothing", "maildir:PATH, mbox:PATH, eml:PATH"),
        ("mail", "", "maildir:PATH, mbox:PATH, eml:PATH"),
        ("tasks", "todo:x", "there is no provider for tasks"),
    ],
)
def test_a_wrong_word_is_told_what_was_meant(domain: str, word: str, said: str, places: Path) -> None:
    with pytest.raises(UnknownSource) as caught:
        open_source(domain, word.format(places))
    assert said.format(places) in str(caught.value)
    assert caught.value.remedy


class Imaginary:
    """A third party's provider."""

    def __init__(self, path: str) -> None:
        self.account = f"imaginary:{path}"


def test_third_parties_are_found_by_entry_point(monkeypatch: pytest.MonkeyPatch, places: Path) -> None:
    import types

    module = types.ModuleType("imaginary_mail")
    module.Imaginary = Imaginary  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "imaginary_mail", module)
    entries = [
        EntryPoint("imaginary", "imaginary_mail:Imaginary", sources.GROUP),
        EntryPoint("broken", "no_such_module_of_anybody:X", sources.GROUP),
        EntryPoint("mbox", "imaginary_mail:Imaginary", sources.GROUP),
    ]

    def found(group: str) -> Any:
        assert group == sources.GROUP
        return entries

    monkeypatch.setattr(sources, "entry_points", found)
    assert open_source("mail", "imaginary:x:y").account == "imaginary:x:y"
    assert open_source("mail", f"mbox:{places / 'inbox'}").account.startswith("mbox:/"), "ours cannot be replaced"
    with pytest.raises(ConfigurationError, match="cannot be imported") as caught:
        open_source("mail", "broken:x")
    assert caught.value.remedy
    with pytest.raises(UnknownSource, match="imaginary:PATH"):
        open_source("mail", "other:x")


def test_opening_costs_no_heavy_import(places: Path) -> None:
    program = (
        "import sys; from brody_agents.integrations.sources import open_source\n"
        "open_source('mail', sys.argv[1]); open_source('files', sys.argv[2])\n"
        "heavy = {'selectolax', 'pypdf', 'docx', 'vobject', 'icalendar', 'sqlalchemy', 'mailparser_reply'}\n"
        "assert not heavy & {name.partition('.')[0] for name in sys.modules}, heavy & {*sys.modules}\n"
    )
    words = [f"maildir:{places / 'Maildir'}", f"dir:{places / 'docs'}"]
    subprocess.run([sys.executable, "-c", program, *words], check=True, cwd=Path(__file__).parents[2])
