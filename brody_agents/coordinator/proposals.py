"""What agents propose becomes records: checked, with their keys, their claims and where their words come from."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from brody_agents.action import ActionState, AgentAction, action_id
from brody_agents.ledger.actions import ActionRecord
from brody_agents.outcome import Proposal


def mail_without_account(proposal: Proposal) -> str | None:
    """Return the id of the mail that an action is about, if it does not name its account."""
    arguments = proposal.action.arguments
    is_mail = proposal.action.kind.startswith("mail.") and not arguments.get("account")
    return arguments.get("email_id") if is_mail else None


def in_account(proposal: Proposal, accounts: dict[tuple[str, str], str]) -> Proposal:
    """Return an action about a mail with the mail's account, since claims begin with it."""
    account = accounts.get((proposal.because.user_id, mail_without_account(proposal) or ""))
    if account is None:
        return proposal
    arguments = proposal.action.arguments | {"account": account}
    return replace(proposal, action=proposal.action.model_copy(update={"arguments": arguments}))


def proposal_record(proposal: Proposal) -> ActionRecord:
    """Return the record of what an agent proposes."""
    because = proposal.because
    return record(
        proposal.action,
        proposal.by,
        because.user_id,
        cause=proposal.action.cause or because.id,
        message_id=because.id,
        run_id=because.run_id,
        provenance={"": proposal.provenance.model_dump(mode="json")},
    )


def record(
    action: AgentAction, by: str, user_id: str, *, cause: str, run_id: str | None = None, **more: Any
) -> ActionRecord:
    """Return the record of an action as it is proposed, its arguments checked."""
    kind, arguments = action.checked()
    key = action.key_for(user_id, cause)
    now = datetime.now(UTC)
    return ActionRecord(
        id=action_id(key),
        key=key,
        user_id=user_id,
        run_id=run_id,
        kind=action.kind,
        arguments=arguments.model_dump(mode="json", exclude_unset=True),
        state=ActionState.PROPOSED,
        why=action.why,
        proposed_by=by,
        cause=cause,
        priority=action.priority.rank,
        deadline=action.deadline,
        confidence=action.confidence,
        redo_of=action.redo_of,
        created_at=now,
        updated_at=now,
        claims=tuple(kind.claims(user_id, arguments)),
        **more,
    )
