"""The conflict resolver: settle what agents propose against what is proposed, held and done already.

It runs inside the turn's transaction and only detects and applies rules. ``RULES`` is the order; each rule looks at
one proposal and either gives a verdict, which ends the matter unless it is another action that gives way, or leaves
it to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from rapidfuzz import fuzz
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.action import CATALOGUE, ActionState, Claim
from brody_agents.arguments import SourceRef, TaskCreate
from brody_agents.communication.message_protocol import stable_id
from brody_agents.context import Withdrawal
from brody_agents.coordinator import contradictions
from brody_agents.ledger import actions as ledger_actions
from brody_agents.ledger.actions import ActionRecord, VerdictRecord
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Action, Task
from brody_agents.ledger.vault import Vault
from brody_agents.policy.rules import judge

SAME_TASK, PERHAPS_SAME_TASK = 85.0, 70.0
"""Similarity of two normalised actions (rapidfuzz token_sort_ratio, 0 to 100): one task; ask the person."""

TASK_LIST = "the task list"
"""Who has an open task."""

SAME_WORD = 80.0
"""Similarity of two words that are taken as one, such as singular and plural."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a rule decides of a proposal: the state it gets, and the explanation."""

    kind: str
    resource: str
    verdict: str
    rule: str
    state: ActionState
    other: str
    """The id of the action or item that it meets."""
    why: str
    otherwise: str
    options: tuple[str, ...] = ()
    supersedes: bool = False
    """Whether the other action gives way instead of this one."""
    into_task: str | None = None
    parties: tuple[dict[str, Any], ...] = ()
    """Who was weighed, with the figures; by default the two that meet."""


@dataclass(slots=True)
class Scene:
    """What the ledger holds around the proposals of one settling; rules read it, settling extends it."""

    keys: set[str]
    actions: dict[str, ActionRecord]
    claims: list[tuple[str, Claim]]
    tasks: list[dict[str, Any]]
    moved: dict[str, ActionRecord] = field(default_factory=dict)
    verdicts: list[VerdictRecord] = field(default_factory=list)
    records: contradictions.Records = field(default_factory=dict)

    def clashing(self, action: ActionRecord) -> list[ActionRecord]:
        """Return the open actions whose claims do not go with this one's, oldest first."""
        found = []
        for holder, claim in self.claims:
            other = self.actions.get(holder)
            if other and stands(other, action) and any(c.clashes(claim) for c in action.claims):
                found.append(other)
        return list({a.id: a for a in found}.values())

    def task(self, task_id: str) -> dict[str, Any]:
        """Return an open task."""
        return next(task for task in self.tasks if task["id"] == task_id)

    def drop(self, action_id: str, why: str) -> None:
        """Have an action superseded."""
        self.actions[action_id] = self.moved[action_id] = self.actions[action_id].moved(ActionState.SUPERSEDED, why)


def stands(other: ActionRecord, action: ActionRecord) -> bool:
    """Say whether another action is open to an action; what was only observed is so only among its like."""
    return other.id != action.id and other.state.holds_claims and (_is_real(other) or not _is_real(action))


def _is_real(action: ActionRecord) -> bool:
    return action.state is not ActionState.PROPOSED


Rule = Callable[[ActionRecord, Scene], Ruling | None]


def same_task(action: ActionRecord, scene: Scene) -> Ruling | None:
    """Merge a task with one that is open or proposed: the same action for the same person."""
    if action.kind != "task.create":
        return None
    wanted = TaskCreate.model_validate(action.arguments)
    best, score = _nearest(wanted, action, scene)
    if best is None:
        return None
    resource = f"{action.user_id}/task-key/{wanted.task_key}"
    differ = _each_has_its_own_word(wanted.action, best.action)
    if differ and score < SAME_TASK:
        return None
    if score >= SAME_TASK and not differ:
        return Ruling(
            kind="task",
            resource=resource,
            verdict="merged",
            rule="same_task",
            state=ActionState.MERGED,
            other=best.id,
            why=_asked_twice(wanted.title, best.title, score),
            otherwise="The task would have stood twice on the list.",
            into_task=best.id if best.is_task else None,
        )
    return Ruling(
        kind="task",
        resource=resource,
        verdict="ask",
        rule="perhaps_same_task",
        state=ActionState.AWAITING_APPROVAL,
        other=best.id,
        why=f"“{wanted.title}” may be the same as “{best.title}” ({score:.0f} of 100 alike).",
        otherwise="The task would have been added without asking.",
        options=("Merge the two", "Keep both", "Drop the new one"),
    )


