"""The devices that are live, their sessions, and what ends one.

A session ends when its device begins another or was silent for `SILENT_S` of its log's time (the time stamps of that
partition's records, never the wall clock, so that reading a log again ends it at the same record). Another session's chunks
are a candidate, which takes over when `reassembly.HOLD_S` of its samples came: one odd chunk ends nothing, be it a late
repetition of an earlier session's first. A candidate that is seen from its sample 0 may have the present session's last chunks
between its own, as long as these aren't `HOLD_S` of new samples themselves; one that is seen in its middle may not.

A device of which nothing is known yet begins with the first session that is seen from its sample 0; where others were seen in
their middle before, as when the log is read again, that one is a candidate, too.

Known limit: a reader that begins within a session's first seconds and sees its first chunk late (a repetition, or
one that others overtook) takes it for the session's beginning, and publishes its first windows again with a gap in
them. Alerting ignores windows that it has seen.

At most `max_devices` are live; a newcomer beyond that is refused, with its reason, and those who are monitored stay so.
"""

from collections.abc import Mapping

from ecgstream.commits import Marks, committable
from ecgstream.messages import Chunk
from ecgstream.pieces import Counts, Ended, Event, Refusal, Source
from ecgstream.reassembly import HOLD_S, Stream

SILENT_S = 120
MAX_CANDIDATES = 2
Partition = tuple[str, int]  # topic and number


class Device:
    """A live device: its session, candidates for the next by their names, and when it was last heard (ms, log time)."""

    __slots__ = ("candidates", "heard_ms", "marks", "partition", "stream")

    def __init__(self, partition: Partition, heard_ms: int) -> None:
        self.partition = partition
        self.heard_ms = heard_ms
        self.stream: Stream | None = None
        self.marks = Marks()
        self.candidates: dict[str, Candidate] = {}


class Candidate:
    """A session that may be a device's next: its chunks wait in a stream that doesn't begin before `HOLD_S` of them."""

    __slots__ = ("from_start", "marks", "present_samples", "stream")

    def __init__(self, chunk: Chunk, counts: Counts, present_samples: int) -> None:
        """`present_samples`: how many of the present session had come by then."""
        self.stream = Stream(chunk, counts)
        self.stream.start = self.stream.expected = -1
        self.marks = Marks()
        self.from_start = chunk.first_sample == 0
        self.present_samples = present_samples

    def outlived(self, present: Stream) -> bool:
        """Whether the present session went on for so long that this one was an odd chunk."""
        return not self.from_start or present.arrived - self.present_samples >= HOLD_S * present.fs_hz


