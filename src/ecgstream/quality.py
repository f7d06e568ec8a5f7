"""Signal quality of each second."""

import numba as nb
import numpy as np

FULL, RATE_ONLY, UNREADABLE = 0, 1, 2
WARM_UP, GAP, LEAD_OFF, FLAT, CLIPPED, MOTION, MUSCLE, MAINS, DISAGREE = (1 << k for k in range(9))

STATE = np.dtype([("unused", np.int64)])


@nb.njit(cache=True, nogil=True)
def start(state, first):  # type: ignore[no-untyped-def]
    """Begin a run."""
    state.unused = 0


@nb.njit(cache=True, nogil=True)
def assess(state, signal):  # type: ignore[no-untyped-def]
    """Quality and reasons of one block (rough)."""
    span = signal.max() - signal.min()
    if span < 4.0:
        return UNREADABLE, FLAT
    if span > 20000.0:
        return UNREADABLE, MOTION
    return FULL, 0
