"""What a window's RR intervals show: rate, irregularity, early and late beats.

Irregularity is told in several ways, since each fails on its own: successive differences (RMSSD, pNN), the Poincaré plot's two widths
(Brennan et al. 2001, doi:10.1109/10.959330), entropies, and the coefficient of sample entropy (Lake & Moorman 2011,
doi:10.1152/ajpheart.00561.2010). A beat is early or late against the median of the intervals around it, so a rate that
drifts makes no ectopy.
"""

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from ecgstream.measurements.few_values import count_over, mean_and_sd, median, ordered, quantile

NAMES = (
    "rr_mean", "rr_median", "rr_min", "rr_max", "rr_sd", "rr_cv", "rr_iqr", "rr_p5", "rr_p10", "rr_p95",
    "rmssd", "rmssd_relative", "mad", "mad_relative", "pnn20", "pnn50", "pnn100", "pnn_relative", "sd2", "sd1_to_sd2",
    "lag1", "lag2", "difference_lag1", "cos_en", "cos_en_max", "cos_en_min", "ratio_min", "ratio_max", "ratio_sd",
    "early", "early_share", "very_early", "late", "pauses", "compensated", "rr_entropy", "difference_entropy", "turns",
)  # fmt: skip
SHORTEST_S, LONGEST_S = 0.2, 3.0  # of an interval that CosEn counts
MIN_INTERVALS = 8
MIN_MATCHES = 5
TOLERANCES_S = np.arange(0.030, 0.2001, 0.005)
AROUND = 4  # intervals on either side, of a local median
BIN_S, N_BINS = 0.05, 80  # of the histograms
RUN, RUN_STEP = 16, 4  # intervals of the stretches of which CosEn's extremes are taken


@numba.njit(cache=True)
def cos_en(rr_s: NDArray[np.float64]) -> float:
    """CosEn of RR intervals (n,) in seconds; NaN with fewer than `MIN_INTERVALS` plausible ones.

        CosEn = -ln(A / B) + ln(2 r) - ln(mean RR),   r and RR in seconds

    with B the pairs of beats whose interval matches within r (m = 1) and A those whose next one matches too.
    Departures: the tolerance starts at 30 ms and grows by 5 ms until 5 pairs match twice (at most 200 ms), as
    the paper asks for a minimum numerator; a window without them has the value of one pair. Intervals outside 0.2-3 s end a run.

    >>> cos_en(np.full(20, 0.8)) < cos_en(np.array([0.5, 0.9, 0.62, 1.1, 0.7] * 4))
    True
    """
    n_plausible, total, n = 0, 0.0, 0
    first, following = np.empty(rr_s.size), np.empty(rr_s.size)
    for i in range(rr_s.size):
        if SHORTEST_S <= rr_s[i] <= LONGEST_S:
            n_plausible += 1
            total += rr_s[i]
            if i + 1 < rr_s.size and SHORTEST_S <= rr_s[i + 1] <= LONGEST_S:
                first[n], following[n] = rr_s[i], rr_s[i + 1]
                n += 1
    if n_plausible < MIN_INTERVALS or n < 2:
        return math.nan
    for tolerance_s in TOLERANCES_S:
        alike = twice = 0
        for i in range(n):
            for j in range(i + 1, n):
                is_alike = abs(first[i] - first[j]) <= tolerance_s
                alike += is_alike
                twice += is_alike & (abs(following[i] - following[j]) <= tolerance_s)
        if twice >= MIN_MATCHES:
            break
    entropy = -math.log(max(twice, 1) / max(alike, 1))
    return float(entropy + math.log(2 * tolerance_s) - math.log(total / n_plausible))


@numba.njit(cache=True)
def _entropy(values: Any, lowest: float) -> float:
    """Of the histogram of `values` from `lowest` on, in nats; values outside count at its ends."""
    counts = np.zeros(N_BINS)
    for value in values:
        counts[min(max(int((value - lowest) / BIN_S), 0), N_BINS - 1)] += 1.0
    entropy = 0.0
    for count in counts:
        if count > 0:
            entropy -= count / values.size * math.log(count / values.size)
    return entropy


