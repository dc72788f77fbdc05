"""What is sent to the coordinator itself: classifications to keep, conflicts to settle, the brief to prepare."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, update
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.agent import BrodyAgent, handles
from brody_agents.communication.message_protocol import BROADCAST, COORDINATOR, stable_id
from brody_agents.communication.payloads import BriefReady, ConflictFound, EmailClassified, PrepareBrief, Replan
from brody_agents.context import Context
from brody_agents.coordinator.conflict_resolver import ConflictResolver
from brody_agents.coordinator.replanning import Replanner
from brody_agents.ledger import actions, runs
from brody_agents.ledger.actions import VerdictRecord
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Email

WriteBrief = Callable[[Context, str], Awaitable[Any]]
"""Give the brief of a run (as JSON) from what a handler can read."""

_E = table(Email)
_FIELDS = ("category", "urgency", "needs_reply", "reasons", "reply_state", "waiting_on", "processed_at")


def _statement(*fields: str) -> Any:
    own = (_E.c.id == bindparam("item"), _E.c.user_id == bindparam("owner"))
    return update(_E).where(*own).values({name: bindparam(f"new_{name}") for name in fields})


class CoordinatorAgent(BrodyAgent):
    """Handle the coordinator's own messages; the only agent whose handlers write to the ledger's rows."""

    name = COORDINATOR
    capabilities = ("keep classifications", "give verdicts", "plan again", "prepare briefs")

    def __init__(self, ledger: Ledger, write_brief: WriteBrief, resolver: ConflictResolver) -> None:
        super().__init__()
        self._ledger = ledger
        self._write_brief = write_brief
        self._resolver = resolver
        self._replanner = Replanner(ledger, resolver)

    @handles
    async def keep_classifications(self, messages: list[EmailClassified], ctx: Context) -> None:
        """Keep what the email agent says of mails beside them."""
        vault, now = self._ledger.vault, datetime.now(UTC)
        rows = [
            {
                "item": m.email_id,
                "owner": ctx.user_id,
                "new_category": m.category,
                "new_urgency": m.urgency,
                "new_needs_reply": m.needs_reply,
                "new_reasons": vault.seal(ctx.user_id, m.reasons),
                "new_reply_state": m.reply_state,
                "new_waiting_on": m.waiting_on,
                "new_thread_id": m.thread_id,
                "new_processed_at": now,
            }
            for m in messages
        ]
        threaded = [row for row in rows if row["new_thread_id"]]
        plain = [row for row in rows if not row["new_thread_id"]]

        async def write(tx: AsyncConnection) -> None:
            for group, fields in ((threaded, (*_FIELDS, "thread_id")), (plain, _FIELDS)):
                if group:
                    await tx.execute(_statement(*fields), group)
            await self._resolver.threads_moved(tx, ctx.user_id, [m.email_id for m in messages if m.thread_id])

        ctx.outcome.writes.append(write)

    @handles
    async def settle_conflict(self, conflict: ConflictFound, ctx: Context) -> None:
        """Give the verdict on a conflict between things of the person's own: the person decides."""
        verdict = VerdictRecord(
            id=stable_id("conflict", ctx.run_id or "", ctx.user_id, conflict.kind, conflict.resource),
            user_id=ctx.user_id,
            run_id=ctx.run_id,
            action_id=None,
            kind=conflict.kind,
            resource=conflict.resource,
            verdict="ask",
            rule="both_are_yours",
            parties=conflict.parties,
            why=conflict.why,
            otherwise="Both would have stayed as they are, unnoticed.",
            options=list(conflict.options),
            created_at=datetime.now(UTC),
        )
        vault = self._ledger.vault
        ctx.outcome.writes.append(lambda tx: actions.add_verdicts(tx, vault, [verdict]))

    @handles
    async def plan_again(self, message: Replan, ctx: Context) -> None:
        """Find another time for what gave way, or make on what is there now what was made on a stale read."""
        await self._replanner.plan(message, ctx)

    @handles
    async def prepare_brief(self, message: PrepareBrief, ctx: Context) -> None:
        """Prepare the brief of a run and keep it with the run."""
        brief = self._ledger.vault.seal(ctx.user_id, await self._write_brief(ctx, message.run_id))
        ctx.outcome.writes.append(lambda tx: runs.change(tx, message.run_id, brief=brief))
        ctx.tell(BROADCAST, BriefReady(run_id=message.run_id, playbook=message.playbook))
