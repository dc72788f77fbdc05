"""What is done to an event as text: the one thing that is meant, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brody_agents.errors import InvalidArguments, NotFound, NotInvited, ProviderError
from brody_agents.integrations.calendar import changes
from brody_agents.integrations.calendar.base import Event, NewEvent
from brody_agents.integrations.calendar.changes import Change
from brody_agents.integrations.calendar.comparison import same, seen
from brody_agents.integrations.calendar.event_text import EventText
from brody_agents.integrations.calendar.expansion import StoredEvent, components, expand
from brody_agents.integrations.calendar.invitations import merged

BERLIN = ZoneInfo("Europe/Berlin")
NOW, ME = datetime(2026, 2, 1, 12, tzinfo=UTC), frozenset({"me@b.example"})
ZONE = """BEGIN:VTIMEZONE
TZID:Europe/Berlin
BEGIN:STANDARD
DTSTART:16010101T000000
TZOFFSETFROM:+0100
TZOFFSETTO:+0100
END:STANDARD
END:VTIMEZONE
"""
ALARM = "BEGIN:VALARM\nACTION:DISPLAY\nDESCRIPTION:Go\nTRIGGER:-PT5M\nEND:VALARM"
MONDAYS = (
    "DTSTART;TZID=Europe/Berlin:20260302T090000\nDTEND;TZID=Europe/Berlin:20260302T100000\n"
    "RRULE:FREQ=WEEKLY;UNTIL=20260427T070000Z"
)


def event(*parts: str, zone: str = ZONE) -> str:
    body = "".join(f"BEGIN:VEVENT\nUID:u\nDTSTAMP:20260101T000000Z\n{part}\nEND:VEVENT\n" for part in parts)
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//x//EN\n{zone}{body}END:VCALENDAR\n".replace("\n", "\r\n")


def found(data: str, zone: ZoneInfo = BERLIN) -> list[Event]:
    raw = StoredEvent("ics:/c", "u", "1", data)
    return expand(raw, datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC), zone)


def starts(data: str, zone: ZoneInfo = BERLIN) -> list[str]:
    return [e.start.isoformat(timespec="minutes") for e in found(data, zone)]


def difference(old: str, new: str) -> tuple[set[str], set[str]]:
    """Return the lines that are gone and those that are new."""
    before, after = set(old.split("\r\n")), set(new.split("\r\n"))
    return before - after, after - before


STAMPS = {"DTSTAMP:20260201T120000Z", "LAST-MODIFIED:20260201T120000Z"}
SINGLE = event(
    "DTSTART;TZID=Europe/Berlin:20260302T090000\nDTEND;TZID=Europe/Berlin:20260302T100000\nSUMMARY:Plan\n"
    f'X-OTHER;A="b;c":\n  folded by somebody\nATTENDEE;CN="Ann: the first";X-NOTE=a:mailto:ann@b.example\n{ALARM}'
)


# -- one event ---------------------------------------------------------------------------------------


def test_a_new_title_changes_one_line_and_the_stamps() -> None:
    new = changes.updated(SINGLE, "", Change(title="Plan, again;\nlonger"), ME, NOW)
    assert difference(SINGLE, new) == (
        {"DTSTAMP:20260101T000000Z", "SUMMARY:Plan"},
        {"SUMMARY:Plan\\, again\\; longer", *STAMPS},
    )


def test_a_new_time_stays_on_the_events_own_clock_and_counts_as_a_revision() -> None:
    new = changes.updated(SINGLE, "", Change(start=datetime(2026, 7, 1, 8, tzinfo=UTC)), ME, NOW)
    assert difference(SINGLE, new)[1] == {
        "DTSTART;TZID=Europe/Berlin:20260701T100000",
        "DTEND;TZID=Europe/Berlin:20260701T110000",
        "SEQUENCE:1",
        *STAMPS,
    }


@pytest.mark.parametrize(
    ("times", "change", "expected"),
    [
        ("DTSTART:20260302T080000Z\nDURATION:PT30M", Change(start=datetime(2026, 3, 3, 8, tzinfo=UTC)), "PT30M"),
        ("DTSTART:20260302T080000Z\nDURATION:PT30M", Change(end=datetime(2026, 3, 2, 9, tzinfo=UTC)), "0302T090000Z"),
        ("DTSTART;VALUE=DATE:20260302", Change(start=datetime(2026, 3, 4, tzinfo=BERLIN)), "VALUE=DATE:20260304"),
        ("DTSTART:20260302T080000", Change(start=datetime(2026, 3, 2, 9, tzinfo=UTC)), "DTSTART:20260302T090000Z"),
    ],
    ids=["a DURATION stays", "an end ends it", "a day stays a day", "a floating time becomes an instant"],
)
def test_times_keep_their_form(times: str, change: Change, expected: str) -> None:
    new = changes.updated(event(times, zone=""), "", change, ME, NOW)
    (one,) = found(new)
    assert expected in new
    assert change.start is None or one.start == change.start
    assert change.end is None or one.end == change.end


def test_an_end_before_the_start_is_refused() -> None:
    with pytest.raises(InvalidArguments):
        changes.updated(SINGLE, "", Change(end=datetime(2026, 3, 2, 7, tzinfo=UTC)), ME, NOW)


def test_a_guest_does_not_count_the_organizers_revisions() -> None:
    """Else what the organizer sends next would be older than the guest's own copy."""
    guest = SINGLE.replace("SUMMARY:Plan", "ORGANIZER:mailto:ann@b.example\r\nSEQUENCE:3\r\nSUMMARY:Plan")
    new = changes.updated(guest, "", Change(start=datetime(2026, 3, 2, 9, tzinfo=UTC)), ME, NOW)
    assert "SEQUENCE:3\r\n" in new


