"""The last seconds and R peaks of many streams, measured when a window is due."""

import math
from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from ecgstream.measurements import FS_HZ, NAMES, measure_window, one_beat

MAX_PEAKS = 160  # of 30 s: the detector finds no two within 0.2 s. Of more, the earliest are forgotten.


@numba.njit(cache=True, nogil=True)
def _measure_slots(slots: Any, held: Any, n_seconds: Any, peaks: Any, n_peaks: Any, out: Any) -> None:
    window = np.empty(held.shape[1] * FS_HZ, np.float32)
    figures, inside = np.empty(out.shape[1]), np.empty(peaks.shape[1])
    for i in range(slots.size):
        slot = slots[i]
        known = min(n_seconds[slot], held.shape[1])
        for s in range(known):
            second = held[slot, (n_seconds[slot] - known + s) % held.shape[1]]
            for j in range(FS_HZ):
                window[s * FS_HZ + j] = second[j]
        start, n = (n_seconds[slot] - known) * FS_HZ, 0
        for k in range(n_peaks[slot]):
            position = peaks[slot, k] - start
            if 0 <= position < known * FS_HZ:
                inside[n] = position
                n += 1
        measure_window(window[: known * FS_HZ], inside[:n], figures)
        for j in range(figures.size):
            out[i, j] = figures[j]


@numba.njit(cache=True, nogil=True)
def _measure_beats(
    slots: Any, positions: Any, held: Any, n_seconds: Any, peaks: Any, n_peaks: Any, out: Any
) -> None:
    around = np.empty(int((one_beat.BEFORE_S + one_beat.AFTER_S) * FS_HZ) + 2, np.float32)
    figures, neighbours = np.empty(out.shape[1]), np.empty(peaks.shape[1])
    for i in range(slots.size):
        slot, at = slots[i], round(positions[i])
        start = max(0, at - int(one_beat.BEFORE_S * FS_HZ))
        end = min(n_seconds[slot] * FS_HZ, at + int(one_beat.AFTER_S * FS_HZ))
        for second in range(start // FS_HZ, (end - 1) // FS_HZ + 1):
            line, first = held[slot, second % held.shape[1]], second * FS_HZ
            for j in range(max(start, first), min(end, first + FS_HZ)):
                around[j - start] = line[j - first]
        own: Any = np.int64(-1)  # of a literal -1, `measure_beat` would be compiled, too
        n = 0
        for k in range(n_peaks[slot]):
            if start <= peaks[slot, k] < at + one_beat.NEIGHBOURS_S * FS_HZ:
                own = n if peaks[slot, k] == positions[i] else own
                neighbours[n] = peaks[slot, k] - start
                n += 1
        if own < 0:
            figures[:] = math.nan
        else:
            one_beat.measure_beat(around[: end - start], neighbours[:n], own, figures)
        for j in range(figures.size):
            out[i, j] = figures[j]


@numba.njit(cache=True, nogil=True)
def _take(
    slots: Any, counts: Any, found: Any, kept_seconds: int, n_seconds: Any, peaks: Any, n_peaks: Any
) -> None:
    """Put the R peaks `found`, `counts` (n,) of each slot, among those held, in order; the oldest make room."""
    at = 0
    for i in range(slots.size):
        slot = slots[i]
        start, n = (n_seconds[slot] - kept_seconds) * FS_HZ, 0
        for k in range(n_peaks[slot]):
            if peaks[slot, k] >= start:
                peaks[slot, n] = peaks[slot, k]
                n += 1
        for position in found[at : at + counts[i]]:
            if n == peaks.shape[1]:
                for k in range(1, n):
                    peaks[slot, k - 1] = peaks[slot, k]
                n -= 1
            k = n
            while k > 0 and peaks[slot, k - 1] > position:
                peaks[slot, k] = peaks[slot, k - 1]
                k -= 1
            peaks[slot, k] = position
            n += 1
        at += counts[i]
        n_peaks[slot] = n


class HeldWindows:
    """The last `n_seconds` of up to `n_slots` streams; memory is fixed at the start."""

    def __init__(self, n_slots: int, n_seconds: int) -> None:
        self._seconds = np.zeros((n_slots, n_seconds, FS_HZ), np.float32)
        self._n_seconds = np.zeros(n_slots, np.int64)
        self._peaks = np.zeros((n_slots, MAX_PEAKS))
        self._n_peaks = np.zeros(n_slots, np.int64)

    def reset(self, slot: int) -> None:
        """Forget a slot's stream."""
        self._n_seconds[slot] = self._n_peaks[slot] = 0

    def push(
        self, slots: NDArray[np.int64], blocks: NDArray[np.float32], peaks: Sequence[NDArray[np.float64]]
    ) -> None:
        """Take the next second of some streams, (n, 128), and the R peaks that were found since, in samples since the reset."""
        self._seconds[slots, self._n_seconds[slots] % self._seconds.shape[1]] = blocks
        self._n_seconds[slots] += 1
        counts = np.array([len(found) for found in peaks])
        if counts.any():
            _take(
                slots,
                counts,
                np.concatenate(peaks, dtype=np.float64),
                self._seconds.shape[1],
                self._n_seconds,
                self._peaks,
                self._n_peaks,
            )

    def measured(self, slots: NDArray[np.int64]) -> NDArray[np.float32]:
        """What can be measured in what is held of some streams, (n, len(NAMES)); each has a second at least."""
        out = np.empty((len(slots), len(NAMES)), np.float32)
        _measure_slots(slots, self._seconds, self._n_seconds, self._peaks, self._n_peaks, out)
        return out

    def measured_beats(self, slots: NDArray[np.int64], positions: NDArray[np.float64]) -> NDArray[np.float32]:
        """What can be measured of the beats at R peaks that were pushed, (n, len(one_beat.NAMES)); NaN of any that wasn't.

        slots, positions: (n,), of each beat, the latter in samples since the reset; what is around them must be held still.
        """
        out = np.empty((len(slots), len(one_beat.NAMES)), np.float32)
        _measure_beats(slots, positions, self._seconds, self._n_seconds, self._peaks, self._n_peaks, out)
        return out
