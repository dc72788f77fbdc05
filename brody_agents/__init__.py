"""Brody Agents: a staff of agents over a person's real accounts, kept in order by one coordinator.

The public names are the ones below; they are imported when they are first used, so that ``import brody_agents``
costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from brody_agents.action import CATALOGUE, ActionResult, ActionState, AgentAction
    from brody_agents.agent import AgentResponse, AgentTrigger, BrodyAgent, Retry, handles
    from brody_agents.arguments import SourceRef
    from brody_agents.brody import Brody
    from brody_agents.communication.decision_engine import Decision, Opinion, Question, TrackRecord, decide
    from brody_agents.communication.message_protocol import AgentMessage, Payload, Priority
    from brody_agents.context import Context, UserContext
    from brody_agents.errors import BrodyError, Overloaded, Retryable, Terminal
    from brody_agents.kit import ActionExecutor, ContextManager
    from brody_agents.proactive.playbooks.brief import Brief

__version__ = "0.1.0"

_WHERE = {
    # the front door
    "Brody": "brody",
    "Brief": "proactive.playbooks.brief",
    # agents
    "BrodyAgent": "agent",
    "handles": "agent",
    "Retry": "agent",
    "Context": "context",
    "AgentTrigger": "agent",
    "AgentResponse": "agent",
    "UserContext": "context",
    "ContextManager": "kit",
    "ActionExecutor": "kit",
    # messages
    "AgentMessage": "communication.message_protocol",
    "Payload": "communication.message_protocol",
    "Priority": "communication.message_protocol",
    # actions
    "AgentAction": "action",
    "ActionResult": "action",
    "ActionState": "action",
    "CATALOGUE": "action",
    "SourceRef": "arguments",
    # decisions
    "decide": "communication.decision_engine",
    "Question": "communication.decision_engine",
    "Opinion": "communication.decision_engine",
    "Decision": "communication.decision_engine",
    "TrackRecord": "communication.decision_engine",
    # errors
    "BrodyError": "errors",
    "Overloaded": "errors",
    "Retryable": "errors",
    "Terminal": "errors",
}

__all__ = [
    "CATALOGUE",
    "ActionExecutor",
    "ActionResult",
    "ActionState",
    "AgentAction",
    "AgentMessage",
    "AgentResponse",
    "AgentTrigger",
    "Brief",
    "Brody",
    "BrodyAgent",
    "BrodyError",
    "Context",
    "ContextManager",
    "Decision",
    "Opinion",
    "Overloaded",
    "Payload",
    "Priority",
    "Question",
    "Retry",
    "Retryable",
    "SourceRef",
    "Terminal",
    "TrackRecord",
    "UserContext",
    "__version__",
    "decide",
    "handles",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
