"""Effects on mail: drafts found again by a Message-ID made from the action's key, places and flags by reading."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any

from brody_agents.action import CATALOGUE
from brody_agents.coordinator.account_effects.base import (
    Done,
    Effect,
    Finding,
    Job,
    NotDone,
    Step,
    Unclear,
    digest,
)
from brody_agents.errors import LabelNotSupported, NotFound, NoTransport, ProviderError, Stale

DRAFTS, ARCHIVE = "Drafts", "Archive"
_POLICY = SMTP.clone(cte_type="7bit")


class _MailStep:
    domain = "mail"


class Undraft(_MailStep):
    """Remove a draft that nobody has edited, moved or sent."""

    async def plan(self, job: Job) -> dict[str, Any]:
        """Demand that it lies where it was put, as it was written."""
        mail = await _still(job, _result(job)["key"], "The draft is not there any more: it was moved, sent or deleted.")
        if _lines(mail.data) != _lines(_before(job)["message"].encode("ascii")):
            raise Stale("The draft was edited since.", "Delete it by hand if you do not want it.")
        return {"key": mail.key, "version": mail.version}

    async def apply(self, job: Job) -> dict[str, Any]:
        """Remove it."""
        await job.provider.delete(job.intent["key"], job.intent["version"])
        return {"key": job.intent["key"]}

    async def reconcile(self, job: Job) -> Finding:
        """See whether it is gone."""
        key = job.intent["key"]
        return NotDone() if await _is_there(job, key) else Done({"key": key})


class Draft(_MailStep):
    """``mail.draft``: a message in the Drafts folder, with the headers of its thread (RFC 5322, 3.6.4)."""

    inverse: Step | str = Undraft()

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


class Send(_MailStep):
    """``mail.send``, ``mail.reply`` and ``mail.forward``, which need an account with an outgoing transport."""

    inverse: Step | str = CATALOGUE["mail.send"].inverse

    async def plan(self, job: Job) -> dict[str, Any]:
        """Refuse: no local account can send."""
        raise NoTransport(f"{job.provider.account} cannot send mail.")

    async def apply(self, job: Job) -> dict[str, Any]:
        """Refuse."""
        raise NoTransport(f"{job.provider.account} cannot send mail.")

    async def reconcile(self, job: Job) -> Finding:
        """Never say that a mail did not leave: nobody has looked."""
        return Unclear("Look among the sent mails whether it left.")


class Label(_MailStep):
    """``mail.label`` and ``mail.unlabel``: a flag of the message."""

    def __init__(self, *, on: bool) -> None:
        self._on = on
        self.inverse: Step | str = Relabel(on=not on)

    async def plan(self, job: Job) -> dict[str, Any]:
        """Note whether it was there."""
        return {"was": job.arguments.label in (await job.provider.fetch(job.key)).flags}

    async def apply(self, job: Job) -> dict[str, Any]:
        """Change the flag."""
        version = await _flagged(job, job.key, on=self._on)
        return {"key": job.key, "version": version, "was": job.intent["was"]}

    async def reconcile(self, job: Job) -> Finding:
        """Read the flags; setting one again does no harm."""
        now = job.arguments.label in (await job.provider.fetch(job.key)).flags
        return Done({"key": job.key, "was": job.intent["was"]}) if now == self._on else NotDone()


class Relabel(_MailStep):
    """Give a message the flag back, or take it off again; where it was so before, there is nothing to do."""

    def __init__(self, *, on: bool) -> None:
        self._on = on

    async def plan(self, job: Job) -> dict[str, Any]:
        """Demand that nobody has changed the flag since."""
        mail = await _still(job, _before(job)["key"], "The mail was moved or deleted since.")
        if (job.arguments.label in mail.flags) == self._on:
            raise Stale(f"The label {job.arguments.label} was changed by somebody else since.", "Leave it so.")
        return {"key": mail.key, "version": mail.version}

    async def apply(self, job: Job) -> dict[str, Any]:
        """Change the flag, if the effect has changed it."""
        key = job.intent["key"]
        if _before(job)["was"] == self._on:
            await _flagged(job, key, on=self._on)
        return {"key": key}

    async def reconcile(self, job: Job) -> Finding:
        """Read the flags."""
        mail = await job.provider.fetch(job.intent["key"])
        is_so = (job.arguments.label in mail.flags) == _before(job)["was"]
        return Done({"key": mail.key}) if is_so else NotDone()


class Unarchive(_MailStep):
    """Move a mail back to the folder that it came from."""

    async def plan(self, job: Job) -> dict[str, Any]:
        """Demand that it lies where it was moved to."""
        mail = await _still(job, _result(job)["key"], "The mail is not in the archive any more.")
        return {"key": mail.key, "version": mail.version, "folder": _before(job)["folder"]}

    async def apply(self, job: Job) -> dict[str, Any]:
        """Move it."""
        folder = job.intent["folder"]
        return {"key": await job.provider.move(job.intent["key"], folder, job.intent["version"]), "folder": folder}

    async def reconcile(self, job: Job) -> Finding:
        """Look in the archive, then where it came from."""
        where = "The mail is neither in the archive nor where it came from."
        return await _moved(job, job.intent["key"], job.intent["folder"], _before(job)["content"], where)


class Archive(_MailStep):
    """``mail.archive``: move it to the Archive folder."""

    inverse: Step | str = Unarchive()

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
        where = "The mail is neither where it was nor in the archive."
        found = await _moved(job, job.key, ARCHIVE, job.intent["content"], where)
        return Done(found.result | {"from": job.intent["folder"]}) if isinstance(found, Done) else found


class Delete(_MailStep):
    """``mail.delete``: remove it for good."""

    inverse: Step | str = CATALOGUE["mail.delete"].inverse

    async def plan(self, job: Job) -> dict[str, Any]:
        """Demand that it is there."""
        return {"content": digest((await job.provider.fetch(job.key)).data)}

    async def apply(self, job: Job) -> dict[str, Any]:
        """Remove it."""
        await job.provider.delete(job.key, job.version)
        return {"key": job.key}

    async def reconcile(self, job: Job) -> Finding:
        """See whether it is gone."""
        return NotDone() if await _is_there(job, job.key) else Done({"key": job.key})


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


def _before(job: Job) -> dict[str, Any]:
    """Return the intent of the effect that is to be undone."""
    return job.action.intent or {}


def _result(job: Job) -> dict[str, Any]:
    return job.action.result or {}


def _lines(data: bytes) -> list[bytes]:
    """Return a message without what accounts change of it: how lines end, and empty ones at the end."""
    return data.rstrip().splitlines()


async def _flagged(job: Job, key: str, *, on: bool) -> str:
    """Put the job's label on, or take it off, and return the new version."""
    label = frozenset({job.arguments.label})
    add, remove = (label, frozenset[str]()) if on else (frozenset[str](), label)
    try:
        version: str = await job.provider.flag(key, add, remove, None)
    except NotFound:
        raise
    except ProviderError as error:
        raise LabelNotSupported(error.what, error.remedy) from error
    return version


async def _still(job: Job, key: str, otherwise: str) -> Any:
    """Return the mail of a key; raise ``Stale`` with these words if there is none."""
    try:
        return await job.provider.fetch(key)
    except NotFound as error:
        raise Stale(otherwise, "Look where it is now.") from error


async def _is_there(job: Job, key: str) -> bool:
    try:
        await job.provider.fetch(key)
    except NotFound:
        return False
    return True


async def _moved(job: Job, key: str, folder: str, content: str, otherwise: str) -> Finding:
    """Say whether a mail was moved to a folder, by its old key and its content."""
    if await _is_there(job, key):
        return NotDone()
    async for mail in _all(job):
        if mail.folder.lower() == folder.lower() and digest(mail.data) == content:
            return Done({"key": mail.key, "folder": mail.folder})
    return Unclear(otherwise)


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
