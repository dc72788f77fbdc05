"""Messages as CloudEvents 1.0 in structured JSON form, and back, without loss.

Fields of the envelope become attributes, whose names are lower-case letters and digits and whose values are texts,
booleans or whole numbers of 32 bits; what does not fit travels as JSON text. See CloudEvents 1.0.2, "Context
Attributes" and "JSON Event Format".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

import orjson

from brody_agents.communication.message_protocol import (
    AgentMessage,
    PayloadRegistry,
    UnknownPayload,
    decode,
    encode,
    payload_schema,
    schema_uri,
)
from brody_agents.errors import ProtocolError

TYPE = "brody.agents."
"""What the type of every event begins with; the message type follows."""

_OURS = {"specversion", "type", "source", "datacontenttype", "dataschema", "data", "data_base64"}
_ENVELOPE = {
    "id": "id",
    "subject": "recipient",
    "correlationid": "correlation_id",
    "causationid": "causation_id",
    "runid": "run_id",
    "priority": "priority",
    "deadline": "deadline",
    "notbefore": "not_before",
    "schemaversion": "schema_version",
    "traceparent": "traceparent",
}
_CONTEXT = {"userid": "user_id", "workspaceid": "workspace_id", "time": "timestamp"}
_TEXTS = {"provenance": "provenance", "contextfields": "context", "extrafields": ""}
_ATTRIBUTES = _OURS | _ENVELOPE.keys() | _CONTEXT.keys() | _TEXTS.keys()
_FIELDS = {"sender", "message_type", "payload", "context", "provenance", *_ENVELOPE.values()}
_PATHS = {
    **{f"$.agent_message.{field}": f"$.{attribute}" for attribute, field in _ENVELOPE.items()},
    **{f"$.agent_message.context.{field}": f"$.{attribute}" for attribute, field in _CONTEXT.items()},
    "$.agent_message.sender": "$.source",
    "$.agent_message.message_type": "$.type",
    "$.agent_message.payload": "$.data",
    "$.agent_message.provenance": "$.provenance",
}
_is_json = re.compile(r"application/([^;]+\+)?json\s*(;.*)?", re.IGNORECASE).fullmatch
_is_name = re.compile("[a-z0-9]+").fullmatch


def to_cloudevent(message: AgentMessage) -> dict[str, Any]:
    """Return the event, of JSON values only; raise :class:`ProtocolError` where a value has no JSON form."""
    body: dict[str, Any] = orjson.loads(encode(message))["agent_message"]
    context: dict[str, Any] = body["context"]
    extra = {name: value for name, value in body.items() if name not in _FIELDS}
    own = {name: value for name, value in extra.items() if _fits(name, value)}
    return {
        "specversion": "1.0",
        "type": TYPE + message.message_type,
        "source": quote(message.sender, safe=""),
        **_renamed(body, _ENVELOPE),
        **_renamed(context, _CONTEXT),
        **_as_text("provenance", body.get("provenance")),
        **_as_text("contextfields", {k: v for k, v in context.items() if k not in _CONTEXT.values()}),
        **_as_text("extrafields", {name: value for name, value in extra.items() if name not in own}),
        **own,
        **_schema_of(message),
        "datacontenttype": "application/json",
        "data": body["payload"],
    }


def from_cloudevent(event: Mapping[str, Any], registry: PayloadRegistry) -> AgentMessage:
    """Return the message that an event is; raise :class:`ProtocolError` with the JSON path into the event."""
    try:
        data = orjson.dumps(dict(event))
    except (TypeError, ValueError) as error:
        raise ProtocolError("not_json", "$", b"", str(error)) from error
    attributes = {name: value for name, value in orjson.loads(data).items() if value is not None}
    envelope = _envelope(data, attributes)
    try:
        return decode(orjson.dumps({"agent_message": envelope}), registry)
    except ProtocolError as error:
        what = error.what.removeprefix(f"{error.path}: ")
        raise ProtocolError(error.code, _in_event(error.path), data, what) from error


def _renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the values under their attributes' names; an attribute that is null is absent."""
    return {attribute: values[field] for attribute, field in names.items() if values.get(field) is not None}


def _as_text(attribute: str, value: object) -> dict[str, str]:
    return {attribute: orjson.dumps(value).decode()} if value else {}


def _fits(name: str, value: object) -> bool:
    """Say whether a field can be an attribute of its own."""
    if not _is_name(name) or name in _ATTRIBUTES:
        return False
    return isinstance(value, (str, bool)) or (isinstance(value, int) and -(2**31) <= value < 2**31)


def _schema_of(message: AgentMessage) -> dict[str, str]:
    known = not isinstance(message.payload, UnknownPayload)
    return {"dataschema": schema_uri(payload_schema(message.message_type))} if known else {}


def _envelope(data: bytes, attributes: dict[str, Any]) -> dict[str, Any]:
    _check(data, attributes)
    own = {name: value for name, value in attributes.items() if name not in _ATTRIBUTES}
    back = {field: attributes[name] for name, field in _ENVELOPE.items() if name in attributes}
    context = {field: attributes[name] for name, field in _CONTEXT.items() if name in attributes}
    return {
        **_from_text(data, attributes, "extrafields"),
        **own,
        **back,
        **({"provenance": _from_text(data, attributes, "provenance")} if "provenance" in attributes else {}),
        "sender": unquote(attributes["source"]),
        "message_type": attributes["type"].removeprefix(TYPE),
        "payload": attributes["data"],
        "context": _from_text(data, attributes, "contextfields") | context,
    }


def _check(data: bytes, attributes: dict[str, Any]) -> None:
    for name in ("specversion", "id", "type", "source"):
        if name not in attributes:
            raise ProtocolError("missing", f"$.{name}", data, "an event has this attribute")
        if not isinstance(attributes[name], str):
            raise ProtocolError("invalid", f"$.{name}", data, "a text is needed")
    if attributes["specversion"] != "1.0":
        raise ProtocolError("invalid", "$.specversion", data, "only CloudEvents 1.0 is understood")
    if not _is_json(str(attributes.get("datacontenttype", "application/json"))):
        raise ProtocolError("invalid", "$.datacontenttype", data, "the data of a message is JSON")
    if "data" not in attributes:
        raise ProtocolError("missing", "$.data", data, "a message has a payload, a JSON object")
    for name in sorted(attributes.keys() & (_FIELDS - _ATTRIBUTES)):
        raise ProtocolError("invalid", f"$.{name}", data, "the envelope's own field has this name")


def _from_text(data: bytes, attributes: dict[str, Any], name: str) -> dict[str, Any]:
    try:
        value = orjson.loads(attributes.get(name, "{}"))
    except (orjson.JSONDecodeError, TypeError) as error:
        raise ProtocolError("invalid", f"$.{name}", data, f"a JSON text is needed: {error}") from error
    if not isinstance(value, dict):
        raise ProtocolError("invalid", f"$.{name}", data, "the JSON text of an object is needed")
    return value


def _in_event(path: str) -> str:
    """Return a JSON path into a message as one into its event."""
    for field, attribute in _PATHS.items():
        if path == field or path.startswith((f"{field}.", f"{field}[")):
            return attribute + path.removeprefix(field)
    return path
