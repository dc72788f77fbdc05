"""Drafts that the world has moved past: a mail has come into their thread, or gone out of it, since they were made."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.action import CATALOGUE, ActionState, idempotency_key
from brody_agents.action import action_id as id_of
from brody_agents.coordinator.conflicts.own_drafts import written_by_us
from brody_agents.coordinator.conflicts.ruling import WAITING, is_persons
from brody_agents.coordinator.conflicts.threads import ANSWERED, NEWER, WRITES
from brody_agents.ledger import actions
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Action, ActionClaim, Email, Run, Verdict
from brody_agents.ledger.vault import Vault

_E = table(Email).c

OVERTAKEN = "newer_mail_since"
"""The rule of the verdict on a draft that a newer mail has cancelled."""


async def overtaken_drafts(
    tx: AsyncConnection, vault: Vault, user_id: str, mail_ids: Collection[str]
) -> list[tuple[ActionRecord, str]]:
    """Return the agents' waiting drafts, each with why, in whose threads one of these mails is newer.

    A mail counts that is later than the one that is answered, and that was first read after the draft was proposed:
    of what was there before, the agent knew.
    """
    drafts = await _waiting(tx, vault, user_id)
    threads = {str(d.arguments.get("thread_id")) for d in drafts}
    if not threads:
        return []
    answered = {str(d.arguments.get("email_id")) for d in drafts}
    came = await _mails(tx, user_id, _E.id.in_(mail_ids), _E.thread_id.in_(threads))
    ours = await written_by_us(tx, vault, came)
    came = [m for m in came if (m.user_id, m.id) not in ours]
    times = {m.id: m.timestamp for m in await _mails(tx, user_id, _E.id.in_(answered))}
    found = []
    for draft in drafts:
        since = times.get(str(draft.arguments.get("email_id")))
        newer = [m for m in came if since and _is_newer(m, draft, since)]
        if newer:
            sent = any("sent" in (m.head or {}).get("flags", ()) for m in newer)
            found.append((draft, ANSWERED if sent else NEWER))
    return found


async def renewed(
    tx: AsyncConnection, proposals: Sequence[ActionRecord], keys: dict[str, tuple[str, ActionState]]
) -> list[ActionRecord]:
    """Return the proposals; a draft that a newer mail cancelled is a wanted repeat: its agent has read that mail."""
    known = {p.id: keys[p.key] for p in proposals if p.kind in WRITES and p.key in keys}
    drafts = {action_id for action_id, state in known.values() if state is ActionState.SUPERSEDED}
    v = table(Verdict).c
    query = select(v.action_id).where(v.action_id.in_(drafts), v.rule == OVERTAKEN)
    cancelled = set((await tx.execute(query)).scalars()) if drafts else set()
    return [_repeat(p, keys[p.key][0]) if keys.get(p.key, ("",))[0] in cancelled else p for p in proposals]


def _repeat(proposal: ActionRecord, of: str) -> ActionRecord:
    kind = CATALOGUE[proposal.kind]
    target = kind.target(kind.model.model_validate(proposal.arguments))
    key = idempotency_key(proposal.user_id, proposal.kind, target, proposal.cause, of)
    return replace(proposal, id=id_of(key), key=key, redo_of=of)


async def _waiting(tx: AsyncConnection, vault: Vault, user_id: str) -> Sequence[ActionRecord]:
    a, c = table(Action).c, table(ActionClaim).c
    claimed = select(c.action_id).where(c.resource.contains("/thread/", autoescape=True))
    mine = (a.user_id == user_id, a.kind.in_(sorted(WRITES)), a.state.in_(sorted(WAITING)))
    waiting = await actions.load(tx, vault, *mine, a.id.in_(claimed))
    return [draft for draft in waiting if not is_persons(draft)]


async def _mails(tx: AsyncConnection, user_id: str, *conditions: Any) -> list[Any]:
    columns = (_E.user_id, _E.id, _E.thread_id, _E.timestamp, _E.head, _E.message_id, _E.external_id)
    query = select(*columns, table(Run).c.started_at).outerjoin(table(Run), table(Run).c.id == _E.run_id)
    return list(await tx.execute(query.where(_E.user_id == user_id, _E.removed.is_(False), *conditions)))


def _is_newer(mail: Any, draft: ActionRecord, since: Any) -> bool:
    in_thread = mail.thread_id == draft.arguments.get("thread_id")
    return in_thread and mail.timestamp > since and mail.started_at is not None and mail.started_at > draft.created_at
