"""Records in, findings and dead letters out: all of the monitor that isn't Kafka.

A record is decoded and checked, put in order among its session's others, analysed with those of all devices
that came in the same batch, and its findings are encoded. What a sender did wrong becomes a dead letter with the
reason and the record's place; any other exception is our own fault and leaves `process`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ecgstream.analysis import Analyzer
from ecgstream.codec import MSGPACK, InvalidRecord, decode, encode
from ecgstream.letters import Taken, dead_letter
from ecgstream.messages import Chunk, DeadLetter, Finding
from ecgstream.pieces import Counts, Event, Refusal
from ecgstream.sessions import Partition, Sessions

BYTES_PER_SAMPLE, BYTES_PER_RECORD = 32, 2000  # of JSON, indented
STAGES = ("decode", "reassemble", "analyse", "encode")


class LogRecord(Taken, Protocol):
    """What is read of a consumer's record."""

    @property
    def timestamp(self) -> int: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


@dataclass(slots=True)
class Batch:
    """What came of one batch of records; `seconds` is the time that each stage took."""

    findings: list[Finding] = field(default_factory=list)
    encoded: list[tuple[bytes, bytes]] = field(default_factory=list)  # key, value; beside `findings`
    letters: list[DeadLetter] = field(default_factory=list)
    network_batches: list[int] = field(default_factory=list)  # streams in each call of the network
    seconds: dict[str, float] = field(default_factory=dict)


class Pipeline:
    """The state of all partitions that this process reads."""

    def __init__(
        self, analyzer: Analyzer, clock: Callable[[], float], gateways: Mapping[str, str] | None = None
    ) -> None:
        """`gateways`: topics that belong to one gateway alone, and its name."""
        self._clock = clock
        self._gateways = gateways or {}
        self._names = frozenset(self._gateways.values())
        self._sessions = Sessions(analyzer.max_devices)
        self._analyzer = analyzer

    @property
    def counts(self) -> Counts:
        """What reassembly did, since the start."""
        return self._sessions.counts

    @property
    def n_devices(self) -> int:
        """How many devices are live."""
        return len(self._sessions.devices)

    def process(self, records: Iterable[LogRecord]) -> Batch:
        """Take the next records of some partitions, in order for each partition."""
        batch = Batch()
        clock = self._clock
        begin = clock()
        taken: list[tuple[Chunk, LogRecord]] = []
        for record in records:
            try:
                chunk = read_chunk(record)
                if self._gateways:
                    self._check_origin(chunk.device_id, record.topic)
                taken.append((chunk, record))
            except InvalidRecord as error:
                batch.letters.append(dead_letter(record, str(error)))
        decoded = clock()
        events: list[Event] = []
        refused: list[Refusal] = []
        push = self._sessions.push
        for chunk, record in taken:
            push(chunk, record, events, refused)
        self._sessions.sweep(events, refused)
        for refusal in refused:
            batch.letters.append(dead_letter(refusal.source, refusal.reason))  # type: ignore[arg-type]
        reassembled = clock()
        batch.findings = self._analyzer.feed(events)
        analysed = clock()
        batch.network_batches = self._analyzer.network_batches
        batch.encoded = [(finding.device_id.encode(), encode(finding)) for finding in batch.findings]
        marks = (begin, decoded, reassembled, analysed, clock())
        batch.seconds = {stage: marks[k + 1] - marks[k] for k, stage in enumerate(STAGES)}
        return batch

    def _check_origin(self, device_id: str, topic: str) -> None:
        """Whoever may write a topic speaks for the devices of that topic alone; raises `InvalidRecord`."""
        gateway, owner = self._gateways.get(topic), device_id.partition(".")[0]
        if gateway is not None and owner != gateway:
            raise InvalidRecord(f"device_id: {device_id!r} in {topic}, where ids begin with '{gateway}.'")
        if gateway is None and owner in self._names:
            raise InvalidRecord(f"device_id: {device_id!r} belongs to gateway {owner}, and came in {topic}")

    def committable(self, next_offsets: Mapping[Partition, int]) -> dict[Partition, int]:
        """Offset to commit for each partition that was read up to `next_offsets`."""
        return self._sessions.committable(next_offsets, self._analyzer.next_windows())

    def forget(self, partition: Partition) -> None:
        """Forget a partition's devices: it is read elsewhere now, or from another place."""
        for device_id in self._sessions.forget(partition):
            self._analyzer.forget(device_id)


def read_chunk(record: LogRecord) -> Chunk:
    """Decode and check one record of samples; raises `InvalidRecord` with a reason for who sent it."""
    content_type = None
    for name, content in record.headers:
        if name.lower() == "content-type" and content is not None:
            content_type = content.decode("ascii", "replace").split(";")[0].strip().lower()
    chunk = decode(Chunk, record.value, content_type)
    if record.key is None:
        raise InvalidRecord(f"key: missing; it must be the device_id, {chunk.device_id!r}")
    if record.key != chunk.device_id.encode():
        key = record.key.decode("utf-8", "replace")[:80]
        raise InvalidRecord(f"key: {key!r} differs from the device_id {chunk.device_id!r}")
    size = len(record.value or b"")
    if size > BYTES_PER_RECORD + BYTES_PER_SAMPLE * chunk.n_samples:
        raise InvalidRecord(f"value: {size} bytes for {chunk.n_samples} samples")
    return chunk


CONTENT_TYPE = [("content-type", MSGPACK.encode())]
