"""Time zones of iCalendar: a TZID is an IANA name, a Windows name, or what a VTIMEZONE says it is.

Two calendars may mean different things by one TZID ("Customized Time Zone"), so nothing is kept between calendars.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import tzinfo
from zoneinfo import ZoneInfo

_YEARLY = re.compile(r"FREQ=YEARLY", re.IGNORECASE)
_STILL = re.compile(r"INTERVAL=0+(?!\d)", re.IGNORECASE)


class Zones:
    """The zones of one VCALENDAR, by TZID; ``definitions`` are its VTIMEZONEs as text."""

    def __init__(self, definitions: Mapping[str, str]) -> None:
        self._definitions = definitions
        self._known: dict[str, tzinfo | None] = {}

    def get(self, tzid: str) -> tzinfo | None:
        """Return the zone, or ``None`` if nobody knows it.

        IANA's rules go before the calendar's own: a VTIMEZONE often holds those of one year only.
        """
        if tzid not in self._known:
            named = (_iana(name) for name in self._names(tzid))
            self._known[tzid] = next((zone for zone in named if zone), None) or self._defined(tzid)
        return self._known[tzid]

    def _names(self, tzid: str) -> Iterator[str]:
        from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

        name = tzid.strip().strip("/")
        yield name
        if name in WINDOWS_TO_OLSON:
            yield WINDOWS_TO_OLSON[name]
        parts = name.split("/")  # /vendor.example/Europe/Berlin
        yield from ("/".join(parts[i:]) for i in range(1, len(parts)) if tzid.startswith("/"))
        location = re.search(
            r"^X-LIC-LOCATION:(.+?)\s*$", self._definitions.get(tzid, ""), re.MULTILINE | re.IGNORECASE
        )
        if location:
            yield location.group(1)

    def _defined(self, tzid: str) -> tzinfo | None:
        from icalendar import Timezone
        from icalendar.timezone import tzp

        definition = self._definitions.get(tzid)
        if definition is None or _absurd(definition):
            return None
        try:
            return tzp.create_timezone(Timezone.from_ical(definition))
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError):
            return None  # whatever is wrong with it, it defines no zone


def _absurd(definition: str) -> bool:
    """Say whether a rule of a VTIMEZONE would be counted through for ever."""
    rules = re.findall(r"^RRULE.*$", definition, re.MULTILINE | re.IGNORECASE)
    return any(not _YEARLY.search(rule) or _STILL.search(rule) for rule in rules)


def _iana(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # OSError: the name is a folder's, such as "Europe"
        return None
