"""Several agents' answers to one invitation: those that agree are one; those that do not are weighed, a tie asks.

Whoever agrees or was outweighed keeps its voice: a third agent can still turn the matter, and it comes out the same in
whatever order the agents speak. Only answers that wait give way. The person's own is not weighed: it goes before what
agents propose.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.action import ActionState, action_id, idempotency_key
from brody_agents.communication.decision_engine import Decision, Opinion, Question, TrackRecord, Vote, decide
from brody_agents.communication.message_protocol import PERSON
from brody_agents.ledger import actions as ledger_actions
from brody_agents.ledger import track_records
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Action, Verdict
from brody_agents.ledger.vault import Vault
from brody_agents.policy.basis import title_of

if TYPE_CHECKING:
    from brody_agents.coordinator.conflicts.ruling import Ruling
    from brody_agents.coordinator.conflicts.scene import Scene

ANSWER = "calendar.respond"
OUTWEIGHED, SAME_ANSWER = "outweighed", "same_answer"
"""The rules, as verdicts name them."""
Records = Mapping[tuple[str, str], TrackRecord]
"""The track records of answers to invitations, by (user, agent)."""

_WAITING = (ActionState.PROPOSED, ActionState.AWAITING_APPROVAL)
_PERSON_FIRST = "What you say goes before what agents propose."
_HEARD = (ActionState.MERGED, ActionState.SUPERSEDED)


def weighed(tie: Ruling, action: ActionRecord, scene: Scene) -> Ruling | None:
    """Return what becomes of an answer among others to the same invitation, ``None`` if it meets none.

    It joins one that agrees with it, takes the place of those that contradict it, or gives way; or a tie asks.
    ``tie`` is the ruling that asks the person.
    """
    tie = replace(tie, resource=_resource(action))
    others = [o for o in scene.clashing(action) if _same(o, action)]
    if action.proposed_by == PERSON and others and all(o.state in _WAITING for o in others):
        return _stands(tie, action, others[0], _PERSON_FIRST)
    rivals = [o for o in others if _answer(o) != _answer(action)]
    allies = [o for o in others if _answer(o) == _answer(action) and o.proposed_by != action.proposed_by]
    ruling = _against(tie, action, rivals, scene) if rivals else None
    if allies and (ruling is None or ruling.verdict == tie.verdict):
        return _joins(tie, allies[0])
    return ruling


def _against(tie: Ruling, action: ActionRecord, rivals: Sequence[ActionRecord], scene: Scene) -> Ruling:
    if any(o.state not in _WAITING for o in rivals):
        return tie  # what is approved or under way is turned back by the person only
    if own := [o for o in rivals if o.proposed_by == PERSON]:
        return _gives_way(tie, own[0], _PERSON_FIRST)
    voices = _voices(action, scene)
    if len(voices) < 2:
        return tie  # an agent that contradicts only itself
    question = Question(title_of(action), tuple(sorted({_answer(a) for a in (action, *rivals, *voices.values())})))
    return _by_vote(tie, action, rivals, voices, _decided(question, voices, scene.records))


def _by_vote(
    tie: Ruling,
    action: ActionRecord,
    rivals: Sequence[ActionRecord],
    voices: Mapping[str, ActionRecord],
    decision: Decision,
) -> Ruling:
    tie = replace(tie, parties=_parties(action, decision, voices))
    winners = [o for o in rivals if _answer(o) == decision.choice]
    if decision.choice == _answer(action):
        return _stands(tie, action, rivals[0], decision.why, decision.otherwise)
    if winners:
        return _gives_way(tie, winners[0], decision.why, decision.otherwise)
    why = f"Two answers contradict each other. {decision.why} You decide."
    return replace(tie, why=why, otherwise=f"{tie.otherwise} {decision.otherwise}")


def _joins(tie: Ruling, ally: ActionRecord) -> Ruling:
    """Make one of two answers that agree; what asks the person about it is the first."""
    return replace(
        tie,
        kind="duplicate",
        verdict="merged",
        rule=SAME_ANSWER,
        state=ActionState.MERGED,
        other=ally.id,
        why=f"{ally.proposed_by} gives the same answer.",
        otherwise="The invitation would have been answered twice.",
        options=(),
    )


def _stands(tie: Ruling, action: ActionRecord, other: ActionRecord, why: str, otherwise: str = "") -> Ruling:
    return _settled(tie, why, otherwise, state=ActionState.SUPERSEDED, other=other.id, supersedes=True)


def _gives_way(tie: Ruling, other: ActionRecord, why: str, otherwise: str = "") -> Ruling:
    return _settled(tie, why, otherwise, state=ActionState.SUPERSEDED, other=other.id)


def _settled(tie: Ruling, why: str, otherwise: str, **end: Any) -> Ruling:
    said = f"Both answers would have waited for you. {otherwise}".rstrip()
    return replace(tie, verdict="superseded", rule=OUTWEIGHED, options=(), why=why, otherwise=said, **end)


def _decided(question: Question, voices: Mapping[str, ActionRecord], records: Records) -> Decision:
    opinions = [Opinion(agent, _answer(v), v.confidence, why=v.why) for agent, v in voices.items()]
    known = {agent: records[v.user_id, agent] for agent, v in voices.items() if (v.user_id, agent) in records}
    return decide(question, opinions, known)


def _voices(action: ActionRecord, scene: Scene) -> dict[str, ActionRecord]:
    """Return what each agent says on the invitation: the newest of what waits, was merged, or was outweighed."""
    same = [o for o in scene.actions.values() if o.id != action.id and _same(o, action)]
    heard = [o for o in same if o.state in _HEARD]
    waiting = [o for o in scene.clashing(action) if _same(o, action)]
    return {o.proposed_by: o for o in (*sorted([*heard, *waiting], key=lambda o: o.created_at), action)}


def _same(one: ActionRecord, other: ActionRecord) -> bool:
    """Say whether both answer the same version of an invitation, for the same person."""
    return one.kind == other.kind == ANSWER and _invitation(one) == _invitation(other)


def _invitation(action: ActionRecord) -> tuple[Any, ...]:
    a = action.arguments
    return action.user_id, a["account"], a["uid"], a.get("recurrence_id"), a.get("sequence", 0)


def _answer(action: ActionRecord) -> str:
    answer: str = action.arguments["answer"]
    return answer


def _resource(action: ActionRecord) -> str:
    return action.claims[-1].resource  # the invitation's; whoever accepts claims the time as well


def _parties(
    action: ActionRecord, decision: Decision, voices: Mapping[str, ActionRecord]
) -> tuple[dict[str, Any], ...]:
    """Return the opinions as figures, the one that is judged first."""
    parties = [_party(vote, voices[vote.opinion.agent]) for vote in decision.votes]
    return tuple(sorted(parties, key=lambda p: p["id"] != action.id))


def _party(vote: Vote, action: ActionRecord) -> dict[str, Any]:
    said = {"choice": vote.opinion.choice, "confidence": vote.opinion.confidence, "weight": round(vote.weight, 4)}
    return (
        {"id": action.id, "title": title_of(action), "by": action.proposed_by} | said | {"record": asdict(vote.record)}
    )


# -- what the scene needs ----------------------------------------------------------------------------


def apart(proposal: ActionRecord, actions: Mapping[str, ActionRecord]) -> ActionRecord:
    """Give an answer an identity of its own if another agent gives one for the same cause.

    Their idempotency keys are the same: of two agents that handle the same message, the second would not be heard.
    """
    holder = actions.get(proposal.id)
    if holder is None or holder.proposed_by == proposal.proposed_by or not _same(holder, proposal):
        return proposal
    key = _own_key(proposal)
    return replace(proposal, key=key, id=action_id(key))


def keys_of(proposal: ActionRecord) -> set[str]:
    """Return the idempotency keys that a proposal may get."""
    return {proposal.key, *([_own_key(proposal)] if proposal.kind == ANSWER else [])}


def _own_key(proposal: ActionRecord) -> str:
    return idempotency_key(proposal.user_id, proposal.kind, proposal.key, proposal.proposed_by)


async def heard(tx: AsyncConnection, vault: Vault, proposals: Sequence[ActionRecord]) -> list[ActionRecord]:
    """Return the answers that were merged or outweighed on the invitations which proposals answer."""
    answers = [p for p in proposals if p.kind == ANSWER]
    if not answers:
        return []
    v, a = table(Verdict).c, table(Action).c
    wanted = (v.user_id.in_({p.user_id for p in answers}), v.rule.in_((OUTWEIGHED, SAME_ANSWER)))
    found = await ledger_actions.verdicts(tx, vault, *wanted, v.resource.in_({_resource(p) for p in answers}))
    ids = {party["id"] for verdict in found for party in verdict.parties}
    those = (a.id.in_(ids), a.state.in_(_HEARD), ledger_actions.WHOLE)
    return await ledger_actions.load(tx, vault, *those) if ids else []


async def records(tx: AsyncConnection, proposals: Collection[ActionRecord]) -> Records:
    """Return the track records that weigh answers of these users."""
    users = sorted({p.user_id for p in proposals if p.kind == ANSWER})
    found = {user_id: await track_records.load(tx, user_id, kind=ANSWER) for user_id in users}
    return {(user_id, agent): record for user_id, by in found.items() for (agent, _), record in by.items()}
