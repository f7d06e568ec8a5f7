"""What a device hands over and when: pure, so that tests, scenarios and fleets use the same.

A device takes samples at its rate and hands a chunk over once its last sample is taken. Sample indices count from 0
in each session; what the recording itself doesn't hold (`missing`) is left out, as a gap.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ecgstream.codec import JSON, MSGPACK, decode, encode
from ecgstream.messages import Chunk
from ecgstream.recordings import Recording


class Delivery(NamedTuple):
    """One record that a device hands over, `at_s` after the start; `chunk` is None where it holds none (malformed)."""

    at_s: float
    key: bytes
    value: bytes
    chunk: Chunk | None


@dataclass(frozen=True, slots=True)
class Device:
    """One device that streams one recording.

    `start_us`: UTC time at which it takes its first sample, `phase_s` after the start. `from_sample`: where in the
    recording it begins, or at the first sample after it that isn't missing. With `loop` the recording begins again at
    its end, without end and in the same session.
    """

    device_id: str
    recording: Recording
    session: str
    start_us: int
    phase_s: float = 0.0
    chunk_s: float = 1.0
    content_type: str = MSGPACK
    from_sample: int = 0
    loop: bool = False


def chunks_of(device: Device) -> Iterator[Chunk]:
    """The device's chunks in order: each `chunk_s` long, shorter where the recording ends or misses samples."""
    recording = device.recording
    fs_hz, n = float(recording.fs_hz), len(recording.samples)
    step = max(1, round(device.chunk_s * fs_hz))
    samples = np.ascontiguousarray(recording.samples, dtype="<i2")
    known = _known(recording.missing, n)
    position, place = 0, begin_of(device)
    while known and (place < n or device.loop):
        place %= n
        stop = min(place + step, n)
        for first, end in _within(known, place, stop):
            part = samples[first:end]
            at = position + first - place
            yield Chunk(
                device_id=device.device_id,
                session=device.session,
                first_sample=at,
                start_us=device.start_us + round(at * 1e6 / fs_hz),
                fs_hz=fs_hz,
                uv_per_lsb=recording.uv_per_lsb,
                lead=recording.lead,
                samples=part.tolist() if device.content_type == JSON else part.tobytes(),
            )
        position += stop - place
        place = stop


def begin_of(device: Device) -> int:
    """The sample of the recording that the device takes first."""
    known = _known(device.recording.missing, len(device.recording.samples))
    return _begin(known, device.from_sample, device.loop)


def check(device: Device) -> None:
    """Raises ValueError, naming the field, for a device whose records nobody would take, or that has none."""
    first = next(chunks_of(device), None)
    if first is None:
        raise ValueError(f"{device.recording.name}: no samples to stream")
    decode(Chunk, encode(first, device.content_type), device.content_type)


def deliveries_of(device: Device, chunks: Iterable[Chunk] | None = None) -> Iterator[Delivery]:
    """The device's chunks (or those given) as it hands them over."""
    key = device.device_id.encode()
    for chunk in chunks_of(device) if chunks is None else chunks:
        at_s = device.phase_s + chunk.end_sample / chunk.fs_hz
        yield Delivery(at_s, key, encode(chunk, device.content_type), chunk)


def merged(streams: Sequence[Iterator[Delivery]]) -> Iterator[Delivery]:
    """The deliveries of many devices in the order of their times."""
    return heapq.merge(*streams, key=_at)


def fleet(
    recording: Recording,
    n_devices: int,
    *,
    prefix: str,
    session: str,
    start_us: int,
    phase_spread_s: float,
    chunk_s: float = 1.0,
    content_type: str = MSGPACK,
    loop: bool = False,
) -> list[Device]:
    """`n_devices` devices that stream the same recording, switched on one after another within `phase_spread_s`.

    With `loop` they also begin at places spread over the recording, so that not all are alike at one moment.
    """
    devices = []
    for i in range(n_devices):
        phase_s = phase_spread_s * i / n_devices
        devices.append(
            Device(
                device_id=prefix if n_devices == 1 else f"{prefix}-{i:05d}",
                recording=recording,
                session=session,
                start_us=start_us + round(phase_s * 1e6),
                phase_s=phase_s,
                chunk_s=chunk_s,
                content_type=content_type,
                from_sample=len(recording.samples) * i // n_devices if loop else 0,
                loop=loop,
            )
        )
    return devices


def _at(delivery: Delivery) -> float:
    return delivery.at_s


def _known(missing: Sequence[tuple[int, int]], n: int) -> list[tuple[int, int]]:
    edges = [0, *(edge for span in missing for edge in span), n]
    return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if a < b]


def _begin(known: list[tuple[int, int]], place: int, loop: bool) -> int:
    """The first known sample from `place` on, in a loop also before it; `place` where there is none."""
    later = (max(a, place) for a, b in known if place < b)
    return next(later, known[0][0] if known and loop else place)


def _within(known: list[tuple[int, int]], start: int, stop: int) -> Iterator[tuple[int, int]]:
    if len(known) == 1 and known[0][0] <= start and stop <= known[0][1]:
        yield start, stop
        return
    for a, b in known:
        if a < stop and start < b:
            yield max(a, start), min(b, stop)
