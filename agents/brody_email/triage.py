"""Triage one mail without a model: its category, how urgent it is, whether it needs a reply, and why.

``RULES`` is the whole of it: the first rule that has a verdict decides. ``RAISERS`` may then make it more urgent.
Results depend on the mail and its circumstances alone, never on other mail: the pass over threads comes later.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from brody_agents.communication.payloads import Category, Urgency
from brody_agents.items import MailItem
from brody_email.circumstances import Circumstances
from brody_email.dates import moment_of
from brody_email.instructions import REASON as ORDERS
from brody_email.look import Look
from brody_email.receipts import receipt_reason
from brody_email.signals import (
    automatic_answer,
    bulk_reason,
    is_broadcaster,
    is_discussion,
    is_reply,
    list_id,
    signal,
)
from brody_email.spam import is_conversation
from brody_email.tasks import quoted

OWN = "You wrote it."
SOON = timedelta(hours=36)
"""A deadline that is nearer than this when the mail comes makes it urgent."""
COLD = timedelta(days=7)
"""Nothing is urgent any more that has lain longer than this."""
_MANY_LINKS = 10
_TAIL = 2_500


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a mail is; each reason names its signal and is a sentence that a person reads."""

    category: Category
    urgency: Urgency = "low"
    needs_reply: bool = False
    reasons: tuple[str, ...] = ()


Rule = Callable[[Look], Verdict | None]
Raiser = Callable[[Look, Verdict], Verdict]


def triage(mail: MailItem, about: Circumstances) -> Verdict:
    """Return what ``mail`` is."""
    return judge(Look(mail, about))


def judge(look: Look) -> Verdict:
    """Return the verdict of the first rule that has one, made more urgent where that is called for."""
    verdict = next(verdict for rule in RULES if (verdict := rule(look)))
    for raiser in RAISERS:
        verdict = raiser(look, verdict)
    return verdict


# -- what the user said, what the user wrote ----------------------------------------------------------


def users_rule(look: Look) -> Verdict | None:
    """Follow the user's rules and pins before any other signal."""
    rule = next((rule for rule in look.about.rules if rule.matches(look.mail)), None)
    if rule is None:
        return None
    needs_reply = rule.category in ("urgent", "needs_reply")
    urgency: Urgency = "high" if rule.category == "urgent" else "medium" if needs_reply else "low"
    return Verdict(rule.category, urgency, needs_reply, (f'Your rule: {rule.field} is "{rule.pattern}".',))


def users_own(look: Look) -> Verdict | None:
    """See what the user wrote: it waits for an answer, or it is done."""
    if not look.by_user:
        return None
    if "draft" in look.mail.flags:
        return Verdict("fyi", reasons=(OWN, "It is a draft."))
    if look.asked is None:
        return Verdict("fyi", reasons=(OWN,))
    return Verdict("waiting", reasons=(OWN, f"You ask: {quoted(look.asked.text)}"))


# -- what is not to be trusted ------------------------------------------------------------------------


def in_spam_folder(look: Look) -> Verdict | None:
    """Believe the server or the user who put it there."""
    return Verdict("spam", reasons=("It lies in the spam folder.",)) if "spam" in look.mail.flags else None


def forged_sender(look: Look) -> Verdict | None:
    """Refuse who pretends to be somebody else and was found out by the user's own server."""
    if not (look.forged and look.pretence):
        return None
    found = "Your mail server found the sender forged (Authentication-Results)"
    return Verdict("spam", reasons=(f"{found}, and it comes as {look.pretence}.",))


def unwanted(look: Look) -> Verdict | None:
    """Add up the signs of unwanted mail, of strangers only; in doubt the user knows the sender."""
    if look.known or (is_conversation(look.mail) and not look.forged) or not look.spam.is_spam:
        return None
    return Verdict("spam", reasons=look.spam.signs[:4])


# -- what is not personal ------------------------------------------------------------------------------


def calendar_part(look: Look) -> Verdict | None:
    """See an invitation, its update, its cancellation, or somebody's answer to one."""
    if not look.mail.invite:
        return None
    method = re.search(r"^METHOD\s*:\s*(\w+)", look.mail.invite, re.IGNORECASE | re.MULTILINE)
    words = (method[1] if method else "REQUEST").upper()
    if words in ("REPLY", "PUBLISH", "REFRESH", "ADD"):
        what = "An answer to an invitation" if words == "REPLY" else "A calendar entry for information"
        return Verdict("fyi", reasons=(f"{what} (text/calendar, {words}).",))
    what = {"CANCEL": "A cancellation", "COUNTER": "A counter-proposal"}.get(words, "An invitation")
    return Verdict("invite", "medium", reasons=(f"{what} (text/calendar, {words}).",))


