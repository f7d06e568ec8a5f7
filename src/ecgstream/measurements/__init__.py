"""What a reader would measure in a window, beside what the network sees in it: some hundred figures with names.

A network that learnt from some thousand recordings and trees that learnt from these figures err on different recordings, so
rhythms are named by both (`ecgstream.classifier`). None of the figures depends on the electrode's gain. A figure that can't be
taken is NaN, which is a value to the trees.
"""

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from ecgstream.measurements import beat_shapes, noise, rr_intervals

NAMES = (*noise.NAMES, *rr_intervals.NAMES, *beat_shapes.NAMES)
FS_HZ = 128
INTERVALS_AT, SHAPES_AT = len(noise.NAMES), len(noise.NAMES) + len(rr_intervals.NAMES)


@numba.njit(cache=True)
def measure_window(window: NDArray[np.float32], peaks: NDArray[np.float64], out: Any) -> None:
    """Measure a window as `measure` does, to `out` float64 (len(NAMES),)."""
    for i in range(out.size):
        out[i] = math.nan
    rr = np.empty(max(0, peaks.size - 1))
    for i in range(rr.size):
        rr[i] = (peaks[i + 1] - peaks[i]) / FS_HZ
    noise.measure_noise(window, peaks.size, out[:INTERVALS_AT])
    rr_intervals.measure_intervals(rr, out[INTERVALS_AT:SHAPES_AT])
    beat_shapes.measure_shapes(window, peaks, out[SHAPES_AT:])


def measure(window_uv: NDArray[np.float32], peaks: NDArray[np.float64]) -> NDArray[np.float32]:
    """`NAMES` of one window: float32 (len(NAMES),).

    window_uv: float32 (n,), filtered, 128 Hz, µV, a second or more. peaks: float64 (m,), R peaks in samples, ascending; those
    outside the window don't count.
    """
    out = np.empty(len(NAMES))
    inside = peaks[(peaks >= 0) & (peaks < window_uv.size)]
    measure_window(np.ascontiguousarray(window_uv, np.float32), inside, out)
    return out.astype(np.float32)
