"""Where a mail lies: labels go together, but it is moved at most once, and what is kept is not moved."""

from __future__ import annotations

from brody_agents.action import ActionState
from brody_agents.communication.message_protocol import PERSON
from brody_agents.coordinator.conflicts.ruling import (
    AUTHORITIES,
    WAITING,
    Ruling,
    ask,
    authority,
    drop,
    resource_of,
    supersede,
)
from brody_agents.coordinator.conflicts.scene import Scene
from brody_agents.ledger.actions import ActionRecord

MOVES = frozenset({"mail.archive", "mail.delete"})
PROTECTED = frozenset({"important", "legal", "keep", "protected", "tax"})
"""Labels whose mails no agent moves without the person, in lower case."""

_OPTIONS = ("Leave it where it is", "Move it all the same", "Ask me next time as well")


def kept_mail(action: ActionRecord, scene: Scene) -> Ruling | None:
    """Ask before a mail is moved that the person has pinned (flagged), or that carries a protected label."""
    if action.kind not in MOVES or action.proposed_by == PERSON:
        return None
    email_id = str(action.arguments["email_id"])
    mail = scene.world.mails.get((action.user_id, email_id))
    flags = {flag.lower() for flag in mail.flags} if mail else set()
    if "flagged" in flags:
        return ask(action, email_id, "label", "user_pin", "You have pinned this mail.", _OPTIONS)
    for label in sorted(flags & PROTECTED):
        why = f"This mail carries the label “{label}”, which protects it."
        return ask(action, email_id, "label", "protected_label", why, _OPTIONS)
    return None


def one_move(action: ActionRecord, scene: Scene) -> Ruling | None:
    """Move a mail at most once: the person's word before a rule of theirs, that before what was learned or guessed."""
    if action.kind not in MOVES:
        return None
    for other in (o for o in scene.clashing(action) if o.kind in MOVES):
        mine, theirs = authority(action), authority(other)
        inputs = {action.kind: AUTHORITIES[mine], other.kind: AUTHORITIES[theirs]}
        if action.kind == other.kind:
            return _once(action, other)
        if mine > theirs and other.state in WAITING:
            return supersede(action, other, "one_move", _over(action, other), kind="label")
        if mine < theirs:
            why = _over(other, action)
            return drop(action, other.id, "label", "one_move", why, _MOVED_TWICE, inputs=inputs)
        why = f"{other.proposed_by} wants to {_verb(other)} this mail, {action.proposed_by} to {_verb(action)} it."
        return ask(action, other, "label", "one_move", why, inputs=inputs)
    return None


_MOVED_TWICE = "The mail would have been moved twice."


def _over(higher: ActionRecord, lower: ActionRecord) -> str:
    ranks = [AUTHORITIES[authority(a)] for a in (higher, lower)]
    return f"To {_verb(higher)} it is {ranks[0]}; to {_verb(lower)} it is only {ranks[1]}."


def _once(action: ActionRecord, other: ActionRecord) -> Ruling:
    return Ruling(
        kind="label",
        resource=resource_of(action),
        verdict="merged",
        rule="one_move",
        state=ActionState.MERGED,
        other=other.id,
        why=f"{other.proposed_by} wants to {_verb(other)} this mail already.",
        otherwise=_MOVED_TWICE,
    )


def _verb(action: ActionRecord) -> str:
    return action.kind.removeprefix("mail.")
