"""Put the brief together from the ledger, when all else of a run has closed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import and_, func, or_, select

from brody_agents.communication.message_protocol import Provenance
from brody_agents.context import Context
from brody_agents.integrations.calendar.base import Event
from brody_agents.items import TaskItem
from brody_agents.ledger import actions, runs
from brody_agents.ledger.actions import ActionRecord, Actions, VerdictRecord
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.runs import RunRecord
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import DeadLetter, Email, Handled, Note, Verdict
from brody_agents.proactive.playbooks import playbook
from brody_agents.proactive.playbooks.brief import (
    Brief,
    BriefConflict,
    BriefDocument,
    BriefEvent,
    BriefMail,
    BriefNotice,
    BriefProblem,
    BriefProposal,
    BriefTask,
    Counts,
)

RECENT = timedelta(days=14)
_ORDER = {"urgent": 0, "needs_reply": 1, "invite": 2, "waiting": 3, "fyi": 4, "receipt": 5, "newsletter": 6, "spam": 7}
_SHOWN = (
    *("id", "message_id", "subject", "sender", "timestamp", "thread_id", "category", "urgency", "needs_reply"),
    *("reasons", "reply_state", "waiting_on"),
)
"""The columns of a mail that a brief shows."""
_RANKS = ["urgent", "high", "normal", "low"]


async def prepare(ledger: Ledger, run: RunRecord, ctx: Context) -> Brief:
    """Return the brief of a run, read with the views of its handler."""
    day = ctx.now.date().isoformat()
    mails = await _mails(ledger, run, ctx)
    chosen = _recent(mails, ctx.now) if playbook(run.playbook).recent_mail_only else mails
    return Brief(
        run_id=run.id,
        playbook=run.playbook,
        user_id=run.user_id,
        now=ctx.now,
        timezone=run.timezone,
        complete=True,
        counts=await _counts(ledger, run),
        mail=[_mail(ledger, row, ctx) for row in sorted(chosen, key=_mail_order)],
        agenda=await _agenda(ctx),
        conflicts=await _conflicts(ledger, run),
        tasks=[_task(task) for task in sorted(await ctx.tasks.open(), key=_task_order)],
        proposals=await _proposals(ledger, run.user_id),
        analytics=await ctx.recall(f"workload:{day}", {}),
        notices=await _notices(ledger, run),
        problems=[BriefProblem(**p) for p in run.problems],
    )


async def _counts(ledger: Ledger, run: RunRecord) -> Counts:
    e, h = table(Email).c, table(Handled).c
    handled = select(h.message_id).where(h.message_id == e.received_id).exists()
    mine = (e.user_id == run.user_id, e.removed.is_(False), e.email_account_id.in_(run.accounts))
    async with ledger.read() as tx:
        read = (await tx.execute(select(func.count()).where(*mine))).scalar_one()
        good = (await tx.execute(select(func.count()).where(*mine, e.problem == "", handled))).scalar_one()
        new = (await tx.execute(select(func.count()).where(*mine, e.run_id == run.id))).scalar_one()
    return Counts(messages_read=read, handled=good, dead_letters=read - good, new_messages=new)


async def _mails(ledger: Ledger, run: RunRecord, ctx: Context) -> Sequence[Any]:
    """Return the rows of all mails; a brief shows little of each, and the view's heads have far more."""
    e = table(Email).c
    mine = (e.user_id == run.user_id, e.removed.is_(False), e.problem == "", e.email_account_id.in_(run.accounts))
    ctx.has_read(Provenance(sources=("mail",)))
    async with ledger.read() as tx:
        return (await tx.execute(select(*(e[name] for name in _SHOWN)).where(*mine))).all()


def _recent(rows: Sequence[Any], now: datetime) -> list[Any]:
    """Return the mail of the last days and of threads in which somebody waits."""
    open_threads = {row.thread_id for row in rows if row.reply_state in ("owed", "waiting")}
    return [row for row in rows if row.timestamp >= now - RECENT or row.thread_id in open_threads]


def _mail_order(row: Any) -> tuple[int, float, str]:
    return _ORDER.get(row.category or "", 9), -row.timestamp.timestamp(), row.id


