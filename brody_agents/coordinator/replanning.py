"""Plan again what lost its time or was made on a stale read: outside of any transaction, on a versioned snapshot.

The answer is checked again when it is committed: it is settled like any proposal. If the world has moved by then it is
planned once more, three times at most; then, or where there is no answer, the person is asked, with three ways out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.action import AgentAction, Claim, action_id
from brody_agents.communication.message_protocol import Priority
from brody_agents.communication.payloads import Replan
from brody_agents.context import Context
from brody_agents.coordinator.conflict_resolver import ConflictResolver, to_plan
from brody_agents.coordinator.conflicts.placing import HORIZON, Placed, Span, Wanted, place
from brody_agents.coordinator.conflicts.ruling import WAITING, said
from brody_agents.coordinator.conflicts.slots import span_of
from brody_agents.coordinator.conflicts.stale import item_of
from brody_agents.coordinator.conflicts.world import ITEMS
from brody_agents.ledger import actions, messages
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Action, Task, Verdict
from brody_agents.policy import audit
from brody_agents.policy.audit import AuditEvent
from brody_agents.policy.basis import title_of
from brody_agents.policy.rules import Judgement

TRIES = 3
"""How often something is planned again before the person is asked."""

_STALE = ("Do it to what is there now", "Look at it again first", "Leave it")
_HOW = {"shortened": "It is shortened", "split": "It is split", "moved": "It is moved", "halved": "It is split in two"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What planning came to: the arguments of whatever takes the place of the action, or ways out."""

    arguments: tuple[dict[str, Any], ...] = ()
    why: str = ""
    options: tuple[str, ...] = ()


