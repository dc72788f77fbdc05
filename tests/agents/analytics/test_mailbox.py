"""Threads, answers and debts are read off the heads of mails."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brody_agents.integrations.mail.base import Address
from brody_agents.items import MailHead
from brody_analytics.mailbox import Mailbox, answers, owed, owed_at, waiting

START = datetime(2026, 5, 4, 8, tzinfo=UTC)
ME, ANNA = "me@home.example", "anna@kern.example"


def head(key: str, sender: str, hours: float, **more: Any) -> MailHead:
    return MailHead(
        id=key,
        account="eml:x",
        key=key,
        version="1",
        message_id=f"{key}@x",
        subject="",
        sender=Address(sender),
        to=more.pop("to", (Address(ANNA if sender == ME else ME),)),
        received_at=START + timedelta(hours=hours),
        **more,
    )


def mailbox(*heads: MailHead) -> Mailbox:
    return Mailbox.of(heads, frozenset({ME}))


def pairs(box: Mailbox) -> list[tuple[str, str]]:
    return [(a.asked.id, a.reply.id) for a in answers(box, box.threads())]


def test_an_answer_ends_a_run_of_mails_and_counts_from_its_first() -> None:
    box = mailbox(
        head("a", ANNA, 0),
        head("b", ANNA, 1, references=("a@x",)),
        head("c", ME, 5, in_reply_to="b@x"),
        head("d", ANNA, 6, in_reply_to="c@x"),
    )
    assert pairs(box) == [("a", "c")]


def test_threads_are_joined_by_what_mails_refer_to_also_if_a_mail_between_is_missing() -> None:
    box = mailbox(
        head("a", ANNA, 0), head("c", ME, 2, references=("a@x", "gone@x")), head("d", ANNA, 3, in_reply_to="gone@x")
    )
    assert [[h.id for h in thread] for thread in box.threads()] == [["a", "c", "d"]]


def test_the_thread_that_the_ledger_knows_counts_too() -> None:
    box = mailbox(head("a", ANNA, 0, thread_id="t"), head("b", ME, 1, thread_id="t"))
    assert pairs(box) == [("a", "b")]


@pytest.mark.parametrize(
    "more",
    [
        {"signals": {"list-unsubscribe": "<x>"}},
        {"signals": {"precedence": "bulk"}},
        {"signals": {"auto-submitted": "auto-replied"}},
        {"category": "newsletter"},
        {"to": (Address("list@example.org"),)},
    ],
)
def test_what_no_person_wrote_to_the_user_needs_no_answer(more: dict[str, Any]) -> None:
    box = mailbox(head("a", ANNA, 0, **more), head("b", ME, 1, in_reply_to="a@x"))
    assert pairs(box) == []


def test_robots_are_known_by_their_address() -> None:
    assert not mailbox().is_personal(head("a", "no-reply@shop.example", 0))
    assert not mailbox().is_personal(head("a", "mailer-daemon@shop.example", 0))
    assert mailbox().is_personal(head("a", "nora.reply@shop.example", 0))


def test_a_message_in_two_folders_counts_once_and_drafts_and_spam_never() -> None:
    twice = head("a", ANNA, 0)
    copy = MailHead(**{name: getattr(twice, name) for name in MailHead.__dataclass_fields__} | {"id": "copy"})
    box = mailbox(
        twice, copy, head("b", ME, 1, flags=frozenset({"draft"})), head("c", ANNA, 1, flags=frozenset({"spam"}))
    )
    assert [h.id for h in box.heads] == ["a"]


def test_without_triage_a_conversation_in_which_a_person_wrote_last_is_owed() -> None:
    box = mailbox(
        head("new", ANNA, 0),
        head("mine", ME, 1),
        head("theirs", ANNA, 2, in_reply_to="mine@x"),
    )
    assert [h.id for h in owed(box, box.threads())] == ["theirs"]


def test_with_triage_its_word_decides_once_a_thread() -> None:
    box = mailbox(
        head("a", ANNA, 0, category="needs_reply", reply_state="owed"),
        head("b", ANNA, 1, category="fyi", reply_state="owed", references=("a@x",)),
        head("c", ME, 2, category="waiting", reply_state="waiting"),
    )
    threads = box.threads()
    assert [h.id for h in owed(box, threads)] == ["b"]
    assert [h.id for h in waiting(threads)] == ["c"]


def test_what_was_owed_earlier_is_what_was_answered_later_or_not_yet() -> None:
    box = mailbox(head("a", ANNA, 0), head("b", ME, 10, in_reply_to="a@x"), head("c", ANNA, 5))
    answered = answers(box, box.threads())
    still = [h for h in box.heads if h.id == "c"]
    debts = [owed_at(START + timedelta(hours=hours), answered, still) for hours in (0, 1, 6, 11)]
    assert debts == [0, 1, 2, 1]


_REFERENCES = st.lists(st.integers(0, 9).map(lambda n: f"{n}@x"), max_size=2).map(tuple)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([ME, ANNA]), _REFERENCES), max_size=10), st.randoms())
def test_threads_and_answers_do_not_depend_on_the_order_of_mails(
    mails: Sequence[tuple[str, tuple[str, ...]]], random: Random
) -> None:
    heads = [head(str(n), sender, n, references=references) for n, (sender, references) in enumerate(mails)]
    first = mailbox(*heads)
    random.shuffle(heads)
    again = mailbox(*heads)
    assert first.threads() == again.threads()
    assert sorted(h.id for thread in first.threads() for h in thread) == sorted(h.id for h in heads)
    assert pairs(first) == pairs(again)
