"""Read the headers that say what kind of mail a mail is, before any word of its text is looked at."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from brody_agents.items import MailHead

_LIST_ID = re.compile(r"<([^<>\s]+)>|([^\s<>\"]+)\s*$")
_BULK_PRECEDENCE = frozenset({"bulk", "list", "junk"})
_ROBOTS = frozenset(
    """
    alert alerts automailer automated autoreply bot bounce bounces cron daemon donotreply mailer noreply
    notification notifications notifier notify postmaster robot root rss rssfeeds feed feeds system
    unattended nichtantworten
    """.split()  # noqa: SIM905
)
_BROADCASTERS = frozenset(
    """
    campaign digest editor emailinfo marketing mailing mailings news newsletter newsletters offers promo
    promotions subscriptions update updates webmaster elists
    feedback survey surveys
    """.split()  # noqa: SIM905
)
_DESKS = frozenset(
    """
    account accounts accounting admin auto autoconfirm bestellung bestellungen billing booking bookings buchhaltung
    contact customer customers help hello hallo info invoice invoices kontakt kundenservice mail office order orders
    payment payments post rechnung rechnungen receipt receipts reservation reservations sales service shipment
    shipping shop store support team tickets tracking versand
    """.split()  # noqa: SIM905
)
_REPLY_SUBJECT = re.compile(r"^\s*(?:\[[^\]]{1,60}\]\s*)?(?:re|aw|antw|sv|rif|vs|odp)(?:\[\d+\]|\^\d+)?\s*:", re.I)

_AUTOMATIC_SUBJECT = re.compile(
    r"\s*(?:automatic\s+reply|auto(?:matische)?[- ]?(?:reply|response|antwort|svar)|out\s+of\s+(?:the\s+)?office"
    r"|abwesenheits?\w*|réponse\s+automatique)\b",
    re.IGNORECASE,
)
_LIST_MANAGER = re.compile(r"\b(?:owner-[\w.-]+|[\w.-]+-(?:owner|admin|bounces?|errors|return))[\w+=.-]*@[\w.-]+")

Addressed = Literal["to", "cc", "list", "unseen"]


def signal(mail: MailHead, name: str) -> str:
    """Return a header's value in lower case without white space around it, empty if it is absent."""
    return mail.signals.get(name, "").strip().lower()


# -- lists and bulk ----------------------------------------------------------------------------------


def list_id(mail: MailHead) -> str:
    """Return the list's identifier (RFC 2919), or what older list software gave for it."""
    for name in ("list-id", "x-mailing-list", "mailing-list", "x-beenthere"):
        value = mail.signals.get(name, "").split("\n")[0].split(";")[0].strip()
        if value:
            found = _LIST_ID.search(value)
            return ((found[1] or found[2]) if found else value).lower().strip("<>,")
    return ""


def is_reply(mail: MailHead) -> bool:
    """Say whether the mail answers another one, by its headers or its subject."""
    return bool(mail.in_reply_to or mail.references) or bool(_REPLY_SUBJECT.match(mail.subject))


def is_discussion(mail: MailHead) -> bool:
    """Say whether this was written to a list where everybody may write; a program may (a bug tracker does)."""
    if not (list_id(mail) or _precedence(mail) in _BULK_PRECEDENCE):
        return False
    if is_reply(mail):
        return True
    posted = "mailto:" in signal(mail, "list-post") or bool(signal(mail, "x-beenthere"))
    return (posted or _sent_on_by_list(mail)) and _BROADCASTERS.isdisjoint(words_of(mail.sender.address))


def _sent_on_by_list(mail: MailHead) -> bool:
    """See a list without List-Post: the writer is of another house than the list that sends the mail on."""
    home = _house(mail.sender.address)
    sent_on = _LIST_MANAGER.search(
        f"{signal(mail, 'sender')} {signal(mail, 'errors-to')} {signal(mail, 'return-path')}"
    )
    if sent_on and _house(sent_on[0]) != home:
        return True
    names = {list_id(mail), signal(mail, "sender").strip("<>")} - {"", mail.sender.address}
    lists = (a.address for a in (*mail.to, *mail.cc) if not names.isdisjoint((a.address, a.address.replace("@", "."))))
    return any(_house(address) != home for address in lists)


def _house(address: str) -> str:
    return ".".join(address.rpartition("@")[2].strip("<>\"' ").split(".")[-2:])


