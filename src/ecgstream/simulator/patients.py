"""Patients who aren't there: an ECG from a script of rhythms, with the truth beside it.

The waveform is ECGSYN's (McSharry, Clifford, Tarassenko, Smith 2003, doi:10.1109/TBME.2003.808805), whose Python form
`neurokit2` ships: each wave is a Gaussian event on the phase of the beat, the trace a relaxation driven by
them. Departures: `neurokit2.ecg_simulate` draws the beats' times itself and has one kind of beat, so that no rhythm
can be scripted; here the same equation is driven by the script's own R peaks and each beat has its kind's
waves (a test holds that a normal beat is neurokit2's). A beat's phase runs at its own rate, kept within 40 to
200/min, so that a pause doesn't stretch the beat before it.

Kinds of beat: N; A (premature, its P wave another); V (wide, no P wave, T against QRS). AF has no P waves, fibrillatory
waves of 4 to 8 Hz and RR intervals without memory; VF is one oscillation of wandering frequency and amplitude.
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from ecgstream.messages import MAX_FS_HZ, MIN_FS_HZ
from ecgstream.recordings import Annotation, Recording
from ecgstream.recordings.recording import MAX_UV_PER_LSB

MAX_S = 24 * 3600.0
MIN_STRETCH_S = 0.1
MAX_NOISE_MV = 100.0
MIN_UV_PER_LSB = 0.001
R_MV = 1.1  # height of a normal R peak
TEXT = {
    "sinus": "(N", "af": "(AFIB", "svt": "(SVTA", "vt": "(VT", "vf": "(VF", "asystole": "(ASYS", "bigeminy": "(B",
    "trigeminy": "(T", "idioventricular": "(IVR", "pause": "(N",
}  # fmt: skip
USUAL_BPM = {"sinus": 70.0, "af": 120.0, "svt": 170.0, "vt": 180.0, "bigeminy": 75.0, "trigeminy": 75.0,
             "idioventricular": 35.0}  # fmt: skip


class Waves(NamedTuple):
    """The waves of one kind of beat: places on the beat's phase [degrees], heights (ECGSYN's a), widths (its b)."""

    at: tuple[float, ...]
    a: tuple[float, ...]
    b: tuple[float, ...]


NORMAL = Waves((-70, -15, 0, 15, 100), (1.2, -5, 30, -7.5, 0.75), (0.25, 0.1, 0.1, 0.1, 0.4))
WAVES = {
    "N": NORMAL,
    "A": Waves(NORMAL.at, (-0.6, *NORMAL.a[1:]), NORMAL.b),
    "F": Waves(NORMAL.at[1:], NORMAL.a[1:], NORMAL.b[1:]),  # no P wave: AF, SVT
    "V": Waves((-14, 12, 105), (11.0, -7.0, -1.3), (0.21, 0.2, 0.42)),
}


class Stretch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rhythm of a script: how long [s], how fast [beats/min], and the shares of premature beats."""

    rhythm: str
    for_s: float
    bpm: float | None = None
    pvc_rate: float = 0.0
    pac_rate: float = 0.0


