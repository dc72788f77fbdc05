"""Effects on files, reconciled by path and content; each with what undoes it as long as the content is the same."""

from __future__ import annotations

from collections.abc import Mapping
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
from brody_agents.errors import CannotShare, NotFound, ProviderError, Stale

_READ_AGAIN = "Read it again, then decide again."


class _FileStep:
    domain = "files"


class Uncreate(_FileStep):
    """Remove a file that ``file.create`` made, if its content is still that."""

    async def plan(self, job: Job) -> dict[str, Any]:
        """Demand that it is as it was made."""
        return await _unchanged(job, job.arguments.path, _before(job)["after"])

    async def apply(self, job: Job) -> dict[str, Any]:
        """Remove the file."""
        await job.provider.delete(job.intent["key"], job.intent["version"])
        return {"path": job.intent["key"]}

    async def reconcile(self, job: Job) -> Finding:
        """See whether it is gone."""
        key = job.intent["key"]
        return Done({"path": key}) if await _content(job, key) is None else NotDone()


class Create(_FileStep):
    """``file.create`` from text."""

    inverse: Step | str = Uncreate()

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


class Unappend(_FileStep):
    """Write back what a file held before ``file.append``, if nothing was changed since.

    What it held is what is left without the text that was added, so that no copy of it has to be kept.
    """

    async def plan(self, job: Job) -> dict[str, Any]:
        """Demand that it ends as it was made to."""
        return await _unchanged(job, _before(job)["key"], _before(job)["after"])

    async def apply(self, job: Job) -> dict[str, Any]:
        """Write the shorter content."""
        key = job.intent["key"]
        old = _shortened(await job.provider.read(key), job)
        return {"path": key, "version": await job.provider.write(key, old, job.intent["version"])}

    async def reconcile(self, job: Job) -> Finding:
        """Compare the content."""
        return await _compared(job, job.intent["key"], _before(job)["after"], _before(job)["before"])


class Append(_FileStep):
    """``file.append``: the whole file is written, on condition of the version that was read."""

    inverse: Step | str = Unappend()

    async def plan(self, job: Job) -> dict[str, Any]:
        """Read the content, to know it before and after."""
        old = await job.provider.read(job.key)
        return {"before": digest(old), "after": digest(_appended(old, job))}

    async def apply(self, job: Job) -> dict[str, Any]:
        """Write the longer content."""
        old = await job.provider.read(job.key)
        if digest(old) != job.intent["before"]:
            raise Stale(f"{job.key} has changed since it was read.", _READ_AGAIN)
        return {"path": job.key, "version": await job.provider.write(job.key, _appended(old, job), job.version)}

    async def reconcile(self, job: Job) -> Finding:
        """Compare the content."""
        return await _compared(job, job.key, job.intent["before"], job.intent["after"])


class Unmove(_FileStep):
    """Move a file back, if its content is the same and nothing has taken its place."""

    async def plan(self, job: Job) -> dict[str, Any]:
        """Demand that it is where it was moved to, and a free place."""
        back = _before(job)["key"]
        if await _content(job, back) is not None:
            raise Stale(f"There is another {back} by now.", _READ_AGAIN)
        return await _unchanged(job, _result(job)["path"], _before(job)["content"]) | {"back": back}

    async def apply(self, job: Job) -> dict[str, Any]:
        """Move the file."""
        return {"path": await job.provider.move(job.intent["key"], job.intent["back"], job.intent["version"])}

    async def reconcile(self, job: Job) -> Finding:
        """Look at both places."""
        return await _moved(job, job.intent["key"], job.intent["back"], _before(job)["content"])


class Move(_FileStep):
    """``file.move``."""

    inverse: Step | str = Unmove()

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
        return await _moved(job, job.key, job.arguments.path, job.intent["content"])


class Delete(_FileStep):
    """``file.delete``."""

    inverse: Step | str = CATALOGUE["file.delete"].inverse

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


class Share(_FileStep):
    """``file.share`` and ``file.unshare``, which a folder of this machine cannot do."""

    inverse: Step | str = "No account can share so far, so there is nothing to undo."

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


def _before(job: Job) -> dict[str, Any]:
    """Return the intent of the effect that is to be undone."""
    return job.action.intent or {}


def _result(job: Job) -> dict[str, Any]:
    return job.action.result or {}


def _appended(old: bytes, job: Job) -> bytes:
    between = b"\n" if old and not old.endswith(b"\n") else b""
    text: str = job.arguments.text
    return old + between + text.encode()


def _shortened(new: bytes, job: Job) -> bytes:
    """Return what a file held before the job's text was added; raise ``Stale`` if it is not the end of it."""
    text: str = job.arguments.text
    without = new.removesuffix(text.encode())
    for old in (without, without.removesuffix(b"\n")):
        if digest(old) == _before(job)["before"]:
            return old
    raise Stale(f"{job.intent['key']} has changed since.", _READ_AGAIN)


async def _unchanged(job: Job, key: str, content: str) -> dict[str, Any]:
    """Return key and version of a file; raise ``Stale`` unless it has the content with this digest."""
    try:
        version = await job.provider.version(key)
    except NotFound as error:
        raise Stale(f"{key} is not there any more.", _READ_AGAIN) from error
    found = await _content(job, key)
    if found is None or digest(found) != content:
        raise Stale(f"{key} has changed since.", _READ_AGAIN)
    return {"key": key, "version": version}


async def _compared(job: Job, key: str, before: str, after: str) -> Finding:
    """Say by its content whether a file was written."""
    found = await _content(job, key)
    now = None if found is None else digest(found)
    if now == after:
        return Done({"path": key})
    return NotDone() if now == before else Unclear(f"{key} has changed otherwise since.")


async def _moved(job: Job, source: str, target: str, content: str) -> Finding:
    """Say by what lies at its two places whether a file was moved."""
    old, new = await _content(job, source), await _content(job, target)
    if old is not None and new is None:
        return NotDone()
    if old is None and new is not None and digest(new) == content:
        return Done({"path": target, "from": source})
    return Unclear(f"Look at {source} and {target}.")


async def _content(job: Job, key: str) -> bytes | None:
    try:
        content: bytes = await job.provider.read(key)
    except NotFound:
        return None
    return content