def contradiction(action: ActionRecord, scene: Scene) -> Ruling | None:
    """Weigh answers to the same invitation that contradict each other; the one to its newer version stands."""
    if action.kind != "calendar.respond":
        return None
    for other in scene.clashing(action):
        if other.kind == action.kind and other.arguments["uid"] == action.arguments["uid"]:
            newer = action.arguments.get("sequence", 0) - other.arguments.get("sequence", 0)
            if newer > 0:
                return _supersede(action, other, "newer_invitation", "The organizer has changed the invitation since.")
            if newer < 0:
                return _outdated(action, other)
            tie = _ask(action, other, "contradiction", "opposite_answers", "Two answers contradict each other.")
            if ruling := contradictions.weighed(tie, action, scene):
                return ruling
    return None


def one_draft_a_thread(action: ActionRecord, scene: Scene) -> Ruling | None:
    """Keep one writer a thread: the answer to a newer mail takes the place of an older draft."""
    if action.kind not in ("mail.draft", "mail.reply", "mail.send"):
        return None
    for other in scene.clashing(action):
        if other.arguments.get("email_id") != action.arguments.get("email_id"):
            return _supersede(action, other, "newer_mail", "A newer mail came in the thread.")
        return Ruling(
            kind="thread",
            resource=action.claims[0].resource,
            verdict="merged",
            rule="one_draft_a_thread",
            state=ActionState.MERGED,
            other=other.id,
            why=f"{other.proposed_by} has already prepared an answer in this thread.",
            otherwise="The thread would have had two drafts.",
        )
    return None


def slot(action: ActionRecord, scene: Scene) -> Ruling | None:
    """Let one proposal hold a slot; the other waits for the person, with options."""
    intervals = [c for c in action.claims if c.mode == "interval"]
    for other in scene.clashing(replace(action, claims=tuple(intervals))):
        why = f"The time is held by “{_title(other)}” ({other.proposed_by})."
        return _ask(action, other, "slot", "held_slot", why, _SLOT_OPTIONS)
    return None


def exclusive(action: ActionRecord, scene: Scene) -> Ruling | None:
    """Let one open action hold a resource; what comes later waits for the person."""
    for other in scene.clashing(action):
        why = f"{other.proposed_by} has an open {other.kind} on the same."
        return _ask(action, other, _KINDS.get(action.kind.split(".")[0], "stale"), "held_resource", why)
    return None


RULES: tuple[Rule, ...] = (same_task, contradiction, one_draft_a_thread, slot, exclusive)
"""All rules in their order."""

_SLOT_OPTIONS = ("Keep what holds the time", "Take the time for this one", "Find another time for this one")
_KINDS = {"mail": "label", "calendar": "slot", "task": "task", "file": "move_vs_share"}


