"""Whose items are written: it goes to the process pool with them, so nothing of the database is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from brody_agents.communication.message_protocol import stable_id


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose page is written: the user, the account and the run."""

    user_id: str
    account: str
    run_id: str | None
    now: datetime

    def item_id(self, key: str) -> str:
        """Return the stable id of an item."""
        return stable_id(self.account, key)
