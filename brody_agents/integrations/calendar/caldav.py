"""Calendars on a server: ``caldav:https://USER@HOST/PATH`` (RFC 4791), a calendar or a whole account.

**Which calendars.** A path that is a calendar is that one; any other leads to the user's calendars, by way of
``/.well-known/caldav`` (RFC 6764), the principal and its home set.

**Reading** asks each calendar for what changed since its sync token (RFC 6578). A server that does not know the token
any more, or has none, is asked for a listing, which is compared with what the ledger has, as with ``ics:``.

**Versions** are ``ETAG|mark``, the mark naming calendar and resource, so that a resource that is gone is told by its
UID, and a write can be conditional.

**Writing** names its own resource after the UID and is conditional: ``If-None-Match: *`` makes (RFC 9110, 13.1.2),
``If-Match`` changes and deletes; 412 is ``Stale``. ``NotSent`` and ``Refused`` mean that surely nothing was changed,
``OutcomeUnknown`` that the answer was lost: then ``find`` tells, and trying again is harmless, because the condition
fails if the first try did succeed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from brody_agents.errors import (
    BrodyError,
    ConfigurationError,
    ItemUnreadable,
    NotFound,
    ProviderError,
    Refused,
    SourceNotFound,
    Stale,
)
from brody_agents.integrations import remote
from brody_agents.integrations.base import BadItem, Known, Page
from brody_agents.integrations.calendar import caldav_xml as xml
from brody_agents.integrations.calendar import ics_edit, ics_text
from brody_agents.integrations.calendar.base import RawEvent
from brody_agents.integrations.calendar.expansion import StoredEvent, check
from brody_agents.integrations.listing import batched

if TYPE_CHECKING:
    from caldav.response import DAVResponse

    from brody_agents.integrations.calendar.caldav_client import Client

PORTS = {"https": 443, "http": 80}
_DEPTH_0, _DEPTH_1 = {"Depth": "0"}, {"Depth": "1"}


@dataclass(frozen=True, slots=True)
class Calendar:
    """One calendar of the account; ``path`` is decoded and ends with ``/``."""

    path: str
    name: str
    ctag: str = ""

    @property
    def mark(self) -> str:
        """Return what begins the marks of its resources."""
        return _digest(self.path)


@dataclass(slots=True)
class Delta:
    """What is to be read of a calendar: ETags by path, marks of what is gone, and where the next read begins."""

    changed: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    token: str = ""
    whole: bool = False
    """Whether ``changed`` is a listing of all that there is."""


class CalDav:
    """The events of a CalDAV account; implements ``CalendarProvider``.

    A UID that lies in several of the account's calendars is one event: the one that was read last.
    """

    def __init__(self, url: str) -> None:
        self._place = remote.place_of(url, PORTS)
        if self._place.scheme == "http" and not self._place.loopback:
            raise ConfigurationError(f"{self.account} would be read by others on the way.", "Write https://.")
        self._origin = f"{self._place.scheme}://{self._place.netloc}"
        self._client: Client | None = None
        self._calendars: list[Calendar] = []

    @property
    def account(self) -> str:
        """Return ``caldav:`` and the URL, without any secret."""
        return f"caldav:{self._place.key}"

    async def changes(self, cursor: str | None, known: Known) -> AsyncIterator[Page[RawEvent]]:
        """Yield what changed in each calendar since its token; see ``Provider.changes``."""
        tokens = _tokens(cursor)
        calendars = await self._discovered(again=True)
        deltas = {calendar: await self._delta(calendar, tokens.get(calendar.path)) for calendar in calendars}
        dropped = tokens.keys() - {calendar.path for calendar in calendars}
        have = await known() if dropped or any(d.whole or d.changed or d.gone for d in deltas.values()) else {}
        versions, gone = set(have.values()), _gone(have, deltas)
        placeless = (
            {uid for uid, version in have.items() if not version} if all(d.whole for d in deltas.values()) else set()
        )
        for calendar, delta in deltas.items():
            todo = [p for p, etag in delta.changed.items() if _version(etag, calendar, p) not in versions]
            for paths in batched(sorted(todo)):
                page = await self._page(calendar, paths)
                gone |= _replaced(have, {_mark(calendar, path) for path in paths}, page)
                placeless -= _keys(page)
                yield page
        gone |= placeless  # all that there is was listed, and what was not known was read
        still = [event for uid in sorted(gone) if len(calendars) > 1 and (event := await self.find(uid))]
        removed = sorted(gone - {event.key for event in still})
        yield Page(still, removed=removed, cursor=json.dumps({c.path: d.token for c, d in deltas.items()}))

    async def check(self) -> str:
        """Find the calendars and name them."""
        calendars = await self._discovered(again=True)
        secure = "TLS" if self._place.scheme == "https" else "not encrypted, on this machine"
        return f"{len(calendars)} calendars ({', '.join(c.name for c in calendars)}), {secure}"

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def fetch(self, uid: str) -> RawEvent:
        """Return one event with its exceptions, or raise ``NotFound``."""
        event = await self.find(uid)
        if event is None:
            raise NotFound(f"{self.account} has no event {uid!r}.", "Read the calendar again.")
        return event

    async def find(self, uid: str) -> RawEvent | None:
        """Look for a UID in every calendar; ``None`` if it is in none, ``ItemUnreadable`` if it is there but broken."""
        for calendar in await self._discovered():
            answer = await self._asked("REPORT", calendar.path, xml.query(uid), _DEPTH_1)
            for read in _events(calendar, answer):
                if read.key == uid and isinstance(read, BadItem):
                    raise ItemUnreadable(f"{uid}: {read.reason}")
                if read.key == uid and isinstance(read, RawEvent):
                    return read
        return None

    async def put(self, event: RawEvent, version: str | None) -> str:
        """Store all components of a UID and return its new version.

        ``version=None`` means that it must not exist yet, in any calendar; it is made in the calendar that
        ``event.path`` or ``event.calendar`` names, else in the first. Raises ``Stale``, ``Refused``, ``NotSent``,
        ``OutcomeUnknown``.
        """
        there = await self.find(event.key)
        if version is None:
            if there is not None:
                raise Stale(f"{event.key} is in the calendar already.", "Read it, then decide again.")
            return await self._write(event, *await self._home(event), {"If-None-Match": "*"})
        if there is None:
            raise Stale(f"{event.key} is no longer in the calendar.", "Read the calendar again.")
        return await self._write(event, await self._calendar_of(there.path), there.path, {"If-Match": _etag(version)})

    async def delete(self, uid: str, version: str | None) -> None:
        """Remove all components of a UID; ``version=None`` removes whatever is there. Raises as :meth:`put` does."""
        there = await self.find(uid)
        if there is None:
            raise NotFound(f"{self.account} has no event {uid!r}.", "It is gone already.")
        condition = {"If-Match": _etag(version)} if version is not None else {}
        answer = await self._connected().request("DELETE", there.path, "", condition)
        if answer.status in (404, 410):
            raise NotFound(f"{self.account} has no event {uid!r}.", "It is gone already.")
        _accepted(answer, uid)

    # -- writing ---------------------------------------------------------------------------------------

    async def _write(self, event: RawEvent, calendar: Calendar, path: str, condition: Mapping[str, str]) -> str:
        headers = {"Content-Type": "text/calendar; charset=utf-8", **condition}
        answer = await self._connected().request("PUT", path, event.data, headers)
        _accepted(answer, event.key)
        etag = answer.headers.get("ETag")
        if etag:
            return _version(etag, calendar, path)
        with suppress(BrodyError):  # a server that changes what it stores tells no ETag
            return (await self.fetch(event.key)).version
        return _version("", calendar, path)  # it is stored all the same; the next change has to read it first

    async def _home(self, event: RawEvent) -> tuple[Calendar, str]:
        """Return where a new event goes: its calendar and its path."""
        calendars = await self._discovered()
        by_path = [c for c in calendars if event.path.startswith(c.path)]
        by_name = [c for c in calendars if event.calendar and c.name == event.calendar]
        calendar = next(iter([*by_path, *by_name, *calendars]))
        return calendar, calendar.path + ics_edit.file_name(event.key)

    async def _calendar_of(self, path: str) -> Calendar:
        return next(c for c in await self._discovered() if path.startswith(c.path))

    # -- reading ---------------------------------------------------------------------------------------

    async def _page(self, calendar: Calendar, paths: Sequence[str]) -> Page[RawEvent]:
        from brody_agents.integrations.calendar.caldav_client import TooLarge, encoded

        body = xml.multiget([encoded(path) for path in paths])
        try:
            answer = await self._asked("REPORT", calendar.path, body, _DEPTH_1)
        except TooLarge:
            if len(paths) == 1:
                return Page(bad=[BadItem(paths[0], f"too large|{_mark(calendar, paths[0])}", "It is too large.")])
            middle = len(paths) // 2
            halves = [await self._page(calendar, half) for half in (paths[:middle], paths[middle:])]
            return Page([i for h in halves for i in h.items], [b for h in halves for b in h.bad])
        read = _events(calendar, answer)
        return Page([r for r in read if isinstance(r, RawEvent)], [r for r in read if isinstance(r, BadItem)])

    async def _delta(self, calendar: Calendar, token: str | None) -> Delta:
        kind, _, value = (token or "").partition(":")
        if kind == "ctag" and value and value == calendar.ctag:
            return Delta(token=token or "")
        for start in dict.fromkeys([value if kind == "sync" else "", ""]):
            delta = await self._synced(calendar, start)
            if delta is not None:
                return delta
        return await self._listed(calendar)

    async def _synced(self, calendar: Calendar, token: str) -> Delta | None:
        """Ask for changes since a token, ``""`` for all; ``None`` if the server does not know it, or no tokens."""
        delta = Delta(whole=not token)
        while True:
            try:
                answer = await self._connected().request("REPORT", calendar.path, xml.sync(token), _DEPTH_0)
                found = answer.parse_sync_collection()
            except BrodyError as error:
                if isinstance(error, Refused):  # 403 valid-sync-token: also the answer of servers without tokens
                    return None
                raise
            except Exception:  # any other status, or no multistatus: the listing will tell
                return None
            for item in found.changed:
                if not item.href.endswith("/"):
                    delta.changed[item.href] = item.etag or ""
            delta.gone |= {_mark(calendar, href) for href in found.deleted}
            delta.token = f"sync:{found.sync_token}" if found.sync_token else ""
            if not found.truncated or not found.sync_token or found.sync_token == token:
                return delta if found.sync_token and not found.truncated else None
            token = found.sync_token

    async def _listed(self, calendar: Calendar) -> Delta:
        answer = await self._asked("PROPFIND", calendar.path, xml.propfind("getetag"), _DEPTH_1)
        etags = {r.href: r.properties.get("{DAV:}getetag") for r in _results(answer, "propfind")}
        changed = {path: etag for path, etag in etags.items() if etag and not path.endswith("/")}
        return Delta(changed, token=f"ctag:{calendar.ctag}" if calendar.ctag else "", whole=True)

    # -- discovery -------------------------------------------------------------------------------------

    def _connected(self) -> Client:
        if self._client is None:
            remote.required("caldav")
            from brody_agents.integrations.calendar.caldav_client import Client

            user = self._place.user
            self._client = Client(self._origin, user, remote.password("CALDAV", self._place) if user else None)
        return self._client

    async def _discovered(self, *, again: bool = False) -> list[Calendar]:
        if again or not self._calendars:
            self._calendars = await self._discover()
            if not self._calendars:
                raise SourceNotFound(f"{self.account} has no calendar for events.", "Make one, or name its own URL.")
        return self._calendars

    async def _discover(self) -> list[Calendar]:
        path, first = await self._first()
        if calendars := _calendars(first):
            return calendars
        principal = _property(first, "{DAV:}current-user-principal") or path
        home = _property(first, xml.HOME_SET) or _property(
            await self._asked("PROPFIND", _local(principal), xml.propfind("home-set"), _DEPTH_0), xml.HOME_SET
        )
        if not home:
            what = f"{self.account} leads to no calendars: its user {_local(principal)} has no calendar home."
            raise SourceNotFound(what, "Name the URL of the calendar itself.")
        listing = await self._asked("PROPFIND", _local(home), xml.propfind(*xml.OF_A_CALENDAR), _DEPTH_1)
        return _calendars(listing)

    async def _first(self) -> tuple[str, DAVResponse]:
        """Ask the first path of the account that answers; a bare host is asked where its calendars are."""
        body = xml.propfind(*xml.OF_A_CALENDAR, "principal", "home-set")
        given = unquote(self._place.path) or "/"
        for path in (*(["/.well-known/caldav"] if given == "/" else []), given):
            at, answer = await self._connected().follow("PROPFIND", path, body, _DEPTH_0)
            if answer.status == 207:
                return at, answer
        what = f"{self.account} answered {answer.status}: there is no calendar at this place."
        raise SourceNotFound(what, "Check the path of the URL.")

    async def _asked(self, method: str, path: str, body: str, headers: Mapping[str, str]) -> DAVResponse:
        answer = await self._connected().request(method, path, body, headers)
        if answer.status != 207:
            raise ProviderError(f"{self._origin}{path} answered {answer.status} to {method}.", "Check the URL.")
        return answer


def _results(answer: DAVResponse, parse: str) -> list[Any]:
    """Return what the library reads in an answer, or raise ``ProviderError``."""
    try:
        results: list[Any] = getattr(answer, f"parse_{parse}")()
    except Exception as error:  # the library raises its own errors, and lxml's
        raise ProviderError(f"An answer of the server cannot be read: {error}.", "Try again later.") from error
    return results


def _events(calendar: Calendar, answer: DAVResponse) -> list[RawEvent | BadItem]:
    found = _results(answer, "calendar_query")
    read = (_read(calendar, item.href, item.etag, item.calendar_data) for item in found)
    return [item for item in read if item is not None]


def _read(calendar: Calendar, path: str, etag: str | None, data: str | None) -> RawEvent | BadItem | None:
    """Return an event of an answer, why it cannot be read, or ``None`` for what is no event or is gone."""
    if not data:
        return None
    version, uids, text = _version(etag or "", calendar, path), _uids(data), data
    if not uids:
        return None
    if len(uids) > 1:
        return BadItem(path, version, "A resource has several UIDs.", data.encode())
    try:
        check(StoredEvent("", uids[0], "", text))
    except ItemUnreadable as error:
        return BadItem(uids[0], version, error.what, data.encode())
    return RawEvent(uids[0], version, text, calendar.name, path)


def _uids(data: str) -> list[str]:
    """Return the UIDs of the events in a resource; a to-do or a journal has none here."""
    raw = data.encode("utf-8", "surrogatepass")
    blocks = [b for sheet in ics_text.cut(raw) for b in sheet.blocks if b.kind == "VEVENT"]
    lines = (line for b in blocks for line in ics_text.content_lines(raw[b.start : b.end or len(raw)]))
    return list(dict.fromkeys(line.value for line in lines if line.name == "UID"))


def _gone(known: Mapping[str, str], deltas: Mapping[Calendar, Delta]) -> set[str]:
    """Return the known UIDs whose resource is no longer there, or whose calendar is not."""
    listed = {_mark(c, path) for c, delta in deltas.items() for path in delta.changed}
    whole = {calendar.mark for calendar, delta in deltas.items() if delta.whole}
    there = {calendar.mark for calendar in deltas}
    gone = {mark for delta in deltas.values() for mark in delta.gone} - listed
    return {
        uid
        for uid, version in known.items()
        if version  # else nobody knows where it lay
        and (
            (mark := version.rpartition("|")[2]) in gone
            or mark[:8] not in there
            or (mark[:8] in whole and mark not in listed)
        )
    }


def _replaced(known: Mapping[str, str], read: set[str], page: Page[RawEvent]) -> set[str]:
    """Return the known UIDs whose resource was read and holds something else now."""
    now = _keys(page)
    return {uid for uid, version in known.items() if version.rpartition("|")[2] in read and uid not in now}


def _keys(page: Page[RawEvent]) -> set[str]:
    return {item.key for item in page.items} | {bad.key for bad in page.bad}


def _calendars(answer: DAVResponse) -> list[Calendar]:
    found = []
    for result in _results(answer, "propfind"):
        of = result.properties
        parts = _listed_words(of.get(xml.COMPONENTS)) or ["VEVENT"]
        if xml.CALENDAR in _listed_words(of.get("{DAV:}resourcetype")) and "VEVENT" in parts:
            path = result.href.rstrip("/") + "/"
            name = of.get("{DAV:}displayname")
            ctag = of.get(xml.CTAG)
            found.append(Calendar(path, str(name or path.rstrip("/").rpartition("/")[2]), str(ctag or "")))
    return sorted(found, key=lambda calendar: calendar.path)


def _listed_words(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def _property(answer: DAVResponse, name: str) -> str:
    values = (result.properties.get(name) for result in _results(answer, "propfind"))
    return next((words[0] for value in values if (words := _listed_words(value))), "")


def _local(href: str) -> str:
    """Return the decoded path of a href; whatever host it names, only our own is asked."""
    return unquote(urlsplit(href).path)


def _accepted(answer: DAVResponse, uid: str) -> None:
    if answer.status in (200, 201, 204):
        return
    if answer.status in (404, 409, 412):
        raise Stale(f"{uid} has changed since it was read ({answer.status}).", "Read it again, then decide again.")
    what = f"The server answered {answer.status} {answer.reason} to {uid}."
    raise Refused(what, "Nothing was changed; see what the server demands of an event.")


def _tokens(cursor: str | None) -> dict[str, str]:
    try:
        tokens = json.loads(cursor or "{}")
    except ValueError:
        return {}
    return {str(k): str(v) for k, v in tokens.items()} if isinstance(tokens, dict) else {}


def _version(etag: str, calendar: Calendar, path: str) -> str:
    return f"{etag}|{_mark(calendar, path)}"


def _etag(version: str) -> str:
    etag = version.rpartition("|")[0]
    if not etag:
        raise Stale("The version of the event is not known.", "Read it again, then decide again.")
    return etag


def _mark(calendar: Calendar, path: str) -> str:
    return calendar.mark + _digest(path)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
