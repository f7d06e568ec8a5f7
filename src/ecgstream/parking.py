"""Records that make our own code raise: found, remembered in the log, and left out the second time.

An exception ends the monitor, since the state in memory is no longer known to be good. Before it ends, it commits again
what was committed, with a note in the commit's metadata: the offsets of the batch that raised. So the note outlives the
process, the host and its disk, and whoever has the partition next reads it. There the suspects are
processed one by one; the one that raises by itself is *parked*: it goes to the dead letters, its offset into the note, and
from then on it is left out, also when the log is read again.

Not found: what kills the process at once (a crash in native code), and anything on a broker that keeps no metadata with
commits (the embedded one). Memory that ran out is nobody's fault and is not noted.

A record that the client can't even unpack reaches none of our code: it is left out at once (`ecgstream.detour`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import (
    ConsumerStoppedError,
    CorruptRecordException,
    KafkaError,
    UnsupportedCodecError,
)
from msgspec import Struct

from ecgstream.detour import Detour
from ecgstream.kafka import administration
from ecgstream.letters import UNREADABLE, dead_letter
from ecgstream.messages import DeadLetter

MAX_PARKED = 100  # a note; the oldest are forgotten, and parked again if they raise. Kafka takes 4,096 bytes


def is_a_records(error: Exception) -> bool:
    """Whether a consumer raised on a record's bytes, and not on the way to the brokers."""
    if isinstance(error, CorruptRecordException | UnsupportedCodecError):
        return True
    return not isinstance(error, KafkaError | ConsumerStoppedError | MemoryError)


def unreadable(tp: TopicPartition, offset: int, error: Exception) -> DeadLetter:
    """What is known of a record that can't be unpacked: its place."""
    reason = f"{UNREADABLE}: can't be unpacked, and is left out ({type(error).__name__})"
    return DeadLetter(reason=reason, topic=tp.topic, partition=tp.partition, offset=offset)


class Note(Struct, frozen=True, omit_defaults=True):
    """What is known of a partition's records beside its committed offset."""

    suspects: tuple[int, int] | None = None  # first and last offset of a batch that raised
    parked: tuple[int, ...] = ()

    def text(self) -> str:
        """As metadata of a commit; empty where there is nothing to note."""
        return "" if self == Note() else msgspec.json.encode(self).decode()

    def suspects_offset(self, offset: int) -> bool:
        """Whether that record was in a batch that raised."""
        return self.suspects is not None and self.suspects[0] <= offset <= self.suspects[1]


def read_note(text: str | None) -> Note:
    """A commit's metadata; what somebody else wrote there says nothing."""
    try:
        return msgspec.json.decode(text or "{}", type=Note)
    except msgspec.DecodeError:
        return Note()


