"""A real CalDAV server: what is found, read after a cursor, written on condition, and what is never done."""

# These tests look at files between the awaits.

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from brody_agents.errors import (
    ConfigurationError,
    NotFound,
    NotSent,
    OutcomeUnknown,
    ProviderUnavailable,
    Refused,
    Retryable,
    SourceNotFound,
    Stale,
    Terminal,
)
from brody_agents.integrations.base import BadItem
from brody_agents.integrations.calendar import caldav_client
from brody_agents.integrations.calendar.base import RawEvent
from brody_agents.integrations.calendar.caldav import CalDav
from tests.integration.conftest import Radicale
from tests.integration.proxy import Fault, Proxy, answer

pytestmark = pytest.mark.integration


def vcalendar(uid: str, title: str = "Meeting", more: str = "", kind: str = "VEVENT") -> str:
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//x//EN", f"BEGIN:{kind}", f"UID:{uid}"]
    lines += ["DTSTAMP:20260101T000000Z", "DTSTART:20260330T080000Z", f"SUMMARY:{title}", *([more] if more else [])]
    return "\r\n".join([*lines, f"END:{kind}", "END:VCALENDAR", ""])


def event(uid: str, title: str = "Meeting", calendar: str = "", path: str = "") -> RawEvent:
    return RawEvent(uid, "", vcalendar(uid, title), calendar, path)


class Reader:
    """What a watcher does: read after a cursor, keep the versions."""

    def __init__(self, calendar: CalDav) -> None:
        self.calendar = calendar
        self.known: dict[str, str] = {}
        self.cursor: str | None = None
        self.items: dict[str, RawEvent] = {}
        self.bad: list[BadItem] = []
        self.removed: list[str] = []

    async def read(self) -> list[str]:
        async def known() -> Mapping[str, str]:
            return self.known

        self.items, self.bad, self.removed = {}, [], []
        async for page in self.calendar.changes(self.cursor, known):
            self.items |= {item.key: item for item in page.items}
            self.bad += page.bad
            self.removed += page.removed
            self.cursor = page.cursor
        self.known |= {item.key: item.version for item in self.items.values()}
        self.known |= {bad.key: bad.version for bad in self.bad}
        self.known = {key: version for key, version in self.known.items() if key not in self.removed}
        return sorted(self.items)


Open = Callable[[str], CalDav]


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    """Return a function that opens accounts, which are closed at the end."""
    accounts: list[CalDav] = []

    def open_account(url: str) -> CalDav:
        accounts.append(CalDav(url))
        return accounts[-1]

    yield open_account
    for account in accounts:
        await account.close()


@pytest.fixture
def calendar(radicale: Radicale, opened: Open) -> CalDav:
    return opened(radicale.url)


@pytest.mark.parametrize(
    ("path", "names"), [("", ["Private life", "Work"]), ("me/", ["Private life", "Work"]), ("me/work", ["Work"])]
)
async def test_calendars_are_found_from_a_host_a_principal_or_their_own_url(
    path: str, names: list[str], radicale: Radicale, opened: Open
) -> None:
    line = await opened(radicale.url + path).check()
    assert line.startswith(f"{len(names)} calendars ({', '.join(names)})")


async def test_a_place_without_calendars_says_so(radicale: Radicale, opened: Open) -> None:
    with pytest.raises(SourceNotFound):
        await opened(radicale.url + "me/nothing/").check()


async def test_only_what_changed_is_read_again(calendar: CalDav) -> None:
    reader = Reader(calendar)
    assert await reader.read() == []
    await calendar.put(event("one"), None)
    two = await calendar.put(event("two", calendar="Work"), None)
    assert await reader.read() == ["one", "two"]
    assert (reader.items["two"].calendar, reader.items["two"].version) == ("Work", two)
    assert (await reader.read(), reader.removed) == ([], [])
    await calendar.put(event("two", "Moved"), two)
    await calendar.delete("one", reader.known["one"])
    assert (await reader.read(), reader.removed) == (["two"], ["one"])
    assert "SUMMARY:Moved" in reader.items["two"].data
    assert (await reader.read(), reader.removed) == ([], [])


