"""What a beat is among those around it: early or late, like them or not, with the P wave that they have or another.

A class of beat is a relation: a supraventricular one is early and looks like its neighbours but for its P wave, a ventricular one looks
unlike them (de Chazal et al. 2004, doi:10.1109/TBME.2004.827359). So neither rate nor gain stands in any figure here: RR intervals are
ratios, and voltages are over the size of the usual QRS. A figure that can't be taken is NaN.
"""

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from ecgstream.measurements.few_values import mean_and_sd, median
from ecgstream.measurements.rr_intervals import cos_en
from ecgstream.measurements.waves import (
    FS_HZ,
    HIGH,
    J_POINT,
    LENGTH,
    MIN_BEATS,
    P_WAVE,
    PEAK,
    QRS,
    T_WAVE,
    WIDTH,
    alike,
    correlation,
    cut,
    difference,
    extremes,
    farthest,
    swing,
    template_of,
    width,
)

# Intervals: logarithms of ratios, "a_b" is a to b.
_INTERVALS = (
    "prev_median", "next_median", "prev_second", "next_second", "prev_next", "pair_median", "prev_before", "prev_longest", "prev_others",
    "prev_rank", "next_rank", "rr_cv", "rmssd", "mad", "early_share", "cos_en", "shortest_median",
)  # fmt: skip
_LIKENESS = (
    "beat_alike", "qrs_alike", "p_alike", "t_alike", "qrs_alike_shifted", "qrs_alike_before", "qrs_alike_after", "p_alike_before",
    "p_alike_after", "p_alike_best", "qrs_rank", "p_rank", "like_share", "like_ratio", "like_early",
)  # fmt: skip
_SIZES = (
    "width_usual", "qrs_width", "qrs_width_usual", "size_usual", "area_usual", "slope_usual", "polarity", "j_difference", "t_usual",
)  # fmt: skip
_P_WAVES = (
    "p_size", "p_size_usual", "p_unlike", "t_unlike", "p_above", "p_below", "p_later", "p_alike_moved", "p_moved", "before_size", "p_noise",
    "unlike", "t_before_unlike", "t_before_alike", "t_before_most",
)  # fmt: skip
NAMES = (*_INTERVALS, *_LIKENESS, *_SIZES, *_P_WAVES)
_L, _S, _P = len(_INTERVALS), len(_INTERVALS) + len(_LIKENESS), len(NAMES) - len(_P_WAVES)
BEFORE_S, AFTER_S = 20.0, 3.3  # of signal around a beat that are looked at
NEIGHBOURS_S = (
    2.3  # after a beat, up to which R peaks count: the detector decides on them before the beat is judged
)
EARLY = 0.88
LIKE = 0.9
MOVES = (-16, 5)  # samples by which the template's P wave is looked for elsewhere


@numba.njit(cache=True)
def measure_beat(x: NDArray[np.float32], peaks: NDArray[np.float64], k: int, out: Any) -> None:
    """Measure the beat at `peaks[k]` among those around it, `NAMES`, to `out` float64 (len(NAMES),).

    x: (n,), filtered, 128 Hz. peaks: (m,), ascending R peaks in samples.
    """
    for i in range(out.size):
        out[i] = math.nan
    if peaks.size < MIN_BEATS:
        return
    rr = np.empty(peaks.size - 1)
    for i in range(rr.size):
        rr[i] = (peaks[i + 1] - peaks[i]) / FS_HZ
    _intervals(rr, k, out[:_L])
    places = np.empty(peaks.size, np.int64)
    beats = cut(x, peaks, places)
    own = 0
    while own < len(beats) and places[own] != k:
        own += 1
    if own == len(beats) or len(beats) < MIN_BEATS:
        return
    of_qrs, of_p = np.empty(len(beats)), np.empty(len(beats))
    template = template_of(beats, of_qrs)
    alike(beats, template, QRS, of_qrs)
    alike(beats, template, P_WAVE, of_p)
    size = swing(template[HIGH[0] : HIGH[1]]) + 1.0
    start = round(peaks[k]) - PEAK
    _likeness(beats, own, template, of_qrs, of_p, out[_L:_S])
    out[_L + 4] = _shifted(x, start, template)
    _company(beats, own, places, rr, out[_L + 12 : _S])
    _sizes(beats[own], template, size, out[_S:_P])
    _p_wave(x, start, beats, own, template, size, out[_P : _P + 12])
    if own > 0 and places[own - 1] == k - 1:
        _t_before(beats[own - 1], template, size, round(peaks[k]) - round(peaks[k - 1]), out[_P + 12 :])


@numba.njit(cache=True)
def _ratio(a: float, b: float) -> float:
    return math.log(a / b) if a > 0 and b > 0 else math.nan


