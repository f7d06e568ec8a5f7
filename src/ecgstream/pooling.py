"""What the rhythm head is told of a window, from sums that each second adds once.

The head attends to, averages, spreads and peaks over the frames of 30 s (`training.network.RhythmHead.pooled`, the definition).
All four are made of sums and maxima over frames, so a second's are taken when it comes, and a window's are those of its seconds:
a thousand additions where the frames themselves would cost ten times as many. Seconds are added from the oldest to the newest, so
the result doesn't depend on when a stream was taken up.
"""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

SPREAD_FLOOR = 1e-6  # added to the variance

Floats = NDArray[np.float32]


@numba.njit(cache=True)
def _sums(values: Floats, n_attentions: int, out: Any) -> None:
    """Sums over the frames of `values` (frames, attentions + width), logits first, to `out` (attentions + 3, width + 1).

    Row `k` of the first is the k-th attention's weighted values and, last, its weight; then come values, squares and maxima.
    """
    n_frames, width = values.shape[0], values.shape[1] - n_attentions
    out[:] = 0.0
    for f in range(n_frames):
        for k in range(n_attentions):
            weight = np.exp(values[f, k])
            for c in range(width):
                out[k, c] += weight * values[f, n_attentions + c]
            out[k, width] += weight
        for c in range(width):
            value = values[f, n_attentions + c]
            out[n_attentions, c] += value
            out[n_attentions + 1, c] += value * value
            out[n_attentions + 2, c] = max(out[n_attentions + 2, c], value)


@numba.njit(cache=True)
def _features(sums: Any, n_frames: int, out: Any) -> None:
    """What the head is told, (rows, width), of sums (rows, width + 1) over `n_frames` frames."""
    n_attentions, width = sums.shape[0] - 3, sums.shape[1] - 1
    share = np.float32(1.0 / n_frames)
    for k in range(n_attentions):
        for c in range(width):
            out[k, c] = sums[k, c] / sums[k, width]
    for c in range(width):
        mean = sums[n_attentions, c] * share
        variance = max(sums[n_attentions + 1, c] * share - mean * mean, np.float32(0.0))
        out[n_attentions, c] = mean
        out[n_attentions + 1, c] = np.sqrt(variance + np.float32(SPREAD_FLOOR))
        out[n_attentions + 2, c] = sums[n_attentions + 2, c]


@numba.njit(cache=True)
def _push(
    held: Any, at: Any, slots: NDArray[np.int64], values: Floats, n_known: NDArray[np.int64], out: Any
) -> None:
    n_seconds, n_rows, n_columns = held.shape[1:]
    n_attentions = n_rows - 3
    window = np.empty((n_rows, n_columns), np.float32)
    for i in range(slots.size):
        slot = slots[i]
        at[slot] = (at[slot] + 1) % n_seconds
        _sums(values[i], n_attentions, held[slot, at[slot]])
        known = n_known[i]
        if known == 0:
            out[i] = 0.0
            continue
        window[:] = 0.0
        for back in range(known - 1, -1, -1):
            second = held[slot, (at[slot] - back) % n_seconds]
            for row in range(n_rows - 1):
                for c in range(n_columns):
                    window[row, c] += second[row, c]
            for c in range(n_columns):
                window[n_rows - 1, c] = max(window[n_rows - 1, c], second[n_rows - 1, c])
        _features(window, known * values.shape[1], out[i])


class HeldSums:
    """The sums of the last `n_seconds` of up to `n_slots` streams; memory is fixed at the start."""

    def __init__(self, n_slots: int, n_seconds: int, n_attentions: int, width: int) -> None:
        self._held = np.zeros((n_slots, n_seconds, n_attentions + 3, width + 1), np.float32)
        self._at = np.zeros(n_slots, np.int64)

    def push(self, slots: NDArray[np.int64], values: Floats, n_known: NDArray[np.int64]) -> Floats:
        """Take the next second's values of some streams, (n, frames, attentions + width); what the head is told of the last `n_known`
        (n,) seconds of each, (n, features); zeros where none is known."""
        n_rows, n_columns = self._held.shape[2:]
        out = np.empty((len(slots), n_rows, n_columns - 1), np.float32)
        _push(self._held, self._at, slots, values, n_known, out)
        return out.reshape(len(slots), -1)


def features(values: Floats, n_attentions: int) -> Floats:
    """What the head is told of any number of frames, (frames, attentions + width) -> (features,)."""
    n_rows, width = n_attentions + 3, values.shape[1] - n_attentions
    sums = np.empty((n_rows, width + 1), np.float32)
    out = np.empty((n_rows, width), np.float32)
    _sums(values, n_attentions, sums)
    _features(sums, len(values), out)
    return out.reshape(-1)
