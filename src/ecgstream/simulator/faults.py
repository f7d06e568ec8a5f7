"""What goes wrong with wearables, on purpose.

Two kinds. *Signal faults* change the samples of a stretch: noise at a chosen SNR, mains, a loose electrode, an amplifier at
its end, a gain that changes. *Stream faults* change what is delivered, when and with which clock: dropouts,
duplicates, late or exchanged chunks, a clock that drifts or jumps, a session that restarts, a lead that is off,
records that are none. Each is scripted (from `at_s` for `for_s`, in the recording's time) or random with a rate; the
random ones draw from their own generator, so the same seed gives the same faults. Where the recording begins anew, so do its
faults; a clock stays where a jump has put it.

Noise levels are as in the MIT-BIH Noise Stress Test (Moody et al. 1984): SNR = 10 log10(S / N) [dB], S the signal's
QRS amplitude squared over 8 (the power of a sine of that peak-to-peak amplitude), N the noise's mean square. Departure: the
amplitude is the median over seconds of the peak-to-peak value, not of beats.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ecgstream.codec import MSGPACK, encode
from ecgstream.messages import Chunk
from ecgstream.recordings import Recording
from ecgstream.simulator.devices import Delivery
from ecgstream.simulator.malformed import MALFORMED
from ecgstream.simulator.noise import noise

INT16 = (-32768, 32767)
MAX_SNR_DB, MAX_SIZE = 100.0, 1e6
SAME_S = 1e-6  # as near as two times are one: they are sums of floats


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault: its kind, its stretch [s] (or its rate, a share of chunks), its size.

    `size` is SNR in dB for noise, mV for mains and clipping, a factor for gain, seconds for clocks and delays,
    parts per million for drift, chunks for reorder.
    """

    kind: str
    at_s: float = 0.0
    for_s: float | None = None
    rate: float | None = None
    size: float | None = None

    def begun(self, t_s: float, lap_s: float | None) -> int:
        """How many times its stretch has begun by `t_s`, where the recording begins anew every `lap_s`."""
        return _times(t_s, self.at_s, lap_s)

    def ended(self, t_s: float, lap_s: float | None) -> int:
        """How many times its stretch has ended by then."""
        return 0 if self.for_s is None else _times(t_s, self.at_s + self.for_s, lap_s)

    def covers(self, start_s: float, end_s: float, lap_s: float | None) -> bool:
        """Whether a part of its stretch lies between the two times; a stretch ends with the recording."""
        rest_s = inf if lap_s is None else lap_s - self.at_s
        until_s = self.at_s + min(inf if self.for_s is None else self.for_s, rest_s)
        return _times(end_s - SAME_S, self.at_s, lap_s) > _times(start_s + SAME_S, until_s, lap_s)


def _times(t_s: float, at_s: float, lap_s: float | None) -> int:
    """How often the place `at_s` of a recording has come by `t_s`."""
    if t_s < at_s:
        return 0
    return 1 + (0 if lap_s is None else int((t_s - at_s) / lap_s))


# Signal faults: (signal in mV, rate [Hz], size, generator) -> signal.


def _noisy(kind: str) -> Callable[..., NDArray[np.float64]]:
    def spoil(
        signal: NDArray[np.float64], fs_hz: float, size: float, rng: np.random.Generator, amplitude_mv: float
    ) -> NDArray[np.float64]:
        added = noise(kind, len(signal), fs_hz, rng)
        power = amplitude_mv**2 / 8.0 / 10 ** (size / 10.0)
        gain = float(np.sqrt(power / max(float(np.mean(added**2)), 1e-12)))
        return signal + gain * added

    return spoil


def _mains(
    signal: NDArray[np.float64], fs_hz: float, size: float, rng: np.random.Generator, _: float
) -> NDArray[np.float64]:
    t = np.arange(len(signal)) / fs_hz
    phase = rng.uniform(0, 2 * np.pi)
    wave = sum(
        a * np.sin(2 * np.pi * 50.0 * k * t + k * phase)
        for k, a in ((1, 1.0), (3, 0.3), (5, 0.1))
        if 50 * k < fs_hz / 2
    )
    spoilt: NDArray[np.float64] = signal + size * np.asarray(wave)
    return spoilt


def _clip(signal: NDArray[np.float64], _f: float, size: float, _r: Any, _: float) -> NDArray[np.float64]:
    return np.clip(signal, -size, size)


def _gain(signal: NDArray[np.float64], _f: float, size: float, _r: Any, _: float) -> NDArray[np.float64]:
    return signal * size


def _flat(signal: NDArray[np.float64], _f: float, size: float, _r: Any, _: float) -> NDArray[np.float64]:
    return np.full_like(signal, size)


