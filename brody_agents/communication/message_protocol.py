"""The message protocol: the envelope, its one encoder and its one decoder.

The wire form is UTF-8 JSON, ``{"agent_message": {sender, recipient, message_type, payload, context}}``, with
optional fields of the envelope. :func:`decode` is the only way in, :func:`encode` the only way out.
"""

from __future__ import annotations

import hashlib
import math
import re
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import quote

import orjson
from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
)

from brody_agents.errors import ProtocolError

NAMESPACE = uuid.UUID("6f0d3a4e-6a61-5d0b-9f0e-2b1f6a7c9d10")
"""Namespace of every UUIDv5 that this project derives."""
_NAMESPACE = NAMESPACE.bytes

SCHEMA_VERSION = "1"
MAX_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_NAME = 512
BROADCAST = "*"
COORDINATOR = "coordinator"
PERSON = "user"
"""The proposer of actions that come from no agent; like the two above no agent's name."""


def stable_id(*parts: str) -> str:
    """Return the UUIDv5 of ``parts``; the same parts give the same id in every home."""
    hashed = _named("\x1f".join(parts).encode())
    version, variant = f"5{hashed[13:16]}", f"{int(hashed[16], 16) & 3 | 8:x}{hashed[17:20]}"
    return f"{hashed[:8]}-{hashed[8:12]}-{version}-{variant}-{hashed[20:32]}"


def _named(name: bytes) -> str:
    return hashlib.sha1(_NAMESPACE + name, usedforsecurity=False).hexdigest()


_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = f"{_DAY}[Tt ][0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}([.,][0-9]+)?)?([Zz]|[+-][0-9]{{2}}:?[0-9]{{2}})"
_is_day, _is_time = re.compile(_DAY).fullmatch, re.compile(_TIME).fullmatch


def _text_or_time(value: object) -> object:
    if isinstance(value, str) and _is_time(value):
        return value if value[:4] not in ("0001", "9999") else _writable(datetime.fromisoformat(value.upper()))
    if isinstance(value, datetime):
        return _writable(value)
    raise ValueError("a time is an ISO 8601 text with an offset")


def payload_schema(message_type: str) -> str:
    """Return the path of a payload's schema below ``protocols/``; whatever the type is called, it stays below."""
    return f"v{SCHEMA_VERSION}/{quote(message_type, safe='')}.schema.json"


def schema_uri(path: str) -> str:
    """Return the URI (``$id``) of the schema at a path below ``protocols/``."""
    return f"urn:brody-agents:{path}"


def _writable(value: datetime) -> datetime:
    try:
        utc = value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a time lies between the years 1 and 9999 in UTC") from error
    # The wire's offset has whole minutes; local mean time, as in 1890, has seconds.
    return utc if (value.utcoffset() or timedelta()) % timedelta(minutes=1) else value


def _text_or_day(value: object) -> object:
    if isinstance(value, date) or (isinstance(value, str) and _is_day(value)):
        return value
    raise ValueError("a day is a text of the form YYYY-MM-DD")


Identifier = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME)]
NAME_SCHEMA = {"type": "string", "minLength": 1, "maxLength": MAX_NAME, "pattern": "^[^\\u0000]*$"}
Name = Annotated[Identifier, WithJsonSchema(NAME_SCHEMA)]
"""An identifier of the envelope; encode and decode refuse one with a NUL, which PostgreSQL stores in no text."""
Time = Annotated[
    AwareDatetime,
    BeforeValidator(_text_or_time),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": f"^{_TIME}$"}),
]
"""An instant with a zone; numbers are refused, as the exported schema says."""
Day = Annotated[
    date,
    BeforeValidator(_text_or_day),
    WithJsonSchema({"type": "string", "format": "date", "pattern": f"^{_DAY}$"}),
]
"""A date in the user's zone."""


_NAMES = (
    "sender", "recipient", "message_type", "id", "correlation_id", "causation_id", "run_id", "schema_version"
)  # fmt: skip
_CONTEXT_NAMES = ("user_id", "workspace_id")


