"""What effects on calendars read and write of the ledger: which event an id names, and the row after a write."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from brody_agents.communication.message_protocol import stable_id
from brody_agents.integrations.calendar.base import RawEvent
from brody_agents.ledger import event_rows, items
from brody_agents.ledger.event_rows import Place
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.views import LedgerCalendar, Reading

CAL, YEAR = "ics:/c", (datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))


def raw(uid: str, *lines: str, version: str = "1") -> RawEvent:
    """Return an event."""
    body = "\r\n".join(["BEGIN:VEVENT", f"UID:{uid}", "SUMMARY:Plan", *lines, "END:VEVENT"])
    return RawEvent(uid, version, f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{body}\r\nEND:VCALENDAR\r\n", "Mine", "c.ics")


ONCE = raw("once", "DTSTART:20260302T090000Z", "DTEND:20260302T100000Z")
DAYS = raw("days", "DTSTART:20210302T090000Z", "DTEND:20210302T100000Z", "RRULE:FREQ=DAILY")


@pytest.mark.parametrize(
    ("event_id", "recurrence", "place"),
    [
        (stable_id(CAL, "once"), None, Place(CAL, "once", "1")),
        (stable_id(CAL, "days"), None, Place(CAL, "days", "1")),
        (stable_id(CAL, "days"), "20250302T090000Z", Place(CAL, "days", "1", "20250302T090000Z")),
        (stable_id(CAL, "days", "20250302T090000Z"), "20250302T090000Z", Place(CAL, "days", "1", "20250302T090000Z")),
        (stable_id(CAL, "days", "20210401T090000Z"), None, Place(CAL, "days", "1", "20210401T090000Z")),
        ("nothing", None, None),
    ],
)
async def test_an_id_names_an_event_a_series_or_an_occurrence(
    event_id: str, recurrence: str | None, place: Place | None, ledger: Ledger
) -> None:
    for event in (ONCE, DAYS):
        await event_rows.written(ledger, "me", CAL, event)
    assert await event_rows.by_id(ledger, "me", CAL, event_id, recurrence) == place
    assert await event_rows.by_id(ledger, "ada", CAL, event_id, recurrence) is None
    assert await event_rows.by_id(ledger, "me", "ics:/other", event_id, recurrence) is None


async def test_an_occurrence_of_today_is_found_in_an_old_series(ledger: Ledger) -> None:
    await event_rows.written(ledger, "me", CAL, DAYS)
    today = f"{datetime.now(UTC):%Y%m%d}T090000Z"
    found = await event_rows.by_id(ledger, "me", CAL, stable_id(CAL, "days", today))
    assert found == Place(CAL, "days", "1", today)


async def test_what_was_written_is_seen_at_once_and_read_again(ledger: Ledger) -> None:
    calendar = LedgerCalendar(Reading(ledger, "me", ZoneInfo("UTC")))
    await event_rows.written(ledger, "me", CAL, ONCE)
    (seen,) = await calendar.events(*YEAR)
    assert (seen.title, seen.calendar) == ("Plan", "Mine")
    async with ledger.read() as tx:
        (version,) = (await items.known(tx, "me", CAL, "calendar")).values()
    assert (seen.version, version) == ("1", "unread 1")
    await event_rows.removed(ledger, "me", CAL, "once")
    assert await calendar.events(*YEAR) == []
    assert await event_rows.by_uid(ledger, "me", CAL, "once") is None
