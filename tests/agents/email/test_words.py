"""Words are found in a text as a pattern would find them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from brody_email.spam_words import TOPICS, Topic, phrases_in
from brody_email.words import LETTERS, Alphabet

WORD = re.compile(r"[a-zäöüß0-9$%][a-zäöüß0-9$%']*")
PIECES = [
    *("make", "money", "fast", "free", "'free", "don't", "miss", "$ 5 million", "$", "100%", "you've", "won", "is"),
    *("not", "spam", "''click", "here", "über", "click'", "—", "\u4e2d", "é", "risk-free", "risk", ",", "opt", "in"),
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=40).flatmap(
    lambda words: st.sampled_from([" ", "", "-"]).map(lambda between: between.join(words))
)


def by_patterns(text: str) -> Mapping[Topic, list[str]]:
    """Find the phrases of each topic, word by word and line by line."""
    found: dict[Topic, dict[str, None]] = {}
    for word in WORD.finditer(text):
        for topic in TOPICS:
            for line in filter(None, map(str.strip, topic.phrases.splitlines())):
                words, _, rest = line.partition(": ")
                match = re.compile(rf"[ -]?(?:{rest})(?![a-z])").match(text, word.end()) if rest else word
                if word[0] in words.split("|") and match:
                    found.setdefault(topic, {})[text[word.start() : match.end()]] = None
    return {topic: list(phrases) for topic, phrases in found.items()}


@given(text=TEXTS)
def test_phrases_are_found_as_patterns_find_them_and_in_the_same_order(text: str) -> None:
    assert list(phrases_in(text).items()) == list(by_patterns(text).items())


@given(text=st.text(alphabet="aß'Ä é,\n\u4e2d\ud800z", max_size=60))
def test_words_are_runs_of_their_letters(text: str) -> None:
    words = re.findall(f"[{LETTERS}]+", text)
    alphabet = Alphabet(LETTERS)
    assert alphabet.words(text) == {word.encode("latin-1") for word in words}
    assert len(alphabet.spaced(text)) == len(text)
