"""A dead letter of an item that was replayed: the next run reads the item again, whatever its account is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from brody_agents.brody import Brody
from brody_agents.settings import Settings

GOOD = {
    "mail": b"From: a@b.example\r\nTo: me@b.example\r\nSubject: Hello\r\nMessage-ID: <1@b.example>\r\n\r\nHello.\r\n",
    "calendar": b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//EN\r\nBEGIN:VEVENT\r\nUID:1\r\n"
    b"DTSTAMP:20261001T000000Z\r\nDTSTART:20261026T090000Z\r\nSUMMARY:Hello\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
}
BROKEN = {"mail": b"\x89PNG\r\n\x1a\n", "calendar": b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\n"}
NAMES = {"mail": ("eml", "1.eml"), "calendar": ("ics", "1.ics")}


@pytest.fixture(params=["mail", "calendar"])
def domain(request: pytest.FixtureRequest) -> str:
    """Return each domain in turn."""
    return str(request.param)


@pytest.fixture
def item(domain: str, tmp_path: Path) -> Path:
    """Return the path of a broken item, alone in its account."""
    folder = tmp_path / domain
    folder.mkdir()
    path = folder / NAMES[domain][1]
    path.write_bytes(BROKEN[domain])
    return path


def front(home: Path, item: Path, domain: str, settings: Settings) -> Brody:
    """Return a Brody over the item's folder."""
    source = f"{NAMES[domain][0]}:{item.parent}"
    return Brody(home=home, accounts={domain: source}, agents=[], settings=settings)


async def test_what_is_still_broken_is_a_letter_again(home: Path, item: Path, domain: str, settings: Settings) -> None:
    async with front(home, item, domain, settings) as brody:
        await brody.run("inbox-scan")
        (letter,) = await brody.dead_letters.list()
        await brody.replay(letter.id)
        assert await brody.dead_letters.list() == []

        await brody.run("inbox-scan")

        assert [again.id for again in await brody.dead_letters.list()] == [letter.id]


async def test_what_can_be_read_by_now_is_no_letter_any_more(
    home: Path, item: Path, domain: str, settings: Settings
) -> None:
    async with front(home, item, domain, settings) as brody:
        await brody.run("inbox-scan")
        (letter,) = await brody.dead_letters.list()
        await asyncio.to_thread(item.write_bytes, GOOD[domain])
        await brody.replay(letter.id)

        await brody.run("inbox-scan")

        assert [letter for letter in await brody.dead_letters.list() if letter.item_id] == []
