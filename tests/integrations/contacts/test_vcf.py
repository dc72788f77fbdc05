"""Address books: vCard 2.1, 3.0 and 4.0, several in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from brody_agents.errors import SourceNotFound
from brody_agents.integrations.contacts.local import Vcf
from brody_agents.integrations.listing import PAGE_ITEMS

V3 = (
    "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:ada\r\nFN:Ada Example\r\nN:Example;Ada;;;\r\nEMAIL;TYPE=WORK:Ada@X.example\r\n"
    "item1.EMAIL:ada@home.example\r\nORG:Example Ltd;Research\r\nTITLE:Head\\, Research\r\nTEL;TYPE=CELL:+49 1\r\n"
    "NOTE:a very\r\n  long note\r\nEND:VCARD\r\n"
)
V4 = (
    "BEGIN:VCARD\nVERSION:4.0\nUID:urn:uuid:1\nFN:Bob Example\nEMAIL;PREF=1:bob@x.example\n"
    'TEL;VALUE=uri;TYPE="voice,home":tel:+1-555\nEND:VCARD\n'
)
V2 = (
    "BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:M=C3=BCller;J=C3=B6rg\r\n"
    "FN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:J=C3=B6rg M=C3=BC=\r\nller\r\n"
    "EMAIL;INTERNET;HOME:j@x.example\r\nEND:VCARD\r\n"
)
BROKEN = "BEGIN:VCARD\nVERSION:3.0\nFN:Never closed\nEMAIL:never@x.example\n"
GARBAGE = "BEGIN:VCARD\nVERSION:3.0\nFN:Bad\nthis is no line\nEND:VCARD\n"
EMPTY = "BEGIN:VCARD\nVERSION:3.0\nNOTE:nothing\nEND:VCARD\n"


def book(path: Path, *cards: str) -> Vcf:
    path.write_text("".join(cards), newline="")
    return Vcf(str(path))


async def test_all_versions_are_read(tmp_path: Path, read_all: Any) -> None:
    account = book(tmp_path / "book.vcf", V3, V4, V2)
    reading = await read_all(account)
    ada, bob, joerg = reading.items
    assert (ada.key, ada.name, ada.addresses) == ("ada", "Ada Example", ("ada@x.example", "ada@home.example"))
    assert (ada.organisation, ada.title, ada.phones) == ("Example Ltd, Research", "Head, Research", ("+49 1",))
    assert (bob.key, bob.name, bob.addresses, bob.phones) == (
        "urn:uuid:1",
        "Bob Example",
        ("bob@x.example",),
        ("+1-555",),
    )
    assert (joerg.key, joerg.name, joerg.addresses) == (joerg.version, "Jörg Müller", ("j@x.example",))
    assert reading.total == 3
    assert account.account == f"vcf:{(tmp_path / 'book.vcf').resolve()}"


async def test_a_broken_card_is_said_and_the_rest_is_read(tmp_path: Path, read_all: Any) -> None:
    account = book(tmp_path / "book.vcf", V3, BROKEN, GARBAGE, V4, EMPTY, BROKEN)
    reading = await read_all(account)
    assert [card.key for card in reading.items] == ["ada", "urn:uuid:1"]
    assert sorted(bad.reason for bad in reading.bad) == [
        "The card cannot be read: At line 4: Component VCARD was never closed.",
        "The card cannot be read: At line 4: Failed to parse line: this is no line.",
        "The card has neither a name nor an address.",
    ]
    assert all(bad.data.startswith(b"BEGIN:VCARD") for bad in reading.bad)
    assert reading.total == 5


async def test_a_second_read_gives_only_what_is_new(tmp_path: Path, read_all: Any) -> None:
    first = await read_all(book(tmp_path / "book.vcf", V3, V4, BROKEN))
    again = await read_all(Vcf(str(tmp_path / "book.vcf")), first.cursor, first.known)
    assert (again.items, again.bad, again.removed, again.cursor, again.total) == ([], [], [], first.cursor, 3)
    changed = V3.replace("Ada Example", "Ada Other")
    third = await read_all(book(tmp_path / "book.vcf", changed, V2, BROKEN), first.cursor, first.known)
    assert [card.name for card in third.items] == ["Ada Other", "Jörg Müller"]
    assert (third.removed, third.bad) == (["urn:uuid:1"], [])


async def test_a_folder_of_cards(tmp_path: Path, read_all: Any, picture: Any) -> None:
    (tmp_path / "sub").mkdir()
    book(tmp_path / "a.vcf", V3)
    book(tmp_path / "sub" / "b.VCF", V3.replace("Ada Example", "Ada Again"), V4)
    (tmp_path / "notes.txt").write_text("no card")
    before = picture(tmp_path)
    reading = await read_all(Vcf(str(tmp_path)))
    assert [card.name for card in reading.items] == ["Ada Example", "Ada Again", "Bob Example"]
    assert len(reading.by_key) == 3, "the second card with one UID is named by its content"
    assert picture(tmp_path) == before
    (tmp_path / "a.vcf").unlink()
    again = await read_all(Vcf(str(tmp_path)), reading.cursor, reading.known)
    assert {card.name for card in again.items} == {"Ada Again"}


async def test_cards_of_a_file_that_cannot_be_read_are_not_gone(folder_of_nobody: Path, read_all: Any) -> None:
    book(folder_of_nobody / "a.vcf", V3)
    book(folder_of_nobody / "b.vcf", V4)
    first = await read_all(Vcf(str(folder_of_nobody)))
    (folder_of_nobody / "b.vcf").chmod(0)
    (folder_of_nobody / "b.vcf").touch()
    second = await read_all(Vcf(str(folder_of_nobody)), first.cursor, first.known)
    assert (second.removed, [bad.key for bad in second.bad], second.cursor) == ([], ["b.vcf"], "")


async def test_many_cards_come_in_pages(tmp_path: Path, read_all: Any) -> None:
    cards = [V3.replace("UID:ada", f"UID:{number}") for number in range(PAGE_ITEMS + 3)]
    reading = await read_all(book(tmp_path / "book.vcf", *cards))
    assert [(len(page.items), bool(page.cursor)) for page in reading.pages] == [(PAGE_ITEMS, False), (3, True)]


async def test_old_bytes_are_read(tmp_path: Path, read_all: Any) -> None:
    (tmp_path / "book.vcf").write_bytes(V3.replace("Ada", "Äda").encode("latin-1"))
    assert (await read_all(Vcf(str(tmp_path / "book.vcf")))).items[0].name == "Äda Example"


async def test_an_empty_book_has_no_cards(tmp_path: Path, read_all: Any) -> None:
    assert (await read_all(book(tmp_path / "book.vcf"))).total == 0
    assert await Vcf(str(tmp_path)).check() == "0 cards, 0 unreadable"
    with pytest.raises(SourceNotFound):
        Vcf(str(tmp_path / "none.vcf"))
