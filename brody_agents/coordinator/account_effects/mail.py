"""Effects on mail: drafts found again by a Message-ID made from the action's key, places and flags by reading."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any

from brody_agents.coordinator.account_effects.base import Done, Effect, Finding, Job, NotDone, Unclear, digest
from brody_agents.errors import LabelNotSupported, NotFound, NoTransport, ProviderError

DRAFTS, ARCHIVE = "Drafts", "Archive"
_POLICY = SMTP.clone(cte_type="7bit")


class _MailEffect:
    domain = "mail"


class Draft(_MailEffect):
    """``mail.draft``: a message in the Drafts folder, with the headers of its thread (RFC 5322, 3.6.4)."""

    async def plan(self, job: Job) -> dict[str, Any]:
        """Write the message."""
        message_id = message_id_of(job.action.key)
        return {"message_id": message_id, "message": composed(job, message_id, await _thread(job)).decode("ascii")}

    async def apply(self, job: Job) -> dict[str, Any]:
        """Store it."""
        data = job.intent["message"].encode("ascii")
        key = await job.provider.append(data, DRAFTS, frozenset({"draft", "seen"}))
        return {"folder": DRAFTS, "key": key, "message_id": job.intent["message_id"]}

    async def reconcile(self, job: Job) -> Finding:
        """Look for its Message-ID anywhere: the person may have moved or sent it."""
        found = await _found(job, f"<{job.intent['message_id']}>".encode())
        if found is None:
            return NotDone()
        return Done({"folder": found.folder, "key": found.key, "message_id": job.intent["message_id"]})


class Send(_MailEffect):
    """``mail.send``, ``mail.reply`` and ``mail.forward``, which need an account with an outgoing transport."""

    async def plan(self, job: Job) -> dict[str, Any]:
        """Refuse: no local account can send."""
        raise NoTransport(f"{job.provider.account} cannot send mail.")

    async def apply(self, job: Job) -> dict[str, Any]:
        """Refuse."""
        raise NoTransport(f"{job.provider.account} cannot send mail.")

    async def reconcile(self, job: Job) -> Finding:
        """Never say that a mail did not leave: nobody has looked."""
        return Unclear("Look among the sent mails whether it left.")


class Label(_MailEffect):
    """``mail.label`` and ``mail.unlabel``: a flag of the message."""

    def __init__(self, *, on: bool) -> None:
        self._on = on

    async def plan(self, job: Job) -> dict[str, Any]:
        """Note whether it was there."""
        return {"was": job.arguments.label in (await job.provider.fetch(job.key)).flags}

    async def apply(self, job: Job) -> dict[str, Any]:
        """Change the flag."""
        label = frozenset({job.arguments.label})
        add, remove = (label, frozenset[str]()) if self._on else (frozenset[str](), label)
        try:
            version = await job.provider.flag(job.key, add, remove, None)
        except NotFound:
            raise
        except ProviderError as error:
            raise LabelNotSupported(error.what, error.remedy) from error
        return {"key": job.key, "version": version, "was": job.intent["was"]}

    async def reconcile(self, job: Job) -> Finding:
        """Read the flags; setting one again does no harm."""
        now = job.arguments.label in (await job.provider.fetch(job.key)).flags
        return Done({"key": job.key, "was": job.intent["was"]}) if now == self._on else NotDone()


class Archive(_MailEffect):
    """``mail.archive``: move it to the Archive folder."""

    async def plan(self, job: Job) -> dict[str, Any]:
        """Note where it lies and what it is."""
        mail = await job.provider.fetch(job.key)
        return {"folder": mail.folder, "content": digest(mail.data)}

    async def apply(self, job: Job) -> dict[str, Any]:
        """Move it."""
        key = await job.provider.move(job.key, ARCHIVE, job.version)
        return {"key": key, "folder": ARCHIVE, "from": job.intent["folder"]}

    async def reconcile(self, job: Job) -> Finding:
        """Look where it was, then in the archive."""
        if await _is_there(job):
            return NotDone()
        async for mail in _all(job):
            if mail.folder.lower() == ARCHIVE.lower() and digest(mail.data) == job.intent["content"]:
                return Done({"key": mail.key, "folder": mail.folder, "from": job.intent["folder"]})
        return Unclear("The mail is neither where it was nor in the archive.")


class Delete(_MailEffect):
    """``mail.delete``: remove it for good."""

    async def plan(self, job: Job) -> dict[str, Any]:
        """Demand that it is there."""
        return {"content": digest((await job.provider.fetch(job.key)).data)}

    async def apply(self, job: Job) -> dict[str, Any]:
        """Remove it."""
        await job.provider.delete(job.key, job.version)
        return {"key": job.key}

    async def reconcile(self, job: Job) -> Finding:
        """See whether it is gone."""
        return NotDone() if await _is_there(job) else Done({"key": job.key})


EFFECTS: Mapping[str, Effect] = {
    "mail.draft": Draft(),
    "mail.send": Send(),
    "mail.reply": Send(),
    "mail.forward": Send(),
    "mail.label": Label(on=True),
    "mail.unlabel": Label(on=False),
    "mail.archive": Archive(),
    "mail.delete": Delete(),
}


def message_id_of(key: str) -> str:
    """Return the Message-ID, without brackets, of the message that the action with an idempotency key makes."""
    return f"{key[:40]}@brody.invalid"


def composed(job: Job, message_id: str, thread: dict[str, str]) -> bytes:
    """Return the message of an action as RFC 5322 bytes, the same each time; all ASCII."""
    a, message = job.arguments, EmailMessage(policy=_POLICY)
    for name, people in (("To", a.to), ("Cc", a.cc)):
        if people:
            message[name] = ", ".join(people)
    message["Subject"] = " ".join(a.subject.split())
    message["Date"] = format_datetime(job.action.created_at)
    message["Message-ID"] = f"<{message_id}>"
    for name, value in thread.items():
        message[name] = value
    message.set_content(a.text)
    return message.as_bytes()


async def _thread(job: Job) -> dict[str, str]:
    """Return In-Reply-To and References for an answer to the job's mail."""
    if not job.key:
        return {}
    from brody_agents.integrations.mail.parsing import parse_mail

    parent = parse_mail((await job.provider.fetch(job.key)).data)
    earlier = parent.references or ((parent.in_reply_to,) if parent.in_reply_to else ())
    chain = [f"<{i}>" for i in (*earlier, parent.message_id) if i]
    return {"In-Reply-To": f"<{parent.message_id}>", "References": " ".join(dict.fromkeys(chain))}


async def _is_there(job: Job) -> bool:
    try:
        await job.provider.fetch(job.key)
    except NotFound:
        return False
    return True


async def _all(job: Job) -> Any:
    async def nothing() -> dict[str, str]:
        return {}

    async for page in job.provider.changes(None, nothing):
        for mail in page.items:
            yield mail


async def _found(job: Job, message_id: bytes) -> Any:
    async for mail in _all(job):
        head = re.split(rb"\r?\n\r?\n", mail.data, maxsplit=1)[0]
        if b"message-id: " + message_id.lower() in head.lower():
            return mail
    return None
