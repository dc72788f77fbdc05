"""Effects on files, reconciled by path and content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brody_agents.coordinator.account_effects.base import Done, Effect, Finding, Job, NotDone, Unclear, digest
from brody_agents.errors import CannotShare, NotFound, ProviderError, Stale


class _FileEffect:
    domain = "files"


class Create(_FileEffect):
    """``file.create`` from text."""

    async def plan(self, job: Job) -> dict[str, Any]:
        """Demand that nothing lies there yet, so that what lies there later is ours."""
        if job.arguments.text is None:
            raise ProviderError("Only text can be written to a new file so far.", "Save the attachment by hand.")
        if await _content(job, job.arguments.path) is not None:
            raise Stale(f"{job.arguments.path} exists already.", "Choose another name.")
        return {"after": digest(job.arguments.text.encode())}

    async def apply(self, job: Job) -> dict[str, Any]:
        """Write the file."""
        version = await job.provider.write(job.arguments.path, job.arguments.text.encode(), None)
        return {"path": job.arguments.path, "version": version}

    async def reconcile(self, job: Job) -> Finding:
        """Look at the path."""
        found = await _content(job, job.arguments.path)
        if found is None:
            return NotDone()
        if digest(found) == job.intent["after"]:
            return Done({"path": job.arguments.path})
        return Unclear(f"{job.arguments.path} is there with another content.")


class Append(_FileEffect):
    """``file.append``: the whole file is written, on condition of the version that was read."""

    async def plan(self, job: Job) -> dict[str, Any]:
        """Read the content, to know it before and after."""
        old = await job.provider.read(job.key)
        return {"before": digest(old), "after": digest(_appended(old, job))}

    async def apply(self, job: Job) -> dict[str, Any]:
        """Write the longer content."""
        old = await job.provider.read(job.key)
        if digest(old) != job.intent["before"]:
            raise Stale(f"{job.key} has changed since it was read.", "Read it again, then decide again.")
        return {"path": job.key, "version": await job.provider.write(job.key, _appended(old, job), job.version)}

    async def reconcile(self, job: Job) -> Finding:
        """Compare the content."""
        found = await _content(job, job.key)
        now = None if found is None else digest(found)
        if now == job.intent["after"]:
            return Done({"path": job.key})
        return NotDone() if now == job.intent["before"] else Unclear(f"{job.key} has changed otherwise since.")


class Move(_FileEffect):
    """``file.move``."""

    async def plan(self, job: Job) -> dict[str, Any]:
        """Demand a free target and remember the content."""
        if await _content(job, job.arguments.path) is not None:
            raise Stale(f"{job.arguments.path} exists already.", "Choose another name.")
        return {"content": digest(await job.provider.read(job.key))}

    async def apply(self, job: Job) -> dict[str, Any]:
        """Move the file."""
        return {"path": await job.provider.move(job.key, job.arguments.path, job.version), "from": job.key}

    async def reconcile(self, job: Job) -> Finding:
        """Look at both places; a file in both is for a person: one of them may be somebody else's."""
        old, new = await _content(job, job.key), await _content(job, job.arguments.path)
        if old is not None and new is None:
            return NotDone()
        if old is None and new is not None and digest(new) == job.intent["content"]:
            return Done({"path": job.arguments.path, "from": job.key})
        return Unclear(f"Look at {job.key} and {job.arguments.path}.")


class Delete(_FileEffect):
    """``file.delete``."""

    async def plan(self, job: Job) -> dict[str, Any]:
        """Demand that it is there."""
        return {"content": digest(await job.provider.read(job.key))}

    async def apply(self, job: Job) -> dict[str, Any]:
        """Remove the file."""
        await job.provider.delete(job.key, job.version)
        return {"path": job.key}

    async def reconcile(self, job: Job) -> Finding:
        """See whether it is gone."""
        return Done({"path": job.key}) if await _content(job, job.key) is None else NotDone()


class Share(_FileEffect):
    """``file.share`` and ``file.unshare``, which a folder of this machine cannot do."""

    async def plan(self, job: Job) -> dict[str, Any]:
        """Refuse."""
        raise CannotShare(f"{job.provider.account} cannot share.")

    async def apply(self, job: Job) -> dict[str, Any]:
        """Refuse."""
        raise CannotShare(f"{job.provider.account} cannot share.")

    async def reconcile(self, job: Job) -> Finding:
        """Know that nothing can have happened."""
        return NotDone()


EFFECTS: Mapping[str, Effect] = {
    "file.create": Create(),
    "file.append": Append(),
    "file.move": Move(),
    "file.delete": Delete(),
    "file.share": Share(),
    "file.unshare": Share(),
}


def _appended(old: bytes, job: Job) -> bytes:
    between = b"\n" if old and not old.endswith(b"\n") else b""
    text: str = job.arguments.text
    return old + between + text.encode()


async def _content(job: Job, key: str) -> bytes | None:
    try:
        content: bytes = await job.provider.read(key)
    except NotFound:
        return None
    return content
