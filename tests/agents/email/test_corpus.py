"""Real mail: most spam is found, almost nothing else is called spam, and nobody gets an answer by mistake."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from brody_agents.items import MailItem
from brody_email.circumstances import Circumstances
from brody_email.reading import read_mails

ABOUT = Circumstances(now=datetime(2002, 10, 1, tzinfo=UTC))
Corpus = Callable[[str], list[MailItem]]


def _categories(mails: list[MailItem]) -> Counter[str]:
    return Counter(reading.classified.category for reading in read_mails(mails, ABOUT))


@pytest.mark.parametrize(
    ("folders", "least", "most"),
    [
        (("spam-2",), 0.75, 1.0),
        (("easy-ham-1", "easy-ham-2"), 0.0, 0.01),
        (("hard-ham-1",), 0.0, 0.1),
    ],
)
def test_the_share_of_spam_lies_in_its_bounds(
    corpus: Corpus, folders: tuple[str, ...], least: float, most: float
) -> None:
    mails = [mail for folder in folders for mail in corpus(folder)]
    share = _categories(mails)["spam"] / len(mails)
    assert least <= share <= most


def test_the_mail_of_lists_is_for_information_and_newsletters_are_newsletters(corpus: Corpus) -> None:
    lists = _categories(corpus("easy-ham-1") + corpus("easy-ham-2"))
    assert lists["fyi"] > 0.9 * lists.total()
    news = _categories(corpus("hard-ham-1"))
    assert news["newsletter"] > 0.75 * news.total()


def test_list_mail_and_newsletters_make_hardly_any_tasks(corpus: Corpus) -> None:
    readings = read_mails(corpus("easy-ham-1") + corpus("easy-ham-2") + corpus("hard-ham-1"), ABOUT)
    assert sum(reading.tasks is not None for reading in readings) <= 3


def test_every_reading_has_reasons_that_end_as_sentences(corpus: Corpus) -> None:
    readings = read_mails([mail for f in ("easy-ham-1", "hard-ham-1", "spam-2") for mail in corpus(f)], ABOUT)
    for reading in readings:
        reasons = reading.classified.reasons
        assert reasons
        assert all(reason.endswith((".", '"')) for reason in reasons)
