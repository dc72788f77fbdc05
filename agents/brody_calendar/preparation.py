"""Preparation: which meetings need some, what to ask for them, and what the answers come to."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from brody_agents.communication.payloads import FindDocuments, FoundDocument
from brody_agents.integrations.calendar.base import Event
from brody_calendar.occasion import is_movable, others, takes_time

_ON_PAPER = re.compile(
    r"\b(?:review|deck|slides?|agenda|report|contract|agreement|proposal|draft|budget|roadmap|presentation|minutes|spec"
    r"|paper|offer|pitch|demo|interview|retro(?:spective)?|planning|vertrag|angebot|bericht|präsentation|protokoll"
    r"|entwurf|antrag|unterlagen|abnahme)\b",
    re.IGNORECASE,
)
_LONGEST = 2000


def needs_preparation(event: Event, own: Collection[str]) -> bool:
    """Say whether papers may belong to it: other people are there, or its title speaks of something written."""
    if event.all_day or is_movable(event) or not takes_time(event, own):
        return False
    return bool(others(event, own)) or bool(_ON_PAPER.search(event.title))


def question(event: Event, own: Collection[str]) -> FindDocuments:
    """Return what is asked of those who know documents."""
    return FindDocuments(
        subject_id=event.id,
        title=event.title[:_LONGEST],
        people=sorted(person.address[:_LONGEST] for person in others(event, own)),
        text=event.description[:_LONGEST],
    )


def nothing_found() -> dict[str, Any]:
    """Return the value of a meeting before the first answer."""
    return {"documents": []}


def merged(value: Mapping[str, Any], answers: Iterable[FoundDocument]) -> dict[str, Any]:
    """Return a meeting's value with answers joined in; the same, in whatever order and number they come.

    A document is there once, with its best score and all reasons.
    """
    found: dict[str, dict[str, Any]] = {}
    for document in (*value.get("documents", ()), *map(_plain, answers)):
        known = found.get(document["id"])
        found[document["id"]] = _joined(known, document) if known else document
    return {"documents": sorted(found.values(), key=_order)}


def _plain(document: FoundDocument) -> dict[str, Any]:
    return {
        "id": document.document_id,
        "name": document.name,
        "score": document.score,
        "reasons": sorted(set(document.reasons)),
        "source": document.source,
    }


def _joined(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    best = min(one, other, key=lambda document: (-document["score"], document["name"], document["source"]))
    return {**best, "reasons": sorted({*one["reasons"], *other["reasons"]})}


def _order(document: Mapping[str, Any]) -> tuple[float, str, str]:
    return -document["score"], document["name"], document["id"]
