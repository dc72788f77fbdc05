"""Bring the wording of a task to its plainest words, so that two wordings of one task can be compared.

The result is canonical words in alphabetical order: courtesy, dates and words without content are gone, verbs and
objects that mean the same are one word. Whoever compares the results by letters would take two tasks that differ in
one short name or one digit for the same; so a name that is short beside the rest is repeated, and a number carries a
check word.
"""

from __future__ import annotations

import re
import unicodedata
from hashlib import sha256

from brody_task.dates import without_dates
from brody_task.words import PHRASES, POLITE, SAME, STOP, VAGUE, VERBS

_POLITE = re.compile("|".join(rf"(?<!\w)(?:{pattern})(?!\w)" for pattern in POLITE), re.IGNORECASE)
_PHRASES = tuple((re.compile(pattern, re.IGNORECASE), replacement) for pattern, replacement in PHRASES)
_ADDRESS = re.compile(r"\b([\w.+-]+)@[\w.-]+\b")
_URL = re.compile(r"\bhttps?://\S+", re.IGNORECASE)
_WORD = re.compile(r"\d+(?:[.,:/-]\d+)+|[^\W_]+(?:['’][^\W_]+)*")
_MINE = re.compile(r"\b(?:to\s+)?(?:me|mir|mich)\b", re.IGNORECASE)
_CAPITAL = re.compile(r"(?<=[\w,;] )[A-ZÄÖÜ][\w'’-]+")
_MARKERS = re.compile(r"^(?:\W*(?:todo|to-do|action item|task|aufgabe)\b\W*)+", re.IGNORECASE)
_LONGEST = 500
_FEW = 3
"""Among so few words each one weighs enough."""


def title_of(text: str) -> str:
    """Return ``text`` as the title of a task: one line, without courtesy at its beginning."""
    line = _MARKERS.sub("", " ".join(text.split()))
    while match := _POLITE.match(line):
        line = line[match.end() :].lstrip(" ,;:-")
    line = (line or " ".join(text.split()))[:_LONGEST].strip()
    return line[:1].upper() + line[1:]


def normalise(text: str, *, asker: str = "", place: str = "") -> str:
    """Return the canonical words of a task.

    ``asker`` is the name of whoever says "me". ``place`` (a subject, an event's or document's name) is added where the
    words alone would mean something else elsewhere: "call back", "send the file".
    """
    words, weighty = _words(_MINE.sub(f" {asker} ", text) if asker else text, names=asker.split())
    if all(word in VERBS or word in VAGUE for word in words):
        more, _ = _words(place, names=[])
        words |= more
    return " ".join(sorted(repeated for word in words for repeated in _weighed(word, word in weighty, words)))


def first_name(name: str) -> str:
    """Return "Anna" for "Anna Kern" and for "Kern, Anna"."""
    words = (name.partition(",")[2] or name).replace(",", " ").split()
    return words[0] if words else ""


def _words(text: str, *, names: list[str]) -> tuple[set[str], set[str]]:
    """Return the canonical words of ``text``, and those of them that are names or numbers."""
    plain = unicodedata.normalize("NFKC", text[:_LONGEST])
    plain = _ADDRESS.sub(lambda m: m[1].split(".")[0].capitalize(), _URL.sub(" ", plain))
    plain = _POLITE.sub(" ", without_dates(plain))
    for pattern, replacement in _PHRASES:
        plain = pattern.sub(replacement, plain)
    named = {w.casefold() for w in [*_CAPITAL.findall(_lowered_shouting(plain)), *names]}
    raw = [word for word in map(str.casefold, _WORD.findall(plain)) if word not in STOP]
    words = {word: _canonical(word) for word in raw}
    weighty = {c for w, c in words.items() if w == "not" or (w in named and w not in SAME and c not in VERBS)}
    return set(words.values()), weighty


def _weighed(word: str, weighty: bool, words: set[str]) -> list[str]:
    """Return a word as often as its weight asks for: a name makes about a third of the letters."""
    if any(map(str.isdigit, word)):
        return [f"{word}#{sha256(word.encode()).hexdigest()[:8]}"]
    letters = sum(map(len, words))
    if not weighty or len(words) <= _FEW:
        return [word]
    return [word] * max(1, min(4, -(-letters // (3 * len(word)))))


def _lowered_shouting(text: str) -> str:
    """Return no capitals at all where everything is one."""
    return text.casefold() if text.isupper() else text


def _canonical(word: str) -> str:
    word = re.sub(r"['’]s?$", "", word)
    return SAME.get(word) or SAME.get(lemma := _lemma(word), lemma)


def _lemma(word: str) -> str:
    """Take off the endings of plural, past and gerund; crude, and the same for both sides of a comparison."""
    if len(word) < 5 or not word.isascii() or not word.isalpha():
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith("s") and not word.endswith(("ss", "us", "is", "as")):
        return _lemma(word[:-2] if word.endswith(("sses", "shes", "ches", "xes")) else word[:-1])
    for ending in ("ing", "ed"):
        stem = word.removesuffix(ending)
        if stem != word and len(stem) >= 3 and re.search("[aeiouy]", stem):
            return _restored(stem)
    return word


def _restored(stem: str) -> str:
    """Return the verb of a stem: "shar" is "share", "plann" is "plan"."""
    if len(stem) > 3 and stem[-1] == stem[-2] and stem[-1] not in "lsz":
        return stem[:-1]
    for verb in (stem, stem + "e"):
        if verb in VERBS or verb in SAME:
            return verb
    return stem + "e" if re.search(r"[aeiou][cgsuvz]$|[^aeiou]at$|[iou]r$|ar$", stem) else stem
