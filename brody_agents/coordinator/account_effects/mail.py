"""Effects on mail: drafts found again by a Message-ID made from the action's key, places and flags by reading."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from brody_agents.coordinator.account_effects import composition
from brody_agents.coordinator.account_effects.base import Done, Effect, Finding, Job, NotDone, Unclear, digest
from brody_agents.errors import LabelNotSupported, NotFound, ProviderError

DRAFTS, ARCHIVE = "Drafts", "Archive"


class _MailEffect:
    domain = "mail"


class Draft(_MailEffect):
    """``mail.draft``: a message in the Drafts folder, with the headers of its thread (RFC 5322, 3.6.4)."""

    async def plan(self, job: Job) -> dict[str, Any]:
        """Write the message."""
        a = job.arguments
        letter = composition.Letter(
            message_id=composition.message_id_of(job.action.key, job.author),
            author=job.author,
            to=a.to,
            cc=a.cc,
            bcc=a.bcc,
            subject=a.subject,
            text=a.text,
            date=job.action.created_at,
            thread=await _thread(job),
        )
        message = composition.written(letter, show_bcc=True)
        return {"message_id": letter.message_id, "message": message.decode("latin-1")}

    async def apply(self, job: Job) -> dict[str, Any]:
        """Store it."""
        data = job.intent["message"].encode("latin-1")
        key = await job.provider.append(data, DRAFTS, frozenset({"draft", "seen"}))
        return {"folder": DRAFTS, "key": key, "message_id": job.intent["message_id"]}

    async def reconcile(self, job: Job) -> Finding:
        """Look for its Message-ID anywhere: the person may have moved or sent it."""
        found = await _found(job, f"<{job.intent['message_id']}>".encode())
        if found is None:
            return NotDone()
        return Done({"folder": found.folder, "key": found.key, "message_id": job.intent["message_id"]})


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
    "mail.label": Label(on=True),
    "mail.unlabel": Label(on=False),
    "mail.archive": Archive(),
    "mail.delete": Delete(),
}


async def _thread(job: Job) -> dict[str, str]:
    """Return In-Reply-To and References for an answer to the job's mail."""
    if not job.key:
        return {}
    from brody_agents.integrations.mail.parsing import parse_mail

    return composition.thread_of(parse_mail((await job.provider.fetch(job.key)).data))


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
