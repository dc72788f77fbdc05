"""Track records in the ledger: what the person accepted, edited and rejected of each agent, by kind of action.

One row an action holds the worst answer that it got; the counts are read from the rows. So an answer may be noted
twice, late, or in any order, by many workers at once: an action always counts once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.communication.decision_engine import TrackRecord
from brody_agents.communication.message_protocol import PERSON
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.statements import insert, table
from brody_agents.ledger.tables import Action, TrackRecordEntry

WINDOW = 50
"""How many of the newest answers count, for each agent and kind: who has become better is not held down by the past."""

_T, _A = table(TrackRecordEntry).c, table(Action).c


class Answer(StrEnum):
    """What the person made of an action; an undo says nothing of who proposed it."""

    ACCEPTED = "accepted"
    EDITED = "edited"
    REJECTED = "rejected"


async def note(
    tx: AsyncConnection, actions: Collection[ActionRecord], answer: Answer, *, at: datetime | None = None
) -> None:
    """Note the person's answer to actions, in the transaction that carries the answer out.

    An action counts once, by the worst of its answers: an edit outweighs an approval, a rejection outweighs
    both. Agents whose same proposal was merged into it share the answer. What the person proposed is no
    agent's, and is not noted.
    """
    proposals = [(a.id, a.user_id, a.proposed_by, a.kind) for a in actions]
    proposals += await _merged_into(tx, {a.id: a.proposed_by for a in actions})
    when = at or datetime.now(UTC)
    rows = [dict(zip(_COLUMNS, (*p, answer.value, when), strict=True)) for p in proposals if p[2] != PERSON]
    if not rows:
        return
    statement = insert(tx, TrackRecordEntry)
    new = statement.excluded
    worse = or_(
        and_(_T.answer == Answer.ACCEPTED, new.answer != Answer.ACCEPTED),
        and_(_T.answer == Answer.EDITED, new.answer == Answer.REJECTED),
    )
    changed = {"answer": new.answer, "answered_at": new.answered_at}
    await tx.execute(statement.on_conflict_do_update(index_elements=["action_id"], set_=changed, where=worse), rows)


_COLUMNS = ("action_id", "user_id", "agent", "kind", "answer", "answered_at")
_Proposal = tuple[str, str, str, str]
"""The first four columns of an action."""


async def _merged_into(tx: AsyncConnection, proposers: Mapping[str, str]) -> list[_Proposal]:
    """Return the oldest of each further agent's proposals that were merged into actions, given with their agents."""
    query = select(_A.merged_into, _A.id, _A.user_id, _A.proposed_by, _A.kind).where(_A.merged_into.in_(proposers))
    found: dict[tuple[str, str], _Proposal] = {}
    for into, *proposal in await tx.execute(query.order_by(_A.seq)):
        action_id, user_id, agent, kind = proposal
        if agent != proposers[into]:
            found.setdefault((into, agent), (action_id, user_id, agent, kind))
    return list(found.values())


async def load(
    tx: AsyncConnection, user_id: str, *, kind: str | None = None, agents: Collection[str] | None = None
) -> dict[tuple[str, str], TrackRecord]:
    """Return a user's records by (agent, kind), each of the newest ``WINDOW`` answers; who has none is not in it."""
    wanted: list[ColumnElement[bool]] = [_T.user_id == user_id]
    wanted += [] if kind is None else [_T.kind == kind]
    wanted += [] if agents is None else [_T.agent.in_(agents)]
    newest = (_T.answered_at.desc(), _T.action_id.desc())
    place = func.row_number().over(partition_by=(_T.agent, _T.kind), order_by=newest).label("place")
    a = select(_T.agent, _T.kind, _T.answer, place).where(*wanted).subquery().c
    query = select(a.agent, a.kind, a.answer, func.count()).where(a.place <= WINDOW)
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for agent, of_kind, answer, count in await tx.execute(query.group_by(a.agent, a.kind, a.answer)):
        counts.setdefault((agent, of_kind), {})[answer] = count
    return {key: TrackRecord(**found) for key, found in sorted(counts.items())}


class TrackRecords:
    """The track records of a ledger; ``brody.track_records``."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def of(self, user_id: str) -> dict[tuple[str, str], TrackRecord]:
        """Return what a user thinks of the agents, by (agent, kind of action)."""
        async with self._ledger.read() as tx:
            return await load(tx, user_id)
