"""Proposals as the coordinator judges them, and a resolver with its ledger to settle them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from brody_agents.action import ActionState, AgentAction, Claim, action_id
from brody_agents.coordinator.conflict_resolver import ConflictResolver
from brody_agents.ledger import actions
from brody_agents.ledger.actions import ActionRecord, Actions, VerdictRecord
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import ActionClaim, CalendarEvent, Document, Email, Message, Task
from brody_agents.policy.rules import Autonomy, judge

NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)


def propose(
    kind: str,
    arguments: dict[str, Any],
    *,
    by: str = "one_agent",
    cause: str = "c",
    user: str = "me",
    autonomy: Autonomy | None = None,
    dry_run: bool = False,
    redo_of: str | None = None,
    **more: Any,
) -> ActionRecord:
    """Return a proposal as the coordinator judges it."""
    action = AgentAction(kind=kind, arguments=arguments, cause=cause, redo_of=redo_of)
    row, checked = action.checked()
    key = action.key_for(user, cause)
    values = {
        "id": action_id(key),
        "key": key,
        "user_id": user,
        "run_id": None,
        "kind": kind,
        "arguments": checked.model_dump(mode="json", exclude_unset=True),
        "state": judge(row, autonomy, dry_run=dry_run).state,
        "why": "",
        "proposed_by": by,
        "cause": cause,
        "priority": 2,
        "created_at": NINE,
        "updated_at": NINE,
        "redo_of": redo_of,
        "claims": tuple(row.claims(user, checked)),
    }
    return ActionRecord(**values | more)


class Court:
    """A resolver with its ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.resolver = ledger, ConflictResolver(ledger.vault)
        self.actions = Actions(ledger)

    async def settle(self, *proposals: ActionRecord, at_once: bool = True) -> list[ActionRecord]:
        """Settle proposals in one turn, or each in a turn of its own, and return how they stand."""
        for group in [proposals] if at_once else [[p] for p in proposals]:
            async with self.ledger.write() as tx:
                await self.resolver.settle(tx, group)
        return [await self.actions.show(p.id) for p in proposals]

    async def verdict(self, action: ActionRecord) -> VerdictRecord:
        """Return the one verdict on an action."""
        (verdict,) = await self.actions.verdicts(action.id)
        return verdict

    async def decide(self, action: ActionRecord, state: ActionState) -> None:
        """Put an action in a state, as a person's answer or the executor does."""
        async with self.ledger.write() as tx:
            await actions.move(tx, self.ledger.vault, [action.moved(state, "Decided.")])

    async def held(self) -> dict[str, list[Claim]]:
        """Return the claims that the ledger has, by action."""
        found: dict[str, list[Claim]] = {}
        async with self.ledger.read() as tx:
            for row in await tx.execute(table(ActionClaim).select()):
                found.setdefault(row.action_id, []).append(Claim(row.resource, row.mode, row.start, row.end))
        return found

    async def replans(self) -> int:
        """Return how many messages wait that have something planned again."""
        m = table(Message)
        async with self.ledger.read() as tx:
            return len(list(await tx.execute(m.select().where(m.c.message_type == "replan", m.c.open))))

    # -- the world ------------------------------------------------------------------------------------

    async def task(self, task_id: str, title: str = "Report", due: datetime | None = None, version: int = 1) -> None:
        """Have an open task."""
        row: dict[str, Any] = {
            "id": task_id,
            "user_id": "me",
            "title": title,
            "priority": "normal",
            "status": "pending",
        }
        row |= {"due_date": due, "source_type": "manual", "created_at": NINE, "version": version}
        await self._insert(Task, row | {"sources": [], "reasons": self.ledger.vault.seal("me", [])})

    async def change(self, model: Any, item: str, **values: Any) -> None:
        """Change an item as a watcher does."""
        t = table(model)
        async with self.ledger.write() as tx:
            await tx.execute(t.update().where(t.c.id == item).values(**values))

    async def mail(
        self,
        mail_id: str,
        thread: str = "t1",
        at: datetime = NINE,
        flags: Sequence[str] = (),
        run: str | None = None,
        version: str = "1",
    ) -> None:
        """Have a mail in a thread."""
        row: dict[str, Any] = {
            "id": mail_id,
            "user_id": "me",
            "email_account_id": "box",
            "external_id": mail_id,
            "thread_id": thread,
        }
        row |= {"timestamp": at, "head": {"flags": list(flags)}, "run_id": run, "version": version}
        await self._insert(Email, row)

    async def document(self, document_id: str, version: str = "1") -> None:
        """Have a file."""
        row: dict[str, Any] = {
            "id": document_id,
            "user_id": "me",
            "account": "disk",
            "external_id": document_id,
            "version": version,
        }
        await self._insert(Document, row)

    async def event(self, uid: str, start: datetime, end: datetime, *lines: str, account: str = "cal") -> None:
        """Have an event in a calendar, with more lines of RFC 5545."""
        times = [f"DTSTART:{start:%Y%m%dT%H%M%SZ}", f"DTEND:{end:%Y%m%dT%H%M%SZ}"]
        body = ["BEGIN:VEVENT", f"UID:{uid}", f"SUMMARY:Event {uid}", *times, *lines, "END:VEVENT"]
        data = "\r\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", *body, "END:VCALENDAR", ""])
        recurs = any(line.startswith("RRULE") for line in lines)
        row: dict[str, Any] = {
            "id": uid,
            "user_id": "me",
            "external_id": uid,
            "account": account,
            "created_at": NINE,
            "version": "1",
        }
        row |= {"start_time": start, "end_time": None if recurs else end, "recurs": recurs}
        await self._insert(CalendarEvent, row | {"data": self.ledger.vault.seal("me", data)})

    async def _insert(self, model: Any, row: dict[str, Any]) -> None:
        async with self.ledger.write() as tx:
            await tx.execute(table(model).insert(), [_defaults(model) | row])


def _defaults(model: Any) -> dict[str, Any]:
    """Return the plain defaults of a row."""
    return {
        name: field.default
        for name, field in model.model_fields.items()
        if name in table(model).c and not field.is_required() and field.default_factory is None
    }
