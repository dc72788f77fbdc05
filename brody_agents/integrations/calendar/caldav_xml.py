"""The XML that is sent to a CalDAV server (RFC 4791, 6578, 4918)."""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape

HOME_SET = "{urn:ietf:params:xml:ns:caldav}calendar-home-set"
CALENDAR = "{urn:ietf:params:xml:ns:caldav}calendar"
COMPONENTS = "{urn:ietf:params:xml:ns:caldav}supported-calendar-component-set"
CTAG = "{http://calendarserver.org/ns/}getctag"
OF_A_CALENDAR = ("type", "name", "components", "ctag")

_HEAD = '<?xml version="1.0" encoding="utf-8"?>'
_SPACES = 'xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav" xmlns:s="http://calendarserver.org/ns/"'
_PROPERTIES = {
    "type": "<d:resourcetype/>",
    "name": "<d:displayname/>",
    "components": "<c:supported-calendar-component-set/>",
    "ctag": "<s:getctag/>",
    "principal": "<d:current-user-principal/>",
    "home-set": "<c:calendar-home-set/>",
    "getetag": "<d:getetag/>",
}
_DATA = "<d:prop><d:getetag/><c:calendar-data/></d:prop>"


def propfind(*names: str) -> str:
    """Ask for properties, by the names above."""
    wanted = "".join(_PROPERTIES[name] for name in names)
    return f"{_HEAD}<d:propfind {_SPACES}><d:prop>{wanted}</d:prop></d:propfind>"


def sync(token: str) -> str:
    """Ask for what changed since a token; ``""`` for everything."""
    return (
        f"{_HEAD}<d:sync-collection {_SPACES}><d:sync-token>{escape(token)}</d:sync-token>"
        f"<d:sync-level>1</d:sync-level><d:prop><d:getetag/></d:prop></d:sync-collection>"
    )


def multiget(hrefs: Iterable[str]) -> str:
    """Ask for resources with their ETags, so that the two belong together."""
    listed = "".join(f"<d:href>{escape(href)}</d:href>" for href in hrefs)
    return f"{_HEAD}<c:calendar-multiget {_SPACES}>{_DATA}{listed}</c:calendar-multiget>"


def query(uid: str) -> str:
    """Ask for the events whose UID holds a text; the caller compares the whole."""
    match = f'<c:text-match collation="i;octet">{escape(uid)}</c:text-match>'
    wanted = f'<c:comp-filter name="VEVENT"><c:prop-filter name="UID">{match}</c:prop-filter></c:comp-filter>'
    condition = f'<c:filter><c:comp-filter name="VCALENDAR">{wanted}</c:comp-filter></c:filter>'
    return f"{_HEAD}<c:calendar-query {_SPACES}>{_DATA}{condition}</c:calendar-query>"