def bulk_reason(mail: MailHead) -> str:
    """Say which header makes the mail bulk mail, or nothing."""
    if signal(mail, "list-unsubscribe"):
        return "The mail offers to unsubscribe in its headers (List-Unsubscribe)."
    if list_id(mail):
        return f"The mail comes through the list {list_id(mail)} (List-Id)."
    if _precedence(mail) in _BULK_PRECEDENCE:
        return f"The mail says that it is bulk mail (Precedence: {_precedence(mail)})."
    return ""


def _precedence(mail: MailHead) -> str:
    return signal(mail, "precedence").split("\n")[0]


# -- machines ----------------------------------------------------------------------------------------


def automatic_answer(mail: MailHead) -> str:
    """Say which header makes the mail an automatic answer (RFC 3834), or nothing."""
    submitted = signal(mail, "auto-submitted")
    if submitted.startswith("auto-replied"):
        return "An automatic reply (Auto-Submitted)."
    marked = signal(mail, "x-autoreply") or signal(mail, "x-autorespond")
    if marked or _precedence(mail) in ("auto_reply", "auto-reply"):
        return "An automatic reply, by its headers."
    if _AUTOMATIC_SUBJECT.match(mail.subject):
        return "An automatic reply, by its subject."
    if mail.signals.get("return-path", "-").strip() == "<>":
        return "A report of a mail server: its return path is empty."
    return ""


def machine_reason(mail: MailHead) -> str:
    """Say what shows that a machine wrote the mail, so that nobody reads an answer; or nothing."""
    answer = automatic_answer(mail)
    if answer:
        return answer
    if signal(mail, "auto-submitted") not in ("", "no"):
        return "A machine wrote it (Auto-Submitted)."
    if is_robot(mail):
        return f"Nobody reads answers to {mail.sender.address}."
    if any(word in signal(mail, "x-auto-response-suppress") for word in ("all", "autoreply", "oof")):
        return "A machine wrote it (X-Auto-Response-Suppress)."
    return ""


def words_of(address: str) -> list[str]:
    """Return the words of an address before its ``@``."""
    return re.split(r"[._+=\-]", address.partition("@")[0])


def is_robot(mail: MailHead) -> bool:
    """Say whether the sender's address is one that only machines write from."""
    words = words_of(mail.sender.address)
    joined = "".join(words)
    return joined.startswith(("noreply", "donotreply")) or "noreply" in joined or not _ROBOTS.isdisjoint(words)


def is_broadcaster(mail: MailHead) -> bool:
    """Say whether the sender's address is one for sending to many."""
    return is_robot(mail) or not _BROADCASTERS.isdisjoint(words_of(mail.sender.address))


def is_desk(mail: MailHead) -> bool:
    """Say whether the sender's address is a company's desk rather than a person's."""
    return is_broadcaster(mail) or not _DESKS.isdisjoint(words_of(mail.sender.address))


def was_delivered(mail: MailHead) -> bool:
    """Say whether a mail server handed the mail over; a copy that the user's program kept of sent mail has no trace."""
    return any(mail.signals.get(name) for name in ("received", "return-path", "delivered-to"))


# -- to whom -----------------------------------------------------------------------------------------


def addressed(mail: MailHead, own: frozenset[str]) -> Addressed:
    """Say how the mail came to the user; in doubt (own addresses unknown) it was written to the user."""
    if not own:
        return "list" if list_id(mail) else "to"
    if any(a.address in own for a in mail.to):
        return "to"
    if any(a.address in own for a in mail.cc):
        return "cc"
    return "list" if list_id(mail) else "unseen"


def recipients(mail: MailHead, without: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the addresses of To and Cc in their order, each once."""
    left_out = set(without)
    found = (a.address for a in (*mail.to, *mail.cc))
    return tuple(dict.fromkeys(address for address in found if address and address not in left_out))


def first_name(name: str, address: str = "") -> str:
    """Return how to greet somebody: the first name of a display name (``Last, First`` too), else nothing."""
    name = re.sub(r"\s*(?:\(.*?\)|\bvia\b.*|\|.*)$", "", name).strip(" '\"")
    if "@" in name or not name:
        return ""
    if "," in name:
        name = name.partition(",")[2].strip() or name.partition(",")[0]
    words = [word for word in name.split() if word.casefold().strip(".") not in ("dr", "prof", "mr", "mrs", "ms")]
    return words[0] if words and words[0][0].isalpha() else ""
