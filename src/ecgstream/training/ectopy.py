"""Ectopic beats made in recordings that have none.

The annotated databases show the ectopic beats of some dozens of patients; CinC 2017 has thousands whose rhythm is normal. Their own
waves, put together anew, show what an ectopic beat is whoever has it. A recording is cut before each P wave. A supraventricular
beat is its own stretch, come early, with another P wave or none; a ventricular one gives up its waves for those of a ventricular beat that
someone annotated, or for its own QRS made wide with a T wave against it. What comes after waits. Where no beat is made early, the
heart may quicken and slow with the breath: that is normal, too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgstream.measurements.waves import HIGH, PEAK
from ecgstream.training.corpus import FS_HZ, Packed

Rng = np.random.Generator
Floats = NDArray[np.float32]
Waves = Callable[[Floats], Floats]  # a beat's own stretch to that of an ectopic one

BEFORE, AFTER = round(0.25 * FS_HZ), round(0.5 * FS_HZ)  # of a beat's R peak: its waves
P_ENDS = round(0.07 * FS_HZ)  # before the R peak
HALF_QRS = 7  # samples
SOONEST = round(0.33 * FS_HZ)  # from one beat to the next
SETTLE = round(0.2 * FS_HZ)  # within which levels meet
USUAL_S = (0.5, 1.3)  # RR interval of a recording that ectopic beats are made in
FEWEST, FEWEST_V = 8, 3  # beats of such a recording; ventricular beats of a record that lends them
LARGEST = 6.0  # of a beat that is lent, in usual QRS sizes
EARLY = (0.5, 0.88)  # interval before an ectopic beat, of the usual one
RUN_EARLY = (0.42, 0.75)  # the same within a run
SUPRAVENTRICULAR = 0.55  # share of the recordings
MADE_WIDE = 0.3  # share of the ventricular ones whose waves are their own
BREATHING = 0.25  # share of recordings in which the heart quickens and slows


@dataclass(frozen=True)
class Ectopic:
    """A recording with ectopic beats. signal: int16 (n,), µV. peaks: float64 (m,), R peaks in samples. kinds: (m,) of N, S, V."""

    signal: NDArray[np.int16]
    peaks: NDArray[np.float64]
    kinds: NDArray[np.str_]


def size_of(signal: Floats, peaks: NDArray[np.float64]) -> float:
    """The usual size of a QRS, µV; nan where there is none whole."""
    before, after = PEAK - HIGH[0], HIGH[1] - PEAK
    whole = [signal[p - before : p + after] for p in peaks.astype(int) if before <= p < signal.size - after]
    return float(np.median([np.ptp(qrs) for qrs in whole])) if whole else np.nan


def lent_beats(records: Sequence[Packed]) -> list[Floats]:
    """Ventricular beats of annotated records over the usual QRS size: (beats, `BEFORE` + `AFTER`) of each that has some."""
    lent = []
    for record in records:
        signal = record.signal.astype(np.float32)
        at = record.beats[record.kinds == "V"].astype(int)
        at = at[(at >= BEFORE) & (at + AFTER <= signal.size)]
        size = size_of(signal, record.beats[record.kinds == "N"][::7])
        if len(at) < FEWEST_V or not size > 0:
            continue
        beats = np.array([signal[p - BEFORE : p + AFTER] for p in at]) / np.float32(size)
        beats = beats[np.ptp(beats, axis=1) < LARGEST]
        if len(beats):
            lent.append(beats[:: max(1, len(beats) // 200)])
    return lent


def with_ectopy(record: Packed, lent: Sequence[Floats], rng: Rng) -> Ectopic | None:
    """`record`, whose beats are all normal, with ectopic ones among them; None where it is too short, too fast or too slow."""
    signal = record.signal.astype(np.float32)
    peaks = record.peaks[(record.peaks > BEFORE + 2) & (record.peaks < signal.size - AFTER - 2)].astype(int)
    if len(peaks) < FEWEST:
        return None
    usual = float(np.median(np.diff(peaks)))
    if not USUAL_S[0] * FS_HZ < usual < USUAL_S[1] * FS_HZ:
        return None
    kind = "S" if rng.random() < SUPRAVENTRICULAR else "V"
    is_ectopic = _places(len(peaks), rng)
    cuts = [*(peaks - BEFORE), peaks[-1] + AFTER]
    lengths = _lengths(np.diff(cuts), is_ectopic, kind, usual, rng)
    waves = _supraventricular(rng) if kind == "S" else _ventricular(signal, peaks, lent, rng)
    parts = [signal[: cuts[0]]]
    for i, length in enumerate(lengths):
        own = signal[cuts[i] : cuts[i + 1]].copy()
        part = _fitted(waves(own) if is_ectopic[i] else own, length)
        settle = min(SETTLE, part.size)
        part[:settle] += (parts[-1][-1] - part[0]) * np.linspace(1, 0, settle, dtype=np.float32)
        parts.append(part)
    starts = np.cumsum([part.size for part in parts])[:-1]
    made = np.concatenate([*parts, signal[cuts[-1] :]])
    return Ectopic(
        np.clip(np.rint(made), -32768, 32767).astype(np.int16),
        (starts + BEFORE).astype(np.float64),
        np.where(is_ectopic, kind, "N"),
    )


def _places(n: int, rng: Rng) -> NDArray[np.bool_]:
    """Which of `n` beats are ectopic: some here and there, every second to seventh, pairs, or a run; never the first two."""
    places = np.zeros(n, np.bool_)
    how = rng.random()
    if how < 0.55:
        places[rng.choice(np.arange(2, n), int(rng.integers(1, 6)), replace=False)] = True
    elif how < 0.8:
        every = int(rng.choice([2, 2, 3, 4, 5, 6, 7]))
        places[int(rng.integers(2, 2 + every)) :: every] = True
    else:
        longest = 2 if how < 0.88 else 8
        for first in rng.choice(np.arange(2, n), int(rng.integers(1, 3)), replace=False):
            places[first : first + int(rng.integers(2, longest + 1))] = True
    return places


def _lengths(
    own: NDArray[np.int64], is_ectopic: NDArray[np.bool_], kind: str, usual: float, rng: Rng
) -> NDArray[np.int64]:
    """Samples from each beat to the next: short before an ectopic one, long behind it."""
    lengths = own.astype(np.float64)
    if rng.random() < BREATHING:
        breath_s = rng.uniform(3, 6)
        turn = 2 * np.pi * (np.cumsum(own) / FS_HZ / breath_s + rng.random())
        lengths *= 1 + rng.uniform(0.02, 0.12) * np.sin(turn)
    early, early_in_run = rng.uniform(*EARLY), rng.uniform(*RUN_EARLY)
    jitter = 0.04 if kind == "S" else 0.02
    pause = rng.uniform(0.9, 1.15)
    for i in range(len(own) - 1):
        if is_ectopic[i + 1]:
            share = early_in_run if is_ectopic[i] else early
            lengths[i] = usual * (share + rng.normal(0, jitter))
        elif is_ectopic[i]:
            waited = usual if kind == "S" else 2 * usual - lengths[i - 1]
            lengths[i] = waited * pause
    return np.maximum(np.rint(lengths), SOONEST).astype(np.int64)


def _fitted(part: Floats, length: int) -> Floats:
    """A beat's stretch cut to `length`, or its line behind the T wave drawn out to it."""
    if part.size >= length:
        return part[:length]
    tail = BEFORE + AFTER
    if part.size < tail + 8:
        return np.concatenate([part, np.full(length - part.size, part[-1], np.float32)])
    line = part[tail:]
    at = np.linspace(0, line.size - 1, length - tail)
    return np.concatenate([part[:tail], np.interp(at, np.arange(line.size), line).astype(np.float32)])


