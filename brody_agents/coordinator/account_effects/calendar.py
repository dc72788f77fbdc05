"""Effects on calendars: every one writes, or removes, all components of one UID on condition of the version read.

A new event's UID is made from the action's idempotency key, so that it is found again whatever happened. The intent
keeps the event as it was and as it is to be: that is what ``reconcile`` compares, and what undoing writes back. No
mail is sent to attendees here; a server with scheduling (RFC 6638) sends its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

from brody_agents.communication.message_protocol import stable_id
from brody_agents.coordinator.account_effects.base import Done, Effect, Finding, Job, NotDone, Step, Unclear
from brody_agents.errors import BrodyError, InvalidArguments, NotFound, ProviderError, Stale
from brody_agents.integrations.calendar.base import NewEvent, RawEvent
from brody_agents.ledger import event_rows
from brody_agents.ledger.event_rows import Place
from brody_agents.ledger.ledger import Ledger

_READ_AGAIN = "Read it again, then decide again."
Rewritten = Callable[[Job, Place, str, frozenset[str]], Awaitable[str | None]]
"""Give an event's new text from the job, its place, its text and the person's addresses; ``None`` removes it."""


class _CalendarStep:
    """Carry out an intent: ``uid``, ``etag`` (``None`` for new), ``before``, ``after``, and where it lies."""

    domain = "calendar"

    async def apply(self, job: Job) -> dict[str, Any]:
        """Write or remove it, if it is still as it was read."""
        intent, version = job.intent, ""
        if intent["after"] is not None:
            event = RawEvent(intent["uid"], "", intent["after"], intent["calendar"], intent["path"])
            version = await job.provider.put(event, intent["etag"])
        elif intent["etag"] is not None:
            await job.provider.delete(intent["uid"], intent["etag"])
        await _note(job)
        return _result(job) | ({"version": version} if version else {})

    async def reconcile(self, job: Job) -> Finding:
        """Look for the UID and compare."""
        from brody_agents.integrations.calendar.comparison import same

        now = await job.provider.find(job.intent["uid"])
        finding = _judged(job, now)
        if isinstance(finding, Done):
            await _note(job)
            if now is not None and job.intent["after"] is not None and same(now.data, job.intent["after"]):
                return Done(finding.result | {"version": now.version})
        return finding


class Back(_CalendarStep):
    """Write back what was there before, if nobody has changed it since."""

    async def plan(self, job: Job) -> dict[str, Any]:
        """Demand that the event is as the effect left it."""
        from brody_agents.integrations.calendar.changes import restored

        done, result = job.action.intent or {}, job.action.result or {}
        earlier, latest = done["before"], done["after"]
        if earlier is None and latest is None:
            raise ProviderError("Nothing was written to the calendar.", "There is nothing to undo.")
        now = await job.provider.find(done["uid"])
        if (now is None) != (latest is None):
            raise Stale("The event is in the calendar again." if now else "The event is not there any more.", _LOOK)
        if now is not None and not _untouched(now, latest, result.get("version")):
            raise Stale("The event was changed since.", _LOOK)
        if earlier is not None:
            last = latest or earlier
            earlier = restored(earlier, last, await _own(job), datetime.now(UTC)) if now else earlier
        return _intent(done["uid"], now, earlier, calendar=done["calendar"], path=done["path"])


_LOOK = "Change it by hand if you still want to."


class Create(_CalendarStep):
    """``calendar.create``."""

    inverse: Step | str = Back()

    async def plan(self, job: Job) -> dict[str, Any]:
        """Write the event, which must not be there yet."""
        from brody_agents.integrations.calendar.changes import made

        uid, now = uid_of(job.action.key), datetime.now(UTC)
        if await job.provider.find(uid) is not None:
            raise Stale("The event is in the calendar already.", _READ_AGAIN)
        return _intent(uid, None, made(_new_event(uid, job.arguments), await _own(job), now))


class Change(_CalendarStep):
    """``calendar.update``, ``calendar.cancel`` and ``calendar.invite``: of an event, a series, or one occurrence."""

    inverse: Step | str = Back()

    def __init__(self, rewritten: Rewritten) -> None:
        self._rewritten = rewritten

    async def plan(self, job: Job) -> dict[str, Any]:
        """Read the event, demand that it is as the proposer read it, and write what it will be."""
        a = job.arguments
        place = await event_rows.by_id(_ledger(job), job.action.user_id, a.account, a.event_id, a.recurrence_id)
        if place is None:
            raise NotFound(f"There is no event {a.event_id} in {a.account}.", "Read the calendar again.")
        now = await _unchanged(job, place, getattr(a, "version", None))
        return _intent(place.uid, now, await self._rewritten(job, place, now.data, await _own(job)))


class Respond(_CalendarStep):
    """``calendar.respond``: the person's own answer; an invitation that only came by mail is put into the calendar."""

    inverse: Step | str = Back()

    async def plan(self, job: Job) -> dict[str, Any]:
        """Find the event, or the invitation, and write the answer into it."""
        from brody_agents.integrations.calendar.changes import answered

        a, own, now = job.arguments, await _own(job), datetime.now(UTC)
        place = await event_rows.by_uid(_ledger(job), job.action.user_id, a.account, a.uid)
        event = await job.provider.find(a.uid)
        if event is not None:
            event = await _unchanged(job, place or Place(a.account, a.uid, event.version), None)
        data = await _invited_to(job, event)
        if event is None and a.answer == "declined":
            return _intent(a.uid, None, None)
        return _intent(a.uid, event, answered(data, a.recurrence_id or "", a.answer, own, now))


