"""Two wordings of one task come out alike, two tasks do not. The measure is the conflict resolver's."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.fuzz import token_sort_ratio

from brody_task.normalise import first_name, normalise, title_of

MERGES = 85

SAME = [
    (
        "Please send the signed contract to Tomas by Wednesday",
        "could you get the signed agreement over to Tomas before Wednesday",
    ),
    ("Please send the signed contract to Tomas by Wednesday", "Send Tomas the signed contract"),
    ("Can you call Anna back tomorrow?", "Please give Anna a ring tomorrow morning"),
    ("Please phone the bank about the loan", "call the bank regarding the loan"),
    ("Could you review the budget draft?", "Please have a look at the budget draft by Friday"),
    ("I'll prepare the slides for the board meeting", "Put together the deck for the board meeting"),
    ("Don't forget to pay the invoice from Acme", "Please settle Acme's bill by 12 May"),
    ("Please set up a meeting with Globex next week", "Could you arrange a call with Globex?"),
    ("Please confirm the hotel booking", "Can you confirm the hotel booking as soon as possible?"),
    ("Fill in the travel form for Lisbon", "please complete the travel form for Lisbon by EOD"),
    ("Can you forward the minutes to Petra?", "pass the minutes on to Petra please"),
    ("Could you email me the Q3 figures?", "send me the Q3 numbers by Monday"),
    ("Order new chairs for the office", "please buy new chairs for the office"),
    ("Renew the domain example.org before 3 June", "Please renew the domain example.org"),
    (
        "Bitte schick Tomas den unterschriebenen Vertrag bis Mittwoch",
        "Please send the signed contract to Tomas by Wednesday",
    ),
    ("Kannst du bitte die Rechnung von Acme bezahlen?", "pay the invoice of Acme"),
    ("Reply to Jonas about the venue", "get back to Jonas about the venue by tomorrow"),
    ("It would be great if you could update the price list", "Please revise the price list"),
    ("TODO: proofread chapter 3", "Can you check chapter 3 please"),
    ("SEND THE SIGNED CONTRACT TO TOMAS", "send the signed contract to Tomas"),
    ("I need you to sign off on the proposal for Initech", "please approve the Initech quotation"),
    ("Let me know the dates for the audit", "please tell me the dates of the audit"),
    ("Please let Petra have the updated floor plan by Monday", "send Petra the revised floor plan"),
    ("I'd be grateful if you could return the signed lease", "Please send back the signed lease to me"),
    ("Please ring Dr. Weiss about the results", "Call Dr. Weiss regarding the results"),
]

DIFFERENT = [
    ("send the invoice to Tomas", "send the contract to Tomas"),
    ("send the signed contract to Tomas", "send the signed contract to Anna"),
    ("sign the contract", "send the contract"),
    ("review the budget", "prepare the budget"),
    ("call Anna about the lease", "call Petra about the lease"),
    ("pay invoice 4711", "pay invoice 4712"),
    ("Send the budget report for the Hamburg office to Anna", "Send the budget report for the Hamburg office to Ben"),
    ("book a flight to Lisbon", "book a hotel in Lisbon"),
    ("proofread chapter 3", "proofread chapter 4"),
    ("renew the passport", "renew the insurance"),
    ("Prepare the slides for the board meeting", "Prepare the agenda for the board meeting"),
    ("Please confirm the hotel booking", "Please cancel the hotel booking"),
    ("send me the Q3 figures", "send me the Q4 figures"),
    ("arrange a meeting with Globex", "arrange a meeting with Initech"),
    ("Prepare the slides for the Globex review", "Prepare the slides for the Initech review"),
    ("order a cake for Mia's birthday", "order flowers for Mia's birthday"),
    ("Bitte den Vertrag unterschreiben", "Bitte den Vertrag kündigen"),
    ("write the release notes for 1.4", "write the release notes for 1.5"),
    ("Order 20 chairs for the hall", "Order 30 chairs for the hall"),
    ("Do not send the contract to Tomas", "Send the contract to Tomas"),
    ("Submit the expense report for April", "Submit the expense report for May"),
    ("Call Dr. Weiss about the results", "Call Dr. Braun about the results"),
]


def alike(one: str, other: str) -> float:
    return token_sort_ratio(normalise(one), normalise(other))


@pytest.mark.parametrize(("one", "other"), SAME)
def test_wordings_of_one_task_are_alike(one: str, other: str) -> None:
    assert alike(one, other) >= MERGES


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_two_tasks_are_not_alike(one: str, other: str) -> None:
    assert alike(one, other) < MERGES


def test_the_result_is_plain_words_in_order() -> None:
    assert normalise("Could you please send the invoice to Tomas by Friday?") == "invoice send tomas"


def test_me_is_whoever_asks() -> None:
    assert normalise("please send me the invoice", asker="Tomas") == normalise("Send Tomas the invoice")


def test_vague_words_are_told_apart_by_their_place() -> None:
    """ "Call me back" in two threads is two tasks; "review the budget" is one wherever it is said."""
    assert normalise("please call back", place="Lease") != normalise("please call back", place="Garden party")
    assert normalise("review the budget", place="Lease") == normalise("review the budget", place="Garden party")


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Could you please send the invoice?", "Send the invoice?"),
        ("TODO: write the intro", "Write the intro"),
        ("please", "Please"),
        ("  one\n two ", "One two"),
        ("   ", ""),
    ],
)
def test_a_title_is_one_line_without_courtesy(text: str, title: str) -> None:
    assert title_of(text) == title


@pytest.mark.parametrize(("name", "first"), [("Anna Kern", "Anna"), ("Kern, Anna", "Anna"), ("", ""), (" , ", "")])
def test_a_first_name_is_found_in_either_order(name: str, first: str) -> None:
    assert first_name(name) == first


@settings(deadline=None)
@given(st.text())
def test_any_text_gives_sorted_words_and_a_short_title(text: str) -> None:
    words = normalise(text).split(" ")
    assert words == sorted(words)
    assert len(title_of(text)) <= 510
    assert "\n" not in title_of(text)
    assert bool(title_of(text)) == bool(text.strip())


_WORDS = "send review budget Tomas invoice 4711 lease Hamburg call slides"
_PLAIN = st.lists(st.sampled_from(_WORDS.split(" ")), min_size=2)


@settings(deadline=None)
@given(
    _PLAIN,
    st.sampled_from(["please ", "Could you ", "kindly ", "I'd like you to "]),
    st.sampled_from(["", " by Friday"]),
)
def test_courtesy_and_dates_change_nothing(words: list[str], before: str, after: str) -> None:
    task = f"please {' '.join(words)}"
    assert normalise(f"{before}{' '.join(words)}{after}") == normalise(task)
