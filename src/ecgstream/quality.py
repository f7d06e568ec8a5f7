"""Signal quality of each second, in three states with reasons: full, rate-only (beats can be trusted, waves can't), unreadable.

Two stages. `step` reads the device's own samples: only there can one see rails (a run of identical extreme values that the signal
enters by a jump), a stuck converter (nothing but one value), and mains hum (two single-frequency sums, 50 and 60 Hz; Goertzel 1958).
`assess` looks at a block of filtered signal and at what the two beat detectors said of the last seconds:

- the strength of what was rejected as noise, relative to the beats', over 4 s;
- the spread of the beats' strengths: P and T waves that are tall in a lead are rejected, too, but where only they are, beats are alike;
- the detectors' agreement (bSQI; Li, Mark & Clifford 2008, doi:10.1088/0967-3334/29/1/002), over 10 s and over 4 s;
- Hjorth's mobility (mean frequency; Hjorth 1970, doi:10.1016/0013-4694(70)90143-4) of 4 s, which tells muscle (fast) from motion (slow).

Ventricular tachycardia and fibrillation look like noise to beat detectors and must not be shut down as such. Two things
tell them from slow noise: they oscillate (the autocorrelation at 0.11-0.73 s comes back up), and noise adds to the beats' strength, where
fibrillation takes the beats away (the level falls under half of what the last 50 s knew). Then the verdict is rate-only at worst.

Memory: 10 s, and 50 s of the beats' level.
"""

import numba as nb
import numpy as np

FS_HZ = 128
BLOCK = 128
FULL, RATE_ONLY, UNREADABLE = 0, 1, 2
WARM_UP, GAP, LEAD_OFF, FLAT, CLIPPED, MOTION, MUSCLE, MAINS, DISAGREE = (1 << k for k in range(9))

LOOK_BACK_S, SHORT_S = 10, 4
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
AGREE_FULL, AGREE_RATE = 0.85, 0.7
NOISE_FULL, NOISE_RATE = 0.25, 0.33
UNEVEN, AGREE_EVEN = 1.25, 0.9
FAST_HZ = 13.0
OSCILLATES = 0.2  # autocorrelation
LAGS = (7, 47)  # at 64 Hz, 0.11-0.73 s
LOST = 0.5  # of the level that was
SILENT_S, MOVED_UV, MOVED_S = (
    1.2,
    500.0,
    3,
)  # no beat for so long while the line moved so far from second to second
WARM_UP_S = 3

