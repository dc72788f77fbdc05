"""Hold what triage knows besides the mail itself: whose mailbox it is, whom the user knows, the user's own rules."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from brody_agents.communication.payloads import Category
from brody_agents.items import ContactItem, MailHead
from brody_email.signals import list_id

RULES_KEY = "mail-rules"
"""Shared context: a list of ``{"from" | "list" | "subject": pattern, "category": …}``."""
SERVERS_KEY = "mail-servers"
"""Shared context: the authserv-ids (RFC 8601) of the user's own mail servers."""

RuleField = Literal["from", "list", "subject"]
_ALIKE = str.maketrans("01357|", "oiestl")
_FIELDS: tuple[RuleField, ...] = get_args(RuleField)
_CATEGORIES: tuple[Category, ...] = get_args(Category)


@dataclass(frozen=True, slots=True)
class MailRule:
    """One rule of the user's: ``pattern`` is a part of the field, or with ``*`` and ``?`` all of it; case aside."""

    field: RuleField
    pattern: str
    category: Category

    def matches(self, mail: MailHead) -> bool:
        """Say whether the rule is about ``mail``."""
        value, pattern = self._value(mail).casefold(), self.pattern.casefold()
        return fnmatchcase(value, pattern) if set("*?") & set(pattern) else pattern in value

    def _value(self, mail: MailHead) -> str:
        match self.field:
            case "from":
                return mail.sender.address
            case "list":
                return list_id(mail)
            case "subject":
                return mail.subject


def read_rules(value: object) -> tuple[MailRule, ...]:
    """Return the rules of a shared value; what is no rule is left out."""
    rows = value if isinstance(value, list) else []
    return tuple(rule for row in rows if isinstance(row, Mapping) and (rule := _rule(row)))


def _rule(row: Mapping[str, object]) -> MailRule | None:
    category = next((known for known in _CATEGORIES if known == row.get("category")), None)
    name = next((known for known in _FIELDS if isinstance(row.get(known), str) and row[known]), None)
    return MailRule(name, str(row[name]), category) if name and category else None


@dataclass(frozen=True)  # without slots: the derived values are worked out once
class Circumstances:
    """What is known about a user when a mail is read; plain data that a process pool can be given."""

    now: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    zone: str = "UTC"
    """IANA name of the user's time zone."""
    own: frozenset[str] = frozenset()
    """The user's own addresses in lower case; empty if none is known."""
    known: frozenset[str] = frozenset()
    """Addresses of the address book and of those to whom the user has written."""
    names: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The addresses of each contact by display name, see :func:`plain_name`."""
    rules: tuple[MailRule, ...] = ()
    servers: frozenset[str] = frozenset()
    """Authserv-ids to be believed; empty: those of the house that the mail was delivered to."""

    @cached_property
    def timezone(self) -> ZoneInfo:
        """Return the user's zone."""
        return ZoneInfo(self.zone)

    @cached_property
    def known_domains(self) -> frozenset[str]:
        """Return the domains of those that the user knows and of the user's own addresses."""
        return frozenset(address.rpartition("@")[2] for address in self.known | self.own)

    @cached_property
    def twins(self) -> Mapping[str, str]:
        """Return the known domains by what they look like, see :func:`skeleton`."""
        return {skeleton(domain): domain for domain in sorted(self.known_domains, reverse=True)}


def skeleton(domain: str) -> str:
    """Return what a domain looks like to a quick reader: ``kestre1`` and ``kestrel`` are the same."""
    return domain.translate(_ALIKE).replace("rn", "m").replace("vv", "w").replace("i", "l")


def plain_name(name: str) -> str:
    """Return a display name without titles, marks and case, its words in order of the alphabet."""
    words = re.findall(r"[^\W\d_]+", name.casefold())
    return " ".join(sorted(word for word in words if word not in {"dr", "prof", "mr", "mrs", "ms", "via"}))


def names_of(contacts: Iterable[ContactItem]) -> dict[str, frozenset[str]]:
    """Return the addresses of each contact by plain name; one-word names are too common to prove anything."""
    found: dict[str, frozenset[str]] = {}
    for contact in contacts:
        name = plain_name(contact.name)
        if " " in name and contact.addresses:
            found[name] = found.get(name, frozenset()) | frozenset(contact.addresses)
    return found
