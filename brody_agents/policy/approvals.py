"""Approvals: the person answers a card once, and the action happens once or not at all.

An answer, the action's move, the message to the agent and the audit are one transaction. One conditional update of
the card decides, so that answers may come at once from several processes, in any order, twice or too late. Nothing is
held in memory: a card waits in the ledger for as long as it must.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import exists, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.action import ActionState
from brody_agents.errors import AlreadyDecided, BrodyError, Stale
from brody_agents.ledger import actions as ledger_actions
from brody_agents.ledger import messages, track_records
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Action, Approval
from brody_agents.policy import audit, cards
from brody_agents.policy.answers import Answer, AnswerKind, edited, move, response
from brody_agents.policy.audit import AuditEvent
from brody_agents.policy.basis import Look, basis_now, changes, claims_of
from brody_agents.policy.canonical import digest as digest_of_json
from brody_agents.policy.cards import OPEN, Card, Cards, digest_of

SWEEP = 5.0
"""Seconds between the worker's looks for cards that are over."""
BATCH = 256
ROUNDS = 64
"""Batches of one sweep at most, so that none goes on for ever; the next one continues."""
_P, _A = table(Approval).c, table(Action).c
_OF_ITS_ACTION = _P.action_id == _A.id
_IS_OPEN = _P.state == literal_column("'open'")
"""Written out, since SQLite uses the index of open cards only for a value that it can read."""
Found = list[Card]
Words = list[str]


@dataclass(frozen=True, slots=True)
class Decision:
    """What an answer led to."""

    card: Card
    """The card that was answered."""
    action_state: ActionState
    repeated: bool = False
    """Whether the same answer had been given before; nothing happened this time."""
    instead: Card | None = None
    """The card that takes the place of the answered one, because what that was made on has changed."""