class Sessions:
    """All live devices of the partitions read here: chunks in, pieces and ended sessions out."""

    def __init__(self, max_devices: int) -> None:
        self.max_devices = max_devices
        self.counts = Counts()
        self.devices: dict[str, Device] = {}
        self._log_ms: dict[Partition, int] = {}

    def push(self, chunk: Chunk, source: Source, events: list[Event], refused: list[Refusal]) -> None:
        """Take the next chunk of a log: append what follows from it to `events`, what can't be to `refused`."""
        partition = source.topic, source.partition
        log_ms = max(source.timestamp, self._log_ms.get(partition, source.timestamp))
        self._log_ms[partition] = log_ms
        device = self.devices.get(chunk.device_id)
        if device is not None and log_ms - device.heard_ms > SILENT_S * 1000:
            self._finish(chunk.device_id, events, refused)
            device = None
        if device is None:
            if len(self.devices) >= self.max_devices:
                refused.append(
                    Refusal(
                        source, f"device_id: {chunk.device_id!r}: all {self.max_devices} places are taken"
                    )
                )
                return
            device = self.devices[chunk.device_id] = Device(partition, log_ms)
        elif device.partition != partition:
            refused.append(
                Refusal(
                    source,
                    f"partition: {chunk.device_id!r} is live on {_place(device.partition)}, and came on "
                    f"{_place(partition)}; all chunks of a device take the same topic, key and partitioner",
                )
            )
            return
        device.heard_ms = log_ms
        stream = device.stream
        if stream is not None and stream.session == chunk.session:
            _push(stream, device.marks, chunk, source, events, refused)
            for candidate in [c for c in device.candidates.values() if c.outlived(stream)]:
                _drop(device, candidate, f"the session {stream.session!r} went on", refused)
        elif stream is None and not device.candidates and chunk.first_sample == 0 and chunk.n_samples:
            device.stream = Stream(chunk, self.counts)
            _push(device.stream, device.marks, chunk, source, events, refused)
        elif chunk.n_samples:
            self._propose(device, chunk, source, events, refused)

    def sweep(self, events: list[Event], refused: list[Refusal]) -> None:
        """End the sessions of devices that were silent for too long; for the end of a batch."""
        silent = [
            device_id
            for device_id, device in self.devices.items()
            if self._log_ms[device.partition] - device.heard_ms > SILENT_S * 1000
        ]
        for device_id in silent:
            self._finish(device_id, events, refused)

    def end_all(self, events: list[Event], refused: list[Refusal]) -> None:
        """The logs end here (a recording does, a topic never): end every session."""
        for device_id in list(self.devices):
            self._finish(device_id, events, refused)

    def forget(self, partition: Partition) -> list[str]:
        """Forget the devices of a partition that is read elsewhere now; returns their ids."""
        gone = [device_id for device_id, device in self.devices.items() if device.partition == partition]
        for device_id in gone:
            del self.devices[device_id]
        self._log_ms.pop(partition, None)
        return gone

    def committable(
        self, next_offsets: Mapping[Partition, int], next_windows: dict[str, int]
    ) -> dict[Partition, int]:
        """Offset to commit for each partition, given how far it was read and each device's undecided window."""
        rewinds: dict[Partition, list[int | None]] = {partition: [] for partition in next_offsets}
        for device_id, device in self.devices.items():
            wanted = rewinds.get(device.partition)
            if wanted is None:
                continue
            if device.stream is not None:
                wanted.append(device.marks.rewind(next_windows.get(device_id), device.stream.fs_hz))
            wanted += [c.marks.rewind(None, c.stream.fs_hz) for c in device.candidates.values()]
        return {
            partition: committable(offset, rewinds[partition]) for partition, offset in next_offsets.items()
        }

    def _propose(
        self,
        device: Device,
        chunk: Chunk,
        source: Source,
        events: list[Event],
        refused: list[Refusal],
    ) -> None:
        """A chunk of a session that isn't the present one."""
        candidate = device.candidates.get(chunk.session)
        if candidate is None:
            if len(device.candidates) >= MAX_CANDIDATES:
                shortest = min(device.candidates.values(), key=lambda c: c.stream.held_samples)
                _drop(device, shortest, f"chunks of the session {chunk.session!r} came", refused)
            arrived = 0 if device.stream is None else device.stream.arrived
            candidate = device.candidates[chunk.session] = Candidate(chunk, self.counts, arrived)
        pieces: list[Event] = []
        _push(candidate.stream, candidate.marks, chunk, source, pieces, refused)
        if candidate.stream.begun:
            del device.candidates[chunk.session]
            if device.stream is not None:
                _end(device.stream, events, refused)
            device.stream, device.marks = candidate.stream, candidate.marks
            for other in list(device.candidates.values()):
                if other.from_start:
                    other.present_samples = device.stream.arrived
                else:
                    _drop(device, other, f"the session {chunk.session!r} took over", refused)
            events.extend(pieces)

    def _finish(self, device_id: str, events: list[Event], refused: list[Refusal]) -> None:
        device = self.devices.pop(device_id)
        if device.stream is not None:
            _end(device.stream, events, refused)
        for candidate in device.candidates.values():
            if candidate.from_start:
                _end(candidate.stream, events, refused)


def _drop(device: Device, candidate: Candidate, why: str, refused: list[Refusal]) -> None:
    stream = candidate.stream
    del device.candidates[stream.session]
    seen = "in its beginning" if candidate.from_start else "in its middle"
    reason = f"session: {stream.session!r} was seen {seen} and then given up, since {why}"
    refused.extend(Refusal(held.source, reason) for held in stream.held)


def _push(
    stream: Stream,
    marks: Marks,
    chunk: Chunk,
    source: Source,
    events: list[Event],
    refused: list[Refusal],
) -> None:
    begun, n_refused = stream.begun, len(refused)
    if stream.push(chunk, source, events, refused):
        marks.add(source.offset, chunk.first_sample, stream.fs_hz)
    if not begun and stream.begun:
        marks.begin_at(stream.start)
    if stream.gaps:
        for first, n_samples in stream.gaps:
            marks.gap(first, n_samples)
        stream.gaps.clear()
    if len(refused) > n_refused:
        marks.forget_beyond(stream.head)


def _end(stream: Stream, events: list[Event], refused: list[Refusal]) -> None:
    stream.end(events, refused)
    events.append(Ended(stream.device_id, stream.session))


def _place(partition: Partition) -> str:
    return f"{partition[0]}[{partition[1]}]"
