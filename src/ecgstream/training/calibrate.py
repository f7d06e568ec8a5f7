"""What the rhythm head says, made probabilities to believe and names to give, on records that were kept for it.

The loss weighs rare labels up, and a network is too sure of what it learnt by heart: one temperature and an offset for each of CinC's
labels (vector scaling, Guo et al. 2017, arXiv:1706.04599) take both back. What is named is another matter: the most likely label isn't the
one that serves a mean of F1 best, so each label weighs what makes the F1 that is to be expected largest.
"""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import softmax

from ecgstream.training.corpus import Packed
from ecgstream.training.examples import CINC
from ecgstream.training.network import RHYTHMS

Floats = NDArray[np.float64]
LABELS = "NAO~"
MEMBER = np.array([[r in CINC[label] for label in LABELS] for r in RHYTHMS], np.float64)  # (rhythms, labels)
STEPS = {"A": 21, "O": 21, "~": 11}  # of the weights that are tried, half to twice that of N


class Calibration(Struct, frozen=True):
    """Of the rhythm head: logits are divided by `temperature`, then `offsets` (by rhythm) are added.

    A recording that gets one label gets that of the largest probability times `record_weights` (by CinC's labels); AF is named in a
    stream from the probability `af` on.
    """

    temperature: float = 1.0
    offsets: dict[str, float] = {}
    record_weights: dict[str, float] = {}
    af: float = 0.5

    def of(self, probabilities: NDArray[np.floating]) -> Floats:
        """Uncalibrated rhythm probabilities (n, rhythms) calibrated; rows of NaN stay."""
        offsets = np.array([self.offsets.get(r, 0.0) for r in RHYTHMS])
        p: Floats = softmax(np.log(np.maximum(probabilities, 1e-12)) / self.temperature + offsets, axis=1)
        return p


def calibrate(probabilities: NDArray[np.floating], records: Sequence[Packed]) -> Calibration:
    """From a network's rhythm probabilities (n, rhythms) of records that it never learnt."""
    known = ~np.isnan(probabilities).any(1)
    log_p = np.log(np.maximum(probabilities[known], 1e-12))
    truth = _labels(records)[known]

    def calibrated(free: Floats) -> Floats:
        p: Floats = softmax(log_p * np.exp(free[0]) + MEMBER @ [0.0, *free[1:]], axis=1)
        return p

    def loss(free: Floats) -> float:
        right = (calibrated(free) @ MEMBER)[np.arange(len(truth)), truth]
        return float(-np.log(right).mean() + 1e-3 * (free @ free))  # bounded, though a label be absent

    free = minimize(loss, np.zeros(len(LABELS))).x
    p = calibrated(free)
    return Calibration(
        float(np.exp(-free[0])),
        {r: round(float(x), 4) for r, x in zip(RHYTHMS, MEMBER @ [0.0, *free[1:]], strict=True)},
        _record_weights(p @ MEMBER),
        _best_threshold(p[:, RHYTHMS.index("af")], truth == LABELS.index("A")),
    )


def cinc_scores(
    records: Sequence[Packed], probabilities: NDArray[np.floating], weights: Mapping[str, float] | None = None
) -> dict[str, float]:
    """CinC 2017 F1 of each label and the mean of N, A and O, by the largest (weighted) probability; too short is ``~``."""
    shares = np.asarray(probabilities, np.float64) @ MEMBER
    shares[np.isnan(shares).any(1)] = np.eye(len(LABELS))[LABELS.index("~")]
    said = (shares * [(weights or {}).get(label, 1.0) for label in LABELS]).argmax(1)
    f1 = _f1(said, np.eye(len(LABELS))[_labels(records)])
    named = {label: round(float(x), 4) for label, x in zip(LABELS, f1, strict=True)}
    return named | {"mean": round(float(f1[:3].mean()), 4)}


def _labels(records: Sequence[Packed]) -> NDArray[np.int64]:
    return np.array([LABELS.index(r.label) for r in records], np.int64)


def _f1(said: NDArray[np.int64], truth: Floats) -> Floats:
    """F1 of each label, with `truth` (n, labels) known or as probabilities: then what is to be expected."""
    claimed = np.eye(len(LABELS))[said]
    f1: Floats = 2 * (claimed * truth).sum(0) / np.maximum(claimed.sum(0) + truth.sum(0), 1e-9)
    return f1


def _record_weights(p: Floats) -> dict[str, float]:
    """Weights of the labels' probabilities p (n, labels) for the largest expected mean F1 of N, A and O."""
    tried = itertools.product([1.0], *(np.exp2(np.linspace(-1, 1, n)) for n in STEPS.values()))
    best = max(tried, key=lambda weights: float(_f1((p * weights).argmax(1), p)[:3].mean()))
    return {label: round(float(w), 3) for label, w in zip(LABELS, best, strict=True)}


def _best_threshold(p: Floats, truth: NDArray[np.bool_]) -> float:
    """The probability from which on it is best claimed, by F1."""

    def f1(t: float) -> float:
        said = p >= t
        return float(2 * (said & truth).sum() / max(1, said.sum() + truth.sum()))

    return round(float(max(np.linspace(0.3, 0.8, 26), key=f1)), 2)
