"""What tests of alerting share: a patient's findings, and a process of alerting with what it reads and writes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from clinical import beats, stream
from ecgstream.alerting import run
from ecgstream.codec import JSON, decode, encode
from ecgstream.kafka import load_settings
from ecgstream.limits import Limits, load_limits
from ecgstream.messages import Alert, AlertState, DeadLetter, Finding
from ecgstream.topics import Topics

VT = beats(("N", 0.8, 50), ("V", 0.35, 40), ("N", 0.8, 60))
FINDINGS = list(stream(VT, 100))


class Ward:
    """A producer of what alerting reads, and a reader of what it writes."""

    def __init__(self, servers: str, topics: Topics) -> None:
        self.servers, self.topics = servers, topics
        self.alerts: list[Alert] = []
        self.letters: list[DeadLetter] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Ward"]:
        self.producer = AIOKafkaProducer(bootstrap_servers=self.servers)
        self.consumer = AIOKafkaConsumer(
            self.topics.alerts,
            self.topics.dead_letters,
            bootstrap_servers=self.servers,
            auto_offset_reset="earliest",
        )
        await self.producer.start()
        await self.consumer.start()
        try:
            yield self
        finally:
            await self.consumer.stop()
            await self.producer.stop()

    @asynccontextmanager
    async def alerting(self, limits: Limits | None = None) -> AsyncIterator[None]:
        """A process of alerting, here as a task."""
        settings = load_settings({}, bootstrap_servers=self.servers, topic_prefix=self.topics.prefix)
        stop = asyncio.Event()
        task = asyncio.create_task(run(settings, limits or load_limits(), stop))
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait_for(task, 40)

    async def send(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            await self.producer.send(self.topics.rhythm, encode(finding), key=finding.device_id.encode())
        await self.producer.flush()

    async def say(self, topic: str, record: Any, **where: Any) -> None:
        headers = [("content-type", JSON.encode())]
        await self.producer.send_and_wait(
            topic, encode(record, JSON), key=record.device_id.encode(), headers=headers, **where
        )

    async def until(self, there: Callable[[], Any], seconds: float = 60.0) -> None:
        """Read until `there()`; fails when it takes longer."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not there():
            assert loop.time() < end, [(a.kind, a.revision, str(a.state)) for a in self.alerts]
            for place, records in (await self.consumer.getmany(timeout_ms=200)).items():
                for record in records:
                    if place.topic == self.topics.alerts:
                        self.alerts.append(decode(Alert, record.value))
                    else:
                        self.letters.append(decode(DeadLetter, record.value))

    def of(self, kind: str) -> list[Alert]:
        return [a for a in self.alerts if a.kind == kind]

    def has(self, kind: str, state: AlertState) -> bool:
        return any(a.state is state for a in self.of(kind))