async def test_a_token_that_the_server_forgot_costs_a_listing_and_loses_nothing(
    radicale: Radicale, calendar: CalDav
) -> None:
    reader = Reader(calendar)
    for uid in ("stays", "changes", "goes"):
        await calendar.put(event(uid), None)
    await reader.read()
    assert reader.cursor is not None
    reader.cursor = json.dumps(dict.fromkeys(json.loads(reader.cursor), "sync:http://radicale.org/ns/sync/" + "0" * 64))
    await calendar.put(event("changes", "Other"), reader.known["changes"])
    await calendar.delete("goes", None)
    await calendar.put(event("comes"), None)
    assert (await reader.read(), reader.removed) == (["changes", "comes"], ["goes"])


async def test_a_server_without_tokens_is_read_by_its_ctag_and_a_listing(radicale: Radicale, opened: Open) -> None:
    def fault(head: str, body: bytes) -> Fault:
        return answer("501 Not Implemented") if b"sync-collection" in body else None

    async with Proxy(radicale.port, fault) as proxy:
        calendar = opened(f"http://me@127.0.0.1:{proxy.port}/me/work/")
        reader = Reader(calendar)
        await calendar.put(event("one"), None)
        await calendar.put(event("two"), None)
        assert await reader.read() == ["one", "two"]
        proxy.seen.clear()
        assert await reader.read() == []
        assert [line.split()[0] for line in proxy.seen] == ["PROPFIND"], "the ctag is the same: nothing else is asked"
        await calendar.delete("one", None)
        assert (await reader.read(), reader.removed) == ([], ["one"])


async def test_a_calendar_that_is_gone_takes_its_events_with_it(radicale: Radicale, calendar: CalDav) -> None:
    reader = Reader(calendar)
    await calendar.put(event("one", calendar="Work"), None)
    await calendar.put(event("two", calendar="Private life"), None)
    await reader.read()
    radicale.request("DELETE", "/me/work/")
    assert (await reader.read(), reader.removed) == ([], ["one"])


async def test_a_uid_in_two_calendars_goes_when_it_is_in_none(radicale: Radicale, calendar: CalDav) -> None:
    for place in ("private", "work"):
        assert radicale.request("PUT", f"/me/{place}/x.ics", vcalendar("same", place))[0] == 201
    reader = Reader(calendar)
    assert await reader.read() == ["same"]
    radicale.request("DELETE", "/me/work/x.ics")
    assert (await reader.read(), reader.removed) == (["same"], [])
    assert reader.items["same"].path == "/me/private/x.ics"
    radicale.request("DELETE", "/me/private/x.ics")
    assert (await reader.read(), reader.removed) == ([], ["same"])


async def test_a_resource_that_holds_another_event_now_is_no_longer_the_old_one(
    radicale: Radicale, opened: Open
) -> None:
    """Servers forbid that; a calendar that is restored from elsewhere does it all the same."""
    async with Proxy(radicale.port) as proxy:
        reader = Reader(opened(f"http://me@127.0.0.1:{proxy.port}/me/work/"))
        radicale.request("PUT", "/me/work/x.ics", vcalendar("uid-1"))
        assert await reader.read() == ["uid-1"]
        radicale.request("PUT", "/me/work/x.ics", vcalendar("uid-1", "Other"))
        proxy.change = lambda data: data.replace(b"UID:uid-1", b"UID:uid-2")
        assert (await reader.read(), reader.removed) == (["uid-2"], ["uid-1"])


async def test_a_server_that_tells_no_etag_of_what_it_stored_is_asked_for_it(radicale: Radicale, opened: Open) -> None:
    async with Proxy(radicale.port) as proxy:
        proxy.change = lambda data: data.replace(b"ETag:", b"X-Tag:")
        calendar = opened(f"http://me@127.0.0.1:{proxy.port}/")
        version = await calendar.put(event("one"), None)
        assert version == (await calendar.fetch("one")).version
        asked = iter(range(100))
        proxy.fault = lambda head, body: "drop before" if head.startswith("REPORT") and next(asked) else None
        unknown = await calendar.put(event("one", "Newer"), version)
        proxy.fault = lambda head, body: None
        with pytest.raises(Stale):
            await calendar.put(event("one", "Newest"), unknown)
    assert "Newer" in (await opened(radicale.url).fetch("one")).data, "it was stored, and nobody said otherwise"


