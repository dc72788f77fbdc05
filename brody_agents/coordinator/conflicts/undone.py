"""What is being undone: nobody builds on it, or takes its place, without the person who has it undone."""

from __future__ import annotations

from brody_agents.coordinator.conflicts.ruling import Ruling, ask
from brody_agents.coordinator.conflicts.scene import Scene
from brody_agents.ledger.actions import ActionRecord
from brody_agents.policy.basis import title_of

_KINDS = {"mail": "thread", "calendar": "slot", "file": "move_vs_share"}
_OPTIONS = ("Do it when that is undone", "Do not do it")


def being_undone(action: ActionRecord, scene: Scene) -> Ruling | None:
    """Ask about what touches the same as an undo that has not ended: it was proposed for a world that is going."""
    for other in scene.being_undone(action):
        kind = _KINDS.get(action.kind.partition(".")[0], "stale")
        why = f"You are having “{title_of(other)}” ({other.kind}) undone, which touches the same."
        return ask(action, other, kind, "being_undone", why, _OPTIONS)
    return None
