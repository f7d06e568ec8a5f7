import asyncio
import urllib.error
import urllib.request
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError
from structlog.testing import capture_logs

from ecgstream import lag, monitor, observability
from ecgstream.observability import LAG_RECORDS, LAG_SECONDS, Progress, served
from ecgstream.pieces import Counts
from ecgstream.pipeline import Batch
from ecgstream.topics import Topics

TP = TopicPartition("ecg.samples", 2)


class Clock:
    """Both clocks of the module, set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_700_000_000.0 + self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(observability, "time", made)
    return made


def test_a_monitor_that_reads_nothing_is_healthy_unless_records_wait(clock: Clock) -> None:
    progress = Progress()
    for _ in range(100):
        clock.now += 10
        progress.tick()
        progress.waiting({TP: 0})
        assert progress.healthy
    progress.waiting({TP: 3})
    clock.now += 59
    progress.tick()
    assert progress.healthy
    clock.now += 2
    progress.tick()
    assert not progress.healthy
    progress.read({TP: 0})
    assert progress.healthy


def test_a_loop_that_stands_still_is_not_healthy(clock: Clock) -> None:
    progress = Progress()
    clock.now += 61
    assert not progress.healthy


def test_the_lag_grows_while_records_wait_and_nothing_is_read_and_is_0_when_all_is_read(clock: Clock) -> None:
    progress = Progress()
    progress.read({TP: round(clock.time() * 1000)})
    progress.waiting({TP: 3})
    for waited_s in (0.0, 30.0, 90.0):
        clock.now = 1000.0 + waited_s
        assert next(iter(LAG_SECONDS.collect())).samples[0].value == pytest.approx(waited_s)
    progress.waiting({TP: 0})
    assert next(iter(LAG_SECONDS.collect())).samples[0].value == 0.0


def test_the_lag_grows_while_records_wait_and_none_was_ever_read(clock: Clock) -> None:
    progress = Progress()
    assert progress.lag_s == 0.0
    progress.waiting({TP: 3})
    for waited_s in (0.0, 30.0, 90.0):
        clock.now = 1000.0 + waited_s
        assert progress.lag_s == pytest.approx(waited_s)
    progress.read({TP: round((clock.time() - 5.0) * 1000)})
    assert progress.lag_s == pytest.approx(5.0)


def test_the_lag_is_that_of_the_partition_farthest_behind(clock: Clock) -> None:
    progress, live = Progress(), TopicPartition("ecg.samples", 5)
    progress.waiting({TP: 40_000, live: 1})
    now_ms = round(clock.time() * 1000)
    progress.read({TP: now_ms - 3_600_000, live: now_ms - 200})
    progress.read({live: now_ms})
    assert progress.lag_s == pytest.approx(3600.0)
    progress.waiting({live: 1})  # another process has the one that is behind
    assert progress.lag_s == pytest.approx(0.0)
    progress.waiting({TP: 1, live: 1})  # given back, read on in the meantime
    assert progress.lag_s == pytest.approx(0.0)


def test_a_record_that_comes_to_an_idle_partition_has_not_waited_since_the_last_one(clock: Clock) -> None:
    progress = Progress()
    progress.read({TP: round(clock.time() * 1000)})
    for _ in range(720):
        progress.waiting({TP: 0})
        clock.now += 5
    progress.waiting({TP: 1})
    assert progress.lag_s == pytest.approx(5.0)
    clock.now += 20
    progress.waiting({TP: 1})
    assert progress.lag_s == pytest.approx(25.0)


async def test_a_monitor_tells_what_it_read_of_each_partition(clock: Clock) -> None:
    analyzer: Any = SimpleNamespace(max_devices=1)
    made = monitor.Monitor({}, Topics(), analyzer, monitor.MonitorOptions())
    now_ms = round(clock.time() * 1000)
    records: Any = [
        SimpleNamespace(topic=TP.topic, partition=partition, timestamp=now_ms - age_ms)
        for partition, age_ms in ((TP.partition, 3_700_000), (TP.partition, 3_600_000), (5, 0))
    ]
    made._pipeline = SimpleNamespace(process=lambda _: Batch(), counts=Counts(), n_devices=0)  # type: ignore[assignment]
    made.progress.waiting({TP: 40_000, TopicPartition(TP.topic, 5): 1})
    await made._work(records)
    assert made.progress.lag_s == pytest.approx(3600.0)


class Consumer:
    """Three records behind, every second call without a broker."""

    calls = 0

    def assignment(self) -> set[TopicPartition]:
        return {TP}

    def subscription(self) -> frozenset[str]:
        return frozenset()

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        self.calls += 1
        if self.calls % 2:
            raise KafkaConnectionError("away")
        return dict.fromkeys(partitions, 10)

    async def position(self, partition: TopicPartition) -> int:
        return 7


async def test_what_waits_is_asked_of_the_broker_and_asked_again_when_that_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lag, "EVERY_S", 0.01)
    monkeypatch.setattr(observability, "HEALTHY_S", 0.2)
    progress, consumer = Progress(), Consumer()
    async with served(progress, "127.0.0.1", 0) as port:
        task = asyncio.create_task(lag.watch(consumer, progress))
        try:
            while progress.healthy or consumer.calls < 4:
                progress.tick()
                await asyncio.sleep(0.01)
            with pytest.raises(urllib.error.HTTPError, match="503"):
                await asyncio.to_thread(urllib.request.urlopen, f"http://127.0.0.1:{port}/healthz")
        finally:
            task.cancel()
    assert LAG_RECORDS.labels("ecg.samples", "2")._value.get() == 3


async def test_what_was_deleted_before_it_was_read_is_told_and_that_all_is_read_for_want_of_a_commit() -> (
    None
):
    class Consumer:
        async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
            return dict.fromkeys(partitions, 700)

        async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
            return {tp: 700 if tp.partition == 5 else 1000 for tp in partitions}

    consumer: Any = Consumer()
    parts = {k: TopicPartition("ecg.samples", k) for k in (2, 3, 4, 5)}  # 5 is empty
    with capture_logs() as said:
        await lag.tell_place(consumer, parts.values(), {parts[2]: 280, parts[3]: 700})
        await lag.tell_place(consumer, [], {})
    assert [(line["event"], line["at"], line["records"]) for line in said] == [
        ("deleted unread", "ecg.samples[2]@280", 420),
        ("nothing committed: begins with the oldest record", "ecg.samples[4]", 300),
    ]


def test_partitions_that_are_added_while_it_runs_are_told_once() -> None:
    class Growing(Consumer):
        partitions: set[int] | None = None  # not known yet

        def subscription(self) -> frozenset[str]:
            return frozenset({"ecg.samples"})

        def partitions_for_topic(self, topic: str) -> set[int] | None:
            return self.partitions

    consumer, known = Growing(), dict[str, int]()
    with capture_logs() as said:
        for n in (0, 4, 4, 8, 0, 8):
            consumer.partitions = set(range(n)) or None
            lag._tell_raised(consumer, known)
    assert [(line["event"], line["before"], line["now"]) for line in said] == [("partitions raised", 4, 8)]
