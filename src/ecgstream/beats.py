"""Beats: a causal QRS detector at the model's rate, with bounded delay and bounded memory.

Feature: the envelope of the signal around 11 Hz (a complex Gabor wavelet, so polarity and the wave's phase don't matter).
Each local maximum is a candidate.
"""

import numba as nb
import numpy as np
from numpy.typing import NDArray

FS_HZ = 128
HALF = 20  # taps either side of the wavelet's centre
TAPS = 2 * HALF + 1
CENTRE_HZ = 11.0
WIDTH_S = 0.040  # standard deviation of the wavelet's envelope
PEAK_HALF = 8  # a candidate is the largest of this many envelope samples either side
LOOK_AHEAD = 45  # samples after a candidate that its decision waits for
REFRACTORY = 26  # 0.2 s
T_WAVE_WITHIN = 46  # 0.36 s
T_WAVE_SLOPE = 0.5
THRESHOLD = 0.3
SEARCH_BACK_RR = 1.6
SEARCH_BACK_THRESHOLD = 0.5
LEVEL_WINDOW = 192  # 1.5 s
LEVEL_WINDOWS = 7
FLOOR_UV = 4.0
MEMORY = 128  # samples of signal kept
CANDIDATES = 96
PENDING, ACCEPTED, REJECTED = 0, 1, 2
LEARNING = 256  # samples from a run's start before the first decision

STATE = np.dtype(
    [
        ("started", np.bool_),
        ("first", np.int64),
        ("n_in", np.int64),
        ("history", np.float32, (MEMORY,)),
        ("envelope", np.float32, (2 * PEAK_HALF + 1,)),
        (
            "n_candidates",
            np.int64,
        ),  # ever, since the start; a candidate's place is its number modulo CANDIDATES
        ("n_decided", np.int64),
        ("time", np.int64, (CANDIDATES,)),
        ("amplitude", np.float32, (CANDIDATES,)),
        ("slope", np.float32, (CANDIDATES,)),
        ("peak", np.float64, (CANDIDATES,)),
        ("verdict", np.int64, (CANDIDATES,)),
        ("last_beat", np.int64),  # envelope time of the last accepted candidate; -1 none
    ]
)


def wavelet() -> NDArray[np.float32]:
    """Real and imaginary part of the wavelet: float32 (2, 41), each without gain at 0 Hz; a sine at the centre has gain 1."""
    t = np.arange(-HALF, HALF + 1) / FS_HZ
    window = np.exp(-0.5 * (t / WIDTH_S) ** 2) * (0.5 + 0.5 * np.cos(np.pi * t * FS_HZ / (HALF + 1)))
    even = np.cos(2 * np.pi * CENTRE_HZ * t) * window
    even -= window * even.sum() / window.sum()
    odd = np.sin(2 * np.pi * CENTRE_HZ * t) * window
    gain = np.abs(np.sum((even + 1j * odd) * np.exp(-2j * np.pi * CENTRE_HZ * t)))
    kernel = (np.stack([even, odd]) * 2 / gain).astype(np.float32)
    kernel.setflags(write=False)
    return kernel


@nb.njit(cache=True, nogil=True)
def start(state, first):  # type: ignore[no-untyped-def]
    """Begin a run whose first input sample has index `first`."""
    state.started = False
    state.first = first
    state.n_in = first
    state.n_candidates = 0
    state.n_decided = 0
    state.last_beat = -1
    state.envelope[:] = 0


@nb.njit(cache=True, nogil=True)
def _locate(line, centre):  # type: ignore[no-untyped-def]
    """Where the extremum lies relative to a QRS centre, sub-sample, and the largest slope near it."""
    lo, hi = centre - 10, centre + 11
    mean = 0.0
    for i in range(centre - 16, centre + 17):
        mean += line[i]
    mean /= 33
    best, at, slope = -1.0, centre, 0.0
    for i in range(lo, hi):
        v = abs(line[i] - mean)
        if v > best:
            best, at = v, i
        s = abs(line[i + 1] - line[i - 1])
        slope = max(slope, s)
    a, b, c = line[at - 1], line[at], line[at + 1]
    curve = a - 2 * b + c
    shift = 0.0
    if curve != 0:
        shift = min(0.5, max(-0.5, 0.5 * (a - c) / curve))
    return (at - centre) + shift, slope


