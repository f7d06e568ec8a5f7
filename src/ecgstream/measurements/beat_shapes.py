"""What a window's beats look like: how alike they are, how wide, with what P and T waves; what is left between them.

Each beat's correlation with the template is taken of the whole beat, of QRS, of P and of T. What is left of the signal when the template
is taken out at each beat is noise or an atrium that fibrillates; the latter stands between 4 and 10 Hz (Petrutiu et al. 2006,
doi:10.1007/s11517-006-0084-x speaks of 5-8 Hz).
"""

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from ecgstream.measurements.few_values import mean_and_sd, median, ordered, quantile
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
    extremes,
    farthest,
    swing,
    template_of,
    width,
)

_ALIKE = ("mean", "min", "p10", "median", "sd")
NAMES = (
    *(f"{part}_alike_{statistic}" for part in ("beat", "qrs", "p", "t") for statistic in _ALIKE),
    "qrs_unlike_80", "qrs_unlike_90", "qrs_unlike_share", "unlike_alike",
    "amplitude_cv", "amplitude_max", "amplitude_min", "polarity",
    "p_size", "p_max", "p_min", "p_at", "p_to_noise", "t_size", "t_max", "t_min", "t_at",
    "qrs_width", "qrs_width_max", "qrs_width_p90", "qrs_width_median", "qrs_width_sd", "qrs_high_width", "st_level", "pr_level",
    "early_unlike", "early_like", "early_qrs_alike", "early_p_alike", "early_width", "ventricular_like", "atrial_like", "wide_unlike",
    "rest_size", "rest_speed", "rest_f_waves",
)  # fmt: skip
MAX_ODD = 12  # beats that are compared with one another
BEFORE, AFTER = 10, 15  # samples around an R peak that aren't rest

# A band-pass of second order around f waves (R. Bristow-Johnson's form): 6.3 Hz, Q 1.
_W = 2 * math.pi * 6.3 / FS_HZ
_ALPHA = math.sin(_W) / 2
B0, A1, A2 = _ALPHA / (1 + _ALPHA), -2 * math.cos(_W) / (1 + _ALPHA), (1 - _ALPHA) / (1 + _ALPHA)


@numba.njit(cache=True)
def measure_shapes(x: NDArray[np.float32], peaks: NDArray[np.float64], out: Any) -> None:
    """Measure the beats of a window, `NAMES`, to `out` float64 (len(NAMES),); left as it is with fewer than 4 whole beats.

    x: (n,), filtered, 128 Hz. peaks: (m,), ascending R peaks in samples.
    """
    places = np.empty(peaks.size, np.int64)
    beats = cut(x, peaks, places)
    n = len(beats)
    if n < MIN_BEATS:
        return
    whole = places[:n]
    likeness = np.empty((4, n))
    template = template_of(beats, likeness[1])
    size = swing(template[HIGH[0] : HIGH[1]]) + 1.0
    alike(beats, template, (0, LENGTH), likeness[0])
    alike(beats, template, QRS, likeness[1])
    alike(beats, template, P_WAVE, likeness[2])
    alike(beats, template, T_WAVE, likeness[3])
    for part in range(4):
        _statistics(likeness[part], out[5 * part : 5 * part + 5])
    _odd(beats, likeness[1], out[20:24])
    _heights(beats, template, size, out[24:28])
    _waves(beats, template, size, out[28:37])
    widths = np.empty(n)
    for k in range(n):
        widths[k] = width(beats[k, WIDTH[0] : WIDTH[1]])
    _widths(widths, template, size, out[37:45])
    _early(peaks, whole, likeness[1], likeness[2], widths, out[45:53])
    _rest(x, peaks, whole, template, size, out[53:56])


@numba.njit(cache=True)
def _statistics(values: Any, out: Any) -> None:
    ascending = ordered(values)
    out[0], out[4] = mean_and_sd(values)
    out[1], out[2], out[3] = ascending[0], quantile(ascending, 0.1), quantile(ascending, 0.5)


@numba.njit(cache=True)
def _odd(beats: Any, qrs: Any, out: Any) -> None:
    """How many QRS are unlike the template, and whether two of the first `MAX_ODD` of those are like one another."""
    n_90, n, most = 0.0, 0, math.nan
    unlike = np.empty(len(beats), np.int64)
    for k in range(len(beats)):
        n_90 += qrs[k] < 0.9
        if qrs[k] < 0.8:
            unlike[n] = k
            n += 1
    for i in range(min(n, MAX_ODD)):
        for j in range(i + 1, min(n, MAX_ODD)):
            found = correlation(beats[unlike[j], QRS[0] : QRS[1]], beats[unlike[i], QRS[0] : QRS[1]])
            most = found if math.isnan(most) else max(most, found)
    out[0], out[1], out[2], out[3] = n, n_90, n / len(beats), most


