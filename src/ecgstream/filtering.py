"""Baseline wander out, band limit on: one linear-phase FIR filter at the model's rate.

A 257-tap Kaiser-windowed band-pass, 0.6-40 Hz (Oppenheim & Schafer, Discrete-Time Signal Processing, 7.5), with its gain at 0 Hz
made exactly zero. Linear phase keeps the wave shapes and gives every frequency the same, known delay, and a filter of finite
memory forgets: two seconds after reading began anywhere in a stream the output is bit for bit that of reading it all, which is what
lets a restarted monitor rebuild its state from the log. A 0.5-Hz recursive filter of the same use delays less and does
neither.

Mains hum lies above the band, 50 dB down. Where it is found (`ecgstream.quality`) the kernel with nulls at 50 and 60 Hz takes
the plain one's place; both have the same length, so nothing else moves.

Delay: an output needs the input up to `DELAY` = 128 samples (1.0 s) after it; its time stamp is not delayed. A run
is seeded with its first sample, so that a constant gives zero from the first sample on.
"""

import numba as nb
import numpy as np
from numpy.typing import NDArray

FS_HZ = 128
DELAY = 128
TAPS = 2 * DELAY + 1
BAND_HZ = (0.6, 40.0)
MAINS_HZ = (50.0, 60.0)

STATE = np.dtype(
    [
        ("started", np.bool_),
        ("n_in", np.int64),  # index after the last input sample
        ("n_out", np.int64),  # next output index
        ("history", np.float32, (TAPS - 1,)),
    ]
)


def band_pass() -> NDArray[np.float32]:
    """The plain kernel: float32 (257,), symmetric, with gain 0 at 0 Hz and 1 at 10 Hz."""
    n = np.arange(-DELAY, DELAY + 1)
    low, high = (2 * f / FS_HZ for f in BAND_HZ)
    window = np.kaiser(TAPS, 5.0)
    kernel = (high * np.sinc(high * n)) * window
    baseline = low * np.sinc(low * n) * window
    kernel = kernel / kernel.sum() - baseline / baseline.sum()
    kernel /= np.sum(kernel * np.cos(2 * np.pi * 10.0 * n / FS_HZ))
    return _frozen(kernel - kernel.mean())


def band_pass_without_mains() -> NDArray[np.float32]:
    """The kernel with nulls at 50 and 60 Hz: the plain one's nearest (least squares) that has them."""
    n = np.arange(-DELAY, DELAY + 1)
    plain = band_pass().astype(np.float64)
    nulls = np.array(
        [
            np.cos(2 * np.pi * f * n / FS_HZ)
            for f in (0.0, *(m + d for m in MAINS_HZ for d in (-0.3, 0.0, 0.3)))
        ]
    )
    return _frozen(plain - nulls.T @ np.linalg.solve(nulls @ nulls.T, nulls @ plain))


def _frozen(kernel: NDArray[np.float64]) -> NDArray[np.float32]:
    frozen = kernel.astype(np.float32)
    frozen.setflags(write=False)
    return frozen


@nb.njit(cache=True, nogil=True)
def start(state, first):  # type: ignore[no-untyped-def]
    """Begin a run whose first input sample has index `first`."""
    state.started = False
    state.n_in = first
    state.n_out = first


@nb.njit(cache=True, nogil=True)
def step(state, kernel, x, end_of_run, out):  # type: ignore[no-untyped-def]
    """Take `x` (float32, µV, 128 Hz); write the filtered samples that are now complete to `out`, return how many.

    The first of them has the index that `state.n_out` had before. At `end_of_run` the rest is completed by
    holding the last sample.
    """
    memory = TAPS - 1
    history = state.history
    if not state.started:
        if x.size == 0:
            return 0
        for i in range(memory):
            history[i] = x[0]
        state.started = True
    n_tail = DELAY if end_of_run else 0
    line = np.empty(memory + x.size + n_tail, np.float32)
    line[:memory] = history
    line[memory : memory + x.size] = x
    line[memory + x.size :] = line[memory + x.size - 1]
    state.n_in += x.size
    last = state.n_in + n_tail  # index after the line's last sample
    n = max(0, last - DELAY - state.n_out)
    first = line.size - TAPS + 1 - n  # where in the line the first output's window begins
    for i in range(n):
        out[i] = np.float32(0.0)
    for k in range(TAPS):
        weight = kernel[k]
        for i in range(n):
            out[i] += weight * line[first + k + i]
    state.n_out += n
    history[:] = line[x.size : x.size + memory]
    return n
