"""Whether anything is left to do: what ``drain`` waits for."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import or_, select

from brody_agents.ledger import actions, messages
from brody_agents.ledger.direct import Statement
from brody_agents.ledger.ledger import Ledger

_BUSY = Statement(lambda tx: select(or_(messages.due().exists(), actions.busy().exists())))
"""One statement: between two, a message could become an action unseen."""


async def at_rest(ledger: Ledger) -> bool:
    """Say whether no message is due and no action is due or under way; what waits for its time is neither."""
    ((busy,),) = await ledger.ask(_BUSY, now=datetime.now(UTC))
    return not busy
