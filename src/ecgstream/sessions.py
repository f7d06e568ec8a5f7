"""The devices that are live, their sessions, and what ends one.

A session ends when its device begins another or was silent for `SILENT_S` of its log's time (the time stamps of that
partition's records, never the wall clock, so that reading a log again ends it at the same record). Another session's chunk
begins it at once if it holds sample 0; otherwise it is a candidate, which takes over when `reassembly.HOLD_S` of its
samples came with none of the present session between: one odd chunk ends nothing.

Known limit: a reader that begins within a session's first seconds and sees its first chunk late (a repetition, or
one that others overtook) takes it for the session's beginning, and publishes its first windows again with a gap in
them. Alerting ignores windows that it has seen.

At most `max_devices` are live; a newcomer beyond that is refused, with its reason, and those who are monitored stay so.
"""

from collections.abc import Mapping

from ecgstream.commits import Marks, committable
from ecgstream.messages import Chunk
from ecgstream.pieces import Counts, Ended, Event, Refusal, Source
from ecgstream.reassembly import Stream

SILENT_S = 120
Partition = tuple[str, int]  # topic and number


class Device:
    """A live device: its session, perhaps a candidate for the next, and when it was last heard (ms, log time)."""

    __slots__ = ("candidate", "candidate_marks", "heard_ms", "marks", "partition", "stream")

    def __init__(self, partition: Partition, heard_ms: int) -> None:
        self.partition = partition
        self.heard_ms = heard_ms
        self.stream: Stream | None = None
        self.marks = Marks()
        self.candidate: Stream | None = None
        self.candidate_marks = Marks()


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
            if device.candidate is not None:
                self._drop_candidate(device, f"the session {stream.session!r} went on", refused)
            _push(stream, device.marks, chunk, source, events, refused)
        elif (
            chunk.first_sample == 0
            and chunk.n_samples
            and (device.candidate is None or device.candidate.session != chunk.session)
        ):
            self._drop_candidate(device, f"the session {chunk.session!r} began", refused)
            self._replace(device, Stream(chunk, self.counts), Marks(), events, refused)
            assert device.stream is not None
            _push(device.stream, device.marks, chunk, source, events, refused)
        else:
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
            if device.candidate is not None:
                wanted.append(device.candidate_marks.rewind(None, device.candidate.fs_hz))
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
        """A chunk from the middle of a session that isn't the present one."""
        if chunk.n_samples == 0:
            return
        if device.candidate is not None and device.candidate.session != chunk.session:
            self._drop_candidate(device, f"chunks of the session {chunk.session!r} came between", refused)
        if device.candidate is None:
            device.candidate, device.candidate_marks = Stream(chunk, self.counts), Marks()
        pieces: list[Event] = []
        _push(device.candidate, device.candidate_marks, chunk, source, pieces, refused)
        if device.candidate.begun:
            candidate, marks = device.candidate, device.candidate_marks
            device.candidate = None
            self._replace(device, candidate, marks, events, refused)
            events.extend(pieces)

    def _drop_candidate(self, device: Device, why: str, refused: list[Refusal]) -> None:
        if device.candidate is None:
            return
        reason = (
            f"session: {device.candidate.session!r} was seen in its middle and then given up, since {why}"
        )
        refused.extend(Refusal(held.source, reason) for held in device.candidate.held)
        device.candidate = None

    def _replace(
        self,
        device: Device,
        stream: Stream,
        marks: Marks,
        events: list[Event],
        refused: list[Refusal],
    ) -> None:
        if device.stream is not None:
            _end(device.stream, events, refused)
        device.stream, device.marks = stream, marks

    def _finish(self, device_id: str, events: list[Event], refused: list[Refusal]) -> None:
        device = self.devices.pop(device_id)
        if device.stream is not None:
            _end(device.stream, events, refused)


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
