"""Score whether a sentence of mail asks somebody to do something, or promises it.

A linear model over words, pairs of words and classes of words. The features are defined here, once;
`training/train_sentence_model.py` imports them, so that training and run time cannot drift apart.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Self

WEIGHTS = Path(__file__).with_name("sentence_model.json")

# Verbs that people put in requests. As a class of words they let the model recognise an order
# whose verb it never met in training ("Reconcile the totals").
REQUEST_VERBS = frozenset(
    """
    accept acknowledge act add address adjust advise agree allow amend announce answer apply approve arrange
    ask assess assign assist attach attend avoid back be bear begin block book bring build buy calculate call
    cancel cc change charge check choose circulate clarify clean clear click close collect come comment
    compare compile complete conduct confirm connect consider contact continue contribute convert coordinate
    copy correct create cut decide define delay delegate delete deliver deploy describe design determine
    develop disable discuss dispose distribute do document donate download draft drop edit email e-mail
    enable end enjoy ensure enter escalate establish estimate evaluate examine exclude execute expect expedite
    explain export extend fax feel fight file fill finalise finalize find finish fix follow forget format
    forward gather generate get give go grab guarantee hand handle have help hold identify implement import
    improve include increase inform initiate insert install introduce investigate invite invoice join keep
    know learn leave let limit list listen locate log login look mail maintain make mark meet mention merge
    message modify monitor move need negotiate note notify obtain open order organise organize participate
    pass pay phone pick ping place plan play post postpone practice prepare present prevent print prioritise
    prioritize proceed process produce proofread propose protect provide publish pull purchase push put read
    rebook receive recommend reconcile record redo reduce refer register reimburse reject release remember
    remind remove rename renew replace reply report request reschedule reserve resend reset resolve respond
    restart restore retain return revert review revise rsvp run save scan schedule search see select sell
    send set settle share ship shoot show sign skip sort speak specify spend start stay stop submit subscribe
    suggest summarise summarize supply support swap switch sync take talk tell test text think tidy track
    train transfer translate trim try turn type unsubscribe update upgrade upload use verify view visit vote
    wait walk watch weigh wire work write
    """.split()  # noqa: SIM905  (prose is easier to keep in order than 300 quoted words)
)

# A mail address is a word with an `@` tail and an address of the web is one run: every alternative
# consumes what it looks at, so the scan is linear on any input.
_TOKEN = re.compile(r"(?:https?://|www\.)\S+|\$link|[^\W\d_]+(?:'[^\W\d_]+)*(?:@\S+)?|\d[\d.,:/-]*|[?!:,.$]+")
_CLAUSE_STARTS = frozenset({"<s>", ",", ":", ".", "!", "and", "then", "so", "but"})


def tokens(sentence: str) -> list[str]:
    """Cut a sentence into lower-case words and marks; links, addresses and numbers become classes."""
    found: list[str] = _TOKEN.findall(sentence.lower().replace("’", "'"))
    return ["<s>", *map(_class_of, found), "</s>"]


def _class_of(token: str) -> str:
    if token[0].isdigit():
        return "#number"
    if token == "$link" or token.startswith(("http://", "https://", "www.")):
        return "#link"
    return "#mail" if "@" in token else token


def features(sentence: str) -> list[str]:
    """Name the features of a sentence, repeated as often as they occur.

    Words, pairs of neighbours, the first word of a clause (`CLAUSE|send`), and for each request verb
    what stands before it (`please|VERB`) and whether it opens a clause (`CLAUSE|VERB`).
    """
    words = tokens(sentence)
    names = words.copy()
    for before, word in pairwise(words):
        names.append(f"{before} {word}")
        opens = before in _CLAUSE_STARTS
        if opens:
            names.append(f"CLAUSE|{word}")
        if word in REQUEST_VERBS:
            names.append(f"{before}|VERB")
            if opens:
                names.append("CLAUSE|VERB")
    return names


def vector(names: Iterable[str], idf: Mapping[str, float]) -> dict[str, float]:
    """Weigh the features that `idf` knows: (1 + ln count) · idf, scaled to Euclidean length 1."""
    counts: dict[str, int] = {}
    for name in names:
        if name in idf:
            counts[name] = counts.get(name, 0) + 1
    weighed = {name: idf[name] * (1 + math.log(n) if n > 1 else 1) for name, n in counts.items()}
    length = math.sqrt(sum(value * value for value in weighed.values()))
    return {name: value / length for name, value in weighed.items()} if length else {}


@dataclass(frozen=True, slots=True)
class SentenceModel:
    """Hold the trained weights; `idf` and `weights` have the same keys.

    A sentence is actionable from a score of `threshold` on.
    """

    bias: float
    threshold: float
    idf: Mapping[str, float]
    weights: Mapping[str, float]

    @classmethod
    @cache
    def load(cls) -> Self:
        """Read the shipped weights on first use; afterwards the same object is returned."""
        return cls.from_json(WEIGHTS.read_text("utf-8"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read weights written as `{"bias", "threshold", "features": {name: [idf, weight]}}`."""
        data = json.loads(text)
        pairs: dict[str, tuple[float, float]] = data["features"]
        idf = {name: pair[0] for name, pair in pairs.items()}
        weights = {name: pair[1] for name, pair in pairs.items()}
        return cls(data["bias"], data["threshold"], idf, weights)

    def score(self, sentence: str) -> float:
        """Return the probability, 0 to 1, that the sentence is a request or a promise."""
        values = vector(features(sentence), self.idf)
        weights = self.weights
        logit = self.bias + sum(value * weights[name] for name, value in values.items())
        return 1 / (1 + math.exp(-logit))

    def is_actionable(self, sentence: str) -> bool:
        """Tell whether the score reaches the threshold that training chose."""
        return self.score(sentence) >= self.threshold