@pytest.mark.parametrize("path", ["", "me/work"])
@pytest.mark.parametrize("version", ["", "unread {}"])
async def test_an_event_that_is_to_be_read_again_is_not_taken_for_gone(
    version: str, path: str, radicale: Radicale, opened: Open
) -> None:
    """Whatever is known of its version; one that is gone by now is found to be gone."""
    calendar = opened(radicale.url + path)
    reader = Reader(calendar)
    for uid in ("stays", "again", "goes"):
        await calendar.put(event(uid), None)
    await reader.read()
    reader.known |= {uid: version.format(reader.known[uid]) for uid in ("again", "goes")}
    reader.cursor = ""
    await calendar.delete("goes", None)
    assert (await reader.read(), reader.removed) == (["again"], ["goes"])


async def test_a_to_do_is_no_event(radicale: Radicale, calendar: CalDav) -> None:
    radicale.request("PUT", "/me/work/todo.ics", vcalendar("todo", kind="VTODO"))
    radicale.request("PUT", "/me/work/good.ics", vcalendar("good"))
    reader = Reader(calendar)
    assert (await reader.read(), reader.bad) == (["good"], [])


async def test_an_event_that_cannot_be_read_is_reported_and_the_rest_is_read(radicale: Radicale, opened: Open) -> None:
    """This server takes no such event; others do."""
    radicale.request("PUT", "/me/work/good.ics", vcalendar("good"))
    radicale.request("PUT", "/me/work/bad.ics", vcalendar("bad").replace("20260330T080000Z", "20270101T000000Z"))
    async with Proxy(radicale.port) as proxy:
        proxy.change = lambda data: data.replace(b"DTSTART:20270101T000000Z", b"DTSTART:when-we-can-meet")
        reader = Reader(opened(f"http://me@127.0.0.1:{proxy.port}/"))
        assert await reader.read() == ["good"]
        assert [(bad.key, "DTSTART" in bad.reason) for bad in reader.bad] == [("bad", True)]
        assert await reader.read() == []


async def test_names_that_urls_cannot_hold_are_written_and_read(calendar: CalDav, radicale: Radicale) -> None:
    for uid in ("a b/c?d#e%20@x", "Grüße & <Co>", "x" * 300):
        await calendar.put(event(uid, "Ämter"), None)
        found = await calendar.fetch(uid)
        assert "Ämter" in found.data
        assert await calendar.put(event(uid, "Amt"), found.version) != found.version
    assert len(radicale.files()) == 3
    radicale.request("PUT", "/me/work/100%25%20sure.ics", vcalendar("sure"))
    await calendar.delete("sure", (await calendar.fetch("sure")).version)
    assert await calendar.find("sure") is None


