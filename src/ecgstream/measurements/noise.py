"""How a window's amplitudes are spread, and how loud and how fast its seconds are: whether it is noise.

Speed and hiss are Hjorth's mobility and complexity (1970, doi:10.1016/0013-4694(70)90143-4), as logarithms.
"""

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from ecgstream.measurements.few_values import ordered, quantile

NAMES = ("seconds", "beats_a_second", "kurtosis", "skewness", "loudest_second", "calmest_second", "highest_second",
         "speed", "speed_max", "hiss", "hiss_max")  # fmt: skip
FS_HZ = 128


@numba.njit(cache=True)
def measure_noise(x: NDArray[np.float32], n_peaks: int, out: Any) -> None:
    """Measure a window (n,), filtered, 128 Hz, with `n_peaks` R peaks, `NAMES`, to `out` float64 (len(NAMES),)."""
    n_seconds = x.size // FS_HZ
    power, height, speed, hiss = (
        np.empty(n_seconds),
        np.empty(n_seconds),
        np.empty(n_seconds),
        np.empty(n_seconds),
    )
    mean = 0.0
    for i in range(n_seconds * FS_HZ):
        mean += x[i]
    mean /= n_seconds * FS_HZ
    m2 = m3 = m4 = 0.0
    for s in range(n_seconds):
        p = d1 = d2 = h = 0.0
        for i in range(s * FS_HZ, (s + 1) * FS_HZ):
            v = float(x[i])
            c = v - mean
            m2, m3, m4 = m2 + c * c, m3 + c * c * c, m4 + c * c * c * c
            p += v * v
            h = max(h, abs(v))
            if i >= s * FS_HZ + 2:
                step = v - x[i - 1]
                d1 += step * step
                d2 += (step - x[i - 1] + x[i - 2]) ** 2
        power[s], height[s] = math.sqrt(p / FS_HZ), h
        speed[s], hiss[s] = math.log((d1 + 1.0) / (p + 1.0)), math.log((d2 + 1.0) / (d1 + 1.0))
    n = n_seconds * FS_HZ
    m2, m3, m4 = m2 / n + 1e-9, m3 / n, m4 / n
    powers, heights, speeds, hisses = ordered(power), ordered(height), ordered(speed), ordered(hiss)
    usual = quantile(powers, 0.5) + 1.0
    out[0], out[1], out[2], out[3] = x.size / FS_HZ, n_peaks * FS_HZ / x.size, m4 / (m2 * m2), m3 / m2**1.5
    out[4], out[5] = math.log((powers[-1] + 1.0) / usual), math.log((powers[0] + 1.0) / usual)
    out[6] = math.log((heights[-1] + 1.0) / (quantile(heights, 0.5) + 1.0))
    out[7], out[8], out[9], out[10] = quantile(speeds, 0.5), speeds[-1], quantile(hisses, 0.5), hisses[-1]
