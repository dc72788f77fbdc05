"""The conflict resolver: settle what agents propose against what is proposed, held and done already.

It runs inside the turn's transaction and only detects and applies rules; ``conflicts.order`` has them in their order.
Each rule looks at one proposal and either gives a verdict, which ends the matter unless it is another action that
gives way, or leaves it to the next. Who is to be planned again waits meanwhile: a message ``replan`` sees to it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.action import ActionState
from brody_agents.arguments import TaskCreate
from brody_agents.communication.message_protocol import COORDINATOR, AgentMessage, new_context, stable_id
from brody_agents.communication.payloads import Replan
from brody_agents.coordinator import contradictions
from brody_agents.coordinator.conflicts.drafts import OVERTAKEN, overtaken_drafts, renewed
from brody_agents.coordinator.conflicts.order import RULES
from brody_agents.coordinator.conflicts.ruling import Ruling, party, said
from brody_agents.coordinator.conflicts.scene import Rule, Scene, is_real, scene_around, without_time
from brody_agents.coordinator.conflicts.slots import busy_slot
from brody_agents.coordinator.conflicts.tasks import merge_into_task
from brody_agents.coordinator.conflicts.threads import ANSWERED
from brody_agents.coordinator.conflicts.world import ZoneOf, world_around
from brody_agents.ledger import actions as ledger_actions
from brody_agents.ledger import messages as backlog
from brody_agents.ledger.actions import ActionRecord, VerdictRecord
from brody_agents.ledger.statements import serialise, table
from brody_agents.ledger.tables import Action
from brody_agents.ledger.vault import Vault
from brody_agents.outcome import Withdrawal
from brody_agents.policy.autonomy import judged
from brody_agents.policy.basis import claims_of
from brody_agents.policy.rules import Judgement

_WAITING = sorted({ActionState.PROPOSED, ActionState.AWAITING_APPROVAL})

JudgeAgain = Callable[[AsyncConnection, Sequence[ActionRecord]], Awaitable[Sequence[Judgement]]]
"""Judge actions of the ledger as if they were proposed now."""


def _utc(run_id: str | None) -> ZoneInfo:
    return ZoneInfo("UTC")


class ConflictResolver:
    """Settle proposals, one turn at a time."""

    def __init__(
        self, vault: Vault, rules: Sequence[Rule] = RULES, *, zone_of: ZoneOf = _utc, judge_again: JudgeAgain = judged
    ) -> None:
        self._vault = vault
        self._rules = tuple(rules)
        self._zone_of = zone_of
        self.judge_again = judge_again

    async def settle(self, tx: AsyncConnection, proposals: Sequence[ActionRecord]) -> list[ActionRecord]:
        """Write the proposals with the states that the rules give them; return those that are new.

        A proposal whose idempotency key is known, rejected or not, changes nothing. One that is only observed (a dry
        run's, in the state ``proposed``) gets its verdict, and nothing follows from it until ``promote``.
        """
        if not proposals:
            return []
        scene = await self._scene(tx, proposals)
        again = await renewed(tx, proposals, scene.keys)
        if again != list(proposals):
            proposals, scene = again, await self._scene(tx, again)
        new = []
        for proposal in proposals:
            proposal = contradictions.apart(proposal, scene.actions)
            if proposal.key in scene.keys:
                _repeated(proposal, scene)
            else:
                new.append((await self._settled(tx, proposal, scene)).id)
        return await self._write(tx, scene, new)

    async def promote(self, tx: AsyncConnection, user_id: str) -> list[ActionRecord]:
        """Settle what was only observed until now as if it were proposed now; return it."""
        a = table(Action).c
        observed = await ledger_actions.load(tx, self._vault, a.user_id == user_id, a.state == ActionState.PROPOSED)
        now = [_judged(*pair) for pair in zip(observed, await self.judge_again(tx, observed), strict=True)]
        scene = await self._scene(tx, now)
        promoted = [(await self._settled(tx, action, scene)).id for action in now]
        scene.moved |= {i: scene.actions[i] for i in promoted}
        await self._write(tx, scene, [])
        return [scene.actions[i] for i in promoted]

    async def replace(
        self, tx: AsyncConnection, action: ActionRecord, others: Sequence[ActionRecord], verdict: VerdictRecord
    ) -> list[ActionRecord] | None:
        """Put others in the place of an action that waits to be planned again; return them as they are settled.

        ``None``, and nothing is written, if something stands in their way by now.
        """
        scene = await self._scene(tx, others)
        scene.actions.pop(action.id, None)
        for other in others:
            settled, rulings = self._ruled(other, scene)
            if other.key in scene.keys or (settled.state.final and is_real(settled)) or _lost(rulings):
                return None
            self._take(settled, rulings, scene)
        scene.moved[action.id] = action.moved(ActionState.SUPERSEDED, verdict.why)
        scene.verdicts.append(verdict)
        return await self._write(tx, scene, [other.id for other in others])

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

    async def threads_moved(self, tx: AsyncConnection, user_id: str, mail_ids: Sequence[str]) -> None:
        """Supersede the waiting drafts in the threads of mails that have come, or were sent, since the draft."""
        gone = await overtaken_drafts(tx, self._vault, user_id, mail_ids)
        await ledger_actions.move(tx, self._vault, [d.moved(ActionState.SUPERSEDED, why) for d, why in gone])
        await ledger_actions.add_verdicts(tx, self._vault, [_moved_on(d, why) for d, why in gone])

    async def look(self, tx: AsyncConnection, action: ActionRecord) -> list[Ruling]:
        """Return what each rule says of an action against what is decided already; nothing is written."""
        action = replace(action, claims=claims_of(action))  # one that is planned again holds no time meanwhile
        scene = await self._scene(tx, [action])
        scene.actions = {i: other for i, other in scene.actions.items() if other.state in ledger_actions.BUSY}
        rules = (rule for rule in self._rules if rule is not busy_slot)  # a card looks at the calendar itself
        return [ruling for rule in rules if (ruling := rule(action, scene))]

    # -- one proposal ---------------------------------------------------------------------------------

    async def _settled(self, tx: AsyncConnection, proposal: ActionRecord, scene: Scene) -> ActionRecord:
        """Apply the rules to one proposal and do what they say to the other party."""
        action, rulings = self._ruled(proposal, scene)
        self._take(action, rulings, scene)
        for task in (scene.tasks[r.into_task] for r in rulings if r.into_task and is_real(action)):
            await merge_into_task(tx, self._vault, task, [TaskCreate.model_validate(action.arguments)])
        return action

    def _ruled(self, proposal: ActionRecord, scene: Scene) -> tuple[ActionRecord, list[Ruling]]:
        """Apply the rules until one ends the matter; what gives way to the proposal is not there for the next.

        If the proposal gives way itself in the end, those that gave way to it stay; if it becomes one with another,
        that one takes its place.
        """
        scene.past.clear()
        rulings: list[Ruling] = []
        for rule in self._rules:
            while ruling := rule(proposal, scene):
                if not ruling.supersedes:
                    ended = _ended(proposal, ruling)
                    goes_on = ended.state.holds_claims or not is_real(ended)
                    stays = (goes_on and not ruling.replan) or ended.state is ActionState.MERGED
                    return ended, [*(rulings if stays else ()), ruling]
                if ruling.other in scene.past:
                    break  # a rule that does not look at what has given way
                rulings.append(ruling)
                scene.past.add(ruling.other)
        return proposal, rulings

    def _take(self, action: ActionRecord, rulings: Sequence[Ruling], scene: Scene) -> None:
        """Add a proposal as it was settled, and have the others give way."""
        scene.past.clear()
        scene.take(action)
        for ruling in rulings:
            scene.judge(action, ruling)
            if not is_real(action):
                continue
            if ruling.supersedes:
                scene.give_way(ruling)
            if ruling.replan:
                loser = scene.actions[ruling.other] if ruling.supersedes else action
                scene.released.add(loser.id)
                scene.messages.append(replan_message(loser, ruling))

    # -- reading and writing --------------------------------------------------------------------------

    async def _scene(self, tx: AsyncConnection, proposals: Sequence[ActionRecord]) -> Scene:
        await serialise(tx, {str(p.arguments.get("account") or p.user_id) for p in proposals})
        world = await world_around(tx, self._vault, proposals, self._zone_of)
        return await scene_around(tx, self._vault, proposals, world)

    async def _write(self, tx: AsyncConnection, scene: Scene, new: Sequence[str]) -> list[ActionRecord]:
        """Write what was settled and return the new actions as they stand in the end."""
        added = [scene.actions[i] for i in dict.fromkeys(new)]
        known = [a for a in scene.moved.values() if a.id not in set(new)]
        await ledger_actions.add(tx, self._vault, added)
        await ledger_actions.move(tx, self._vault, known)
        await ledger_actions.release_time(tx, scene.released)
        await ledger_actions.add_verdicts(tx, self._vault, scene.verdicts)
        await backlog.write(tx, self._vault, scene.messages)
        return added


def _judged(action: ActionRecord, judgement: Judgement) -> ActionRecord:
    return action.moved(judgement.state, judgement.reason, claims=claims_of(action))


def _lost(rulings: Sequence[Ruling]) -> bool:
    """Say whether what was placed would have to be planned again."""
    return bool(rulings) and rulings[-1].replan is not None and not rulings[-1].supersedes


def _ended(proposal: ActionRecord, ruling: Ruling) -> ActionRecord:
    if not is_real(proposal):
        return proposal
    target = ruling.other if ruling.state is ActionState.MERGED and not ruling.into_task else None
    action = proposal.moved(ruling.state, ruling.why, merged_into=target)
    return without_time(action) if ruling.replan else action


def replan_message(action: ActionRecord, ruling: Ruling) -> AgentMessage:
    """Return the message that has an action planned again for the first time."""
    assert ruling.replan is not None
    payload = Replan(action_id=action.id, reason=ruling.replan, before=ruling.before)
    return to_plan(action, payload, ruling.other)


def to_plan(action: ActionRecord, payload: Replan, *marks: str) -> AgentMessage:
    """Return a message to the coordinator about an action; its id follows from the action, the attempt and marks."""
    return AgentMessage(
        id=stable_id("replan", action.id, payload.reason, str(payload.attempt), *marks),
        sender=COORDINATOR,
        recipient=COORDINATOR,
        payload=payload,
        context=new_context(action.user_id),
        causation_id=action.message_id or None,
        run_id=action.run_id,
    )


def _repeated(proposal: ActionRecord, scene: Scene) -> None:
    """Keep why a proposal that is known changes nothing; the verdict belongs to no run, since nothing happened."""
    known, state = scene.keys[proposal.key]
    rejected = state is ActionState.REJECTED
    why, otherwise = _AGAIN.get(state, _TWICE)
    verdict = said(
        proposal,
        "rejected_before" if rejected else "same_action",
        "merged",
        "duplicate",
        why.format(proposal.proposed_by),
        otherwise,
        proposal.proposed_by,
        inputs={"key": proposal.key, "state": state.value, "cause": proposal.cause},
    )
    scene.verdicts.append(replace(verdict, run_id=None, action_id=known))


_TWICE = "The same was proposed again. It is done once, however often it is proposed.", "It would have been done twice."
_AGAIN = {
    ActionState.REJECTED: (
        "{} proposes what you have rejected. The answer stands.",
        "You would have been asked again.",
    ),
    ActionState.UNDONE: ("{} proposes what you have undone. It stays undone.", "It would have been done again."),
    ActionState.OBSERVED: ("The same was proposed again. It is only observed.", "It would have been listed twice."),
}
"""What is said of a proposal that is known, by what became of it, and what would have happened otherwise."""


def _moved_on(draft: ActionRecord, why: str) -> VerdictRecord:
    rule = "answered_since" if why == ANSWERED else OVERTAKEN
    otherwise = "You would have been asked about an answer to a mail that is not the last word any more."
    return said(draft, rule, "superseded", "thread", why, otherwise)


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
        parties=[party(action)],
        why=withdrawal.why,
        otherwise="The proposal would still wait for you.",
        options=[],
        created_at=datetime.now(UTC),
    )
