"""What a window's beats look like: how alike they are, how wide, with what P and T waves; what is left between them.

The template is the mean of the beats that are most like the mean of all (the better half by the correlation of their QRS), so that a few
ectopic beats don't bend it. Each beat's correlation with it is taken of the whole beat, of QRS, of P and of T. What is left of the signal
when the template is taken out at each beat is noise or an atrium that fibrillates; the latter stands between 4 and 10 Hz
(Petrutiu et al. 2006, doi:10.1007/s11517-006-0084-x speaks of 5-8 Hz).
"""

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from ecgstream.measurements.few_values import mean_and_sd, median, ordered, quantile

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
FS_HZ = 128
PEAK, LENGTH = 41, 102  # a beat: 0.32 s before its R peak to 0.48 s after it
QRS = (PEAK - 11, PEAK + 12)
HIGH = (PEAK - 8, PEAK + 9)  # where its amplitude is taken
P_WAVE = (PEAK - 33, PEAK - 8)
T_WAVE = (PEAK + 11, LENGTH)
WIDTH = (PEAK - 18, PEAK + 24)
MIN_BEATS = 4
MAX_ODD = 12  # beats that are compared with one another
J_POINT = PEAK + 13
BEFORE, AFTER = 10, 15  # samples around an R peak that aren't rest

# A band-pass of second order around f waves (R. Bristow-Johnson's form): 6.3 Hz, Q 1.
_W = 2 * math.pi * 6.3 / FS_HZ
_ALPHA = math.sin(_W) / 2
B0, A1, A2 = _ALPHA / (1 + _ALPHA), -2 * math.cos(_W) / (1 + _ALPHA), (1 - _ALPHA) / (1 + _ALPHA)


@numba.njit(cache=True)
def _alike(beats: Any, template: Any, part: tuple[int, int], out: Any) -> None:
    """The correlation of each beat's part (n, LENGTH) with the template's, to `out` (n,)."""
    a, b = part
    mean = power = 0.0
    for i in range(a, b):
        mean += template[i] / (b - a)
    for i in range(a, b):
        power += (template[i] - mean) ** 2
    for k in range(len(beats)):
        own = both = own_power = 0.0
        for i in range(a, b):
            own += beats[k, i]
        own /= b - a
        for i in range(a, b):
            x = beats[k, i] - own
            both += x * (template[i] - mean)
            own_power += x * x
        out[k] = both / (math.sqrt(power * own_power) + 1e-6)


@numba.njit(cache=True)
def _extremes(line: Any) -> tuple[float, float]:
    low = high = line[0]
    for value in line:
        low, high = min(low, value), max(high, value)
    return low, high


@numba.njit(cache=True)
def _swing(line: Any) -> float:
    low, high = _extremes(line)
    return high - low


@numba.njit(cache=True)
def _farthest(line: Any, level: float) -> float:
    """Seconds to the value that is farthest from a level."""
    best, at = -1.0, 0
    for i in range(line.size):
        if abs(line[i] - level) > best:
            best, at = abs(line[i] - level), i
    return at / FS_HZ


@numba.njit(cache=True)
def _width(line: Any) -> float:
    """Seconds that hold the middle 94 % of the energy of a line's slope."""
    total = 1e-9
    for i in range(line.size - 1):
        total += (line[i + 1] - line[i]) ** 2
    energy, inside = 0.0, 0
    for i in range(line.size - 1):
        energy += (line[i + 1] - line[i]) ** 2
        inside += 0.03 * total <= energy < 0.97 * total
    return inside / FS_HZ


@numba.njit(cache=True)
def _template(beats: Any, alike: Any) -> Any:
    """The mean of the better half of beats (n, LENGTH); `alike` (n,) is written to."""
    template = np.zeros(LENGTH)
    for beat in beats:
        for i in range(LENGTH):
            template[i] += beat[i] / len(beats)
    _alike(beats, template, QRS, alike)
    bar, kept = median(alike), 0
    of_most = np.zeros(LENGTH)
    for k in range(len(beats)):
        if alike[k] >= bar:
            kept += 1
            for i in range(LENGTH):
                of_most[i] += beats[k, i]
    for i in range(LENGTH):
        of_most[i] /= kept
    return of_most


@numba.njit(cache=True)
def measure_shapes(x: NDArray[np.float32], peaks: NDArray[np.float64], out: Any) -> None:
    """Measure the beats of a window, `NAMES`, to `out` float64 (len(NAMES),); left as it is with fewer than 4 whole beats.

    x: (n,), filtered, 128 Hz. peaks: (m,), ascending R peaks in samples.
    """
    whole = np.empty(peaks.size, np.int64)
    n = 0
    for k in range(peaks.size):
        if PEAK <= round(peaks[k]) < x.size - LENGTH + PEAK:
            whole[n] = k
            n += 1
    if n < MIN_BEATS:
        return
    whole = whole[:n]
    beats = np.empty((n, LENGTH))
    for k in range(n):
        start = round(peaks[whole[k]]) - PEAK
        for i in range(LENGTH):
            beats[k, i] = x[start + i]
    alike = np.empty((4, n))
    template = _template(beats, alike[1])
    size = _swing(template[HIGH[0] : HIGH[1]]) + 1.0
    _alike(beats, template, (0, LENGTH), alike[0])
    _alike(beats, template, QRS, alike[1])
    _alike(beats, template, P_WAVE, alike[2])
    _alike(beats, template, T_WAVE, alike[3])
    for part in range(4):
        _statistics(alike[part], out[5 * part : 5 * part + 5])
    _odd(beats, alike[1], out[20:24])
    _heights(beats, template, size, out[24:28])
    _waves(beats, template, size, out[28:37])
    widths = np.empty(n)
    for k in range(n):
        widths[k] = _width(beats[k, WIDTH[0] : WIDTH[1]])
    _widths(widths, template, size, out[37:45])
    _early(peaks, whole, alike[1], alike[2], widths, out[45:53])
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
    found = np.empty(1)
    for i in range(min(n, MAX_ODD)):
        for j in range(i + 1, min(n, MAX_ODD)):
            _alike(beats[unlike[j] : unlike[j] + 1], beats[unlike[i]], QRS, found)
            most = found[0] if math.isnan(most) else max(most, found[0])
    out[0], out[1], out[2], out[3] = n, n_90, n / len(beats), most


@numba.njit(cache=True)
def _heights(beats: Any, template: Any, size: float, out: Any) -> None:
    heights = np.empty(len(beats))
    for k in range(len(beats)):
        heights[k] = _swing(beats[k, HIGH[0] : HIGH[1]])
    mean, sd = mean_and_sd(heights)
    low, high = _extremes(heights)
    typical = median(heights) + 1.0
    out[0], out[1], out[2] = sd / (mean + 1.0), high / typical, low / typical
    out[3] = _extremes(template[HIGH[0] : HIGH[1]])[1] / size


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
    low, high = _extremes(p)
    out[0], out[1], out[2], out[3] = (
        (high - low) / size,
        (high - level) / size,
        (low - level) / size,
        _farthest(p, level),
    )
    out[4] = math.log((high - low + 1.0) / (median(noise) + 1.0))
    low, high = _extremes(t)
    out[5], out[6], out[7], out[8] = (high - low) / size, high / size, low / size, _farthest(t, 0.0)


@numba.njit(cache=True)
def _widths(widths: Any, template: Any, size: float, out: Any) -> None:
    ascending = ordered(widths)
    out[0], out[1] = _width(template[WIDTH[0] : WIDTH[1]]), ascending[-1]
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
        y = B0 * (value - x2) - A1 * y1 - A2 * y2
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
