"""The four answers to a card, what they make of the action, and what the agent hears of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.action import CATALOGUE, ActionState, AgentAction
from brody_agents.arguments import is_storable
from brody_agents.communication.message_protocol import (
    COORDINATOR,
    AgentMessage,
    Origin,
    Provenance,
    new_context,
    stable_id,
)
from brody_agents.communication.payloads import ApprovalResponse
from brody_agents.errors import AlreadyDecided, InvalidArguments
from brody_agents.ledger.actions import ActionRecord, claim_rows
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Action, ActionClaim
from brody_agents.ledger.vault import Vault
from brody_agents.policy.basis import claims_of
from brody_agents.policy.canonical import digest
from brody_agents.policy.cards import Card

AnswerKind = Literal["approve", "edit", "reject", "respond"]
LONGEST = 2000
"""Characters of a text that the person sends to an agent."""
_PAST = {"approve": "approved", "edit": "edited", "reject": "rejected", "respond": "responded"}
_MISFITS = (
    ("This answer has arguments.", "Only edit takes arguments."),
    ("The answer 'edit' has no arguments.", "Give all arguments of the action, those that stay as well."),
)
_A = table(Action).c


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; only an edit has arguments."""

    kind: AnswerKind
    arguments: dict[str, Any] | None = None
    text: str = ""

    @classmethod
    def of(cls, kind: str, arguments: dict[str, Any] | None, text: str) -> Answer:
        """Return the answer; raise ``InvalidArguments`` for parts that do not go together."""
        if kind not in get_args(AnswerKind):
            raise InvalidArguments(f"{kind!r} is no answer.", f"Use one of: {', '.join(get_args(AnswerKind))}.")
        if (kind == "edit") != (arguments is not None):
            raise InvalidArguments(*_MISFITS[kind == "edit"])
        if kind == "respond" and not text.strip():
            raise InvalidArguments("The answer 'respond' has no text.", "Say what the agent should hear.")
        if not is_storable(text):
            raise InvalidArguments("The text has a NUL, or half of a character, in it.", "Write it in UTF-8.")
        if len(text) > LONGEST:
            raise InvalidArguments(f"The text has {len(text)} characters.", f"Use at most {LONGEST}.")
        return cls(kind, arguments, text)  # type: ignore[arg-type]  # checked above

    @property
    def past(self) -> str:
        """Return the state of a card that has this answer."""
        return _PAST[self.kind]

    def completed(self, action: ActionRecord) -> Answer:
        """Return an edit with its arguments as the action's kind takes them; raise ``InvalidArguments``."""
        if self.arguments is None:
            return self
        kept = {name: action.arguments[name] for name in ("account",) if name in action.arguments}
        _, checked = AgentAction(kind=action.kind, arguments=kept | self.arguments).checked()
        return replace(self, arguments=checked.model_dump(mode="json", exclude_unset=True))

    def as_json(self) -> dict[str, Any]:
        """Return what is kept of the answer, and what tells it from another."""
        return {"answer": self.kind, "text": self.text, "arguments": self.arguments}


def edited(action: ActionRecord, answer: Answer, card_id: str) -> ActionRecord:
    """Return the action with the person's arguments; the key stays, and what was changed is the person's own."""
    arguments = answer.arguments or {}
    label = Provenance(origin=Origin.USER, sources=(card_id,)).model_dump(mode="json")
    own = {f"/{name}": label for name in changed_names(action, arguments)}
    new = replace(action, arguments=arguments, provenance=action.provenance | own)
    return replace(new, claims=claims_of(new))


def changed_names(action: ActionRecord, arguments: dict[str, Any]) -> list[str]:
    """Return the names of the arguments that mean something else."""
    model = CATALOGUE[action.kind].model
    old, new = (model.model_validate(a).model_dump() for a in (action.arguments, arguments))
    return sorted(name for name in new if digest(new[name]) != digest(old[name]))


async def move(tx: AsyncConnection, vault: Vault, action: ActionRecord, *, edited: bool = False) -> None:
    """Write where a waiting action goes, with its new arguments and claims if it was edited.

    Raises ``AlreadyDecided`` if it does not wait any more.
    """
    values: dict[str, Any] = {"state": action.state, "reason": vault.seal(action.user_id, action.reason)}
    values["updated_at"] = datetime.now(UTC)
    if edited:
        values |= {"arguments": vault.seal(action.user_id, action.arguments), "provenance": action.provenance}
    waiting = (_A.id == action.id, _A.state == ActionState.AWAITING_APPROVAL)
    if (await tx.execute(update(table(Action)).where(*waiting).values(**values))).rowcount != 1:
        raise AlreadyDecided(f"Action {action.id} does not wait any more.")
    if edited or action.state.final:
        await tx.execute(table(ActionClaim).delete().where(table(ActionClaim).c.action_id == action.id))
    if edited and action.claims:
        await tx.execute(table(ActionClaim).insert(), claim_rows(action))


def response(card: Card, action: ActionRecord) -> AgentMessage | None:
    """Return what the proposer hears; the text is the person's own words."""
    if action.proposed_by == "user":
        return None
    answer = card.answer or {"answer": "expired", "text": "", "arguments": None}
    before = replace(action, arguments=card.arguments)
    changed = changed_names(before, answer["arguments"]) if answer["arguments"] is not None else []
    return AgentMessage(
        id=stable_id("approval-response", card.id),
        sender=COORDINATOR,
        recipient=action.proposed_by,
        payload=ApprovalResponse(
            approval_id=card.id,
            action_id=action.id,
            kind=action.kind,
            answer=answer["answer"],
            text=answer["text"],
            changed=changed,
        ),
        context=new_context(action.user_id),
        causation_id=action.message_id or None,
        run_id=action.run_id,
        provenance={"": Provenance(origin=Origin.SELF), "/text": Provenance(origin=Origin.USER)},
    )
