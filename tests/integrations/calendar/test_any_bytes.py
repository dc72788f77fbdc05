"""Whatever bytes an .ics file holds, each event is read or reported, and nothing raises or hangs."""

import asyncio
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from brody_agents.integrations.base import BadItem
from brody_agents.integrations.calendar.base import RawEvent
from brody_agents.integrations.calendar.expansion import StoredEvent, expand_all, parse_invite
from brody_agents.integrations.calendar.local import IcsCalendar

BERLIN = ZoneInfo("Europe/Berlin")
PIECES = (
    b"\r\n", b":", b";", b"=", b"BEGIN:VEVENT\n", b"END:VEVENT\n", b"END:VCALENDAR\n", b"\x00", b"\xff", b"DTSTART:",
    b"RRULE:FREQ=SECONDLY\n", b"INTERVAL=0", b"99991231T235959Z", b"DURATION:P99999999W\n", b"VALUE=URI",
    b"RECURRENCE-ID;RANGE=THISANDFUTURE:20260331T080000Z\n", b";TZID=Europe",
    b"RDATE;VALUE=PERIOD:20200101T000000Z/99991231T000000Z\n",
)  # fmt: skip
INSERTED = st.sampled_from(PIECES) | st.binary(max_size=9)
WHOLE = b"""BEGIN:VCALENDAR
VERSION:2.0
BEGIN:VTIMEZONE
TZID:One
BEGIN:STANDARD
DTSTART:16010101T000000
TZOFFSETFROM:+0100
TZOFFSETTO:+0100
END:STANDARD
END:VTIMEZONE
BEGIN:VEVENT
UID:a
DTSTART;TZID=One:20260330T100000
RRULE:FREQ=DAILY;COUNT=5
EXDATE;TZID=One:20260331T100000
END:VEVENT
BEGIN:VEVENT
UID:a
RECURRENCE-ID;TZID=One:20260401T100000
DTSTART;TZID=One:20260401T120000
END:VEVENT
BEGIN:VEVENT
UID:b
DTSTART:20260330T080000Z
DURATION:PT1H
SUMMARY:Two
ATTENDEE;PARTSTAT=ACCEPTED:mailto:me@home.example
END:VEVENT
END:VCALENDAR
"""


async def read(folder: str) -> tuple[list[RawEvent], list[BadItem]]:
    async def nothing() -> Mapping[str, str]:
        return {}

    pages = [page async for page in IcsCalendar(folder).changes(None, nothing)]
    return [item for page in pages for item in page.items], [item for page in pages for item in page.bad]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(WHOLE)), st.integers(0, 30), INSERTED)))
def test_whatever_stands_in_a_file_is_read_or_reported(edits: list[tuple[int, int, bytes]]) -> None:
    data = WHOLE
    for position, cut, piece in edits:
        data = data[:position] + piece + data[position + cut :]
    with TemporaryDirectory() as folder:
        Path(folder, "a.ics").write_bytes(data)
        items, bad = asyncio.run(read(folder))

    start = datetime(2026, 3, 30, tzinfo=BERLIN)
    raws = [StoredEvent("ics:/c", item.key, item.version, item.data) for item in items]
    found = expand_all(raws, start, start + timedelta(days=1), BERLIN)
    assert {event.uid for event in found.events} <= {item.key for item in items}
    assert items or bad or not re.search(rb"^(BEGIN|END):VEVENT$", data, re.MULTILINE)
    assert isinstance(parse_invite(data.decode("latin-1"), BERLIN), list)
