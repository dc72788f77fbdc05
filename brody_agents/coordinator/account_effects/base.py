"""What an effect on an account is: planned before its intent is written, applied once, reconciled when unclear."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Protocol

from brody_agents.integrations.base import Provider
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Job:
    """An action with what it needs: its typed arguments, the account, and where its item lies.

    ``intent`` is what ``Step.plan`` returned, as the ledger keeps it; it is empty while that is being made.

    To an inverse ``key`` and ``version`` say nothing: ``action.intent`` (with the ``key`` that there was, too) and
    ``action.result`` say what was done, and ``intent`` is the inverse's own.
    """

    action: ActionRecord
    arguments: Any
    provider: Any
    key: str = ""
    version: str | None = None
    intent: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Done:
    """The effect took place."""

    result: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NotDone:
    """The effect surely did not take place: it may be tried again."""


@dataclass(frozen=True, slots=True)
class Unclear:
    """Nobody can tell but a person; it is never simply tried again."""

    why: str


Finding = Done | NotDone | Unclear


class Step(Protocol):
    """Something that is done on an account: an effect, or the inverse of one."""

    @property
    def domain(self) -> str:
        """Return ``mail``, ``files`` or another domain of accounts."""

    async def plan(self, job: Job) -> dict[str, Any]:
        """Read what ``reconcile`` and the inverse will have to know; JSON. Whatever it raises, nothing was done."""

    async def apply(self, job: Job) -> dict[str, Any]:
        """Carry it out and return the result.

        A terminal error or ``Stale`` means that the account refused and nothing was done; whatever else is raised
        leaves the outcome unknown.
        """

    async def reconcile(self, job: Job) -> Finding:
        """Ask the account whether it took place; change nothing."""


class Effect(Step, Protocol):
    """How a kind of action is carried out on an account, and what undoes it."""

    @property
    def inverse(self) -> Step | str:
        """Return the step that undoes it, or why nothing does.

        Its ``plan`` raises ``Stale`` where the world is not as the effect has left it: then nothing is undone. What
        it must know of the time before has to be in what the effect's own ``plan`` and ``apply`` returned.
        """


class AccountSource(Protocol):
    """Where the executor gets accounts from: only those that the person named, in this or an earlier run."""

    async def provider(self, ledger: Ledger, user_id: str, domain: str, account: str) -> Provider[Any]:
        """Return an account by its key, or raise ``ConfigurationError``."""


def digest(data: bytes) -> str:
    """Return the SHA-256 (hex) of some content."""
    return hashlib.sha256(data).hexdigest()
