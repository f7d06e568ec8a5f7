"""What the rhythm head is told of a window, from sums that each second adds once.

The head attends to, averages, spreads and peaks over the frames of 30 s (`training.network.RhythmHead.pooled`, the definition).
All four are made of sums and maxima over frames, so a second's are taken when it comes, and a window's are those of its seconds. Which of
these are added to which depends on their place in the session, so the result doesn't depend on when a stream was taken up.
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
def _add(a: Any, b: Any, out: Any) -> None:
    """The sums of two stretches of time together; `out` may be one of them."""
    last = a.shape[0] - 1
    for row in range(last):
        for c in range(a.shape[1]):
            out[row, c] = a[row, c] + b[row, c]
    for c in range(a.shape[1]):
        out[last, c] = max(a[last, c], b[last, c])


@numba.njit(cache=True)
def _push(
    held: Any,
    turns: Any,
    slots: NDArray[np.int64],
    values: Floats,
    seconds: NDArray[np.int64],
    n_known: NDArray[np.int64],
    out: Any,
) -> None:
    n_seconds, n_rows, n_columns = held.shape[1:]
    window = np.empty((n_rows, n_columns), np.float32)
    for i in range(slots.size):
        line, turn, at = held[slots[i]], turns[slots[i]], seconds[i] % n_seconds
        if n_known[i] == 0:
            line[at] = turn[:] = out[i] = 0.0
            continue
        _sums(values[i], n_rows - 3, line[at])
        if at == 0:
            turn[:] = 0.0
        _add(turn, line[at], turn)
        if at + 1 < n_seconds:
            _add(line[at + 1], turn, window)
            _features(window, n_known[i] * values.shape[1], out[i])
        else:
            _features(turn, n_known[i] * values.shape[1], out[i])
            for k in range(n_seconds - 2, -1, -1):
                _add(line[k], line[k + 1], line[k])


class HeldSums:
    """The sums of the last `n_seconds` of up to `n_slots` streams; memory is fixed at the start.

    A stream's seconds go round in turns of `n_seconds`, which begin where the session's second divides by that. Of the present
    turn its sum is kept, and each second for itself; when it ends, in the place of each, the sum from there to the end. So a
    window is two sums, one of the turn before and one of the present turn.
    """

    def __init__(self, n_slots: int, n_seconds: int, n_attentions: int, width: int) -> None:
        shape = (n_attentions + 3, width + 1)
        self._held = np.zeros((n_slots, n_seconds, *shape), np.float32)
        self._turns = np.zeros((n_slots, *shape), np.float32)

    def reset(self, slot: int) -> None:
        """Forget a slot's stream."""
        self._held[slot] = self._turns[slot] = 0.0

    def push(
        self,
        slots: NDArray[np.int64],
        values: Floats,
        seconds: NDArray[np.int64],
        n_known: NDArray[np.int64],
    ) -> Floats:
        """Take the next second's values of some streams, (n, frames, attentions + width); what the head is told of the last `n_known`
        (n,) seconds of each, (n, features); zeros where none is known.

        seconds: (n,), of the session; since the reset one follows the other. The first ones may be unknown, no later one.
        """
        n_rows, n_columns = self._turns.shape[1:]
        out = np.empty((len(slots), n_rows, n_columns - 1), np.float32)
        _push(self._held, self._turns, slots, values, seconds, n_known, out)
        return out.reshape(len(slots), -1)


def features(values: Floats, n_attentions: int) -> Floats:
    """What the head is told of any number of frames, (frames, attentions + width) -> (features,)."""
    n_rows, width = n_attentions + 3, values.shape[1] - n_attentions
    sums = np.empty((n_rows, width + 1), np.float32)
    out = np.empty((n_rows, width), np.float32)
    _sums(values, n_attentions, sums)
    _features(sums, len(values), out)
    return out.reshape(-1)
