"""What the ledger holds around the proposals of one settling: rules read it, settling extends it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.action import OPEN_STATES, ActionState, Claim
from brody_agents.arguments import TaskCreate
from brody_agents.communication.message_protocol import AgentMessage
from brody_agents.coordinator import contradictions
from brody_agents.coordinator.conflicts.holders import Holders
from brody_agents.coordinator.conflicts.ruling import WAITING, Ruling, party, verdict_of
from brody_agents.coordinator.conflicts.wishes import Wish, Wishes
from brody_agents.coordinator.conflicts.world import World
from brody_agents.ledger import actions as ledger_actions
from brody_agents.ledger.actions import ActionRecord, VerdictRecord
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Action, Task
from brody_agents.ledger.vault import Vault

TASK_LIST = "the task list"
"""Who has an open task."""


@dataclass(slots=True)
class Scene:
    """The open actions with their claims, the open tasks, and what is known of the world."""

    keys: dict[str, tuple[str, ActionState]]
    actions: dict[str, ActionRecord]
    holders: Holders
    tasks: dict[str, dict[str, Any]]
    wishes: Wishes
    world: World
    past: set[str] = field(default_factory=set)
    """The actions that give way to the proposal under settling, if it stands in the end."""
    attempts: dict[str, int] = field(default_factory=dict)
    """How often each action has been planned again already."""
    moved: dict[str, ActionRecord] = field(default_factory=dict)
    released: set[str] = field(default_factory=set)
    """Actions that hold no time any more."""
    verdicts: list[VerdictRecord] = field(default_factory=list)
    messages: list[AgentMessage] = field(default_factory=list)
    records: contradictions.Records = field(default_factory=dict)
    """How the person has answered each agent, where answers are to be weighed."""

    def clashing(self, action: ActionRecord, mode: str | None = None) -> list[ActionRecord]:
        """Return the open actions whose claims (of a mode) do not go with this one's, oldest first."""
        claims = [c for c in action.claims if mode is None or c.mode == mode]
        return [other for other in self._holding(claims) if self.stands(other, action)]

    def being_undone(self, action: ActionRecord) -> list[ActionRecord]:
        """Return the actions that are going backwards and hold what this one claims."""
        found = [other for other in self._holding(action.claims) if other.undoing and other.id != action.id]
        return [other for other in found if other.state.holds_claims]

    def _holding(self, claims: Iterable[Claim]) -> list[ActionRecord]:
        return [self.actions[holder] for holder in self.holders.clashing(claims) if holder in self.actions]

    def stands(self, other: ActionRecord, action: ActionRecord) -> bool:
        """Say whether another action is open to an action; what was only observed is so only among its like.

        One that is being undone is not: nothing is made one with it, or gives way to it.
        """
        if other.id == action.id or other.id in self.past or other.undoing or not other.state.holds_claims:
            return False
        return is_real(other) or not is_real(action)

    def of_user(self, action: ActionRecord, kind: str) -> list[ActionRecord]:
        """Return the user's other open actions of a kind that are known here, in the order of their proposal."""
        mine = [a for a in self.actions.values() if a.kind == kind and a.user_id == action.user_id]
        return [other for other in mine if self.stands(other, action)]

    def take(self, action: ActionRecord) -> None:
        """Add a settled action to what later ones meet."""
        self.keys[action.key] = (action.id, action.state)
        self.actions[action.id] = action
        if action.state.holds_claims:
            for claim in action.claims:
                self.holders.add(action.id, claim)
        if action.kind == "task.create" and action.state.holds_claims:
            self.wishes.propose(action.id, action.user_id, TaskCreate.model_validate(action.arguments))

    def give_way(self, ruling: Ruling) -> None:
        """Have the other party of a ruling give way."""
        other = self.actions[ruling.other].moved(ruling.state, ruling.why)
        if ruling.replan:
            other = without_time(other)
            self.released.add(other.id)
            self.holders.release_time(other.id)
        self.actions[other.id] = self.moved[other.id] = other

    def judge(self, action: ActionRecord, ruling: Ruling) -> None:
        """Keep the verdict that a ruling is."""
        theirs = self.other_party(ruling)
        of = self.actions[ruling.other] if ruling.of_other else action
        self.verdicts.append(verdict_of(action, ruling, theirs, of))

    def other_party(self, ruling: Ruling) -> dict[str, Any]:
        """Return whom a ruling meets; a task that is decided upon goes by the task that it is about to be."""
        other = self.actions.get(ruling.other)
        if other is None:
            task = self.tasks.get(ruling.other)
            named = {"title": task["title"], "by": TASK_LIST} if task else {"title": ruling.title, "by": ""}
            return {"id": ruling.other} | named
        if other.kind == "task.create" and other.state not in WAITING and other.state.holds_claims:
            return party(other) | {"id": ledger_actions.task_of(other.id), "by": TASK_LIST}
        return party(other)