class Parking:
    """The notes of the partitions that this process has, and its way around records that can't be unpacked."""

    def __init__(self, client: Mapping[str, Any], group_id: str, max_records: int) -> None:
        self._client, self._group_id = client, group_id
        self.detour: Detour[TopicPartition] = Detour(max_records)
        self._notes: dict[TopicPartition, Note] = {}
        self._committed: dict[TopicPartition, int] = {}  # or, before any commit, the first offset read

    async def take_over(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Read the notes of partitions that were given to this process; gives what is committed of them."""
        self.detour.end()
        if not partitions:
            return {}
        async with administration(self._client) as admin:
            stored = await admin.list_consumer_group_offsets(self._group_id, partitions=list(partitions))
        for tp in partitions:
            found = stored.get(tp)
            self._notes[tp] = read_note(found.metadata if found else None)
            if found is not None and found.offset >= 0:
                self._committed[tp] = found.offset
        return {tp: self._committed[tp] for tp in partitions if tp in self._committed}

    def forget(self, tp: TopicPartition) -> None:
        """Forget a partition that somebody else has now."""
        self.detour.end()
        self._notes.pop(tp, None)
        self._committed.pop(tp, None)

    def portions(
        self, fetched: Mapping[TopicPartition, Sequence[ConsumerRecord]]
    ) -> list[list[ConsumerRecord]]:
        """The records in the portions in which to process them: suspects one by one, parked ones not at all."""
        before: list[ConsumerRecord] = []
        alone: list[list[ConsumerRecord]] = []
        after: list[ConsumerRecord] = []
        for tp, records in fetched.items():
            self._committed.setdefault(tp, records[0].offset)
            note = self._notes.get(tp, Note())
            parked = frozenset(note.parked)
            for record in records:
                if record.offset in parked:
                    continue
                if note.suspects_offset(record.offset):
                    alone.append([record])
                else:
                    is_after = note.suspects is not None and record.offset > note.suspects[1]
                    (after if is_after else before).append(record)
        return [portion for portion in (before, *alone, after) if portion]

    def blame(self, portion: Sequence[ConsumerRecord], error: Exception) -> DeadLetter | None:
        """Note what raised; gives the record at fault when it was by itself, and under suspicion before."""
        if isinstance(error, MemoryError):
            return None
        first = portion[0]
        tp = TopicPartition(first.topic, first.partition)
        note = self._notes.get(tp, Note())
        if len(portion) == 1 and note.suspects_offset(first.offset):
            for other in self._notes:  # they raised nothing by themselves, or haven't had their turn
                self._notes[other] = Note(parked=self._notes[other].parked)
            self._notes[tp] = Note(parked=(*note.parked, first.offset)[-MAX_PARKED:])
            reason = f"parked: {type(error).__name__} raised in a batch with it, then by it alone"
            return dead_letter(first, reason, parked=True)
        offsets: dict[TopicPartition, list[int]] = {}
        for record in portion:
            offsets.setdefault(TopicPartition(record.topic, record.partition), []).append(record.offset)
        for tp, found in offsets.items():
            self._notes[tp] = Note((min(found), max(found)), self._notes.get(tp, Note()).parked)
        return None

    async def go_around(
        self, consumer: AIOKafkaConsumer, read: Mapping[TopicPartition, int], error: Exception
    ) -> DeadLetter | None:
        """Come nearer to the record that `consumer` can't unpack; gives it when its place is known, to be left out.

        `read`: the next offset of each partition that was worked on. Raises `error` when it is no record's.
        """
        turn = self.detour.turn
        if turn is None:
            unread = [tp for tp in consumer.assignment() if await self._go_back(consumer, tp, read.get(tp))]
            if not self.detour.begin(sorted(unread)):
                raise error
        elif self.detour.failed():
            return unreadable(turn, await consumer.position(turn), error)
        return None

    async def _go_back(self, consumer: AIOKafkaConsumer, tp: TopicPartition, read: int | None) -> bool:
        """Go back to where a partition was worked to; gives whether records are known to wait there."""
        at = self._committed.get(tp) if read is None else read
        if at is None:
            await consumer.seek_to_beginning(tp)
        else:
            consumer.seek(tp, at)
        end = consumer.highwater(tp)
        return end is not None and end > (at or 0)

    def at_crash(self) -> dict[TopicPartition, tuple[int, str]]:
        """What to commit before the process ends: the same offsets, with the notes."""
        return {tp: (offset, self._notes.get(tp, Note()).text()) for tp, offset in self._committed.items()}

    def with_notes(
        self, offsets: Mapping[TopicPartition, int], read: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, tuple[int, str]]:
        """What to commit at `offsets`, of partitions read up to `read`: notes that are still of use go along."""
        made = {}
        for tp, offset in offsets.items():
            note = self._notes.get(tp, Note())
            passed = note.suspects is None or note.suspects[1] < read[tp]
            parked = tuple(o for o in note.parked if o >= offset)
            made[tp] = offset, Note(None if passed else note.suspects, parked).text()
        return made

    def committed(self, offsets: Mapping[TopicPartition, int], read: Mapping[TopicPartition, int]) -> None:
        """The commit of `with_notes` was taken."""
        for tp, (offset, text) in self.with_notes(offsets, read).items():
            self._notes[tp], self._committed[tp] = read_note(text), offset
