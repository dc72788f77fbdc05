"""Threads: what belongs together, and in each who owes whom an answer."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brody_agents.communication.message_protocol import stable_id
from brody_agents.integrations.mail.base import Address
from brody_agents.items import MailItem
from brody_email.circumstances import Circumstances
from brody_email.reading import classification, read_mail
from brody_email.scan import Scan, scan, triage_all
from brody_email.threads import build_threads, first_thread_id, normalised_subject

ME = "mira@northwind.example"
MIRA = f"Mira Halvorsen <{ME}>"
TOMAS = "Tomas Wieland <tomas@kestrel.example>"
START = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
NOW = START + timedelta(days=3)
ABOUT = Circumstances(now=NOW, zone="Europe/Berlin", own=frozenset({ME}))


def after(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def settled(mails: list[MailItem], about: Circumstances = ABOUT) -> tuple[dict[str, MailItem], Scan]:
    """Read each mail by itself, then pass over the threads; return the mails as they stand, and the pass."""
    heads = [_said(mail, read_mail(mail, about).classified) for mail in mails]
    found = _scanned(heads, about)
    by_id = {mail.id: mail for mail in heads}
    by_id |= {message.email_id: _said(by_id[message.email_id], message) for message in found.changed}
    return by_id, found


def _scanned(heads: list[MailItem], about: Circumstances) -> Scan:
    found = scan(heads, about, {})
    if found.unread:
        again = [mail for mail in heads if mail.id in found.unread]
        found = scan(heads, about, triage_all(again, found.about))
    return found


def _said(mail: MailItem, message: Any) -> MailItem:
    return replace(
        mail,
        category=message.category,
        urgency=message.urgency,
        needs_reply=message.needs_reply,
        reasons=tuple(message.reasons),
        thread_id=message.thread_id,
        reply_state=message.reply_state,
        waiting_on=tuple(message.waiting_on),
    )


# -- what belongs together -----------------------------------------------------------------------------


def test_references_make_a_thread_named_after_its_first_mail(make_mail: Any) -> None:
    first = make_mail("One?")
    second = make_mail("Two.", in_reply_to=first.message_id, received_at=after(1))
    third = make_mail("Three.", references=(first.message_id, second.message_id), received_at=after(2))
    other = make_mail("Else.", received_at=after(3))
    threads = build_threads([third, other, first, second])
    assert [[mail.id for mail in thread.mails] for thread in threads] == [[first.id, second.id, third.id], [other.id]]
    assert threads[0].id == stable_id("thread", first.message_id) == first_thread_id(second) == first_thread_id(third)


def test_a_mail_that_is_not_there_holds_its_answers_together(make_mail: Any) -> None:
    answers = [make_mail("Yes.", in_reply_to="gone@x.example"), make_mail("No.", references=("gone@x.example",))]
    (thread,) = build_threads(answers)
    assert thread.id == stable_id("thread", "gone@x.example")


def test_an_answer_without_references_joins_its_subject_only_near_and_among_the_same_people(make_mail: Any) -> None:
    first = make_mail("One?", subject="Budget")
    near = make_mail("Two.", subject="RE: [team] budget", received_at=after(48))
    late = make_mail("Three.", subject="Re: Budget", received_at=after(24 * 40))
    strangers = make_mail("Four.", subject="Re: Budget", sender="Eve <eve@x.example>", received_at=after(50))
    no_answer = make_mail("Five.", subject="Budget", received_at=after(51))
    threads = build_threads([first, near, late, strangers, no_answer], frozenset({ME}))
    assert sorted(len(thread.mails) for thread in threads) == [1, 1, 1, 2]


def test_copies_of_a_mail_are_in_one_thread(make_mail: Any) -> None:
    mail = make_mail("One?")
    assert len(build_threads([mail, replace(mail, id="copy")])) == 1


_PEOPLE = [Address(f"{name}@x.example") for name in "abc"]


@given(seed=st.integers(0, 10_000))
def test_the_order_of_reading_makes_no_difference(seed: int) -> None:
    chance = random.Random(seed)
    mails = []
    for number in range(12):
        refers = chance.choice(["", *(f"m{i}@x" for i in range(12))])
        mails.append(
            MailItem(
                id=str(number), account="a", key="k", version="1", message_id=f"m{number}@x",
                subject=chance.choice(["Re: Plan", "Plan", ""]), sender=chance.choice(_PEOPLE), to=(_PEOPLE[0],),
                received_at=after(chance.randrange(1000)), in_reply_to=refers,
            )
        )  # fmt: skip
    shuffled = list(mails)
    chance.shuffle(shuffled)
    assert sorted(build_threads(mails), key=_by_id) == sorted(build_threads(shuffled), key=_by_id)


def _by_id(thread: Any) -> str:
    return str(thread.id + thread.mails[0].id)


@pytest.mark.parametrize("subject", ["Re: AW: [x] Plan", "plan", "Fwd: re[2]: PLAN ", "WG: Plan"])
def test_subjects_lose_their_marks(subject: str) -> None:
    assert normalised_subject(subject) == "plan"


# -- who owes whom --------------------------------------------------------------------------------------


def test_an_unanswered_question_is_owed_and_gets_a_draft(make_mail: Any) -> None:
    mail = make_mail("Which date suits you?")
    by_id, found = settled([mail])
    assert (by_id[mail.id].reply_state, by_id[mail.id].needs_reply) == ("owed", True)
    assert found.to_answer == [mail.id]


def test_the_users_answer_settles_it(make_mail: Any) -> None:
    mail = make_mail("Which date suits you?")
    answer = make_mail("Friday.", sender=MIRA, to=TOMAS, in_reply_to=mail.message_id, received_at=after(5))
    by_id, found = settled([mail, answer])
    assert (by_id[mail.id].category, by_id[mail.id].reply_state, by_id[mail.id].needs_reply) == (
        "fyi",
        "answered",
        False,
    )
    assert by_id[mail.id].reasons[-1] == "You answered on 4 Mar 2026."
    assert found.to_answer == []


def test_what_the_user_wrote_to_somebody_else_settles_nothing(make_mail: Any) -> None:
    mail = make_mail("Which date suits you?")
    aside = make_mail("See below.", sender=MIRA, to="jo@x.example", references=(mail.message_id,), received_at=after(5))
    by_id, _ = settled([mail, aside])
    assert by_id[mail.id].reply_state == "owed"


def test_the_mailbox_may_know_of_an_answer_that_is_not_there(make_mail: Any) -> None:
    mail = make_mail("Which date suits you?", flags=frozenset({"seen", "answered"}))
    by_id, _ = settled([mail])
    assert by_id[mail.id].reply_state == "answered"


def test_the_user_waits_for_those_who_have_not_answered(make_mail: Any) -> None:
    asked = make_mail("When can we expect the proof?", sender=MIRA, to=["Ra <ra@k.example>", "Jo <jo@k.example>"])
    by_id, _ = settled([asked])
    assert (by_id[asked.id].category, by_id[asked.id].reply_state) == ("waiting", "waiting")
    assert by_id[asked.id].waiting_on == ("ra@k.example", "jo@k.example")
    answer = make_mail("Tomorrow.", sender="Ra <ra@k.example>", in_reply_to=asked.message_id, received_at=after(9))
    by_id, _ = settled([asked, answer])
    assert (by_id[asked.id].category, by_id[asked.id].reply_state) == ("fyi", "answered")
    assert by_id[asked.id].reasons[-1] == "Ra answered on 4 Mar 2026."


def test_an_absence_note_is_no_answer(make_mail: Any) -> None:
    asked = make_mail("When can we expect the proof?", sender=MIRA, to="Ra <ra@k.example>")
    away = make_mail(
        "I am away.", sender="Ra <ra@k.example>", in_reply_to=asked.message_id, received_at=after(1),
        signals={"auto-submitted": "auto-replied"},
    )  # fmt: skip
    by_id, found = settled([asked, away])
    assert by_id[asked.id].reply_state == "waiting"
    assert by_id[away.id].category == "fyi"
    assert found.to_answer == []


def test_nobody_is_waited_for_who_was_not_reached(make_mail: Any) -> None:
    asked = make_mail("When can we expect the proof?", sender=MIRA, to="Ra <ra@k.example>")
    bounce = make_mail("Not delivered.", sender="mailer-daemon@mx.example", in_reply_to=asked.message_id,
                       received_at=after(1), signals={"return-path": "<>"})  # fmt: skip
    by_id, _ = settled([asked, bounce])
    assert by_id[asked.id].reply_state == "none"
    assert by_id[asked.id].reasons[-1] == "It could not be delivered on 4 Mar 2026."


def test_a_second_request_of_the_users_is_the_one_that_waits(make_mail: Any) -> None:
    asked = make_mail("When can we expect the proof?", sender=MIRA, to="Ra <ra@k.example>")
    again = make_mail("Any news of the proof?", sender=MIRA, to="Ra <ra@k.example>", in_reply_to=asked.message_id,
                      received_at=after(20))  # fmt: skip
    by_id, _ = settled([asked, again])
    assert [by_id[i].reply_state for i in (asked.id, again.id)] == ["none", "waiting"]


def test_a_promise_of_somebody_else_is_waited_for_until_more_comes(make_mail: Any) -> None:
    promise = make_mail("I'll send you the draft by Friday.", subject="Re: Draft", in_reply_to="x@y.example")
    by_id, _ = settled([promise])
    assert (by_id[promise.id].reply_state, by_id[promise.id].waiting_on) == ("waiting", ("tomas@kestrel.example",))
    more = make_mail("Here it is.", in_reply_to="x@y.example", received_at=after(30))
    by_id, _ = settled([promise, more])
    assert (by_id[promise.id].reply_state, by_id[promise.id].category) == ("answered", "fyi")


def test_nobody_waits_for_ever(make_mail: Any) -> None:
    asked = make_mail("Which date suits you?")
    waited = make_mail("When will it come?", sender=MIRA, to=TOMAS)
    by_id, found = settled([asked, waited], replace(ABOUT, now=START + timedelta(days=61)))
    assert [by_id[i].reply_state for i in (asked.id, waited.id)] == ["none", "none"]
    assert by_id[asked.id].reasons[-1] == "Nothing came of it in 60 days."
    assert found.to_answer == []


def test_one_draft_a_thread_to_its_newest_question_and_none_beside_the_users_own(make_mail: Any) -> None:
    first = make_mail("Which date suits you?")
    second = make_mail("And which place?", in_reply_to=first.message_id, received_at=after(2))
    assert settled([first, second])[1].to_answer == [second.id]
    writing = make_mail("Dear", sender=MIRA, to=TOMAS, in_reply_to=second.message_id, received_at=after(3),
                        flags=frozenset({"draft"}))  # fmt: skip
    assert settled([first, second, writing])[1].to_answer == []


def test_old_questions_get_no_draft(make_mail: Any) -> None:
    mail = make_mail("Which date suits you?")
    by_id, found = settled([mail], replace(ABOUT, now=START + timedelta(days=31)))
    assert by_id[mail.id].reply_state == "owed"
    assert found.to_answer == []


# -- the pass as a whole ----------------------------------------------------------------------------------


def test_a_second_pass_says_nothing_new(make_mail: Any) -> None:
    mail = make_mail("Which date suits you?")
    answer = make_mail("Friday. Does it suit you too?", sender=MIRA, to=TOMAS, in_reply_to=mail.message_id,
                       received_at=after(5))  # fmt: skip
    by_id, _ = settled([mail, answer])
    again = scan(list(by_id.values()), ABOUT, {})
    assert (again.unread, again.changed) == ([], [])


def test_an_answer_that_is_taken_back_is_owed_again(make_mail: Any) -> None:
    mail = make_mail("Which date suits you?")
    answer = make_mail("Friday.", sender=MIRA, to=TOMAS, in_reply_to=mail.message_id, received_at=after(5))
    by_id, _ = settled([mail, answer])
    found = _scanned([by_id[mail.id]], ABOUT)
    (message,) = found.changed
    assert (message.category, message.reply_state, message.needs_reply) == ("needs_reply", "owed", True)


def test_whom_the_user_writes_to_is_no_spammer(make_mail: Any) -> None:
    spam = "Dear friend, make money from home! Lose weight without prescription. Click here. To be removed, reply."
    mail = make_mail(spam, subject="MAKE MONEY FAST!!!", sender="Uncle Bob <bob@family.example>")
    assert settled([mail])[0][mail.id].category == "spam"
    wrote = make_mail("Happy birthday.", sender=MIRA, to="Uncle Bob <bob@family.example>", received_at=after(-50))
    assert settled([mail, wrote])[0][mail.id].category != "spam"


def test_the_server_that_most_mail_came_through_finds_forgeries(make_mail: Any) -> None:
    good = [
        make_mail("Hello.", signals={"authentication-results": "mx.google.example; dmarc=pass"}, received_at=after(-i))
        for i in range(5)
    ]
    failed = {"authentication-results": "mx.google.example; spf=fail; dmarc=fail"}
    forged = make_mail("Which codes?", sender="Tomas Wieland <t@x.example>", signals=failed)
    about = replace(ABOUT, names={"tomas wieland": frozenset({"tomas@kestrel.example"})})
    assert read_mail(forged, about).classified.category == "needs_reply"
    by_id, found = settled([*good, forged], about)
    assert by_id[forged.id].category == "spam"
    assert found.to_answer == []


def test_the_users_own_address_may_become_known_later(make_mail: Any) -> None:
    asked = make_mail("When can we expect the proof?", sender=MIRA, to=TOMAS)
    nobody = replace(ABOUT, own=frozenset({"other@x.example"}))
    head = _said(asked, read_mail(asked, nobody).classified)
    (message,) = _scanned([head], ABOUT).changed
    assert (message.category, message.reply_state) == ("waiting", "waiting")


def test_mail_that_was_never_read_is_read_in_the_pass(make_mail: Any) -> None:
    mail = make_mail("Which date suits you?")
    assert scan([mail], ABOUT, {}).unread == [mail.id]
    (message,) = _scanned([mail], ABOUT).changed
    assert message.category == "needs_reply"
    assert classification(mail.id, triage_all([mail], ABOUT)[mail.id], "t").category == "needs_reply"