class Approvals:
    """The cards of a ledger; ``brody.approvals``."""

    def __init__(
        self, ledger: Ledger, maker: Cards, look: Look, decided: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._ledger, self._maker, self._look = ledger, maker, look
        self._after = decided

    async def list(self, user_id: str | None = None, *, open_only: bool = True, limit: int = 200) -> Found:
        """Return cards, those that expire soonest first."""
        await self.sweep()
        conditions = [_P.user_id == user_id] if user_id is not None else []
        conditions += [_P.state == OPEN] if open_only else []
        async with self._ledger.read() as tx:
            return await cards.load(tx, self._ledger.vault, *conditions, limit=limit)

    async def show(self, approval_id: str) -> Card:
        """Return the card with an id, or with the beginning of one; raise ``NotFound``."""
        await self.sweep()
        async with self._ledger.read() as tx:
            return await cards.one(tx, self._ledger.vault, approval_id)

    async def decide(
        self,
        approval_id: str,
        answer: AnswerKind,
        *,
        arguments: dict[str, Any] | None = None,
        text: str = "",
        digest: str | None = None,
    ) -> Decision:
        """Answer a card: ``approve``, ``edit`` (with all ``arguments``), ``reject`` or ``respond`` (with ``text``).

        ``digest`` is that of the card which the person saw. The same answer again tells the same result again.
        Raises ``NotFound``; ``AlreadyDecided`` for another answer and one that comes too late; ``InvalidArguments``
        for wrong arguments; ``Stale`` for another digest. After an error nothing is changed, except that a card which
        is over is closed.
        """
        async with self._ledger.write() as tx:
            outcome = await self._decide(tx, approval_id, Answer.of(answer, arguments, text), digest)
        if isinstance(outcome, BrodyError):
            raise outcome
        if self._after is not None:
            await self._after()
        return outcome

    # -- one transaction ------------------------------------------------------------------------------

    async def _decide(
        self, tx: AsyncConnection, approval_id: str, answer: Answer, seen: str | None
    ) -> Decision | BrodyError:
        card = await cards.one(tx, self._ledger.vault, approval_id)
        (found,) = await ledger_actions.load(tx, self._ledger.vault, _A.id == card.action_id)
        action = replace(found, claims=claims_of(found))
        if seen is not None and seen != card.digest:
            raise Stale(f"Approval {card.id} is not the one that was shown.", "Look at it again: brody approvals show")
        answer = answer.completed(action)
        if card.state != OPEN:
            return await self._again(tx, card, action, answer)
        if action.state is not ActionState.AWAITING_APPROVAL:
            return _told(await self._withdraw(tx, card, action) or card, action)
        if card.expires_at <= datetime.now(UTC):
            return _told(await self._expire(tx, card, action) or card, action)
        if answer.kind in ("approve", "edit"):
            return await self._let(tx, card, action, answer)
        return await self._end(tx, card, action, answer, _ENDS[answer.kind])

    async def _again(
        self, tx: AsyncConnection, card: Card, action: ActionRecord, answer: Answer
    ) -> Decision | BrodyError:
        """Tell the result again to the same answer, and refuse another."""
        if not card.answer_digest or card.answer_digest != digest_of_json(answer.as_json()):
            return _told(card, action)
        following = [await cards.one(tx, self._ledger.vault, card.replaced_by)] if card.replaced_by else [None]
        return Decision(card, action.state, repeated=True, instead=following[0])

    async def _let(self, tx: AsyncConnection, card: Card, action: ActionRecord, answer: Answer) -> Decision:
        """Let an action be done, unless the world has moved: then a new card says what has changed."""
        wanted = edited(action, answer, card.id) if answer.kind == "edit" else action
        now = await basis_now(tx, self._ledger, wanted, card.basis, card.created_at, self._look)
        found = changes(wanted, card.basis, now)
        if card.digest != digest_of(action, card.basis):
            found.insert(0, "The arguments are not those of the card any more.")
        if found:
            return await self._replace(tx, card, wanted, answer, now, found)
        reason = "You approved it." if answer.kind == "approve" else "You changed and approved it."
        return await self._end(tx, card, wanted, answer, (answer.past, ActionState.APPROVED, reason))

    async def _replace(
        self, tx: AsyncConnection, card: Card, action: ActionRecord, answer: Answer, now: Any, found: Words
    ) -> Decision:
        """Ask again, with what is so now; changed arguments stay the person's."""
        new = self._maker.card(action, now, number=card.number + 1, options=card.options, changed=found)
        closed = await self._closed(tx, card, "replaced", answer, replaced_by=new.id)
        await move(tx, self._ledger.vault, action, edited=answer.kind == "edit")
        await cards.add(tx, self._ledger.vault, [new])
        await audit.append(tx, [AuditEvent(card.user_id, card.id, "approval replaced", found)])
        return Decision(closed, action.state, instead=new)

    async def _end(
        self, tx: AsyncConnection, card: Card, action: ActionRecord, answer: Answer, end: tuple[str, ActionState, str]
    ) -> Decision:
        state, action_state, reason = end
        closed = await self._closed(tx, card, state, answer)
        moved = action.moved(action_state, f"{reason} {answer.text}".strip())
        await move(tx, self._ledger.vault, moved, edited=answer.kind == "edit")
        if answer.kind in _LEARNED:
            await track_records.note(tx, [action], _LEARNED[answer.kind])
        await self._tell(tx, closed, moved)
        return Decision(closed, action_state)

    async def _closed(self, tx: AsyncConnection, card: Card, state: str, answer: Answer, **more: Any) -> Card:
        closed = await cards.close(tx, self._ledger.vault, card, state, answer.as_json(), **more)
        if closed is None:  # another process was faster, after this transaction had begun
            raise AlreadyDecided(f"Approval {card.id} was decided just now.")
        return closed

    async def _tell(self, tx: AsyncConnection, card: Card, action: ActionRecord) -> None:
        """Write the audit and the message to the agent."""
        said = response(card, action)
        await messages.write(tx, self._ledger.vault, [said] if said else [])
        told = {"digest": card.digest, "answer": card.answer}
        events = [AuditEvent(card.user_id, card.id, f"approval {card.state}", told)]
        events.append(AuditEvent(action.user_id, action.id, f"{action.kind} {action.state}", action.arguments))
        await audit.append(tx, events)

    # -- what is over, and what has no card yet ----------------------------------------------------------

    async def sweep(self, among: Collection[int] | None = None) -> None:
        """Expire what is over, close the cards of actions that have moved on, make those that are missing.

        ``among`` are the partitions of the users whose cards these are; ``None`` for all.
        """
        for _ in range(ROUNDS):
            if not await self._wants_sweep(among):
                return
            async with self._ledger.write() as tx:
                await self._sweep(tx, among)

    async def _wants_sweep(self, among: Collection[int] | None = None) -> bool:
        ours = _ours(among)
        of_cards = [select(_P.id).where(condition, *ours) for condition in (_over(), _moved_on())]
        async with self._ledger.read() as tx:
            for query in (*of_cards, select(_A.id).where(_bare(), *_in(among))):
                if (await tx.execute(query.limit(1))).first() is not None:
                    return True
        return False

    async def _sweep(self, tx: AsyncConnection, among: Collection[int] | None) -> None:
        vault = self._ledger.vault
        found = await cards.load(tx, vault, _over() | _moved_on(), *_ours(among), limit=BATCH)
        actions = {a.id: a for a in await ledger_actions.load(tx, vault, _A.id.in_([c.action_id for c in found]))}
        for card in found:
            action = actions[card.action_id]
            waits = action.state is ActionState.AWAITING_APPROVAL
            await (self._expire if waits else self._withdraw)(tx, card, action)
        await self._maker.make(tx, await ledger_actions.load(tx, vault, _bare(), *_in(among), limit=BATCH))

    async def _expire(self, tx: AsyncConnection, card: Card, action: ActionRecord) -> Card | None:
        closed = await cards.close(tx, self._ledger.vault, card, "expired")
        if closed:
            until = f"{card.expires_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
            moved = action.moved(ActionState.EXPIRED, f"Nobody answered until {until}.")
            await move(tx, self._ledger.vault, moved)
            await self._tell(tx, closed, moved)
        return closed

    async def _withdraw(self, tx: AsyncConnection, card: Card, action: ActionRecord) -> Card | None:
        closed = await cards.close(tx, self._ledger.vault, card, "withdrawn")
        if closed:
            await audit.append(tx, [AuditEvent(card.user_id, card.id, "approval withdrawn", action.state)])
        return closed


class Sweeper:
    """Sweep from time to time while a worker works; ``among`` tells which partitions are its own, ``None`` for all."""

    def __init__(self, approvals: Approvals, among: Callable[[], Collection[int] | None] = lambda: None) -> None:
        self._approvals, self._among = approvals, among
        self._over = asyncio.Event()

    async def run(self) -> None:
        """Sweep until ``stop``."""
        while not self._over.is_set():
            await self._approvals.sweep(self._among())
            with suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), SWEEP)

    def stop(self) -> None:
        """End after the sweep under way."""
        self._over.set()


