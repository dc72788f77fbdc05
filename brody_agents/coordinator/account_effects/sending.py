"""Mail that leaves: written once, handed over once, and found again by its Message-ID before anything is repeated.

``NotSent`` has it tried again, ``Refused`` ends it, and of every other end the account is asked whether the message
left. Where that cannot tell either, a person says so (``brody actions settle``); nothing is sent again blindly. What
the account had not announced yet has not left: the ledger knows that, whoever was killed, and whatever is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from brody_agents.action import CATALOGUE
from brody_agents.arguments import MailForward, MailReply
from brody_agents.coordinator.account_effects.base import Done, Effect, Finding, Job, NotDone, Step, Unclear
from brody_agents.coordinator.account_effects.composition import (
    Letter,
    mailbox,
    message_id_of,
    thread_of,
    titled,
    written,
)
from brody_agents.errors import Fenced, InvalidArguments
from brody_agents.integrations.mail.base import ParsedMail
from brody_agents.ledger import attempts


class Send:
    """``mail.send``, ``mail.reply`` and ``mail.forward``."""

    domain = "send"
    inverse: Step | str = CATALOGUE["mail.send"].inverse

    async def plan(self, job: Job) -> dict[str, Any]:
        """Write the message."""
        letter = letter_of(job)
        if not letter.recipients:
            raise InvalidArguments("The mail has no recipient.", "Name at least one in `to`.")
        return {
            "message_id": f"<{letter.message_id}>",
            "message": written(letter).decode("latin-1"),
            "sender": mailbox(letter.author).addr_spec,
            "recipients": letter.recipients,
            "announced": bool(job.ledger and getattr(job.provider, "announces", False)),
        }

    async def apply(self, job: Job) -> dict[str, Any]:
        """Hand it over; some recipients may be refused, then the result says which and why."""
        intent = job.intent
        announced = {"about_to": partial(_announce, job)} if intent.get("announced") else {}
        message = intent["message"].encode("latin-1")
        sent = await job.provider.send(message, intent["sender"], intent["recipients"], **announced)
        told = {"message_id": sent.message_id, "recipients": list(sent.accepted), "refused": dict(sent.refused)}
        return told | {"answer": sent.answer, "filed": sent.filed}

    async def reconcile(self, job: Job) -> Finding:
        """Ask whether it left, unless it was not even begun."""
        if job.action.handed_over is False:
            return NotDone()
        message_id = job.intent["message_id"]
        left = await job.provider.find_sent(message_id)
        if left is None:
            what = f"Nobody can tell whether {message_id} left by {job.provider.account}."
            return Unclear(f"{what} Look among your sent mail, or ask a recipient.")
        return Done({"message_id": message_id, "recipients": job.intent["recipients"]}) if left else NotDone()


async def _announce(job: Job) -> None:
    """Note in the ledger that the message is about to be handed over, if the attempt is still this worker's."""
    assert job.ledger
    async with job.ledger.write() as tx:
        mine = await attempts.hand_over(tx, job.action)
    if not mine:
        raise Fenced("The mail was not handed over: another worker has taken it over.")


EFFECTS: Mapping[str, Effect] = {"mail.send": Send(), "mail.reply": Send(), "mail.forward": Send()}


def letter_of(job: Job) -> Letter:
    """Return the message of an action: from the account's own address, dated now, in its thread."""
    from brody_agents.integrations.mail.parsing import parse_mail

    a, author = job.arguments, job.provider.author
    parent = parse_mail(job.original) if job.original else None
    common = {
        "message_id": message_id_of(job.action.key, author),
        "author": author,
        "text": a.text,
        "date": datetime.now(UTC),
    }
    if isinstance(a, MailForward):
        subject = titled("Fwd", parent.subject if parent else "")
        return Letter(to=a.to, subject=subject, forwarded=job.original, **common)
    to = a.to or (_writer(parent, author) if isinstance(a, MailReply) and parent else ())
    subject = a.subject or (titled("Re", parent.subject) if parent else "")
    thread = thread_of(parent) if parent else {}
    return Letter(to=to, cc=a.cc, bcc=a.bcc, subject=subject, thread=thread, **common)


def _writer(parent: ParsedMail, author: str) -> Sequence[str]:
    """Return who wrote a mail; raise ``InvalidArguments`` where it wants its answer elsewhere: that, a person names."""
    wanted = {address.address for address in parent.reply_to} - {mailbox(author).addr_spec.lower()}
    if wanted - {parent.sender.address}:
        what = f"The mail is from {parent.sender.address} and asks for answers to {', '.join(sorted(wanted))}."
        raise InvalidArguments(what, "Say in `to` who is to get the answer.")
    return [parent.sender.address] if parent.sender.address else ()