@numba.njit(cache=True)
def _intervals(rr: Any, k: int, out: Any) -> None:
    n, usual = rr.size, median(rr)
    prev = rr[k - 1] if k >= 1 else math.nan
    following = rr[k] if k < n else math.nan
    out[0], out[1] = _ratio(prev, usual), _ratio(following, usual)
    out[2] = _ratio(prev, rr[k - 2]) if k >= 2 else math.nan
    out[3] = _ratio(following, rr[k + 1]) if k + 1 < n else math.nan
    out[4], out[5] = _ratio(prev, following), _ratio(prev + following, 2 * usual)
    if k >= 4:
        longest = 0.0
        for i in range(k - 4, k - 1):
            longest = max(longest, rr[i])
        out[6], out[7] = _ratio(prev, median(rr[max(0, k - 9) : k - 1])), _ratio(prev, longest)
    others, n_others = np.empty(n), 0
    shorter = shorter_next = early = 0.0
    shortest = usual
    for i in range(n):
        if i not in (k - 1, k):
            others[n_others] = rr[i]
            n_others += 1
        shorter += rr[i] < prev
        shorter_next += rr[i] < following
        early += rr[i] < EARLY * usual
        shortest = min(shortest, rr[i])
    if n_others >= MIN_BEATS:
        out[8] = _ratio(prev, median(others[:n_others]))
    out[9] = shorter / n if k >= 1 else math.nan
    out[10] = shorter_next / n if k < n else math.nan
    steps, squares = np.empty(n - 1), 0.0
    for i in range(n - 1):
        steps[i] = abs(rr[i + 1] - rr[i])
        squares += steps[i] * steps[i]
    mean, sd = mean_and_sd(rr)
    out[11], out[12], out[13] = sd / mean, math.sqrt(squares / (n - 1)) / usual, median(steps) / usual
    out[14], out[15], out[16] = early / n, cos_en(rr), _ratio(shortest, usual)


@numba.njit(cache=True)
def _likeness(beats: Any, own: int, template: Any, of_qrs: Any, of_p: Any, out: Any) -> None:
    """How like the template, the beats next to it and the one that is most like it; its ranks among all."""
    n, beat = len(beats), beats[own]
    out[0], out[1], out[2] = correlation(beat, template), of_qrs[own], of_p[own]
    out[3] = correlation(beat[T_WAVE[0] : T_WAVE[1]], template[T_WAVE[0] : T_WAVE[1]])
    for at, other in ((5, own - 1), (6, own + 1)):
        if 0 <= other < n:
            out[at] = correlation(beat[QRS[0] : QRS[1]], beats[other, QRS[0] : QRS[1]])
    if own > 0:
        out[7] = correlation(beat[P_WAVE[0] : P_WAVE[1]], beats[own - 1, P_WAVE[0] : P_WAVE[1]])
    if own + 1 < n:
        out[8] = of_p[own + 1]
    to_own = np.empty(n)
    alike(beats, beat, P_WAVE, to_own)
    best, less_qrs, less_p = -1.0, 0.0, 0.0
    for j in range(n):
        if j != own:
            best = max(best, to_own[j])
        less_qrs += of_qrs[j] < of_qrs[own]
        less_p += of_p[j] < of_p[own]
    out[9], out[10], out[11] = best, less_qrs / n, less_p / n


@numba.njit(cache=True)
def _shifted(x: Any, start: int, template: Any) -> float:
    """The QRS's correlation with the template's where that is best, up to three samples off."""
    best = -1.0
    for shift in range(-3, 4):
        a, b = start + shift + QRS[0], start + shift + QRS[1]
        if a >= 0 and b <= x.size:
            best = max(best, correlation(x[a:b], template[QRS[0] : QRS[1]]))
    return best


@numba.njit(cache=True)
def _company(beats: Any, own: int, places: Any, rr: Any, out: Any) -> None:
    """How many beats look like this one, and how early these come."""
    usual = median(rr)
    of_qrs = np.empty(len(beats))
    alike(beats, beats[own], QRS, of_qrs)
    n_like, n_known, ratios, early = 0.0, 0, 0.0, 0.0
    for j in range(len(beats)):
        if j != own and of_qrs[j] > LIKE:
            n_like += 1
            if places[j] >= 1:
                n_known += 1
                ratios += rr[places[j] - 1] / usual
                early += rr[places[j] - 1] < EARLY * usual
    out[0] = n_like / (len(beats) - 1)
    if n_known:
        out[1], out[2] = ratios / n_known, early / n_known


