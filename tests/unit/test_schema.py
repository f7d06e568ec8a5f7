"""The schemas tell the same as the structs."""

import json
from typing import Any

import msgspec
import pytest
import yaml
from typer.testing import CliRunner

from ecgstream import messages, schema
from ecgstream.cli import app
from ecgstream.codec import JSON, MSGPACK, encode
from ecgstream.pipeline import CONTENT_TYPE
from ecgstream.topics import Topics

run = CliRunner().invoke


def references(document: Any) -> set[str]:
    """All ``$ref`` of a document."""
    if isinstance(document, dict):
        own = {document["$ref"]} if "$ref" in document else set()
        return own.union(*(references(value) for value in document.values()))
    if isinstance(document, list):
        return set().union(*(references(value) for value in document))
    return set()


def resolves(document: dict[str, Any], reference: str) -> bool:
    """Whether a local reference leads somewhere."""
    place: Any = document
    for part in reference.removeprefix("#/").split("/"):
        if part not in place:
            return False
        place = place[part]
    return True


def test_every_record_that_travels_has_a_schema() -> None:
    travelling = {
        kind.__name__
        for kind in vars(messages).values()
        if isinstance(kind, type) and issubclass(kind, messages.Record) and kind is not messages.Record
    }
    assert set(schema.RECORDS) == travelling


@pytest.mark.parametrize("name", schema.RECORDS)
def test_schema_is_whole(name: str) -> None:
    document = schema.json_schema(name)
    assert document["type"] == "object"
    assert document["additionalProperties"] is False
    fields = {field.encode_name for field in msgspec.structs.fields(schema.RECORDS[name])}
    assert set(document["properties"]) == fields
    assert all(resolves(document, reference) for reference in references(document))


def test_chunk_bounds_are_told() -> None:
    chunk = schema.json_schema("Chunk")
    assert chunk["properties"]["fs_hz"] == {"type": "number", "minimum": 100.0, "maximum": 1000.0}
    as_list, as_text = sorted(chunk["properties"]["samples"]["anyOf"], key=lambda kind: kind["type"])
    assert as_list["items"] == {"type": "integer", "minimum": -32768, "maximum": 32767}
    assert as_text["contentEncoding"] == "base64"
    assert set(chunk["required"]) == {
        "device_id", "session", "first_sample", "start_us", "fs_hz", "uv_per_lsb", "samples",
    }  # fmt: skip


def test_asyncapi_has_every_topic_of_the_path() -> None:
    document = schema.asyncapi()
    assert document["asyncapi"] == "3.0.0"
    addresses = {channel["address"] for channel in document["channels"].values()}
    of_our_own = {Topics().audit, *Topics().changelogs}
    assert addresses == set(Topics().configurations()) - of_our_own
    assert all(resolves(document, reference) for reference in references(document))
    assert {o["action"] for o in document["operations"].values()} == {"send", "receive"}


def test_asyncapi_tells_each_record_as_it_is_written_or_may_be() -> None:
    told = schema.asyncapi()["components"]["messages"]
    enums = {name: m["headers"]["properties"]["content-type"]["enum"] for name, m in told.items()}
    ways = {name: (message["contentType"], enums[name]) for name, message in told.items()}
    read = dict.fromkeys(("Chunk", "Ack", "Snooze", "DeviceSettings"), (JSON, [JSON, MSGPACK]))
    written = {"Finding": (MSGPACK, [MSGPACK]), "Alert": (JSON, [JSON]), "DeadLetter": (MSGPACK, [MSGPACK])}
    assert ways == read | written
    assert dict(CONTENT_TYPE) == {"content-type": told["Finding"]["contentType"].encode()}
    letter = encode(messages.DeadLetter(reason="r", topic="t", partition=0, offset=0))
    assert msgspec.msgpack.decode(letter)["reason"] == "r"


def test_asyncapi_tells_the_topics_of_gateways_where_there_are_any() -> None:
    done = run(app, ["schema", "--asyncapi"], env={"ECGSTREAM_GATEWAYS": "acme,beta"})
    document = json.loads(done.stdout)
    channel = document["channels"]["samples-of-gateways"]
    topics = Topics(gateways=("acme", "beta"))
    made = [channel["address"].format(gateway=name) for name in channel["parameters"]["gateway"]["enum"]]
    assert made == list(topics.of_gateways)
    assert "Chunk" in channel["messages"]
    assert "topic" not in channel["bindings"]["kafka"], "the address tells it, filled in"
    assert document["operations"]["publishSamplesOfGateway"]["action"] == "receive"
    assert all(resolves(document, reference) for reference in references(document))
    assert "parameters" not in json.dumps(schema.asyncapi())


def test_command_prints_json_and_yaml() -> None:
    one = run(app, ["schema", "Chunk"])
    assert one.exit_code == 0
    assert json.loads(one.stdout) == schema.json_schema("Chunk")
    assert json.loads(run(app, ["schema"]).stdout) == schema.json_schemas()
    written = run(app, ["schema", "--asyncapi", "--yaml"]).stdout
    assert yaml.safe_load(written) == json.loads(json.dumps(schema.asyncapi()))


def test_command_names_the_topics_as_they_are_named_here() -> None:
    done = run(app, ["schema", "--asyncapi"], env={"ECGSTREAM_TOPIC_PREFIX": "ward."})
    addresses = {channel["address"] for channel in json.loads(done.stdout)["channels"].values()}
    assert len(addresses) == 6
    assert all(address.startswith("ward.") for address in addresses)
    refused = run(app, ["schema", "--asyncapi"], env={"ECGSTREAM_TOPIC_PREFIX": "ward/"})
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "ECGSTREAM_TOPIC_PREFIX: 'ward/'" in refused.stderr


def test_command_refuses_an_unknown_record() -> None:
    done = run(app, ["schema", "Sample"])
    assert done.exit_code == 2
    assert "'Sample' is none of Chunk, Finding" in done.stderr
