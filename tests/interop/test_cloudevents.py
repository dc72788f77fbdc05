"""A message as a CloudEvent: what the specification asks for, and back without loss."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from brody_agents.communication.export import documents
from brody_agents.communication.message_protocol import AgentMessage, UnknownPayload, decode, new_context, payload_data
from brody_agents.communication.payloads import BUILT_IN, Notification, built_in_registry
from brody_agents.errors import ProtocolError
from brody_agents.interop.cloudevents import from_cloudevent, to_cloudevent
from tests.communication.strategies import json_values, messages, mutated, patient

REGISTRY = built_in_registry()
TEXTS = documents()
EVERY_FIELD = decode(TEXTS["v1/examples/valid/every_field.json"].encode(), REGISTRY)
EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "m1",
    "type": "brody.agents.notification",
    "source": "weather_agent",
    "subject": "*",
    "time": "2026-03-02T07:00:00Z",
    "userid": "me",
    "workspaceid": "default",
    "data": {"text": "Rain at noon"},
}


def fault(event: dict[str, Any]) -> tuple[str, str]:
    """Return code and path of what is wrong with an event."""
    with pytest.raises(ProtocolError) as caught:
        from_cloudevent(event, REGISTRY)
    return caught.value.code, caught.value.path


def message(**fields: Any) -> AgentMessage:
    """Make a message to everyone."""
    known = {"sender": "weather_agent", "recipient": "*", "payload": Notification(text="Rain at noon")}
    return AgentMessage.model_validate(known | {"context": new_context("me")} | fields)


# -- there -------------------------------------------------------------------------------------------


def test_a_message_becomes_an_event() -> None:
    at = datetime(2026, 3, 2, 7, tzinfo=UTC)

    event = to_cloudevent(
        message(id="m1", correlation_id="c1", priority="high", context=new_context("me", timestamp=at))
    )

    assert event == EVENT | {
        "correlationid": "c1",
        "priority": "high",
        "datacontenttype": "application/json",
        "dataschema": "urn:brody-agents:v1/notification.schema.json",
    }


@pytest.mark.parametrize("model", BUILT_IN, ids=lambda model: model.message_type)
def test_dataschema_is_the_id_of_the_exported_schema(model: Any) -> None:
    payload = decode(TEXTS[f"v1/examples/valid/{model.message_type}.json"].encode(), REGISTRY).payload

    schema = to_cloudevent(message(payload=payload))["dataschema"]

    assert orjson.loads(TEXTS[schema.removeprefix("urn:brody-agents:")])["$id"] == schema


def test_an_unknown_type_has_no_schema() -> None:
    event = to_cloudevent(message(payload=UnknownPayload(type_name="tide_table", data={"high": "06:12"})))

    assert event["type"] == "brody.agents.tide_table"
    assert "dataschema" not in event


@patient
@given(messages())
@example(EVERY_FIELD)
def test_an_event_is_one_by_the_letter_of_the_specification(message: AgentMessage) -> None:
    event = to_cloudevent(message)

    assert {"specversion", "id", "type", "source"} <= event.keys()
    assert all(event[name] for name in ("specversion", "id", "type", "source", "subject", "datacontenttype"))
    assert [name for name in event if not re.fullmatch("[a-z0-9]+", name)] == []
    assert [v for name, v in event.items() if name != "data" and not isinstance(v, (str, bool, int))] == []
    assert all(-(2**31) <= value < 2**31 for value in event.values() if isinstance(value, int))
    assert re.fullmatch(r"[A-Za-z0-9._~%-]+", event["source"])
    assert not urlsplit(event["source"]).scheme


def test_what_has_no_json_form_is_refused() -> None:
    with pytest.raises(ProtocolError) as caught:
        to_cloudevent(message(x=float("nan")))
    assert caught.value.code == "unencodable"


def test_the_guide_names_every_attribute() -> None:
    guide = TEXTS["README.md"].partition("## CloudEvents")[2]

    attributes = to_cloudevent(EVERY_FIELD).keys() - {"specversion"}
    assert [name for name in sorted(attributes) if f"`{name}`" not in guide] == []


# -- and back ----------------------------------------------------------------------------------------


@patient
@given(messages())
@example(EVERY_FIELD)
@example(message(sender="ä/b c%41:?#"))
@example(message(sender=".."))
@example(message(payload=UnknownPayload(type_name="brody.agents.x", data={})))
@example(message(subject="s", userid="u", extrafields="e", data=[1], specversion="9", source="s", type="t"))
@example(message(color="red", flag=True, number=2**31 - 1, big=2**31, none=None, real=0.5, list=[], umlautä="x"))
def test_any_message_survives_the_way_there_and_back(message: AgentMessage) -> None:
    event = orjson.loads(orjson.dumps(to_cloudevent(message)))

    again = from_cloudevent(event, REGISTRY)

    assert again == message
    assert type(again.payload) is type(message.payload)
    assert orjson.dumps(payload_data(again.payload)) == orjson.dumps(payload_data(message.payload))


def test_an_event_keeps_the_attributes_of_others() -> None:
    event = EVENT | {"partitionkey": "k1", "sequence": 7, "sampled": True}

    there = to_cloudevent(from_cloudevent(event, REGISTRY))

    assert there == event | {
        "datacontenttype": "application/json",
        "dataschema": "urn:brody-agents:v1/notification.schema.json",
    }


def test_the_type_of_another_system_is_kept_as_an_unknown_one() -> None:
    payload = from_cloudevent(EVENT | {"type": "com.tides.forecast"}, REGISTRY).payload

    assert payload == UnknownPayload(type_name="com.tides.forecast", data={"text": "Rain at noon"})


def test_an_attribute_that_is_null_is_absent() -> None:
    assert from_cloudevent(EVENT | {"correlationid": None}, REGISTRY) == from_cloudevent(EVENT, REGISTRY)


@pytest.mark.parametrize("media_type", ["application/json", "application/json; charset=utf-8", "application/x+JSON"])
def test_data_of_any_json_media_type_is_read(media_type: str) -> None:
    assert from_cloudevent(EVENT | {"datacontenttype": media_type}, REGISTRY).message_type == "notification"


# -- what is no message ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVENT)
def test_a_needed_attribute_that_is_absent_is_named(name: str) -> None:
    assert fault({key: value for key, value in EVENT.items() if key != name}) == ("missing", f"$.{name}")


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"specversion": "0.3"}, "$.specversion"),
        ({"type": 7}, "$.type"),
        ({"type": "brody.agents."}, "$.type"),
        ({"source": ""}, "$.source"),
        ({"subject": 7}, "$.subject"),
        ({"time": "noon"}, "$.time"),
        ({"userid": ""}, "$.userid"),
        ({"deadline": "2026-03-02"}, "$.deadline"),
        ({"notbefore": 7}, "$.notbefore"),
        ({"datacontenttype": "text/xml"}, "$.datacontenttype"),
        ({"data": "Rain"}, "$.data"),
        ({"data": {"text": "Rain", "about": [""]}}, "$.data.about[0]"),
        ({"provenance": {"": {}}}, "$.provenance"),
        ({"provenance": "[]"}, "$.provenance"),
        ({"provenance": '{"/text": {"origin": "me"}}'}, "$.provenance['/text'].origin"),
        ({"extrafields": "{"}, "$.extrafields"),
        ({"contextfields": "7"}, "$.contextfields"),
        ({"recipient": "somebody"}, "$.recipient"),
    ],
)
def test_the_path_leads_into_the_event(changed: dict[str, Any], path: str) -> None:
    assert fault(EVENT | changed) == ("invalid", path)


def test_binary_data_is_no_payload() -> None:
    without = {name: value for name, value in EVENT.items() if name != "data"}

    assert fault(without | {"data_base64": "e30="}) == ("missing", "$.data")


def test_a_payload_field_that_is_absent_is_named() -> None:
    assert fault(EVENT | {"data": {}}) == ("missing", "$.data.text")


@pytest.mark.parametrize(
    "event",
    [{1: 2}, {"x": object()}, [1], EVENT | {"x": "half a pair: \ud83d"}],
    ids=["number-as-key", "object", "list", "half-a-pair"],
)
def test_what_is_no_json_object_is_refused(event: Any) -> None:
    assert fault(event) == ("not_json", "$")


@patient
@given(
    messages().map(to_cloudevent).flatmap(mutated)
    | st.dictionaries(st.sampled_from([*to_cloudevent(EVERY_FIELD), "x"]), json_values)
)
def test_any_event_is_a_message_or_an_error(event: Any) -> None:
    try:
        read = from_cloudevent(event, REGISTRY)
    except ProtocolError as error:
        assert error.path.startswith("$")  # noqa: PT017
    else:
        assert from_cloudevent(to_cloudevent(read), REGISTRY) == read