class Priority(StrEnum):
    """Order work: ``urgent`` before ``high`` before ``normal`` before ``low``."""

    URGENT = "urgent"
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"

    rank: int
    """0 for the most urgent."""

    def __init__(self, value: str) -> None:
        self.rank = len(type(self).__members__)


AnyPriority = Annotated[
    Priority,
    BeforeValidator(
        lambda v: "normal" if v == "medium" else v,
        json_schema_input_type=Literal["urgent", "high", "normal", "medium", "low"],
    ),
]
"""A priority; the original document's ``medium`` is read as ``normal``."""


class Origin(StrEnum):
    """Say whose words a value is; every origin but ``untrusted`` can vouch for an argument."""

    USER = "user"
    SELF = "self"
    DIRECTORY = "directory"
    RESOLVED = "resolved"
    UNTRUSTED = "untrusted"

    rank: int
    """0 for the most trusted."""

    def __init__(self, value: str) -> None:
        self.rank = len(type(self).__members__)


_rank = attrgetter("origin.rank")


class Provenance(BaseModel):
    """Say where a value came from and who may read it."""

    model_config = ConfigDict(frozen=True)

    origin: Origin = Origin.UNTRUSTED
    sources: tuple[str, ...] = ()
    """Ids of the items that the value was read from."""
    readers: tuple[str, ...] | Literal["any"] = "any"
    """Ids of those who may read it."""

    @staticmethod
    def joined(parts: Iterable[Provenance]) -> Provenance:
        """Return the union: the least trusted origin, all sources, the readers that all allow."""
        known = list(parts)
        if not known:
            return Provenance(origin=Origin.SELF)
        least = max(known, key=_rank)
        others = [p for p in known if p is not least and (p.sources or p.readers != "any")]
        if not others:
            return least  # nobody else narrows the readers or adds a source
        sources = tuple(dict.fromkeys(s for p in known for s in p.sources))
        closed = [set(p.readers) for p in known if p.readers != "any"]
        readers: tuple[str, ...] | Literal["any"] = tuple(sorted(set.intersection(*closed))) if closed else "any"
        return Provenance(origin=least.origin, sources=sources, readers=readers)


class MessageContext(BaseModel):
    """Say for whom and when a message was written."""

    model_config = ConfigDict(frozen=True, extra="allow")

    user_id: Name
    workspace_id: Name
    timestamp: Time


