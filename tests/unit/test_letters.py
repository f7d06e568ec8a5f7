"""What is refused, in which words; what of it goes into a dead letter, and what into a log."""

from typing import Any, NamedTuple

import msgspec
import pytest

from ecgstream.codec import JSON, MAX_RECORD_BYTES, MSGPACK, InvalidRecord, decode, encode
from ecgstream.letters import MAX_VALUE_BYTES, NO_ID, dead_letter, field_at_fault, loggable_id
from ecgstream.messages import Chunk, DeviceSettings
from ecgstream.refusals import LONGEST_VALUE
from logs import chunk

GOOD: dict[str, Any] = msgspec.to_builtins(chunk(0, [1, 2, 3]), builtin_types=[bytes])
NAME = "Mueller, Hans 1954-03-02"


class Record(NamedTuple):
    key: bytes | None
    value: bytes | None
    headers: Any = ()
    topic: str = "ecg.samples"
    partition: int = 3
    offset: int = 7


def refusal(kind: type, value: bytes, content_type: str = JSON) -> str:
    with pytest.raises(InvalidRecord) as caught:
        decode(kind, value, content_type)
    return str(caught.value)


@pytest.mark.parametrize("depth", [3_000, 100_000])
def test_deep_nesting_is_the_senders_fault(depth: int) -> None:
    for value in (
        b'{"device_id":' + b"[" * depth + b"]" * depth + b"}",
        b'{"x":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}",
    ):
        assert refusal(Chunk, value) == f"value: nested too deeply (read as {JSON})"
    for value in (b"\x81\xa1v" + b"\x91" * depth + b"\xc0", b"\x91" * depth + b"\xc0"):
        assert refusal(Chunk, value, MSGPACK) == f"value: nested too deeply (read as {MSGPACK})"


@pytest.mark.parametrize("depth", range(50, 1_000, 50))
def test_no_depth_in_between_raises_anything_else(depth: int) -> None:
    refusal(Chunk, b'{"device_id":' + b"[" * depth + b"]" * depth + b"}")


@pytest.mark.parametrize("name", ["device_id", "session", "lead"])
@pytest.mark.parametrize("text", ["a\n", "a\nb", "a\x1b[31m", "a\x85", "a\u202eb"])
def test_ids_and_leads_hold_nothing_that_a_terminal_obeys(name: str, text: str) -> None:
    assert f"{name}: {text!r} has characters" in refusal(Chunk, msgspec.json.encode(GOOD | {name: text}))


@pytest.mark.parametrize("lead", ["", "I", "MLII", "ECG 1", "V5", "aVF", "Brustwand-Ä", "ECG1+ECG2"])
def test_leads_of_recordings_pass(lead: str) -> None:
    assert decode(Chunk, msgspec.json.encode(GOOD | {"lead": lead})).lead == lead


@pytest.mark.parametrize(
    "name", ["Mueller", NAME, "missing", "x` - at `$.Mueller", "x:y", "v: Mueller", "Mueller` missing"]
)
def test_a_reason_begins_with_no_word_of_the_senders(name: str) -> None:
    reason = refusal(Chunk, msgspec.json.encode({name: 1} | GOOD))
    assert reason.startswith("value: unknown field ")
    assert field_at_fault(reason) == "value"


def test_an_unknown_field_deep_inside_is_told_by_the_field_around_it() -> None:
    value = msgspec.json.encode({"device_id": "d", "kinds": {NAME: {NAME: 1}}})
    reason = refusal(DeviceSettings, value)
    assert reason.startswith(f"kinds[...]: unknown field '{NAME}'")
    assert field_at_fault(reason, DeviceSettings) == "kinds"
    assert field_at_fault(reason, Chunk) == "value"


@pytest.mark.parametrize(
    ("reason", "field"),
    [
        ("samples[1]: 40000 is outside", "samples"),
        ("fs_hz, uv_per_lsb: nan, 1.0: not a number", "fs_hz, uv_per_lsb"),
        ("key: 'x' differs from", "key"),
        ("content-type: expected", "content-type"),
        ("partition: 'd' is live on", "partition"),
        ("record: can't be unpacked", "record"),
        (f"{NAME}: 3 is refused", "value"),
        ("", "value"),
    ],
)
def test_a_log_names_the_fields_that_a_record_has(reason: str, field: str) -> None:
    assert field_at_fault(reason) == field


@pytest.mark.parametrize(
    ("key", "logged"),
    [
        (None, None),
        (b"chest-7", "chest-7"),
        ("acme.chest:7_b", "acme.chest:7_b"),
        (NAME.encode(), NO_ID),
        (b"chest-7\n", NO_ID),
        (b"", NO_ID),
        (b"x\nFAKE [critical]\x1b[31m", NO_ID),
        (b"chest-\xff", NO_ID),
        (b"a" * 65, NO_ID),
    ],
)
def test_a_log_holds_ids_and_nothing_else(key: bytes | None, logged: str | None) -> None:
    assert loggable_id(key) == logged


def test_a_letter_holds_the_record_as_it_came() -> None:
    letter = dead_letter(
        Record(b"d", b"x" * 420_000, [("content-type", b"json"), ("h", None)]), "why", parked=True
    )
    assert (letter.reason, letter.parked) == ("why", True)
    assert (letter.topic, letter.partition, letter.offset) == ("ecg.samples", 3, 7)
    assert (letter.key, letter.value) == (b"d", b"x" * 420_000)
    assert letter.headers == [("content-type", b"json"), ("h", b"")]


@pytest.mark.parametrize(
    ("headers", "pairs"), [(None, []), ({"a": b"1", "b": None}, [("a", b"1"), ("b", b"")])]
)
def test_headers_may_come_as_faust_gives_them(headers: Any, pairs: list[tuple[str, bytes]]) -> None:
    assert dead_letter(Record(None, None, headers), "why").headers == pairs


@pytest.mark.parametrize("headers", [[("ä" * 5_000, b"x" * 9_000)] * 9, [("", b"")] * 100_000])
def test_a_letter_of_whatever_record_is_no_longer_than_a_record_may_be(headers: Any) -> None:
    record = Record(b"k" * 5_000_000, b"v" * 5_000_000, headers, "t" * 249)
    letter = dead_letter(record, "ä" * 5_000)
    assert len(encode(letter)) <= MAX_RECORD_BYTES
    assert letter.value == b"v" * MAX_VALUE_BYTES
    assert letter.reason.endswith(f"of {len(headers)} headers kept)")
    for part in ("key", "value"):
        assert f"{part} cut to its first" in letter.reason
        assert "of 5000000 bytes" in letter.reason


def test_a_refused_value_is_quoted_in_part() -> None:
    reason = refusal(Chunk, msgspec.json.encode(GOOD | {"lead": "x" * 5_000}))
    assert len(reason) < LONGEST_VALUE + 120
