"""Signal quality of each second, in three states with reasons: full, rate-only (beats can be trusted, waves can't), unreadable.

Two stages. `step` reads the device's own samples: only there can one see rails (a run of identical extreme values that the signal enters
by a jump), a stuck converter (nothing but one value), and mains hum (two single-frequency sums, 50 and 60 Hz; Goertzel 1958).
`assess` looks at a block of filtered signal and at what the two beat detectors said of the last `LOOK_BACK_S`:

- their agreement (bSQI; Li, Mark & Clifford 2008, doi:10.1088/0967-3334/29/1/002), over 10 s and over 4 s;
- the strength of what was rejected as noise, relative to the beats';
- Hjorth's mobility (mean frequency) of 4 s of signal (Hjorth 1970, doi:10.1016/0013-4694(70)90143-4), which tells muscle
  (fast) from motion (slow), and coarse ventricular fibrillation (2-9 Hz and little else) from both: detectors disagree
  in it, too, and it must never be shut down as noise, so there the verdict is rate-only at worst.

Departure from the sources: agreement alone decides nothing in a second without candidates (asystole is readable).
Memory: 10 s.
"""

import numba as nb
import numpy as np

FS_HZ = 128
BLOCK = 128
FULL, RATE_ONLY, UNREADABLE = 0, 1, 2
WARM_UP, GAP, LEAD_OFF, FLAT, CLIPPED, MOTION, MUSCLE, MAINS, DISAGREE = (1 << k for k in range(9))

LOOK_BACK_S = 10
SECONDS = 16  # of history kept
RAIL_S = 0.04  # a run of one extreme value this long, entered by a jump, is a rail
RAIL_JUMP_LSB = 8
CLIPPED_S = 0.1  # of rails in a second spoil it
FLAT_UV = 5.0  # a filtered second that spans less is flat
STUCK_SHARE = 0.9  # of a second's samples the same as the one before
JUMP = 6.0  # a second that reaches this many times the usual height is an artefact
MAINS_UV = 15.0
MAINS_RATIO = 4.0
MAINS_SECONDS, MAINS_OF = 3, 5
AGREE_WITHIN = 19  # model samples, 0.15 s
AGREE_FULL, AGREE_RATE = 0.9, 0.7
NOISE_FULL, NOISE_RATE = 0.25, 0.4
FAST_HZ, SLOW_HZ = 13.0, 3.0
WARM_UP_S = 3

STATE = np.dtype(
    [
        ("first", np.int64),  # model sample at which the run began
        ("second", np.int64),  # that `step` is in; -1 before the first sample
        ("last", np.int64),  # the last sample
        ("n", np.int64),
        ("n_same", np.int64),
        ("run", np.int64),  # samples in the present run of one value
        ("jump", np.int64),  # by which it was entered
        ("lowest", np.int64),
        ("highest", np.int64),
        ("n_low_rail", np.int64),
        ("n_high_rail", np.int64),
        ("wave", np.complex128, (2,)),  # 50 and 60 Hz, running
        ("sum", np.complex128, (2,)),
        ("rail_s", np.float64, (SECONDS,)),  # by second, modulo SECONDS
        ("same_share", np.float64, (SECONDS,)),
        ("mains", np.int64, (SECONDS,)),
        ("power", np.float64, (SECONDS, 3)),  # of signal, difference, second difference
        ("height", np.float64, (SECONDS,)),
        ("n_blocks", np.int64),
    ]
)


@nb.njit(cache=True, nogil=True)
def start(state, first):  # type: ignore[no-untyped-def]
    """Begin a run whose first model sample is `first`: forget all before it."""
    state.first = first
    state.second = -1
    state.run = 0
    state.rail_s[:] = 0
    state.same_share[:] = 0
    state.mains[:] = 0
    state.n_blocks = 0


@nb.njit(cache=True, nogil=True)
def _close_second(state, fs_hz, uv_per_lsb):  # type: ignore[no-untyped-def]
    """Keep what the second that is over showed."""
    place = state.second % SECONDS
    state.rail_s[place] = (state.n_low_rail + state.n_high_rail) / fs_hz
    state.same_share[place] = state.n_same / state.n
    fifty = 2 * uv_per_lsb * abs(state.sum[0]) / state.n
    sixty = 2 * uv_per_lsb * abs(state.sum[1]) / state.n
    state.mains[place] = 0
    if fifty > max(MAINS_UV, MAINS_RATIO * sixty):
        state.mains[place] = 50
    elif sixty > max(MAINS_UV, MAINS_RATIO * fifty):
        state.mains[place] = 60


@nb.njit(cache=True, nogil=True)
def _open_second(state, second, value):  # type: ignore[no-untyped-def]
    state.second = second
    state.n = state.n_same = 0
    state.lowest = state.highest = value
    state.n_low_rail = state.n_high_rail = 0
    state.wave[:] = 1.0
    state.sum[:] = 0.0


