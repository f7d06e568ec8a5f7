"""From the device's rate to the model's: a streaming polyphase resampler on an absolute grid.

Output sample `m` is the signal at `m / 128` s after the session's start, whatever the device's rate (100-1,000 Hz,
not necessarily whole), wherever reading began and however the samples were cut. It is the convolution of the
input with a Kaiser-windowed sinc (Smith & Gossett 1984, doi:10.1109/ICASSP.1984.1172555; arbitrary ratio by a table
of filter phases), cut off at 52 Hz, or below the input's own limit. Departures: the phase is taken
from the nearest of 1,024 (a timing error under 0.5 % of an input sample), and each phase is normalised to a sum of one,
so that a constant stays constant. Before a run's first sample and after its last the signal is held.

Delay: an output needs the input up to `DELAY_S` = 100 ms after its own time (13 samples at 128 Hz). Its
time stamp is not delayed: the filter is linear-phase.
"""

import functools
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

MODEL_FS_HZ = 128
DELAY_S = 0.1
PHASES = 1024
CUTOFF_HZ = 52.0
KAISER_BETA = 5.65
MAX_HALF_WIDTH = 101  # input samples either side at 1,000 Hz

STATE = np.dtype(
    [
        ("fs_hz", np.float64),
        ("n_in", np.int64),  # index after the last input sample; -1 before the first
        ("n_out", np.int64),  # next output index
        ("history", np.float32, (2 * MAX_HALF_WIDTH + 1,)),  # the last input samples, newest last
    ]
)


def half_width(fs_hz: float) -> int:
    """Input samples either side that one output sample reads."""
    return int(np.ceil(DELAY_S * fs_hz))


@functools.lru_cache(maxsize=32)
def phase_table(fs_hz: float) -> NDArray[np.float32]:
    """Filter phases for an input at `fs_hz`: float32 (1024, 2 * half_width(fs_hz) + 1), each row summing to one.

    Raises ValueError for a rate of which `step` can't remember enough samples.
    """
    if not 0.0 < fs_hz <= MAX_HALF_WIDTH / DELAY_S:
        raise ValueError(f"fs_hz: expected up to {MAX_HALF_WIDTH / DELAY_S:g} Hz, got {fs_hz:g}")
    half = half_width(fs_hz)
    taps = np.arange(-half, half + 1)
    offset_s = (taps[None, :] - (np.arange(PHASES) / PHASES)[:, None]) / fs_hz
    inside = np.clip(1.0 - (offset_s / DELAY_S) ** 2, 0.0, None)
    window = np.i0(KAISER_BETA * np.sqrt(inside)) * (np.abs(offset_s) <= DELAY_S)
    table = np.sinc(2 * min(CUTOFF_HZ, 0.42 * fs_hz) * offset_s) * window
    phases: NDArray[np.float32] = (table / table.sum(axis=1, keepdims=True)).astype(np.float32)
    phases.setflags(write=False)
    return phases


@nb.njit(cache=True, nogil=True)
def start(state, fs_hz, first_sample):  # type: ignore[no-untyped-def]
    """Begin a run at input index `first_sample`: forget all before it."""
    state.fs_hz = fs_hz
    state.n_in = -1
    state.n_out = np.int64(np.ceil(first_sample * MODEL_FS_HZ / fs_hz - 1e-9))


@nb.njit(cache=True, nogil=True)
def step(state, table, first_sample, x, end_of_run, out):  # type: ignore[no-untyped-def]
    """Take `x` (float32, µV, at the device's rate, from input index `first_sample`, next to what came before).

    Writes to `out` the output samples that are now complete and returns how many there are; the first of them has
    the index that `state.n_out` had before the call. At `end_of_run` the rest is completed by holding the last sample.
    """
    half = (table.shape[1] - 1) // 2
    memory = 2 * half + 1
    history = state.history
    if state.n_in < 0:
        if x.size == 0:
            return 0
        for i in range(memory):
            history[i] = x[0]
    n_tail = half + 1 if end_of_run else 0
    line = np.empty(memory + x.size + n_tail, np.float32)
    line[:memory] = history[:memory]
    line[memory : memory + x.size] = x
    line[memory + x.size :] = line[memory + x.size - 1]
    base = first_sample - memory  # input index of line[0]
    last = first_sample + x.size - 1 + n_tail  # input index of the line's last sample
    n = 0
    ratio = state.fs_hz / MODEL_FS_HZ
    while True:
        position = state.n_out * ratio
        centre = np.int64(np.floor(position))
        phase = np.int64(np.floor((position - centre) * PHASES + 0.5))
        if phase == PHASES:
            phase = np.int64(0)
            centre += 1
        if centre + half > last or (end_of_run and centre > last - n_tail):
            break
        total = np.float32(0.0)
        first = centre - half - base
        for k in range(memory):
            total += table[phase, k] * line[first + k]
        out[n] = total
        n += 1
        state.n_out += 1
    state.n_in = first_sample + x.size
    history[:memory] = line[x.size : x.size + memory]
    return n


def whole(signal_uv: NDArray[np.floating[Any]], fs_hz: float) -> NDArray[np.float32]:
    """A whole recording (n,) from time 0 on at the model's rate: float32 (m,)."""
    x = np.ascontiguousarray(signal_uv, dtype=np.float32)
    resampled = np.empty(int(x.size * MODEL_FS_HZ / fs_hz) + 64, np.float32)
    state = np.zeros(1, STATE)
    start(state[0], fs_hz, 0)
    n: int = step(state[0], phase_table(fs_hz), 0, x, True, resampled)
    return resampled[:n]
