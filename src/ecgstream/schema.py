"""The records as JSON Schemas and the topics as an AsyncAPI 3 document, both drawn from the `msgspec` structs.

The structs in `ecgstream.messages` are the only definition; these documents can't differ from what is
checked when a record is read.
"""

from typing import Any

import msgspec

from ecgstream import __version__
from ecgstream.codec import JSON, MAX_RECORD_BYTES, MSGPACK
from ecgstream.messages import (
    SCHEMA_VERSION,
    Ack,
    Alert,
    Chunk,
    DeadLetter,
    DeviceSettings,
    Finding,
    Record,
    Snooze,
)
from ecgstream.topics import DEFAULT_PARTITIONS, Topics

RECORDS: dict[str, type[Record]] = {
    kind.__name__: kind for kind in (Chunk, Finding, Alert, Ack, Snooze, DeviceSettings, DeadLetter)
}
DIALECT = "https://json-schema.org/draft/2020-12/schema"

_CHANNELS: dict[str, tuple[str, tuple[str, ...], str, str]] = {
    # channel: (what it carries, records, who writes: "receive" is read by ecgstream and "send" written by it, doc)
    "samples": (
        "receive",
        ("Chunk",),
        "publishSamples",
        "Samples of the devices, written by their gateways.",
    ),
    "rhythm": ("send", ("Finding",), "readFindings", "What each window shows, written by the monitor."),
    "alerts": ("send", ("Alert",), "readAlerts", "Alerts for the staff, written by alerting."),
    "acks": ("receive", ("Ack", "Snooze"), "answerAlerts", "The staff's answers, read by alerting."),
    "dead-letters": ("send", ("DeadLetter",), "readDeadLetters", "Records that could not be taken, and why."),
    "device-settings": (
        "receive",
        ("DeviceSettings",),
        "setLimits",
        "Limits of single devices; the last one counts.",
    ),
}
_OF_GATEWAYS = "samples-of-gateways"
# How we write; what we read may be either.
_WRITTEN = {"Finding": MSGPACK, "Alert": JSON, "DeadLetter": MSGPACK}


def json_schema(name: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of one record; bytes are base64 text in JSON.

    Raises `KeyError` for a name that isn't in `RECORDS`.
    """
    (reference,), definitions = msgspec.json.schema_components([RECORDS[name]], ref_template="#/$defs/{name}")
    assert reference == {"$ref": f"#/$defs/{name}"}
    own = definitions.pop(name)
    return {"$schema": DIALECT, "$id": f"urn:ecgstream:v{SCHEMA_VERSION}:{name}", **own, "$defs": definitions}


def json_schemas() -> dict[str, dict[str, Any]]:
    """All records' JSON Schemas by name."""
    return {name: json_schema(name) for name in RECORDS}


def asyncapi(topics: Topics | None = None) -> dict[str, Any]:
    """An AsyncAPI 3.0 document of all topics: their keys, records, encodings and Kafka settings."""
    topics = topics or Topics()
    channels = {name: _channel(name, topics) for name in _CHANNELS}
    operations = {
        operation: {"action": action, "channel": {"$ref": f"#/channels/{name}"}, "summary": text}
        for name, (action, _, operation, text) in _CHANNELS.items()
    }
    if topics.gateways:
        channels[_OF_GATEWAYS] = channel = _channel_of_gateways(channels["samples"], topics)
        operations["publishSamplesOfGateway"] = {
            "action": "receive",
            "channel": {"$ref": f"#/channels/{_OF_GATEWAYS}"},
            "summary": channel["description"],
        }
    _, schemas = msgspec.json.schema_components(RECORDS.values(), ref_template="#/components/schemas/{name}")
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "ecgstream",
            "version": __version__,
            "description": "Streaming arrhythmia monitor for single-lead wearable ECG: samples in, alerts out.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": JSON,
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": {name: _message(name) for name in RECORDS},
            "schemas": schemas,
        },
    }


def _channel(name: str, topics: Topics) -> dict[str, Any]:
    _, records, _, text = _CHANNELS[name]
    address = topics.prefix + name
    settings = topics.configurations()[address]
    return {
        "address": address,
        "description": text,
        "messages": {record: {"$ref": f"#/components/messages/{record}"} for record in records},
        "bindings": {
            "kafka": {
                "topic": address,
                "partitions": DEFAULT_PARTITIONS,
                "topicConfiguration": _typed(settings),
                "bindingVersion": "0.5.0",
            }
        },
    }


def _channel_of_gateways(samples: dict[str, Any], topics: Topics) -> dict[str, Any]:
    """The topics of samples that one gateway alone writes, as one channel."""
    kafka = {name: value for name, value in samples["bindings"]["kafka"].items() if name != "topic"}
    return samples | {
        "address": f"{topics.samples}.{{gateway}}",
        "description": "Samples of one gateway's devices, whose ids begin with its name and a dot.",
        "parameters": {"gateway": {"enum": list(topics.gateways)}},
        "bindings": {"kafka": kafka},
    }


def _typed(settings: dict[str, str]) -> dict[str, Any]:
    """The settings with the types that the Kafka binding asks for; it knows no others than these."""
    typed: dict[str, Any] = {}
    for name in ("retention.ms", "max.message.bytes"):
        if name in settings:
            typed[name] = int(settings[name])
    if "cleanup.policy" in settings:
        typed["cleanup.policy"] = [settings["cleanup.policy"]]
    return typed


def _message(name: str) -> dict[str, Any]:
    written = _WRITTEN.get(name)
    how = "JSON or MessagePack: the header tells, without it the first byte does."
    if written is not None:
        how = "JSON." if written == JSON else "MessagePack, with bytes where the schema has base64 text."
    return {
        "name": name,
        "title": (RECORDS[name].__doc__ or name).splitlines()[0],
        "description": f"At most {MAX_RECORD_BYTES} bytes of {how}",
        "contentType": written or JSON,
        "headers": {
            "type": "object",
            "properties": {
                "content-type": {"type": "string", "enum": [written] if written else [JSON, MSGPACK]}
            },
        },
        "payload": {"$ref": f"#/components/schemas/{name}"},
        "bindings": {
            "kafka": {"key": {"type": "string", "description": "The device id."}, "bindingVersion": "0.5.0"}
        },
    }
