"""What stands in ``protocols/`` is what the models say, and a schema and the decoder agree on every example."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from hypothesis import given
from jsonschema import Draft202012Validator
from pydantic import BaseModel
from typer.testing import CliRunner

from brody_agents.action import CATALOGUE
from brody_agents.communication import protocol_cli
from brody_agents.communication.export import documents, drift, write
from brody_agents.communication.message_protocol import (
    MAX_BYTES,
    AgentMessage,
    Payload,
    PayloadRegistry,
    decode,
    encode,
    payload_data,
    payload_schema,
)
from brody_agents.communication.payloads import BUILT_IN, built_in_registry
from brody_agents.errors import ProtocolError
from tests.communication.strategies import SCHEMA, messages, mutated, patient, wire_documents

PROTOCOLS = Path(__file__).parents[2] / "protocols"
TEXTS = documents(extra=protocol_cli.extra_models())
JSON: dict[str, Any] = {path: json.loads(text) for path, text in TEXTS.items() if path.endswith(".schema.json")}
EXPECTED: dict[str, Any] = json.loads(TEXTS["v1/examples/expected.json"])
VALID = {name: TEXTS[f"v1/examples/valid/{name}"].encode() for name in EXPECTED["valid"]}
INVALID = {name: TEXTS[f"v1/examples/invalid/{name}"].encode() for name in EXPECTED["invalid"]}
ENVELOPE = Draft202012Validator(SCHEMA)
REGISTRY = built_in_registry()


# -- the files ---------------------------------------------------------------------------------------


def test_the_files_of_the_project_are_the_ones_that_the_models_make() -> None:
    """Run ``brody protocol export protocols`` when this fails."""
    assert drift(PROTOCOLS, TEXTS) == []


def test_the_same_models_make_the_same_text() -> None:
    assert documents(extra=protocol_cli.extra_models()) == TEXTS


def test_drift_names_what_is_missing_what_differs_and_what_is_left_over(tmp_path: Path) -> None:
    write(tmp_path, TEXTS)
    assert drift(tmp_path, TEXTS) == []

    (tmp_path / "asyncapi.yaml").unlink()
    (tmp_path / "README.md").write_text("old")
    (tmp_path / "v1/examples/valid/gone.json").write_text("{}")
    (tmp_path / "openapi.json").write_text("another's")

    assert drift(tmp_path, TEXTS) == [
        "README.md differs",
        "asyncapi.yaml is missing",
        "v1/examples/valid/gone.json is not exported any more",
    ]


def test_every_line_ends_as_unix_ends_it_and_every_file_ends_with_one() -> None:
    assert [path for path, text in TEXTS.items() if "\r" in text or not text.endswith("\n")] == []


def test_a_payload_of_any_name_stays_below_its_folder() -> None:
    class Sly(Payload, message_type="../../sly"):
        pass

    assert "v1/..%2F..%2Fsly.schema.json" in documents(PayloadRegistry([Sly]))


def test_two_schemas_of_one_name_clash() -> None:
    class Mine(Payload, message_type="agent_message"):
        pass

    with pytest.raises(ValueError, match=r"v1/agent_message\.schema\.json"):
        documents(PayloadRegistry([Mine]))


# -- the schemas -------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", BUILT_IN, ids=lambda model: model.message_type)
def test_every_payload_is_exported(model: type[Payload]) -> None:
    schema = JSON[payload_schema(model.message_type)]

    assert schema["title"] == model.__name__
    assert schema["description"]
    assert schema["properties"].keys() == model.model_fields.keys()


@pytest.mark.parametrize("kind", CATALOGUE)
def test_the_arguments_of_every_action_are_exported(kind: str) -> None:
    schema = JSON[f"v1/actions/{kind}.schema.json"]

    assert schema["title"] == CATALOGUE[kind].model.__name__
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("path", JSON)
def test_every_schema_is_one_and_refers_to_nothing_outside_itself(path: str) -> None:
    schema = JSON[path]

    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:brody-agents:{path}"
    assert all(reference.startswith("#/$defs/") for reference in references(schema))


def test_fields_are_described_by_their_docstrings() -> None:
    email = JSON["v1/email_classified.schema.json"]["properties"]
    suggested = JSON["v1/task_suggestion.schema.json"]["$defs"]["SuggestedTask"]["properties"]
    envelope = JSON["v1/agent_message.schema.json"]["$defs"]["AgentMessage"]["properties"]

    assert email["waiting_on"]["description"] == "Addresses of those from whom the user waits for an answer."
    assert suggested["assignee"]["description"] == "Address of whoever has to do it; absent means the user."
    assert [name for name, field in envelope.items() if "description" not in field and "$ref" not in field] == []


def test_further_models_are_described_as_they_are_written_out() -> None:
    class Report(BaseModel):
        lines: list[str] = []

    schema = json.loads(documents(extra={"report": Report})["v1/report.schema.json"])

    assert schema["required"] == ["lines"]


@patient
@given(messages())
def test_what_is_written_fits_the_schemas(message: AgentMessage) -> None:
    document = orjson.loads(encode(message))

    assert list(ENVELOPE.iter_errors(document)) == []
    if message.message_type in REGISTRY.models:
        schema = Draft202012Validator(JSON[payload_schema(message.message_type)])
        assert list(schema.iter_errors(payload_data(message.payload))) == []


@patient
@given(wire_documents().flatmap(mutated))
def test_schema_and_decoder_agree(document: Any) -> None:
    try:
        decode(orjson.dumps(document), REGISTRY)
        decodes = True
    except ProtocolError:
        decodes = False

    assert ENVELOPE.is_valid(document) == decodes


# -- the examples ------------------------------------------------------------------------------------


def test_there_is_a_valid_example_of_every_payload_and_of_an_unknown_one() -> None:
    types = {example["message_type"] for example in EXPECTED["valid"].values()}

    assert types - REGISTRY.models.keys() == {"weather_report"}
    assert REGISTRY.models.keys() - types == set()


def test_there_is_an_invalid_example_of_every_code() -> None:
    codes = {example["code"] for part in ("invalid", "made") for example in EXPECTED[part].values()}

    assert codes == {"too_large", "not_json", "not_a_message", "too_deep", "missing", "invalid"}


@pytest.mark.parametrize("name", VALID)
def test_a_valid_example_decodes_and_fits_the_schema(name: str) -> None:
    message = decode(VALID[name], REGISTRY)

    ENVELOPE.validate(orjson.loads(VALID[name]))
    assert message.message_type == EXPECTED["valid"][name]["message_type"]
    again = orjson.loads(encode(message).replace(b'"normal"', b'"medium"'))["agent_message"]
    sent = orjson.loads(VALID[name].replace(b'"normal"', b'"medium"'))["agent_message"]
    assert again == {"id": message.id} | sent


def test_one_valid_example_has_every_field() -> None:
    message = orjson.loads(VALID["every_field.json"])["agent_message"]

    assert AgentMessage.model_fields.keys() - message.keys() == set()


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_example_fails_with_its_code_and_path(name: str) -> None:
    expected = EXPECTED["invalid"][name]

    with pytest.raises(ProtocolError) as caught:
        decode(INVALID[name], REGISTRY)
    assert (caught.value.code, caught.value.path) == (expected["code"], expected["path"])


@pytest.mark.parametrize("name", [name for name, expected in EXPECTED["invalid"].items() if expected["schema"]])
def test_what_a_schema_can_see_it_refuses(name: str) -> None:
    assert not ENVELOPE.is_valid(orjson.loads(INVALID[name]))


def test_what_is_made_fails_as_it_says() -> None:
    assert EXPECTED["made"]
    for made in EXPECTED["made"].values():
        data = TEXTS[f"v1/examples/{made['from']}"].encode().ljust(made["pad_to"])
        assert len(data) == MAX_BYTES + 1
        with pytest.raises(ProtocolError) as caught:
            decode(data, REGISTRY)
        assert (caught.value.code, caught.value.path) == (made["code"], made["path"])


# -- AsyncAPI and the guide --------------------------------------------------------------------------


def references(value: Any) -> list[str]:
    """Return all ``$ref`` inside a JSON value."""
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for inner in value.values() for found in references(inner)]
    return [found for inner in value for found in references(inner)] if isinstance(value, list) else []


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = yaml.safe_load(TEXTS["asyncapi.yaml"])

    assert document["asyncapi"] == "3.0.0"
    for reference in references(document):
        if reference.startswith("./"):
            assert reference.removeprefix("./") in TEXTS
        else:
            value = document
            for step in reference.removeprefix("#/").split("/"):
                value = value[step]


def test_every_message_travels_on_every_channel() -> None:
    document = yaml.safe_load(TEXTS["asyncapi.yaml"])

    assert document["components"]["messages"].keys() == REGISTRY.models.keys()
    assert {channel["address"] for channel in document["channels"].values()} == {"{recipient}", "*", "coordinator"}
    for channel in document["channels"].values():
        assert channel["messages"].keys() == REGISTRY.models.keys()


def test_every_link_of_the_guide_leads_to_a_file() -> None:
    links = [part.split(")")[0] for part in TEXTS["README.md"].split("](")[1:]]

    assert len(links) > len(BUILT_IN) + len(CATALOGUE)
    assert [link for link in links if link not in TEXTS] == []


# -- the command line --------------------------------------------------------------------------------


def run(*arguments: str, data: bytes | None = None) -> tuple[int, str, str]:
    """Run ``brody protocol``; return exit code, standard output and standard error."""
    result = CliRunner().invoke(protocol_cli.app, [*arguments], input=data)
    return result.exit_code, result.stdout, result.stderr


def test_export_writes_what_the_project_has(tmp_path: Path) -> None:
    code, out, _ = run("export", str(tmp_path / "new" / "protocols"))

    assert code == 0
    assert f"{len(TEXTS)} files" in out
    assert drift(tmp_path / "new" / "protocols", TEXTS) == []


def test_export_to_a_place_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    code, _, err = run("export", str(tmp_path / "file"))

    assert code == 2
    assert "Name a folder that you may write to." in err


def test_validate_a_message() -> None:
    path = PROTOCOLS / "v1/examples/valid/original.json"

    assert run("validate", str(path)) == (0, "valid: task_suggestion from email_agent to task_agent\n", "")


def test_validate_a_message_of_an_unknown_type_says_that_it_is_kept() -> None:
    code, out, _ = run("validate", "-", data=VALID["unknown_type.json"])

    assert code == 0
    assert out.startswith("valid: weather_report ")
    assert "kept" in out


@pytest.mark.parametrize("name", INVALID)
def test_validate_what_is_no_message_prints_code_path_and_what(name: str) -> None:
    expected = EXPECTED["invalid"][name]

    code, out, _ = run("validate", "-", data=INVALID[name])

    assert code == 1
    assert out.startswith(f"{expected['code']} {expected['path']} ")
    assert len(out.splitlines()) == 1


def test_validate_what_is_too_large() -> None:
    code, out, _ = run("validate", "-", data=VALID["original.json"].ljust(MAX_BYTES + 1))

    assert (code, out[:12]) == (1, "too_large $ ")


@pytest.mark.parametrize("name", ["absent.json", ".", "nul\0.json"])
def test_validate_what_cannot_be_read_says_what_to_do(tmp_path: Path, name: str) -> None:
    code, out, err = run("validate", str(tmp_path / name))

    assert (code, out) == (2, "")
    assert "Name a file that you may read" in err


def test_validate_lets_no_message_steer_the_terminal() -> None:
    hostile = VALID["original.json"].replace(b"email_agent", rb"\u001b[2J\nvalid:")

    code, out, _ = run("validate", "-", data=hostile)

    assert (code, out) == (0, "valid: task_suggestion from \\u001b[2J\\u000avalid: to task_agent\n")