class Payload(BaseModel):
    """Base of all payloads; subclass with ``class Mine(Payload, message_type="mine")``.

    Fields that this version does not know are kept, so that an older node passes them on unharmed.
    """

    model_config = ConfigDict(frozen=True, extra="allow", ser_json_inf_nan="constants")

    message_type: ClassVar[str] = ""
    needs_listener: ClassVar[bool] = True
    """Whether a broadcast that no agent handles is a fault (dead letter) or nothing to mind."""

    def __init_subclass__(cls, message_type: str = "", needs_listener: bool = True, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if message_type:
            cls.message_type = message_type
            cls.needs_listener = needs_listener


class UnknownPayload(Payload):
    """Keep the payload of a message type that nobody here knows, as it came."""

    type_name: Identifier
    data: dict[str, JsonValue]


class PayloadRegistry:
    """Map wire names to payload models; built once by whoever decodes, never global."""

    def __init__(self, models: Iterable[type[Payload]]) -> None:
        self._models: dict[str, type[Payload]] = {}
        for model in models:
            self.add(model)

    def add(self, model: type[Payload]) -> None:
        """Register ``model`` under its wire name; no name, or the same for another model, is an error."""
        if not 0 < len(model.message_type) <= MAX_NAME:
            raise ValueError(f"{model.__name__} needs a message_type of 1 to {MAX_NAME} characters")
        known = self._models.setdefault(model.message_type, model)
        if known is not model:
            raise ValueError(f"message type {model.message_type!r} is taken by {known.__name__}")

    @property
    def models(self) -> Mapping[str, type[Payload]]:
        """Return the known models by wire name."""
        return self._models

    def read(self, message_type: str, data: dict[str, Any]) -> Payload:
        """Return the typed payload, or :class:`UnknownPayload`; raise pydantic's ``ValidationError``."""
        model = self._models.get(message_type)
        if model is None:
            return UnknownPayload(type_name=message_type, data=data)
        return model.model_validate(data)


class _Envelope(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", ser_json_inf_nan="constants")

    sender: Name
    """Name of the agent that speaks."""
    recipient: Name
    """Name of an agent, ``coordinator``, or ``*`` for every agent that handles the message type."""
    context: MessageContext
    id: Name = Field(default_factory=lambda: str(uuid.uuid4()))
    """Unique among all messages; made where it is absent. The same id is the same message, handled once."""
    correlation_id: Name | None = None
    """Id of the message that the exchange began with."""
    causation_id: Name | None = None
    """Id of the message that this one comes from."""
    run_id: Name | None = None
    """The run of a playbook that the message belongs to."""
    priority: AnyPriority = Priority.NORMAL
    """Which work comes first; ``medium`` is read as ``normal``."""
    deadline: Time | None = None
    """After it the message is not handled any more."""
    not_before: Time | None = None
    """Before it the message is not handled."""
    schema_version: Name = SCHEMA_VERSION
    """The version of this protocol."""
    traceparent: str | None = None
    """The trace that the message is part of, as W3C Trace Context writes it."""
    provenance: dict[str, Provenance] = {}
    """Where values of the payload come from, by JSON pointer into it; the nearest ancestor applies."""


class AgentMessage(_Envelope):
    """A message from one agent to another; immutable.

    ``recipient`` is an agent's name, ``coordinator`` or ``*``. ``id`` is made where it is absent.
    """

    payload: Payload

    @property
    def message_type(self) -> str:
        """Return the wire name of the payload."""
        payload = self.payload
        return payload.message_type or (payload.type_name if isinstance(payload, UnknownPayload) else "")

    @property
    def user_id(self) -> str:
        """Return the user for whom the message was written."""
        return self.context.user_id

    @property
    def expired(self) -> bool:
        """Say whether the deadline has passed, by the wall clock."""
        return self.deadline is not None and self.deadline <= datetime.now(UTC)

    def label(self, pointer: str = "") -> Provenance:
        """Return the provenance of the payload's value at a JSON pointer: its nearest ancestor's."""
        while True:
            if pointer in self.provenance:
                return self.provenance[pointer]
            if not pointer:
                return Provenance()
            pointer = pointer.rpartition("/")[0]

    def untrusted(self) -> AgentMessage:
        """Return the message as it is believed when it comes from outside: all of it untrusted."""
        return self.model_copy(update={"provenance": {}}) if self.provenance else self


def new_context(user_id: str, workspace_id: str = "default", timestamp: datetime | None = None) -> MessageContext:
    """Return a context for a message written now."""
    return MessageContext(user_id=user_id, workspace_id=workspace_id, timestamp=timestamp or datetime.now(UTC))


_PAYLOAD = {"payload"}


def encode(message: AgentMessage) -> bytes:
    """Return the wire form; raise :class:`ProtocolError` where a value has no JSON form or decode would refuse."""
    message_type = message.message_type
    if not message_type:
        raise ProtocolError("unencodable", "$.agent_message.message_type", b"", "the payload has no message type")
    try:
        # As model_dump does, but for the way through its many arguments: a tenth of what encoding costs.
        body = message.__pydantic_serializer__.to_python(message, mode="json", exclude_unset=True, exclude=_PAYLOAD)
        body |= {"id": message.id, "message_type": message_type, "payload": payload_data(message.payload)}
        data = orjson.dumps({"agent_message": body})
    except (TypeError, ValueError) as error:
        raise ProtocolError("unencodable", "$.agent_message", b"", str(error)) from error
    if b"null" in data and not _finite(body):  # orjson writes NaN and the infinities as null
        raise ProtocolError("unencodable", "$.agent_message", b"", "a number is not finite")
    _check_size(data)
    _check_depth(data, {"agent_message": body})
    _check_names(data, body)
    return data


def payload_data(payload: Payload) -> dict[str, Any]:
    """Return the payload as it stands on the wire, a JSON object."""
    if not payload.message_type and isinstance(payload, UnknownPayload):  # in this order: asking pydantic takes long
        return payload.data
    return payload.model_dump(mode="json", exclude_unset=True)


def _finite(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return all(map(_finite, value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()))


def decode(data: bytes, registry: PayloadRegistry) -> AgentMessage:
    """Return the message that ``data`` is, or raise :class:`ProtocolError`; never another exception."""
    envelope = _open(data)
    try:
        message_type, payload = envelope.pop("message_type"), envelope.pop("payload")
    except KeyError as error:
        raise ProtocolError("missing", f"$.agent_message.{error.args[0]}", data, "Field required") from error
    if not isinstance(message_type, str) or not 0 < len(message_type) <= MAX_NAME:
        what = f"a text of 1 to {MAX_NAME} characters is needed"
        raise ProtocolError("invalid", "$.agent_message.message_type", data, what)
    if not isinstance(payload, dict):
        raise ProtocolError("invalid", "$.agent_message.payload", data, "an object is needed")
    try:
        typed = registry.read(message_type, payload)
    except ValidationError as error:
        raise _fault(data, "$.agent_message.payload", payload, error) from error
    except Exception as error:  # the validator of somebody's payload
        raise ProtocolError("invalid", "$.agent_message.payload", data, repr(error)) from error
    envelope["payload"] = typed
    try:
        return AgentMessage.model_validate(envelope)
    except ValidationError as error:
        raise _fault(data, "$.agent_message", envelope, error) from error


def _open(data: bytes) -> dict[str, Any]:
    _check_size(data)
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        code = "too_deep" if "limit" in error.msg else "not_json"  # the parser's own limit, about 1,000 levels
        raise ProtocolError(code, "$", data, str(error)) from error
    if not isinstance(document, dict) or not isinstance(document.get("agent_message"), dict):
        raise ProtocolError("not_a_message", "$", data, 'an object {"agent_message": {…}} is needed')
    _check_depth(data, document)
    envelope: dict[str, Any] = document["agent_message"]
    _check_names(data, envelope)
    return envelope


def _check_size(data: bytes) -> None:
    if len(data) > MAX_BYTES:
        raise ProtocolError("too_large", "$", data, f"a message has at most {MAX_BYTES} bytes")


def _check_depth(data: bytes, document: object) -> None:
    if data.count(b"{") + data.count(b"[") > MAX_DEPTH and _depth(document) > MAX_DEPTH:
        raise ProtocolError("too_deep", "$", data, f"a message nests at most {MAX_DEPTH} objects and arrays")


def _check_names(data: bytes, envelope: dict[str, Any]) -> None:
    if b"\\u0000" not in data:  # so JSON writes a NUL; looking for it costs less than a pattern a field
        return
    context = envelope.get("context")
    named = [(name, envelope.get(name)) for name in _NAMES]
    named += [(f"context.{name}", context.get(name)) for name in _CONTEXT_NAMES if isinstance(context, dict)]
    for path, value in named:
        if isinstance(value, str) and "\0" in value:
            raise ProtocolError("invalid", f"$.agent_message.{path}", data, "a name has no NUL in it")


def _depth(value: object) -> int:
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, (dict, list))]:
        depth += 1
        level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)]
    return depth


def _fault(data: bytes, root: str, value: Any, error: ValidationError) -> ProtocolError:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    code = "missing" if first["type"] == "missing" else "invalid"
    return ProtocolError(code, root + _path(value, first["loc"], code == "missing"), data, first["msg"])


def _path(value: Any, steps: tuple[int | str, ...], missing: bool) -> str:
    """Return the steps that lead into ``value`` as a JSON path (RFC 9535); pydantic's names of union arms do not."""
    path = ""
    for number, step in enumerate(steps, 1):
        if isinstance(value, list) and isinstance(step, int):
            path, value = f"{path}[{step}]", value[step]
        elif isinstance(value, dict) and (step in value or (missing and number == len(steps))):
            path, value = path + _member(str(step)), value.get(step)
    return path


def _member(name: str) -> str:
    if name.isidentifier():
        return f".{name}"
    return "['" + name.replace("\\", "\\\\").replace("'", "\\'") + "']"
