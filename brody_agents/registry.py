"""Which agents there are, which payloads they understand, and to whom a message goes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import NamedTuple

from brody_agents.agent import BrodyAgent, Handler
from brody_agents.communication.message_protocol import (
    BROADCAST,
    COORDINATOR,
    PERSON,
    AgentMessage,
    PayloadRegistry,
    UnknownPayload,
)
from brody_agents.communication.payloads import built_in_registry
from brody_agents.errors import ConfigurationError, said

GROUP = "brody_agents.agents"


@dataclass(frozen=True, slots=True)
class PluginFailure:
    """A plug-in that could not be loaded; it is left out, the rest runs."""

    name: str
    reason: str


class Route(NamedTuple):
    """The agents that a message goes to; where there are none, ``code`` and ``reason`` say why."""

    agents: tuple[str, ...] = ()
    code: str = ""
    reason: str = ""


@dataclass(slots=True)
class Registry:
    """The agents of a ``Brody`` and the payloads that they understand."""

    agents: dict[str, BrodyAgent] = field(default_factory=dict)
    failures: list[PluginFailure] = field(default_factory=list)
    payloads: PayloadRegistry = field(default_factory=built_in_registry)

    @classmethod
    def of(cls, agents: Iterable[BrodyAgent] | None) -> Registry:
        """Return a registry of these agents, or of all that are installed."""
        registry = cls()
        if agents is None:
            registry._discover()
        for agent in agents or ():
            registry.add(agent)
        return registry

    def add(self, agent: BrodyAgent) -> None:
        """Add an agent and the payloads that it handles; raise ``ConfigurationError`` for a name that is taken."""
        if agent.name in (BROADCAST, COORDINATOR, PERSON):
            raise ConfigurationError(f"No agent can be called {agent.name!r}.", "Give it another name.")
        if self.agents.get(agent.name, agent) is not agent:
            raise ConfigurationError(f"Two agents are called {agent.name!r}.", "Give one of them another name.")
        try:
            for payload in agent.handlers:
                self.payloads.add(payload)
        except ValueError as error:
            remedy = "Give the payload another message_type."
            raise ConfigurationError(f"{agent.name} cannot be added: {error}.", remedy) from error
        self.agents[agent.name] = agent

    def handler(self, agent: str, message: AgentMessage) -> Handler | None:
        """Return the agent's handler for a message; ``None`` if it takes it as a trigger, or not at all."""
        return self.agents[agent].handlers.get(type(message.payload))

    def route(self, message: AgentMessage) -> Route:
        """Say to whom a message goes."""
        kind, payload = message.message_type, type(message.payload)
        if message.recipient == BROADCAST:
            takers = tuple(name for name, agent in self.agents.items() if payload in agent.handlers)
            if takers or not (payload.needs_listener or payload is UnknownPayload):
                return Route(takers)
            return _nowhere(payload is UnknownPayload, kind, "No agent handles")
        agent = self.agents.get(message.recipient)
        if agent is None:
            return Route(code="unknown_recipient", reason=f"There is no agent called {message.recipient!r}.")
        if payload in agent.handlers or agent.takes_triggers:
            return Route((agent.name,))
        return _nowhere(payload is UnknownPayload, kind, f"{agent.name} does not handle")

    def _discover(self) -> None:
        for entry in sorted(entry_points(group=GROUP), key=lambda e: e.name):
            try:
                loaded = entry.load()
                made = loaded if isinstance(loaded, BrodyAgent) else loaded()
                if not isinstance(made, BrodyAgent):
                    raise TypeError(f"{entry.value} gives a {type(made).__name__}, no BrodyAgent")
                self.add(made)
            except (Exception, SystemExit) as error:  # whatever a third party's code raises: the rest runs
                self.failures.append(PluginFailure(entry.name, said(error)))


def _nowhere(unknown: bool, kind: str, said: str) -> Route:
    if unknown:
        return Route(code="unknown_message_type", reason=f"Nobody here knows messages of type {kind!r}.")
    return Route(code="no_handler", reason=f"{said} {kind!r}.")
