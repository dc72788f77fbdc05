"""What no ledger can store: the message that it comes from is a dead letter, and everything else goes on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from brody_agents import Brody, BrodyAgent, Context, handles
from tests.coordinator.kit import Note, Place, note

pytestmark = pytest.mark.timeout(30)
HALF = "report-\udcff.txt"
"""The name of a file, as Python gives it, whose bytes are no UTF-8."""


class Wordless(Exception):
    """An error that fails when it is asked what it says."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class Odd(BrodyAgent):
    """Put out what its message asks for."""

    @handles
    async def on_note(self, message: Note, ctx: Context) -> None:
        """Do what the text says."""
        await getattr(self, f"_{message.text}")(ctx)

    async def _fine(self, ctx: Context) -> None:
        ctx.propose("notify", {"text": "fine"})

    async def _half_a_name(self, ctx: Context) -> None:
        raise FileNotFoundError(HALF)

    async def _wordless(self, ctx: Context) -> None:
        raise Wordless

    async def _verbose(self, ctx: Context) -> None:
        raise ValueError("x" * 5_000_000)

    async def _half_a_reason(self, ctx: Context) -> None:
        ctx.propose("notify", {"text": "x"}, why=f"It is in {HALF}.")

    async def _half_a_cause(self, ctx: Context) -> None:
        ctx.propose("notify", {"text": "x"}, cause=HALF)

    async def _cause_with_a_nul(self, ctx: Context) -> None:
        ctx.propose("notify", {"text": "x"}, cause="a\0b")

    async def _half_an_account(self, ctx: Context) -> None:
        ctx.propose("file.create", {"account": f"dir:/{HALF}", "path": "a.txt", "text": "x"})

    async def _title_with_a_nul(self, ctx: Context) -> None:
        ctx.propose("task.create", {"title": "a\0b"})

    async def _guest_with_a_nul(self, ctx: Context) -> None:
        ctx.propose("mail.draft", {"to": ["ada\0@a.example"], "subject": "x", "text": "x"})

    async def _recipient_with_a_nul(self, ctx: Context) -> None:
        ctx.tell("a\0b", Note())

    async def _all_time(self, ctx: Context) -> None:
        times = {"start": "0001-01-01T00:00:00Z", "end": "9999-12-31T23:59:59Z"}
        ctx.propose("calendar.create", {"account": "ics:/nowhere", "title": "x", **times})

    async def _large_number(self, ctx: Context) -> None:
        ctx.propose("task.update", {"task_id": "x", "version": 10**30, "title": "y"})

    async def _endless(self, ctx: Context) -> None:
        await ctx.remember("k", 1, ttl=timedelta.max)

    async def _longest_key(self, ctx: Context) -> None:
        await ctx.remember("k" * 1_000_000, 1)


CODES = {
    "half_a_name": "handler_failed",
    "wordless": "handler_failed",
    "verbose": "handler_failed",
    "half_a_reason": "handler_failed",
    "half_a_cause": "handler_failed",
    "cause_with_a_nul": "handler_failed",
    "half_an_account": "invalid_arguments",
    "title_with_a_nul": "invalid_arguments",
    "guest_with_a_nul": "invalid_arguments",
    "recipient_with_a_nul": "invalid",
    "all_time": "invalid_arguments",
    "large_number": "unwritable",
    "endless": "unwritable",
}
PLACES = ["memory", pytest.param("redis-and-postgres", marks=pytest.mark.integration)]


@pytest.mark.parametrize("place", PLACES, indirect=True)
async def test_what_cannot_be_stored_is_a_named_dead_letter_and_the_rest_goes_on(place: Place) -> None:
    async with place.brody(Odd()) as brody:
        for text in CODES:
            await brody.send(note("odd", text=text))
            await brody.send(note("odd", text="fine"))
        await brody.drain()
        letters = await brody.dead_letters.list()
        done = [a for a in await brody.actions.list() if a.state == "done"]
    assert sorted(letter.code for letter in letters) == sorted(CODES.values())
    assert all(len(letter.reason) < 11_000 for letter in letters)
    assert len(done) == len(CODES)


