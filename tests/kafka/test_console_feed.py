"""The console's feed through a broker: what is retained, what comes live, and answers that go back."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from console_ward import acknowledged, alert, finding
from ecgstream.brokers import Broker
from ecgstream.codec import JSON, MSGPACK, decode, encode
from ecgstream.console.audit import AuditEntry
from ecgstream.console.desk import Desk
from ecgstream.console.feed import FeedLost, KafkaFeed
from ecgstream.console.live import Live
from ecgstream.console.store import Store
from ecgstream.console.ward import Ward
from ecgstream.kafka import disconnect
from ecgstream.messages import Ack, Alert, DeviceSettings, Finding, Snooze
from ecgstream.topics import Topics, create
from streams import publish_odd_headers


async def until(true: Callable[[], bool], what: str, limit_s: float = 30.0) -> None:
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def reading(servers: str, topics: Topics) -> AsyncIterator[tuple[KafkaFeed, Desk]]:
    feed, desk = KafkaFeed({"bootstrap_servers": servers}, topics), Desk(Store(), Ward(), Live())
    task = asyncio.create_task(feed.run(desk))
    try:
        yield feed, desk
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def started(servers: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


@pytest.mark.embedded
async def test_a_reader_can_be_closed_while_it_waits_to_ask_a_broker_again_that_is_gone(
    tmp_path: Path, topic_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, logger="aiokafka")
    broker, topics = Broker("tansu", tmp_path), Topics(topic_prefix)
    await asyncio.to_thread(broker.start)
    try:
        options = {"bootstrap_servers": broker.bootstrap_servers}
        await create(options, topics, 1)
        consumer = AIOKafkaConsumer(topics.alerts, **options, retry_backoff_ms=60_000)
        await consumer.start()
        await consumer.getmany(timeout_ms=1000)  # it fetches by now
    finally:
        broker.kill()
    await until(lambda: "Failed fetch messages" in caplog.text, "the reader asks in vain")
    await asyncio.wait_for(disconnect(consumer), 10)


async def send(servers: str, records: list[tuple[str, Any, str]]) -> None:
    async with started(servers) as producer:
        for topic, record, content_type in records:
            value = record if isinstance(record, bytes) else encode(record, content_type)
            key = b"x" if isinstance(record, bytes) else record.device_id.encode()
            headers = [("content-type", content_type.encode())]
            await producer.send_and_wait(topic, value, key=key, headers=headers)


async def read(servers: str, topic: str, count: int) -> list[Any]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    records: list[Any] = []
    deadline = time.monotonic() + 30
    while len(records) < count:
        assert time.monotonic() < deadline, f"{len(records)} of {count} records"
        for batch in (await consumer.getmany(timeout_ms=200)).values():
            records += batch
    await consumer.stop()
    return records


async def test_it_rebuilds_hears_answers_and_begins_again(bootstrap_servers: str, topic_prefix: str) -> None:
    topics = Topics(topic_prefix)
    await create({"bootstrap_servers": bootstrap_servers}, topics, 3)
    now = time.time_ns() // 1000
    old = alert("old", device_id="bed-01")
    await send(bootstrap_servers, [(topics.alerts, old, MSGPACK), (topics.alerts, b"\x00rubbish", MSGPACK),
                                  (topics.rhythm, finding("bed-01", now - 5_000_000), MSGPACK)])  # fmt: skip
    async with reading(bootstrap_servers, topics) as (feed, desk):
        await until(lambda: feed.state().live and feed.state().caught_up, "not caught up")
        await until(lambda: [a.alert_id for a in desk.store.inbox()] == ["old"], "the retained alert")
        await until(lambda: desk.undecodable == 1, "the rubbish is counted")
        new: list[tuple[str, Alert | Finding, str]] = [
            (topics.alerts, alert("new", device_id="bed-02"), JSON),
            (topics.rhythm, finding("bed-02", now), JSON),
        ]
        await send(bootstrap_servers, new)
        await until(
            lambda: len(desk.store.inbox()) == 2 and "bed-02" in desk.ward.devices, "the live records"
        )
        answered_us = time.time_ns() // 1000
        ack = Ack(alert_id="old", device_id="bed-01", by="anna", at_us=answered_us, note="seen")
        await feed.answer(ack)
        await feed.answer(Snooze(device_id="bed-01", kind="af", until_us=now, by="anna", at_us=now))
        await feed.answer(DeviceSettings(device_id="bed-01", limits={"pause_s": 3.5}))
        assert await feed.audit(AuditEntry(at_us=now, actor="anna", action="acknowledge"))
        await until(
            lambda: desk.inbox()[-1]["pending"] is not None or desk.inbox()[0]["pending"] is not None,
            "the answer",
        )
        await until(lambda: "bed-01" in desk.settings, "the settings")
        await send(bootstrap_servers, [(topics.alerts, acknowledged(old, ack), MSGPACK)])
        await until(lambda: all(a["pending"] is None for a in desk.inbox()), "the confirmation")
    first = next(r for r in await read(bootstrap_servers, topics.acks, 2) if b"alert_id" in r.value)
    assert first.key == b"bed-01"
    assert decode(Ack, first.value, dict(first.headers)["content-type"].decode()) == ack
    async with reading(bootstrap_servers, topics) as (feed, desk):
        await until(lambda: feed.state().caught_up, "not caught up again")
        await until(lambda: desk.store.counts()["kept"] == 2, "the history after a restart")
        known = desk.store.get("old")
        assert known is not None
        assert known.acknowledgement is not None
        assert desk.store.acks(known) == [{"by": "anna", "at_us": answered_us, "note": "seen"}]


async def test_one_record_ends_nothing_and_settings_can_be_taken_away(
    bootstrap_servers: str, topic_prefix: str
) -> None:
    topics = Topics(topic_prefix)
    await create({"bootstrap_servers": bootstrap_servers}, topics, 1)
    own = encode(DeviceSettings(device_id="bed-01", limits={"pause_s": 3.5}), JSON)
    answer = encode(Ack(alert_id="a", device_id="bed-07", by="anna", at_us=2**52), JSON)
    publish_odd_headers(bootstrap_servers, topics.acks, 1)
    async with started(bootstrap_servers) as producer:
        await producer.send_and_wait(topics.acks, answer, key=b"bed-07", headers=[("content-type", None)])
        await producer.send_and_wait(topics.alerts, encode(alert("a")), key=b"bed-07")
        await producer.send_and_wait(topics.device_settings, own, key=b"bed-01")
        async with reading(bootstrap_servers, topics) as (_, desk):
            await until(lambda: "bed-01" in desk.settings, "the settings")
            await until(lambda: [a["pending"] is not None for a in desk.inbox()] == [True], "the answer")
            await producer.send_and_wait(topics.device_settings, None, key=b"bed-01")
            await until(lambda: not desk.settings, "the settings to be taken away")
            assert (desk.undecodable, desk.failed) == (1, 0), "the one that can't be unpacked"


async def test_a_broker_that_is_not_there_is_said_to_be_lost() -> None:
    async with reading("127.0.0.1:1", Topics()) as (feed, _):
        await until(lambda: "Kafka" in feed.state().detail, "no word of the lost broker")
        assert not feed.state().live
        with pytest.raises(FeedLost, match="can't be reached"):
            await feed.answer(Ack(alert_id="a", device_id="b", by="c", at_us=1))
