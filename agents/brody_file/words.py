"""Cut names and texts into the terms that the index compares. English and German."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

_CAMEL = re.compile(r"(?<=[a-zäöü])(?=[A-ZÄÖÜ])")
_TERM = re.compile(r"[^\W_]+")
_MARKS = re.compile(r"[\u0300-\u036f]+")
"""Accents, once letters are decomposed."""

_STOP = """
a an the this that these those and or but of for to in on at by with from into over about as is are was were be been
has have had do does will would can could should may we you they he she it i my your our their us me them not no yes
re fw fwd aw wg please hi hello dear thanks regards all any if so than then there here what which who when where how
attached attachment enclosed find see also just new
der die das den dem des ein eine einen einem einer eines und oder aber mit von vom zu zum zur im ins am an auf für bei
bis aus nach ist sind war wird werden ich du er sie es wir ihr mir dir uns nicht kein keine noch auch schon dass wenn
bitte hallo danke anbei anhang
pdf doc docx txt md html htm xls xlsx ppt pptx csv odt png jpg jpeg zip
"""
_WEAK = """
meeting call sync weekly monthly daily biweekly standup stand catch catchup jour fixe session discussion talk chat
besprechung termin treffen wöchentlich review update planning plan team project projekt report notes note document file
final draft copy version scan image page kickoff kick workshop status agenda list
"""
WEAK_WEIGHT = 0.4
_SAME = {
    "rechnung": "invoice",
    "bill": "invoice",
    "vertrag": "contract",
    "agreement": "contract",
    "angebot": "offer",
    "proposal": "offer",
    "quote": "offer",
    "quotation": "offer",
    "protokoll": "minute",
    "bericht": "report",
    "prasentation": "slide",
    "presentation": "slide",
    "deck": "slide",
    "folie": "slide",
    "beleg": "receipt",
    "quittung": "receipt",
    "kunde": "client",
    "customer": "client",
    "gehaltsabrechnung": "payslip",
}
"""Words that mean the same on a file or a folder, folded."""


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", text)
    return _MARKS.sub("", plain).casefold()


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    plural = len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is"))
    return word[:-1] if plural else word


def _canonical(word: str) -> str:
    singular = _singular(word)
    return _SAME.get(word) or _SAME.get(singular) or _SAME.get(singular.removesuffix("en"), singular)


STOP = frozenset(_folded(_STOP).split())
"""Words without content, and the endings of file names."""
WEAK = frozenset(map(_singular, _folded(_WEAK).split()))
"""Words that many names have; they count, but little."""


def terms(text: str) -> list[str]:
    """Return the terms of a name in order: folded, singular, no stop words, no numbers under 100."""
    words = _TERM.findall(_folded(_CAMEL.sub(" ", text)))
    return [_canonical(word) for word in words if word not in STOP and _counts(word)]


def distinct(parts: Iterable[str]) -> tuple[str, ...]:
    """Return the terms of several texts, each once, in their order."""
    return tuple(dict.fromkeys(term for part in parts for term in terms(part)))


def _counts(word: str) -> bool:
    return len(word) > (2 if word.isdigit() else 1)


def term_counts(texts: Sequence[str], wanted: frozenset[str]) -> list[tuple[dict[str, int], int]]:
    """Return for each text how often it has the wanted terms, and its length in terms."""
    return [_counted(text, wanted) for text in texts]


def _counted(text: str, wanted: frozenset[str]) -> tuple[dict[str, int], int]:
    words = Counter(_TERM.findall(_folded(text)))
    found: Counter[str] = Counter()
    for word, times in words.items():
        if (term := _canonical(word)) in wanted and word not in STOP:
            found[term] += times
    return dict(found), words.total()