class ConflictResolver:
    """Settle proposals, one turn at a time."""

    def __init__(self, vault: Vault, rules: Sequence[Rule] = RULES) -> None:
        self._vault = vault
        self._rules = tuple(rules)

    async def settle(self, tx: AsyncConnection, proposals: Sequence[ActionRecord]) -> list[ActionRecord]:
        """Write the proposals with the states that the rules give them; return those that are new.

        A proposal whose idempotency key is known changes nothing. One that is only observed (a dry run's, in the
        state ``proposed``) gets its verdict, and nothing follows from it until ``promote``.
        """
        if not proposals:
            return []
        scene = await self._scene(tx, proposals)
        named = (contradictions.apart(p, scene.actions) for p in proposals)
        new = [await self._settled(tx, p, scene) for p in named if p.key not in scene.keys]
        await ledger_actions.add(tx, self._vault, new)
        await self._write(tx, scene)
        return new

    async def promote(self, tx: AsyncConnection, user_id: str) -> list[ActionRecord]:
        """Settle what was only observed until now as if it were proposed now; return it."""
        a = table(Action).c
        observed = await ledger_actions.load(tx, self._vault, a.user_id == user_id, a.state == ActionState.PROPOSED)
        judged = [_judged_now(action) for action in observed]
        scene = await self._scene(tx, judged)
        promoted = [await self._settled(tx, action, scene) for action in judged]
        await ledger_actions.move(tx, self._vault, promoted)
        await self._write(tx, scene)
        return promoted

    async def _settled(self, tx: AsyncConnection, proposal: ActionRecord, scene: Scene) -> ActionRecord:
        """Apply the rules to one proposal and do what they say to the other party."""
        action, rulings = self._ruled(proposal, scene)
        scene.keys.add(action.key)
        scene.actions[action.id] = action
        if action.state.holds_claims:
            scene.claims += [(action.id, claim) for claim in action.claims]
        scene.verdicts += [_verdict(action, ruling, scene) for ruling in rulings]
        for task in (scene.task(r.into_task) for r in rulings if r.into_task and _is_real(action)):
            await merge_into_task(tx, self._vault, task, [TaskCreate.model_validate(action.arguments)])
        return action

    async def _write(self, tx: AsyncConnection, scene: Scene) -> None:
        await ledger_actions.move(tx, self._vault, scene.moved.values())
        await ledger_actions.add_verdicts(tx, self._vault, scene.verdicts)

    async def withdraw(self, tx: AsyncConnection, withdrawals: Sequence[tuple[str, Withdrawal]]) -> None:
        """Supersede the waiting proposals that their own agents, given by name, take back."""
        verdicts: list[VerdictRecord] = []
        for agent, w in withdrawals:
            a = table(Action).c
            mine = (a.user_id == w.because.user_id, a.kind == w.kind, a.proposed_by == agent, a.state.in_(_WAITING))
            waiting = await ledger_actions.load(tx, self._vault, *mine)
            gone = [p for p in waiting if w.matching.items() <= p.arguments.items()]
            await ledger_actions.move(tx, self._vault, [p.moved(ActionState.SUPERSEDED, w.why) for p in gone])
            verdicts += [_withdrawn(p, w) for p in gone]
        await ledger_actions.add_verdicts(tx, self._vault, verdicts)

    async def look(self, tx: AsyncConnection, action: ActionRecord) -> list[Ruling]:
        """Return what each rule says of an action against what is decided already; nothing is written."""
        scene = await self._scene(tx, [action])
        scene.actions = {i: other for i, other in scene.actions.items() if other.state in ledger_actions.BUSY}
        return [ruling for rule in self._rules if (ruling := rule(action, scene))]

    def _ruled(self, proposal: ActionRecord, scene: Scene) -> tuple[ActionRecord, list[Ruling]]:
        """Apply the rules until one ends the matter; what gives way to the proposal does not stand for the next."""
        rulings: list[Ruling] = []
        for rule in self._rules:
            while ruling := rule(proposal, scene):
                rulings.append(ruling)
                if not _is_real(proposal):
                    return proposal, rulings
                if not ruling.supersedes:
                    target = ruling.other if ruling.state is ActionState.MERGED and not ruling.into_task else None
                    return proposal.moved(ruling.state, ruling.why, merged_into=target), rulings
                scene.drop(ruling.other, ruling.why)
        return proposal, rulings

    async def _scene(self, tx: AsyncConnection, proposals: Sequence[ActionRecord]) -> Scene:
        keys = set(await ledger_actions.known_keys(tx, {k for p in proposals for k in contradictions.keys_of(p)}))
        claims = await ledger_actions.held(tx, {c.resource for p in proposals for c in p.claims})
        makers = {p.user_id for p in proposals if p.kind == "task.create"}
        a, t = table(Action).c, table(Task).c
        holders = await ledger_actions.load(tx, self._vault, a.id.in_({holder for holder, _ in claims}))
        holders += await contradictions.heard(tx, self._vault, proposals)
        for user_id in sorted(makers):
            open_creates = (a.user_id == user_id, a.kind == "task.create", a.state.in_(sorted(ledger_actions._OPEN)))
            holders += await ledger_actions.load(tx, self._vault, *open_creates)
        listed = (t.status.in_(("pending", "in_progress")), t.removed.is_(False), t.problem == "")
        tasks = await tx.execute(select(table(Task)).where(t.user_id.in_(makers), *listed)) if makers else None
        rows = [dict(row) for row in tasks.mappings()] if tasks else []
        records = await contradictions.records(tx, proposals)
        return Scene(keys, {h.id: h for h in holders}, claims, rows, records=records)


