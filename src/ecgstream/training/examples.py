"""Examples to learn from: 30-s crops with what their database knows of them, and what a wearable does to a signal.

What isn't known is masked: a rhythm target is a set of classes that are all right (CinC's "other" is any of ten), a beat
target exists at annotated R peaks and at those of beats that were made (`ecgstream.training.ectopy`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgstream.evaluation.beat_classes import match
from ecgstream.measurements import one_beat
from ecgstream.patterns import runs_of
from ecgstream.training.corpus import Packed
from ecgstream.training.ectopy import lent_beats, with_ectopy
from ecgstream.training.network import BEATS, FS_HZ, RHYTHMS, SILENCE

CROP = 30 * FS_HZ
RUN_LEARNT_S = 10.0  # of a supraventricular run
SPAN = CROP + 2 * SILENCE  # a crop with what stands around it
Rng = np.random.Generator
NO_BEATS = np.empty((0, 3), np.int64), np.empty((0, len(one_beat.NAMES)), np.float32)

CINC = {
    "N": ("sinus",),
    "A": ("af",),
    "~": ("noise",),
    "O": tuple(r for r in RHYTHMS if r not in ("sinus", "af", "noise")),
}
MITDB_RHYTHM = {
    "N": "sinus", "SBR": "sinus", "AFIB": "af", "AFL": "af", "SVTA": "svt", "B": "bigeminy", "T": "trigeminy",
    "IVR": "idioventricular", "NOD": "junctional", "BII": "block", "P": "paced", "VT": "vt", "VFL": "vt", "PREX": "other", "AB": "other",
}  # fmt: skip


@dataclass
class Batch:
    """signal: float32 (n, SPAN) µV, of which the first `length` (int64 (n,)) samples are real.

    The first `alone` of them are whole records or crops of at most `CROP`, to stand in silence; the others have real signal
    around their crop. rhythm: float32 (n, classes), 1 for each class that would be right (all 0: unknown). share: float32
    (n, classes), the time each rhythm takes where it is annotated (all 0: use `rhythm`). beats: int64 (m, 3): example, sample,
    class; those of the examples that stand alone were made (`ecgstream.training.ectopy`). measured: float32 (m, figures), what was
    measured of these beats.
    """

    signal: NDArray[np.float32]
    length: NDArray[np.int64]
    alone: int
    rhythm: NDArray[np.float32]
    share: NDArray[np.float32]
    beats: NDArray[np.int64]
    measured: NDArray[np.float32]


@dataclass(frozen=True)
class Augmentation:
    """How far examples are varied; all zero for evaluation."""

    noise: float = 0.3  # share of crops with recorded noise
    snr_db: tuple[float, float] = (0.0, 24.0)
    stretch: float = 0.08
    flip: float = 0.3
    mains: float = 0.05
    shorten: float = 0.15
    dropouts: float = 0.15  # share of crops with stretches of 0.3-2 s that are lost
    filters: float = 0.2
    ectopy: float = 0.0  # share of normal recordings in which ectopic beats are made


def stretched(signal: NDArray[np.int16], start: float, n: int, rate: float) -> NDArray[np.float32]:
    """`n` samples of `signal` from `start` on, `rate` of its samples to each: a heart that beats faster or slower."""
    at = start + np.arange(n) * rate
    whole = at.astype(np.int64)
    part = (at - whole).astype(np.float32)
    whole = np.minimum(whole, signal.size - 2)
    line: NDArray[np.float32] = signal[whole] * (1 - part) + signal[whole + 1] * part
    return line


def vary(
    x: NDArray[np.float32], noises: Sequence[NDArray[np.float32]], rng: Rng, how: Augmentation
) -> NDArray[np.float32]:
    """Recorded noise at a random SNR, mains, another gain, a random tilt of the spectrum, a turned electrode."""
    power = float(np.sqrt(np.mean(x**2))) + 1e-3
    if rng.random() < how.flip:
        x = -x
    if rng.random() < how.filters:  # another device's band, by a blend with the neighbours
        a = np.float32(rng.uniform(-0.35, 0.6))
        x = x + a * (np.concatenate([x[1:], x[-1:]]) + np.concatenate([x[:1], x[:-1]])) / 2
    for _ in range(1 + (rng.random() < 0.25)):
        if noises and rng.random() < how.noise:
            noise = noises[int(rng.integers(len(noises)))]
            start = rng.integers(max(1, noise.size - x.size))
            part = noise[start : start + x.size]
            if part.size == x.size:
                snr_db = rng.uniform(*how.snr_db)
                x = x + part * np.float32(power / (np.sqrt(np.mean(part**2)) + 1e-3) * 10 ** (-snr_db / 20))
    if rng.random() < how.mains:
        f = rng.choice([50.0, 60.0]) + rng.uniform(-0.3, 0.3)
        x = x + np.float32(power * rng.uniform(0.02, 0.4)) * np.sin(
            2 * np.pi * f * np.arange(x.size) / FS_HZ + rng.uniform(0, 6.28)
        )
    gain = np.exp(rng.uniform(-1.0, 1.0))
    varied: NDArray[np.float32] = (x * gain).astype(np.float32)
    return varied


def drop_out(x: NDArray[np.float32], rng: Rng, how: Augmentation) -> None:
    """Lose one to three stretches of `x`, in place: what the wearable didn't send is a level line."""
    if rng.random() < how.dropouts:
        for _ in range(int(rng.integers(1, 4))):
            start = int(rng.integers(x.size))
            x[start : start + int(rng.uniform(0.3, 2.0) * FS_HZ)] = 0.0


