"""Answers to one invitation: that to its newer version stands, and those that contradict each other are weighed."""

from __future__ import annotations

from brody_agents.coordinator import contradictions
from brody_agents.coordinator.conflicts.ruling import Ruling, ask, drop, supersede
from brody_agents.coordinator.conflicts.scene import Scene
from brody_agents.ledger.actions import ActionRecord


def contradiction(action: ActionRecord, scene: Scene) -> Ruling | None:
    """Weigh answers to the same invitation that contradict each other; the one to its newer version stands."""
    if action.kind != "calendar.respond":
        return None
    for other in scene.clashing(action):
        if other.kind == action.kind and other.arguments["uid"] == action.arguments["uid"]:
            newer = action.arguments.get("sequence", 0) - other.arguments.get("sequence", 0)
            if newer > 0:
                return supersede(action, other, "newer_invitation", "The organizer has changed the invitation since.")
            if newer < 0:
                why = "The organizer has changed the invitation since; the answer to the newer one stands."
                otherwise = "The old invitation would have been answered as well."
                return drop(action, other.id, "stale", "older_invitation", why, otherwise)
            answers = {o.proposed_by: o.arguments["answer"] for o in (action, other)}
            why = "Two answers contradict each other."
            tie = ask(action, other, "contradiction", "opposite_answers", why, inputs=answers)
            if ruling := contradictions.weighed(tie, action, scene):
                return ruling
    return None
