"""The protocol for other languages: schemas, AsyncAPI, examples and a guide, made from the models.

What :func:`documents` returns is what stands in ``protocols/``; :func:`drift` says where the two differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from brody_agents.action import CATALOGUE
from brody_agents.communication.export.asyncapi import asyncapi
from brody_agents.communication.export.examples import invalid_examples, made_examples, valid_examples
from brody_agents.communication.export.guide import guide
from brody_agents.communication.export.schemas import (
    ENVELOPE,
    action_path,
    envelope_schema,
    model_schema,
)
from brody_agents.communication.message_protocol import PayloadRegistry, payload_schema
from brody_agents.communication.payloads import built_in_registry

if TYPE_CHECKING:
    from pydantic import BaseModel

Extra = Mapping[str, "type[BaseModel]"]
"""Further models that cross a border, by the name of their schema; described as they are written out."""


def documents(registry: PayloadRegistry | None = None, extra: Extra | None = None) -> dict[str, str]:
    """Return the text of every file by its path below ``protocols/``; the same models give the same bytes."""
    registry = registry or built_in_registry()
    texts: dict[str, str] = {}
    for path, text in _files(registry, extra or {}):
        if path in texts:
            raise ValueError(f"two schemas want to be {path}")
        texts[path] = text
    return texts


def write(directory: Path, texts: Mapping[str, str]) -> None:
    """Write the files below ``directory``; others are left alone."""
    for path, text in texts.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8", newline="\n")


def drift(directory: Path, texts: Mapping[str, str]) -> list[str]:
    """Return a line for each file that is missing, differs, or stands in ``v1/`` and is not exported any more."""
    there = {path.relative_to(directory).as_posix() for path in (directory / "v1").rglob("*") if path.is_file()}
    faults = {path: _fault(directory / path, text) for path, text in texts.items()}
    gone = dict.fromkeys(there - texts.keys(), "is not exported any more")
    return [f"{path} {fault}" for path, fault in sorted((faults | gone).items()) if fault]


def _fault(path: Path, text: str) -> str:
    if not path.is_file():
        return "is missing"
    return "" if path.read_bytes() == text.encode() else "differs"


def _files(registry: PayloadRegistry, extra: Extra) -> Iterator[tuple[str, str]]:
    yield "README.md", guide(registry)
    yield "asyncapi.yaml", yaml.safe_dump(asyncapi(registry), sort_keys=False, allow_unicode=True, width=110)
    for path, schema in _schemas(registry, extra):
        yield path, _json(schema)
    yield from _examples()


def _schemas(registry: PayloadRegistry, extra: Extra) -> Iterator[tuple[str, dict[str, Any]]]:
    yield ENVELOPE, envelope_schema(registry.models.values())
    for name, payload in registry.models.items():
        yield payload_schema(name), model_schema(payload_schema(name), payload)
    for kind in CATALOGUE.values():
        yield action_path(kind.name), model_schema(action_path(kind.name), kind.model)
    for name, model in extra.items():
        yield payload_schema(name), model_schema(payload_schema(name), model, "serialization")


def _examples() -> Iterator[tuple[str, str]]:
    valid, invalid, made = valid_examples(), invalid_examples(), made_examples()
    for name, message in valid.items():
        yield f"v1/examples/valid/{name}", _json(message)
    for name, example in invalid.items():
        yield f"v1/examples/invalid/{name}", example.text
    expected = {
        "valid": {name: {"message_type": message["agent_message"]["message_type"]} for name, message in valid.items()},
        "invalid": {name: example.expected for name, example in invalid.items()},
        "made": made,
    }
    yield "v1/examples/expected.json", _json(expected)


def _json(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
