"""Tasks in mail: which sentences make one, how it is worded, when it is due, how much it presses."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from brody_agents.communication.payloads import SuggestedTask
from brody_email.asks import AskKind, find_asks, sentences_of
from brody_email.circumstances import Circumstances
from brody_email.dates import find_due, without_due
from brody_email.reading import read_mail
from brody_email.titles import task_title

BERLIN = ZoneInfo("Europe/Berlin")
BASE = datetime(2026, 10, 23, 16, 44, tzinfo=BERLIN)  # a Friday
ME = "mira@northwind.example"
ABOUT = Circumstances(now=BASE, zone="Europe/Berlin", own=frozenset({ME}), known=frozenset({"tomas@kestrel.example"}))


def tasks(mail: Any, about: Circumstances = ABOUT) -> list[SuggestedTask]:
    suggestion = read_mail(mail, about).tasks
    return suggestion.suggested_tasks if suggestion else []


def title(sentence: str, *, promised: bool = False) -> str:
    return task_title(without_due(sentence, find_due(sentence, BASE)), other="Priya", promised=promised)


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("Please send the signed contract to Tomas by Wednesday.", "Send the signed contract to Tomas"),
        (
            "Could you get the signed agreement over to Tomas before Wednesday?",
            "Get the signed agreement over to Tomas",
        ),
        ("Could you send us the annotated screens by Friday, October 30?", "Send Priya the annotated screens"),
        ("Mira, can you please check my numbers by EOD?", "Check Priya's numbers"),
        ("Would you mind forwarding me your slides?", "Forward Priya your slides"),
        ("Don't forget to book the flight.", "Book the flight"),
        ("Just a reminder to submit your timesheet by 5pm today.", "Submit your timesheet"),
        ("We need the report by Friday.", "Give Priya the report"),
        ("If you have a minute, could you update the wiki page?", "Update the wiki page"),
        ("Please let me know whether Thursday works for you.", "Let Priya know whether Thursday works for you"),
        ("I need you to sign the form today, I will pay you back.", "Sign the form"),
        (
            "Bitte laden Sie den Beleg bis Freitag, 30. Oktober, in den Ordner hoch.",
            "Den Beleg in den Ordner hochladen",
        ),
        ("Könnten Sie uns bis Donnerstag, 29. Oktober, ein Angebot schicken?", "Priya ein Angebot schicken"),
        ("Kannst du die Folien prüfen?", "Die Folien prüfen"),
    ],
)
def test_a_request_becomes_an_order_without_its_date(sentence: str, expected: str) -> None:
    assert title(sentence) == expected


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("I'll send you the revised mock-ups by Thursday.", "Send Priya the revised mock-ups"),
        ("I'm going to call the bank on Monday.", "Call the bank"),
        ("Let me check with Jonas and come back to you.", "Check with Jonas and come back to Priya"),
        ("Den Beleg lade ich bis Freitag hoch.", "Den Beleg hochladen"),
        ("Ich schicke Ihnen die Unterlagen bis dahin.", "Priya die Unterlagen schicken"),
    ],
)
def test_a_promise_becomes_an_order_to_oneself(sentence: str, expected: str) -> None:
    assert title(sentence, promised=True) == expected


def test_a_title_is_one_line_of_at_most_ninety_characters() -> None:
    long = task_title("Please send\nme " + "the very long report of the committee " * 9, other="Tomas")
    assert len(long) <= 90
    assert "\n" not in long
    assert long.endswith("…")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("by Wednesday", "2026-10-28 17:00"),
        ("before Wednesday.", "2026-10-27 17:00"),
        ("by 12:00 on Monday", "2026-10-26 12:00"),
        ("by Friday, October 30?", "2026-10-30 17:00"),
        ("no later than 10 November 2026", "2026-11-10 17:00"),
        ("by the end of next week", "2026-10-30 17:00"),
        ("by COB Thursday", "2026-10-29 17:00"),
        ("tomorrow morning", "2026-10-24 12:00"),
        ("tomorrow at 3", "2026-10-24 15:00"),
        ("within 24 hours", "2026-10-24 16:44"),
        ("in two days", "2026-10-25 17:00"),
        ("2026-11-02", "2026-11-02 17:00"),
        ("EOD", "2026-10-23 17:00"),
        ("until 9 a.m. tomorrow", "2026-10-24 09:00"),
        ("bis Donnerstag, 29. Oktober, ein Angebot", "2026-10-29 17:00"),
        ("bis heute 18 Uhr", "2026-10-23 18:00"),
        ("bis zum 3.11.2026", "2026-11-03 17:00"),
        ("bis morgen früh", "2026-10-24 10:00"),
        ("bis Ende der Woche", "2026-10-23 17:00"),
    ],
)
def test_dates_are_found_in_the_users_zone(words: str, expected: str) -> None:
    due = find_due(f"Please do it {words}", BASE)
    assert due is not None
    assert due.when == datetime.strptime(expected, "%Y-%m-%d %H:%M").replace(tzinfo=BERLIN)


@pytest.mark.parametrize(
    "words",
    ["you may go", "the second one", "version 5.2", "1/2 of it", "Guten Morgen", "the report from Monday", "Dr. Sun",
     "last Friday", "on Mondays", "10.5.3.1", "see chapter 3.4.", "24/7"],
)  # fmt: skip
def test_what_is_no_date_is_not_found(words: str) -> None:
    assert find_due(f"Please look at {words}", BASE) is None


def test_a_deadline_counts_before_another_date_of_the_sentence() -> None:
    due = find_due("Can you confirm by 12:00 today that it is ready on 2 November?", BASE.replace(hour=7))
    assert due is not None
    assert (due.when.hour, due.words) == (12, "by 12:00 today")


def test_american_users_read_slashes_with_the_month_first() -> None:
    base = BASE.astimezone(ZoneInfo("America/New_York"))
    due = find_due("Please send it by 11/04/2026", base)
    assert due is not None
    assert (due.when.month, due.when.day) == (11, 4)


def test_a_request_makes_a_task_with_its_reasons(make_mail: Any) -> None:
    (task,) = tasks(make_mail("Hi Mira,\n\nplease send the signed contract to Anna by Wednesday.\n", received_at=BASE))
    assert task.title == "Send the signed contract to Anna"
    assert task.due_date == datetime(2026, 10, 28, 17, tzinfo=BERLIN)
    assert (task.kind, task.assignee, task.requested_by) == ("request", None, "tomas@kestrel.example")
    assert task.confidence >= 0.5
    assert task.reasons[:2] == [
        'Tomas Wieland asks: "please send the signed contract to Anna by Wednesday."',
        'Due Wed 28 Oct 2026, 17:00: the sentence says "by Wednesday".',
    ]


@pytest.mark.parametrize("question", ["Which date suits you?", "Would you speak at our event on 6 November?"])
def test_a_question_wants_an_answer_and_is_no_task(make_mail: Any, question: str) -> None:
    assert tasks(make_mail(question, received_at=BASE)) == []


def test_promises_are_tasks_of_the_user_only_if_the_user_made_them(make_mail: Any) -> None:
    promise = "I'll send you the revised mock-ups by Thursday."
    own = make_mail(promise, sender=f"Mira <{ME}>", to="Priya Raman <priya@kestrel.example>", received_at=BASE)
    (task,) = tasks(own)
    assert (task.title, task.kind, task.requested_by) == ("Send Priya the revised mock-ups", "commitment", None)
    assert tasks(make_mail(promise, received_at=BASE)) == []
    asked = make_mail(
        "Could you send me the draft?", sender=f"Mira <{ME}>", to="Jo <jo@kestrel.example>", received_at=BASE
    )
    assert tasks(asked) == []


@pytest.mark.parametrize(
    ("days", "text", "priority"),
    [
        (0, "Please send the file by 18:00.", "urgent"),
        (0, "Please send the file by Sunday.", "high"),
        (0, "Please send the file by 20 November.", "normal"),
        (0, "Please send the file as it is urgent.", "urgent"),
        (3, "Please send the file by Saturday.", "urgent"),
        (40, "Please send the file by Saturday.", "low"),
        (100, "Please send the file to Anna.", "low"),
    ],
)
def test_priority_comes_from_the_date_and_says_why(make_mail: Any, days: int, text: str, priority: str) -> None:
    (task,) = tasks(make_mail(text, received_at=BASE), replace(ABOUT, now=BASE + timedelta(days=days)))
    assert task.priority == priority
    assert priority == "normal" or len(task.reasons) > 1


def test_what_is_older_than_a_year_makes_no_tasks(make_mail: Any) -> None:
    assert tasks(make_mail("Please send the file."), replace(ABOUT, now=BASE + timedelta(days=400))) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"signals": {"list-unsubscribe": "<https://x.example>"}},
        {"signals": {"auto-submitted": "auto-generated"}},
        {"flags": frozenset({"spam"})},
        {"flags": frozenset({"trash"})},
        {
            "to": "all@lists.example",
            "signals": {"list-id": "<all.lists.example>", "list-post": "<mailto:all@x.example>"},
        },
    ],
)
def test_bulk_machines_spam_and_lists_make_no_tasks(make_mail: Any, changes: dict[str, Any]) -> None:
    assert tasks(make_mail("Please complete the migration by Wednesday.", received_at=BASE, **changes)) == []


def test_what_somebody_else_is_asked_for_is_not_the_users_task(make_mail: Any) -> None:
    both = ["Jonas Lind <jonas@northwind.example>", f"Mira Halvorsen <{ME}>"]
    mail = make_mail("Jonas, please book the room.\n\nMira, please send the deck.", to=both, received_at=BASE)
    assert [task.title for task in tasks(mail)] == ["Send the deck"]
    copy = make_mail("Please book the room.", to=both[0], cc=both[1], received_at=BASE)
    assert tasks(copy) == []


def test_strangers_need_clearer_words_than_people_the_user_knows(make_mail: Any) -> None:
    text = "We need the report by Friday."
    assert tasks(make_mail(text, received_at=BASE))
    assert tasks(make_mail(text, sender="Eve <eve@else.example>", received_at=BASE)) == []


def test_a_lone_verb_takes_the_subject_as_its_object(make_mail: Any) -> None:
    (task,) = tasks(make_mail("Please pay by 20 November.", subject="Re: Invoice 7", received_at=BASE))
    assert task.title == "Pay: Invoice 7"


def test_the_same_request_twice_in_a_mail_is_one_task(make_mail: Any) -> None:
    mail = make_mail("Please send the deck.\n\nAgain: please send the deck.", received_at=BASE)
    assert len(tasks(mail)) == 1


def test_sentences_keep_german_dates_together_and_lose_list_marks() -> None:
    assert sentences_of("1. Bitte bis Freitag, 30. Oktober, melden.\n- Danke.") == [
        "Bitte bis Freitag, 30. Oktober, melden.",
        "Danke.",
    ]


def test_kinds_of_asks_are_told_apart() -> None:
    asks = find_asks(["Could you send the file?", "Which one is it?", "I'll call you tomorrow.", "The sky is blue."])
    assert [ask.kind for ask in asks] == [AskKind.REQUEST, AskKind.QUESTION, AskKind.PROMISE]
    assert [ask.wants_words for ask in asks] == [True, True, False]