def is_real(action: ActionRecord) -> bool:
    """Say whether something follows from an action: it is not only observed."""
    return action.state not in (ActionState.PROPOSED, ActionState.OBSERVED)


def without_time(action: ActionRecord) -> ActionRecord:
    """Return the action without its claims on time."""
    return replace(action, claims=tuple(c for c in action.claims if c.mode != "interval"))


Rule = Callable[[ActionRecord, Scene], Ruling | None]
"""Look at one proposal: give a ruling, or leave it to the next rule. Pure and quick: a transaction is open."""


async def scene_around(tx: AsyncConnection, vault: Vault, proposals: Sequence[ActionRecord], world: World) -> Scene:
    """Read what the proposals may meet."""
    keys = await ledger_actions.known_keys(tx, {key for p in proposals for key in contradictions.keys_of(p)})
    fresh = [p for p in proposals if p.key not in keys or keys[p.key][0] == p.id]
    claims = await ledger_actions.held_near(tx, [c for p in fresh for c in p.claims])
    a = table(Action).c
    holders = await ledger_actions.load(tx, vault, a.id.in_({holder for holder, _ in claims})) if claims else []
    holders += await contradictions.heard(tx, vault, proposals)
    for kind, makers in _needed(fresh).items():
        for user_id in sorted(makers):
            going_on = (a.state.in_(sorted(OPEN_STATES)), a.undo_asked_at.is_(None))
            mine = (a.user_id == user_id, a.kind == kind, *going_on)
            holders += await ledger_actions.load(tx, vault, *mine)
    rows = await _open_tasks(tx, {p.user_id for p in fresh if p.kind == "task.create"})
    scene = Scene(keys, {h.id: h for h in holders}, Holders(claims), {r["id"]: r for r in rows}, Wishes(), world)
    scene.records = await contradictions.records(tx, proposals)
    for row in rows:
        action = row["normalised"] or row["title"].casefold()
        scene.wishes.add(row["user_id"], row["assignee"], Wish(row["id"], row["title"], row["root"], action, True))
    for other in scene.actions.values():
        if other.kind == "task.create" and not other.undoing:
            scene.wishes.propose(other.id, other.user_id, TaskCreate.model_validate(other.arguments))
    return scene


def _needed(proposals: Sequence[ActionRecord]) -> dict[str, set[str]]:
    """Return whose open actions are needed beyond those that claim the same: {kind: users}."""
    return {
        "task.create": {p.user_id for p in proposals if p.kind == "task.create"},
        "calendar.create": {p.user_id for p in proposals if p.kind == "task.update" and p.arguments.get("due")},
    }


async def _open_tasks(tx: AsyncConnection, makers: set[str]) -> list[dict[str, Any]]:
    if not makers:
        return []
    t = table(Task).c
    listed = (t.status.in_(("pending", "in_progress")), t.removed.is_(False), t.problem == "")
    found = await tx.execute(select(table(Task)).where(t.user_id.in_(makers), *listed))
    return [dict(row) for row in found.mappings()]


def moment(value: Any) -> datetime | None:
    """Return a time as arguments hold it, aware; ``None`` for none."""
    if value is None or isinstance(value, datetime):
        return value
    read = datetime.fromisoformat(str(value))
    return read if read.tzinfo else read.replace(tzinfo=UTC)
