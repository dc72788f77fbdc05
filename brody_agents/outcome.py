"""What a handler puts out: messages, proposed actions, withdrawals and shared values; none of it has happened."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from brody_agents.action import AgentAction
from brody_agents.communication.message_protocol import AgentMessage, Provenance


@dataclass(frozen=True, slots=True)
class ContextUpdate:
    """A shared value to be written if its version is still ``expected``; ``value=None`` removes it."""

    key: str
    value: Any
    expected: int
    expires_in: timedelta | None
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Proposal:
    """An action that an agent proposes, with the message that it comes from and its provenance."""

    by: str
    action: AgentAction
    because: AgentMessage
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """An agent's own proposals that no longer make sense: those of a kind with all of these arguments."""

    by: str
    kind: str
    matching: dict[str, Any]
    why: str
    because: AgentMessage


@dataclass(slots=True)
class Outcome:
    """All that a handler put out."""

    messages: list[AgentMessage] = field(default_factory=list)
    encoded: dict[str, bytes] = field(default_factory=dict)
    """The wire forms of the messages, by id."""
    proposals: list[Proposal] = field(default_factory=list)
    withdrawals: list[Withdrawal] = field(default_factory=list)
    updates: dict[str, ContextUpdate] = field(default_factory=dict)
    writes: list[Callable[[Any], Awaitable[None]]] = field(default_factory=list)
    """Writes to the ledger's own rows, run in the turn's transaction; for the coordinator's handlers only."""

    def __len__(self) -> int:
        """Count what counts towards a handler's limit."""
        return len(self.messages) + len(self.proposals) + len(self.withdrawals) + len(self.updates)

    def add(self, other: Outcome) -> None:
        """Take in what another handler has put out for this one."""
        self.messages += other.messages
        self.encoded = other.encoded | self.encoded
        self.proposals += other.proposals
        self.withdrawals += other.withdrawals
        self.updates |= other.updates
        self.writes += other.writes