def _supraventricular(rng: Rng) -> Waves:
    """A stretch with another P wave: smaller, larger, upside down or none; now and then its own."""
    share = rng.uniform(-1.0, 1.4) if rng.random() < 0.75 else 1.0

    def waves(own: Floats) -> Floats:
        end = min(BEFORE - P_ENDS, own.size)
        level = np.linspace(own[0], own[end - 1], end, dtype=np.float32)
        own[:end] = level + (own[:end] - level) * np.float32(share)
        return own

    return waves


def _ventricular(signal: Floats, peaks: NDArray[np.int64], lent: Sequence[Floats], rng: Rng) -> Waves:
    """A stretch with the waves of a ventricular beat: mostly one and the same, lent or made."""
    size = np.float32(size_of(signal, peaks.astype(np.float64)))
    is_lent = bool(lent) and rng.random() >= MADE_WIDE
    shapes = lent[int(rng.integers(len(lent)))] if is_lent else _made_wide(signal, peaks, size, rng)[None]
    usual = int(rng.integers(len(shapes)))

    def waves(own: Floats) -> Floats:
        k = usual if rng.random() < 0.8 else int(rng.integers(len(shapes)))
        beat = shapes[k] * size
        n = min(beat.size, own.size)
        beat = beat[:n] - beat[0] + own[0]
        beat += (own[n - 1] - beat[-1]) * np.linspace(0, 1, n, dtype=np.float32) ** 2
        return np.concatenate([beat, own[n:]])

    return waves


def _made_wide(signal: Floats, peaks: NDArray[np.int64], size: np.float32, rng: Rng) -> Floats:
    """The usual QRS, wide, as it is or upside down, and a T wave against it, over its size: (BEFORE + AFTER,)."""
    qrs = np.median([signal[p - HALF_QRS : p + HALF_QRS + 1] for p in peaks], axis=0)
    qrs = (qrs - np.linspace(qrs[0], qrs[-1], qrs.size)) / max(float(size), 1.0)
    wide = rng.uniform(1.6, 2.6)
    at = np.arange(-BEFORE, AFTER) / wide + HALF_QRS
    beat = np.interp(at, np.arange(qrs.size), qrs, left=0.0, right=0.0)
    beat *= rng.choice([-1.0, 1.0]) * rng.uniform(0.8, 1.8)
    main = np.sign(beat[np.abs(beat).argmax()])
    starts, width = round(HALF_QRS * wide), rng.uniform(0.18, 0.3) * FS_HZ
    t = np.clip((np.arange(-BEFORE, AFTER) - starts) / width, 0, 1)
    wave: Floats = (beat - main * rng.uniform(0.2, 0.6) * np.sin(np.pi * t)).astype(np.float32)
    return wave
