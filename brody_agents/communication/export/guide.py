"""The README of ``protocols/``: the wire form, for somebody who writes an agent in another language."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable

from brody_agents.action import CATALOGUE, ActionKind
from brody_agents.communication.export.examples import ORIGINAL
from brody_agents.communication.export.schemas import action_path, envelope_schema
from brody_agents.communication.message_protocol import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_NAME,
    Payload,
    PayloadRegistry,
    payload_schema,
)


def guide(registry: PayloadRegistry) -> str:
    """Return the README's text, Markdown."""
    return _TEXT.format(
        original=json.dumps(ORIGINAL, indent=2),
        fields=_fields(),
        payloads=_rows(_payload_row(model) for model in registry.models.values()),
        actions=_rows(_action_row(kind) for kind in CATALOGUE.values()),
        max_bytes=f"{MAX_BYTES:,}",
        max_depth=MAX_DEPTH,
        max_name=MAX_NAME,
    )


def _fields() -> str:
    message = envelope_schema([])["$defs"]["AgentMessage"]
    optional = {name: field for name, field in message["properties"].items() if name not in message["required"]}
    return _rows((f"`{name}`", field["description"]) for name, field in optional.items())


def _payload_row(model: type[Payload]) -> tuple[str, ...]:
    summary = (inspect.getdoc(model) or "").split("\n")[0]
    return f"[`{model.message_type}`]({payload_schema(model.message_type)})", summary.replace("``", "`")


def _action_row(kind: ActionKind) -> tuple[str, ...]:
    undone = f"`{kind.inverse}`" if kind.inverse in CATALOGUE else kind.inverse
    return f"[`{kind.name}`]({action_path(kind.name)})", kind.risk.value, undone


def _rows(rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


_TEXT = """\
# The protocol

This folder is all that an agent in another language needs: what a message looks like, which messages there are, and
examples to test against. It is written by `brody protocol export protocols`; edit the models, not these files.

| file | what |
|---|---|
| [`v1/agent_message.schema.json`](v1/agent_message.schema.json) | the schema of a whole message, with any payload |
| `v1/<message type>.schema.json` | the schema of one payload, for generating code |
| `v1/actions/<kind>.schema.json` | the schema of the arguments of one kind of action |
| `v1/examples/` | messages that are valid, messages that are not, and what a decoder says of each |
| [`asyncapi.yaml`](asyncapi.yaml) | AsyncAPI 3.0: channels, operations, messages |

Every schema stands alone: no reference leads out of its file. They are JSON Schema 2020-12, and
`$id` is `urn:brody-agents:` and the path of the file.

## A message

```json
{original}
```

UTF-8 JSON, without a byte order mark, one message a document. The five fields of the example and the three of its
`context` are needed. Identifiers are texts of 1 to {max_name} characters; nobody reads anything into them.

The envelope may also have:

| field | meaning |
|---|---|
{fields}

- **Absent and `null`** mean the same for an optional field of the envelope. Leave out what you do not know.
- **A field that you do not know** is kept and passed on, in the envelope, in `context`, in a payload and in its parts.
  Beside `agent_message` there is nothing.
- **A message type that you do not know** is valid, whatever object its payload is. Keep it as it came. Nothing that is
  not handled is lost: it stands in the dead letters with the reason.
- **Times** are RFC 3339 with an offset, `2026-03-02T09:00:00+01:00`. Finer fractions than microseconds are cut off.
  A number is no time, and a time without an offset is none. **Days** are `YYYY-MM-DD`.
- **Numbers** are finite. A whole number outside 64 bits is read as a double, so send it as a text.
- **Nothing is converted**: `"1"` is no number, `"yes"` and `1` are no booleans.
- **The same name twice** in an object: the last one counts. Do not send it.
- **Limits**: {max_bytes} bytes, and {max_depth} objects and arrays inside one another.
- **Payloads** carry ids and short fields, never the text of a mail or a file: read the item by its id.

## Who gets it

`recipient` is the name of an agent, `coordinator`, or `*`: every agent with a handler for the message type. A message
is handled once by each agent that gets it, and `id` is what tells two messages apart: send the same id when you try
again. Answer by a message to the `sender` of the question, with its `id` as your `causation_id` and its
`correlation_id` (or else its `id`) as yours. What is said in a run keeps its `run_id`.

`provenance` says where values came from, `{{"<JSON pointer into the payload>": {{"origin", "sources", "readers"}}}}`;
the nearest ancestor of a value applies. What nobody vouches for is `untrusted`, and so is everything that comes from
outside: a receiver believes only the provenance that it has written itself.

## Message types

| message type | meaning |
|---|---|
{payloads}

## Actions

An agent never writes to an account. It proposes an action, and the coordinator carries it out, or asks the person. An
action is `{{"kind", "arguments", "why", "cause"}}`; unknown arguments are refused. `action_result` tells the proposer
what became of it.

| kind | risk | undone by |
|---|---|---|
{actions}

## What a decoder says

Bytes are a message, or an error with a code and the JSON path (RFC 9535) of the first fault:

| code | meaning |
|---|---|
| `too_large` | more bytes than a message may have |
| `not_json` | no UTF-8 JSON: cut off, `NaN`, half a surrogate pair, … |
| `not_a_message` | JSON, but not `{{"agent_message": {{…}}}}` |
| `too_deep` | nested deeper than a message may be |
| `missing` | a field that is needed is absent |
| `invalid` | a value of the wrong type, outside its range, or none of the choices |

## Test your implementation

Read [`v1/examples/expected.json`](v1/examples/expected.json) and go through it:

- `valid`: each file of `v1/examples/valid/` decodes to the `message_type` that is given. Encoded again it says the
  same; only `medium` has become `normal`, and an `id` may have been made. Some types you may not know.
- `invalid`: each file of `v1/examples/invalid/` fails with the `code` and `path` that are given. Where `schema` is
  true, it fails validation against `v1/agent_message.schema.json` too; the others a schema cannot see.
- `made`: pad the file `from` with spaces to `pad_to` bytes; that fails with the code and path.

And the other way round, ask the reference decoder about what you have written:

```
brody protocol validate message.json      # exit 0: valid; 1: code, path and what; - reads standard input
```

## CloudEvents

For systems that speak CloudEvents 1.0, a message has a form as a structured JSON event, and back, without loss:

| attribute | of the message |
|---|---|
| `id` | `id` |
| `type` | `brody.agents.` and the `message_type` |
| `source` | `sender`, as a URI reference: percent-encoded where needed |
| `subject` | `recipient` |
| `time` | `context.timestamp` |
| `datacontenttype` | `application/json` |
| `dataschema` | the `$id` of the payload's schema, if the type is known |
| `data` | `payload` |
| `userid`, `workspaceid` | `context.user_id`, `context.workspace_id` |
| `correlationid`, `causationid`, `runid` | `correlation_id`, `causation_id`, `run_id` |
| `priority`, `deadline`, `notbefore`, `schemaversion`, `traceparent` | the field of that name |
| `provenance` | `provenance`, as a JSON text |
| `contextfields`, `extrafields` | unknown fields of `context` and of the envelope, as JSON texts |

An unknown field of the envelope whose name and value an event allows (lower-case letters and digits; a text, a boolean,
a whole number of 32 bits) is an attribute of its own instead, and an unknown attribute is such a field.
"""