# -- a series -------------------------------------------------------------------------------------------

SERIES = event(f"{MONDAYS}\nSUMMARY:Plan\nEXDATE;TZID=Europe/Berlin:20260309T090000\n{ALARM}")


def test_one_occurrence_gets_a_component_of_its_own_and_the_others_stay() -> None:
    change = Change(title="Review", start=datetime(2026, 3, 31, 12, tzinfo=BERLIN))
    new = changes.updated(SERIES, "20260330T070000Z", change, ME, NOW)
    assert new.startswith(SERIES[: SERIES.index("END:VCALENDAR")])
    assert "RECURRENCE-ID;TZID=Europe/Berlin:20260330T090000\r\n" in new
    assert new.count("BEGIN:VALARM") == 2
    moved = [s.replace("2026-03-30T09:00+02:00", "2026-03-31T12:00+02:00") for s in starts(SERIES)]
    assert starts(new) == moved
    assert [e.title for e in found(new)].count("Review") == 1


def test_an_occurrence_that_was_changed_before_is_changed_again() -> None:
    once = changes.updated(SERIES, "20260330T070000Z", Change(title="Review"), ME, NOW)
    twice = changes.updated(once, "20260330T070000Z", Change(location="Room 1"), ME, NOW)
    assert twice.count("BEGIN:VEVENT") == 2
    assert [(e.title, e.location) for e in found(twice) if e.location] == [("Review", "Room 1")]


def test_an_occurrence_is_called_off_by_a_line() -> None:
    new = changes.called_off(SERIES, "20260330T070000Z", ME, NOW)
    assert new is not None
    assert difference(SERIES, new)[1] == {"EXDATE;TZID=Europe/Berlin:20260330T090000", "SEQUENCE:1", *STAMPS}
    assert starts(new) == [s for s in starts(SERIES) if not s.startswith("2026-03-30")]


def test_an_occurrence_with_a_component_of_its_own_is_called_off_with_it() -> None:
    once = changes.updated(SERIES, "20260330T070000Z", Change(start=datetime(2026, 3, 31, 12, tzinfo=UTC)), ME, NOW)
    new = changes.called_off(once, "20260330T070000Z", ME, NOW)
    assert new is not None
    assert starts(new) == [s for s in starts(SERIES) if not s.startswith("2026-03-30")]


@pytest.mark.parametrize("recurrence", ["20260309T080000Z", "20260331T070000Z", "20270301T080000Z", "tomorrow"])
def test_what_does_not_take_place_cannot_be_changed(recurrence: str) -> None:
    for change in (changes.called_off, lambda d, r, o, n: changes.updated(d, r, Change(title="x"), o, n)):
        with pytest.raises(NotFound):
            change(SERIES, recurrence, ME, NOW)


def test_a_whole_series_takes_its_exceptions_along() -> None:
    """Those that stood at their time move, those that were moved stay; words follow where they were the same."""
    once = changes.updated(SERIES, "20260316T080000Z", Change(location="Room 1"), ME, NOW)
    both = changes.updated(once, "20260330T070000Z", Change(start=datetime(2026, 3, 31, 12, tzinfo=BERLIN)), ME, NOW)
    new = changes.updated(both, "", Change(title="Plans", start=datetime(2026, 3, 2, 10, 30, tzinfo=BERLIN)), ME, NOW)
    assert starts(new) == [s.replace("T09:00", "T10:30") for s in starts(both)]
    assert {e.title for e in found(new)} == {"Plans"}
    assert [e.start.hour for e in found(new) if e.location] == [10]


