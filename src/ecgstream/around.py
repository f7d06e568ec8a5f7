"""Around records that aiokafka's consumer can't unpack (a corrupt batch, a header whose name is no text).

The client raises among the records of many partitions without saying where, and what it had taken of others until then is
lost. So the partitions go back to where they stood, and those with records waiting are asked in turn for one record at a time:
whose raises by itself stands at that partition's place, and is left out. Nothing is remembered: whoever reads the log again
finds it again. The monitor's own way, by halving, is `ecgstream.detour`.
"""

from collections.abc import Awaitable, Callable, Set
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from ecgstream.messages import DeadLetter
from ecgstream.parking import is_a_records, unreadable

Fetch = Callable[[Set[TopicPartition] | None, float, int], Awaitable[Any]]


class Around:
    """The way around of one consumer; `left_out` are the places of records that are still to be told."""

    def __init__(self) -> None:
        self.left_out: list[DeadLetter] = []
        # Before which offset one can't be unpacked, of each partition under suspicion.
        self._ends: dict[TopicPartition, int] = {}

    async def fetch(
        self,
        consumer: AIOKafkaConsumer,
        fetch: Fetch,
        active: Set[TopicPartition] | None,
        wait_s: float,
        max_records: int,
    ) -> Any:
        """What `fetch` gives of the `active` partitions (None: of all) within `wait_s`; nothing when it raises on a record.

        What is waited for is asked for one by one, so that nothing else can be lost beside it.
        """
        suspect = self._suspect(consumer, active)
        asked, most = (active, max_records) if suspect is None else ({suspect}, 1)
        for within_s, n_records in ((0.0, most), (wait_s, 1)):
            subscription = consumer._subscription.subscription
            assignment = None if subscription is None else subscription.assignment
            before = {} if assignment is None else assignment.all_consumed_offsets()
            try:
                found = await fetch(asked, within_s, n_records)
            except Exception as error:
                if not is_a_records(error) or assignment is None or not assignment.active:
                    raise
                # A partition whose place became known meanwhile has given nothing yet.
                places = assignment.all_consumed_offsets() | before
                at = {tp: place.offset for tp, place in places.items()}
                self._go_around(consumer, suspect, at, error)
                return {}
            if found:
                return found
        return {}

    def _suspect(
        self, consumer: AIOKafkaConsumer, active: Set[TopicPartition] | None
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
