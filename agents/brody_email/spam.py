"""Judge whether a mail from a stranger is spam: a small sum of signs, each with a reason that a person reads.

No word and no header is enough by itself. Signs are taken from how unwanted mail is written and sent, never from
who sends it; a person whom the user knows is not judged here at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from brody_agents.items import MailItem
from brody_email.instructions import addresses_assistant, may_address_assistant
from brody_email.signals import is_discussion, is_reply, list_id, signal
from brody_email.spam_words import FEAR, phrases_in

THRESHOLD = 3.0
_STRONG, _OVERWHELMING = 0.8, 3.9
_LOOKED_AT = 8_000
_SHORT = 4_000


@dataclass(frozen=True, slots=True)
class SpamScore:
    """The sum of the signs and what they are, strongest first."""

    points: float
    signs: tuple[str, ...]
    strong: int
    """How many of the signs weigh much; what weighs most counts twice."""

    @property
    def is_spam(self) -> bool:
        """Say whether the signs together are enough; one alone never is, however often it occurs."""
        return self.points >= THRESHOLD and self.strong > 1


def spam_score(mail: MailItem, *, forged: bool = False) -> SpamScore:
    """Add up the signs of unwanted mail; ``forged`` says that the user's own server found the sender forged."""
    found = sorted([*_content(mail), *_headers(mail, forged), *_good(mail)], key=lambda sign: -sign[0])
    signs = tuple(reason for points, reason in found if points > 0)
    strong = sum((points >= _STRONG) + (points >= _OVERWHELMING) for points, _ in found)
    return SpamScore(sum(points for points, _ in found), signs, strong)


Sign = tuple[float, str]


def _content(mail: MailItem) -> Iterator[Sign]:
    text = " ".join(f"{mail.subject}\n{mail.text[:_LOOKED_AT]}".lower().replace("’", "'").split())
    share = min(1.0, max(0.4, _SHORT / max(1, len(text))))  # one such word in a long newsletter says little
    for topic, phrases in phrases_in(text).items():
        if topic.what == FEAR and len(phrases) > 1 and "://" in mail.text:
            yield 1.2, "It frightens, and sends you to a link."
        shown = ", ".join(f'"{phrase[:40]}"' for phrase in phrases[:3])
        yield min(topic.most, share * topic.each * len(phrases)), f"It speaks of {topic.what}: {shown}."
    if _body_shouts(mail.text):
        yield 1.2, "The text shouts in capitals and exclamation marks."
    if mail.html_hidden:
        yield 1.0, "The HTML hides text from the reader."
    if may_address_assistant(text[:4000]) and addresses_assistant(text[:4000]):
        yield 2.0, "The text addresses the assistant."


_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÜ".encode("latin-1")
_LOWER = "abcdefghijklmnopqrstuvwxyzäöüß".encode("latin-1")


def _body_shouts(text: str) -> bool:
    text = text[:_LOOKED_AT]
    letters = text.encode("latin-1", "ignore")
    upper, lower = (len(letters) - len(letters.translate(None, case)) for case in (_UPPER, _LOWER))
    capitals = upper > 100 and upper > 0.25 * (upper + lower)
    return capitals or (text.count("!") > 4 and text.count("!") > len(text) / 250)


# -- headers -----------------------------------------------------------------------------------------

_TAIL = re.compile(
    r"\s(?=[a-z]*\d+[a-z])[a-z0-9]{4,}$|[\[(](?=[a-z]*\d)(?=\d*[a-z])[a-z0-9]{4,}[\])]$|[a-zA-Z!]\d{4,}$|\d{12,}$"
    r"|\.{4,}\s*\w{1,6}$|[.?!][a-z]?\d\w{1,4}$|\s[b-df-hj-np-tv-xz]{5,}$|[a-z].*\s(?!X?HTML|HTTPS?)[B-DF-HJ-NP-TV-XZ]{4,8}$"
)
_NUMBER_TAIL = re.compile(r"\s\d{5}$")
_NUMBERED = re.compile(
    r"\b(?:order|invoice|ticket|case|number|no|nr|ref|id|bug|issue|report|room|plz|zip|build|rechnung|bestellung|auftrag|kunde\w*)\b"
    r"|#|\b\d+[./:-]",
    re.IGNORECASE,
)
_MARK = re.compile(r"!!|\?\?|\$\$|!\s*\[|^\s*\*|\*\s*$|^\s*adv\s*:|^\s*::", re.I)
_HASH_LINE = re.compile(r"^\s*(?:[a-z]{16,}|\d{12,}|\w{5,}-\w{5,}(?:-\w+)+|\[[^\]\s]*[^\w\s\]][^\]\s]*\])\s*$", re.M)
# Begins with what Python finds fastest, a literal that has no case.
_IP_LINK = re.compile(
    r"://(?:(?<=http://)|(?<=https://))(?:(?:\d{1,3}\.){3}\d{1,3}|\w+@|[^\s/]*%[0-9a-f]{2})", re.IGNORECASE
)
_CODE = re.compile(r"<script\b|<html\b.{0,300}<body\b|(?:%[0-9a-f]{2}){8}", re.IGNORECASE | re.DOTALL)
_PITCHING_NAME = re.compile(
    r"!|\b(?:free|deals?|offers?|win|winner|lotto|lottery|prizes?|save|savings|cash|loans?|credit|mortgage|lose weight"
    r"|exciting|opt[- ]in)\b",
    re.IGNORECASE,
)
_MASS_MAILER = re.compile(r"\b(?:mass|bulk|multi)[- ]?(?:mail|send)|\bsender v|group ?mail|mailing machine", re.I)