@numba.njit(cache=True)
def _lagged(values: Any, lag: int) -> float:
    """Pearson's correlation of values with those `lag` later; 0 where either doesn't vary."""
    n = values.size - lag
    mean_a = mean_b = ab = aa = bb = 0.0
    for i in range(n):
        mean_a += values[i] / n
        mean_b += values[i + lag] / n
    for i in range(n):
        x, y = values[i] - mean_a, values[i + lag] - mean_b
        ab, aa, bb = ab + x * y, aa + x * x, bb + y * y
    return ab / math.sqrt(aa * bb) if aa > 1e-12 and bb > 1e-12 else 0.0


@numba.njit(cache=True)
def _local_ratios(rr: Any) -> Any:
    """Each interval over the median of those around it and itself."""
    ratios = np.empty(rr.size)
    for i in range(rr.size):
        ratios[i] = rr[i] / median(rr[max(0, i - AROUND) : i + AROUND + 1])
    return ratios


@numba.njit(cache=True)
def measure_intervals(rr: NDArray[np.float64], out: Any) -> None:
    """Measure RR intervals (n,) in seconds, `NAMES`, to `out` float64 (len(NAMES),); left as it is with fewer than 4 of them."""
    n = rr.size
    if n < 4:
        return
    _rates(rr, out[:10])
    _differences(rr, out[10:20])
    _patterns(rr, out[20:])


@numba.njit(cache=True)
def _rates(rr: Any, out: Any) -> None:
    ascending = ordered(rr)
    mean, sd = mean_and_sd(rr)
    out[0], out[1], out[2], out[3] = mean, quantile(ascending, 0.5), ascending[0], ascending[-1]
    out[4], out[5], out[6] = sd, sd / mean, quantile(ascending, 0.75) - quantile(ascending, 0.25)
    out[7], out[8], out[9] = quantile(ascending, 0.05), quantile(ascending, 0.1), quantile(ascending, 0.95)


@numba.njit(cache=True)
def _differences(rr: Any, out: Any) -> None:
    n = rr.size - 1
    steps, sums, sizes, squares = np.empty(n), np.empty(n), np.empty(n), 0.0
    for i in range(n):
        steps[i], sums[i] = rr[i + 1] - rr[i], rr[i + 1] + rr[i]
        sizes[i] = abs(steps[i])
        squares += steps[i] * steps[i]
    typical, rmssd, mad = median(rr), math.sqrt(squares / n), median(sizes)
    sd1, sd2 = mean_and_sd(steps)[1] / math.sqrt(2), mean_and_sd(sums)[1] / math.sqrt(2)
    out[0], out[1], out[2], out[3] = rmssd, rmssd / typical, mad, mad / typical
    out[4], out[5] = count_over(sizes, 0.02) / n, count_over(sizes, 0.05) / n
    out[6], out[7] = count_over(sizes, 0.1) / n, count_over(sizes, 0.1 * typical) / n
    out[8], out[9] = sd2, sd1 / (sd2 + 1e-3)


@numba.njit(cache=True)
def _patterns(rr: Any, out: Any) -> None:
    n = rr.size
    steps = np.empty(n - 1)
    for i in range(n - 1):
        steps[i] = rr[i + 1] - rr[i]
    out[0], out[1], out[2] = _lagged(rr, 1), _lagged(rr, 2), _lagged(steps, 1)
    highest, lowest = -math.inf, math.inf
    for start in range(0, max(1, n - RUN + 1), RUN_STEP):
        of_run = cos_en(rr[start : start + RUN])
        highest, lowest = max(highest, of_run), min(lowest, of_run)
    out[3] = cos_en(rr)
    out[4] = highest if math.isfinite(highest) else math.nan
    out[5] = lowest if math.isfinite(lowest) else math.nan
    ratios = _local_ratios(rr)
    ascending = ordered(ratios)
    out[6], out[7], out[8] = ascending[0], ascending[-1], mean_and_sd(ratios)[1]
    early, very_early, compensated, turns = 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        early += ratios[i] < 0.85
        very_early += ratios[i] < 0.8
        compensated += i + 1 < n and ratios[i] < 0.88 and ratios[i + 1] > 1.1
    for i in range(n - 2):
        turns += steps[i] * steps[i + 1] < 0 and min(abs(steps[i]), abs(steps[i + 1])) > 0.05
    out[9], out[10], out[11] = early, early / n, very_early
    out[12], out[13], out[14] = count_over(ratios, 1.25), count_over(ratios, 1.5), compensated
    out[15], out[16] = _entropy(rr, 0.0), _entropy(steps, -0.5 * BIN_S * N_BINS)
    out[17] = turns / (n - 2)