_LEARNED = {
    "approve": track_records.Answer.ACCEPTED,
    "edit": track_records.Answer.EDITED,
    "reject": track_records.Answer.REJECTED,
}
"""What an answer says of whoever proposed the action; words alone say nothing."""
_ENDS = {
    "reject": ("rejected", ActionState.REJECTED, "You rejected it."),
    "respond": ("responded", ActionState.SUPERSEDED, "You answered with words; the agent may propose anew."),
}


def _told(card: Card, action: ActionRecord) -> AlreadyDecided:
    """Return the error that says what was decided, and when."""
    when = f"{card.decided_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if card.decided_at else "just now"
    because = f" {action.reason}" if card.state in ("expired", "withdrawn") and action.reason else ""
    return AlreadyDecided(f"Approval {card.id} was {card.state} on {when}.{because}")


def _over() -> Any:
    return (_P.state == OPEN) & (_P.expires_at <= datetime.now(UTC))


def _in(among: Collection[int] | None) -> list[Any]:
    return [] if among is None else [_A.partition.in_(sorted(among))]


def _ours(among: Collection[int] | None) -> list[Any]:
    """Choose the cards of actions in some partitions."""
    return [exists().where(_OF_ITS_ACTION, *_in(among))] if among is not None else []


def _moved_on() -> Any:
    waiting = exists().where(_OF_ITS_ACTION, _A.state == ActionState.AWAITING_APPROVAL)
    return (_P.state == OPEN) & ~waiting


def _bare() -> Any:
    """Choose the actions that wait without a card: an older home's, or those that begin to wait some other way."""
    return (_A.state == ActionState.AWAITING_APPROVAL) & ~exists().where(_OF_ITS_ACTION, _IS_OPEN)
