"""Hypothesis strategies: JSON values, wire documents that a schema allows, and messages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
from hypothesis import settings
from hypothesis import strategies as st

from brody_agents.communication.export.schemas import envelope_schema
from brody_agents.communication.message_protocol import (
    AgentMessage,
    Origin,
    Payload,
    Priority,
    Provenance,
    UnknownPayload,
)
from brody_agents.communication.payloads import BUILT_IN

SCHEMA = envelope_schema(BUILT_IN)
REFUSED = ["self", "model_config", "model_dump", "__class__", "__dict__", "payload", "label", "user_id", "type_name"]
"""Names that a careless model would stumble over."""

patient = settings(deadline=None)
"""For a property: a machine that is busy is no fault."""

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
identifiers = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | texts
json_values: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)
offsets = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=offsets | st.just(UTC))
wire_times = times.map(datetime.isoformat) | times.map(
    lambda time: time.astimezone(UTC).isoformat(" ", "minutes").replace("+00:00", "Z")
)


def unknown_fields(known: Any = ()) -> st.SearchStrategy[dict[str, Any]]:
    """Draw fields that no model knows."""
    names = st.sampled_from(REFUSED) | texts.map(lambda text: f"x{text}")
    return st.dictionaries(names.filter(lambda name: name not in known), json_values, max_size=3)


def allowed(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Draw JSON values that a part of the envelope's schema allows."""
    if "$ref" in schema:
        return st.deferred(lambda: allowed(SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")]))
    if "anyOf" in schema:
        return st.one_of(*(allowed(part) for part in schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    return _OF_TYPE[schema["type"]](schema) if "type" in schema else json_values


def _string(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    if schema.get("format") == "date-time":
        return wire_times
    if schema.get("format") == "date":
        return st.dates().map(lambda day: day.isoformat())
    return identifiers if schema.get("minLength") else texts


def _object(schema: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    fields = {name: allowed(part) for name, part in schema.get("properties", {}).items()}
    needed = {name: field for name, field in fields.items() if name in schema.get("required", ())}
    optional = {name: field for name, field in fields.items() if name not in needed}
    others = schema.get("additionalProperties")
    if isinstance(others, dict):
        return st.dictionaries(texts, allowed(others), max_size=3)
    more = unknown_fields(fields) if others is True else st.just({})
    return st.tuples(st.fixed_dictionaries(needed, optional=optional), more).map(lambda both: both[1] | both[0])


_OF_TYPE: dict[str, Any] = {
    "string": _string,
    "object": _object,
    "array": lambda schema: st.lists(allowed(schema.get("items", {})), max_size=3),
    "integer": lambda schema: st.integers(-(2**63), 2**63 - 1),
    "number": lambda schema: st.floats(schema["minimum"], schema["maximum"]),
    "boolean": lambda schema: st.booleans(),
    "null": lambda schema: st.none(),
}

payload_documents = st.sampled_from(BUILT_IN).flatmap(
    lambda model: st.tuples(st.just(model), allowed({"$ref": f"#/$defs/{model.__name__}"}))
)
unknown_payloads = st.builds(
    UnknownPayload,
    type_name=identifiers.map(lambda name: f"x{name}"),
    data=st.dictionaries(texts, json_values, max_size=4),
)
payloads: st.SearchStrategy[Payload] = unknown_payloads | payload_documents.map(lambda it: it[0].model_validate(it[1]))
provenances = st.builds(
    Provenance,
    origin=st.sampled_from(Origin),
    sources=st.lists(texts, max_size=2).map(tuple),
    readers=st.just("any") | st.lists(texts, max_size=2).map(tuple),
)


@st.composite
def messages(draw: st.DrawFn) -> AgentMessage:
    """Draw a message, of any payload, with any of the optional fields and fields that nobody knows."""
    optional: dict[str, st.SearchStrategy[Any]] = {
        **dict.fromkeys(("correlation_id", "causation_id", "run_id"), st.none() | identifiers),
        **dict.fromkeys(("deadline", "not_before"), st.none() | times),
        "id": identifiers,
        "priority": st.sampled_from(Priority),
        "schema_version": identifiers,
        "traceparent": st.none() | texts,
        "provenance": st.dictionaries(texts, provenances, max_size=2),
    }
    context: dict[str, st.SearchStrategy[Any]] = {
        "user_id": identifiers,
        "workspace_id": identifiers,
        "timestamp": times,
    }
    fields: dict[str, Any] = draw(
        st.fixed_dictionaries(
            {
                "sender": identifiers,
                "recipient": identifiers,
                "payload": payloads,
                "context": st.fixed_dictionaries(context),
            },
            optional=optional,
        )
    )
    more = draw(unknown_fields((*AgentMessage.model_fields, "message_type")))
    fields["context"] = draw(unknown_fields(context)) | fields["context"]
    return AgentMessage.model_validate(more | fields)


@st.composite
def wire_documents(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the JSON of a message that the exported schema allows, as another language might write it."""
    envelope = draw(allowed({"$ref": "#/$defs/AgentMessage"}))
    model, payload = draw(payload_documents)
    known = {"message_type": model.message_type, "payload": payload}
    unknown = {
        "message_type": "x" + draw(identifiers),
        "payload": draw(st.dictionaries(texts, json_values, max_size=3)),
    }
    return {"agent_message": envelope | draw(st.sampled_from([known, unknown]))}


@st.composite
def mutated(draw: st.DrawFn, document: Any) -> Any:
    """Draw the document with a value somewhere in it replaced, removed or added."""
    document = orjson.loads(orjson.dumps(document))
    value, path = document, list[Any]()
    while isinstance(value, (dict, list)) and value and (not path or draw(st.integers(0, 4))):
        steps = list(value) if isinstance(value, dict) else list(range(len(value)))
        path.append(draw(st.sampled_from(steps)))
        parent, value = value, value[path[-1]]
    if not path:
        return draw(odd_values)
    if draw(st.booleans()):
        parent[path[-1]] = draw(odd_values)
    else:
        del parent[path[-1]]
    return document


odd_values: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(None, True, False, 0, 1, -1, 0.5, -1.5, 2**63, 2**64 - 1),
        *("", "\0", "0", "1", "yes", "true", "null", "x" * 513, "x" * 2001, "medium", "urgent", "any", "self"),
        *("2026-03-02", "2026-03-02T09:00:00", "2026-03-02T09:00Z", "1760000000"),
        *([], {}, [[]], [None], {"": None}, {"id": 1}, ["any"]),
    ]
)
