"""Beats: a causal QRS detector at the model's rate, with bounded delay and bounded memory.

The feature is the signal's envelope around 13 Hz: the modulus of a short complex Gabor wavelet, so that neither polarity nor the
wave's phase matters. Each of its local maxima is a candidate. A candidate is decided `LOOK_AHEAD` later, by rules after Hamilton
(Computers in Cardiology 2002;29:101-104, "Open source ECG analysis"): a threshold between the levels of noise and of
beats, both medians of what the last 10 s held; a refractory period of 200 ms; T waves told by amplitude and slope; search-back
for a beat that is overdue. Departures:

- the beats' level is the median of the maxima of seven windows of 1.5 s, whether or not they were taken for beats, so that
  a wrong decision never feeds on itself, the level forgets after 10.5 s, and a single artefact doesn't move it;
- after a beat the demand on the next candidate falls smoothly, from the full strength of that beat at 200 ms to a fifth of
  it at 440 ms (strength: the geometric mean of envelope and slope), instead of one T-wave rule at 360 ms;
- a candidate that a much stronger one follows within 280 ms is a P wave or the complex's own first hump;
- the threshold never falls under an eighth of the level that the last 50 s knew, nor under `FLOOR_UV`: what is left
  when the heart stands still is noise.

R peak: the extremum of the signal, against its local mean, within 80 ms of the envelope's peak; a parabola gives the fraction of a sample.

Delay: a beat is decided 73 samples (0.57 s) after its R peak; a beat found by search-back when 1.4 typical intervals have passed.
"""

import numba as nb
import numpy as np

from ecgstream.beats.envelope import FS_HZ, HALF, TAPS, envelope_of, locate

PEAK_HALF = 8  # a candidate is the largest of this many envelope samples either side
LOOK_AHEAD = 45  # samples after a candidate that its decision waits for
DELAY = LOOK_AHEAD + HALF + PEAK_HALF  # of a decision, after the candidate
REFRACTORY = 26  # 0.2 s
RECOVERY = 56  # 0.44 s: until then the demand on a next beat is raised
DEMAND_EARLY, DEMAND_LATE = 1.0, 0.2  # of the last beat's strength, at REFRACTORY and at RECOVERY
PRELUDE = 36  # 0.28 s
PRELUDE_STRENGTH = 0.7
THRESHOLD = 0.25  # between noise and beats
THRESHOLD_OF_LEVEL = 0.2
THRESHOLD_OF_PAST = 0.125
SEARCH_BACK_INTERVALS = 1.4
SEARCH_BACK_THRESHOLD = 0.5
LEVEL_WINDOW = 192  # 1.5 s
LEVEL_WINDOWS = 7
PAST_SECONDS = 50
FLOOR_UV = 4.0
MEMORY = 128  # samples of signal kept
CANDIDATES = 96
PENDING, ACCEPTED, REJECTED = 0, 1, 2
LEARNING = 256  # samples from a run's start before the first decision
RECENT = 64  # beats that are remembered

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
        ("last_beat", np.int64),  # number of the last accepted candidate; -1 none
        ("interval", np.float64),  # typical, in samples; 0 unknown
        ("searched", np.bool_),  # since the last decision
        ("second_maximum", np.float32, (PAST_SECONDS,)),  # of the envelope, by second, modulo PAST_SECONDS
        ("level", np.float32),  # of beats, of noise, and the threshold, as of the last decision
        ("noise", np.float32),
        ("threshold", np.float32),
        ("n_beats", np.int64),
        ("recent", np.int64, (RECENT,)),  # candidates' times of the last beats
    ]
)


@nb.njit(cache=True, nogil=True)
def start(state, first):  # type: ignore[no-untyped-def]
    """Begin a run whose first input sample has index `first`: forget all before it."""
    state.started = False
    state.first = first
    state.n_in = first
    state.n_candidates = 0
    state.n_decided = 0
    state.last_beat = -1
    state.interval = 0.0
    state.searched = False
    state.envelope[:] = 0
    state.second_maximum[:] = 0
    state.level = state.noise = state.threshold = 0
    state.n_beats = 0