@pytest.mark.integration
@pytest.mark.parametrize("place", ["redis-and-postgres"], indirect=True)
async def test_what_only_the_database_refuses_harms_no_other_message_of_the_turn(place: Place) -> None:
    """An index of PostgreSQL takes 2,704 bytes: the outcome with the long key is the dead letter, alone."""
    async with place.brody(Odd()) as brody:
        for text in ("fine", "longest_key", "fine"):
            await brody.send(note("odd", text=text))
        await brody.drain()
        (letter,) = await brody.dead_letters.list()
        states = [a.state for a in await brody.actions.list()]
    assert (letter.code, letter.agent) == ("unwritable", "odd")
    assert states == ["done", "done"]


MAIL = b"""From: A\0da <ada\0@a.example>
To: me@home.example
Subject: A wor\0d =?utf-8?Q?a=00b=ED=A0=80?=
Message-ID: <1\0@a.example>
References: <\0r@a.example>
Date: Mon, 26 Oct 2026 06:00:00 +0000
Content-Type: multipart/mixed; boundary="x"

--x
Content-Type: text/plain; name="n\0.txt"
Content-Disposition: attachment; filename="n\0.txt"

He\0llo.
--x
Content-Type: text/plain

Could you send me the re\0port by Friday?
--x
Content-Type: text/calendar; method=REQUEST

BEGIN:VCALENDAR
METHOD:REQUEST
BEGIN:VEVENT
UID:in\0vited
ORGANIZER:mailto:ada\0@a.example
ATTENDEE:mailto:me@home.example
DTSTART:20261027T100000Z
DTEND:20261027T110000Z
SUMMARY:In\0vited
END:VEVENT
END:VCALENDAR
--x--
"""
CALENDAR = b"""BEGIN:VCALENDAR
X-WR-CALNAME:Wor\0k
BEGIN:VEVENT
UID:u\0id
DTSTART:20261026T100000Z
DTEND:20261026T110000Z
SUMMARY:Rev\0iew
LOCATION:Roo\0m
END:VEVENT
BEGIN:VEVENT
UID:bro\0ken
DTSTART:2026\0
END:VEVENT
END:VCALENDAR
"""
CARD = b"BEGIN:VCARD\r\nVERSION:3.0\r\nUID:u\0\r\nFN:A\0da\r\nEMAIL:ada\0@a.example\r\nEND:VCARD\r\n"


@pytest.mark.integration
@pytest.mark.parametrize("place", ["redis-and-postgres"], indirect=True)
async def test_nuls_in_what_others_wrote_stop_no_run(place: Place, tmp_path: Path) -> None:
    """PostgreSQL stores none in a text; what cannot be read is a dead letter, and the rest is read."""
    for name, data in {"a.eml": MAIL, "b.ics": CALENDAR, "c.vcf": CARD, "d.txt": b"he\0llo"}.items():
        (tmp_path / name[0]).mkdir()
        (tmp_path / name[0] / name).write_bytes(data)
    accounts = {"mail": f"eml:{tmp_path}/a", "calendar": f"ics:{tmp_path}/b", "contacts": f"vcf:{tmp_path}/c"}
    accounts["files"] = f"dir:{tmp_path}/d"
    async with Brody(home=place.home, settings=place.settings, accounts=accounts) as brody:
        brief = await brody.run("prepare-my-day", now=datetime(2026, 10, 26, 7, tzinfo=UTC))
        codes = {letter.code for letter in await brody.dead_letters.list()}
    assert [event.title for event in brief.agenda] == ["Review"]
    assert [mail.sender for mail in brief.mail] == ["ada@a.example"]
    assert codes == {"item_unreadable"}
