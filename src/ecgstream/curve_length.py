"""A second, cheap beat detector, for the quality gate to compare with the first.

Feature: the length of the curve over 94 ms (after Zong, Moody & Jiang, Computers in Cardiology 2003;30:737-740). A beat is a maximum
within 200 ms either side that reaches 0.4 of the median of the last seven maxima of 1.5 s. Departures: no
low-pass filter, no rules. It makes other mistakes than `beats`, so where noise rules the two part company.

Delay: 32 samples (0.25 s). Memory: 10.5 s.
"""

import numba as nb
import numpy as np

REFRACTORY = 26  # samples at 128 Hz, 0.2 s
WINDOW = 192  # 1.5 s
WINDOWS = 7
HALF = 6  # samples either side in the curve's length
THRESHOLD = 0.4
RECENT = 64
MEMORY = 2 * HALF + 2

STATE = np.dtype(
    [
        ("started", np.bool_),
        ("first", np.int64),
        ("n_in", np.int64),
        ("history", np.float32, (MEMORY,)),
        ("length", np.float32, (2 * REFRACTORY + 1,)),
        ("maximum", np.float32, (WINDOWS,)),  # by window, modulo WINDOWS
        ("n_beats", np.int64),
        ("recent", np.int64, (RECENT,)),  # times of the last beats, model samples
    ]
)


@nb.njit(cache=True, nogil=True)
def start(state, first):  # type: ignore[no-untyped-def]
    """Begin a run whose first input sample has index `first`: forget all before it."""
    state.started = False
    state.first = first
    state.n_in = first
    state.length[:] = 0
    state.maximum[:] = 0
    state.n_beats = 0


@nb.njit(cache=True, nogil=True)
def _take(state, length, now):  # type: ignore[no-untyped-def]
    """Take the curve's length around time `now`."""
    window = now // WINDOW  # of an absolute grid: where the run began must leave no trace
    place = window % WINDOWS
    if now % WINDOW == 0:
        state.maximum[place] = 0
    state.maximum[place] = max(state.maximum[place], length)
    state.length[:-1] = state.length[1:]
    state.length[-1] = length
    middle = state.length[REFRACTORY]
    if middle <= state.length[REFRACTORY - 1] or middle < state.length[REFRACTORY + 1]:
        return
    for k in range(1, REFRACTORY + 1):
        if state.length[REFRACTORY - k] >= middle or state.length[REFRACTORY + k] > middle:
            return
    first = state.first // WINDOW
    maxima = np.empty(min(WINDOWS, window - first + 1), np.float32)
    for k in range(maxima.size):
        maxima[k] = state.maximum[(first + k) % WINDOWS]
    if middle >= THRESHOLD * np.median(maxima):
        state.recent[state.n_beats % RECENT] = now - REFRACTORY
        state.n_beats += 1


@nb.njit(cache=True, nogil=True)
def step(state, x):  # type: ignore[no-untyped-def]
    """Take `x` (float32, µV, 128 Hz)."""
    if not state.started:
        if x.size == 0:
            return
        state.history[:] = x[0]
        state.started = True
    line = np.empty(MEMORY + x.size, np.float32)
    line[:MEMORY] = state.history
    line[MEMORY:] = x
    length = np.zeros(x.size, np.float32)
    for k in range(2 * HALF):
        for i in range(x.size):
            length[i] += abs(line[i + k + 3] - line[i + k + 1])
    for i in range(x.size):
        now = state.n_in + i - HALF
        if now >= state.first:
            _take(state, length[i], now)
    state.n_in += x.size
    state.history[:] = line[x.size :]