class Patient(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A script of rhythms. `noise_mv`: spread of the electrode's own noise. Equal seeds give equal ECGs."""

    script: list[Stretch]
    fs_hz: float = 250.0
    seed: int = 0
    noise_mv: float = 0.01
    lead: str = "I"
    uv_per_lsb: float = 2.0


class _Beat(NamedTuple):
    at_s: float
    rr_s: float
    waves: str
    symbol: str


def synthesize(patient: Patient, name: str = "patient") -> Recording:
    """The patient's ECG, with beats and rhythm changes as annotations. Raises ValueError for a script that can't be."""
    total_s = check(patient)
    n = round(total_s * patient.fs_hz)
    rng = np.random.default_rng(patient.seed)
    truth: list[Annotation] = []
    beats: list[_Beat] = []
    extra = np.zeros(n)
    start_s, next_s, text, before = 0.0, 0.35, "", ""
    for stretch in patient.script:
        end_s = start_s + stretch.for_s
        if TEXT[stretch.rhythm] != text:
            text = TEXT[stretch.rhythm]
            truth.append(Annotation(round(start_s * patient.fs_hz), "+", text))
        first, last = round(start_s * patient.fs_hz), min(n, round(end_s * patient.fs_hz))
        if stretch.rhythm in ("af", "vf"):
            make = _fibrillatory if stretch.rhythm == "af" else _vf
            extra[first:last] += make(last - first, patient.fs_hz, rng)
        if stretch.rhythm in USUAL_BPM:
            if before != "pause":
                next_s = max(next_s, start_s + 0.1)
            new, next_s = _beats(stretch, next_s, end_s, rng)
            beats += new
        elif stretch.rhythm == "pause":  # told by its RR interval, where a beat stands before it
            next_s = (beats[-1].at_s if beats and before in USUAL_BPM else start_s) + stretch.for_s
        before = stretch.rhythm
        start_s = end_s
    signal = _waves(beats, n, patient.fs_hz) + extra
    t = np.arange(n) / patient.fs_hz
    signal += 0.03 * np.sin(2 * np.pi * 0.25 * t) + patient.noise_mv * rng.standard_normal(n)
    places = [(round(beat.at_s * patient.fs_hz), beat.symbol) for beat in beats]
    truth += [Annotation(place, symbol) for place, symbol in places if place < n]
    truth.sort(key=lambda a: (a.sample, a.symbol != "+"))
    samples = np.clip(np.round(signal * 1000.0 / patient.uv_per_lsb), -32768, 32767).astype(np.int16)
    return Recording(name, patient.fs_hz, patient.lead, patient.uv_per_lsb, samples, None, tuple(truth))


def check(patient: Patient) -> float:
    """How long the script is [s]; raises ValueError for one that can't be, naming the field."""
    if not MIN_FS_HZ <= patient.fs_hz <= MAX_FS_HZ:
        raise ValueError(f"fs_hz: expected {MIN_FS_HZ:g} to {MAX_FS_HZ:g} Hz, got {patient.fs_hz:g}")
    if not MIN_UV_PER_LSB <= patient.uv_per_lsb <= MAX_UV_PER_LSB:
        raise ValueError(
            f"uv_per_lsb: expected {MIN_UV_PER_LSB:g} to {MAX_UV_PER_LSB:g}, got {patient.uv_per_lsb:g}"
        )
    if not 0 <= patient.noise_mv <= MAX_NOISE_MV:
        raise ValueError(f"noise_mv: expected 0 to {MAX_NOISE_MV:g}, got {patient.noise_mv:g}")
    if patient.seed < 0:
        raise ValueError(f"seed: expected 0 or more, got {patient.seed}")
    if not patient.script:
        raise ValueError("script: expected at least one rhythm")
    for i, stretch in enumerate(patient.script):
        _check_stretch(f"script[{i}]", stretch)
    total_s = sum(stretch.for_s for stretch in patient.script)
    if total_s > MAX_S:
        raise ValueError(f"script: {total_s:g} s, at most {MAX_S:g}")
    return total_s


def _check_stretch(place: str, stretch: Stretch) -> None:
    if stretch.rhythm not in TEXT:
        raise ValueError(f"{place}.rhythm: expected one of {', '.join(TEXT)}, got {stretch.rhythm!r}")
    if not MIN_STRETCH_S <= stretch.for_s <= MAX_S:
        raise ValueError(f"{place}.for_s: expected {MIN_STRETCH_S:g} to {MAX_S:g} s, got {stretch.for_s:g}")
    if stretch.bpm is not None and not 10 <= stretch.bpm <= 300:
        raise ValueError(f"{place}.bpm: expected 10 to 300, got {stretch.bpm}")
    if not (0 <= stretch.pvc_rate <= 0.5 and 0 <= stretch.pac_rate <= 0.5):
        raise ValueError(f"{place}.pvc_rate, pac_rate: expected shares up to 0.5")


def _beats(
    stretch: Stretch, at_s: float, end_s: float, rng: np.random.Generator
) -> tuple[list[_Beat], float]:
    """The beats of a stretch, and when the next one would come."""
    rr_s = 60.0 / (stretch.bpm or USUAL_BPM[stretch.rhythm])
    next_beat = _RHYTHMS[stretch.rhythm]
    beats: list[_Beat] = []
    while at_s < end_s:
        interval_s, waves, symbol = next_beat(len(beats), rr_s, rng, stretch)
        beats.append(_Beat(at_s, interval_s, waves, symbol))
        at_s += interval_s
    return beats, at_s


Interval = tuple[float, str, str]  # to the next beat [s], waves, symbol


def _sinus(_n: int, rr_s: float, rng: np.random.Generator, stretch: Stretch) -> Interval:
    """Sinus rhythm; a premature beat comes at 0.65 RR, after a ventricular one the pause is compensatory."""
    steady = rr_s * (1.0 + 0.02 * float(rng.standard_normal()))
    draw = float(rng.random())
    if draw < stretch.pvc_rate:
        return 1.35 * rr_s, "V", "V"
    if draw < stretch.pvc_rate + stretch.pac_rate:
        return 0.95 * rr_s, "A", "A"
    return steady, "N", "N"


def _every(n: int) -> Callable[..., Interval]:
    """A ventricular beat in every n-th place, early, with a compensatory pause."""

    def beat(i: int, rr_s: float, rng: np.random.Generator, _: Stretch) -> Interval:
        jitter = 1.0 + 0.01 * float(rng.standard_normal())
        if i % n == n - 1:
            return 1.35 * rr_s * jitter, "V", "V"
        return (0.65 if i % n == n - 2 else 1.0) * rr_s * jitter, "N", "N"

    return beat


def _af(_n: int, rr_s: float, rng: np.random.Generator, _: Stretch) -> Interval:
    return max(0.3, rr_s * float(rng.gamma(16.0, 1.0 / 16.0))), "F", "N"


def _svt(_n: int, rr_s: float, rng: np.random.Generator, _: Stretch) -> Interval:
    return rr_s * (1.0 + 0.005 * float(rng.standard_normal())), "F", "S"


def _ventricular(_n: int, rr_s: float, rng: np.random.Generator, _: Stretch) -> Interval:
    return rr_s * (1.0 + 0.015 * float(rng.standard_normal())), "V", "V"


_RHYTHMS: dict[str, Callable[..., Interval]] = {
    "sinus": _sinus, "af": _af, "svt": _svt, "vt": _ventricular, "idioventricular": _ventricular,
    "bigeminy": _every(2), "trigeminy": _every(3),
}  # fmt: skip


def _waves(beats: list[_Beat], n: int, fs_hz: float) -> NDArray[np.float64]:
    """ECGSYN's trace of the beats [mV]: z' = -sum of a dθ exp(-dθ²/2b²) - z."""
    from scipy.signal import lfilter

    drive = np.zeros(n)
    for i, beat in enumerate(beats):
        # A premature beat's rate is told by the interval before it, as its repolarisation is.
        rr_s = min(beat.rr_s, beat.at_s - beats[i - 1].at_s) if i else beat.rr_s
        omega = 2 * np.pi / float(np.clip(rr_s, 0.3, 1.5))
        first, last = (
            max(0, int((beat.at_s - np.pi / omega) * fs_hz)),
            min(n, int((beat.at_s + np.pi / omega) * fs_hz)),
        )
        theta = omega * (np.arange(first, last) / fs_hz - beat.at_s)
        drive[first:last] += _drive(theta, omega, WAVES[beat.waves])
    decay = np.exp(-1.0 / fs_hz)
    # A trapezium a step: a peak stands where its beat is, not half a sample off.
    trace: NDArray[np.float64] = lfilter([(1.0 - decay) / 2, (1.0 - decay) / 2], [1.0, -decay], drive)
    return trace * _scale()


def _drive(theta: NDArray[np.float64], omega: float, waves: Waves) -> NDArray[np.float64]:
    quick = np.sqrt(
        omega / (2 * np.pi)
    )  # ECGSYN's adjustment to the rate: waves come closer as a beat gets faster
    drive = np.zeros(len(theta))
    for at, a, b in zip(waves.at, waves.a, waves.b, strict=True):
        power = 0.0 if at == 0 else 1.0 if abs(at) < 60 else 0.5
        d = theta - np.deg2rad(at) * quick**power
        drive -= a * d * np.exp(-0.5 * (d / (b * quick)) ** 2)
    return drive


def _scale() -> float:
    """Millivolts per unit of the model: such that a normal R peak at 60/min is `R_MV` high."""
    b_r, a_r = NORMAL.b[2], NORMAL.a[2]
    return R_MV / (a_r * b_r**2 / (2 * np.pi))


def _fibrillatory(n: int, fs_hz: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Atrial fibrillatory waves [mV]: a saw tooth of 4 to 8 Hz, its frequency and size wandering."""
    phase = 2 * np.pi * np.cumsum(6.0 + 1.0 * _slow(n, fs_hz, 0.3, rng)) / fs_hz
    size = 0.05 * np.clip(1.0 + 0.4 * _slow(n, fs_hz, 0.5, rng), 0.2, 2.0)
    wave: NDArray[np.float64] = size * (np.sin(phase) + 0.4 * np.sin(2 * phase) + 0.2 * np.sin(3 * phase))
    return wave


def _vf(n: int, fs_hz: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Ventricular fibrillation [mV]: an oscillation of 4 to 6 Hz, coarse, waxing and waning."""
    phase = 2 * np.pi * np.cumsum(4.8 + 0.7 * _slow(n, fs_hz, 1.0, rng)) / fs_hz
    size = 0.5 * np.clip(1.0 + 0.45 * _slow(n, fs_hz, 0.8, rng), 0.25, 2.0)
    wave: NDArray[np.float64] = size * np.sin(phase) + 0.12 * _slow(n, fs_hz, 8.0, rng)
    return wave


def _slow(n: int, fs_hz: float, up_to_hz: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise below `up_to_hz`, of spread 1."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    spectrum[np.fft.rfftfreq(n, 1.0 / fs_hz) > up_to_hz] = 0.0
    values = np.fft.irfft(spectrum, n)
    return values / max(float(values.std()), 1e-12)
