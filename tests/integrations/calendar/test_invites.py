"""What an invitation says (RFC 5546)."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from brody_agents.communication.payloads import MeetingRequest
from brody_agents.integrations.calendar.expansion import Invite, invite_occurrences, parse_invite

BERLIN = ZoneInfo("Europe/Berlin")
REQUEST = """BEGIN:VCALENDAR
METHOD:REQUEST
BEGIN:VTIMEZONE
TZID:W. Europe Standard Time
BEGIN:STANDARD
DTSTART:16010101T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:16010101T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3
END:DAYLIGHT
END:VTIMEZONE
BEGIN:VEVENT
UID:plan-1@team.example
SEQUENCE:2
DTSTART;TZID=W. Europe Standard Time:20260330T140000
DTEND;TZID=W. Europe Standard Time:20260330T150000
SUMMARY:Pricing\\, round
  two
LOCATION:Room 5
ORGANIZER;CN=Bo:MAILTO:Bo@Team.example
ATTENDEE;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:me@home.example
ATTENDEE;ROLE=OPT-PARTICIPANT:mailto:ann@team.example
END:VEVENT
END:VCALENDAR
"""


def test_request_becomes_the_fields_of_a_meeting_request() -> None:
    [invite] = parse_invite(REQUEST, BERLIN)
    payload = MeetingRequest(email_id="mail-1", sender="bo@team.example", **invite.fields())

    assert payload.model_dump(exclude={"email_id", "sender"}) == {
        "uid": "plan-1@team.example",
        "method": "REQUEST",
        "title": "Pricing, round two",
        "start": datetime(2026, 3, 30, 14, tzinfo=BERLIN),
        "end": datetime(2026, 3, 30, 15, tzinfo=BERLIN),
        "all_day": False,
        "location": "Room 5",
        "organizer": "bo@team.example",
        "attendees": ["me@home.example", "ann@team.example"],
        "sequence": 2,
        "recurrence_id": None,
    }


def changed(*changes: tuple[str, str]) -> list[Invite]:
    text = REQUEST
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return parse_invite(text, BERLIN)


@pytest.mark.parametrize("method", ["CANCEL", "REPLY", "COUNTER", "PUBLISH"])
def test_method_is_kept(method: str) -> None:
    assert [invite.method for invite in changed(("METHOD:REQUEST", f"METHOD:{method}"))] == [method]


@pytest.mark.parametrize("method", ["ADD", "REFRESH", "DECLINECOUNTER", "NONSENSE"])
def test_method_that_no_meeting_request_has_asks_for_nothing(method: str) -> None:
    assert changed(("METHOD:REQUEST", f"METHOD:{method}")) == []


def test_without_a_method_it_asks_only_if_it_has_an_organizer_and_attendees() -> None:
    asked = changed(("METHOD:REQUEST\n", ""))
    alone = changed(("METHOD:REQUEST\n", ""), ("ORGANIZER;CN=Bo:MAILTO:Bo@Team.example\n", ""))

    assert [invite.method for invite in (*asked, *alone)] == ["REQUEST", "PUBLISH"]


def test_floating_times_are_the_readers() -> None:
    zone = ZoneInfo("America/New_York")
    text = REQUEST.replace(";TZID=W. Europe Standard Time:", ":")

    assert parse_invite(text, zone)[0].start == datetime(2026, 3, 30, 14, tzinfo=zone)


def test_one_occurrence_is_named_as_the_calendar_names_it() -> None:
    line = "RECURRENCE-ID;TZID=W. Europe Standard Time:20260330T140000\nDTSTART"
    [invite] = changed(("DTSTART;TZID=W. Europe Standard Time:2026", f"{line};TZID=W. Europe Standard Time:2026"))

    assert invite.recurrence_id == "20260330T120000Z"


def test_request_with_the_status_cancelled_cancels() -> None:
    assert changed(("SEQUENCE:2", "SEQUENCE:2\nSTATUS:CANCELLED"))[0].method == "CANCEL"


@pytest.mark.parametrize(
    "text", ["", "Hello", "BEGIN:VCALENDAR\nEND:VCALENDAR", REQUEST[:400], "BEGIN:VEVENT\nEND:VEVENT"]
)
def test_what_is_no_invitation_asks_for_nothing(text: str) -> None:
    assert parse_invite(text, BERLIN) == []


def test_invited_series_tells_when_it_would_take_place() -> None:
    text = REQUEST.replace("SEQUENCE:2", "RRULE:FREQ=WEEKLY;COUNT=3")
    start = datetime(2026, 3, 1, tzinfo=BERLIN)
    found = invite_occurrences(text, "plan-1@team.example", start, start + timedelta(days=60), BERLIN)

    assert [f"{event.start:%m-%d %H:%M}" for event in found] == ["03-30 14:00", "04-06 14:00", "04-13 14:00"]
    assert invite_occurrences(text, "another", start, start + timedelta(days=60), BERLIN) == []
