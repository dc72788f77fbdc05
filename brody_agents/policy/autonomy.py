"""Autonomy: how far a user lets each kind of action go by itself, and judging actions by it.

The most exact setting counts: of the kind (``mail.draft``), of its domain (``mail.*``), of everything (``*``), else
the default of the kind. A change takes effect with the next action that is judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.action import CATALOGUE, ActionKind
from brody_agents.errors import InvalidArguments, UnknownAction
from brody_agents.ledger import autonomy
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.ledger import Ledger
from brody_agents.policy import audit
from brody_agents.policy.audit import AuditEvent
from brody_agents.policy.rules import Autonomy, Judgement, default_autonomy, is_vouched, judge

PATTERNS = ("*", *sorted({f"{kind.partition('.')[0]}.*" for kind in CATALOGUE if "." in kind}), *CATALOGUE)
"""What a level can be set for."""
DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Level:
    """How far a kind goes, and what says so: a kind, a prefix, ``*`` or ``default``."""

    kind: str
    level: Autonomy
    set_by: str = DEFAULT


def level_of(kind: ActionKind, settings: Mapping[str, str]) -> Level:
    """Return how far a kind goes under a user's settings."""
    for pattern in (kind.name, f"{kind.name.partition('.')[0]}.*", "*"):
        if pattern in settings:
            return Level(kind.name, settings[pattern], pattern)  # type: ignore[arg-type]  # checked when it was set
    return Level(kind.name, default_autonomy(kind))


async def judged(tx: AsyncConnection, actions: Sequence[ActionRecord]) -> list[Judgement]:
    """Judge actions of the ledger as if they were proposed now; one query, however many they are."""
    settings = await autonomy.load(tx, {action.user_id for action in actions})
    return [judged_by(settings, action) for action in actions]


def judged_by(settings: autonomy.Levels, action: ActionRecord, *, dry_run: bool = False) -> Judgement:
    """Judge an action by the settings of its user."""
    kind = CATALOGUE[action.kind]
    level = level_of(kind, settings.get(action.user_id, {})).level
    return judge(kind, level, vouched=is_vouched(action.provenance), dry_run=dry_run)


Found = list[Level]


class AutonomySettings:
    """The settings of a ledger; ``brody.autonomy``."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def list(self, user_id: str = "me") -> Found:
        """Return how far every kind goes for a user, in the order of the catalogue."""
        settings = await self.settings(user_id)
        return [level_of(kind, settings) for kind in CATALOGUE.values()]

    async def settings(self, user_id: str = "me") -> dict[str, str]:
        """Return what a user has set, by kind, prefix or ``*``."""
        async with self._ledger.read() as tx:
            return (await autonomy.load(tx, {user_id})).get(user_id, {})

    async def set(self, kind: str, level: Autonomy, *, user_id: str = "me") -> None:
        """Set how far a kind (``mail.draft``), a domain (``mail.*``) or everything (``*``) goes for a user.

        ``observe`` records what would be done and never does it, ``suggest`` always asks, ``act`` lets the policy
        decide. Raises ``UnknownAction``, and ``InvalidArguments`` for another level.
        """
        _check(kind)
        if level not in get_args(Autonomy):
            raise InvalidArguments(f"{level!r} is no level.", f"Use one of: {', '.join(get_args(Autonomy))}.")
        await self._ledger.ensure_users({user_id})
        async with self._ledger.write() as tx:
            await autonomy.put(tx, user_id, kind, level)
            await audit.append(tx, [AuditEvent(user_id, f"autonomy {kind}", f"autonomy {level}")])

    async def reset(self, kind: str | None = None, *, user_id: str = "me") -> int:
        """Take a setting back, or all of a user's, and return how many there were; raise ``UnknownAction``."""
        if kind is not None:
            _check(kind)
        async with self._ledger.write() as tx:
            count = await autonomy.remove(tx, user_id, kind)
            if count:
                await audit.append(tx, [AuditEvent(user_id, f"autonomy {kind or 'all'}", "autonomy reset")])
        return count


def _check(kind: str) -> None:
    if kind not in PATTERNS:
        raise UnknownAction(f"There is no action {kind!r}.", f"Use one of: {', '.join(PATTERNS)}.")
