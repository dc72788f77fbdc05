"""Cards: what is put before the person about one action, bound by a digest to its arguments and their state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.action import CATALOGUE, ActionState, Risk
from brody_agents.communication.message_protocol import stable_id
from brody_agents.errors import NotFound
from brody_agents.ledger import actions as ledger_actions
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.statements import insert_new, table, whole_id
from brody_agents.ledger.tables import Approval, Verdict
from brody_agents.ledger.users import learn
from brody_agents.ledger.vault import Vault
from brody_agents.policy.basis import Basis, claims_of, first_bases
from brody_agents.policy.canonical import digest

OPEN = "open"
_P, _V = table(Approval).c, table(Verdict).c
_PLAIN = ("id", "action_id", "number", "user_id", "run_id", "kind", "state", "digest", "answer_digest", "replaced_by")
_TIMES = ("created_at", "expires_at", "decided_at")
_SEALED = (
    "arguments",
    "why",
    "reason",
    "proposed_by",
    "origin",
    "sources",
    "if_nothing",
    "options",
    "changed",
    "basis",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A card as the ledger has it; ``state`` is ``open`` until its one answer, or until it is over.

    Answered: ``approved``, ``edited``, ``rejected``, ``responded``. Over: ``expired``, ``replaced`` (what it was made
    on has changed; ``replaced_by`` is the card that says how), ``withdrawn`` (the action has moved on by itself).
    """

    id: str
    action_id: str
    number: int
    user_id: str
    run_id: str | None
    kind: str
    state: str = OPEN
    digest: str
    """SHA-256 of the canonical action id, kind, arguments and basis."""
    arguments: dict[str, Any]
    why: str
    """Why the agent wants it."""
    reason: str
    """Why the person is asked."""
    proposed_by: str
    origin: str
    """Whose words the arguments are."""
    sources: list[str]
    """Ids of the items that they come from."""
    if_nothing: str
    """What happens if nobody answers."""
    options: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    """What has changed since the card that this one replaces."""
    basis: Basis
    answer: dict[str, Any] | None = None
    """``{"answer", "text", "arguments"}`` of the one answer."""
    answer_digest: str = ""
    replaced_by: str | None = None
    created_at: datetime
    expires_at: datetime
    decided_at: datetime | None = None


class Cards:
    """Make cards inside the transactions in which actions begin to wait."""

    def __init__(self, ledger: Ledger, lifetime: timedelta) -> None:
        self._ledger = ledger
        self._lifetime = lifetime

    async def make(self, tx: AsyncConnection, actions: Sequence[ActionRecord]) -> None:
        """Make the next cards of those of the actions that wait; one that has an open card keeps it."""
        waiting = [a for a in actions if a.state is ActionState.AWAITING_APPROVAL]
        if not waiting:
            return
        bases = await first_bases(tx, self._ledger, waiting)
        options = await _options(tx, self._ledger.vault, waiting)
        next_ = await _next_numbers(tx, waiting)
        cards = [self.card(a, bases[a.id], number=next_[a.id], options=options.get(a.id, [])) for a in waiting]
        await add(tx, self._ledger.vault, cards)

    def card(
        self, action: ActionRecord, basis: Basis, *, number: int = 1, options: Sequence[str] = (), changed: Any = ()
    ) -> Card:
        """Return a card of an action that waits; it expires after the set time, or at the action's deadline."""
        now = datetime.now(UTC)
        expires = min(now + self._lifetime, action.deadline or datetime.max.replace(tzinfo=UTC))
        label = action.provenance.get("", {})
        return Card(
            id=stable_id("approval", action.id, str(number)),
            action_id=action.id,
            number=number,
            user_id=action.user_id,
            run_id=action.run_id,
            kind=action.kind,
            digest=digest_of(action, basis),
            arguments=action.arguments,
            why=action.why,
            reason=action.reason,
            proposed_by=action.proposed_by,
            origin=label.get("origin", "user"),
            sources=list(label.get("sources", ())),
            if_nothing=_if_nothing(action, expires),
            options=list(options),
            changed=list(changed),
            basis=basis,
            created_at=now,
            expires_at=expires,
        )


