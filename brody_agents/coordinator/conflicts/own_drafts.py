"""Drafts that the executor wrote: as long as they are as it left them, they are no word of the person's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, or_
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.action import ActionState
from brody_agents.ledger import actions
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Action
from brody_agents.ledger.vault import Vault

_A = table(Action).c
_OURS = re.compile(r"[0-9a-f]{40}")
"""The part before the @ of a Message-ID that is made from an idempotency key."""


async def written_by_us(tx: AsyncConnection, vault: Vault, mails: Sequence[Any]) -> set[tuple[str, str]]:
    """Return (user, id) of those rows of mails that are unchanged drafts of actions that are done.

    A draft that somebody edits is another message to its account, whatever its Message-ID, and so not among them.
    """
    drafts = [m for m in mails if "draft" in (m.head or {}).get("flags", ()) and _OURS.fullmatch(_beginning(m))]
    if not drafts:
        return set()
    keys = or_(*(and_(_A.key >= _beginning(m), _A.key < f"{_beginning(m)}g") for m in drafts))
    done = await actions.load(tx, vault, _A.kind == "mail.draft", _A.state == ActionState.DONE, keys)
    left = {(a.user_id, a.key[:40], (a.result or {}).get("key")) for a in done}
    return {(m.user_id, m.id) for m in drafts if (m.user_id, _beginning(m), m.external_id) in left}


def _beginning(mail: Any) -> str:
    text: str = mail.message_id.partition("@")[0]
    return text
