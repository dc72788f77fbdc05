"""An address book in a file or a folder of files: ``vcf:PATH`` (vCard 2.1, 3.0 and 4.0, read by `vobject`)."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from brody_agents.errors import SourceNotFound
from brody_agents.integrations.base import BadItem, Known, Page
from brody_agents.integrations.charsets import clean, decode
from brody_agents.integrations.contacts.base import RawContact
from brody_agents.integrations.listing import PAGE_ITEMS, UNREAD, Entry, Listing, list_file, scan_tree
from brody_agents.integrations.local import account_key, file_etag, place_of, read_file, reason

LARGEST = 50_000_000
_BOUNDS = re.compile(r"^(BEGIN|END)[ \t]*:[ \t]*VCARD[ \t]*\r?$", re.I | re.M)


@dataclass(slots=True)
class _Book:
    """All cards of the account, and files that could not be read."""

    cards: dict[str, RawContact] = field(default_factory=dict)
    bad: dict[str, BadItem] = field(default_factory=dict)
    complete: bool = True

    @property
    def total(self) -> int:
        return len(self.cards) + len(self.bad)


class Vcf:
    """The cards of a .vcf file, or of all .vcf files in a folder; the key is the UID, the version the content's hash.

    A card without a UID, and the second one with the same UID, are named by the hash of their content.
    """

    scheme = "vcf"

    def __init__(self, path: str) -> None:
        self.path = place_of(self.scheme, path)
        if not (self.path.is_dir() or self.path.is_file()):
            raise SourceNotFound(f"{self.account} is neither a file nor a folder.", "Check the path of this account.")

    @property
    def account(self) -> str:
        """Return ``vcf:/absolute/path``."""
        return account_key(self.scheme, self.path)

    async def changes(self, cursor: str | None, known: Known) -> AsyncIterator[Page[RawContact]]:
        """Yield new and changed cards, and keys that are gone; files that have not changed are not opened."""
        listing = await asyncio.to_thread(self._scan)
        digest = listing.digest()
        seen, _, count = (cursor or "").rpartition("/")
        if digest and seen == digest:
            yield Page(cursor=cursor or "", total=int(count))
            return
        book = await asyncio.to_thread(_read, listing)
        have = await known()
        new = [card for card in book.cards.values() if have.get(card.key) != card.version]
        bad = [item for item in book.bad.values() if have.get(item.key) != item.version]
        gone = sorted(have.keys() - book.cards.keys() - book.bad.keys()) if book.complete else []
        cursor = f"{digest}/{book.total}" if book.complete and digest else ""
        last = max(len(new), len(bad), len(gone), 1) - 1
        for start in range(0, last + 1, PAGE_ITEMS):
            part = slice(start, start + PAGE_ITEMS)
            yield Page(new[part], bad[part], gone[part], cursor if last < start + PAGE_ITEMS else "", book.total)

    async def check(self) -> str:
        """Count the cards."""
        book = await asyncio.to_thread(lambda: _read(self._scan()))
        return f"{len(book.cards)} cards, {len(book.bad)} unreadable"

    async def close(self) -> None:
        """Do nothing: no handle is kept."""

    def _scan(self) -> Listing:
        if os.path.isdir(self.path):
            listing = scan_tree(self.path, file_etag, LARGEST)
            listing.entries = [e for e in listing.entries if e.key.lower().endswith((".vcf", ".vcard", "/"))]
            return listing
        return list_file(self.path, file_etag, LARGEST)


def _read(listing: Listing) -> _Book:
    book = _Book()
    for entry in sorted(listing.entries, key=lambda entry: entry.key):
        if entry.problem:
            _fail(book, BadItem(entry.key, entry.version, entry.problem))
            continue
        try:
            data, _ = read_file(Path(entry.path))
        except OSError as error:
            _fail(book, BadItem(entry.key, UNREAD + entry.version, f"It cannot be read: {reason(error)}."))
            continue
        for text in _cards(decode(data)):
            _add(book, entry, text)
    return book


def _fail(book: _Book, bad: BadItem) -> None:
    book.bad[bad.key] = bad
    book.complete = False  # what stands in there is not gone, only out of sight


def _add(book: _Book, entry: Entry, text: str) -> None:
    digest = hashlib.sha256(text.replace("\r\n", "\n").strip().encode("utf-8", "replace")).hexdigest()[:40]
    card = read_card(text, digest)
    if isinstance(card, str):
        key = f"{entry.key}#{digest}"
        book.bad[key] = BadItem(key, digest, card, text.encode("utf-8", "replace")[:100_000])
    else:
        key = digest if card.key in book.cards else card.key
        book.cards[key] = replace(card, key=key)


def _cards(text: str) -> Iterator[str]:
    """Yield each card as it stands in a file; one that is not closed ends where the next one begins."""
    begin = -1
    for match in _BOUNDS.finditer(text):
        opens = match[1].upper() == "BEGIN"
        if begin >= 0:
            yield text[begin : match.start() if opens else match.end()]
        begin = match.start() if opens else -1
    if begin >= 0:
        yield text[begin:]


def read_card(text: str, digest: str) -> RawContact | str:
    """Read one vCard; ``digest`` is its version, and its key if it has no UID. A text says why it cannot be read."""
    import vobject

    try:
        card = vobject.readOne(text, allowQP=True)
    except Exception as error:  # the library raises whatever its patterns trip over
        return f"The card cannot be read: {clean(str(error))[:300]}."
    emails = [value.removeprefix("mailto:").lower() for value in _values(card, "email")]
    names = [*_values(card, "fn"), *_values(card, "n"), *_values(card, "nickname"), *_values(card, "org"), *emails]
    if not names:
        return "The card has neither a name nor an address."
    return RawContact(
        key=next(iter(_values(card, "uid")), digest)[:500],
        version=digest,
        name=names[0],
        addresses=tuple(dict.fromkeys(emails)),
        phones=tuple(dict.fromkeys(value.removeprefix("tel:") for value in _values(card, "tel"))),
        organisation=next(iter(_values(card, "org")), ""),
        title=next(iter(_values(card, "title")), ""),
    )


def _values(card: Any, name: str) -> list[str]:
    texts = [_text(line.value) for line in card.contents.get(name, ())]
    return [text for text in texts if text]


def _text(value: Any) -> str:
    if isinstance(value, list):  # ORG: the company, then its units
        value = ", ".join(str(part) for part in value if part)
    return " ".join(clean(str(value)).split())[:500]
