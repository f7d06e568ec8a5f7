"""The monitor process: `ecg.samples` in, `ecg.rhythm` and `ecg.dead-letters` out. A thin shell of aiokafka around `Pipeline`.

One loop: get records of all partitions, compute in a thread (heartbeats go on meanwhile), produce, wait until the brokers have it
all, and only then let the committed offsets advance, by the rewind rule (`ecgstream.commits`). The log is the state: a
partition that is taken away is forgotten, one that is given is rebuilt from its committed offset.

A record that its sender got wrong goes to the dead letters, and so does one that can't even be unpacked (`ecgstream.detour`).
Any other exception ends the process with nothing committed past it; a record that raises a second time is parked
(`ecgstream.parking`).
"""

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import (
    AIOKafkaConsumer,
    AIOKafkaProducer,
    ConsumerRebalanceListener,
    ConsumerRecord,
    TopicPartition,
)
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import CommitFailedError, KafkaError

from ecgstream import fencing, lag, observability
from ecgstream.acls import MONITOR_GROUP
from ecgstream.analysis import Analyzer
from ecgstream.codec import encode
from ecgstream.kafka import started
from ecgstream.letters import NO_ID, UNREADABLE, field_at_fault, loggable_id, place
from ecgstream.parking import Parking, is_a_records
from ecgstream.pipeline import CONTENT_TYPE, Batch, Pipeline
from ecgstream.replay import warm_up
from ecgstream.topics import Topics

POLL_MS = 200
NOTICED_MS = 30_000  # until partitions that were added are read
LONGEST_REQUEST_BYTES = 4 * 1024 * 1024  # a dead letter wraps the largest record that is taken
UNKNOWN_DEVICE = b"monitor"  # whom a parked record is told of whose key is no device's id

log = structlog.get_logger("monitor")


@dataclass(frozen=True, slots=True)
class MonitorOptions:
    """How one monitor process runs."""

    group_id: str = MONITOR_GROUP
    instance_id: str | None = (
        None  # static membership: a restart within the session timeout moves no partition
    )
    max_records: int = 4000
    commit_every_s: float = 5.0


