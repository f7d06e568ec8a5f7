"""From the topics to the desk, and the desk's answers back.

`KafkaFeed` assigns itself every partition and joins no group: each console sees all, commits nothing and
starts from what the topics retain (all alerts and answers, the findings of the last `rebuild_minutes`). A
broker that can't be reached is not a bug: the feed says so in `state`, the pages turn stale, and it tries
again. `MemoryFeed` stands in for it in tests.
"""

import asyncio
import contextlib
import sqlite3
import time
from collections import deque
from collections.abc import Set
from functools import partial
from typing import Any, Protocol

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import BrokerResponseError, KafkaError
from msgspec import Struct

from ecgstream.around import Around
from ecgstream.codec import JSON, MSGPACK, InvalidRecord, decode, decode_answer, encode
from ecgstream.console.audit import AuditEntry
from ecgstream.console.desk import Desk
from ecgstream.kafka import disconnect
from ecgstream.letters import UNREADABLE, field_at_fault, place
from ecgstream.messages import Ack, Alert, DeadLetter, DeviceSettings, Finding, Snooze
from ecgstream.topics import Topics

CHECK_S = 5.0
RETRY_S = 2.0
SEND_TIMEOUT_S = 5.0
log = structlog.get_logger(__name__)


class FeedState(Struct, frozen=True):
    """Whether the console hears the topics."""

    live: bool
    caught_up: bool
    detail: str = ""
    behind: int | None = None  # records not yet read, None when not known


class FeedLost(Exception):
    """An answer could not be delivered to the topic."""


class Unconfirmed(FeedLost):
    """An answer was sent and nobody confirmed it: the topic may have it all the same, now or when the broker is back."""


class Feed(Protocol):
    """Where records come from and answers go."""

    async def run(self, desk: Desk) -> None:
        """Give records to the desk until cancelled."""

    async def answer(self, record: Ack | Snooze | DeviceSettings) -> None:
        """Deliver a person's order; raises `FeedLost` when it can't be, `Unconfirmed` when that isn't known."""

    async def audit(self, entry: AuditEntry) -> bool:
        """Deliver an audit entry; False when it can't be now."""

    def state(self) -> FeedState:
        """Whether the feed is live."""


class MemoryFeed:
    """A feed without a broker: what `put` is given arrives, what is answered is kept in `answers`."""

    def __init__(self) -> None:
        self.answers: deque[Ack | Snooze | DeviceSettings] = deque(maxlen=1000)
        self.trail: deque[AuditEntry] = deque(maxlen=10_000)
        self.live = True
        self.caught_up = True
        self.desk: Desk | None = None

    async def run(self, desk: Desk) -> None:
        """Stay connected to the desk until cancelled."""
        self.desk = desk
        await asyncio.Event().wait()

    async def answer(self, record: Ack | Snooze | DeviceSettings) -> None:
        """Keep the order."""
        if not self.live:
            raise FeedLost("the broker can't be reached")
        self.answers.append(record)

    async def audit(self, entry: AuditEntry) -> bool:
        """Keep the entry."""
        self.trail.append(entry)
        return self.live

    def state(self) -> FeedState:
        """As set."""
        return FeedState(self.live, self.caught_up, "" if self.live else "the broker can't be reached", 0)