def _has_code(text: str) -> bool:
    return ("<" in text or text.count("%") >= 8) and bool(_CODE.search(text))


def _headers(mail: MailItem, forged: bool) -> Iterator[Sign]:
    if forged:
        yield 2.5, "Your mail server found the sender's domain forged (Authentication-Results)."
    for test, points, reason in _HEADER_SIGNS:
        if test(mail):
            yield points, reason


def _random_tail(subject: str) -> bool:
    return bool(_TAIL.search(subject) or (_NUMBER_TAIL.search(subject) and not _NUMBERED.search(subject)))


def _shouts(mail: MailItem) -> bool:
    letters = [c for c in mail.subject if c.isalpha()]
    return len(letters) >= 9 and sum(c.isupper() for c in letters) > 0.7 * len(letters)


def _scrambled_sender(mail: MailItem) -> bool:
    local = mail.sender.address.partition("@")[0]
    return (
        not is_discussion(mail)
        and bool(re.search(r"\d{4,}|[a-z]\d+[a-z]+\d|\d[a-z]{2,}\d|^\d+[a-z]|^_", local))
        and (len(local) < 24)
    )


def _nobody(mail: MailItem) -> bool:
    return "@" not in mail.sender.address


def _to_nobody(mail: MailItem) -> bool:
    named = [a.address for a in (*mail.to, *mail.cc)]
    return not list_id(mail) and (not named or any("undisclosed" in address for address in named))


def _to_a_run_of_names(mail: MailItem) -> bool:
    """See many recipients who share nothing but the alphabet."""
    starts = [a.address[:3] for a in (*mail.to, *mail.cc) if a.address]
    return len(starts) >= 3 and len(set(starts)) <= max(1, len(starts) // 3)


def _to_oneself(mail: MailItem) -> bool:
    return bool(mail.sender.address) and [a.address for a in mail.to] == [mail.sender.address]


_HEADER_SIGNS: tuple[tuple[Callable[[MailItem], bool], float, str], ...] = (
    (lambda mail: _random_tail(mail.subject), 1.5, "The subject ends in a random mark, as mass mailers add."),
    (lambda mail: bool(_MARK.search(mail.subject)), 1.0, "The subject is marked like an advertisement."),
    (_shouts, 1.0, "The subject shouts in capitals."),
    (lambda mail: bool(_PITCHING_NAME.search(mail.sender.name)), 1.2, "The sender's name is an advertisement."),
    (_nobody, 2.0, "There is no sender's address."),
    (_scrambled_sender, 1.2, "The sender's address looks made up by a program."),
    (lambda mail: not mail.sender.name and not list_id(mail), 0.4, "The sender gives no name."),
    (_to_nobody, 1.0, "It is addressed to nobody in particular."),
    (_to_a_run_of_names, 1.5, "It goes to a run of names from an address list."),
    (_to_oneself, 1.0, "It is addressed to its own sender."),
    (lambda mail: bool(_HASH_LINE.search(mail.text[-3000:])), 1.2, "It carries random letters against filters."),
    (lambda mail: _has_code(mail.text[:3000]), 1.2, "It carries program code in place of text."),
    (lambda mail: bool(_IP_LINK.search(mail.text)), 1.5, "A link hides where it leads."),
    (lambda mail: bool(_MASS_MAILER.search(signal(mail, "x-mailer"))), 2.0, "A program for mass mailing sent it."),
    (lambda mail: signal(mail, "x-priority").startswith("1"), 0.4, "It claims the highest priority."),
    (lambda mail: signal(mail, "content-type").startswith("text/html"), 0.7, "It is HTML without a text version."),
)


def is_conversation(mail: MailItem) -> bool:
    """Say whether the mail answers another by its headers; spam seldom does, and then it is somebody's answer still."""
    return is_reply(mail) and bool(mail.in_reply_to or mail.references)


def _good(mail: MailItem) -> Iterator[Sign]:
    """Count what spam seldom has: a conversation, or a list that a person writes to."""
    if is_conversation(mail):
        yield -4.0, ""
    elif is_discussion(mail) and is_reply(mail):
        yield -2.0, ""
    elif is_discussion(mail):
        yield -1.0, ""
    elif signal(mail, "list-unsubscribe") and list_id(mail):
        yield -1.5, ""
    if re.search(r"bounces?[-+.\w]*[-+=]\w+|[-+]\d{4,}@|\w=[\w.]+@", signal(mail, "return-path")):
        yield -1.0, ""
