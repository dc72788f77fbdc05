"""Actions in the ledger: from the proposal to the end, with their claims and verdicts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.action import OPEN_STATES, ActionState, Claim
from brody_agents.communication.bus.base import partition_of
from brody_agents.communication.message_protocol import stable_id
from brody_agents.errors import NotFound, NotUnclear
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.statements import in_parts, insert_new, table, whole_id
from brody_agents.ledger.tables import Action, ActionClaim, Verdict
from brody_agents.ledger.users import learn
from brody_agents.ledger.vault import Vault

_A, _C, _V = table(Action).c, table(ActionClaim).c, table(Verdict).c
_OPEN = sorted(OPEN_STATES)
BUSY = sorted({ActionState.APPROVED, ActionState.EXECUTING, ActionState.UNKNOWN})
"""States that keep a run open; what waits for a person does not."""
LONG = timedelta(minutes=1)
"""What is put off for longer than this (until a budget frees, or a person looks) does not keep a run open either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRecord:
    """An action as the ledger has it."""

    id: str
    key: str
    user_id: str
    run_id: str | None
    kind: str
    arguments: dict[str, Any]
    state: ActionState
    why: str
    proposed_by: str
    message_id: str = ""
    cause: str
    priority: int
    deadline: datetime | None = None
    confidence: float = 1.0
    provenance: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
    """Why it stands where it stands, for a person."""
    result: dict[str, Any] | None = None
    intent: dict[str, Any] | None = None
    """What was read of the account before the effect was tried; whoever reconciles needs it."""
    not_before: datetime | None = None
    """Nothing is tried before this time."""
    held_until: datetime | None = None
    """Until when a message can be recalled before it leaves; the same for good once an executor has seen it."""
    settled: bool | None = None
    """What the person said of an effect whose outcome nobody else knows: it took place, or it did not."""
    handed_over: bool | None = None
    """Whether its message may have left: ``False`` where it surely did not, ``None`` where that is not noted."""
    asks_person: bool | None = None
    """Whether its account could not tell its outcome."""
    fence: int = 0
    tries: int = 0
    """How often it was put off since its last attempt; the pauses grow with it."""
    account: str | None = None
    """The account that it works on, once the executor has found it."""
    redo_of: str | None = None
    merged_into: str | None = None
    created_at: datetime
    updated_at: datetime
    done_at: datetime | None = None
    undo_asked_at: datetime | None = None
    undo: dict[str, Any] | None = None
    """What was read of the account before the undo was tried."""
    claims: tuple[Claim, ...] = ()

    @property
    def put_off(self) -> bool:
        """Say whether nothing is done with it for longer than a moment."""
        return self.not_before is not None and self.not_before > datetime.now(UTC) + LONG

    @property
    def undoing(self) -> bool:
        """Say whether the person has asked to have it undone: while it is open, it goes backwards."""
        return self.undo_asked_at is not None

    def moved(self, state: ActionState, reason: str, **changes: Any) -> ActionRecord:
        """Return the action in another state."""
        return replace(self, state=state, reason=reason, **changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRecord:
    """What the conflict resolver decided, in words that a person reads."""

    id: str
    user_id: str
    run_id: str | None
    action_id: str | None
    kind: str
    resource: str
    verdict: str
    rule: str
    parties: list[dict[str, Any]]
    why: str
    otherwise: str
    """What would have happened without the rule."""
    options: list[str]
    created_at: datetime
    inputs: dict[str, Any] = field(default_factory=dict)
    """What the rule looked at."""


def task_of(action_id: str) -> str:
    """Return the id of the task that a ``task.create`` makes."""
    return stable_id("task", action_id)


async def add(tx: AsyncConnection, vault: Vault, actions: Sequence[ActionRecord]) -> None:
    """Write new actions and the claims of those that are open."""
    if not actions:
        return
    await tx.execute(insert_new(tx, Action), [_row(vault, a) for a in actions])
    claims = [row for a in actions if a.state.holds_claims for row in claim_rows(a)]
    if claims:
        await tx.execute(insert_new(tx, ActionClaim), claims)


async def known_keys(tx: AsyncConnection, keys: Collection[str]) -> dict[str, tuple[str, ActionState]]:
    """Return id and state of the actions that have one of these idempotency keys."""
    rows = await tx.execute(select(_A.key, _A.id, _A.state).where(_A.key.in_(keys))) if keys else ()
    return {key: (action_id, ActionState(state)) for key, action_id, state in rows}


async def held(tx: AsyncConnection, resources: Collection[str]) -> list[tuple[str, Claim]]:
    """Return the claims that open actions hold on resources, as (action id, claim), the oldest action first."""
    if not resources:
        return []
    columns = (_C.action_id, _C.resource, _C.mode, _C.start, _C.end)
    query = select(*columns).join(table(Action), _A.id == _C.action_id).where(_C.resource.in_(resources))
    rows = await tx.execute(query.order_by(_A.seq, _C.position))
    return [(row.action_id, Claim(row.resource, row.mode, row.start, row.end)) for row in rows]


async def held_near(tx: AsyncConnection, claims: Collection[Claim]) -> list[tuple[str, Claim]]:
    """Return the claims that open actions hold on the resources of these; intervals only around those wanted."""
    if not claims:
        return []
    starts = [c.start for c in claims if c.mode == "interval"]
    ends = [c.end for c in claims if c.mode == "interval"]
    near: list[Any] = [_C.resource.in_({c.resource for c in claims})]
    if starts and None not in starts and None not in ends and not _mixed(claims):
        around = (_C.start < max(e for e in ends if e)) & (_C.end > min(s for s in starts if s))
        near.append(or_(_C.mode != "interval", _C.start.is_(None), _C.end.is_(None), around))
    columns = (_C.action_id, _C.resource, _C.mode, _C.start, _C.end)
    query = select(*columns).join(table(Action), _A.id == _C.action_id).where(*near)
    rows = await tx.execute(query.order_by(_A.seq, _C.position))
    return [(row.action_id, Claim(row.resource, row.mode, row.start, row.end)) for row in rows]


def _mixed(claims: Collection[Claim]) -> bool:
    """Say whether a resource is claimed both for an interval and as a whole."""
    intervals = {c.resource for c in claims if c.mode == "interval"}
    return any(c.mode != "interval" and c.resource in intervals for c in claims)


async def release_time(tx: AsyncConnection, ids: Collection[str]) -> None:
    """Have actions let go of the intervals that they claim; the rest they keep."""
    if ids:
        await tx.execute(table(ActionClaim).delete().where(_C.action_id.in_(ids), _C.mode == "interval"))


async def move(tx: AsyncConnection, vault: Vault, changes: Iterable[ActionRecord]) -> None:
    """Write the states, reasons, results and intents of actions; final ones let go of their claims."""
    moved, now = list(changes), datetime.now(UTC)
    if moved:
        await tx.execute(_MOVE, [_change(vault, a, now) for a in moved])
    for part in in_parts([a.id for a in moved if a.state.final]):
        await tx.execute(table(ActionClaim).delete().where(_C.action_id.in_(part)))


def _new(name: str) -> Any:
    return bindparam(f"new_{name}", type_=_A[name].type)


_MOVED = ("state", "reason", "fence", "merged_into", "updated_at")
_MORE = ("result", "intent")
"""Sealed too; what there is stays where an action brings nothing."""
_MOVE = (
    update(table(Action))
    .where(_A.id == bindparam("of"))
    .values({name: _new(name) for name in _MOVED})
    .values({name: func.coalesce(_new(name), _A[name]) for name in _MORE})
    .values(done_at=func.coalesce(_A.done_at, _new("done_at")))
)


def _change(vault: Vault, a: ActionRecord, now: datetime) -> dict[str, Any]:
    values = {name: getattr(a, name) for name in _MOVED} | {"reason": vault.seal(a.user_id, a.reason)}
    values |= {name: vault.seal(a.user_id, value) for name in _MORE if (value := getattr(a, name)) is not None}
    values |= {"updated_at": now, "done_at": now if a.state is ActionState.DONE else None}
    return {"of": a.id} | {f"new_{name}": values.get(name) for name in (*_MOVED, *_MORE, "done_at")}


async def busy_runs(tx: AsyncConnection, run_ids: Collection[str]) -> set[str]:
    """Return those of the runs that have an action under way."""
    if not run_ids:
        return set()
    soon = is_due(datetime.now(UTC) + LONG)
    query = select(_A.run_id).where(_A.run_id.in_(run_ids), _A.state.in_(BUSY), soon).distinct()
    return set((await tx.execute(query)).scalars())


def busy() -> Any:
    """Return the question for an action that is due at the time ``now``, or under way."""
    states = or_(_A.state == ActionState.APPROVED, _A.state == ActionState.EXECUTING)
    return select(_A.id).where(states, is_due(bindparam("now", type_=_A.not_before.type))).limit(1)


def is_due(now: Any) -> ColumnElement[bool]:
    """Return the condition that an action's time has come."""
    return or_(_A.not_before.is_(None), _A.not_before <= now)


async def load(tx: AsyncConnection, vault: Vault, *conditions: Any, limit: int | None = None) -> list[ActionRecord]:
    """Return actions in the order in which they were proposed."""
    query = select(table(Action)).where(*conditions).order_by(_A.seq).limit(limit)
    rows = [dict(row) for row in (await tx.execute(query)).mappings()]
    await learn(tx, vault, (row["user_id"] for row in rows))  # a claim on a shared account may be another user's
    return [record(vault, row) for row in rows]


async def merged_into(tx: AsyncConnection, vault: Vault, ids: Collection[str]) -> list[ActionRecord]:
    """Return the actions that were merged into others."""
    return await load(tx, vault, _A.merged_into.in_(ids)) if ids else []


async def add_verdicts(tx: AsyncConnection, vault: Vault, verdicts: Sequence[VerdictRecord]) -> None:
    """Write verdicts; one with the same id stays as it is."""
    rows = [
        {name: getattr(v, name) for name in _VERDICT_COLUMNS}
        | {"detail": vault.seal(v.user_id, {name: getattr(v, name) for name in _VERDICT_DETAIL})}
        for v in verdicts
    ]
    if rows:
        await tx.execute(insert_new(tx, Verdict), rows)


async def verdicts(tx: AsyncConnection, vault: Vault, *conditions: Any) -> list[VerdictRecord]:
    """Return verdicts, oldest first."""
    query = select(table(Verdict)).where(*conditions).order_by(_V.created_at, _V.id)
    found = []
    for row in (await tx.execute(query)).mappings():
        values = dict(row)
        found.append(VerdictRecord(**vault.open(row["user_id"], values.pop("detail")), **values))
    return found


FORGOTTEN = "It is so long ago that only its key is kept."
WHOLE = _A.arguments.is_not(None)
"""Holds for actions of which more is kept than the key."""
_VERDICT_COLUMNS = ("id", "user_id", "run_id", "action_id", "kind", "resource", "verdict", "rule", "created_at")
_VERDICT_DETAIL = ("parties", "why", "otherwise", "options", "inputs")


def _row(vault: Vault, a: ActionRecord) -> dict[str, Any]:
    plain = ("id", "key", "user_id", "run_id", "kind", "state", "proposed_by", "message_id", "cause")
    more = ("priority", "deadline", "confidence", "provenance", "fence", "redo_of", "merged_into")
    return {name: getattr(a, name) for name in (*plain, *more, "created_at", "updated_at")} | {
        "arguments": vault.seal(a.user_id, a.arguments),
        "why": vault.seal(a.user_id, a.why),
        "reason": vault.seal(a.user_id, a.reason),
        "result": None,
        "intent": None,
        "not_before": a.not_before,
        "partition": partition_of(a.user_id),
        "tries": a.tries,
        "account": a.account,
    }


def claim_rows(action: ActionRecord) -> list[dict[str, Any]]:
    """Return the rows of what an action claims."""
    parts = ("resource", "mode", "start", "end")
    return [
        {"action_id": action.id, "position": position} | {part: getattr(claim, part) for part in parts}
        for position, claim in enumerate(action.claims)
    ]


_SEALED = ("arguments", "why", "reason", "result", "intent", "undo")


def record(vault: Vault, row: dict[str, Any]) -> ActionRecord:
    """Return the action that a row is."""
    del row["seq"], row["partition"]
    user_id = row["user_id"]
    row |= {name: vault.open(user_id, row[name]) for name in _SEALED}
    row |= {"state": ActionState(row["state"]), "tries": row["tries"] or 0}
    if row["arguments"] is None:
        row |= {"arguments": {}, "why": "", "reason": FORGOTTEN}
    return ActionRecord(**row)


Records = list[ActionRecord]
Verdicts = list[VerdictRecord]


class Actions:
    """The actions of a ledger; ``brody.actions``."""

    def __init__(self, ledger: Ledger, settled: Callable[[], Awaitable[None]] | None = None) -> None:
        self._ledger, self._after = ledger, settled

    async def settle(self, action_id: str, done: bool) -> ActionRecord:
        """Say whether an action took place whose outcome is ``unknown``, and return it; a worker closes it.

        Done: it is ``done``. Not done: it is ``failed``, and may be wanted again as ``redo_of`` it. Raises
        ``NotFound``, and ``NotUnclear`` for an action that is not unknown, or of which the opposite was said.
        """
        from brody_agents.ledger.settling import settle

        action = await self.show(action_id)
        async with self._ledger.write() as tx:
            unclear = await settle(tx, action.id, done)
        if not unclear:
            raise NotUnclear(f"Action {action.id} is {(await self.show(action.id)).state}.")
        if self._after is not None:
            await self._after()
        return await self.show(action.id)

    async def list(
        self, user_id: str | None = None, *, state: str | None = None, run_id: str | None = None, limit: int = 200
    ) -> Records:
        """Return actions, newest first."""
        wanted = {"user_id": user_id, "state": state, "run_id": run_id}
        conditions = [_A[name] == value for name, value in wanted.items() if value is not None]
        query = select(table(Action)).where(*conditions).order_by(_A.seq.desc()).limit(limit)
        return await self._load(query)

    async def pending(self, user_id: str) -> Records:
        """Return the actions that are not final, oldest first."""
        query = select(table(Action)).where(_A.user_id == user_id, _A.state.in_(_OPEN)).order_by(_A.seq)
        return await self._load(query)

    async def show(self, action_id: str) -> ActionRecord:
        """Return the action with an id, or with the beginning of one; raise ``NotFound``."""
        async with self._ledger.read() as tx:
            whole = await whole_id(tx, _A.id, action_id)
        for found in await self._load(select(table(Action)).where(_A.id == whole)):
            return found
        raise NotFound(f"There is no action {action_id}.", "See: brody actions list")

    async def verdicts(self, action_id: str) -> Verdicts:
        """Return the verdicts on an action."""
        action = await self.show(action_id)
        async with self._ledger.read() as tx:
            return await verdicts(tx, self._ledger.vault, _V.action_id == action.id)

    async def _load(self, query: Any) -> Records:
        async with self._ledger.read() as tx:
            rows = [dict(row) for row in (await tx.execute(query)).mappings()]
        await self._ledger.ensure_users({row["user_id"] for row in rows})
        return [record(self._ledger.vault, row) for row in rows]