@dataclass(frozen=True, slots=True)
class _Candidate:
    id: str
    title: str
    root: str
    action: str
    is_task: bool


def _nearest(wanted: TaskCreate, action: ActionRecord, scene: Scene) -> tuple[_Candidate | None, float]:
    best: _Candidate | None = None
    score = 0.0
    for candidate in _candidates(wanted.assignee, action, scene):
        alike = fuzz.token_sort_ratio(wanted.action, candidate.action, score_cutoff=PERHAPS_SAME_TASK)
        if alike > score and _numbers(wanted.action) == _numbers(candidate.action):
            best, score = candidate, alike
    return best, score


def _asked_twice(one: str, other: str, score: float) -> str:
    if one == other:
        return f"“{one}” is asked for twice; both sources stay."
    return f"“{one}” and “{other}” ask for the same ({score:.0f} of 100 alike); both sources stay."


def _each_has_its_own_word(one: str, other: str) -> bool:
    """Say whether both name something that the other does not: an invoice is no contract, whoever gets it."""

    def own(words: list[str], others: list[str]) -> bool:
        return any(all(fuzz.ratio(word, o) < SAME_WORD for o in others) for word in words)

    return own(one.split(), other.split()) and own(other.split(), one.split())


def _numbers(action: str) -> set[str]:
    """Return the words with digits: invoice 17 is not invoice 18, however alike the rest is."""
    return {word for word in action.split() if any(c.isdigit() for c in word)}


def _candidates(assignee: str, action: ActionRecord, scene: Scene) -> list[_Candidate]:
    tasks = [
        _Candidate(t["id"], t["title"], t["root"], t["normalised"] or t["title"].casefold(), True)
        for t in scene.tasks
        if t["user_id"] == action.user_id and t["assignee"] == assignee
    ]
    proposed = []
    for other in scene.actions.values():
        if other.kind == "task.create" and stands(other, action) and other.user_id == action.user_id:
            made = TaskCreate.model_validate(other.arguments)
            if made.assignee == assignee:
                proposed.append(_Candidate(other.id, made.title, made.root, made.action, False))
    return tasks + proposed


async def merge_into_task(
    tx: AsyncConnection, vault: Vault, task: dict[str, Any], others: Sequence[TaskCreate]
) -> None:
    """Keep the sources and reasons of the same wish, its earliest due date and its highest priority."""
    user_id = task["user_id"]
    ranks = ["urgent", "high", "normal", "low"]
    sources = [SourceRef.model_validate(s) for s in task["sources"] or []]
    reasons: list[str] = vault.open(user_id, task["reasons"]) or []
    for other in others:
        sources += [s for s in other.sources if s not in sources]
        reasons += [r for r in other.reasons if r not in reasons]
        task["due_date"] = min((d for d in (task["due_date"], other.due) if d), default=None)
        task["priority"] = min(task["priority"], other.priority.value, key=ranks.index)
    task["sources"] = [s.model_dump() for s in sources]
    task["reasons"] = vault.seal(user_id, reasons)
    task["version"] += 1
    changed = {name: task[name] for name in ("sources", "reasons", "due_date", "priority", "version")}
    t = table(Task)
    await tx.execute(t.update().where(t.c.id == task["id"], t.c.user_id == user_id).values(**changed))


