"""What the tests of the monitor share: publishing to a broker, reading a topic to its end, running a monitor."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from ecgstream.analysis import Analyzer, Front
from ecgstream.codec import MSGPACK, decode, encode
from ecgstream.messages import Chunk, DeadLetter, Finding
from ecgstream.monitor import Monitor, MonitorOptions
from ecgstream.topics import Topics
from fakes import FakeModel, FakeScorer
from logs import Memoryless

T = TypeVar("T")
DEVICES = 64
HEADERS = [("content-type", MSGPACK.encode())]
Raw = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]


def raw(chunk: Chunk) -> Raw:
    """A chunk as a gateway sends it: key, value, headers."""
    return chunk.device_id.encode(), encode(chunk), HEADERS


async def publish(servers: str, topic: str, records: Iterable[Raw]) -> int:
    """Send records in their order; returns how many."""
    async with AIOKafkaProducer(bootstrap_servers=servers, linger_ms=5) as producer:
        sent = [
            await producer.send(topic, value, key=key, headers=headers) for key, value, headers in records
        ]
        await asyncio.gather(*sent)
    return len(sent)


async def read_until(
    servers: str, topic: str, kind: type[T], enough: Any, timeout_s: float = 60.0, linger_ms: int = 700
) -> list[T]:
    """Read a topic from its beginning until `enough(records)` and nothing more comes for `linger_ms`."""
    found: list[T] = []
    async with AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest") as consumer:
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            got = await consumer.getmany(timeout_ms=linger_ms or 200)
            found += [decode(kind, record.value) for records in got.values() for record in records]
            if (not got or not linger_ms) and enough(found):
                return found
            assert asyncio.get_running_loop().time() < deadline, f"{topic}: {len(found)} records, not enough"


async def findings_until(servers: str, topics: Topics, enough: Any, timeout_s: float = 60.0) -> list[Finding]:
    """The findings published so far."""
    return await read_until(servers, topics.rhythm, Finding, enough, timeout_s)


async def letters_until(servers: str, topics: Topics, n: int) -> list[DeadLetter]:
    """The dead letters, `n` at least."""
    return await read_until(servers, topics.dead_letters, DeadLetter, lambda found: len(found) >= n)


async def crash(servers: str, topics: Topics, after_findings: int, **options: Any) -> None:
    """Run a monitor until so many findings are in the topic, then cancel it wherever it stands."""
    task = asyncio.create_task(_monitor(servers, topics, options).run(asyncio.Event()))
    try:
        await read_until(
            servers, topics.rhythm, Finding, lambda found: len(found) >= after_findings, linger_ms=0
        )
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def stumble(servers: str, topics: Topics, front: Front, error: type[Exception]) -> None:
    """Run a monitor until it ends by that error of its own code."""
    with pytest.raises(error):
        await asyncio.wait_for(_monitor(servers, topics, {}, front).run(asyncio.Event()), 60)


def _monitor(servers: str, topics: Topics, options: dict[str, Any], front: Front | None = None) -> Monitor:
    fields: dict[str, Any] = {"group_id": f"{topics.prefix}monitor", "commit_every_s": 0.2}
    given = MonitorOptions(**fields | options)
    model = FakeModel()
    analyzer = Analyzer(model, DEVICES, FakeScorer(model, DEVICES), front or Memoryless(DEVICES))
    return Monitor({"bootstrap_servers": servers}, topics, analyzer, given)


@asynccontextmanager
async def monitoring(
    servers: str, topics: Topics, front: Front | None = None, **options: Any
) -> AsyncIterator[asyncio.Task[None]]:
    """A monitor with the fake network and the memoryless front end, in this process, while the block runs; then it stops cleanly."""
    stop = asyncio.Event()
    task = asyncio.create_task(_monitor(servers, topics, options, front).run(stop))
    try:
        yield task
        stop.set()
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# aiokafka's own builder of batches in C takes text alone.
ODD_HEADERS = """
import asyncio, sys
from aiokafka import AIOKafkaProducer
from msgspec.structs import replace

class Odd(str):
    def encode(self, *_):
        return b"\\xff\\xfe"

async def main(servers, topic, n):
    async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
        for _ in range(int(n)):
            await producer.send_and_wait(topic, b"{}", key=b"odd", headers=[(Odd("x"), b"1")])

asyncio.run(main(*sys.argv[1:]))
"""


def publish_odd_headers(servers: str, topic: str, n: int) -> None:
    """Send `n` records that a client can't unpack."""
    subprocess.run(
        [sys.executable, "-c", ODD_HEADERS, servers, topic, str(n)],
        env=os.environ | {"AIOKAFKA_NO_EXTENSIONS": "1"},
        check=True,
        timeout=60,
    )