async def test_of_two_who_make_the_same_event_one_does(radicale: Radicale, opened: Open) -> None:
    tries = [opened(radicale.url).put(event("once", f"by {n}"), None) for n in range(4)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Stale", "Stale", "Stale", "str"]
    assert len(radicale.files()) == 1


async def test_the_condition_is_the_servers_to_check(radicale: Radicale, opened: Open) -> None:
    """Between our look and our write somebody else's comes: the server refuses ours."""
    intruder = vcalendar("new", "Intruder")

    def fault(head: str, body: bytes) -> Fault:
        if head.startswith("PUT"):
            assert radicale.request("PUT", "/me/private/new.ics", intruder)[0] in (201, 204)
        return None

    async with Proxy(radicale.port, fault) as proxy:
        calendar = opened(f"http://me@127.0.0.1:{proxy.port}/")
        with pytest.raises(Stale):
            await calendar.put(event("new", "Mine"), None)
        with pytest.raises(Stale):
            await calendar.put(event("new", "Mine"), '"of long ago"|0')
    assert "If-None-Match: *" in next(head for head in proxy.heads if head.startswith("PUT"))
    assert "Intruder" in (await opened(radicale.url).fetch("new")).data


async def test_what_changed_since_it_was_read_is_neither_changed_nor_deleted(calendar: CalDav) -> None:
    first = await calendar.put(event("one"), None)
    await calendar.put(event("one", "Newer"), first)
    with pytest.raises(Stale):
        await calendar.put(event("one", "Older"), first)
    with pytest.raises(Stale):
        await calendar.delete("one", first)
    assert "Newer" in (await calendar.fetch("one")).data
    await calendar.delete("one", None)
    with pytest.raises(NotFound):
        await calendar.delete("one", None)
    with pytest.raises(Stale):
        await calendar.put(event("one"), first)
    with pytest.raises(NotFound):
        await calendar.fetch("one")


@pytest.mark.parametrize(("fault", "there"), [("drop before", False), ("drop after", True)])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_lost_answer_is_unknown_until_the_server_is_asked_and_a_repeat_is_harmless(
    method: str, fault: Fault, there: bool, radicale: Radicale, opened: Open
) -> None:
    async with Proxy(radicale.port) as proxy:
        calendar = opened(f"http://me@127.0.0.1:{proxy.port}/")
        if method == "DELETE":
            await calendar.put(event("one"), None)
        proxy.fault = lambda head, body: fault if head.startswith(method) else None

        async def write() -> None:
            await (calendar.put(event("one"), None) if method == "PUT" else calendar.delete("one", None))

        with pytest.raises(OutcomeUnknown) as caught:
            await write()
        assert not isinstance(caught.value, (Retryable, Terminal))
        assert sum(line.startswith(method) for line in proxy.seen) == 1, "nothing tries again by itself"
        proxy.fault = lambda head, body: None
        assert (await calendar.find("one") is not None) is (there == (method == "PUT"))
        if there:
            with pytest.raises(Stale if method == "PUT" else NotFound):
                await write()
        else:
            await write()
    assert len(radicale.files()) == (1 if method == "PUT" else 0)


async def test_a_server_that_is_gone_surely_did_nothing(radicale: Radicale, calendar: CalDav) -> None:
    await calendar.check()
    await calendar.put(event("one"), None)
    there = await calendar.fetch("one")
    radicale.stop()
    with pytest.raises(ProviderUnavailable):
        await calendar.fetch("one")
    with pytest.raises(NotSent):
        await calendar._connected().request("PUT", there.path, there.data, {})


async def test_a_certificate_is_verified(radicale_tls: Radicale, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"https://me@localhost:{radicale_tls.port}/"
    assert "TLS" in await opened(url).check()
    with pytest.raises(Refused):
        await opened(url.replace("localhost", "127.0.0.1")).check()
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(Refused, match="SSL_CERT_FILE"):
        await opened(url).check()


async def test_no_password_follows_a_redirect_to_another_host(radicale: Radicale, opened: Open) -> None:
    async with Proxy(radicale.port) as elsewhere:
        moved = answer("302 Found", f"Location: http://localhost:{elsewhere.port}/")
        async with Proxy(radicale.port, lambda head, body: moved) as proxy:
            with pytest.raises(Refused, match="redirects to http://localhost"):
                await opened(f"http://me@127.0.0.1:{proxy.port}/").check()
        assert elsewhere.seen == []


async def test_a_write_follows_no_redirect_at_all(radicale: Radicale, opened: Open) -> None:
    moved = answer("307 Temporary Redirect", "Location: /me/work/other.ics")
    async with Proxy(radicale.port, lambda head, body: moved if head.startswith("PUT") else None) as proxy:
        with pytest.raises(Refused):
            await opened(f"http://me@127.0.0.1:{proxy.port}/").put(event("one"), None)
    assert radicale.files() == []


async def test_an_answer_without_end_is_cut_and_large_pages_are_halved(
    calendar: CalDav, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        await calendar.put(event(f"small {number}"), None)
    await calendar.put(event("large", "x" * 9000), None)
    monkeypatch.setattr(caldav_client, "LARGEST", 8000)
    reader = Reader(calendar)
    assert await reader.read() == [f"small {number}" for number in range(8)]
    assert [bad.reason for bad in reader.bad] == ["It is too large."]


async def test_a_wrong_password_is_said_and_not_shown(
    radicale: Radicale, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRODY_CALDAV_PASSWORD_ME_127_0_0_1", "wrong-secret")
    with pytest.raises(Refused, match="401") as caught:
        await opened(radicale.url).check()
    assert "wrong-secret" not in str(caught.value)


async def test_without_a_password_the_variable_is_named(radicale: Radicale, opened: Open) -> None:
    account = opened(f"http://somebody@127.0.0.1:{radicale.port}/")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("BRODY_CALDAV_PASSWORD")
        with pytest.raises(ConfigurationError, match="no password") as caught:
            await account.check()
    assert "BRODY_CALDAV_PASSWORD_SOMEBODY_127_0_0_1" in caught.value.remedy