def _mail(ledger: Ledger, row: Any, ctx: Context) -> BriefMail:
    return BriefMail(
        id=row.id,
        message_id=row.message_id,
        subject=row.subject,
        **{"from": row.sender},
        received_at=row.timestamp.astimezone(ctx.timezone),
        thread_id=row.thread_id,
        category=row.category or "fyi",
        urgency=row.urgency or "low",
        needs_reply=row.needs_reply,
        reasons=ledger.vault.open(ctx.user_id, row.reasons) or [],
        reply_state=row.reply_state,
        waiting_on=row.waiting_on or [],
    )


async def _agenda(ctx: Context) -> list[BriefEvent]:
    midnight = ctx.now.replace(hour=0, minute=0, second=0, microsecond=0)
    tomorrow = (midnight + timedelta(days=1)).replace(hour=0)  # wall-clock arithmetic: days of 23 or 25 hours
    events = await ctx.calendar.events(midnight, tomorrow)
    return [_event(e, await ctx.recall(f"meeting:{e.id}", {})) for e in events]


def _event(event: Event, meeting: dict[str, Any]) -> BriefEvent:
    documents = [
        BriefDocument(id=d["id"], name=d["name"], reasons=d.get("reasons", [])) for d in meeting.get("documents", [])
    ]
    return BriefEvent(
        id=event.id,
        title=event.title,
        start=event.start,
        end=event.end,
        all_day=event.all_day,
        calendar=event.calendar,
        location=event.location,
        attendees=[a.address for a in event.attendees],
        documents=documents,
    )


async def _conflicts(ledger: Ledger, run: RunRecord) -> list[BriefConflict]:
    """Return what was found in this run, and the verdicts on the actions of all runs of the day, each once."""
    v = table(Verdict).c
    async with ledger.read() as tx:
        today = and_(v.run_id.in_(await runs.of_the_day(tx, run)), v.action_id.is_not(None))
        found = await actions.verdicts(tx, ledger.vault, v.user_id == run.user_id, or_(v.run_id == run.id, today))
    return [_conflict(verdict) for verdict in sorted(found, key=lambda f: (f.kind != "slot", f.resource, f.id))]


def _conflict(verdict: VerdictRecord) -> BriefConflict:
    return BriefConflict(
        kind=cast(Any, verdict.kind),
        resource=verdict.resource,
        parties=verdict.parties,
        verdict=verdict.verdict,
        rule=verdict.rule,
        why=verdict.why,
        otherwise=verdict.otherwise,
        options=verdict.options,
    )


def _task_order(task: TaskItem) -> tuple[int, float, str]:
    return _RANKS.index(task.priority), task.due.timestamp() if task.due else float("inf"), task.id


def _task(task: TaskItem) -> BriefTask:
    return BriefTask(
        id=task.id,
        title=task.title,
        due=task.due,
        priority=task.priority,
        sources=[{"type": s.type, "id": s.id} for s in task.sources],
        reasons=list(task.reasons),
    )


async def _proposals(ledger: Ledger, user_id: str) -> list[BriefProposal]:
    pending = await Actions(ledger).pending(user_id)
    return [
        BriefProposal(
            id=a.id,
            kind=a.kind,
            arguments=a.arguments,
            state=a.state.value,
            proposed_by=a.proposed_by,
            because=a.why,
            reason=a.reason,
        )
        for a in sorted(pending, key=_proposal_order)
    ]


def _proposal_order(action: ActionRecord) -> tuple[int, str, str]:
    return action.priority, action.kind, action.id


async def _notices(ledger: Ledger, run: RunRecord) -> list[BriefNotice]:
    n = table(Note).c
    d = table(DeadLetter).c
    letters = select(func.count(d.message_id), func.count(d.item_id)).where(d.run_id == run.id, d.replayed_at.is_(None))
    async with ledger.read() as tx:
        today = (n.user_id == run.user_id, n.run_id.in_(await runs.of_the_day(tx, run)))
        rows = list(await tx.execute(select(n.text, n.level).where(*today).order_by(n.level.desc(), n.id)))
        messages, items = (await tx.execute(letters)).one()
    notices = [BriefNotice(text=ledger.vault.open(run.user_id, row.text), level=row.level) for row in rows]
    told = ((items, "of your items could not be read"), (messages, "of this run's messages could not be handled"))
    notices += [BriefNotice(text=f"{n} {said}. See: brody dead-letters list", level="warning") for n, said in told if n]
    return notices