def digest_of(action: ActionRecord, basis: Basis) -> str:
    """Return what binds a card: the SHA-256 over the action, its arguments with their defaults, and the state."""
    arguments = CATALOGUE[action.kind].model.model_validate(action.arguments).model_dump()
    return digest({"action": action.id, "kind": action.kind, "arguments": arguments, "basis": basis})


def _if_nothing(action: ActionRecord, expires: datetime) -> str:
    held = any(claim.mode == "interval" for claim in claims_of(action))
    until = f"{expires.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    meanwhile = " Until then it keeps its time taken." if held else ""
    return f"{_NOTHING[CATALOGUE[action.kind].risk]}, and the proposal expires on {until}.{meanwhile}"


_NOTHING = {
    Risk.INTERNAL: "Nothing is changed",
    Risk.OUTBOUND: "Nothing leaves",
    Risk.DESTROY: "Nothing is destroyed",
    Risk.WIDEN: "Nobody gets access",
}


async def _options(tx: AsyncConnection, vault: Vault, actions: Sequence[ActionRecord]) -> dict[str, list[str]]:
    """Return the ways out that the resolver offers."""
    found: dict[str, list[str]] = {}
    for v in await ledger_actions.verdicts(tx, vault, _V.action_id.in_([a.id for a in actions])):
        found.setdefault(v.action_id or "", []).extend(v.options)
    return found


async def _next_numbers(tx: AsyncConnection, actions: Sequence[ActionRecord]) -> dict[str, int]:
    """Return the number that the next card of each action has."""
    query = select(_P.action_id, func.max(_P.number) + 1).where(_P.action_id.in_([a.id for a in actions]))
    rows = await tx.execute(query.group_by(_P.action_id))
    return dict.fromkeys((a.id for a in actions), 1) | {row[0]: row[1] for row in rows}


# -- rows ----------------------------------------------------------------------------------------------


async def add(tx: AsyncConnection, vault: Vault, cards: Sequence[Card]) -> None:
    """Write cards; one for an action that has an open card already is left out."""
    await tx.execute(insert_new(tx, Approval), [_row(vault, card) for card in cards])


async def load(tx: AsyncConnection, vault: Vault, *conditions: Any, limit: int | None = None) -> list[Card]:
    """Return cards, the one that is over first coming first."""
    query = select(table(Approval)).where(*conditions).order_by(_P.expires_at, _P.id).limit(limit)
    rows = [dict(row) for row in (await tx.execute(query)).mappings()]
    await learn(tx, vault, (row["user_id"] for row in rows))
    return [_card(vault, row) for row in rows]


async def one(tx: AsyncConnection, vault: Vault, card_id: str) -> Card:
    """Return the card with an id, or with the beginning of one; raise ``NotFound``."""
    for found in await load(tx, vault, _P.id == await whole_id(tx, _P.id, card_id)):
        return found
    raise NotFound(f"There is no approval {card_id}.", "See: brody approvals list")


async def close(
    tx: AsyncConnection, vault: Vault, card: Card, state: str, answer: Any = None, *, replaced_by: str | None = None
) -> Card | None:
    """Close an open card; ``None`` if it is not open any more: this one conditional update is what decides."""
    now = datetime.now(UTC)
    answer_digest = digest(answer) if answer is not None else ""
    values = {
        "state": state,
        "answer": None if answer is None else vault.seal(card.user_id, answer),
        "answer_digest": answer_digest,
        "replaced_by": replaced_by,
        "decided_at": now,
    }
    mine = (_P.id == card.id, _P.state == OPEN, _P.digest == card.digest)
    if (await tx.execute(update(table(Approval)).where(*mine).values(**values))).rowcount != 1:
        return None
    return replace(
        card, state=state, answer=answer, answer_digest=answer_digest, replaced_by=replaced_by, decided_at=now
    )


def _row(vault: Vault, card: Card) -> dict[str, Any]:
    content = {name: getattr(card, name) for name in _SEALED}
    return {name: getattr(card, name) for name in (*_PLAIN, *_TIMES)} | {
        "card": vault.seal(card.user_id, content),
        "answer": None,
    }


def _card(vault: Vault, row: dict[str, Any]) -> Card:
    user_id = row["user_id"]
    content = vault.open(user_id, row.pop("card"))
    return Card(**row | {"answer": vault.open(user_id, row["answer"])}, **content)