STATE = np.dtype(
    [
        ("first", np.int64),  # model sample at which the run began
        ("second", np.int64),  # that `step` is in; -1 before the first sample
        ("last", np.int64),  # the last sample
        ("n", np.int64),
        ("n_same", np.int64),
        ("total", np.float64),
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
        ("level_uv", np.float64, (SECONDS,)),  # mean of the samples
        ("moved_uv", np.float64, (SECONDS,)),  # between this second's mean and the one before
        ("power", np.float64, (SECONDS, 2)),  # of the signal and of its differences
        ("height", np.float64, (SECONDS,)),
        ("n_blocks", np.int64),
        ("slow", np.float32, (256,)),  # 4 s of filtered signal at 64 Hz
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
    state.level_uv[:] = np.nan
    state.moved_uv[:] = 0
    state.n_blocks = 0
    state.slow[:] = 0


@nb.njit(cache=True, nogil=True)
def _close_second(state, fs_hz, uv_per_lsb):  # type: ignore[no-untyped-def]
    """Keep what the second that is over showed."""
    place = state.second % SECONDS
    state.rail_s[place] = (state.n_low_rail + state.n_high_rail) / fs_hz
    state.same_share[place] = state.n_same / state.n
    state.level_uv[place] = state.total / state.n * uv_per_lsb
    moved_uv = abs(state.level_uv[place] - state.level_uv[(state.second - 1) % SECONDS])
    state.moved_uv[place] = 0.0 if np.isnan(moved_uv) else moved_uv
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
    state.total = 0.0
    state.lowest = state.highest = value
    state.n_low_rail = state.n_high_rail = 0
    state.wave[:] = 1.0
    state.sum[:] = 0.0


@nb.njit(cache=True, nogil=True)
def _count_rail(state, value, n):  # type: ignore[no-untyped-def]
    if value == state.highest:
        state.n_high_rail += n
    elif value == state.lowest:
        state.n_low_rail += n


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
        state.total += value
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
            _count_rail(state, value, rail if state.run == rail else 1)
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
def _take_block(state, signal):  # type: ignore[no-untyped-def]
    place = state.n_blocks % SECONDS
    power = np.zeros(2)
    height = 0.0
    for i in range(BLOCK):
        height = max(height, abs(np.float64(signal[i])))
        power[0] += np.float64(signal[i]) ** 2
        if i >= 1:
            power[1] += np.float64(signal[i] - signal[i - 1]) ** 2
    half = BLOCK // 2
    state.slow[:-half] = state.slow[half:].copy()
    for i in range(half):
        state.slow[state.slow.size - half + i] = signal[2 * i] + signal[2 * i + 1]
    state.power[place] = power
    state.height[place] = height
    state.n_blocks += 1
    return height


@nb.njit(cache=True, nogil=True)
def mobility_hz(state):  # type: ignore[no-untyped-def]
    """Hjorth's mobility of the last 4 s of signal [Hz]."""
    power, slope = 0.0, 0.0
    for k in range(min(4, state.n_blocks)):
        place = (state.n_blocks - 1 - k) % SECONDS
        power += state.power[place, 0]
        slope += state.power[place, 1]
    return np.sqrt(slope / power) * FS_HZ / (2 * np.pi) if power > 0 else 0.0


@nb.njit(cache=True, nogil=True)
def oscillation(state):  # type: ignore[no-untyped-def]
    """How much the last 4 s repeat themselves after 0.11-0.73 s: the highest autocorrelation after its first zero, 0 to 1."""
    y = state.slow
    n = y.size
    energy = np.zeros(n + 1)
    for i in range(n):
        energy[i + 1] = energy[i] + np.float64(y[i]) * y[i]
    if state.n_blocks < 4 or energy[n] == 0:
        return 0.0
    best, has_crossed = 0.0, False
    for lag in range(2, LAGS[1] + 1):
        total = 0.0
        for i in range(n - lag):
            total += np.float64(y[i]) * y[i + lag]
        scale = np.sqrt(energy[n - lag] * (energy[n] - energy[lag]))
        has_crossed = has_crossed or total < 0
        if has_crossed and lag >= LAGS[0] and scale > 0:
            best = max(best, total / scale)
    return best


@nb.njit(cache=True, nogil=True)
def _is_artefact(state, height):  # type: ignore[no-untyped-def]
    """Whether a second reaches far beyond the usual height of the last ten."""
    n = min(LOOK_BACK_S, state.n_blocks)
    heights = np.empty(n)
    for k in range(n):
        heights[k] = state.height[(state.n_blocks - 1 - k) % SECONDS]
    return height > JUMP * np.median(heights)


@nb.njit(cache=True, nogil=True)
def _has_moved(state, second):  # type: ignore[no-untyped-def]
    """Whether the unfiltered line moved far in the last seconds: an electrode that lets go and settles again."""
    farthest = 0.0
    for k in range(min(MOVED_S, second + 1)):
        farthest = max(farthest, state.moved_uv[(second - k) % SECONDS])
    return farthest > MOVED_UV


@nb.njit(cache=True, nogil=True)
def assess(state, second, signal, told):  # type: ignore[no-untyped-def]
    """Quality and reasons (a bit mask) of one block: its filtered `signal` (float32 (128,), µV) in second `second`.

    `told` by the detectors (`reliability`): their agreement over 10 and 4 s; over 4 s the noise relative to the beats and
    the spread of the beats' strengths; the beats' level relative to what it was; and the time since the last beat [s].
    """
    agree_long, agree_short, noise, spread, level, silent_s = told
    height = _take_block(state, signal)
    reasons = MAINS if mains_hz(state, second) != 0 else 0
    place = second % SECONDS
    if height < FLAT_UV / 2 or state.same_share[place] >= STUCK_SHARE:
        return UNREADABLE, reasons | FLAT
    if state.rail_s[place] >= CLIPPED_S:
        return UNREADABLE, reasons | CLIPPED
    is_fast = mobility_hz(state) > FAST_HZ
    cause = MUSCLE if is_fast else MOTION
    grade = FULL
    if agree_long < AGREE_FULL or agree_short < AGREE_FULL:
        grade, reasons = RATE_ONLY, reasons | DISAGREE
    if noise > NOISE_FULL:
        grade, reasons = RATE_ONLY, reasons | cause
    if _is_artefact(state, height) or (silent_s > SILENT_S and _has_moved(state, second)):
        grade, reasons = UNREADABLE, reasons | MOTION
    is_uneven = spread > UNEVEN or agree_short < AGREE_EVEN
    if agree_short < AGREE_RATE or (noise > NOISE_RATE and is_uneven):
        is_rhythm = level < LOST or (not is_fast and oscillation(state) >= OSCILLATES)
        if not is_rhythm:
            grade, reasons = UNREADABLE, reasons | cause
    if (second + 1) * BLOCK - state.first < WARM_UP_S * FS_HZ:
        grade, reasons = max(grade, RATE_ONLY), reasons | WARM_UP
    return grade, reasons