@numba.njit(cache=True)
def _sizes(beat: Any, template: Any, size: float, out: Any) -> None:
    """Width, height, area and slope of QRS, and the T wave, beside the template's."""
    own, usual = width(beat[WIDTH[0] : WIDTH[1]]), width(template[WIDTH[0] : WIDTH[1]])
    out[0], out[1], out[2] = _ratio(own + 0.01, usual + 0.01), own, usual
    out[3] = _ratio(swing(beat[HIGH[0] : HIGH[1]]) + 1.0, size)
    area = area_usual = slope = slope_usual = 1.0
    for i in range(WIDTH[0], WIDTH[1]):
        area += abs(beat[i])
        area_usual += abs(template[i])
        slope = max(slope, abs(beat[i + 1] - beat[i]))
        slope_usual = max(slope_usual, abs(template[i + 1] - template[i]))
    out[4], out[5] = _ratio(area, area_usual), _ratio(slope, slope_usual)
    out[6] = math.copysign(beat[PEAK], beat[PEAK] * template[PEAK]) / size
    out[7] = (beat[J_POINT] - template[J_POINT]) / size
    t, t_usual = swing(beat[T_WAVE[0] : T_WAVE[1]]), swing(template[T_WAVE[0] : T_WAVE[1]])
    out[8] = _ratio(t + 0.02 * size, t_usual + 0.02 * size)


@numba.njit(cache=True)
def _p_wave(x: Any, start: int, beats: Any, own: int, template: Any, size: float, out: Any) -> None:
    """P and T waves beside the template's, over the size of its QRS; and whether its P wave stands earlier or later here."""
    a, b = P_WAVE
    beat, p, usual = beats[own], beats[own, a:b], template[a:b]
    out[0], out[1], out[2] = swing(p) / size, swing(usual) / size, difference(p, usual) / size
    out[3] = difference(beat[T_WAVE[0] : T_WAVE[1]], template[T_WAVE[0] : T_WAVE[1]]) / size
    apart, noise = np.empty(b - a), _spread(beats, a, b)
    for i in range(b - a):
        apart[i] = p[i] - usual[i]
    level = median(apart)
    low, high = extremes(apart)
    out[4], out[5] = (high - level) / size, (low - level) / size
    out[6] = farthest(p, median(p)) - farthest(usual, median(usual))
    best, at = -1.0, 0
    for move in range(MOVES[0], MOVES[1]):
        first, last = start + a + 6 + move, start + b + move
        if first >= 0 and last <= start + PEAK - 6:
            found = correlation(x[first:last], template[a + 6 : b])
            if found > best:
                best, at = found, move
    out[7], out[8] = best, at / FS_HZ
    out[9], out[10], out[11] = swing(beat[:b]) / size, median(noise) / size, difference(beat, template) / size


@numba.njit(cache=True)
def _spread(beats: Any, a: int, b: int) -> Any:
    """Standard deviation over the beats of each sample from `a` to `b`."""
    parts, n = beats[:, a:b], b - a
    mean, power = np.zeros(n), np.zeros(n)
    for k in range(len(parts)):
        for i in range(n):
            mean[i] += parts[k, i]
    for i in range(n):
        mean[i] /= len(parts)
    for k in range(len(parts)):
        for i in range(n):
            power[i] += (parts[k, i] - mean[i]) ** 2
    for i in range(n):
        power[i] = math.sqrt(power[i] / len(parts))
    return power


@numba.njit(cache=True)
def _t_before(before: Any, template: Any, size: float, rr: int, out: Any) -> None:
    """What stands on the T wave of the beat before, up to this beat's QRS: an early P wave does."""
    a, b = T_WAVE[0] + 6, min(LENGTH, PEAK + rr - 10)
    if b - a < 8:
        return
    out[0], out[1] = difference(before[a:b], template[a:b]) / size, correlation(before[a:b], template[a:b])
    level, most = 0.0, 0.0
    for i in range(a, b):
        level += (before[i] - template[i]) / (b - a)
    for i in range(a, b):
        most = max(most, abs(before[i] - template[i] - level))
    out[2] = most / size


@numba.njit(cache=True)
def measure_beats(x: Any, peaks: Any, out: Any) -> None:
    """Measure each beat of a whole signal, to `out` float64 (m, len(NAMES)), each in `BEFORE_S` and `AFTER_S` around it."""
    for k in range(peaks.size):
        at = round(peaks[k])
        start, end = max(0, at - int(BEFORE_S * FS_HZ)), min(x.size, at + int(AFTER_S * FS_HZ))
        first, last = k, k + 1
        while first > 0 and peaks[first - 1] >= start:
            first -= 1
        while last < peaks.size and peaks[last] < at + NEIGHBOURS_S * FS_HZ:
            last += 1
        measure_beat(x[start:end], peaks[first:last] - start, k - first, out[k])
