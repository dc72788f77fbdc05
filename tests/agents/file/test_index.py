"""Documents are found by name, folder, text and people, with a score and reasons."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brody_file.index import Entry, Index, Query, person_words
from brody_file.words import term_counts, terms

FOLDER = {
    "contracts/globex-agreement-2026.pdf": "Agreement between Globex GmbH and us. Signed by Tomas Berg.",
    "contracts/initech-nda.pdf": "Non-disclosure agreement Initech Ltd. Confidential information.",
    "invoices/2026/2026-03-acme.pdf": "Invoice 4711 Acme. Total 1200 EUR",
    "invoices/2026/2026-04-acme.pdf": "Invoice 4790 Acme. Total 1300 EUR",
    "budget/Budget-2026.xlsx": "",
    "budget/Budgetplanung_Q3.docx": "Budgetplanung drittes Quartal, Personal, Marketing, Reisekosten",
    "notes/board-minutes-2026-04.md": "Minutes of the board meeting. Present: Anna Kern, Petra Vogel. Budget.",
    "notes/hiring-plan.md": "Two engineers, one designer. Candidates: Mia Lund.",
    "talks/offsite-slides.pptx": "",
    "talks/OffsiteAgenda.docx": "Agenda of the offsite in Lisbon: day one, day two; travel, hotel",
    "travel/lisbon-flights.pdf": "Flight Berlin Lisbon 12 June booking reference",
    "travel/hotel-lisbon.pdf": "Hotel booking Lisbon",
    "product/roadmap.md": "Roadmap: search, mobile app, billing. Q3 goals.",
    "photos/team.jpg": "",
}
LEAST = 0.25


def entries(query: Query, folder: Mapping[str, str] = FOLDER) -> list[Entry]:
    made = []
    for path, text in folder.items():
        [(counts, length)] = term_counts([text], query.wanted())
        made.append(Entry(path, path.rpartition("/")[2], path.rpartition("/")[0], counts=counts, length=length))
    return made


def found(query: Query) -> list[str]:
    return [match.entry.id for match in Index(entries(query)).search(query, LEAST, 5)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query("Globex contract review"), ["contracts/globex-agreement-2026.pdf"]),
        (Query("Budget Q3"), ["budget/Budgetplanung_Q3.docx", "budget/Budget-2026.xlsx"]),
        (Query("Trip to Lisbon"), ["travel/hotel-lisbon.pdf", "travel/lisbon-flights.pdf"]),
        (Query("Offsite planning"), ["talks/OffsiteAgenda.docx", "talks/offsite-slides.pptx"]),
        (Query("1:1 Mia", ("mia.lund@us.example",)), ["notes/hiring-plan.md"]),
        (
            Query("Acme invoice question", ("billing@acme.example",)),
            ["invoices/2026/2026-03-acme.pdf", "invoices/2026/2026-04-acme.pdf"],
        ),
    ],
)
def test_what_belongs_to_a_meeting_is_found(query: Query, expected: list[str]) -> None:
    assert sorted(found(query)) == sorted(expected)


@pytest.mark.parametrize("title", ["Weekly sync", "Dentist", "Gym", "Lunch with Jonas", "Company all hands", ""])
def test_nothing_belongs_to_other_meetings(title: str) -> None:
    assert found(Query(title, ("jonas@gmail.example",))) == []


def test_a_document_that_the_invitation_names_comes_first() -> None:
    query = Query("Board meeting", ("Anna Kern <anna@kern.example>",), "Please read hiring-plan.md before")
    [first, second, *_] = Index(entries(query)).search(query, LEAST, 5)
    assert (first.entry.id, first.reasons[0]) == ("notes/hiring-plan.md", "it is named there")
    assert second.entry.id == "notes/board-minutes-2026-04.md"
    assert "it has to do with Anna Kern <anna@kern.example>" in second.reasons


def test_reasons_say_where_the_words_are() -> None:
    query = Query("Globex contract and signature", ("tomas.berg@globex.example",), "Signed by whom?")
    [match, *_] = Index(entries(query)).search(query, LEAST, 5)
    assert match.reasons == (
        'its name has "globex", "contract"',
        'its text has "signed"',
        "it has to do with tomas.berg@globex.example",
    )


def test_a_word_that_most_documents_have_counts_less_than_a_rare_one() -> None:
    folder = {f"acme-{n}.txt": "" for n in range(20)} | {"lease.txt": ""}
    query = Query("acme lease")
    assert Index(entries(query, folder)).search(query, 0, 1)[0].entry.id == "lease.txt"


def test_a_name_with_the_day_of_the_meeting_fits_better_than_one_with_another_day() -> None:
    folder = dict.fromkeys(["weekly/agenda-2026-05-11.txt", "weekly/weekly-2026-05-04.md", "other-2026-05-11.txt"], "")
    query = Query("Design weekly", day=date(2026, 5, 11))
    found = Index(entries(query, folder)).search(query, 0.1, 5)
    assert [match.entry.id for match in found] == ["weekly/agenda-2026-05-11.txt", "weekly/weekly-2026-05-04.md"]
    assert found[0].reasons[0] == "its name has the day"


def test_the_users_own_company_names_nobody() -> None:
    folder = {"globex-plan.txt": "", "lease.txt": ""}
    everybody, others = (
        Query("Lunch", ("anna@globex.example",), ours=ours) for ours in (frozenset[str](), frozenset({"globex"}))
    )
    assert [m.entry.id for m in Index(entries(everybody, folder)).search(everybody, 0, 5)] == ["globex-plan.txt"]
    assert Index(entries(others, folder)).search(others, 0, 5) == []


def test_terms_know_plurals_accents_and_camel_case() -> None:
    assert terms("MeetingNotes_Müller-Contracts 12 2026.pdf") == ["meeting", "note", "muller", "contract", "2026"]


def test_roles_and_shared_domains_name_nobody() -> None:
    assert person_words("billing@acme.example").split() == ["acme"]
    assert person_words("Jo Doe <jo.doe@gmail.com>").split() == ["Jo", "Doe", "jo", "doe"]


_NAMES = st.lists(st.sampled_from(["budget", "globex", "plan", "2026", "anna", "Q3"]), min_size=1, max_size=3)
_PATHS = st.lists(_NAMES.map(" ".join), min_size=1, max_size=8, unique=True)


@settings(deadline=None)
@given(_PATHS, _NAMES.map(" ".join), st.text(max_size=30), st.randoms())
def test_scores_are_shares_in_order_and_do_not_depend_on_the_order_of_documents(
    names: list[str], title: str, text: str, random: Random
) -> None:
    query = Query(title, ("anna@kern.example",), text)
    there = entries(query, dict.fromkeys(names, "globex plan anna"))
    matches = Index(there).search(query, 0, 100)
    random.shuffle(there)
    assert Index(there).search(query, 0, 100) == matches
    scores = [match.score for match in matches]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert all(match.reasons for match in matches if match.score)


@settings(deadline=None)
@given(st.text(), st.text())
def test_any_text_can_be_counted_and_asked(text: str, title: str) -> None:
    query = Query(title, (text,), text)
    [(counts, length)] = term_counts([text], query.wanted())
    assert sum(counts.values()) <= length
    Index(entries(query, {text: text})).search(query, 0, 5)