class Monitor(ConsumerRebalanceListener):  # type: ignore[misc]
    """One member of the consumer group."""

    def __init__(
        self,
        client: Mapping[str, Any],
        topics: Topics,
        analyzer: Analyzer,
        options: MonitorOptions,
    ) -> None:
        self._topics = topics
        self._options = options
        self._client = client
        self._main: asyncio.Task[Any] | None = None
        self._fenced: fencing.Fenced | None = None
        self._not_assigned: Exception | None = None
        self._pipeline = Pipeline(analyzer, time.perf_counter, topics.of_gateways)
        self._consumer: AIOKafkaConsumer
        self._producer: AIOKafkaProducer
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="compute")
        self._busy = asyncio.Lock()  # a batch is in work, or partitions change hands
        self._generation = 0
        self._parking = Parking(client, options.group_id, options.max_records)
        self._read: dict[TopicPartition, int] = {}  # next offset of each partition whose findings are all out
        self._committed: dict[TopicPartition, int] = {}
        self._committed_at = time.monotonic()
        self.progress = observability.Progress()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; then commit, leave the group and return. Raises whatever is our own fault."""
        options, self._main = self._options, asyncio.current_task()
        observability.begin()
        await asyncio.get_running_loop().run_in_executor(self._thread, warm_up)
        try:
            async with (
                started(
                    AIOKafkaProducer,
                    **self._client,
                    acks="all",
                    linger_ms=5,
                    max_request_size=LONGEST_REQUEST_BYTES,
                ) as self._producer,
                started(
                    AIOKafkaConsumer,
                    **self._client,
                    group_id=options.group_id,
                    group_instance_id=options.instance_id,
                    enable_auto_commit=False,
                    auto_offset_reset="earliest",
                    metadata_max_age_ms=NOTICED_MS,
                    partition_assignment_strategy=(StickyPartitionAssignor,),
                ) as self._consumer,
            ):
                watching = asyncio.create_task(lag.watch(self._consumer, self.progress))
                try:
                    self._consumer.subscribe([self._topics.samples, *self._topics.of_gateways], listener=self)
                    log.info("started", group=options.group_id)
                    while not stop.is_set():
                        await self._round()
                except asyncio.CancelledError:
                    if self._fenced is not None:
                        raise self._fenced from None
                    raise
                else:
                    async with self._busy:
                        await self._commit()
                finally:
                    watching.cancel()
        finally:
            self._thread.shutdown(wait=False)
        log.info("stopped", group=options.group_id)

    async def on_partitions_revoked(self, revoked: list[TopicPartition]) -> None:
        """Finish the batch in work, commit, forget: someone else may go on from there."""
        async with self._busy:
            self._generation += 1
            self.progress.assigned = False
            await self._commit()
            if revoked:
                await self._end_if_fenced()
            for tp in revoked:
                self._forget(tp)

    async def _end_if_fenced(self) -> None:
        if self._options.instance_id is None:
            return
        try:
            await fencing.check(
                self._client, self._consumer, self._options.group_id, self._options.instance_id
            )
        except fencing.Fenced as error:
            self._fenced = error
            task, main = asyncio.current_task(), self._main
            assert task is not None
            assert main is not None
            # This is aiokafka's task; to join again would throw the other one out. Ours waits for what it would bring.
            task.add_done_callback(lambda _: main.cancel())
            task.cancel()
            await asyncio.sleep(0)
        except KafkaError as error:
            log.warning("not known whether the member id is taken", error=str(error))

    async def on_partitions_assigned(self, assigned: list[TopicPartition]) -> None:
        """Begin each partition anew: its records are read again from the committed offset."""
        async with self._busy:
            self._generation += 1
            for tp in assigned:
                self._forget(tp)
            try:
                await lag.tell_place(self._consumer, assigned, await self._parking.take_over(assigned))
            except Exception as error:  # aiokafka would log it and go on, with partitions that nobody works
                self._not_assigned = error
                return
            self.progress.assigned = bool(assigned)
            log.info("assigned", partitions=sorted(map(_named, assigned)))

    def _forget(self, tp: TopicPartition) -> None:
        self._pipeline.forget(tp)
        self._read.pop(tp, None)
        self._committed.pop(tp, None)
        self._parking.forget(tp)

    async def _round(self) -> None:
        """One batch, from the consumer to the commit."""
        if self._not_assigned is not None:
            raise self._not_assigned
        fetched = await self._fetch()
        generation = self._generation
        async with self._busy:
            is_current = generation == self._generation and self.progress.assigned
            if fetched and is_current:  # otherwise it will be read again
                for portion in self._parking.portions(fetched):
                    await self._work(portion)
                    self.progress.tick()
                for tp, records in fetched.items():
                    self._read[tp] = records[-1].offset + 1
            if time.monotonic() - self._committed_at >= self._options.commit_every_s:
                await self._commit()
        self.progress.tick()

    async def _fetch(self) -> Mapping[TopicPartition, list[ConsumerRecord]]:
        """The next records; none when there are none yet, or among them is one that can't be unpacked."""
        detour = self._parking.detour
        turn = [] if detour.turn is None else [detour.turn]
        try:
            fetched: dict[TopicPartition, list[ConsumerRecord]] = await self._consumer.getmany(
                *turn, timeout_ms=POLL_MS, max_records=detour.n_records
            )
        except Exception as error:
            generation = self._generation
            self._consumer._coordinator.check_errors()  # what raises here again isn't a record's
            if not is_a_records(error):
                raise
            async with self._busy:
                if generation == self._generation:  # otherwise all is read from elsewhere now
                    await self._go_around(error)
            return {}
        detour.passed(sum(map(len, fetched.values())))
        return fetched

    async def _go_around(self, error: Exception) -> None:
        letter = await self._parking.go_around(self._consumer, self._read, error)
        if letter is not None:
            await self._publish(Batch(letters=[letter]))
            observability.DEAD_LETTERS.labels(UNREADABLE).inc()
            tp, after = TopicPartition(letter.topic, letter.partition), letter.offset + 1
            self._consumer.seek(tp, after)
            self._read[tp] = after

    async def _work(self, records: list[ConsumerRecord]) -> None:
        begin = time.perf_counter()
        loop = asyncio.get_running_loop()
        try:
            batch = await loop.run_in_executor(self._thread, self._pipeline.process, records)
        except Exception as error:  # whatever it is, the state may be wrong now: the process ends
            await self._blame(records, error)
            raise
        await self._publish(batch)
        seconds = time.perf_counter() - begin
        observability.STAGE_SECONDS.labels("produce").inc(max(0.0, seconds - sum(batch.seconds.values())))
        record_ms = [record.timestamp for record in records]
        observability.note_batch(batch, self._pipeline, record_ms, seconds)
        self.progress.read({TopicPartition(r.topic, r.partition): r.timestamp for r in records})

    async def _publish(self, batch: Batch) -> None:
        """Produce findings and dead letters; returns when the brokers have them all."""
        rhythm, dead = self._topics.rhythm, self._topics.dead_letters
        sent = [
            await self._producer.send(rhythm, value, key=key, headers=CONTENT_TYPE)
            for key, value in batch.encoded
        ]
        for letter in batch.letters:
            log.warning(
                "dead letter",
                at=place(letter),
                device=loggable_id(letter.key),
                reason=field_at_fault(letter.reason),
            )
            sent.append(await self._producer.send(dead, encode(letter), key=letter.key, headers=CONTENT_TYPE))
        if sent:
            await asyncio.gather(*sent)

    async def _blame(self, records: list[ConsumerRecord], error: Exception) -> None:
        """Remember what raised, for whoever has these partitions next; park a record that raised by itself."""
        letter = self._parking.blame(records, error)
        try:
            if letter is not None:
                log.critical(
                    "parked", at=place(letter), device=loggable_id(letter.key), cause=type(error).__name__
                )
                is_id = loggable_id(letter.key) not in (None, NO_ID)
                value, key = encode(letter), letter.key if is_id else UNKNOWN_DEVICE
                await self._producer.send_and_wait(
                    self._topics.dead_letters, value, key=key, headers=CONTENT_TYPE
                )
            await self._consumer.commit(self._parking.at_crash())
        except KafkaError as unreachable:
            log.warning("not noted: another crash will find it", error=str(unreachable))

    async def _commit(self) -> None:
        """Commit what the rewind rule allows."""
        self._committed_at = time.monotonic()
        committable = self._pipeline.committable(self._read)
        due = {tp: committable[tp] for tp in self._read if committable[tp] > self._committed.get(tp, -1)}
        if not due:
            return
        read = {tp: self._read[tp] for tp in due}
        try:
            await self._consumer.commit(self._parking.with_notes(due, read))
        except CommitFailedError as error:
            log.warning("commit refused: partitions have changed hands", error=str(error))
            return
        self._parking.committed(due, read)
        self._committed |= due


def _named(tp: TopicPartition) -> str:
    return f"{tp.topic}[{tp.partition}]"
