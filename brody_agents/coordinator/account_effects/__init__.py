"""Effects on accounts, a module a domain, each with how it is carried out and how it is reconciled."""

from __future__ import annotations

from collections.abc import Mapping

from brody_agents.action import CATALOGUE
from brody_agents.coordinator import effects
from brody_agents.coordinator.account_effects import calendar, chat, files, mail, sending
from brody_agents.coordinator.account_effects.base import Effect

EFFECTS: Mapping[str, Effect] = {
    **calendar.EFFECTS,
    **chat.EFFECTS,
    **files.EFFECTS,
    **mail.EFFECTS,
    **sending.EFFECTS,
}
"""Every kind of action that is carried out on an account."""

KINDS = frozenset(CATALOGUE) - frozenset(effects.EFFECTS)
"""Every kind of action that is not carried out in the ledger; one without an effect fails, and says so."""
