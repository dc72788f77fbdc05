"""Read whether the user's own server found the sender forged (RFC 8601), and whom a forger pretends to be.

Only failures are believed: a forged "pass" gains nothing, and only the topmost header can be our server's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from brody_agents.items import MailHead
from brody_email.circumstances import Circumstances, plain_name, skeleton

_RESULT = re.compile(r"\b(dmarc|spf|dkim|auth)\s*=\s*([a-z]+)", re.IGNORECASE)
_COMMENT = re.compile(r"\([^()]*\)")
_SHOWN_ADDRESS = re.compile(r"[\w.+-]+@([\w-]+(?:\.[\w-]+)+)")


@dataclass(frozen=True, slots=True)
class Authentication:
    """What one Authentication-Results header says: who says it, and the result of each method."""

    server: str
    results: dict[str, str]

    @property
    def failed(self) -> bool:
        """Say whether the sender's domain did not vouch for the mail."""
        if self.results.get("dmarc", "none") != "none":
            return self.results["dmarc"] == "fail"
        return self.results.get("spf") == "fail" and self.results.get("dkim") != "pass"


def topmost(mail: MailHead) -> Authentication | None:
    """Return what the newest Authentication-Results header says; the user's own server adds it last, on top."""
    server, _, rest = mail.signals.get("authentication-results", "").partition("\n")[0].partition(";")
    words = server.split()
    if not words:
        return None
    results: dict[str, str] = {}
    for method, result in _RESULT.findall(_COMMENT.sub(" ", rest)):
        if (method.lower(), result.lower()) == ("dkim", "pass"):
            results["dkim"] = "pass"  # one good signature is enough; of the other methods the first result counts
        results.setdefault(method.lower(), result.lower())
    return Authentication(words[0].lower(), results)


def failed(mail: MailHead, about: Circumstances) -> bool:
    """Say whether the user's own server found that the sender's domain does not vouch for the mail."""
    found = topmost(mail)
    return found is not None and found.failed and _is_ours(found.server, mail, about)


def accused(mail: MailHead) -> bool:
    """Say whether some server, ours or not, found that the sender's domain does not vouch for the mail."""
    found = topmost(mail)
    return found is not None and found.failed


def _is_ours(server: str, mail: MailHead, about: Circumstances) -> bool:
    """Say whether a server is the user's; whoever forges its name here only makes an accusation of themselves."""
    if about.servers:
        return server in about.servers
    delivered_to = mail.signals.get("delivered-to", "").partition("\n")[0].strip().lower()
    homes = {_site(address.rpartition("@")[2]) for address in (delivered_to, *about.own)}
    return _site(server) in homes - {""}


def own_server(heads: Iterable[MailHead]) -> frozenset[str]:
    """Return the authserv-id that most mail carries on top, if more than half of the mail that has any does."""
    servers = Counter(found.server for head in heads if (found := topmost(head)))
    if not servers:
        return frozenset()
    name, count = min(servers.items(), key=lambda item: (-item[1], item[0]))
    return frozenset({name}) if 2 * count > servers.total() else frozenset()


def pretence(mail: MailHead, about: Circumstances) -> str:
    """Say as whom a mail comes that it may not be from, or nothing; meant for mail that is not the user's own."""
    address, name = mail.sender.address, mail.sender.name
    domain = address.rpartition("@")[2]
    if address in about.own:
        return "your own address"
    contact = about.names.get(plain_name(name), frozenset())
    if contact and address not in contact:
        return f"your contact {name}"
    shown = _SHOWN_ADDRESS.search(name.lower())
    if shown and _site(shown[1]) != _site(domain):
        return f"{shown[0]}, which its name shows"
    twin = about.twins.get(skeleton(domain), domain)
    return f"{twin}, which {domain} looks like" if twin != domain and domain not in about.known_domains else ""


def _site(domain: str) -> str:
    return ".".join(domain.split(".")[-2:])
