"""Beats cut out of a signal, their parts, and how alike, wide and high they are.

The template is the mean of the beats that are most like the mean of all (the better half by the correlation of their QRS), so that a few
ectopic beats don't bend it.
"""

import math
from typing import Any

import numba
import numpy as np

from ecgstream.measurements.few_values import median

FS_HZ = 128
PEAK, LENGTH = 41, 102  # a beat: 0.32 s before its R peak to 0.48 s after it
QRS = (PEAK - 11, PEAK + 12)
HIGH = (PEAK - 8, PEAK + 9)  # where its amplitude is taken
P_WAVE = (PEAK - 33, PEAK - 8)
T_WAVE = (PEAK + 11, LENGTH)
WIDTH = (PEAK - 18, PEAK + 24)
J_POINT = PEAK + 13
MIN_BEATS = 4


@numba.njit(cache=True)
def cut(x: Any, peaks: Any, places: Any) -> Any:
    """The beats of a signal (n,) that stand in it whole, (k, LENGTH); their places among `peaks` (m,) go to `places` int64 (m,)."""
    n = 0
    for k in range(peaks.size):
        if PEAK <= round(peaks[k]) < x.size - LENGTH + PEAK:
            places[n] = k
            n += 1
    beats = np.empty((n, LENGTH))
    for k in range(n):
        start = round(peaks[places[k]]) - PEAK
        beats[k] = x[start : start + LENGTH]
    return beats


@numba.njit(cache=True)
def alike(beats: Any, template: Any, part: tuple[int, int], out: Any) -> None:
    """The correlation of each beat's part (n, LENGTH) with the template's, to `out` (n,).

    Beats stand side by side, so that the loops over them are vectors.
    """
    a, b = part
    parts, line, n = np.ascontiguousarray(beats[:, a:b].T), template[a:b], len(beats)
    mean = power = 0.0
    for i in range(b - a):
        mean += line[i] / (b - a)
    for i in range(b - a):
        power += (line[i] - mean) ** 2
    own, both, own_power = np.zeros(n), np.zeros(n), np.zeros(n)
    for i in range(b - a):
        for k in range(n):
            own[k] += parts[i, k]
    for k in range(n):
        own[k] /= b - a
    for i in range(b - a):
        apart = line[i] - mean
        for k in range(n):
            x = parts[i, k] - own[k]
            both[k] += x * apart
            own_power[k] += x * x
    for k in range(n):
        out[k] = both[k] / (math.sqrt(power * own_power[k]) + 1e-6)


@numba.njit(cache=True)
def extremes(line: Any) -> tuple[float, float]:
    """The lowest and the highest value."""
    low = high = line[0]
    for value in line:
        low, high = min(low, value), max(high, value)
    return low, high


@numba.njit(cache=True)
def swing(line: Any) -> float:
    """From the lowest value to the highest."""
    low, high = extremes(line)
    return high - low


@numba.njit(cache=True)
def farthest(line: Any, level: float) -> float:
    """Seconds to the value that is farthest from a level."""
    best, at = -1.0, 0
    for i in range(line.size):
        if abs(line[i] - level) > best:
            best, at = abs(line[i] - level), i
    return at / FS_HZ


@numba.njit(cache=True)
def width(line: Any) -> float:
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
def template_of(beats: Any, likeness: Any) -> Any:
    """The mean of the better half of beats (n, LENGTH); `likeness` (n,) is written to."""
    template = np.zeros(LENGTH)
    for k in range(len(beats)):
        for i in range(LENGTH):
            template[i] += beats[k, i]
    for i in range(LENGTH):
        template[i] /= len(beats)
    alike(beats, template, QRS, likeness)
    bar, kept = median(likeness), 0
    of_most = np.zeros(LENGTH)
    for k in range(len(beats)):
        if likeness[k] >= bar:
            kept += 1
            for i in range(LENGTH):
                of_most[i] += beats[k, i]
    for i in range(LENGTH):
        of_most[i] /= kept
    return of_most


@numba.njit(cache=True)
def correlation(a: Any, b: Any) -> float:
    """Pearson's, of two lines (n,)."""
    n = a.size
    mean_a = mean_b = ab = aa = bb = 0.0
    for i in range(n):
        mean_a += a[i]
        mean_b += b[i]
    mean_a, mean_b = mean_a / n, mean_b / n
    for i in range(n):
        x, y = a[i] - mean_a, b[i] - mean_b
        ab, aa, bb = ab + x * y, aa + x * x, bb + y * y
    return ab / (math.sqrt(aa * bb) + 1e-6)


@numba.njit(cache=True)
def difference(a: Any, b: Any) -> float:
    """Root mean square of the difference of two lines (n,), their levels apart."""
    n, mean, power = a.size, 0.0, 0.0
    for i in range(n):
        mean += a[i] - b[i]
    mean /= n
    for i in range(n):
        power += (a[i] - b[i] - mean) ** 2
    return math.sqrt(power / n)