def _saturate(signal: NDArray[np.float64], _f: float, _s: float, _r: Any, _: float) -> NDArray[np.float64]:
    return np.full_like(signal, 1e6)  # whatever the unit, int16's end


NOISES = ("motion", "muscle", "wander")
SIGNAL_FAULTS: dict[str, tuple[Callable[..., NDArray[np.float64]], float]] = {
    **{kind: (_noisy(kind), 0.0) for kind in NOISES},
    "mains": (_mains, 0.2),
    "clipping": (_clip, 0.5),
    "gain": (_gain, 0.5),
    "flat": (_flat, 0.0),
    "saturation": (_saturate, 0.0),
}
STREAM_FAULTS: dict[str, float] = {
    "dropout": 0.0, "duplicate": 0.0, "late": 3.0, "reorder": 1.0, "clock-drift": 100.0, "clock-jump": 60.0,
    "restart": 0.0, "lead-off": 0.0, "malformed": 0.0,
}  # fmt: skip
NEVER_NEGATIVE = ("mains", "clipping", "late", "reorder")


def check(fault: Fault) -> None:
    """Raises ValueError for a fault that can't be, naming the field."""
    if fault.kind not in SIGNAL_FAULTS and fault.kind not in STREAM_FAULTS:
        raise ValueError(
            f"kind: expected one of {', '.join([*SIGNAL_FAULTS, *STREAM_FAULTS])}, got {fault.kind!r}"
        )
    if fault.rate is not None and not 0.0 <= fault.rate <= 1.0:
        raise ValueError(f"rate: expected a share from 0 to 1, got {fault.rate}")
    if fault.rate is not None and fault.kind in {*SIGNAL_FAULTS, "restart", "clock-drift", "clock-jump"}:
        raise ValueError(f"rate: {fault.kind} has a stretch (at_s, for_s), no rate")
    until_s = fault.at_s + (0.0 if fault.for_s is None else fault.for_s)
    if not 0 <= fault.at_s <= until_s or not isfinite(until_s) or fault.for_s == 0:
        raise ValueError(f"at_s, for_s: expected a stretch, got {fault.at_s}, {fault.for_s}")
    most = MAX_SNR_DB if fault.kind in NOISES else MAX_SIZE
    if fault.size is not None and not abs(fault.size) <= most:
        raise ValueError(f"size: expected at most {most:g}, got {fault.size:g}")
    if fault.size is not None and fault.size < 0 and fault.kind in NEVER_NEGATIVE:
        raise ValueError(f"size: expected 0 or more of {fault.kind}, got {fault.size:g}")


def spoil(recording: Recording, faults: Iterable[Fault], seed: int = 0) -> Recording:
    """The recording with the signal faults among `faults`, in their order; its annotations stay true."""
    millivolts = recording.samples.astype(np.float64) * (recording.uv_per_lsb / 1000.0)
    amplitude_mv = _amplitude(millivolts, recording.fs_hz)
    for i, fault in enumerate(faults):
        check(fault)
        if fault.kind not in SIGNAL_FAULTS:
            continue
        change, size = SIGNAL_FAULTS[fault.kind]
        start = min(len(millivolts), round(fault.at_s * recording.fs_hz))
        stop = len(millivolts) if fault.for_s is None else round((fault.at_s + fault.for_s) * recording.fs_hz)
        part = millivolts[start:stop]
        if len(part):
            rng = np.random.default_rng([seed, i])
            used = size if fault.size is None else fault.size
            millivolts[start:stop] = change(part, recording.fs_hz, used, rng, amplitude_mv)
    samples = np.clip(np.round(millivolts * (1000.0 / recording.uv_per_lsb)), *INT16).astype(np.int16)
    return replace(recording, samples=samples)


def disturb(
    chunks: Iterable[Chunk],
    faults: Iterable[Fault],
    phase_s: float = 0.0,
    seed: int = 0,
    content_type: str = MSGPACK,
    begin_s: float = 0.0,
    lap_s: float | None = None,
) -> Iterator[Delivery]:
    """The chunks as deliveries, with the stream faults among `faults`; in order of time.

    `begin_s`: the first chunk's place in the recording. `lap_s`: how long that is, where it begins anew at its end.
    """
    told = list(faults)
    for fault in told:
        check(fault)
    told = [fault for fault in told if fault.kind in STREAM_FAULTS]
    script = _Script(told, phase_s, seed, content_type, begin_s, lap_s)
    pending: list[Delivery] = []
    for chunk in chunks:
        pending += script.deliver(chunk)
        now_s = phase_s + chunk.end_sample / chunk.fs_hz
        pending.sort(key=lambda delivery: delivery.at_s)
        while pending and pending[0].at_s <= now_s:
            yield pending.pop(0)
    yield from pending


