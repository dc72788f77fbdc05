"""Find the folder for an attachment: the one whose files are most alike."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from brody_agents.items import DocumentItem
from brody_file.attachments import Known
from brody_file.index import Index, Match, Query, Weights

ALIKE = 0.42
"""A folder below is not alike enough."""
_ONLY_ONE = 0.8
"""What the likeness of a single file counts, where the folder has no second one."""
_WEIGHTS = Weights(title=0.75, people=0.7, text=0.4, folder=1.0, absent=0.25)
"""The folder's name and the sender count much; one person gives half of what people can give."""
_DATES = re.compile(
    r"\d+|(?<![^\W_])(?:jan(?:uary|uar)?|feb(?:ruary|ruar)?|mar(?:ch)?|märz|apr(?:il)?|may|mai|june?|juni|july?|juli"
    r"|aug(?:ust)?|sep(?:t(?:ember)?)?|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?)(?![^\W_])",
    re.IGNORECASE,
)
_YEAR = re.compile(r"(?:19|20)\d\d")
_MONTH = re.compile(r"(?:0[1-9]|1[0-2])")
_SEPARATOR = re.compile(r"[\\/]")
_FORBIDDEN = re.compile(r'[<>:"|?*]+')
_INVISIBLE = frozenset(["Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"])
_ENDING = re.compile(r"[^\W_]{1,10}")
_LONGEST_NAME = 180
"""Bytes of UTF-8; most file systems allow 255 with the ending and the day."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an attachment should lie, how sure that is, and why."""

    path: str
    likeness: float
    why: str


def query_of(attachment: Known) -> Query:
    """Return what the index is asked for: files like this attachment, of whatever number and date."""
    name, subject = (_DATES.sub(" ", words) for words in (attachment.name, attachment.subject))
    return Query(name, people=(attachment.sender,), text=subject, weights=_WEIGHTS)


def is_filed(attachment: Known, documents: Collection[DocumentItem]) -> bool:
    """Say whether a file of the same name and size is there already."""
    name = file_name(attachment.name).casefold()
    return any(d.size == attachment.size and d.name.casefold() in (name, attachment.name.casefold()) for d in documents)


def place_of(attachment: Known, index: Index, folders: Mapping[str, str], taken: Collection[str]) -> Place | None:
    """Return the path for an attachment, or ``None`` where no folder is alike enough.

    ``folders`` gives the folder of each document by its id, ``taken`` are the paths that exist.
    """
    matches = index.search(query_of(attachment), least=0.2, limit=50)
    best = _best_folder(matches, folders)
    if best is None or best[1] < ALIKE:
        return None
    folder, likeness, nearest = best
    received = datetime.fromisoformat(attachment.at)
    path = _free(_dated(folder, received), file_name(attachment.name), received, taken)
    reasons = "; ".join(nearest.reasons)
    return Place(path, likeness, f'It is like "{nearest.entry.name}" in "{folder or "/"}": {reasons}.')


def file_name(name: str) -> str:
    """Return a name that others chose as one safe path segment: no separators, nothing invisible, not hidden."""
    last = next((part for part in reversed(_SEPARATOR.split(name)) if part.strip(" .")), "")
    visible = "".join(c for c in unicodedata.normalize("NFC", last) if unicodedata.category(c) not in _INVISIBLE)
    stem, dot, ending = _FORBIDDEN.sub("_", visible).strip(" .").rpartition(".")
    if not _ENDING.fullmatch(ending) or not dot:
        stem, ending = f"{stem}{dot}{ending}", ""
    shortened = stem.encode()[:_LONGEST_NAME].decode(errors="ignore").strip(" .")
    return f"{shortened or 'attachment'}{'.' if ending else ''}{ending}"


def _best_folder(matches: Sequence[Match], folders: Mapping[str, str]) -> tuple[str, float, Match] | None:
    """Return the folder with the highest likeness, that likeness, and its nearest file."""
    by_folder: dict[str, list[Match]] = {}
    for match in matches:
        by_folder.setdefault(folders[match.entry.id], []).append(match)
    scored = [(folder, _likeness(there), there[0]) for folder, there in by_folder.items()]
    return max(scored, key=lambda s: (s[1], s[0]), default=None)


def _likeness(there: Sequence[Match]) -> float:
    second = there[1].score if len(there) > 1 else there[0].score * (2 * _ONLY_ONE - 1)
    return round((there[0].score + second) / 2, 4)


def _dated(folder: str, received: datetime) -> str:
    """Return the folder with its year, and the month below it, set to when the mail came."""
    parts = folder.split("/")
    years = [n for n, part in enumerate(parts) if _YEAR.fullmatch(part)]
    if not years:
        return folder
    year = years[-1]
    parts[year] = f"{received.year:04}"
    if len(parts) > year + 1 and _MONTH.fullmatch(parts[year + 1]):
        parts[year + 1] = f"{received.month:02}"
    return "/".join(parts)


def _free(folder: str, name: str, received: datetime, taken: Collection[str]) -> str:
    """Return a path that does not exist; a name that is taken gets the day the mail came."""
    path = f"{folder}/{name}".lstrip("/")
    if path.casefold() not in taken:
        return path
    stem, dot, ending = path.rpartition(".")
    day = received.date().isoformat()
    return f"{stem} {day}.{ending}" if dot and "/" not in ending else f"{path} {day}"
