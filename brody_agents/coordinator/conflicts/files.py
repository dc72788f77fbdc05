"""Files: addressed by id, shared before they are moved; whoever widens their readers asks."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.action import CATALOGUE, OPEN_STATES, Risk
from brody_agents.coordinator.conflicts.ruling import Ruling, ask
from brody_agents.coordinator.conflicts.scene import Scene
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Action, ActionClaim
from brody_agents.policy.basis import title_of

SHARES = ("file.share", "file.unshare")


def share_before_move(action: ActionRecord, scene: Scene) -> Ruling | None:
    """Share first, where the file lies: whom it is shared with is decided before it moves."""
    if action.kind not in ("file.move", *SHARES):
        return None
    for other in scene.clashing(action):
        if action.kind == "file.move" and other.kind in SHARES:
            why = f"{other.proposed_by} wants to {_verb(other)} this file; that comes first, the move after it."
            return ask(action, other, "move_vs_share", "share_before_move", why, _MOVE)
        if action.kind in SHARES and other.kind == "file.move":
            why = f"{other.proposed_by} wants to move this file to “{title_of(other)}”; it is addressed by its id, and "
            why += "shared before it moves." if action.kind == "file.share" else "taken back before it moves."
            return ask(action, other, "move_vs_share", "share_before_move", why, _SHARE)
    return None


def widening(action: ActionRecord, scene: Scene) -> Ruling | None:
    """Ask whenever others would get to see what they do not see now, whatever the autonomy."""
    if CATALOGUE[action.kind].risk is not Risk.WIDEN:
        return None
    a = action.arguments
    why = f"{a.get('person', 'Somebody')} would be able to read this file."
    item = str(a.get("document_id", ""))
    return ask(action, item, "move_vs_share", "widening", why, ("Share it", "Do not share it", "Share a copy"))


_MOVE = ("Share first, then move", "Move only", "Leave the file as it is")
_SHARE = ("Share first, then move", "Share only", "Leave the file as it is")


def _verb(action: ActionRecord) -> str:
    return action.kind.removeprefix("file.")


async def held_back(tx: AsyncConnection, approved: Collection[ActionRecord]) -> set[str]:
    """Return the moves that have to wait, since a share of the same file is still open; for the executor."""
    moves = {f"{a.arguments['account']}/file/{a.arguments['document_id']}": a.id for a in approved if _is_move(a)}
    if not moves:
        return set()
    a, c = table(Action).c, table(ActionClaim).c
    query = select(c.resource).join(table(Action), a.id == c.action_id)
    shares = query.where(c.resource.in_(moves), a.kind.in_(SHARES), a.state.in_(sorted(OPEN_STATES)))
    return {moves[resource] for resource in (await tx.execute(shares)).scalars()}


def _is_move(action: ActionRecord) -> bool:
    return action.kind == "file.move"