def rhythm_share(record: Packed, start: int, end: int) -> NDArray[np.float32]:
    """The share of [start, end) that each rhythm class takes by the annotations; all zero where an unknown one stands."""
    share = np.zeros(len(RHYTHMS), np.float32)
    for a, b, note in record.rhythms:
        overlap = min(b, end) - max(a, start)
        if overlap > 0:
            name = MITDB_RHYTHM.get(note)
            if name is None:
                return np.zeros_like(share)
            share[RHYTHMS.index(name)] += overlap
    return share / np.float32(end - start)


def cinc_example(
    signal: NDArray[np.int16], rng: Rng, how: Augmentation
) -> tuple[NDArray[np.float32], int, float, float]:
    """A random crop of a CinC record, up to 30 s, stretched; how long it is, where it starts and at what rate it was read."""
    rate = float(np.exp(rng.uniform(-how.stretch, how.stretch)))
    available = int((signal.size - 2) / rate)
    n = min(CROP, available)
    if rng.random() < how.shorten:
        n = int(rng.uniform(min(n, 12 * FS_HZ), n))
    start = rng.uniform(0, max(1e-3, signal.size - 2 - n * rate))
    x = np.zeros(CROP, np.float32)
    x[:n] = stretched(signal, start, n, rate)
    return x, n, start, rate


def measured_peaks(signal: NDArray[np.int16], peaks: NDArray[np.float64]) -> NDArray[np.float32]:
    """What can be measured of the beat at each R peak: float32 (m, figures), NaN where it can't."""
    measured = np.empty((peaks.size, len(one_beat.NAMES)))
    one_beat.measure_beats(signal.astype(np.float32), peaks, measured)
    return measured.astype(np.float32)


def measured_beats(record: Packed) -> NDArray[np.float32]:
    """What can be measured of each annotated beat, at the R peak that the detector finds: float32 (m, figures), NaN where it finds none."""
    of_peaks = measured_peaks(record.signal, record.peaks)
    pairs = match(record.beats / FS_HZ, record.peaks / FS_HZ)
    found: NDArray[np.float32] = np.where(pairs[:, None] >= 0, of_peaks[pairs], np.float32(np.nan))
    return found


def learnt_kinds(record: Packed) -> NDArray[np.str_]:
    """The class of each beat as the beat head learns it, empty where it doesn't: (m,).

    A supraventricular beat is one that comes early. Later in a run it is early no more: the beats that it is judged by are of the
    run, too. Whoever learns these all the same learns the waves of the few patients who have them.
    """
    kinds = np.where(np.isin(record.kinds, BEATS), record.kinds, "")
    for run in runs_of("S", record.kinds.tolist()):
        late = record.beats[run] - record.beats[run[0]] > RUN_LEARNT_S * FS_HZ
        kinds[np.array(run)[late]] = ""
    return kinds


def _beats(i: int, at: NDArray[np.float64], kinds: NDArray[np.str_], end: int, rng: Rng) -> NDArray[np.int64]:
    """Rows of `Batch.beats`, not quite at the R peaks: no detector is always there."""
    moved = np.clip(at + rng.uniform(-4, 4, kinds.size), 0, end - 1)
    rows = np.stack([np.full(kinds.size, i), moved, [BEATS.index(kind) for kind in kinds]], axis=1)
    return rows.astype(np.int64)


@dataclass(frozen=True)
class Annotated:
    """A record of annotated beats, as examples are drawn from it.

    kinds: (m,), the class of each beat as it is learnt, empty where it isn't. measured: float32 (m, figures). ectopic: places of the
    ectopic beats. rare: (start, end) in samples of rhythms other than sinus and paced.
    """

    record: Packed
    kinds: NDArray[np.str_]
    measured: NDArray[np.float32]
    ectopic: NDArray[np.int64]
    rare: list[tuple[int, int]]

    @classmethod
    def of(cls, record: Packed) -> "Annotated":
        """Measures each beat, which takes a while."""
        kinds = learnt_kinds(record)
        rare = [(a, b) for a, b, note in record.rhythms if note not in ("N", "P")]
        return cls(record, kinds, measured_beats(record), np.flatnonzero(np.isin(kinds, ["S", "V"])), rare)


