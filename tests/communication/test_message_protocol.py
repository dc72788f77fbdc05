"""The wire form: what is written can be read, what is read is a message or an error, and nothing is lost."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import field_validator

from brody_agents.communication.message_protocol import (
    MAX_BYTES,
    MAX_DEPTH,
    AgentMessage,
    Payload,
    PayloadRegistry,
    Priority,
    UnknownPayload,
    decode,
    encode,
    new_context,
    payload_data,
)
from brody_agents.communication.payloads import (
    Notification,
    SuggestedTask,
    TaskSuggestion,
    built_in_registry,
)
from brody_agents.errors import ProtocolError, Terminal
from tests.communication.strategies import (
    REFUSED,
    identifiers,
    json_values,
    messages,
    mutated,
    patient,
    texts,
    unknown_fields,
    wire_documents,
)

REGISTRY = built_in_registry()
ORIGINAL = b"""{
  "agent_message": {
    "sender": "email_agent",
    "recipient": "task_agent",
    "message_type": "task_suggestion",
    "payload": {
      "email_id": "uuid",
      "suggested_tasks": [
        {
          "title": "Follow up with client",
          "priority": "high",
          "due_date": "2025-10-15T10:00:00Z"
        }
      ]
    },
    "context": {
      "user_id": "uuid",
      "workspace_id": "uuid",
      "timestamp": "2025-10-11T14:30:00Z"
    }
  }
}
"""
MESSAGE: dict[str, Any] = {
    "sender": "weather_agent",
    "recipient": "*",
    "message_type": "notification",
    "payload": {"text": "Rain at noon"},
    "context": {"user_id": "me", "workspace_id": "default", "timestamp": "2026-03-02T07:00:00+01:00"},
}


def wire(**fields: Any) -> bytes:
    """Write the message above with some fields changed; ``...`` leaves one out."""
    body = {name: value for name, value in (MESSAGE | fields).items() if value is not ...}
    return json.dumps({"agent_message": body}).encode()


def fault(data: bytes, registry: PayloadRegistry = REGISTRY) -> tuple[str, str]:
    """Return code and path of what is wrong with ``data``."""
    with pytest.raises(ProtocolError) as caught:
        decode(data, registry)
    assert caught.value.data == data
    return caught.value.code, caught.value.path


def sorted_json(data: bytes | object) -> bytes:
    """Return JSON in one canonical order."""
    return orjson.dumps(orjson.loads(data) if isinstance(data, bytes) else data, option=orjson.OPT_SORT_KEYS)


def notification(**fields: Any) -> AgentMessage:
    """Make a message to everyone."""
    return AgentMessage(
        sender="me", recipient="*", payload=Notification(text="Hello"), context=new_context("me"), **fields
    )


# -- the original example ----------------------------------------------------------------------------


def test_original_example_is_a_message_to_the_letter() -> None:
    message = decode(ORIGINAL, REGISTRY)

    assert (message.sender, message.recipient, message.message_type) == ("email_agent", "task_agent", "task_suggestion")
    assert (message.context.user_id, message.context.workspace_id) == ("uuid", "uuid")
    assert message.context.timestamp == datetime(2025, 10, 11, 14, 30, tzinfo=UTC)
    assert isinstance(message.payload, TaskSuggestion)
    assert message.payload.email_id == "uuid"
    assert message.payload.suggested_tasks == [
        SuggestedTask(
            title="Follow up with client",
            priority=Priority.HIGH,
            due_date=datetime(2025, 10, 15, 10, tzinfo=UTC),
        )
    ]


def test_original_example_comes_out_again_with_nothing_but_the_id_that_was_made() -> None:
    again = orjson.loads(encode(decode(ORIGINAL, REGISTRY)))

    assert again["agent_message"].pop("id")
    assert again == orjson.loads(ORIGINAL)


def test_absent_fields_are_filled_in() -> None:
    first, second = decode(wire(), REGISTRY), decode(wire(), REGISTRY)

    assert first.id != second.id
    assert first.priority is Priority.NORMAL
    assert first.schema_version == "1"
    assert first.provenance == {}


def test_medium_of_the_original_document_is_read_as_normal() -> None:
    assert decode(wire(priority="medium"), REGISTRY).priority is Priority.NORMAL


# -- what is written can be read ---------------------------------------------------------------------


@patient
@given(messages())
def test_any_message_survives_encoding_and_decoding(message: AgentMessage) -> None:
    data = encode(message)
    again = decode(data, REGISTRY)

    assert again == message
    assert type(again.payload) is type(message.payload)
    assert sorted_json(encode(again)) == sorted_json(data)


@patient
@given(wire_documents())
def test_any_document_that_the_schema_allows_is_read(document: dict[str, Any]) -> None:
    message = decode(orjson.dumps(document), REGISTRY)

    assert message.message_type == document["agent_message"]["message_type"]
    assert decode(encode(message), REGISTRY) == message


@patient
@given(st.dictionaries(texts, json_values, max_size=5), identifiers.map(lambda name: f"x{name}"))
def test_an_unknown_type_is_kept_as_it_is(data: dict[str, Any], message_type: str) -> None:
    message = decode(
        orjson.dumps({"agent_message": MESSAGE | {"message_type": message_type, "payload": data}}), REGISTRY
    )

    assert message.payload == UnknownPayload(type_name=message_type, data=data)
    assert message.message_type == message_type
    assert sorted_json(orjson.loads(encode(message))["agent_message"]["payload"]) == sorted_json(data)


@patient
@given(unknown_fields({"text"}), unknown_fields((*AgentMessage.model_fields, "message_type")), unknown_fields())
@example(*({name: {"x": 1} for name in REFUSED if name != "payload"} for _ in range(3)))
def test_unknown_fields_are_kept(payload: dict[str, Any], envelope: dict[str, Any], context: dict[str, Any]) -> None:
    context = {name: value for name, value in context.items() if name not in MESSAGE["context"]}
    document = MESSAGE | envelope | {"payload": MESSAGE["payload"] | payload, "context": MESSAGE["context"] | context}

    message = decode(orjson.dumps({"agent_message": document}), REGISTRY)
    again = orjson.loads(encode(message))["agent_message"]

    assert sorted_json(again) == sorted_json(document | {"id": message.id})
    assert message.message_type == "notification"
    assert message.untrusted() == message


@pytest.mark.parametrize("name", [*REFUSED, "message_type", "__init__", "model_fields_set", "__pydantic_extra__", "id"])
def test_a_field_named_like_a_method_changes_no_behaviour(name: str) -> None:
    message = decode(wire(payload={"text": "Hello", name: "odd"}), REGISTRY)

    assert payload_data(message.payload) == {"text": "Hello", name: "odd"}
    assert message.message_type == message.payload.message_type == "notification"
    assert message.user_id == "me"


def test_a_date_that_only_local_mean_time_can_say_keeps_its_instant() -> None:
    """Before 1893 Berlin was 53 minutes and 28 seconds ahead; an offset on the wire has whole minutes."""
    message = notification(deadline=datetime(1890, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")))

    assert decode(encode(message), REGISTRY).deadline == message.deadline


@pytest.mark.parametrize(
    "time",
    [
        "2026-03-02T09:00Z",
        "2026-03-02 09:00:00+01:00",
        "2026-03-02t09:00:00.5z",
        "2026-03-02T09:00:00+0100",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999Z",
        "9999-12-31t23:00:00-0000",
    ],
)
def test_a_time_may_be_written_as_rfc_3339_and_its_relatives_do(time: str) -> None:
    assert decode(wire(deadline=time), REGISTRY).deadline is not None


# -- what cannot be written --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), [{"deep": float("-inf")}], 2**64, "half a pair: \ud83d", object(), b"\xff"],
    ids=["nan", "infinity", "deep", "too-large", "half-a-pair", "object", "bytes"],
)
@pytest.mark.parametrize("where", ["payload", "envelope", "context"])
def test_what_has_no_json_form_is_refused(value: object, where: str) -> None:
    extra: dict[str, dict[str, Any]] = {"payload": {}, "envelope": {}, "context": {}} | {where: {"x": value}}
    context = new_context("me").model_copy(update=extra["context"])
    payload = Notification.model_validate({"text": "Hello"} | extra["payload"])

    with pytest.raises(ProtocolError) as caught:
        encode(AgentMessage(sender="me", recipient="*", payload=payload, context=context, **extra["envelope"]))
    assert caught.value.code == "unencodable"


def test_a_number_that_is_none_is_refused_in_an_unknown_payload_too() -> None:
    message = notification().model_copy(update={"payload": UnknownPayload(type_name="x", data={"a": float("nan")})})

    with pytest.raises(ProtocolError, match="not finite"):
        encode(message)


def test_null_is_a_value_like_any_other() -> None:
    message = decode(wire(payload={"text": "Hello", "x": None}), REGISTRY)

    assert payload_data(decode(encode(message), REGISTRY).payload)["x"] is None


def test_a_payload_without_a_type_is_refused() -> None:
    class Nameless(Payload):
        text: str = ""

    with pytest.raises(ProtocolError, match="no message type"):
        encode(notification().model_copy(update={"payload": Nameless()}))


@pytest.mark.parametrize("name", ["sender", "recipient", "id", "run_id", "message_type", "user_id", "workspace_id"])
def test_a_name_with_a_nul_is_refused_in_both_directions(name: str) -> None:
    """PostgreSQL stores none in a text; in a payload, which is sealed, it may stand."""
    payload = UnknownPayload(type_name="t", data={"text": "a\0b"})
    wire = encode(AgentMessage(sender="a", recipient="b", payload=payload, context=new_context("me")))
    assert decode(wire, REGISTRY).payload == payload
    document = orjson.loads(wire)
    holder = document["agent_message"]
    (holder["context"] if name in holder["context"] else holder)[name] = "a\0b"
    with pytest.raises(ProtocolError, match=f"{name}: a name has no NUL in it"):
        decode(orjson.dumps(document), REGISTRY)
    holder["payload"] = UnknownPayload(type_name=holder.pop("message_type"), data={})
    with pytest.raises(ProtocolError, match=f"{name}: a name has no NUL in it"):
        encode(AgentMessage.model_validate(holder))


def test_what_no_decoder_would_take_is_refused_when_it_is_written() -> None:
    deep: Any = "end"
    for _ in range(MAX_DEPTH):
        deep = [deep]

    with pytest.raises(ProtocolError) as caught:
        encode(notification(x="y" * MAX_BYTES))
    assert caught.value.code == "too_large"
    with pytest.raises(ProtocolError) as caught:
        encode(notification(x=deep))
    assert caught.value.code == "too_deep"


# -- what is read is a message or an error -----------------------------------------------------------


def read(data: bytes) -> AgentMessage | ProtocolError:
    """Decode, and see that nothing but a message or the one error comes of it, and that a message can be sent on."""
    try:
        message = decode(data, REGISTRY)
    except ProtocolError as error:
        return error
    assert decode(encode(message), REGISTRY) == message
    return message


@patient
@given(st.binary(max_size=200))
@example(b"")
@example(b"\xef\xbb\xbf" + ORIGINAL)
@example(ORIGINAL.replace(b"uuid", b"\xff"))
@example(b"[" * 100_000)
@example(b'{"agent_message":' * 100_000)
@example(b"null")
def test_any_bytes_are_a_message_or_an_error(data: bytes) -> None:
    read(data)


@patient
@given(st.data())
def test_a_damaged_message_is_a_message_or_an_error(data: st.DataObject) -> None:
    whole = bytearray(data.draw(st.sampled_from([ORIGINAL, wire()])))
    for _ in range(data.draw(st.integers(1, 4))):
        position, length = data.draw(st.integers(0, len(whole))), data.draw(st.integers(0, 8))
        whole[position : position + length] = data.draw(st.binary(max_size=8) | st.sampled_from(_INSERTS))
    read(bytes(whole[: data.draw(st.integers(0, len(whole)))] if data.draw(st.booleans()) else whole))


_INSERTS = [b"NaN", b"1e999", b"-Infinity", b"9" * 400, b'"\\ud800"', b"\\u0000", b'{"a":1,"a":2}', b"[" * 70, b"\x00"]


@patient
@given(wire_documents().flatmap(mutated))
def test_an_odd_value_in_any_place_is_a_message_or_an_error(document: object) -> None:
    read(orjson.dumps(document))


@pytest.mark.parametrize("field", [*AgentMessage.model_fields, "message_type"])
@pytest.mark.parametrize(
    "value", [None, True, 0, -1, 1e308, 2**64, "", "\x00", "x" * 600, [], {}, [[]], {"": {}}, [None]], ids=repr
)
def test_an_odd_value_in_any_field_of_the_envelope_is_a_message_or_an_error(field: str, value: object) -> None:
    read(wire(**{field: value}))


@pytest.mark.parametrize("levels", [1, 30, MAX_DEPTH - 3, MAX_DEPTH - 2, 200, 1000, 100_000])
@pytest.mark.parametrize("filling", ["[]", "1"])
def test_depth_is_that_of_objects_and_arrays_whatever_stands_beside_them(levels: int, filling: str) -> None:
    nested = "[" * levels + ("1" if filling == "1" else "") + "]" * levels
    data = wire(message_type="x", payload={"a": "NESTED", "b": [[]]}).replace(b'"NESTED"', nested.encode())

    if levels <= MAX_DEPTH - 3:  # document, agent_message, payload
        assert isinstance(read(data), AgentMessage)
    else:
        assert fault(data) == ("too_deep", "$")


def test_size_counts_every_byte() -> None:
    assert decode(ORIGINAL.ljust(MAX_BYTES), REGISTRY).message_type == "task_suggestion"
    assert fault(ORIGINAL.ljust(MAX_BYTES + 1)) == ("too_large", "$")


def test_of_two_equal_names_the_last_counts() -> None:
    assert decode(wire().replace(b'"sender"', b'"sender": 7, "sender"'), REGISTRY).sender == "weather_agent"


@pytest.mark.parametrize("name", ["sender", "recipient", "message_type", "payload", "context"])
def test_a_needed_field_that_is_absent_is_named(name: str) -> None:
    assert fault(wire(**{name: ...})) == ("missing", f"$.agent_message.{name}")


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"context": {"user_id": "me", "workspace_id": "w", "timestamp": 0}}, ".context.timestamp"),
        ({"deadline": "1760000000"}, ".deadline"),
        ({"deadline": "2026-03-02T09:00:00"}, ".deadline"),
        ({"deadline": "0001-01-01T00:00:00+14:00"}, ".deadline"),
        ({"not_before": "9999-12-31T23:00:00-01:30"}, ".not_before"),
        ({"payload": {"text": "Hello", "about": ["a", ""]}}, ".payload.about[1]"),
        ({"provenance": {"/a/b": {"readers": "all"}}}, ".provenance['/a/b'].readers"),
        ({"provenance": {"/a/b": {"readers": ["me", 7]}}}, ".provenance['/a/b'].readers[1]"),
        ({"provenance": {"it's \\": {"origin": "me"}}}, r".provenance['it\'s \\'].origin"),
        ({"message_type": "review_day", "payload": {"day": 1760000000}}, ".payload.day"),
        ({"message_type": "review_day", "payload": {"day": "2026-03-02T00:00:00Z"}}, ".payload.day"),
        ({"message_type": "scan_inbox", "payload": {"everything": "yes"}}, ".payload.everything"),
        (
            {"message_type": "workload_report", "payload": {"day": "2026-03-02", "figures": {"a b": 3}}},
            ".payload.figures['a b']",
        ),
    ],
)
def test_the_path_leads_to_the_value(changed: dict[str, Any], path: str) -> None:
    """It has steps into the document only, none for the arms of a union; names that need it are quoted (RFC 9535)."""
    assert fault(wire(**changed)) == ("invalid", f"$.agent_message{path}")


def test_a_payload_whose_validator_breaks_is_a_fault_of_the_message() -> None:
    class Fragile(Payload, message_type="fragile"):
        size: int

        @field_validator("size")
        @classmethod
        def inverted(cls, size: int) -> int:
            return 1 // size

    registry = PayloadRegistry([Fragile])

    assert fault(wire(message_type="fragile", payload={"size": 0}), registry) == ("invalid", "$.agent_message.payload")
    assert decode(wire(message_type="fragile", payload={"size": 1}), registry).payload == Fragile(size=1)


def test_the_error_is_final_and_survives_pickling() -> None:
    with pytest.raises(ProtocolError) as caught:
        decode(b"{", REGISTRY)
    again = pickle.loads(pickle.dumps(caught.value))

    assert isinstance(again, ProtocolError)
    assert issubclass(ProtocolError, Terminal)
    assert (again.code, again.path, again.data, str(again)) == ("not_json", "$", b"{", str(caught.value))