@nb.njit(cache=True, nogil=True)
def _levels(state, now):  # type: ignore[no-untyped-def]
    """Typical QRS amplitude (median of the last windows' maxima) and noise amplitude (median of rejected candidates)."""
    peaks = np.zeros(LEVEL_WINDOWS, np.float32)
    rejected = np.empty(CANDIDATES, np.float32)
    n_rejected = 0
    for k in range(max(0, state.n_candidates - CANDIDATES), state.n_candidates):
        j = k % CANDIDATES
        w = (now - state.time[j]) // LEVEL_WINDOW
        if w < LEVEL_WINDOWS:
            peaks[w] = max(peaks[w], state.amplitude[j])
            if state.verdict[j] == REJECTED:
                rejected[n_rejected] = state.amplitude[j]
                n_rejected += 1
    n_windows = min(LEVEL_WINDOWS, max(1, (now - state.first) // LEVEL_WINDOW))
    level = np.median(peaks[:n_windows])
    noise = np.median(rejected[:n_rejected]) if n_rejected > 0 else np.float32(0.0)
    return level, noise


@nb.njit(cache=True, nogil=True)
def _typical_interval(state, now):  # type: ignore[no-untyped-def]
    intervals = np.empty(8, np.int64)
    n = 0
    later = -1
    for back in range(min(state.n_decided, CANDIDATES)):
        j = (state.n_decided - 1 - back) % CANDIDATES
        if now - state.time[j] > 12 * FS_HZ or n == 8:
            break
        if state.verdict[j] == ACCEPTED:
            if later >= 0:
                intervals[n] = later - state.time[j]
                n += 1
            later = state.time[j]
    if n < 3:
        return 0.0
    return np.median(intervals[:n])


@nb.njit(cache=True, nogil=True)
def _decide(state, number, now):  # type: ignore[no-untyped-def]
    """Whether a candidate is a beat."""
    j = number % CANDIDATES
    t, amplitude = state.time[j], state.amplitude[j]
    level, noise = _levels(state, now)
    threshold = max(FLOOR_UV, max(noise + THRESHOLD * (level - noise), 0.2 * level))
    if amplitude < threshold:
        return False
    if state.last_beat >= 0 and t - state.last_beat < REFRACTORY:
        return False
    for k in range(number + 1, state.n_candidates):
        i = k % CANDIDATES
        if state.time[i] - t < REFRACTORY and state.amplitude[i] > amplitude:
            return False
    if state.last_beat >= 0 and t - state.last_beat < T_WAVE_WITHIN:
        for k in range(number - 1, max(-1, state.n_candidates - CANDIDATES), -1):
            i = k % CANDIDATES
            if state.time[i] == state.last_beat:
                return state.slope[j] >= T_WAVE_SLOPE * state.slope[i]
    return True


@nb.njit(cache=True, nogil=True)
def _search_back(state, now):  # type: ignore[no-untyped-def]
    """The number of the candidate to accept in hindsight; -1 for none."""
    interval = _typical_interval(state, now)
    if (
        state.last_beat < 0
        or interval == 0.0
        or now - LOOK_AHEAD - state.last_beat < SEARCH_BACK_RR * interval
    ):
        return -1
    level, noise = _levels(state, now)
    best = SEARCH_BACK_THRESHOLD * max(noise + THRESHOLD * (level - noise), 0.2 * level)
    best = max(best, FLOOR_UV)
    found = -1
    for k in range(max(0, state.n_decided - CANDIDATES), state.n_decided):
        j = k % CANDIDATES
        if state.time[j] - state.last_beat > T_WAVE_WITHIN and state.amplitude[j] > best:
            best = state.amplitude[j]
            found = k
    return found


@nb.njit(cache=True, nogil=True)
def step(state, kernel, x, end_of_run, out):  # type: ignore[no-untyped-def]
    """Take `x` (float32, µV, 128 Hz); write the positions of beats now decided to `out`, return how many."""
    history = state.history
    if not state.started:
        if x.size == 0:
            return 0
        history[:] = x[0]
        state.started = True
    n_tail = LOOK_AHEAD + HALF + PEAK_HALF + 1 if end_of_run else 0
    line = np.empty(MEMORY + x.size + n_tail, np.float32)
    line[:MEMORY] = history
    line[MEMORY : MEMORY + x.size] = x
    line[MEMORY + x.size :] = line[MEMORY + x.size - 1]
    n = x.size + n_tail
    even, odd = np.zeros(n, np.float32), np.zeros(n, np.float32)
    first = MEMORY - TAPS + 1
    for k in range(TAPS):
        a, b = kernel[0, k], kernel[1, k]
        for i in range(n):
            even[i] += a * line[first + k + i]
            odd[i] += b * line[first + k + i]
    n_beats = 0
    envelope = state.envelope
    for i in range(n):
        envelope[:-1] = envelope[1:]
        envelope[-1] = np.sqrt(even[i] * even[i] + odd[i] * odd[i])
        now = state.n_in + i - HALF - PEAK_HALF  # the time of the envelope's middle
        middle = envelope[PEAK_HALF]
        is_peak = middle > 0
        for k in range(PEAK_HALF):
            if envelope[k] >= middle or envelope[PEAK_HALF + 1 + k] > middle:
                is_peak = False
                break
        if is_peak and now >= state.first:
            j = state.n_candidates % CANDIDATES
            offset, slope = _locate(line, MEMORY + i - HALF - PEAK_HALF)
            state.time[j] = now
            state.amplitude[j] = middle
            state.slope[j] = slope
            state.peak[j] = now + offset
            state.verdict[j] = PENDING
            state.n_candidates += 1
        if now < state.first + LEARNING and not end_of_run:
            continue
        while (
            state.n_decided < state.n_candidates
            and state.time[state.n_decided % CANDIDATES] + LOOK_AHEAD <= now
        ):
            number = state.n_decided
            state.n_decided += 1
            j = number % CANDIDATES
            state.verdict[j] = ACCEPTED if _decide(state, number, now) else REJECTED
            if state.verdict[j] == ACCEPTED:
                state.last_beat = state.time[j]
                out[n_beats] = state.peak[j]
                n_beats += 1
        found = _search_back(state, now)
        if found >= 0:
            j = found % CANDIDATES
            state.verdict[j] = ACCEPTED
            state.last_beat = state.time[j]
            out[n_beats] = state.peak[j]
            n_beats += 1
    state.n_in += x.size
    history[:] = line[x.size : x.size + MEMORY]
    return n_beats
