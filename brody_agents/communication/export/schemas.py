"""JSON Schema 2020-12 of all that crosses the wire: the envelope, payloads, arguments of actions.

Each document stands alone: it refers to nothing outside itself.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from brody_agents.communication.message_protocol import NAME_SCHEMA, AgentMessage, Payload, schema_uri

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ENVELOPE = "v1/agent_message.schema.json"
Mode = Literal["validation", "serialization"]


def action_path(kind: str) -> str:
    """Return the place of the schema of an action's arguments."""
    return f"v1/actions/{kind}.schema.json"


def model_schema(path: str, model: type[BaseModel], mode: Mode = "validation") -> dict[str, Any]:
    """Return the document for one model."""
    schema = model.model_json_schema(schema_generator=_Generator, mode=mode)
    return {"$schema": DIALECT, "$id": schema_uri(path), **_description_first(schema)}


def envelope_schema(payloads: Iterable[type[Payload]]) -> dict[str, Any]:
    """Return the document for a whole message; a payload of a known type has to fit, any other is an object."""
    known = list(payloads)
    models: list[type[BaseModel]] = [AgentMessage, *known]
    made, document = models_json_schema([(m, "validation") for m in models], schema_generator=_Generator)
    references = {model: reference for (model, _), reference in made.items()}
    definitions = document["$defs"]
    message = definitions.pop(_name(references[AgentMessage]))
    definitions.pop(_name(message["properties"]["payload"]))
    return {
        "$schema": DIALECT,
        "$id": schema_uri(ENVELOPE),
        "title": "AgentMessageDocument",
        "description": "The wire form of a message, UTF-8 JSON.",
        "type": "object",
        "properties": {"agent_message": {"$ref": "#/$defs/AgentMessage"}},
        "required": ["agent_message"],
        "$defs": {
            "AgentMessage": _with_payload(message, {m.message_type: references[m] for m in known}),
            **definitions,
        },
    }


def _with_payload(message: dict[str, Any], known: dict[str, JsonSchemaValue]) -> dict[str, Any]:
    fields = dict(message["properties"])
    first = {
        "sender": fields.pop("sender"),
        "recipient": fields.pop("recipient"),
        "message_type": {
            **NAME_SCHEMA,
            "description": "Name of the payload's schema; an unknown one is kept as it is.",
        },
        "payload": {"type": "object", "description": "What is said; the message type gives its schema."},
    }
    fields.pop("payload")
    return {
        **_description_first(message),
        "properties": first | fields,
        "required": ["sender", "recipient", "message_type", "payload", "context"],
        "allOf": [_if_type(message_type, reference) for message_type, reference in known.items()],
    }


def _if_type(message_type: str, reference: JsonSchemaValue) -> dict[str, Any]:
    return {
        "if": {"properties": {"message_type": {"const": message_type}}, "required": ["message_type"]},
        "then": {"properties": {"payload": reference}},
    }


def _name(reference: JsonSchemaValue) -> str:
    return str(reference["$ref"]).removeprefix("#/$defs/")


def _description_first(schema: dict[str, Any]) -> dict[str, Any]:
    first = ("title", "description", "type", "properties", "required")
    return {key: schema[key] for key in first if key in schema} | schema


class _Generator(GenerateJsonSchema):
    """Take descriptions from the docstrings of classes and, which pydantic leaves out, of their fields."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def field_is_required(self, field: Any, total: bool) -> bool:
        return self.mode == "serialization" or super().field_is_required(field, total)  # all is written out

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        made = super().model_schema(schema)
        if "description" in made:
            made["description"] = made["description"].replace("``", "`")
        for name, text in _field_docstrings(schema["cls"]).items():
            if name in made.get("properties", {}):
                made["properties"][name].setdefault("description", text.replace("``", "`"))
        return made


def _field_docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Return the string literals that follow fields, by field; those of bases too."""
    found: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        if cls is not BaseModel and issubclass(cls, BaseModel):
            [definition] = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
            body = definition.body if isinstance(definition, ast.ClassDef) else []
            for field, after in pairwise(body):
                match field, after:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str() as text)):
                        found[name] = inspect.cleandoc(text)
    return found
