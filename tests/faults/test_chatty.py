"""One gateway that talks too much: the monitor's memory stays bounded, and the patients' findings come in time."""

import asyncio
import time
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import numpy as np
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from ecgstream.codec import decode
from ecgstream.messages import Chunk, Finding
from ecgstream.recordings import Recording
from ecgstream.replay import chunks
from logs import chunk, ecg
from process_ward import Expected, Ward, judge, running, stream
from streams import raw

pytestmark = [pytest.mark.faults, pytest.mark.kafka, pytest.mark.timeout(900)]

MOST_MB = 300  # that the monitor may grow by, whatever comes
LATEST_S = 20.0  # 95 % of the patients' findings come sooner, while one machine does all this at once
FS = 250


def long_chunks() -> Iterator[Chunk]:
    """Chunks of 60 s, the longest."""
    samples = ecg(60 * FS, FS)
    return (chunk(len(samples) * k, samples, fs_hz=FS, device_id="long") for k in count())


def one_sample() -> Iterator[Chunk]:
    """A record for each sample."""
    samples = np.tile(ecg(60 * FS, FS), 10)
    return (chunk(k, [sample], fs_hz=FS, device_id="short") for k, sample in enumerate(samples))


def sessions() -> Iterator[Chunk]:
    """A new session in each record."""
    samples = ecg(2 * FS, FS)
    return (chunk(0, samples, fs_hz=FS, device_id="restless", session=f"s{k}") for k in count())


def holes() -> Iterator[Chunk]:
    """Every second sample is missing: all that comes must be held."""
    return (chunk(2 * k, [7], fs_hz=FS, device_id="holes") for k in count())


def devices() -> Iterator[Chunk]:
    """A new device in each record."""
    samples = ecg(2 * FS, FS)
    return (chunk(0, samples, fs_hz=FS, device_id=f"crowd-{k}") for k in count())


CHATTER = [(long_chunks, 200), (one_sample, 30_000), (sessions, 2000), (holes, 30_000), (devices, 2000)]


def resident_mb(pid: int) -> float:
    """What the process holds in memory [MB]."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1000


async def chatter(ward: Ward) -> list[float]:
    """All of it, as fast as the broker takes it; gives the monitor's memory before, meanwhile and afterwards."""
    pid = ward.processes["monitor"].pid
    await ward.until(lambda: "assigned" in ward.said("monitor"), "the monitor's partitions")
    await asyncio.sleep(5)
    memory_mb = [resident_mb(pid)]
    async with AIOKafkaProducer(bootstrap_servers=ward.servers, linger_ms=5) as producer:
        for kind, n in CHATTER:
            for k, made in enumerate(islice(kind(), n)):
                key, value, headers = raw(made)
                await producer.send(ward.topics.samples, value, key=key, headers=headers)
                if k % 1000 == 0:
                    await asyncio.sleep(0)
                    memory_mb.append(resident_mb(pid))
            await producer.flush()
            memory_mb.append(resident_mb(pid))
    for _ in range(40):
        await asyncio.sleep(0.5)
        memory_mb.append(resident_mb(pid))
    return memory_mb


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is read from /proc")
async def test_memory_stays_bounded_and_the_others_are_served(
    apache_servers: str, topic_prefix: str, patients: dict[str, Recording], expected: Expected
) -> None:
    async with running(apache_servers, topic_prefix) as ward:
        streams = {name: chunks(r, name, "s") for name, r in patients.items()}
        sent_s, memory_mb = await asyncio.gather(stream(ward, streams), chatter(ward))
        await judge(ward, "a gateway that talks too much", expected)
        latencies = await latencies_s(ward, {name: r.fs_hz for name, r in patients.items()}, sent_s)
    p95 = float(np.quantile(latencies, 0.95))
    print(
        f"memory {memory_mb[0]:.0f} MB, at most {max(memory_mb):.0f} MB; 95 % of findings within {p95:.1f} s"
    )
    assert max(memory_mb) - memory_mb[0] < MOST_MB
    assert p95 < LATEST_S


async def latencies_s(
    ward: Ward, rates: dict[str, float], sent_s: dict[tuple[str, int], float]
) -> list[float]:
    """How long after the last samples that it needs each finding of the patients came."""
    found = []
    give_up = time.monotonic() + 60
    async with AIOKafkaConsumer(
        ward.topics.rhythm, bootstrap_servers=ward.servers, auto_offset_reset="earliest"
    ) as consumer:
        while (got := await consumer.getmany(timeout_ms=1500)) and time.monotonic() < give_up:
            for record in (record for records in got.values() for record in records):
                finding = decode(Finding, record.value)
                last = round((finding.window + 3) * rates.get(finding.device_id, 0))
                if at_s := sent_s.get((finding.device_id, last)):
                    found.append(max(0.0, record.timestamp / 1e3 - at_s))
    assert len(found) > 100
    return found
