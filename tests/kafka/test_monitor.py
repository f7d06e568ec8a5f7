"""The monitor on real brokers: dead letters, restarts, streamed as replayed."""

import asyncio
import json
from typing import Any

import msgspec
import pytest
from aiokafka.errors import KafkaConnectionError
from prometheus_client import generate_latest

from ecgstream.codec import encode
from ecgstream.messages import Chunk, Finding
from ecgstream.parking import Parking
from ecgstream.replay import Place
from ecgstream.topics import Topics, create
from logs import START_US, Memoryless, chunk, ecg, read
from streams import Raw, crash, findings_until, letters_until, monitoring, publish, raw, stumble

FS = 100
GOOD: dict[str, Any] = {
    "device_id": "bad", "session": "s", "first_sample": 0, "start_us": START_US, "fs_hz": 250.0,
    "uv_per_lsb": 1.0, "samples": [1, 2, 3],
}  # fmt: skip


def cut(device_id: str, seconds: int, seed: int = 0, chunk_s: int = 1) -> list[Chunk]:
    """A device's chunks, and ten seconds in the middle of another session, which end the one before and tell nothing."""
    samples = ecg(FS * seconds, FS, seed)
    n = FS * chunk_s
    made = [chunk(at, samples[at : at + n], device_id=device_id) for at in range(0, len(samples), n)]
    return [*made, chunk(10**6, [0] * 10 * FS, device_id=device_id, session="over")]


def offline(chunks: list[Chunk]) -> dict[tuple[str, str, int], Finding]:
    """What the core finds without Kafka."""
    return read([(c, Place(k, 1)) for k, c in enumerate(chunks)], memoryless=True).by_identity()


def identities(findings: list[Finding]) -> list[tuple[str, str, int]]:
    return [(f.device_id, f.session, f.window) for f in findings]


def broken(**changes: Any) -> Raw:
    fields = {name: value for name, value in (GOOD | changes).items() if value is not ...}
    return fields.get("device_id", "bad") and b"bad", json.dumps(fields).encode(), []


def packed(**changes: Any) -> Raw:
    return b"bad", msgspec.msgpack.encode(GOOD | changes), []


BROKEN: list[tuple[str, Raw]] = [
    ("value: empty record", (b"bad", None, [])),
    ("value: empty record", (b"bad", b"", [])),
    ("value: input data was truncated", (b"bad", b'{"device_id": ', [])),
    ("value: expected `object`", (b"bad", b"hello", [])),
    ("content-type: expected", (b"bad", encode(chunk(0, [1], device_id="bad")), [("content-type", b"text/xml")])),
    ("key: 'other' differs from the device_id 'bad'", (b"other", *broken()[1:])),
    ("key: missing", (None, *broken()[1:])),
    ("first_sample: -1 is outside 0..", broken(first_sample=-1)),
    ("fs_hz: 99.0 is outside 100..1000", broken(fs_hz=99.0)),
    ("fs_hz: 5000.0 is outside 100..1000", broken(fs_hz=5000.0)),
    ("fs_hz: '250' is of type str", broken(fs_hz="250")),
    ("fs_hz: missing", broken(fs_hz=...)),
    ("fs_hz: nan is outside", packed(fs_hz=float("nan"))),
    ("uv_per_lsb: 0.0 is outside", broken(uv_per_lsb=0.0)),
    ("samples[1]: 40000 is outside -32768..32767", broken(samples=[1, 40000])),
    ("samples[0]: 1.5 is of type float", broken(samples=[1.5])),
    ("samples: 3 bytes is not a whole number of int16", packed(samples=b"abc")),
    ("samples: 15001 at 250.0 Hz is longer than 60 s", broken(samples=[0] * 15001)),
    ("samples: missing", broken(samples=...)),
    ("device_id: 'bad device' has characters", broken(device_id="bad device")),
    ("session: '' has the wrong length", broken(session="")),
    ("start_us: 5 would put sample 0 of the session before 1970", broken(start_us=5, first_sample=10**6)),
    ("start_us: -1 is outside", broken(start_us=-1)),
    ("v: 2 is outside 1..1", broken(v=2)),
    ("value: unknown field 'rate'", broken(rate=250)),
    ("lead_off: 'no' is of type str", broken(lead_off="no")),
    ("value: nested too deeply", (b"bad", b'{"device_id":' + b"[" * 3000 + b"]" * 3000 + b"}", [])),
    ("value: nested too deeply", (b"bad", b"\x81\xa1v" + b"\x91" * 3000 + b"\xc0", [])),
    ("device_id: 'bad\\n' has characters", broken(device_id="bad\n")),
    ("lead: 'I\\x1b[31m' has characters", broken(lead="I\x1b[31m")),
    ("value: 4109 bytes for 3 samples", (b"bad", (broken()[1] or b"").ljust(4109), [])),
]  # fmt: skip
# Broken only beside another: the good one goes first.
BESIDE: list[tuple[str, Raw]] = [
    ("samples: sample 400 is 0, but", raw(chunk(400, [0, -7], device_id="good"))),
    ("fs_hz: 250.0, but the session 's' has 100.0", raw(chunk(600, [1, 2], device_id="good", fs_hz=250.0))),
    (
        "uv_per_lsb: 4.0, but the session 's' has 2.0",
        raw(chunk(600, [1, 2], device_id="good", uv_per_lsb=4.0)),
    ),
    ("lead: 'II', but the session 's' has 'I'", raw(chunk(600, [1, 2], device_id="good", lead="II"))),
]


