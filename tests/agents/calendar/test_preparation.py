"""Which meetings need preparation, what is asked for them, and how answers are joined."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brody_agents.communication.payloads import FindDocuments, FoundDocument
from brody_agents.integrations.calendar.base import Attendee, Event
from brody_calendar.preparation import merged, needs_preparation, nothing_found, question

START = datetime(2026, 3, 30, 10, tzinfo=ZoneInfo("Europe/Berlin"))
OWN = frozenset({"me@home.example"})
ME, BO, ROOM = Attendee("me@home.example"), Attendee("bo@team.example"), Attendee("room@team.example", role="none")


def event(title: str = "Talk", **more: Any) -> Event:
    facts: dict[str, Any] = {"id": "id", "account": "ics:/c", "uid": "u", "recurrence_id": "", "title": title}
    return Event(**(facts | {"start": START, "end": START + timedelta(hours=1)} | more))


@pytest.mark.parametrize(
    "meeting", [event(attendees=(ME, BO)), event(organizer=BO), event("Budget review"), event("Angebot für den Verlag")]
)
def test_meeting_with_others_or_about_something_written_needs_it(meeting: Event) -> None:
    assert needs_preparation(meeting, OWN)


@pytest.mark.parametrize(
    "meeting",
    [
        event(),
        event(attendees=(ME, ROOM)),
        event("Focus: Write the report"),
        event("Report week", all_day=True),
        event(organizer=BO, busy=False),
        event(organizer=BO, attendees=(Attendee("me@home.example", status="declined"), BO)),
    ],
)
def test_others_do_not(meeting: Event) -> None:
    assert not needs_preparation(meeting, OWN)


def test_question_names_what_the_meeting_is_about_and_who_else_comes() -> None:
    meeting = event("Pricing", organizer=BO, attendees=(ME, ROOM, Attendee("ann@team.example")), description="x" * 5000)

    assert question(meeting, OWN) == FindDocuments(
        subject_id="id", title="Pricing", people=["ann@team.example", "bo@team.example"], text="x" * 2000
    )


documents = st.builds(
    FoundDocument,
    document_id=st.sampled_from("abc"),
    name=st.sampled_from(["one", "two"]),
    score=st.sampled_from([0.2, 0.5, 0.9]),
    reasons=st.lists(st.sampled_from(["r", "s", "t"]), max_size=3),
    source=st.sampled_from(["file", "email"]),
)


@given(st.lists(documents, max_size=8), st.randoms(use_true_random=False), st.integers(0, 8))
def test_answers_come_to_the_same_in_any_order_and_number(found: list[FoundDocument], random: Any, cut: int) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)
    in_parts = merged(merged(nothing_found(), shuffled[:cut]), shuffled[cut:])

    assert in_parts == merged(nothing_found(), found)
    assert merged(in_parts, found) == in_parts


def test_document_is_there_once_with_its_best_score_and_all_reasons_best_first() -> None:
    answers = [
        FoundDocument(document_id="a", name="A", score=0.4, reasons=["title"], source="file"),
        FoundDocument(document_id="b", name="B", score=0.5, reasons=[], source="file"),
        FoundDocument(document_id="a", name="A.pdf", score=0.8, reasons=["sender"], source="email"),
    ]

    assert merged(nothing_found(), answers) == {
        "documents": [
            {"id": "a", "name": "A.pdf", "score": 0.8, "reasons": ["sender", "title"], "source": "email"},
            {"id": "b", "name": "B", "score": 0.5, "reasons": [], "source": "file"},
        ]
    }
