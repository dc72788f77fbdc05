"""Threads: one writer, one draft; a newer mail cancels it; the person's own words win."""

from __future__ import annotations

from brody_agents.action import ActionState
from brody_agents.coordinator.conflicts.ruling import Ruling, drop, is_persons, resource_of, supersede
from brody_agents.coordinator.conflicts.scene import Scene
from brody_agents.coordinator.conflicts.world import Mail
from brody_agents.ledger.actions import ActionRecord

WRITES = frozenset({"mail.draft", "mail.reply", "mail.send"})
"""The kinds that write in a thread."""

ANSWERED = "You have written in this thread since."
NEWER = "A newer mail came in the thread."


def own_words(action: ActionRecord, scene: Scene) -> Ruling | None:
    """Have an agent's draft give way to what the person writes, has begun to write, or has written since."""
    if action.kind not in WRITES:
        return None
    if is_persons(action):
        drafts = [other for other in scene.clashing(action) if not is_persons(other)]
        return supersede(action, drafts[0], "own_words", "You write in this thread yourself.") if drafts else None
    for other in scene.clashing(action):
        if is_persons(other):
            return _give_way(action, other.id, "own_words", "You write in this thread yourself.")
    for mail in scene.world.thread(action):
        if "draft" in mail.flags and not mail.ours:
            return _give_way(action, mail.id, "own_draft", "You have a draft of your own in this thread.")
    answer = _written_since(action, scene)
    return _give_way(action, answer.id, "answered_since", ANSWERED) if answer else None


def one_draft_a_thread(action: ActionRecord, scene: Scene) -> Ruling | None:
    """Keep one writer a thread: the answer to a newer mail takes the place of an older draft."""
    if action.kind not in WRITES:
        return None
    others = scene.clashing(action)
    same = [o for o in others if o.arguments.get("email_id") == action.arguments.get("email_id")]
    for other in same:
        return Ruling(
            kind="thread",
            resource=resource_of(action),
            verdict="merged",
            rule="one_draft_a_thread",
            state=ActionState.MERGED,
            other=other.id,
            why=f"{other.proposed_by} has already prepared an answer in this thread.",
            otherwise="The thread would have had two drafts.",
        )
    for other in others:
        if _answers_older(action, other, scene):
            why = f"{other.proposed_by} answers a newer mail of this thread."
            return drop(action, other.id, "thread", "older_mail", why, "An older mail would have been answered too.")
        return supersede(action, other, "newer_mail", NEWER)
    return None


def _give_way(action: ActionRecord, other: str, rule: str, why: str) -> Ruling:
    return drop(action, other, "thread", rule, why, "The thread would have had another draft beside your words.")


def _written_since(action: ActionRecord, scene: Scene) -> Mail | None:
    answered = scene.world.mails.get((action.user_id, str(action.arguments.get("email_id"))))
    if answered is None:
        return None
    since = (m for m in scene.world.thread(action) if m.received_at > answered.received_at)
    return next((m for m in since if "sent" in m.flags), None)


def _answers_older(action: ActionRecord, other: ActionRecord, scene: Scene) -> bool:
    """Say whether an action answers a mail that is older than the one that another answers; unknown ones are new."""
    mine, theirs = (scene.world.mails.get((a.user_id, str(a.arguments.get("email_id")))) for a in (action, other))
    return mine is not None and theirs is not None and mine.received_at < theirs.received_at