@dataclass
class _Script:
    """The stream faults of one device as they come due."""

    faults: list[Fault]
    phase_s: float
    seed: int
    content_type: str
    begin_s: float
    lap_s: float | None

    def __post_init__(self) -> None:
        self.rngs = [np.random.default_rng([self.seed, 1000 + i]) for i in range(len(self.faults))]
        self.n_restarts, self.session_began = 0, 0  # the sample of the device at which its session began
        self.before_s = self.begin_s - SAME_S

    def deliver(self, chunk: Chunk) -> list[Delivery]:
        """What becomes of one chunk."""
        t_s = self.begin_s + chunk.first_sample / chunk.fs_hz
        at_s = self.phase_s + chunk.end_sample / chunk.fs_hz
        n_copies, spoilt = 1, False
        length_s = chunk.n_samples / chunk.fs_hz
        for fault, rng in zip(self.faults, self.rngs, strict=True):
            is_due = fault.covers(t_s, t_s + length_s, self.lap_s)
            if not is_due or (fault.rate is not None and rng.random() >= fault.rate):
                continue
            size = STREAM_FAULTS[fault.kind] if fault.size is None else fault.size
            if fault.kind == "dropout":
                n_copies = 0
            elif fault.kind == "duplicate":
                n_copies *= 2
            elif fault.kind == "late":
                at_s += size
            elif fault.kind == "reorder":  # behind the chunks that follow it
                at_s += (size + 0.5) * length_s
            elif fault.kind == "lead-off":
                chunk = msgspec.structs.replace(chunk, lead_off=True)
            elif fault.kind == "malformed":
                spoilt = True
        chunk = self._session(self._clock(chunk, t_s), t_s)
        return [self._delivery(chunk, at_s, spoilt, copy) for copy in range(n_copies)]

    def _clock(self, chunk: Chunk, t_s: float) -> Chunk:
        shift_s = sum(
            self._shift_s(fault, t_s) - self._shift_s(fault, self.before_s) for fault in self.faults
        )
        return msgspec.structs.replace(chunk, start_us=chunk.start_us + round(shift_s * 1e6))

    def _shift_s(self, fault: Fault, t_s: float) -> float:
        """By how much a fault has moved the clock since the recording first began."""
        size = STREAM_FAULTS[fault.kind] if fault.size is None else fault.size
        begun, ended = fault.begun(t_s, self.lap_s), fault.ended(t_s, self.lap_s)
        if fault.kind == "clock-jump":
            return (begun - ended) * size
        if fault.kind != "clock-drift" or not begun:
            return 0.0
        if fault.for_s is None:
            return (t_s - fault.at_s) * size * 1e-6
        open_s = sum(t_s - fault.at_s - lap * (self.lap_s or 0.0) for lap in range(ended, begun))
        return (ended * fault.for_s + open_s) * size * 1e-6

    def _session(self, chunk: Chunk, t_s: float) -> Chunk:
        """After a restart samples count from 0 again, in a session of another name."""
        n_restarts = sum(
            fault.begun(t_s, self.lap_s) - fault.begun(self.before_s, self.lap_s)
            for fault in self.faults
            if fault.kind == "restart"
        )
        if n_restarts > self.n_restarts:
            self.n_restarts, self.session_began = n_restarts, chunk.first_sample
        if not n_restarts:
            return chunk
        return msgspec.structs.replace(
            chunk,
            session=f"{chunk.session[:56]}-r{n_restarts}",
            first_sample=chunk.first_sample - self.session_began,
        )

    def _delivery(self, chunk: Chunk, at_s: float, spoilt: bool, copy: int) -> Delivery:
        key, value = chunk.device_id.encode(), encode(chunk, self.content_type)
        if not spoilt:
            return Delivery(at_s + 1e-4 * copy, key, value, chunk)
        kind = MALFORMED[chunk.first_sample // max(1, chunk.n_samples) % len(MALFORMED)]
        return Delivery(at_s, key, kind(value, chunk), None)


def _amplitude(millivolts: NDArray[np.float64], fs_hz: float) -> float:
    """Median over seconds of the peak-to-peak value [mV]; 1 mV where there is hardly any signal."""
    step = max(1, round(fs_hz))
    n = len(millivolts) // step
    if not n:
        return 1.0
    seconds = millivolts[: n * step].reshape(n, step)
    return max(float(np.median(np.ptp(seconds, axis=1))), 0.1)