def test_a_rule_that_names_its_day_is_not_moved_to_another_day() -> None:
    named = SERIES.replace("FREQ=WEEKLY", "FREQ=WEEKLY;BYDAY=MO")
    with pytest.raises(ProviderError, match="BYDAY=MO"):
        changes.updated(named, "", Change(start=datetime(2026, 3, 3, 9, tzinfo=BERLIN)), ME, NOW)
    new = changes.updated(named, "", Change(start=datetime(2026, 3, 2, 8, tzinfo=BERLIN)), ME, NOW)
    assert starts(new) == [s.replace("T09:00", "T08:00") for s in starts(named)]


RULES = ("DAILY;COUNT=20", "WEEKLY;COUNT=12", "DAILY;INTERVAL=3;UNTIL=20260601T220000Z", "WEEKLY;INTERVAL=2;COUNT=9")
ZONES = st.sampled_from(["Europe/Berlin", "America/New_York", "Pacific/Auckland", ""])


@settings(deadline=None, max_examples=40)
@given(rule=st.sampled_from(RULES), zone=ZONES, hour=st.integers(6, 20), by=st.integers(-120, 120), data=st.data())
def test_whatever_the_series_only_what_was_meant_changes(
    rule: str, zone: str, hour: int, by: int, data: st.DataObject
) -> None:
    tzid, utc = (f";TZID={zone}", "") if zone else ("", "Z")
    clock = ZoneInfo(zone or "UTC")
    whole = event(f"DTSTART{tzid}:20260305T{hour:02}0000{utc}\nDURATION:PT45M\nRRULE:FREQ={rule}", zone="")
    before = found(whole, clock)
    one = data.draw(st.sampled_from(before))
    others = [e.start for e in before if e is not one]

    without = changes.called_off(whole, one.recurrence_id, ME, NOW)
    assert without is not None
    assert [e.start for e in found(without, clock)] == others

    other = changes.updated(whole, one.recurrence_id, Change(start=one.start + timedelta(minutes=by)), ME, NOW)
    assert sorted(e.start for e in found(other, clock)) == sorted([*others, one.start + timedelta(minutes=by)])

    first = before[0].start.replace(tzinfo=None) + timedelta(minutes=by)
    moved = changes.updated(whole, "", Change(start=first.replace(tzinfo=clock)), ME, NOW)
    walls = [e.start.replace(tzinfo=None) + timedelta(minutes=by) for e in before]
    assert [e.start.replace(tzinfo=None) for e in found(moved, clock)] == walls
    assert seen(whole, other, other) == "all"
    assert seen(whole, other, whole) == "nothing"


# -- people -----------------------------------------------------------------------------------------------

ASKED = (
    "SUMMARY:Plan\nORGANIZER:mailto:ann@b.example\nSEQUENCE:2\n"
    'ATTENDEE;CN="Me; and mine";RSVP=TRUE;PARTSTAT=NEEDS-ACTION:MAILTO:Me@b.example\n'
    "ATTENDEE;PARTSTAT=ACCEPTED:mailto:bob@b.example"
)
MEETING = event(f"DTSTART:20260302T080000Z\nDTEND:20260302T090000Z\n{ASKED}", zone="")


def answers(data: str) -> list[tuple[str, str]]:
    return [(a.address, a.status) for a in found(data)[0].attendees]


@pytest.mark.parametrize("answer", ["accepted", "declined", "tentative"])
def test_an_answer_is_the_persons_own_line_and_no_revision(answer: str) -> None:
    new = changes.answered(MEETING, "", answer, ME, NOW)
    assert answers(new) == [("me@b.example", answer), ("bob@b.example", "accepted")]
    own = f'ATTENDEE;CN="Me; and mine";RSVP=TRUE;PARTSTAT={answer.upper()}:MAILTO:Me@b.example'
    assert own in new.replace("\r\n ", "")
    assert "SEQUENCE:2\r\n" in new


def test_what_is_declined_takes_no_time_until_it_is_accepted_after_all() -> None:
    declined = changes.answered(MEETING, "", "declined", ME, NOW)
    assert [e.busy for e in found(declined)] == [False]
    assert [e.busy for e in found(changes.answered(declined, "", "accepted", ME, NOW))] == [True]


def test_nobody_is_answered_for() -> None:
    for own in (frozenset({"eve@b.example"}), frozenset[str]()):
        with pytest.raises(NotInvited):
            changes.answered(MEETING, "", "accepted", own, NOW)