async def test_broken_records_go_to_the_dead_letters_and_harm_nobody(
    bootstrap_servers: str, topics: Topics
) -> None:
    chunks = cut("good", 40)
    kinds = BESIDE + BROKEN
    records: list[Raw] = [raw(c) for c in chunks[:5]]
    for k, c in enumerate(chunks[5:]):
        records += [record for _, record in kinds[k : k + 1]] + [raw(c)]
    assert len(kinds) == 35 < len(chunks[5:])
    async with monitoring(bootstrap_servers, topics):
        await publish(bootstrap_servers, topics.samples, records)
        expected = offline(chunks)
        found = await findings_until(bootstrap_servers, topics, lambda f: len(f) >= len(expected))
        letters = await letters_until(bootstrap_servers, topics, len(kinds))
    assert dict(zip(identities(found), found, strict=True)) == expected
    assert len(found) == len(expected)
    assert len(letters) == len(kinds)
    by_record = {(letter.key, letter.value): letter for letter in letters}
    for reason, (key, value, _) in kinds:
        letter = by_record[key, value] if value else next(x for x in letters if not x.value)
        assert reason in letter.reason
        assert letter.topic == topics.samples
        assert letter.offset >= 0


async def test_logs_and_metrics_hold_no_word_of_the_senders(
    bootstrap_servers: str, topics: Topics, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "Mueller"
    value = broken()[1]
    records: list[Raw] = [
        (f"{name}, Hans 1954-03-02".encode(), value, []),
        (b"bad\nFAKE [critical] all is well\x1b[31m", value, []),
        broken(Mueller=1),
        broken(**{f"{name}, Hans": 1}),
        broken(lead=f"{name}, Hans 1954-03-02"),
        broken(device_id=f"{name}, Hans"),
    ]
    async with monitoring(bootstrap_servers, topics):
        await publish(bootstrap_servers, topics.samples, records)
        letters = await letters_until(bootstrap_servers, topics, len(records))
    logged = capsys.readouterr()
    assert (logged.out + logged.err).count("dead letter") == len(records) == len(letters)
    for said in (logged.out, logged.err, generate_latest().decode()):
        assert name not in said
        assert "FAKE" not in said
        assert "\x1b" not in said
    assert [letter.key for letter in letters if letter.key == records[0][0]], (
        "a letter holds the record as it came"
    )


async def test_json_without_headers_is_taken_as_msgpack_is(bootstrap_servers: str, topics: Topics) -> None:
    chunks = cut("typed", 12)
    typed = [
        json.dumps({**msgspec.structs.asdict(c), "samples": c.array().tolist()}, indent=1).encode()
        for c in chunks
    ]
    async with monitoring(bootstrap_servers, topics):
        await publish(bootstrap_servers, topics.samples, [(b"typed", text, []) for text in typed])
        expected = offline(chunks)
        found = await findings_until(bootstrap_servers, topics, lambda f: len(f) >= len(expected))
    assert dict(zip(identities(found), found, strict=True)) == expected


async def test_a_monitor_killed_and_started_again_gives_what_one_gives(
    bootstrap_servers: str, topics: Topics
) -> None:
    devices = [cut(f"d{k}", 150, seed=k) for k in range(6)]
    in_turn = [raw(c) for together in zip(*devices, strict=True) for c in together]
    expected: dict[tuple[str, str, int], Finding] = {}
    for chunks in devices:
        expected |= offline(chunks)
    at = 0
    for part, after_findings in ((260, 60), (500, 220), (700, 400)):
        await publish(bootstrap_servers, topics.samples, in_turn[at:part])
        at = part
        await crash(bootstrap_servers, topics, after_findings, max_records=40)
    await publish(bootstrap_servers, topics.samples, in_turn[at:])
    async with monitoring(bootstrap_servers, topics):
        found = await findings_until(
            bootstrap_servers, topics, lambda f: len(set(identities(f))) >= len(expected)
        )
    assert set(identities(found)) == set(expected)
    for identity, finding in zip(identities(found), found, strict=True):
        assert finding == expected[identity]


async def test_two_monitors_share_the_devices_and_a_leaver_is_replaced(
    bootstrap_servers: str, topics: Topics
) -> None:
    devices = [cut(f"e{k}", 150, seed=k) for k in range(8)]
    in_turn = [raw(c) for together in zip(*devices, strict=True) for c in together]
    expected: dict[tuple[str, str, int], Finding] = {}
    for chunks in devices:
        expected |= offline(chunks)
    async with monitoring(bootstrap_servers, topics, max_records=50):
        async with monitoring(bootstrap_servers, topics, max_records=50):
            await publish(bootstrap_servers, topics.samples, in_turn[:600])
            await asyncio.sleep(4)
        await publish(bootstrap_servers, topics.samples, in_turn[600:])
        found = await findings_until(
            bootstrap_servers, topics, lambda f: len(set(identities(f))) >= len(expected)
        )
    assert set(identities(found)) == set(expected)
    for identity, finding in zip(identities(found), found, strict=True):
        assert finding == expected[identity]


@pytest.mark.kafka
async def test_a_monitor_that_can_not_take_over_its_partitions_ends(
    apache_servers: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut_off(*_: Any) -> None:
        raise KafkaConnectionError("the broker is away")

    topics = Topics(topic_prefix)
    await create({"bootstrap_servers": apache_servers}, topics, 2)
    monkeypatch.setattr(Parking, "take_over", cut_off)
    await stumble(apache_servers, topics, Memoryless(1), KafkaConnectionError)
