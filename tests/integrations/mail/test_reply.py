"""What a sender wrote now: quotes, earlier mails, signatures and footers cut, in three languages."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brody_agents.integrations.mail.reply import reply_of


@pytest.mark.parametrize(
    "rest",
    [
        "On Mon, 5 Feb 2024 at 10:00, Bob Example <bob@x.example> wrote:\n> Can you send it?\n> Bob",
        "On Mon, 5 Feb 2024 at 10:00, Bob Example\n<bob@x.example> wrote:\n\n> Can you send it?",
        "Bob Example wrote:\n> Can you send it?",
        "Am 05.02.2024 um 10:00 schrieb Bob Example:\n> Kannst du es schicken?",
        "Am Mo., 5. Feb. 2024 um 10:00 Uhr schrieb Bob Example <bob@x.example>:\n\nKannst du es schicken?",
        "Le 5 février 2024 à 10:00, Bob Example a écrit :\n> Peux-tu l'envoyer ?",
        "-----Original Message-----\nFrom: Bob\nSent: Monday\nTo: Ada\nSubject: x\n\nCan you send it?",
        "-------- Weitergeleitete Nachricht --------\nVon: Bob\nAn: Ada\n\nText",
        "________________________________\nFrom: Bob <bob@x.example>\nSent: Monday\nTo: Ada\nSubject: x\n\nCan you?",
        "Von: Bob\nGesendet: Montag\nAn: Ada\nBetreff: x\n\nKannst du?",
        "De : Bob\nEnvoyé : lundi\nÀ : Ada\nObjet : x\n\nPeux-tu ?",
        "-- \nAda Example\nHead of Examples",
        "--\nAda",
        "Best regards\nAda",
        "Thanks, Ada",
        "Mit freundlichen Grüßen\nAda Example",
        "Viele Grüße\nAda",
        "Bien cordialement,\nAda",
        "Sent from my phone",
        "Gesendet von meinem Telefon",
        "Envoyé depuis mon téléphone",
        "_______________________________________________\nList mailing list\nList@x.example\nhttps://x.example/list",
        "Confidentiality Notice: this e-mail is only for you.\nDisclaimer: this mail is private.",
    ],
)
def test_what_follows_the_senders_words_is_cut(rest: str) -> None:
    assert reply_of(f"Yes, I will send it on Friday.\n\n{rest}").startswith("Yes, I will send it on Friday.")
    kept = reply_of(f"Yes, I will send it on Friday.\n\n{rest}").removeprefix("Yes, I will send it on Friday.").strip()
    assert kept in ("", "Confidentiality Notice: this e-mail is only for you.")


def test_answers_between_and_below_quotes_are_kept() -> None:
    text = "On Monday, 5 Feb 2024, Bob wrote:\n> First?\n\nYes.\n\n> Second?\n\nNo.\n\n-- \nAda"
    assert reply_of(text) == "Yes.\n\nNo."


def test_an_answer_below_a_marked_earlier_mail_is_kept() -> None:
    text = "----- Original Message -----\nFrom: Bob\nSent: Monday\n\n> First?\n> Second?\n\nYes to both."
    assert reply_of(text) == "Yes to both."


@pytest.mark.parametrize(
    "text",
    [
        "Thanks for the plan.\nCould you send the budget by Friday?",
        "Hi,\n\nThanks, I will send the report by Friday.\nCould you check the numbers?",
        "My answers:\n\n- one\n- two\n\nCan you add the third?",
        "From here on it is easy.\nTo the left is the door.",
        "Steps\n-----\n1. Open it\n2. Close it",
        "a -> b\nif x > 3 then y",
        "On Friday we meet at 10:00:\n- agenda\n- minutes",
    ],
)
def test_the_senders_own_words_stay(text: str) -> None:
    assert reply_of(text) == text


@pytest.mark.parametrize("forward", ["---------- Forwarded message ---------", "-----Original Message-----"])
def test_a_mail_that_only_forwards_has_no_words_of_its_own(forward: str) -> None:
    assert reply_of(f"{forward}\nFrom: Bob\nDate: Monday\nSubject: x\n\nPlease pay this.") == ""


WORDS = ["On 1 Jan 2024 a wrote:", "> q", "From: a", "Sent: b", "To: c", "--", "Thanks,", "",
         "-----Original Message-----", "Am 1.1. schrieb b:", "_" * 30, "words of mine", "mail unsubscribe"]  # fmt: skip


@given(st.lists(st.sampled_from(WORDS), max_size=30))
def test_a_reply_is_made_of_lines_of_the_text_in_order(lines: list[str]) -> None:
    rest = iter(line.strip() for line in lines)
    assert all(line.strip() in rest for line in reply_of("\n".join(lines)).split("\n") if line.strip())


@pytest.mark.parametrize(
    "text",
    [
        "Am " + "schrieb " * 25_000,
        " \n" * 100_000,
        "On a " * 40_000,
        "On 1 a wrote:\n" * 14_000,
        ("-" * 30 + "\n") * 6_000,
    ],
)
def test_no_text_takes_long(text: str) -> None:
    begin = time.process_time()
    reply_of(text)
    assert time.process_time() - begin < 3
