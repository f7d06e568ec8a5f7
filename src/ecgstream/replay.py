"""A recording through the same core as the live system, without Kafka.

The recording is cut into chunks as a device would send them; these go through reassembly, analysis and, in
`ecgstream.cli.replay`, alerting. A test holds that the findings equal those of the streamed recording.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ecgstream.analysis import Analyzer
from ecgstream.frontend import FrontEnd
from ecgstream.measurements import FS_HZ
from ecgstream.measurements.held import HeldWindows
from ecgstream.messages import Chunk, Finding
from ecgstream.pieces import Event, Piece, Refusal
from ecgstream.sessions import Sessions

START_US = 1_577_836_800_000_000  # 2020-01-01: for recordings that don't say when they were made
CHUNKS_AT_ONCE = 10


class Recorded(Protocol):
    """What a replay reads of a recording."""

    @property
    def name(self) -> str: ...
    @property
    def fs_hz(self) -> float: ...
    @property
    def lead(self) -> str: ...
    @property
    def uv_per_lsb(self) -> float: ...
    @property
    def samples(self) -> NDArray[np.int16]: ...
    @property
    def start_us(self) -> int | None: ...
    @property
    def missing(self) -> tuple[tuple[int, int], ...]: ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a chunk stands in a log; for chunks that came through none."""

    offset: int
    timestamp: int = 0
    topic: str = ""
    partition: int = 0


def chunks(
    recording: Recorded, device_id: str, session: str, chunk_s: float = 1.0, start_us: int | None = None
) -> Iterator[Chunk]:
    """A recording as the chunks that a device would send, `chunk_s` seconds each; what it misses isn't sent.

    The session's sample 0 is the first that isn't missing.
    """
    fs_hz = float(recording.fs_hz)
    if start_us is None:
        start_us = START_US if recording.start_us is None else recording.start_us
    step = max(1, round(chunk_s * fs_hz))
    samples = np.ascontiguousarray(recording.samples, dtype="<i2")
    starts = [0, *(end for _, end in recording.missing)]
    ends = [*(first for first, _ in recording.missing), len(samples)]
    begin = next((start for start, end in zip(starts, ends, strict=True) if start < end), 0)
    for start, end in zip(starts, ends, strict=True):
        for first in range(start, end, step):
            yield Chunk(
                device_id=device_id,
                session=session,
                first_sample=first - begin,
                start_us=start_us + round(first * 1e6 / fs_hz),
                fs_hz=fs_hz,
                uv_per_lsb=recording.uv_per_lsb,
                lead=recording.lead,
                samples=samples[first : min(first + step, end)].tobytes(),
            )


def replay(recording: Recorded, analyzer: Analyzer, device_id: str, session: str) -> Iterator[list[Finding]]:
    """Analyse a recording to its end; yields the findings of every ten seconds of it, in the order of windows.

    Raises ValueError when the recording can't be streamed, such as at a rate out of range.
    """
    sessions = Sessions(max_devices=1)
    events: list[Event] = []
    refused: list[Refusal] = []
    for n, chunk in enumerate(chunks(recording, device_id, session)):
        sessions.push(chunk, Place(n), events, refused)
        if n % CHUNKS_AT_ONCE == CHUNKS_AT_ONCE - 1:
            yield analyzer.feed(events)
            events = []
    sessions.end_all(events, refused)
    if refused:
        raise ValueError(f"{recording.name}: {refused[0].reason}")
    yield analyzer.feed(events)


def warm_up() -> None:
    """Compile, or load from the cache, what the first chunk would otherwise wait for."""
    front = FrontEnd(1)
    front.start(0, 250.0, 0)
    piece = Piece("warm-up", "warm-up", 0, 250.0, 1.0, 0, False, np.zeros(1000, np.int16))
    front.feed([(0, piece)])
    front.finish(0)
    windows = HeldWindows(1, 1)
    windows.push(np.zeros(1, np.int64), np.zeros((1, FS_HZ), np.float32), [np.zeros(1)])
    windows.measured(np.zeros(1, np.int64))
    windows.measured_beats(np.zeros(1, np.int64), np.zeros(1))