class Sampler:
    """Draws batches: CinC crops beside crops of the beat-annotated databases, the latter often around an ectopic beat."""

    def __init__(
        self,
        cinc: list[Packed],
        annotated: Sequence[Annotated],
        noises: Sequence[NDArray[np.float32]],
        how: Augmentation,
        seed: int,
    ) -> None:
        self.cinc, self.annotated, self.noises, self.how = cinc, annotated, noises, how
        self.seed = seed
        self.lent = lent_beats([a.record for a in annotated])

    def epoch(self, number: int, n_cinc: int, n_annotated: int) -> "list[tuple[int, NDArray[np.int64], int]]":
        """The plan of one epoch: (seed, CinC indices, annotated crops) for each batch."""
        rng = np.random.default_rng([self.seed, number])
        order = rng.permutation(len(self.cinc))
        n = len(order) // n_cinc
        return [
            (int(rng.integers(2**31)), order[i * n_cinc : (i + 1) * n_cinc], n_annotated) for i in range(n)
        ]

    def batch(self, plan: "tuple[int, NDArray[np.int64], int]") -> Batch:
        """Make one batch of a plan."""
        seed, chosen, n_annotated = plan
        rng = np.random.default_rng(seed)
        n = len(chosen) + n_annotated
        batch = Batch(
            np.zeros((n, SPAN), np.float32), np.full(n, SPAN, np.int64), len(chosen),
            np.zeros((n, len(RHYTHMS)), np.float32), np.zeros((n, len(RHYTHMS)), np.float32), *NO_BEATS,
        )  # fmt: skip
        found = [self._alone(batch, i, self.cinc[index], rng) for i, index in enumerate(chosen)]
        found += [self._annotated(batch, i, rng) for i in range(len(chosen), n)]
        batch.beats = np.concatenate([batch.beats, *(beats for beats, _ in found)])
        batch.measured = np.concatenate([batch.measured, *(measured for _, measured in found)])
        return batch

    def _alone(
        self, batch: Batch, i: int, record: Packed, rng: Rng
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """A recording of CinC 2017 with its label; or a normal one with ectopic beats, whose rhythm then no one has named."""
        ectopic = None
        if self.how.ectopy and record.label == "N" and rng.random() < self.how.ectopy:
            ectopic = with_ectopy(record, self.lent, rng)
        signal = record.signal if ectopic is None else ectopic.signal
        x, real, start, rate = cinc_example(signal, rng, self.how)
        x[:real] = vary(x[:real], self.noises, rng, self.how)
        drop_out(x[:real], rng, self.how)
        batch.signal[i, :real], batch.length[i] = x[:real], real
        if ectopic is None:
            batch.rhythm[i, [RHYTHMS.index(r) for r in CINC[record.label]]] = 1.0
            return NO_BEATS
        at = (ectopic.peaks - start) / rate
        inside = (at >= 0) & (at < real)
        measured = measured_peaks(ectopic.signal, ectopic.peaks)[inside]
        return _beats(i, at[inside], ectopic.kinds[inside], real, rng), measured

    def _annotated(self, batch: Batch, i: int, rng: Rng) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        annotated = self.annotated[int(rng.integers(len(self.annotated)))]
        record = annotated.record
        rate = float(np.exp(rng.uniform(-self.how.stretch, self.how.stretch)))
        length = SPAN * rate
        choice = rng.random()
        start = rng.uniform(0, record.signal.size - length - 2)
        if choice < 0.5 and annotated.ectopic.size:
            start = record.beats[rng.choice(annotated.ectopic)] - rng.uniform(0.2, 0.8) * length
        elif choice < 0.8 and annotated.rare:
            a, b = annotated.rare[rng.integers(len(annotated.rare))]
            start = rng.uniform(a, b) - rng.uniform(0.1, 0.9) * length
        start = float(np.clip(start, 0, record.signal.size - length - 2))
        x = stretched(record.signal, start, SPAN, rate)
        batch.signal[i] = vary(x, self.noises, rng, self.how)
        end = start + length
        inside = (record.beats >= start) & (record.beats < end) & (annotated.kinds != "")
        kinds = annotated.kinds[inside]
        share = rhythm_share(record, int(start + SILENCE * rate), int(end - SILENCE * rate))
        if share[RHYTHMS.index("sinus")] > 0.99 and np.isin(kinds, ["S", "V"]).sum() >= 2:
            batch.rhythm[i, [RHYTHMS.index("sinus"), RHYTHMS.index("other")]] = (
                1.0  # CinC calls such records "other"
            )
        elif share.any():
            batch.share[i] = share
        at = (record.beats[inside] - start) / rate
        return _beats(i, at, kinds, SPAN, rng), annotated.measured[inside]