async def _update(job: Job, place: Place, data: str, own: frozenset[str]) -> str | None:
    from brody_agents.integrations.calendar import changes

    a = job.arguments
    change = changes.Change(a.title, a.start, a.end, a.location, a.description)
    if change == changes.Change():
        raise InvalidArguments("Nothing is to be changed.", "Give what is to be different.")
    return changes.updated(data, place.recurrence, change, own, datetime.now(UTC))


async def _cancel(job: Job, place: Place, data: str, own: frozenset[str]) -> str | None:
    from brody_agents.integrations.calendar.changes import called_off

    return called_off(data, place.recurrence, own, datetime.now(UTC))


async def _invite(job: Job, place: Place, data: str, own: frozenset[str]) -> str | None:
    from brody_agents.integrations.calendar.changes import invited

    return invited(data, place.recurrence, job.arguments.attendees, own, datetime.now(UTC))


EFFECTS: Mapping[str, Effect] = {
    "calendar.create": Create(),
    "calendar.update": Change(_update),
    "calendar.cancel": Change(_cancel),
    "calendar.respond": Respond(),
    "calendar.invite": Change(_invite),
}


def uid_of(key: str) -> str:
    """Return the UID of the event that the action with an idempotency key makes."""
    return f"{key[:40]}@brody.invalid"


# -- what is there -------------------------------------------------------------------------------------


async def _unchanged(job: Job, place: Place, read: str | None) -> RawEvent:
    """Return an event; raise ``Stale`` unless it is what was read, and what an earlier attempt was planned on."""
    now: RawEvent | None = await job.provider.find(place.uid)
    if now is None:
        raise Stale("The event is no longer in the calendar.", "Read the calendar again.")
    wanted = {read or place.version, job.intent.get("etag")} - {"", None}
    if wanted - {now.version}:
        raise Stale("The event has changed since it was read.", _READ_AGAIN)
    return now


async def _invited_to(job: Job, event: RawEvent | None) -> str:
    """Return the text that is answered: the calendar's, or that of the mail where it is newer or the only one."""
    from brody_agents.integrations.calendar.changes import sequence_of
    from brody_agents.integrations.calendar.invitations import merged

    a = job.arguments
    there = -1 if event is None else sequence_of(event.data, a.recurrence_id or "")
    if there > a.sequence:
        raise Stale("The organizer has changed the meeting since.", _READ_AGAIN)
    invitation = ""
    if there < a.sequence:
        invitation = await event_rows.invitation(_ledger(job), job.action.user_id, a.email_id)
    if invitation:
        return merged(event.data if event else "", invitation, a.uid)
    if event is None:
        raise NotFound(f"{a.uid} is in no calendar, and no mail has the invitation.", "Answer it in your mail program.")
    return event.data


async def _own(job: Job) -> frozenset[str]:
    """Return the person's addresses, and the one that the account's user name is, if it is one."""
    place = urlsplit(job.provider.account.partition(":")[2])
    user = unquote(place.username or "").lower()
    return await event_rows.own_addresses(_ledger(job), job.action.user_id) | ({user} if "@" in user else set())


def _ledger(job: Job) -> Ledger:
    if job.ledger is None:
        raise ProviderError("An effect on a calendar needs the ledger.", "Give the job one.")
    return job.ledger


def _new_event(uid: str, a: Any) -> NewEvent:
    start, end = a.start, a.end
    if a.all_day:
        # A day that has begun counts; an end at midnight is where the day before it ends (RFC 5545, 3.6.1).
        start, end = start.date(), (end - timedelta(microseconds=1)).date() + timedelta(days=1)
    return NewEvent(uid, a.title, start, end, a.location, a.description, a.attendees)


# -- what is written, and what became of it ------------------------------------------------------------


def _intent(uid: str, now: RawEvent | None, after: str | None, calendar: str = "", path: str = "") -> dict[str, Any]:
    return {
        "uid": uid,
        "etag": now.version if now else None,
        "before": now.data if now else None,
        "after": after,
        "calendar": now.calendar if now else calendar,
        "path": now.path if now else path,
    }


def _judged(job: Job, now: RawEvent | None) -> Finding:
    from brody_agents.integrations.calendar.comparison import seen

    before, after, done = job.intent["before"], job.intent["after"], Done(_result(job))
    if after is None:
        return done if now is None or before is None else NotDone()
    if now is None:
        return NotDone() if before is None else Unclear("The event is not in the calendar any more.")
    if before is None:
        return done  # nobody else makes this UID; what was edited since was made first
    found = seen(before, after, now.data)
    if found == "all":
        return done
    if now.version == job.intent["etag"] or found == "nothing":
        return NotDone()
    return Unclear("The event was changed by somebody else, and only a part of this can be seen in it.")


def _untouched(now: RawEvent, latest: str, version: str | None) -> bool:
    from brody_agents.integrations.calendar.comparison import same

    return now.version == version or same(now.data, latest)


def _result(job: Job) -> dict[str, Any]:
    uid = job.intent["uid"]
    return {"uid": uid, "event_id": stable_id(job.provider.account, uid), "kept": job.intent["after"] is not None}


async def _note(job: Job) -> None:
    """Have the ledger see the event at once; what cannot be noted now is found by the next read of the account."""
    ledger, user, account = _ledger(job), job.action.user_id, job.provider.account
    with suppress(BrodyError):
        event = await job.provider.find(job.intent["uid"])
        if event is not None:
            await event_rows.written(ledger, user, account, event)
        elif job.intent["after"] is None:
            await event_rows.removed(ledger, user, account, job.intent["uid"])
