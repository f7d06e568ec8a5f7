"""Numbers that a figure is worth nothing without: intervals, confusion, calibration.

Records of one patient resemble one another, so the unit that is resampled is the patient (cluster
bootstrap: Field & Welsh 2007, doi:10.1111/j.1467-9868.2007.00593.x; percentile interval). A one-sided lower
bound of a proportion is the exact one (Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404), as the makers
of defibrillators report it; it takes the trials as independent, which segments of one record are not, so it
stands beside the bootstrap's and never alone.

A figure that has no denominator (no such beat, no such rhythm) is NaN here and null in JSON: it is unknown,
not 0.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

Floats = NDArray[np.float64]
RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A figure with the two ends of its interval; NaN where it is unknown."""

    value: float
    low: float
    high: float


def ratio(part: Floats | float, whole: Floats | float) -> Floats:
    """`part / whole`, NaN where `whole` is 0."""
    part, whole = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    found: Floats = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return found


def f1(true_positive: Floats | float, reference: Floats | float, predicted: Floats | float) -> Floats:
    """F1 from counts: twice the hits over the reference's and the prediction's totals."""
    return ratio(2.0 * np.asarray(true_positive), np.asarray(reference) + np.asarray(predicted))


def lower_bound(successes: int, trials: int, confidence: float = 0.9) -> float:
    """Exact one-sided lower bound of a proportion: with `confidence` the truth lies above it. NaN without
    trials.

    >>> round(lower_bound(100, 100), 4)
    0.9772
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"successes: expected 0 to trials = {trials}, got {successes}")
    if trials == 0:
        return float("nan")
    if successes == 0:
        return 0.0
    return float(beta.ppf(1.0 - confidence, successes, trials - successes + 1))


def by_patient(patients: Sequence[str], counts: Floats) -> Floats:
    """Counts added up per patient: float64 (n_patients, ...), in the order in which the patients first
    appear.
    """
    names = list(dict.fromkeys(patients))
    row = {name: i for i, name in enumerate(names)}
    total = np.zeros((len(names), *counts.shape[1:]))
    np.add.at(total, [row[p] for p in patients], counts)
    return total


def bootstrap(
    patients: Sequence[str],
    counts: Floats,
    statistic: Callable[[Floats], Floats],
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """A statistic of summed counts with its interval over patients.

    `counts`: float64 (n_records, ...), one row a record; `statistic` maps sums (b, ...) to (b,). Resamples
    in which it is unknown are left out. Where one patient alone has what it is a share of, the interval is unknown.
    """
    if len(patients) != len(counts):
        raise ValueError(f"counts: expected one row for each of {len(patients)} records, got {len(counts)}")
    if not len(patients):
        return Estimate(np.nan, np.nan, np.nan)
    rows = by_patient(patients, np.asarray(counts, np.float64))
    total, n = rows.sum(axis=0), len(rows)
    value = float(statistic(total[None])[0])
    if n < 2 or np.isnan(value) or np.isnan(statistic(total - rows)).any():
        return Estimate(value, np.nan, np.nan)
    draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), size=resamples)
    found = statistic(np.tensordot(draws.astype(np.float64), rows, axes=1))
    found = found[~np.isnan(found)]
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high))


def confusion(
    reference: NDArray[np.int64], predicted: NDArray[np.int64], n_classes: int
) -> NDArray[np.int64]:
    """Counts int64 (n_classes, n_classes): rows are the reference, columns the prediction. Negative values
    are left out.
    """
    known = (reference >= 0) & (predicted >= 0)
    flat = reference[known] * n_classes + predicted[known]
    return np.bincount(flat, minlength=n_classes**2).reshape(n_classes, n_classes)


@dataclass(frozen=True)
class Reliability:
    """What was claimed against what came true, in bins of equal width. All arrays (n_bins,); NaN where a
    bin is empty. `left_out`: the share of labels that rest on no such claim and aren't in it.
    """

    claimed: Floats
    observed: Floats
    count: NDArray[np.int64]
    ece: float
    left_out: float = 0.0


def reliability(claimed: Floats, came_true: NDArray[np.bool_], n_bins: int = 15) -> Reliability:
    """Reliability curve and expected calibration error (Guo et al. 2017, arXiv:1706.04599) of claims (n,)
    in [0, 1].
    """
    claimed = np.asarray(claimed, np.float64)
    which = np.minimum((claimed * n_bins).astype(np.int64), n_bins - 1)
    count = np.bincount(which, minlength=n_bins)
    size = count.astype(np.float64)
    mean = ratio(np.bincount(which, claimed, n_bins).astype(np.float64), size)
    hits = np.bincount(which, came_true.astype(np.float64), n_bins)
    observed = ratio(hits.astype(np.float64), size)
    gap = np.nan_to_num(np.abs(mean - observed))
    ece = float((gap * size).sum() / size.sum()) if size.sum() else float("nan")
    return Reliability(mean, observed, count, ece)


def reliability_of_labels(
    probabilities: NDArray[np.floating], labels: NDArray[np.int64], truth: NDArray[np.int64]
) -> Reliability:
    """Reliability of the greatest of the probabilities (n, n_classes) where the label (n,) is its class; the
    other labels were given by a rule or an operating point and are left out.
    """
    rests = probabilities.argmax(axis=1) == labels
    curve = reliability(probabilities[rests].max(axis=1, initial=0.0), (labels == truth)[rests])
    return replace(curve, left_out=float(1.0 - rests.mean()) if len(rests) else float("nan"))


def brier(probabilities: Floats, labels: NDArray[np.int64]) -> float:
    """Mean squared distance of probabilities (n, n_classes) from the truth; 0 is perfect, 2 is the worst
    (Brier 1950).
    """
    if len(labels) == 0:
        return float("nan")
    truth = np.eye(probabilities.shape[1])[labels]
    return float(np.mean(np.sum((probabilities - truth) ** 2, axis=1)))