@nb.njit(cache=True, nogil=True)
def step(state, first_sample, samples, fs_hz, uv_per_lsb):  # type: ignore[no-untyped-def]
    """Take the device's samples (int16, from index `first_sample`)."""
    turn_50 = np.exp(2j * np.pi * 50.0 / fs_hz)
    turn_60 = np.exp(2j * np.pi * 60.0 / fs_hz)
    sees_50, sees_60 = fs_hz > 110.0, fs_hz > 130.0
    rail = np.int64(np.ceil(RAIL_S * fs_hz))
    for i in range(samples.size):
        value = np.int64(samples[i])
        second = np.int64((first_sample + i) / fs_hz)
        if second != state.second:
            if state.second >= 0:
                _close_second(state, fs_hz, uv_per_lsb)
            else:
                state.last = value
            _open_second(state, second, value)
        state.n += 1
        if value == state.last and state.run > 0:
            state.run += 1
            state.n_same += 1
        else:
            state.jump = abs(value - state.last)
            state.run = 1
        if value < state.lowest:
            state.lowest, state.n_low_rail = value, 0
        if value > state.highest:
            state.highest, state.n_high_rail = value, 0
        if state.run >= rail and state.jump >= RAIL_JUMP_LSB:
            gained = rail if state.run == rail else 1
            if value == state.highest:
                state.n_high_rail += gained
            elif value == state.lowest:
                state.n_low_rail += gained
        if sees_50:
            state.sum[0] += value * state.wave[0]
            state.wave[0] *= turn_50
        if sees_60:
            state.sum[1] += value * state.wave[1]
            state.wave[1] *= turn_60
        state.last = value


@nb.njit(cache=True, nogil=True)
def mains_hz(state, second):  # type: ignore[no-untyped-def]
    """The mains frequency present in most of the five seconds up to `second`; 0 for none."""
    for frequency in (50, 60):
        n = 0
        for k in range(MAINS_OF):
            n += second - k >= 0 and state.mains[(second - k) % SECONDS] == frequency
        if n >= MAINS_SECONDS:
            return frequency
    return 0


@nb.njit(cache=True, nogil=True)
def _matched(a, n_a, b, n_b, since, until):  # type: ignore[no-untyped-def]
    """How many of `a`'s last beats lie in [since, until), and how many of these have one of `b`'s near."""
    n, matched = 0, 0
    for k in range(max(0, n_a - a.size), n_a):
        t = a[k % a.size]
        if since <= t < until:
            n += 1
            for m in range(max(0, n_b - b.size), n_b):
                if abs(b[m % b.size] - t) <= AGREE_WITHIN:
                    matched += 1
                    break
    return n, matched


@nb.njit(cache=True, nogil=True)
def agreement(a, n_a, b, n_b, since, until):  # type: ignore[no-untyped-def]
    """Share of both detectors' beats in [since, until) that the other has too; 1 when neither has any.

    `a`, `b`: int64 rings of beat times (model samples), of which `n_a`, `n_b` were ever written.
    """
    n, matched = _matched(a, n_a, b, n_b, since, until)
    m, also = _matched(b, n_b, a, n_a, since, until)
    return (matched + also) / (n + m) if n + m > 0 else 1.0


@nb.njit(cache=True, nogil=True)
def _take_block(state, signal):  # type: ignore[no-untyped-def]
    place = state.n_blocks % SECONDS
    power = np.zeros(3)
    height = 0.0
    for i in range(BLOCK):
        height = max(height, abs(np.float64(signal[i])))
        power[0] += np.float64(signal[i]) ** 2
        if i >= 1:
            power[1] += np.float64(signal[i] - signal[i - 1]) ** 2
        if i >= 2:
            power[2] += np.float64(signal[i] - 2 * signal[i - 1] + signal[i - 2]) ** 2
    state.power[place] = power
    state.height[place] = height
    state.n_blocks += 1
    return height


@nb.njit(cache=True, nogil=True)
def shape(state):  # type: ignore[no-untyped-def]
    """Hjorth's mobility [Hz] and complexity of the last 4 s of signal."""
    total = np.zeros(3)
    for k in range(min(4, state.n_blocks)):
        total += state.power[(state.n_blocks - 1 - k) % SECONDS]
    if total[0] == 0 or total[1] == 0:
        return 0.0, 0.0
    mobility = np.sqrt(total[1] / total[0])
    return mobility * FS_HZ / (2 * np.pi), np.sqrt(total[2] / total[1]) / mobility


@nb.njit(cache=True, nogil=True)
def assess(state, second, signal, agree_long, agree_short, noise):  # type: ignore[no-untyped-def]
    """Quality and reasons (a bit mask) of one block: its filtered `signal` (float32 (128,), µV) in second `second`.

    `agree_long`, `agree_short`: the detectors' agreement over 10 and 4 s. `noise`: rejected candidates relative to beats.
    """
    height = _take_block(state, signal)
    n = min(LOOK_BACK_S, state.n_blocks)
    heights = np.empty(n)
    for k in range(n):
        heights[k] = state.height[(state.n_blocks - 1 - k) % SECONDS]
    usual = np.median(heights)
    frequency, _ = shape(state)
    grade, reasons = FULL, 0
    if mains_hz(state, second) != 0:
        reasons |= MAINS
    if height < FLAT_UV / 2 or state.same_share[second % SECONDS] >= STUCK_SHARE:
        return UNREADABLE, reasons | FLAT
    if state.rail_s[second % SECONDS] >= CLIPPED_S:
        return UNREADABLE, reasons | CLIPPED
    is_fast, is_slow = frequency > FAST_HZ, frequency < SLOW_HZ
    could_be_fibrillation = not is_fast and not is_slow
    cause = MUSCLE if is_fast else MOTION
    if height > JUMP * usual:
        grade, reasons = UNREADABLE, reasons | MOTION
    if agree_long < AGREE_FULL or agree_short < AGREE_FULL:
        grade, reasons = max(grade, RATE_ONLY), reasons | DISAGREE
    if noise > NOISE_FULL:
        grade, reasons = max(grade, RATE_ONLY), reasons | cause
    if (agree_short < AGREE_RATE or noise > NOISE_RATE) and not could_be_fibrillation:
        grade, reasons = UNREADABLE, reasons | cause
    if (second + 1) * BLOCK - state.first < WARM_UP_S * FS_HZ:
        grade, reasons = max(grade, RATE_ONLY), reasons | WARM_UP
    return grade, reasons
