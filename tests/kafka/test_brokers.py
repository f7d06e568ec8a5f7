"""Brokers of demos and tests, and the topics made on them."""

import asyncio
import socket
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from brokers_here import start_or_skip
from ecgstream import brokers
from ecgstream.brokers import Broker, BrokerUnavailable, embedded_broker
from ecgstream.topics import Topics, TopicsMismatch, create


async def read(servers: str, topic: str, count: int) -> list[bytes]:
    """The first `count` values of partition 0."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


async def write(servers: str, topic: str, values: list[bytes]) -> None:
    """Append `values` to partition 0."""
    async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
        for value in values:
            await producer.send_and_wait(topic, value, partition=0)


async def test_records_come_back(bootstrap_servers: str, topics: Topics) -> None:
    values = [b"%d" % k for k in range(100)]
    await write(bootstrap_servers, topics.samples, values)
    assert await read(bootstrap_servers, topics.samples, 100) == values


async def test_topics_are_made_once(bootstrap_servers: str, topics: Topics) -> None:
    options = {"bootstrap_servers": bootstrap_servers}
    assert await create(options, topics, 4) == []
    with pytest.raises(TopicsMismatch, match=r"partitions: 5 asked for.*samples has 4"):
        await create(options, topics, 5)


@pytest.mark.kafka
async def test_topic_settings_reach_kafka(apache_servers: str, topic_prefix: str) -> None:
    topics = Topics(topic_prefix)
    made = await create({"bootstrap_servers": apache_servers}, topics, 2)
    assert sorted(made) == sorted(topics.configurations())
    admin = AIOKafkaAdminClient(bootstrap_servers=apache_servers)
    await admin.start()
    try:
        asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in made]
        responses = await admin.describe_configs(asked)
    finally:
        await admin.close()
    found = {
        name: {entry[0]: entry[1] for entry in entries}
        for response in responses
        for _, _, _, name, entries in response.resources
    }
    for name, settings in topics.configurations().items():
        assert {key: found[name][key] for key in settings} == settings


@pytest.mark.kafka
def test_apache_restarts_on_the_same_disk_and_port(tmp_path: Path) -> None:
    broker = Broker("apache", tmp_path)
    start_or_skip(broker)
    try:
        servers = broker.bootstrap_servers
        asyncio.run(create({"bootstrap_servers": servers}, Topics(), 1))
        asyncio.run(write(servers, "ecg.samples", [b"before"]))
        broker.kill()
        assert not brokers.answers("127.0.0.1", broker.ports["PLAINTEXT"])
        broker.start()
        assert broker.bootstrap_servers == servers
        assert asyncio.run(read(servers, "ecg.samples", 1)) == [b"before"]
    finally:
        broker.stop()


@pytest.mark.embedded
async def test_embedded_broker_is_gone_afterwards() -> None:
    async with embedded_broker("tansu") as servers:
        host, port = servers.split(":")
        assert brokers.answers(host, int(port))
    assert not brokers.answers(host, int(port))


@pytest.mark.embedded
def test_a_port_that_somebody_took_meanwhile_is_chosen_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = brokers.free_ports
    broker = Broker("tansu", tmp_path)
    with socket.create_server((brokers.HOST, 0)) as somebody:
        taken = somebody.getsockname()[1]
        choices = iter([[taken, *chosen(1)], chosen(2)])
        monkeypatch.setattr(brokers, "free_ports", lambda _: next(choices))
        try:
            start_or_skip(broker)
            assert taken not in broker.ports.values()
            assert brokers.answers(brokers.HOST, broker.ports["PLAINTEXT"])
        finally:
            broker.stop()


def test_a_broker_that_dies_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "tansu"
    broken.write_text("#!/bin/sh\necho no memory left\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(brokers, "tansu_binary", lambda: str(broken))
    with pytest.raises(BrokerUnavailable, match="no memory left"):
        Broker("tansu", tmp_path).start()


def test_missing_java_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(BrokerUnavailable, match="java: not found"):
        brokers.kafka_jars()


def test_missing_maven_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("ECGSTREAM_CACHE", str(tmp_path / "cache"))
    with pytest.raises(BrokerUnavailable, match="mvn: not found"):
        brokers.kafka_jars()
