"""Faust's consumer, led around records that the client can't unpack: it would end there, and again after each start."""

from collections.abc import Awaitable, Callable, Set
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.transport.drivers import aiokafka as driver

from ecgstream.around import Around
from ecgstream.messages import DeadLetter

Tell = Callable[[DeadLetter], Awaitable[None]]
MAX_RECORDS = 500


class _Thread(driver.AIOKafkaConsumerThread):
    """Where the client lives."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.around = Around()

    async def _fetch_records(
        self,
        consumer: AIOKafkaConsumer,
        active_partitions: Any,
        timeout: float | None = None,  # noqa: ASYNC109
        max_records: int | None = None,
    ) -> Any:
        fetch = partial(self._fetched, consumer)
        return await self.around.fetch(
            consumer, fetch, active_partitions, timeout or 0.0, max_records or MAX_RECORDS
        )

    async def _fetched(
        self, consumer: AIOKafkaConsumer, asked: Set[TopicPartition] | None, within_s: float, n_records: int
    ) -> Any:
        partitions: Any = asked
        return await super()._fetch_records(consumer, partitions, timeout=within_s, max_records=n_records)


class Consumer(driver.Consumer):
    """Tells the application (`app.tell`) of each record that was left out before it gives what stands behind it."""

    _thread: _Thread

    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: set[TopicPartition] | None, timeout: float) -> Any:  # noqa: ASYNC109
        records = await super()._getmany(active_partitions, timeout)
        left_out = self._thread.around.left_out
        while left_out:
            await self.app.tell(left_out[0])  # type: ignore[attr-defined]
            del left_out[0]
        return records