def automatic_reply(look: Look) -> Verdict | None:
    """See absence notes and reports of mail servers."""
    reason = automatic_answer(look.mail)
    return Verdict("fyi", reasons=(reason,)) if reason and not list_id(look.mail) else None


def receipt(look: Look) -> Verdict | None:
    """See a receipt before bulk mail: shops send theirs with an offer to unsubscribe."""
    reason = receipt_reason(look.mail)
    return Verdict("receipt", reasons=(reason,)) if reason else None


def discussion(look: Look) -> Verdict | None:
    """See what people write to a list; written to the user as well, it is judged as personal mail."""
    if not is_discussion(look.mail) or look.how == "to":
        return None
    name = list_id(look.mail)
    where = f"the list {name} (List-Id)" if name else "a mailing list (Precedence)"
    return Verdict("fyi", reasons=(f"It is written to {where}, not to you.",))


def bulk(look: Look) -> Verdict | None:
    """See what is sent to many."""
    reason = bulk_reason(look.mail)
    if not reason or is_discussion(look.mail):
        return None
    return Verdict("newsletter", reasons=(reason,))


def machine(look: Look) -> Verdict | None:
    """See what a machine wrote for this user alone."""
    if not look.machine:
        return None
    if _offers_to_unsubscribe(look.mail):
        return Verdict("newsletter", reasons=(look.machine, "Its text offers to unsubscribe."))
    return Verdict("fyi", reasons=(look.machine,))


def bulk_in_words(look: Look) -> Verdict | None:
    """See bulk mail that does not say so in its headers."""
    if is_reply(look.mail) or look.known:
        return None
    reason = _bulk_by_words(look.mail)
    return Verdict("newsletter", reasons=(reason,)) if reason else None


_UNSUBSCRIBE = re.compile(
    r"\bunsubscri\w+|\bopt[- ]out\b|\babbestell\w+|\babmelde\w*|\b(?:manage|change|update)\s+your\s+(?:\w+\s+)?"
    r"(?:preferences|subscriptions?)|\bno\s+longer\s+wish\s+to\s+receive|\bremoved?\s+(?:\w+\s+){0,3}from\s+(?:this|our|the)\s+(?:\w+\s+)?"
    r"(?:mailing\s+)?list|\byou(?:'re|\s+are)\s+(?:receiving|subscribed|signed\s+up)|\bnewsletter\s+(?:verwalten|beenden)",
    re.IGNORECASE,
)
_PERIODICAL = re.compile(
    r"\bnewsletter\b|\be-?news\b|\bdigest\b|\bheadlines\b|\b(?:issue|edition|ausgabe|vol|volume|nr)\.?\s*#?\d+|#\d{2,}"
    r"|\b(?:daily|weekly|monthly|week\s+in\s+review)\b",
    re.IGNORECASE,
)


def _offers_to_unsubscribe(mail: MailItem) -> bool:
    return bool(_UNSUBSCRIBE.search(mail.text[-_TAIL:]))


def _bulk_by_words(mail: MailItem) -> str:
    if _offers_to_unsubscribe(mail):
        return "Its text offers to unsubscribe, though no header says that it is bulk mail."
    if is_broadcaster(mail):
        return f"{mail.sender.address} is an address for sending to many."
    periodical = _PERIODICAL.search(mail.sender.name) or (len(mail.text) > 800 and _PERIODICAL.search(mail.subject))
    if periodical:
        return "Sender and subject are those of a periodical."
    links = mail.text.count("://")
    return f"It has {links} links and answers nothing." if links >= _MANY_LINKS else ""


# -- personal mail -------------------------------------------------------------------------------------


def asks_the_user(look: Look) -> Verdict | None:
    """See a question or a request to the user."""
    if look.asked is None:
        return None
    return Verdict("needs_reply", "medium", True, (f"{_name(look)} asks you: {quoted(look.asked.text)}",))


def promises(look: Look) -> Verdict | None:
    """See that somebody the user talks with has promised something: now the user waits."""
    if look.promised is None or look.how != "to" or not (look.known or is_reply(look.mail)):
        return None
    return Verdict("waiting", reasons=(f"{_name(look)} promises: {quoted(look.promised.text)}",))


def for_information(look: Look) -> Verdict:
    """Take the rest as information."""
    if look.how == "cc":
        return Verdict("fyi", reasons=("You are only in copy (Cc).",))
    if look.how == "unseen":
        return Verdict("fyi", reasons=("It is not addressed to you by name.",))
    return Verdict("fyi", reasons=("It asks you nothing.",))