def _supersede(action: ActionRecord, other: ActionRecord, rule: str, why: str) -> Ruling:
    """Drop an earlier proposal that still waits; what the person has approved is the person's."""
    if other.state not in _WAITING:
        return _ask(action, other, "stale", rule, f"{why} The earlier {other.kind} is {other.state} already.")
    return Ruling(
        kind="thread" if action.kind.startswith("mail.") else "stale",
        resource=action.claims[0].resource,
        verdict="superseded",
        rule=rule,
        state=action.state,
        other=other.id,
        why=f"{why} The earlier proposal is dropped.",
        otherwise="The earlier proposal would have stood beside the new one.",
        supersedes=True,
    )


def _outdated(action: ActionRecord, other: ActionRecord) -> Ruling:
    return Ruling(
        kind="stale",
        resource=action.claims[0].resource,
        verdict="superseded",
        rule="older_invitation",
        state=ActionState.SUPERSEDED,
        other=other.id,
        why="The organizer has changed the invitation since; the answer to the newer one stands.",
        otherwise="The old invitation would have been answered as well.",
    )


def _ask(
    action: ActionRecord, other: ActionRecord, kind: str, rule: str, why: str, options: tuple[str, ...] = ()
) -> Ruling:
    return Ruling(
        kind=kind,
        resource=action.claims[0].resource,
        verdict="ask",
        rule=rule,
        state=ActionState.AWAITING_APPROVAL,
        other=other.id,
        why=f"{why} You decide.",
        otherwise=f"{action.kind} would have gone the usual way.",
        options=options or ("Keep the earlier one", "Take this one instead", "Drop both"),
    )


_WAITING = sorted({ActionState.PROPOSED, ActionState.AWAITING_APPROVAL})


def _judged_now(action: ActionRecord) -> ActionRecord:
    kind = CATALOGUE[action.kind]
    claims = tuple(kind.claims(action.user_id, kind.model.model_validate(action.arguments)))
    judgement = judge(kind)
    return action.moved(judgement.state, judgement.reason, claims=claims)


def _withdrawn(action: ActionRecord, withdrawal: Withdrawal) -> VerdictRecord:
    return VerdictRecord(
        id=stable_id("verdict", action.id, "withdrawn", withdrawal.because.id),
        user_id=action.user_id,
        run_id=withdrawal.because.run_id,
        action_id=action.id,
        kind="thread" if action.kind.startswith("mail.") else "stale",
        resource=f"{action.user_id}/action/{action.id}",
        verdict="superseded",
        rule="withdrawn",
        parties=[{"id": action.id, "title": _title(action), "by": action.proposed_by}],
        why=withdrawal.why,
        otherwise="The proposal would still wait for you.",
        options=[],
        created_at=datetime.now(UTC),
    )


def _title(action: ActionRecord) -> str:
    a = action.arguments
    return str(a.get("title") or a.get("subject") or a.get("path") or CATALOGUE[action.kind].name)


def _other_party(ruling: Ruling, scene: Scene) -> dict[str, Any]:
    """Return whom a ruling meets; a task that is decided upon goes by the task that it is about to be."""
    other = scene.actions.get(ruling.other)
    if other is None:
        title = next((t["title"] for t in scene.tasks if t["id"] == ruling.other), "")
        return {"id": ruling.other, "title": title, "by": TASK_LIST}
    if other.kind == "task.create" and other.state in (ActionState.APPROVED, ActionState.EXECUTING):
        return {"id": ledger_actions.task_of(other.id), "title": _title(other), "by": TASK_LIST}
    return {"id": other.id, "title": _title(other), "by": other.proposed_by}


def _verdict(action: ActionRecord, ruling: Ruling, scene: Scene) -> VerdictRecord:
    theirs = _other_party(ruling, scene)
    return VerdictRecord(
        id=stable_id("verdict", action.id, ruling.rule, theirs["id"]),
        user_id=action.user_id,
        run_id=action.run_id,
        action_id=action.id,
        kind=ruling.kind,
        resource=ruling.resource,
        verdict=ruling.verdict,
        rule=ruling.rule,
        parties=list(ruling.parties) or [{"id": action.id, "title": _title(action), "by": action.proposed_by}, theirs],
        why=ruling.why,
        otherwise=ruling.otherwise,
        options=list(ruling.options),
        created_at=datetime.now(UTC),
    )
