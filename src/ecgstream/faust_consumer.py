"""Faust's consumer, led around records that the client can't unpack (a corrupt batch, a header whose name is no text).

The client raises among the records of many partitions without saying where, and what it had taken of others until then is
lost; Faust would end its consumer there, and again after each start. So the partitions go back to where they stood, and those
with records waiting are asked in turn for one record at a time: whose raises by itself stands at that partition's place, and is
left out. Nothing is remembered: whoever reads the log again finds it again. The monitor's way is `ecgstream.detour`.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.transport.drivers import aiokafka as driver

from ecgstream.messages import DeadLetter
from ecgstream.parking import is_a_records, unreadable

Tell = Callable[[DeadLetter], Awaitable[None]]


class _Thread(driver.AIOKafkaConsumerThread):
    """Where the client lives; `left_out` are the places of records that are still to be told."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.left_out: list[DeadLetter] = []
        self._ends: dict[
            TopicPartition, int
        ] = {}  # before which offset one can't be unpacked, of each suspect

    async def _fetch_records(
        self,
        consumer: AIOKafkaConsumer,
        active_partitions: Any,
        timeout: float | None = None,  # noqa: ASYNC109
        max_records: int | None = None,
    ) -> Any:
        """At most `max_records` of the active partitions; none when one of them can't be unpacked.

        What is waited for is asked for one by one, so that nothing else can be lost beside it.
        """
        suspect = self._suspect(consumer, active_partitions)
        asked, most = (active_partitions, max_records) if suspect is None else ({suspect}, 1)
        for within, n_records in ((0, most), (timeout, 1)):
            subscription = consumer._subscription.subscription
            assignment = None if subscription is None else subscription.assignment
            before = {} if assignment is None else assignment.all_consumed_offsets()
            try:
                found = await super()._fetch_records(consumer, asked, timeout=within, max_records=n_records)
            except Exception as error:
                if not is_a_records(error) or assignment is None or not assignment.active:
                    raise
                # Whose place became known meanwhile has given nothing yet.
                places = assignment.all_consumed_offsets() | before
                at = {tp: place.offset for tp, place in places.items()}
                self._go_around(consumer, suspect, at, error)
                return {}
            if found:
                return found
        return {}

    def _suspect(
        self, consumer: AIOKafkaConsumer, active: set[TopicPartition] | None
    ) -> TopicPartition | None:
        """Whose turn it is; a suspect that was read to the end, or is read elsewhere now, is none any more."""
        places = consumer._subscription.subscription.assignment.all_consumed_offsets() if self._ends else {}
        self._ends = {
            tp: end
            for tp, end in self._ends.items()
            if tp in places and places[tp].offset < end and (active is None or tp in active)
        }
        return next(iter(self._ends), None)

    def _go_around(
        self,
        consumer: AIOKafkaConsumer,
        suspect: TopicPartition | None,
        at: dict[TopicPartition, int],
        error: Exception,
    ) -> None:
        if suspect is not None:
            self.left_out.append(unreadable(suspect, at[suspect], error))
            consumer.seek(suspect, at[suspect] + 1)
            del self._ends[suspect]
            return
        for tp, offset in at.items():
            consumer.seek(tp, offset)
            if (consumer.highwater(tp) or 0) > offset:
                self._ends[tp] = consumer.highwater(tp)
        if not self._ends:
            raise error


class Consumer(driver.Consumer):
    """Tells the application (`app.tell`) of each record that was left out before it gives what stands behind it."""

    _thread: _Thread

    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: set[TopicPartition] | None, timeout: float) -> Any:  # noqa: ASYNC109
        records = await super()._getmany(active_partitions, timeout)
        while self._thread.left_out:
            await self.app.tell(self._thread.left_out[0])  # type: ignore[attr-defined]
            del self._thread.left_out[0]
        return records
