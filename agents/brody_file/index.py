"""Score documents against a meeting, a thread or an attachment: by name, folder, title, text and people.

A term counts the more, the fewer documents have it (inverse document frequency); in a text it saturates as in BM25.
Everything here is pure.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date

from brody_file.words import WEAK, WEAK_WEIGHT, distinct, terms

_IN_TEXT = 0.75
_SATURATION = 1.2
"""BM25's k1: how many times a term must stand in a text of average length to reach about half its weight."""
_LENGTH = 0.5
"""BM25's b: how much longer texts are discounted."""
_PREFIX = 5
"""Letters that two terms must share from the beginning to count as related: budget, budgetplanung."""
_RELATED = 0.8
_NAMED = 0.95
_SAME_DAY = 0.6
_OTHER_DAY = 0.85
_DAY = re.compile(r"(?<!\d)(\d{4})[-_.]?(\d\d)[-_.]?(\d\d)(?!\d)")
_SHARED_DOMAINS = frozenset(
    ["gmail", "googlemail", "outlook", "hotmail", "live", "yahoo", "icloud", "aol", "gmx", "web", "proton", "posteo"]
)
_ROLE_WORDS = """
billing info office sales support team hello contact admin mail news service noreply no-reply invoice invoices accounts
hr rechnung buchhaltung kontakt
"""
_ROLES = frozenset(_ROLE_WORDS.split())


@dataclass(frozen=True, slots=True)
class Entry:
    """A document as the index sees it."""

    id: str
    name: str
    folder: str = ""
    title: str = ""
    people: tuple[str, ...] = ()
    """Who it came from or went to, for an attachment."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """How often its text has the terms that are asked for."""
    length: int = 0


@dataclass(frozen=True, slots=True)
class Weights:
    """What counts how much; title, people and text are the most that each can give to a score."""

    title: float = 0.9
    people: float = 0.25
    text: float = 0.35
    folder: float = 0.6
    """What a term in the folder's name counts beside one in the file's."""
    absent: float = 0.5
    """What a term counts that no document has; it tells none apart."""


@dataclass(frozen=True, slots=True)
class Query:
    """What documents are looked for."""

    title: str
    people: tuple[str, ...] = ()
    text: str = ""
    weights: Weights = Weights()
    day: date | None = None
    """When it is; a document whose name has that day fits better, one whose name has another worse."""
    ours: frozenset[str] = frozenset()
    """Words that name nobody, since all have them: the user's own company."""

    def wanted(self) -> frozenset[str]:
        """Return all terms whose counts the index needs."""
        return frozenset(distinct([self.title, self.text, *map(person_words, self.people)]))


@dataclass(frozen=True, slots=True)
class Match:
    """A document with its score (0 to 1) and the reasons in words."""

    entry: Entry
    score: float
    reasons: tuple[str, ...]


def address_of(person: str) -> str:
    """Return the address in "Name <address>", or in an address alone, in lower case."""
    return person.rpartition("<")[2].rstrip("> ").casefold()


def person_words(person: str) -> str:
    """Return the words by which a document may name a person: name, local part, the domain unless many share it."""
    local, _, domain = address_of(person).partition("@")
    words = f"{person.rpartition('<')[0]} {local.replace('.', ' ')} {company_of(domain)}".split()
    return " ".join(word for word in words if word.strip('"').casefold() not in _ROLES)


