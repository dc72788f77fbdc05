"""Recall time: what reaches others is held for a short while after it was approved, and until then can be withdrawn."""

from __future__ import annotations

from datetime import datetime, timedelta

from brody_agents.action import ActionState
from brody_agents.ledger.actions import ActionRecord

HELD = frozenset({"mail.send", "mail.reply", "mail.forward", "chat.post"})
"""The kinds of action that nothing undoes once they are done."""


def leaves_at(action: ActionRecord, seconds: float) -> datetime | None:
    """Return from when on an approved message leaves; ``None`` for what is not held, or was tried before.

    The time is counted from the approval (or from a pause that came first), and is in the ledger as soon as an executor
    could have sent it.
    """
    if action.kind not in HELD or action.state is not ActionState.APPROVED or action.fence or action.undoing:
        return None
    return action.held_until or action.updated_at + timedelta(seconds=seconds)
