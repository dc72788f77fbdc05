"""The AsyncAPI 3.0 document: which messages travel on which channel."""

from __future__ import annotations

import inspect
import re
from typing import Any

from brody_agents.communication.export.schemas import DIALECT, ENVELOPE
from brody_agents.communication.message_protocol import (
    BROADCAST,
    COORDINATOR,
    SCHEMA_VERSION,
    Payload,
    PayloadRegistry,
    payload_schema,
)

FORMAT = "application/schema+json;version=draft-2020-12"
CHANNELS = {
    "inbox": "{recipient}",
    "everyone": BROADCAST,
    "coordinator": COORDINATOR,
}
"""Address of each channel: the ``recipient`` of the envelope."""
_ACTIONS = {"receive": "Read", "send": "Write"}
_WHAT = {
    "inbox": "What is said to one agent. An unknown recipient goes to the dead letters.",
    "everyone": "What is said to every agent that has a handler for the message type.",
    "coordinator": "What is said to the coordinator.",
}


def asyncapi(registry: PayloadRegistry) -> dict[str, Any]:
    """Return the document as plain values, in the order in which it is read."""
    models = registry.models
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Brody Agents",
            "version": SCHEMA_VERSION,
            "description": "Typed messages between agents, and between agents and their coordinator.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(name, list(models)) for name in CHANNELS},
        "operations": {f"{action}{name.title()}": _operation(action, name) for name in CHANNELS for action in _ACTIONS},
        "components": {"messages": {_key(name): _message(model) for name, model in models.items()}},
    }


def _channel(name: str, message_types: list[str]) -> dict[str, Any]:
    channel: dict[str, Any] = {"address": CHANNELS[name], "description": _WHAT[name]}
    if "{" in CHANNELS[name]:
        channel["parameters"] = {"recipient": {"description": "The name of an agent."}}
    return channel | {"messages": {_key(t): {"$ref": f"#/components/messages/{_key(t)}"} for t in message_types}}


def _key(message_type: str) -> str:
    """Return the name of a component: AsyncAPI allows these characters only."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", message_type)


def _operation(action: str, channel: str) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": f"{_ACTIONS[action]} messages whose recipient is `{CHANNELS[channel]}`.",
    }


def _message(model: type[Payload]) -> dict[str, Any]:
    name = model.message_type
    fixed = {"message_type": {"const": name}, "payload": {"$ref": f"./{payload_schema(name)}"}}
    return {
        "name": name,
        "title": model.__name__,
        "summary": (inspect.getdoc(model) or "").split("\n")[0],
        "contentType": "application/json",
        "correlationId": {"location": "$message.payload#/agent_message/correlation_id"},
        "payload": {
            "schemaFormat": FORMAT,
            "schema": {
                "$schema": DIALECT,
                "allOf": [{"$ref": f"./{ENVELOPE}"}, {"properties": {"agent_message": {"properties": fixed}}}],
            },
        },
    }