def company_of(domain: str) -> str:
    """Return the name of whoever has a domain, or nothing where many share it: "acme" for "acme.example"."""
    labels = domain.split(".")
    return labels[-2] if len(labels) > 1 and labels[-2] not in _SHARED_DOMAINS else ""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A query in terms, with the documents that have them."""

    title: tuple[str, ...]
    text: tuple[str, ...]
    weight: dict[str, float]
    strengths: dict[str, dict[str, float]]
    met: dict[str, set[str]]
    named: set[str]


class Index:
    """Documents, and which of them have a term where; built for one set of queries."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = {e.id: e for e in sorted(entries, key=lambda e: e.id)}
        everything = self._entries.values()
        self._names = _postings((e.id, terms(f"{e.name} {e.title}")) for e in everything)
        self._folders = _postings((e.id, terms(e.folder)) for e in everything)
        self._texts = _postings((e.id, e.counts) for e in everything)
        self._people = _postings((e.id, distinct(map(person_words, e.people))) for e in everything)
        self._vocabulary = sorted(self._names)
        lengths = [e.length for e in everything if e.length]
        self._average = sum(lengths) / len(lengths) if lengths else 1.0

    def search(self, query: Query, least: float, limit: int) -> list[Match]:
        """Return the best matches that score at least ``least``, best first."""
        asked = self._asked(query)
        keys = set[str]().union(asked.named, *asked.strengths.values(), *asked.met.values())
        matches = (self._match(key, asked, query) for key in keys)
        best = sorted((m for m in matches if m.score >= least), key=lambda m: (-m.score, m.entry.name, m.entry.id))
        return best[: max(0, limit)]

    def _asked(self, query: Query) -> _Asked:
        title = distinct([query.title])
        text = tuple(term for term in distinct([query.text]) if term not in title)
        return _Asked(
            title=title,
            text=text,
            weight={term: self._weight(term, query.weights.absent) for term in title + text},
            strengths={term: self._strengths(term, query.weights.folder) for term in title + text},
            met={person: self._meets(person, query.ours) for person in query.people},
            named=self._named(query),
        )

    def _match(self, key: str, asked: _Asked, query: Query) -> Match:
        entry, weights = self._entries[key], query.weights
        here = {term: there[key] for term, there in asked.strengths.items() if key in there}
        people = [person for person, ids in asked.met.items() if key in ids]
        covered = _coverage(asked.title, here, asked.weight)
        days = _days(entry.name) if query.day else set()
        parts = (
            weights.title * covered,
            weights.people * (1 - 0.5 ** len(people)),
            weights.text * _coverage(asked.text, here, asked.weight),
            _SAME_DAY * min(1.0, 2 * covered) if query.day in days else 0.0,
        )
        score = (1 - math.prod(1 - part for part in parts)) * (_OTHER_DAY if days and query.day not in days else 1.0)
        reasons = [
            *(["it is named there"] if key in asked.named else []),
            *(["its name has the day"] if query.day in days else []),
            *self._reasons(key, here, people),
        ]
        return Match(entry, round(max(score, _NAMED if key in asked.named else 0.0), 4), tuple(reasons))

    def _strengths(self, term: str, folder: float) -> dict[str, float]:
        """Return how strongly each document has a term: in its text, its folder, its name, or nearly in its name."""
        found = {key: self._in_text(term, self._entries[key]) for key in self._texts.get(term, ())}
        related = {key for word in self._related(term) for key in self._names[word]}
        for where, strength in ((self._folders.get(term, ()), folder), (related, _RELATED)):
            found |= {key: max(strength, found.get(key, 0.0)) for key in where}
        return found | dict.fromkeys(self._names.get(term, ()), 1.0)

    def _in_text(self, term: str, entry: Entry) -> float:
        tf = entry.counts[term]
        length = 1 - _LENGTH + _LENGTH * entry.length / self._average
        return _IN_TEXT * tf / (tf + _SATURATION * length)

    def _related(self, term: str) -> list[str]:
        """Return the words of names that begin with the term, or with which the term begins."""
        if len(term) < _PREFIX:
            return []
        longer = self._vocabulary[
            bisect_left(self._vocabulary, term) : bisect_left(self._vocabulary, f"{term}\U0010ffff")
        ]
        return longer + [term[:n] for n in range(_PREFIX, len(term)) if term[:n] in self._names]

    def _meets(self, person: str, ours: frozenset[str]) -> set[str]:
        """Return the documents that have a person: among their people, or by a rare word of theirs."""
        words = [w for w in distinct([person_words(person)]) if len(w) > 2 and w not in ours and self._is_rare(w)]
        places = (self._people, self._names, self._texts)
        return {key for word in words for where in places for key in where.get(word, ())}

    def _is_rare(self, word: str) -> bool:
        """Say no to words that many documents have."""
        return self._frequency(word) <= max(3, len(self._entries) // 3)

    def _named(self, query: Query) -> set[str]:
        """Return the documents that a query names: by the file's name, or by a stem of several terms."""
        plain = f"{query.title} {query.text}".casefold()
        words = f" {' '.join(terms(query.title))} . {' '.join(terms(query.text))} "
        return {entry.id for entry in self._entries.values() if _is_named(entry.name, plain, words)}

    def _frequency(self, term: str) -> int:
        places = (self._names, self._folders, self._texts)
        return len(set[str]().union(*(where.get(term, ()) for where in places)))

    def _weight(self, term: str, absent: float) -> float:
        """Return the inverse document frequency; of a term that no document has, only a share."""
        frequency = self._frequency(term)
        weight = math.log((len(self._entries) + 10) / (frequency + 1)) * (WEAK_WEIGHT if term in WEAK else 1.0)
        return weight if frequency else weight * absent

    def _reasons(self, key: str, here: Mapping[str, float], people: Sequence[str]) -> list[str]:
        name = [t for t, strength in here.items() if key in self._names.get(t, ()) or strength == _RELATED]
        folder = [t for t in here if key in self._folders.get(t, ()) and t not in name]
        text = [t for t in here if t not in name and t not in folder]
        found = (("its name has", name), ("its folder has", folder), ("its text has", text))
        reasons = [f"{words} {_listed(there)}" for words, there in found if there]
        return reasons + ([f"it has to do with {', '.join(people[:3])}"] if people else [])


def _postings(rows: Iterable[tuple[str, Iterable[str]]]) -> dict[str, set[str]]:
    """Return the documents that have each term."""
    found: dict[str, set[str]] = {}
    for key, there in rows:
        for term in there:
            found.setdefault(term, set()).add(key)
    return found


def _is_named(name: str, plain: str, words: str) -> bool:
    if "." in name[1:] and name.casefold() in plain:
        return True
    stem = terms(name.rpartition(".")[0] or name)
    return len(stem) > 1 and f" {' '.join(stem)} " in words


def _days(name: str) -> set[date]:
    """Return the days that a name has as 2026-05-11 or 20260511."""
    found = set()
    for year, month, day in _DAY.findall(name):
        with suppress(ValueError):
            found.add(date(int(year), int(month), int(day)))
    return found


def _coverage(asked: Sequence[str], strengths: Mapping[str, float], weight: Mapping[str, float]) -> float:
    """Return the share of the asked terms that a document covers, by weight."""
    whole = sum(weight[t] for t in asked)
    return sum(weight[t] * strengths.get(t, 0.0) for t in asked) / whole if whole else 0.0


def _listed(words: Sequence[str]) -> str:
    return ", ".join(f'"{word}"' for word in words[:5])