@nb.njit(cache=True, nogil=True)
def _strength(state, j):  # type: ignore[no-untyped-def]
    return np.sqrt(state.amplitude[j] * state.slope[j])


@nb.njit(cache=True, nogil=True)
def past_maxima(state, n_seconds):  # type: ignore[no-untyped-def]
    """The envelope's maxima in the run's first `n_seconds`, or in the last `PAST_SECONDS` if these are fewer."""
    first = state.first // FS_HZ
    maxima = np.empty(min(PAST_SECONDS, n_seconds), np.float32)
    for k in range(maxima.size):
        maxima[k] = state.second_maximum[(first + k) % PAST_SECONDS]
    return maxima


@nb.njit(cache=True, nogil=True)
def _update_threshold(state, now):  # type: ignore[no-untyped-def]
    """Set the levels of beats and of noise from the candidates of the last 10.5 s, and the threshold from them."""
    maxima = np.zeros(LEVEL_WINDOWS, np.float32)
    rejected = np.empty(CANDIDATES, np.float32)
    n_rejected = 0
    for k in range(max(0, state.n_candidates - CANDIDATES), state.n_candidates):
        j = k % CANDIDATES
        window = (now - state.time[j]) // LEVEL_WINDOW
        if window < LEVEL_WINDOWS:
            maxima[window] = max(maxima[window], state.amplitude[j])
            if state.verdict[j] == REJECTED:
                rejected[n_rejected] = state.amplitude[j]
                n_rejected += 1
    n_windows = min(LEVEL_WINDOWS, max(1, (now - state.first) // LEVEL_WINDOW))
    state.level = np.median(maxima[:n_windows])
    state.noise = np.median(rejected[:n_rejected]) if n_rejected > 0 else np.float32(0.0)
    past = np.median(past_maxima(state, max(1, now // FS_HZ - state.first // FS_HZ)))
    threshold = max(state.noise + THRESHOLD * (state.level - state.noise), THRESHOLD_OF_LEVEL * state.level)
    state.threshold = max(threshold, THRESHOLD_OF_PAST * past, FLOOR_UV)


@nb.njit(cache=True, nogil=True)
def _is_beat(state, number):  # type: ignore[no-untyped-def]
    """The verdict on a candidate, all candidates of the next `LOOK_AHEAD` samples being known."""
    j = number % CANDIDATES
    if state.amplitude[j] < state.threshold:
        return False
    strength = _strength(state, j)
    for k in range(number + 1, state.n_candidates):
        i = k % CANDIDATES
        ahead = state.time[i] - state.time[j]
        is_hump = ahead < REFRACTORY and state.amplitude[i] > state.amplitude[j]
        is_prelude = ahead < PRELUDE and strength < PRELUDE_STRENGTH * _strength(state, i)
        if is_hump or is_prelude:
            return False
    if state.last_beat < 0 or state.last_beat <= state.n_candidates - CANDIDATES:
        return True
    last = state.last_beat % CANDIDATES
    since = state.time[j] - state.time[last]
    if since < REFRACTORY:
        return False
    if since >= RECOVERY:
        return True
    late = (since - REFRACTORY) / (RECOVERY - REFRACTORY)
    return strength >= (DEMAND_EARLY + (DEMAND_LATE - DEMAND_EARLY) * late) * _strength(state, last)


@nb.njit(cache=True, nogil=True)
def _accept(state, number):  # type: ignore[no-untyped-def]
    """Take a candidate for a beat; returns its R peak's position."""
    j = number % CANDIDATES
    state.verdict[j] = ACCEPTED
    state.last_beat = number
    state.recent[state.n_beats % RECENT] = state.time[j]
    state.n_beats += 1
    intervals = np.empty(8, np.int64)
    n = min(8, state.n_beats - 1)
    for k in range(n):
        later, earlier = state.n_beats - 1 - k, state.n_beats - 2 - k
        intervals[k] = state.recent[later % RECENT] - state.recent[earlier % RECENT]
    state.interval = np.median(intervals[:n]) if n >= 3 else 0.0
    return state.peak[j]


@nb.njit(cache=True, nogil=True)
def _overdue(state, now):  # type: ignore[no-untyped-def]
    """The number of the rejected candidate that is the overdue beat; -1 if none is."""
    if state.searched or state.last_beat < 0 or state.interval == 0.0:
        return -1
    last = state.recent[(state.n_beats - 1) % RECENT]
    if now - LOOK_AHEAD - last < SEARCH_BACK_INTERVALS * state.interval:
        return -1
    _update_threshold(state, now)
    for k in range(state.n_decided, state.n_candidates):
        if state.amplitude[k % CANDIDATES] >= state.threshold:
            return -1  # this may be the beat: its turn comes first
    state.searched = True
    best, found = max(FLOOR_UV, SEARCH_BACK_THRESHOLD * state.threshold), -1
    for k in range(max(state.last_beat + 1, state.n_decided - CANDIDATES), state.n_decided):
        j = k % CANDIDATES
        if state.time[j] - last > FS_HZ * 0.36 and state.amplitude[j] > best:
            best, found = state.amplitude[j], k
    return found


@nb.njit(cache=True, nogil=True)
def _note_candidate(state, line, place, now):  # type: ignore[no-untyped-def]
    """Keep the envelope's middle as a candidate if it is a local maximum."""
    middle = state.envelope[PEAK_HALF]
    for k in range(PEAK_HALF):
        if state.envelope[PEAK_HALF - 1 - k] >= middle or state.envelope[PEAK_HALF + 1 + k] > middle:
            return
    j = state.n_candidates % CANDIDATES
    offset, slope = locate(line, place)
    state.time[j] = now
    state.amplitude[j] = middle
    state.slope[j] = slope
    state.peak[j] = now + offset
    state.verdict[j] = PENDING
    state.n_candidates += 1


@nb.njit(cache=True, nogil=True)
def step(state, kernel, x, end_of_run, out):  # type: ignore[no-untyped-def]
    """Take `x` (float32, µV, 128 Hz, `kernel` being the wavelet) and return how many beats are now decided.

    Their R peaks' positions (model samples, sub-sample) go to `out`, in the order of decision. At `end_of_run` the rest
    is decided by holding the last sample.
    """
    if not state.started:
        if x.size == 0:
            return 0
        state.history[:] = x[0]
        state.started = True
    n = x.size + (DELAY + 1 if end_of_run else 0)
    line = np.empty(MEMORY + n, np.float32)
    line[:MEMORY] = state.history
    line[MEMORY : MEMORY + x.size] = x
    line[MEMORY + x.size :] = line[MEMORY + x.size - 1]
    envelope = envelope_of(kernel, line[MEMORY - TAPS + 1 :], n)
    n_beats = 0
    for i in range(n):
        centre = state.n_in + i - HALF  # the time of envelope[i]
        if centre < state.first:
            continue
        state.envelope[:-1] = state.envelope[1:]
        state.envelope[-1] = envelope[i]
        second = centre // FS_HZ % PAST_SECONDS
        is_fresh = centre % FS_HZ == 0
        state.second_maximum[second] = (
            envelope[i] if is_fresh else max(state.second_maximum[second], envelope[i])
        )
        now = centre - PEAK_HALF
        _note_candidate(state, line, MEMORY + i - HALF - PEAK_HALF, now)
        if now < state.first + LEARNING and not end_of_run:
            continue
        while (
            state.n_decided < state.n_candidates
            and state.time[state.n_decided % CANDIDATES] + LOOK_AHEAD <= now
        ):
            number = state.n_decided
            state.n_decided += 1
            state.searched = False
            _update_threshold(state, now)
            if _is_beat(state, number):
                out[n_beats] = _accept(state, number)
                n_beats += 1
            else:
                state.verdict[number % CANDIDATES] = REJECTED
        found = _overdue(state, now)
        if found >= 0:
            out[n_beats] = _accept(state, found)
            n_beats += 1
    state.n_in += x.size
    state.history[:] = line[x.size : x.size + MEMORY]
    return n_beats