@numba.njit(cache=True)
def _heights(beats: Any, template: Any, size: float, out: Any) -> None:
    heights = np.empty(len(beats))
    for k in range(len(beats)):
        heights[k] = swing(beats[k, HIGH[0] : HIGH[1]])
    mean, sd = mean_and_sd(heights)
    low, high = extremes(heights)
    typical = median(heights) + 1.0
    out[0], out[1], out[2] = sd / (mean + 1.0), high / typical, low / typical
    out[3] = extremes(template[HIGH[0] : HIGH[1]])[1] / size


@numba.njit(cache=True)
def _waves(beats: Any, template: Any, size: float, out: Any) -> None:
    """P and T waves of the template, over the size of its QRS."""
    p, t = template[P_WAVE[0] : P_WAVE[1]], template[T_WAVE[0] : T_WAVE[1]]
    level = median(p)
    noise, column = np.empty(p.size), np.empty(len(beats))
    for i in range(p.size):
        for k in range(len(beats)):
            column[k] = beats[k, P_WAVE[0] + i]
        noise[i] = mean_and_sd(column)[1]
    low, high = extremes(p)
    out[0], out[1], out[2], out[3] = (
        (high - low) / size,
        (high - level) / size,
        (low - level) / size,
        farthest(p, level),
    )
    out[4] = math.log((high - low + 1.0) / (median(noise) + 1.0))
    low, high = extremes(t)
    out[5], out[6], out[7], out[8] = (high - low) / size, high / size, low / size, farthest(t, 0.0)


@numba.njit(cache=True)
def _widths(widths: Any, template: Any, size: float, out: Any) -> None:
    ascending = ordered(widths)
    out[0], out[1] = width(template[WIDTH[0] : WIDTH[1]]), ascending[-1]
    out[2], out[3], out[4] = quantile(ascending, 0.9), quantile(ascending, 0.5), mean_and_sd(widths)[1]
    level = median(template)
    highest, n_high = 0.0, 0
    for i in range(WIDTH[0] - 2, WIDTH[1]):
        highest = max(highest, abs(template[i] - level))
    for i in range(WIDTH[0] - 2, WIDTH[1]):
        n_high += abs(template[i] - level) > 0.3 * highest
    out[5] = n_high / FS_HZ
    out[6], out[7] = (
        (template[J_POINT] - template[P_WAVE[0]]) / size,
        (template[PEAK - 9] - template[P_WAVE[0]]) / size,
    )


@numba.njit(cache=True)
def _early(peaks: Any, whole: Any, qrs: Any, p: Any, widths: Any, out: Any) -> None:
    """Beats before their time, by what they look like; and wide ones at any time."""
    rr = np.empty(peaks.size - 1)
    for i in range(rr.size):
        rr[i] = peaks[i + 1] - peaks[i]
    typical, usual = median(rr), median(widths)
    n_early, n_unlike, n_ventricular, n_atrial, n_wide = 0, 0, 0, 0, 0
    qrs_sum = p_sum = 0.0
    widest = usual
    for k in range(whole.size):
        i = whole[k]
        n_wide += widths[k] > 1.3 * usual and qrs[k] < 0.85
        if i == 0 or rr[i - 1] >= 0.87 * typical:
            continue
        n_early += 1
        n_unlike += qrs[k] < 0.85
        n_atrial += qrs[k] >= 0.9 and p[k] < 0.7
        n_ventricular += qrs[k] < 0.85 and i < rr.size and rr[i] > 1.08 * typical
        qrs_sum += qrs[k]
        p_sum += p[k]
        widest = max(widest, widths[k])
    out[0], out[1] = n_unlike, n_early - n_unlike
    out[2], out[3] = (qrs_sum / n_early, p_sum / n_early) if n_early else (1.0, math.nan)
    out[4], out[5], out[6], out[7] = widest - usual, n_ventricular, n_atrial, n_wide


@numba.njit(cache=True)
def _rest(x: Any, peaks: Any, whole: Any, template: Any, size: float, out: Any) -> None:
    """What is left between the beats: its size, its speed and the share of f waves; logarithms."""
    rest = np.empty(x.size)
    for i in range(x.size):
        rest[i] = x[i]
    for k in whole:
        start = round(peaks[k]) - PEAK
        for i in range(LENGTH):
            rest[start + i] -= template[i]
    n, power, slope, waves = 0, 0.0, 0.0, 0.0
    y1 = y2 = x1 = x2 = 0.0
    beat, until = 0, 0  # the next R peak, and up to where the last one reaches
    for i in range(1, x.size):
        if beat < peaks.size and i >= round(peaks[beat]) - BEFORE:
            until = round(peaks[beat]) + AFTER
            beat += 1
        between = i >= until
        value = rest[i] if between else 0.0
        y = B0 * (value - x2) - A2 * y2 - A1 * y1
        x2, x1, y2, y1 = x1, value, y1, y
        if between:
            n += 1
            power += value * value
            slope += (value - rest[i - 1]) ** 2
            waves += y * y
    if n:
        out[0] = math.log((math.sqrt(power / n) + 1.0) / size)
        out[1] = math.log((slope + 1e-3) / (power + 1e-3))
        out[2] = math.log((waves + 1e-3) / (power + 1e-3))