def _name(look: Look) -> str:
    return look.mail.sender.name or look.mail.sender.address or "Somebody"


RULES: tuple[Rule, ...] = (
    users_own,  # the user's rules are about what comes in
    users_rule,
    # Who lies about the sender chooses the other headers too: those two come before what headers say.
    in_spam_folder,
    forged_sender,
    calendar_part,
    automatic_reply,
    unwanted,
    receipt,
    discussion,
    bulk,
    machine,
    bulk_in_words,
    asks_the_user,
    promises,
    for_information,
)
"""The signals in the order in which they count; the first that has a verdict decides."""


# -- what makes it more urgent --------------------------------------------------------------------------

_URGENT = re.compile(
    r"\b(?:urgent|asap|emergency|immediate(?:ly)?|time[- ]sensitive|right\s+away|dringend|eilt|eilig|sofort|notfall)\b",
    re.IGNORECASE,
)
_PRESSING = re.compile(r"\b(?:asap|urgent(?:ly)?|time[- ]sensitive|dringend)\b", re.IGNORECASE)
_NOT_URGENT = re.compile(
    r"\b(?:not|nothing|nicht)\s+(?:so\s+|that\s+|very\s+|really\s+)?(?:urgent|dringend|eilig)|\bno\s+rush\b|\beilt\s+nicht\b",
    re.IGNORECASE,
)
_LEVELS: tuple[Urgency, ...] = ("low", "medium", "high")


def near_deadline(look: Look, verdict: Verdict) -> Verdict:
    """Make urgent what has to be done within a day and a half of its coming."""
    due = look.deadline if verdict.category == "needs_reply" else None
    if due is None:
        return verdict
    reason = f'It sets a date: "{due.words}", that is {moment_of(due.when)}.'
    if due.when - look.mail.received_at <= SOON:
        return replace(verdict, category="urgent", urgency="high", reasons=(*verdict.reasons, reason))
    return replace(verdict, reasons=(*verdict.reasons, reason))


def urgent_words(look: Look, verdict: Verdict) -> Verdict:
    """Believe the word "urgent" from people; weaker words only in the subject or in what they ask."""
    personal = verdict.category in ("needs_reply", "fyi") and look.how in ("to", "unseen")
    if not personal or look.machine or look.by_user or is_discussion(look.mail):
        return verdict
    texts = (look.mail.subject, look.asked.text if look.asked else "")
    said = next((word for text in texts if (word := _URGENT.search(text))), None) or _PRESSING.search(look.mail.reply)
    if not said or _NOT_URGENT.search(look.mail.reply):
        return verdict
    return replace(verdict, category="urgent", urgency="high", reasons=(*verdict.reasons, f'It says "{said[0]}".'))


def importance(look: Look, verdict: Verdict) -> Verdict:
    """Take the sender's flag for little: a third of spam sets it."""
    flagged = signal(look.mail, "importance") == "high" or signal(look.mail, "x-priority").startswith(("1", "2"))
    if not flagged or verdict.category not in ("needs_reply", "fyi") or look.machine:
        return verdict
    raised = max(verdict.urgency, "medium", key=_LEVELS.index)
    return replace(verdict, urgency=raised, reasons=(*verdict.reasons, "The sender marked it as important."))


def cooled(look: Look, verdict: Verdict) -> Verdict:
    """Let nothing stay urgent for ever."""
    if verdict.category != "urgent" or look.about.now - look.mail.received_at <= COLD:
        return verdict
    if any(rule.matches(look.mail) for rule in look.about.rules):
        return verdict
    category: Category = "needs_reply" if verdict.needs_reply else "fyi"
    reasons = (*verdict.reasons, "That was more than a week ago.")
    return replace(verdict, category=category, urgency="low", reasons=reasons)


def warnings(look: Look, verdict: Verdict) -> Verdict:
    """Say what the user should know before believing the mail."""
    found = []
    if look.pretence and verdict.category != "spam":
        found.append(f"Careful: it comes as {look.pretence}, from {look.mail.sender.address}.")
    elif look.forged and verdict.category != "spam":
        found.append("Careful: your mail server could not confirm the sender (Authentication-Results).")
    if look.gives_orders:
        found.append(ORDERS)
    if look.mail.html_hidden and verdict.category not in ("newsletter", "receipt", "spam"):
        found.append("The HTML hides text from the reader; nothing of it is followed.")
    return replace(verdict, reasons=(*verdict.reasons, *found)) if found else verdict


RAISERS: tuple[Raiser, ...] = (near_deadline, urgent_words, importance, cooled, warnings)
"""What may be added to a verdict, in this order."""