def test_a_series_is_answered_without_taking_back_single_answers() -> None:
    series = event(f"{MONDAYS}\n{ASKED}")
    one = changes.answered(series, "20260316T080000Z", "declined", ME, NOW)
    assert [e.attendees[0].status for e in found(one)].count("declined") == 1
    moved = changes.updated(one, "20260330T070000Z", Change(title="Moved"), ME, NOW)
    whole = changes.answered(moved, "", "accepted", ME, NOW)
    assert sorted({e.attendees[0].status for e in found(whole)}) == ["accepted", "declined"]
    assert [e.attendees[0].status for e in found(whole)].count("declined") == 1


def test_people_are_invited_once_to_every_part() -> None:
    mine = event(MONDAYS, "RECURRENCE-ID:20260316T080000Z\nDTSTART:20260316T100000Z")
    new = changes.invited(mine, "", ["Bob@b.example", "ann@b.example"], ME, NOW)
    again = changes.invited(new, "", ["bob@b.example", "eve@b.example"], ME, NOW)
    for part in components(StoredEvent("ics:/c", "u", "1", again), BERLIN):
        assert [a.address for a in part.attendees] == ["bob@b.example", "ann@b.example", "eve@b.example"]
        assert part.organizer is not None
        assert part.organizer.address == "me@b.example"


def test_only_the_organizer_invites_and_only_addresses_are_invited() -> None:
    with pytest.raises(ProviderError, match="Somebody else organizes it"):
        changes.invited(MEETING, "", ["eve@b.example"], ME, NOW)
    for bad in ("Ann", "a@b.example\r\nATTENDEE:mailto:x@b.example", "a@b.example;X=1"):
        with pytest.raises(InvalidArguments):
            changes.invited(SINGLE, "", [bad], ME, NOW)


def test_nothing_that_is_said_can_add_a_line() -> None:
    said = "a\r\nATTENDEE:mailto:eve@b.example\x0bB\x00"
    new = changes.updated(SINGLE, "", Change(title=said, description=said, location=said), ME, NOW)
    assert len(found(new)[0].attendees) == 1
    made = changes.made(NewEvent("u", said, NOW, NOW, said, said), ME, NOW)
    assert found(made)[0].attendees == ()


def test_what_is_earlier_comes_back_to_the_byte_and_as_a_revision_where_people_were_asked() -> None:
    assert changes.restored(SERIES, SERIES, ME, NOW) == SERIES
    mine = MEETING.replace("ORGANIZER:mailto:ann", "ORGANIZER:mailto:me")
    moved = changes.updated(mine, "", Change(start=datetime(2026, 3, 2, 12, tzinfo=UTC)), ME, NOW)
    back = changes.restored(mine, moved, ME, NOW)
    assert same(back, mine)
    assert changes.sequence_of(back) == changes.sequence_of(moved) + 1


# -- invitations --------------------------------------------------------------------------------------------


def test_an_invitation_for_one_occurrence_takes_the_place_of_that_one_only() -> None:
    series = event(MONDAYS + "\nSUMMARY:Plan")
    one = event("RECURRENCE-ID:20260330T070000Z\nDTSTART:20260330T120000Z\nSUMMARY:Later", zone="METHOD:REQUEST\n")
    new = merged(merged(series, one, "u"), one, "u")
    assert "METHOD" not in new
    assert [e.title for e in found(new)].count("Later") == 1
    assert len(found(new)) == len(found(series))


def test_an_invitation_for_all_takes_the_place_of_all() -> None:
    new = merged(SERIES, MEETING.replace("VERSION:2.0", "VERSION:2.0\r\nMETHOD:REQUEST"), "u")
    assert [(e.title, e.recurrence_id) for e in found(new)] == [("Plan", "")]
    assert "METHOD" not in new


# -- what is not touched ------------------------------------------------------------------------------------

ODD = SERIES.replace("\r\n", "\n").replace(
    "SUMMARY:Plan\n", 'SUMMARY:Plan\r\nX-A;B="c\n d":e\n\t f\n\r\nsummary;X=1: g \n'
)


@pytest.mark.parametrize("data", [SERIES, SINGLE, ODD, ODD[: ODD.rindex("\nEND:VCALENDAR")], SINGLE * 2])
def test_what_is_not_edited_comes_out_as_it_went_in(data: str) -> None:
    assert EventText(data).text() == data


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_only_what_is_meant_changes_in_an_odd_text(newline: str) -> None:
    odd = ODD.replace("\r\n", "\n").replace("\n", newline)
    new = changes.updated(odd, "", Change(location="Room 1"), ME, NOW)
    before, after = odd.split(newline), new.split(newline)
    assert [line for line in after if line not in before] == [
        "DTSTAMP:20260201T120000Z",
        "LOCATION:Room 1",
        "LAST-MODIFIED:20260201T120000Z",
    ]
    assert [line for line in before if line not in after] == ["DTSTAMP:20260101T000000Z"]