class KafkaFeed:
    """The feed from Kafka; `options` are aiokafka's connection options."""

    def __init__(self, options: dict[str, Any], topics: Topics, *, rebuild_minutes: int = 60) -> None:
        self._options, self._topics, self._rebuild_minutes = options, topics, rebuild_minutes
        self._producer: AIOKafkaProducer | None = None
        self._live = self._caught_up = False
        self._unwritten = False  # the history couldn't take what was read, and hasn't yet
        self._detail = "connecting"
        self._behind: int | None = None

    def state(self) -> FeedState:
        """Whether the broker answers and the retained alerts are read."""
        return FeedState(self._live, self._caught_up, self._detail, self._behind)

    async def run(self, desk: Desk) -> None:
        """Read until cancelled; connects again, from the start, whenever the connection is lost or the history can't be written."""
        while True:
            try:
                await self._session(desk)
            except (KafkaError, OSError, TimeoutError) as error:
                self._lost(f"{type(error).__name__}: {error}"[:200])
            except sqlite3.OperationalError as error:  # a full disk, most likely
                self._unwritten = True
                self._lost(f"the history can't be written: {error}"[:200])
            await asyncio.sleep(RETRY_S)

    def _lost(self, detail: str) -> None:
        if self._live or self._detail != detail:
            log.warning("feed lost", detail=detail)
        self._live, self._detail, self._behind = False, detail, None

    async def _session(self, desk: Desk) -> None:
        self._caught_up = False  # what came meanwhile stands at the end of what is read again
        async with contextlib.AsyncExitStack() as stack:
            producer = AIOKafkaProducer(
                **self._options, acks="all", request_timeout_ms=int(SEND_TIMEOUT_S * 1000)
            )
            stack.push_async_callback(disconnect, producer)
            await producer.start()
            read = (self._topics.alerts, self._topics.acks, self._topics.device_settings, self._topics.rhythm)
            consumer = AIOKafkaConsumer(
                *read, **self._options, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest",
                request_timeout_ms=int(SEND_TIMEOUT_S * 1000), metadata_max_age_ms=30_000,
            )  # fmt: skip
            stack.push_async_callback(disconnect, consumer)
            await consumer.start()
            ends = await self._begin(consumer)
            self._producer = producer
            if not self._unwritten:
                self._live, self._detail = True, ""
            check, around = asyncio.create_task(self._check(consumer)), Around()
            stack.callback(check.cancel)
            try:
                while not check.done():
                    batches = await around.fetch(consumer, partial(_fetched, consumer), None, 0.2, 2000)
                    pass_over(desk, around.left_out)
                    for records in batches.values():
                        for record in records:
                            take(desk, record, self._topics)
                    if not self._caught_up:
                        self._caught_up = all([await consumer.position(p) >= end for p, end in ends.items()])
                        if self._caught_up:
                            self._live, self._detail, self._unwritten = True, "", False
                    if batches:
                        await asyncio.sleep(0)  # let the pages have their turn
                await check
            finally:
                self._producer = None

    async def _begin(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, int]:
        """Take every partition, seek to where reading starts.

        Returns where the alerts and answers ended just now.
        """
        partitions = sorted(consumer.assignment())
        kept = [p for p in partitions if p.topic != self._topics.rhythm]
        await consumer.seek_to_beginning(*kept)
        findings = [p for p in partitions if p.topic == self._topics.rhythm]
        since_ms = round((time.time() - 60 * self._rebuild_minutes) * 1000)
        starts = await consumer.offsets_for_times(dict.fromkeys(findings, since_ms))
        for partition in findings:
            start = starts.get(partition)
            if start is None:
                await consumer.seek_to_end(partition)
            else:
                consumer.seek(partition, start.offset)
        ends: dict[TopicPartition, int] = await consumer.end_offsets(kept)
        return ends

    async def _check(self, consumer: AIOKafkaConsumer) -> None:
        """Ask the broker every `CHECK_S` where the topics end.

        It raises when nobody answers, and tells how far behind we are.
        """
        while True:
            await asyncio.sleep(CHECK_S)
            ends = await asyncio.wait_for(
                consumer.end_offsets(list(consumer.assignment())), 2 * SEND_TIMEOUT_S
            )
            self._behind = sum([max(0, end - await consumer.position(p)) for p, end in ends.items()])

    async def _send(self, topic: str, key: str, value: bytes, content_type: str) -> None:
        if self._producer is None:
            raise FeedLost(f"the broker can't be reached ({self._detail})")
        headers = [("content-type", content_type.encode())]
        try:
            sending = self._producer.send_and_wait(topic, value, key=key.encode(), headers=headers)
            await asyncio.wait_for(sending, SEND_TIMEOUT_S)
        except (KafkaError, OSError, TimeoutError) as error:
            if isinstance(error, BrokerResponseError) and not error.retriable:
                raise FeedLost(f"the broker did not take it ({type(error).__name__})") from error
            raise Unconfirmed(
                f"the broker did not answer ({type(error).__name__}); it may have taken it, or take it yet"
            ) from error

    async def answer(self, record: Ack | Snooze | DeviceSettings) -> None:
        """Deliver a person's order, keyed by device; returns when all replicas have it."""
        settings = isinstance(record, DeviceSettings)
        topic = self._topics.device_settings if settings else self._topics.acks
        await self._send(topic, record.device_id, encode(record, JSON), JSON)

    async def audit(self, entry: AuditEntry) -> bool:
        """Deliver an audit entry, keyed by its actor."""
        try:
            await self._send(self._topics.audit, entry.actor, encode(entry, MSGPACK), MSGPACK)
        except FeedLost:
            return False
        return True


async def _fetched(
    consumer: AIOKafkaConsumer, asked: Set[TopicPartition] | None, within_s: float, n_records: int
) -> Any:
    return await consumer.getmany(*(asked or ()), timeout_ms=round(within_s * 1000), max_records=n_records)


def pass_over(desk: Desk, left_out: list[DeadLetter]) -> None:
    """Count and log the records that the client could not unpack."""
    for letter in left_out:
        desk.undecodable += 1
        log.warning("record passed over", place=place(letter), reason=UNREADABLE)
    left_out.clear()


def take(desk: Desk, record: "ConsumerRecord[bytes, bytes]", topics: Topics) -> None:
    """Give one Kafka record to the desk.

    One that can't be decoded, or that our own code fails on, is counted, logged with its place and passed over: read again
    at the next start, it would end the console each time. Only a history that can't be written is no record's fault: the feed tries again.
    """
    try:
        _give(desk, record, topics)
    except InvalidRecord as error:
        desk.undecodable += 1
        kinds = {topics.rhythm: Finding, topics.alerts: Alert, topics.device_settings: DeviceSettings}
        reason = field_at_fault(str(error), kinds.get(record.topic, Ack))
        log.warning("record passed over", place=place(record), reason=reason)
    except sqlite3.Error:
        raise
    except Exception:
        desk.failed += 1
        log.exception("record passed over", place=place(record))


def _give(desk: Desk, record: "ConsumerRecord[bytes, bytes]", topics: Topics) -> None:
    value, content_type, at_us = record.value, _content_type(record), record.timestamp * 1000
    if record.topic == topics.rhythm:
        desk.take_finding(decode(Finding, value, content_type), at_us)
    elif record.topic == topics.alerts:
        desk.take_alert(decode(Alert, value, content_type), at_us)
    elif record.topic == topics.device_settings:
        if value:
            desk.take_settings(decode(DeviceSettings, value, content_type))
        else:
            desk.drop_settings((record.key or b"").decode(errors="replace"))
    else:
        answer = decode_answer(value, content_type)
        if isinstance(answer, Ack):
            desk.take_ack(answer)


def _content_type(record: "ConsumerRecord[bytes, bytes]") -> str | None:
    """What the record's header says of its encoding; None without one, or where it has no value."""
    value = dict(record.headers).get("content-type")
    return None if value is None else value.decode(errors="replace")
