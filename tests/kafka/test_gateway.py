"""The gateway's client against brokers, above all one that goes away and comes back."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer

from brokers_here import start_or_skip
from ecgstream.brokers import Broker
from ecgstream.codec import JSON, decode
from ecgstream.gateway import Gateway, PlainGateway
from ecgstream.kafka import KafkaSettings, load_settings
from ecgstream.messages import Chunk
from ecgstream.topics import Topics, create

FS_HZ = 250
N_DEVICES = 40


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """An Apache Kafka of these tests' own, to stop and start."""
    broker = Broker("apache", tmp_path_factory.mktemp("broker"))
    start_or_skip(broker)
    yield broker
    broker.stop()


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Without aiokafka's many lines about a broker that isn't there."""
    caplog.set_level(logging.CRITICAL, logger="aiokafka")


def settings_for(servers: str, prefix: str = "ecg.") -> KafkaSettings:
    return load_settings({}, bootstrap_servers=servers, topic_prefix=prefix)


async def all_chunks(servers: str, topic: str, n_samples: int) -> list[Chunk]:
    """Everything in the topic, once at least `n_samples` samples are there and no more come."""
    found: list[Chunk] = []
    async with AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest") as consumer:
        deadline = asyncio.get_running_loop().time() + 60
        while True:
            got = await consumer.getmany(timeout_ms=1500)
            for records in got.values():
                for record in records:
                    found.append(decode(Chunk, record.value, dict(record.headers)["content-type"].decode()))
                    assert record.key == found[-1].device_id.encode()
            if not got and sum(chunk.n_samples for chunk in found) >= n_samples:
                return found
            assert asyncio.get_running_loop().time() < deadline, f"{len(found)} chunks"


def is_whole(chunks: list[Chunk], device_id: str, n_samples: int) -> None:
    """Each sample of the device once, in order, and with the value it was sent with."""
    own = [chunk for chunk in chunks if chunk.device_id == device_id]
    assert [chunk.first_sample for chunk in own] == [FS_HZ * i for i in range(len(own))]
    assert sum(chunk.n_samples for chunk in own) == n_samples
    assert [value for chunk in own for value in chunk.array().tolist()] == [
        i % 30_000 for i in range(n_samples)
    ]


async def feed(gateway: Gateway, stop: asyncio.Event, speed: float) -> int:
    """A fleet that streams until it is told to stop; gives the samples of each device."""
    streams = [gateway.stream(f"d{i}", fs_hz=FS_HZ, uv_per_lsb=1.0, session="s") for i in range(N_DEVICES)]
    step = FS_HZ // 5
    n = 0
    loop = asyncio.get_running_loop()
    begin = loop.time()
    while not stop.is_set():
        samples = [i % 30_000 for i in range(n, n + step)]
        for stream in streams:
            stream.add(samples)
        n += step
        await asyncio.sleep(begin + n / FS_HZ / speed - loop.time())
    return n


async def until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Wait for something that will come; fails when it doesn't."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 (a gateway's state is no event)
            await asyncio.sleep(0.05)


@pytest.mark.kafka
@pytest.mark.parametrize("outage_s", [3.0, pytest.param(60.0, marks=pytest.mark.faults)])
@pytest.mark.parametrize("way", ["stop", "kill"])
async def test_a_broker_that_goes_and_comes_back_loses_and_doubles_nothing(
    own_broker: Broker, tmp_path: Path, topic_prefix: str, outage_s: float, way: str, quiet: None
) -> None:
    names = Topics(topic_prefix)
    await create({"bootstrap_servers": own_broker.bootstrap_servers}, names, 4)
    settings = settings_for(own_broker.bootstrap_servers, topic_prefix)
    async with Gateway(settings, buffer=tmp_path / "buffer", close_timeout_s=60.0) as gateway:
        stop = asyncio.Event()
        feeding = asyncio.create_task(feed(gateway, stop, speed=3.0))
        await until(lambda: gateway.state.delivered > 2 * N_DEVICES)
        await asyncio.to_thread(own_broker.stop if way == "stop" else own_broker.kill)
        await asyncio.sleep(outage_s)
        await until(lambda: gateway.state.waiting > 2 * N_DEVICES)
        before = gateway.state.delivered
        await asyncio.to_thread(own_broker.start)
        await until(lambda: gateway.state.delivered > before + 2 * N_DEVICES)
        stop.set()
        n = await feeding
        await gateway.drain(60.0)
        state = gateway.state
    assert (state.dropped, state.waiting) == (0, 0)
    chunks = await all_chunks(own_broker.bootstrap_servers, names.samples, n * N_DEVICES)
    assert len({chunk.device_id for chunk in chunks}) == N_DEVICES
    for i in range(N_DEVICES):
        is_whole(chunks, f"d{i}", n)


@pytest.mark.kafka
async def test_what_waits_when_a_gateway_ends_is_delivered_by_the_next_one(
    own_broker: Broker, tmp_path: Path, topic_prefix: str, quiet: None
) -> None:
    names = Topics(topic_prefix)
    await create({"bootstrap_servers": own_broker.bootstrap_servers}, names, 4)
    nowhere = settings_for("127.0.0.1:1", topic_prefix)
    async with Gateway(nowhere, buffer=tmp_path / "buffer", close_timeout_s=0.5) as gateway:
        gateway.stream("d0", fs_hz=FS_HZ, uv_per_lsb=1.0, session="s").add(list(range(1000)))
        await until(lambda: gateway.state.failures > 0)
        assert gateway.state.waiting == 4
    settings = settings_for(own_broker.bootstrap_servers, topic_prefix)
    async with Gateway(settings, buffer=tmp_path / "buffer", close_timeout_s=30.0) as again:
        assert again.state.waiting == 4
        await again.drain(30.0)
    is_whole(await all_chunks(own_broker.bootstrap_servers, names.samples, 1000), "d0", 1000)


async def test_json_and_plain(bootstrap_servers: str, topics: Topics, topic_prefix: str) -> None:
    def plain() -> None:
        settings = settings_for(bootstrap_servers, topic_prefix)
        with PlainGateway(settings, content_type=JSON, close_timeout_s=20.0) as gateway:
            stream = gateway.stream("d0", fs_hz=FS_HZ, uv_per_lsb=1.0, session="s")
            for start in range(0, 2000, 100):
                stream.add(list(range(start, start + 100)))
            gateway.drain(30.0)
            assert gateway.state.delivered == 8

    await asyncio.to_thread(plain)
    is_whole(await all_chunks(bootstrap_servers, topics.samples, 2000), "d0", 2000)


@pytest.mark.kafka
async def test_keys_go_where_every_other_client_puts_them(apache_servers: str, topic_prefix: str) -> None:
    from aiokafka import AIOKafkaProducer

    names = Topics(topic_prefix)
    await create({"bootstrap_servers": apache_servers}, names, 4)
    async with Gateway(settings_for(apache_servers, topic_prefix), close_timeout_s=20.0) as gateway:
        for i in range(30):
            gateway.publish(b"device-%d" % i, b"x")
        await gateway.drain(20.0)
    async with AIOKafkaProducer(bootstrap_servers=apache_servers) as producer:
        for i in range(30):
            await producer.send_and_wait(names.samples, b"y", key=b"device-%d" % i)
    places: dict[bytes, set[int]] = {}
    async with AIOKafkaConsumer(
        names.samples, bootstrap_servers=apache_servers, auto_offset_reset="earliest"
    ) as consumer:
        n = 0
        while n < 60:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    places.setdefault(record.key, set()).add(record.partition)
                    n += 1
    assert len(places) == 30
    assert all(len(partitions) == 1 for partitions in places.values())
