"""Delivers an outbox to Kafka, in order, as often as it takes.

One round takes what waits (up to `ROUND_BYTES`), puts it into one batch a partition and waits until the broker has all
of them; only then is the outbox told. The producer is idempotent: it repeats a batch whose answer was lost
under the same sequence number, so a broker that goes and comes back gets nothing twice. While it is away the
round waits and the outbox fills. A broker that knows no idempotent producers (the embedded one) is served without; a lost
answer may then repeat a batch, which the monitor counts and drops.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ecgstream.codec import JSON, MSGPACK
from ecgstream.gateway.outbox import Outbox
from ecgstream.gateway.segments import Entry

logger = logging.getLogger(__name__)

ROUND_BYTES = 8 * 1024 * 1024
BATCH_BYTES = 1_000_000  # below the broker's own bound on a batch
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
KNOWN_KEYS = 200_000
HEADERS = {kind: [("content-type", kind.encode())] for kind in (JSON, MSGPACK)}


@dataclass
class Delivery:
    """What a sender has done so far."""

    records: int = 0
    bytes: int = 0
    rounds: int = 0
    failures: int = 0
    last_error: str | None = None


class Sender:
    """Sends what an outbox holds to `topic`, for as long as `run` runs."""

    def __init__(
        self, options: Mapping[str, Any], topic: str, outbox: Outbox, linger_s: float = 0.02
    ) -> None:
        self.delivery = Delivery()
        self._options, self._topic, self._outbox, self._linger_s = dict(options), topic, outbox, linger_s
        self._producer: Any = None
        self._is_idempotent = True
        self._partitions: list[int] = []
        self._partition_of: dict[bytes, int] = {}
        self._news = asyncio.Event()
        self._round_ended = asyncio.Condition()

    def wake(self) -> None:
        """Say that the outbox has something; to be called in the event loop's thread."""
        self._news.set()

    async def run(self) -> None:
        """Send for ever; ends by cancellation, or by an error that no further try would mend (noted, logged, raised)."""
        try:
            while True:
                await self._round()
        except Exception as error:
            self._note(error)
            logger.exception("%s: nothing is delivered any more", self._topic)
            raise
        finally:
            await self._close_producer()

    async def until_waiting_bytes(self, most: int) -> None:
        """Wait until at most so many bytes wait in the outbox."""
        async with self._round_ended:
            while self._outbox.waiting > 0 and self._outbox.waiting_bytes > most:
                await self._round_ended.wait()

    async def until_empty(self) -> None:
        """Wait until all is delivered."""
        async with self._round_ended:
            while self._outbox.waiting > 0:
                await self._round_ended.wait()

    async def _round(self) -> None:
        """Deliver what waits, once something does."""
        entries = self._outbox.peek(ROUND_BYTES)
        if not entries:
            self._news.clear()
            await self._news.wait()
            return
        await self._deliver(entries)
        self._outbox.done(entries[-1].number)
        self._count(entries)
        async with self._round_ended:
            self._round_ended.notify_all()
        await asyncio.sleep(self._linger_s)  # let the next round fill

    async def _deliver(self, entries: list[Entry]) -> None:
        """Send all entries, whatever it takes; what the broker has already is not sent again."""
        from aiokafka.errors import KafkaError

        pause_s = FIRST_PAUSE_S
        while entries:
            try:
                if self._producer is None:
                    await self._open_producer()
                n_before = len(entries)
                entries = await self._send(entries)
                if len(entries) < n_before:
                    pause_s = FIRST_PAUSE_S
            except (KafkaError, OSError) as error:
                self._note_try(error)
                await self._close_producer()
            if entries:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _send(self, entries: list[Entry]) -> list[Entry]:
        """One try; gives back what the broker refused."""
        by_partition: dict[int, list[Entry]] = {}
        for entry in entries:
            by_partition.setdefault(self._partition(entry.key), []).append(entry)
        sent: list[tuple[list[Entry], Any]] = []
        for partition, waiting in by_partition.items():
            rest = waiting
            while rest:
                batch = self._producer.create_batch()
                n_in = _fill(batch, rest)
                future = await self._producer.send_batch(batch, self._topic, partition=partition)
                sent.append((rest[:n_in], future))
                rest = rest[n_in:]
        results = await asyncio.gather(*(future for _, future in sent), return_exceptions=True)
        refused = []
        for (part, _), result in zip(sent, results, strict=True):
            if isinstance(result, BaseException):
                self._note_try(result)
                refused += part
        if refused:
            await self._close_producer()
        return sorted(refused)

    def _partition(self, key: bytes) -> int:
        """Where Kafka's default partitioner puts the key, as every other client does."""
        partition = self._partition_of.get(key)
        if partition is None:
            from aiokafka.partitioner import DefaultPartitioner

            if len(self._partition_of) >= KNOWN_KEYS:
                self._partition_of.clear()
            partition = int(DefaultPartitioner()(key, self._partitions, self._partitions))
            self._partition_of[key] = partition
        return partition

    async def _open_producer(self) -> None:
        from aiokafka import AIOKafkaProducer
        from aiokafka.errors import UnknownError

        producer = AIOKafkaProducer(
            **self._options,
            enable_idempotence=self._is_idempotent,
            acks="all",
            max_batch_size=BATCH_BYTES,
            max_request_size=2 * ROUND_BYTES,
        )
        try:
            await producer.start()
            self._partitions = sorted(await producer.partitions_for(self._topic))
        except UnknownError:
            await producer.stop()
            if not self._is_idempotent or self.delivery.records:
                raise
            self._is_idempotent = False
            logger.info("%s: this broker knows no idempotent producers; sent without", self._topic)
            await self._open_producer()
            return
        except BaseException:
            await producer.stop()
            raise
        self._partition_of.clear()
        self._producer = producer

    async def _close_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is None:
            return
        # Its own stop would wait for what it holds for as long as the broker is away; the outbox has all that.
        task = producer._sender.sender_task
        if task is not None and not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await producer.stop()

    def _note(self, error: BaseException) -> None:
        self.delivery.failures += 1
        self.delivery.last_error = f"{type(error).__name__}: {error}"

    def _note_try(self, error: BaseException) -> None:
        self._note(error)
        logger.warning("%s: not delivered, tried again: %s", self._topic, self.delivery.last_error)

    def _count(self, entries: list[Entry]) -> None:
        self.delivery.rounds += 1
        self.delivery.records += len(entries)
        self.delivery.bytes += sum(len(entry.value) for entry in entries)


def _fill(batch: Any, entries: list[Entry]) -> int:
    """Put entries into a batch until it is full; gives how many are in."""
    n_in = 0
    for entry in entries:
        headers = HEADERS[JSON if entry.value[:1] == b"{" else MSGPACK]
        if batch.append(timestamp=None, key=entry.key, value=entry.value, headers=headers) is None:
            break
        n_in += 1
    if n_in == 0:
        raise ValueError(f"value: {len(entries[0].value)} bytes don't fit a batch of {BATCH_BYTES}")
    batch.close()
    return n_in