class Replanner:
    """Answer ``replan``."""

    def __init__(self, ledger: Ledger, resolver: ConflictResolver) -> None:
        self._ledger = ledger
        self._resolver = resolver

    async def plan(self, message: Replan, ctx: Context) -> None:
        """Plan an action again, and have the answer written with the turn."""
        action = await self._wanted_again(ctx.user_id, message)
        if action is None:
            return
        answer = await (self._read_again(action) if message.reason == "stale" else self._placed(action, message, ctx))
        ctx.outcome.writes.append(lambda tx: self._write(tx, message, ctx.user_id, answer))

    async def _wanted_again(self, user_id: str, message: Replan) -> ActionRecord | None:
        """Return the action, unless it was decided upon meanwhile, or no verdict has it planned again."""
        v = table(Verdict).c
        asked = (v.action_id == message.action_id, v.verdict == "replan", v.kind == message.reason)
        async with self._ledger.read() as tx:
            if (await tx.execute(select(v.id).where(*asked).limit(1))).first() is None:
                return None
            return await self._still(tx, user_id, message.action_id)

    async def _still(self, tx: AsyncConnection, user_id: str, action_id: str) -> ActionRecord | None:
        a = table(Action).c
        mine = (a.id == action_id, a.user_id == user_id, a.state.in_(sorted(WAITING)))
        return next(iter(await actions.load(tx, self._ledger.vault, *mine)), None)

    # -- another time -----------------------------------------------------------------------------------

    async def _placed(self, action: ActionRecord, message: Replan, ctx: Context) -> Answer:
        span = span_of(action)
        if span is None:
            return Answer(options=_STALE)
        wanted = await self._wanted(action, span, message, ctx)
        placed: Placed = await ctx.compute(place, wanted)
        moved = [{"start": start.isoformat(), "end": end.isoformat()} for start, end in placed.spans]
        return Answer(tuple(action.arguments | m for m in moved), _how(placed, wanted), placed.options)

    async def _wanted(self, action: ActionRecord, span: Span, message: Replan, ctx: Context) -> Wanted:
        """Return the problem, with the snapshot of what is busy: the calendars, and what is held."""
        limits = [m for m in (message.before, await self._due(action), action.deadline) if m]
        after, before = ctx.now, min(limits, default=None)
        until = max(before or after, span[1], after) + 2 * HORIZON
        events = [e for e in await ctx.calendar.events(after, until) if e.busy and not e.all_day and e.start < e.end]
        held = await self._held(action, await ctx.calendar.accounts(), after, until)
        busy = (*((e.start, e.end) for e in events), *held)
        soft = message.reason == "due_vs_block"
        return Wanted(title_of(action), *span, after, before, busy, ctx.timezone, soft)

    async def _due(self, action: ActionRecord) -> datetime | None:
        t = table(Task).c
        query = select(t.due_date).where(t.id == str(action.arguments.get("task_id")), t.user_id == action.user_id)
        async with self._ledger.read() as tx:
            due: datetime | None = (await tx.execute(query)).scalar()
            return due

    async def _held(
        self, action: ActionRecord, accounts: Sequence[str], after: datetime, until: datetime
    ) -> list[tuple[datetime, datetime]]:
        own = str(action.arguments.get("account", ""))
        wanted = [Claim(f"{account}/slots", "interval", after, until) for account in {*accounts, own}]
        async with self._ledger.read() as tx:
            held = await actions.held_near(tx, wanted)
        return [(c.start, c.end) for holder, c in held if holder != action.id and c.start and c.end]

    # -- what was stale -----------------------------------------------------------------------------------

    async def _read_again(self, action: ActionRecord) -> Answer:
        """Make the action on the version that is there now; it means the same on that one."""
        domain = action.kind.partition(".")[0]
        t = table(ITEMS[domain][0] if domain in ITEMS else Task).c
        query = select(t.version).where(t.id == item_of(action), t.user_id == action.user_id, t.removed.is_(False))
        async with self._ledger.read() as tx:
            version = (await tx.execute(query)).scalar()
        if version is None:
            return Answer(options=_STALE)
        return Answer((action.arguments | {"version": version},), "It was read again and planned again.")

    # -- the end ------------------------------------------------------------------------------------------

    async def _write(self, tx: AsyncConnection, message: Replan, user_id: str, answer: Answer) -> None:
        action = await self._still(tx, user_id, message.action_id)
        if action is None:
            return
        if answer.arguments:
            (judgement,) = await self._resolver.judge_again(tx, [action])
            others = [self._record(action, arguments, judgement) for arguments in answer.arguments]
            settled = await self._resolver.replace(tx, action, others, _replaced(action, message, answer, others))
            if settled is not None:
                events = [AuditEvent(a.user_id, a.id, f"{a.kind} {a.state}", a.arguments) for a in settled]
                await audit.append(tx, events)
                return
            if message.attempt < TRIES:
                again = message.model_copy(update={"attempt": message.attempt + 1})
                await messages.write(tx, self._ledger.vault, [to_plan(action, again)])
                return
        await self._escalate(tx, action, message, answer)

    def _record(self, action: ActionRecord, arguments: dict[str, Any], judgement: Judgement) -> ActionRecord:
        wish = AgentAction(
            kind=action.kind,
            arguments=arguments,
            why=action.why,
            cause=action.cause,
            priority=list(Priority)[action.priority],
            redo_of=action.id,
        )
        key = wish.key_for(action.user_id, action.cause)
        kind, checked = wish.checked()
        claims, now = tuple(kind.claims(action.user_id, checked)), datetime.now(UTC)
        return action.moved(
            judgement.state,
            judgement.reason,
            id=action_id(key),
            key=key,
            arguments=checked.model_dump(mode="json", exclude_unset=True),
            redo_of=action.id,
            created_at=now,
            updated_at=now,
            claims=claims,
        )

    async def _escalate(self, tx: AsyncConnection, action: ActionRecord, message: Replan, answer: Answer) -> None:
        """Leave it to the person, with three ways out; it goes on waiting and is never dropped."""
        tried = bool(answer.arguments)
        what = "no other time was found for it" if message.reason != "stale" else "it is not there any more"
        why = f"{f'It changed {TRIES} times while it was planned again' if tried else what.capitalize()}. You decide."
        options = list(answer.options or _OPTIONS[message.reason])
        verdict = said(
            action,
            "not_placed" if message.reason != "stale" else "stale_again",
            "ask",
            message.reason,
            why,
            "It would have been dropped, or done against the other.",
            str(message.attempt),
            options=options,
            inputs={"attempts": message.attempt, "reason": message.reason},
        )
        await actions.move(tx, self._ledger.vault, [action.moved(action.state, why)])
        await actions.add_verdicts(tx, self._ledger.vault, [verdict])


_OPTIONS = {
    "slot": ("Take the time for this one", "Find another time for this one", "Do without it"),
    "due_vs_block": ("Move the due date", "Find another time for this one", "Do without it"),
    "stale": _STALE,
}


def _how(placed: Placed, wanted: Wanted) -> str:
    spans = " and ".join(_said(span, wanted) for span in placed.spans)
    return f"{_HOW.get(placed.how, '')}: “{wanted.title}” is now on {spans}." if spans else ""


def _said(span: Span, wanted: Wanted) -> str:
    start, end = (moment.astimezone(wanted.zone) for moment in span)
    return f"{start:%a %d %b %H:%M}–{end:%H:%M}"


def _replaced(action: ActionRecord, message: Replan, answer: Answer, others: Sequence[ActionRecord]) -> Any:
    return said(
        action,
        "replaced",
        "superseded",
        message.reason,
        answer.why,
        "It would have waited for you where it could not stay.",
        *(other.id for other in others),
        inputs={"attempt": message.attempt, "by": [other.id for other in others]},
    )
