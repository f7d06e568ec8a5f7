"""Records that one sender packed oddly, on real brokers: told as dead letters, and nobody stops, at the first start or the next."""

from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer
from msgspec.structs import replace

from alerting_ward import FINDINGS, Ward
from ecgstream.letters import MAX_VALUE_BYTES
from ecgstream.messages import AlertState, Finding
from ecgstream.replay import Place
from ecgstream.topics import Topics
from logs import chunk, ecg, read
from streams import findings_until, letters_until, monitoring, publish, publish_odd_headers, raw

FS = 100
CHUNKS = [chunk(at, ecg(FS * 40, FS, 1)[at : at + FS], device_id="good") for at in range(0, FS * 40, FS)]


@pytest.fixture
async def packer(bootstrap_servers: str) -> AsyncIterator[AIOKafkaProducer]:
    options = {"max_request_size": 50_000_000, "max_batch_size": 50_000_000}
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers, compression_type="gzip", **options
    ) as producer:
        yield producer


def are_all_told(findings: list[Finding]) -> bool:
    return {f.window for f in findings} >= {0, 37}


@pytest.mark.parametrize("codec", ["gzip", "lz4", "snappy", "zstd"])
async def test_compressed_batches_are_read(bootstrap_servers: str, topics: Topics, codec: str) -> None:
    async with (
        monitoring(bootstrap_servers, topics),
        AIOKafkaProducer(bootstrap_servers=bootstrap_servers, compression_type=codec) as producer,
    ):
        for c in CHUNKS:
            key, value, headers = raw(c)
            await producer.send_and_wait(topics.samples, value, key=key, headers=headers)
        await findings_until(bootstrap_servers, topics, are_all_told)
    assert not await letters_until(bootstrap_servers, topics, 0)


async def test_a_record_that_is_huge_unpacked_is_told_cut_and_stops_nobody(
    bootstrap_servers: str, topics: Topics, packer: AIOKafkaProducer
) -> None:
    value = b'{"device_id":"' + b"x" * 5_000_000 + b'"}'
    await publish(bootstrap_servers, topics.samples, map(raw, CHUNKS[:20]))
    await packer.send_and_wait(
        topics.samples, value, key=b"huge" * 1_000_000, headers=[("h", b"x" * 5_000_000)]
    )
    await publish(bootstrap_servers, topics.samples, map(raw, CHUNKS[20:]))
    async with monitoring(bootstrap_servers, topics):
        await findings_until(bootstrap_servers, topics, are_all_told)
        (letter,) = await letters_until(bootstrap_servers, topics, 1)
    assert letter.value == value[:MAX_VALUE_BYTES]
    assert letter.key is not None
    assert letter.key != b"huge" * 1_000_000
    assert (b"huge" * 1_000_000).startswith(letter.key)
    assert "at most 900000 are allowed" in letter.reason
    for cut in ("of 5000016 bytes", "of 4000000 bytes", "0 of 1 headers kept"):
        assert cut in letter.reason


async def test_records_that_cannot_be_unpacked_are_told_by_their_place_and_stop_nobody(
    bootstrap_servers: str, topics: Topics
) -> None:
    names = ["good", *(f"d{k}" for k in range(8))]
    in_turn = [replace(c, device_id=name) for c in CHUNKS for name in names]
    half = len(in_turn) // 2
    expected = read([(c, Place(k, 1)) for k, c in enumerate(in_turn)], memoryless=True).by_identity()
    await publish(bootstrap_servers, topics.samples, map(raw, in_turn[:half]))
    publish_odd_headers(bootstrap_servers, topics.samples, 3)
    await publish(bootstrap_servers, topics.samples, map(raw, in_turn[half:]))
    for start in (1, 2):
        async with monitoring(bootstrap_servers, topics):
            found = await findings_until(
                bootstrap_servers, topics, lambda f, n=start: len(f) >= n * len(expected)
            )
            letters = await letters_until(bootstrap_servers, topics, 3 * start)
        told = {(f.device_id, f.session, f.window): f for f in found}
        assert told == expected, "nothing is lost beside them"
        assert (len(found), len(letters)) == (start * len(expected), 3 * start), "nor read twice"
    assert len({(letter.topic, letter.partition, letter.offset) for letter in letters}) == 3
    for letter in letters:
        assert (letter.key, letter.value, letter.parked) == (None, None, False)
        assert letter.reason.startswith("record: can't be unpacked, and is left out (")


async def test_alerting_leaves_them_out_and_goes_on_at_the_first_start_and_the_next(
    ward: Ward, topics: Topics
) -> None:
    middle = len(FINDINGS) // 2
    others = [replace(f, device_id=f"d{k}") for f in FINDINGS[:middle] for k in range(4)]

    def places() -> set[tuple[str, int, int]]:
        return {(letter.topic, letter.partition, letter.offset) for letter in ward.letters}

    await ward.send([*others, *FINDINGS[:middle]])
    publish_odd_headers(ward.servers, topics.rhythm, 2)
    for start in (1, 2):
        publish_odd_headers(ward.servers, topics.acks, 1)
        async with ward.alerting():
            await ward.send(FINDINGS[middle:] if start == 1 else [])
            expected = 2 + start
            await ward.until(lambda n=expected: len(places()) == n)  # type: ignore[misc]
            await ward.until(lambda: any(a.end_us is not None for a in ward.of("vt")))
    assert [topic for topic, *_ in sorted(places())] == [topics.acks] * 2 + [topics.rhythm] * 2
    assert all(letter.reason.startswith("record: can't be unpacked") for letter in ward.letters)
    raised = [a.device_id for a in ward.of("vt") if a.state is AlertState.RAISED]
    assert sorted(raised) == ["chest-7", "d0", "d1", "d2", "d3"], "each once, and nobody's is lost"
