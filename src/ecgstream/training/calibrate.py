"""What network and trees say, made one opinion: probabilities to believe and names to give, on records that were kept for it.

The two are weighed against each other by their logarithms, with an offset for each of CinC's labels (a logarithmic opinion pool, Genest &
Zidek 1986, doi:10.1214/ss/1177013825). The weights also take back that a network is too sure of what it learnt by heart, as a temperature
would (Guo et al. 2017, arXiv:1706.04599), the offsets that the loss weighs rare labels up. Which rhythm of a label it is, the network alone
says. What is named is another matter: the most likely label isn't the one that serves a mean of F1 best, so each label weighs what
makes the F1 that is to be expected largest.
"""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp

from ecgstream.evaluation.cinc2017 import grouped
from ecgstream.model_folder import CINC_CLASSES
from ecgstream.training.corpus import Packed
from ecgstream.training.examples import CINC
from ecgstream.training.network import RHYTHMS

Floats = NDArray[np.float64]
FLOOR = 1e-6  # of a probability whose logarithm is taken
MEMBER = np.array(
    [[r in CINC[label] for label in CINC_CLASSES] for r in RHYTHMS], np.float64
)  # (rhythms, labels)
STEPS = {"A": 21, "O": 21, "~": 11}  # of the weights that are tried, half to twice that of N


class Calibration(Struct, frozen=True):
    """A label's logit is `network` times the network's log-probability of it, `trees` times the trees', and its offset.

    A recording that gets one label gets that of the largest probability times `record_weights` (by CinC's labels); AF is named in a
    stream from the probability `af` on.
    """

    network: float = 0.5
    trees: float = 0.5
    offsets: tuple[float, ...] = (0.0,) * len(CINC_CLASSES)
    record_weights: dict[str, float] = {}
    af: float = 0.5

    def of(self, network: NDArray[np.floating], trees: NDArray[np.floating]) -> Floats:
        """The opinion (n, rhythms) from the network's probabilities (n, rhythms) and the trees' (n, labels); rows of NaN stay."""
        logs = np.log(np.maximum(np.asarray(network, np.float64), FLOOR))
        labels = logsumexp(logs[:, None, :], b=MEMBER.T[None], axis=2)
        within = logs - labels @ MEMBER.T
        pooled = self.network * labels + self.trees * _logs(trees) + self.offsets
        p: Floats = np.exp(log_softmax(pooled, axis=1) @ MEMBER.T + within)
        return p


def _logs(p: NDArray[np.floating]) -> Floats:
    logs: Floats = np.log(np.maximum(np.asarray(p, np.float64), FLOOR))
    return logs


def calibrate(
    network: NDArray[np.floating], trees: NDArray[np.floating], records: Sequence[Packed]
) -> Calibration:
    """From the probabilities of a network (n, rhythms) and of trees (n, labels) of records that neither learnt."""
    known = ~np.isnan(network).any(1)
    network, trees, truth = network[known], trees[known], _labels(records)[known]
    logs = _logs(network @ MEMBER), _logs(trees)

    def weights(free: Floats) -> Floats:
        both: Floats = 0.5 * np.exp(free[:2])
        return both

    def loss(free: Floats) -> float:
        a, b = weights(free)
        log_p = log_softmax(a * logs[0] + b * logs[1] + [0.0, *free[2:]], axis=1)
        # bounded, though a label be absent
        return float(-log_p[np.arange(len(truth)), truth].mean() + 1e-3 * (free @ free))

    free = minimize(loss, np.zeros(1 + len(CINC_CLASSES))).x
    a, b = (round(float(x), 4) for x in weights(free))
    pooled = Calibration(a, b, (0.0, *(round(float(x), 4) for x in free[2:])))
    p = pooled.of(network, trees)
    return replace(
        pooled,
        record_weights=_record_weights(p @ MEMBER),
        af=_best_threshold(p[:, RHYTHMS.index("af")], truth == CINC_CLASSES.index("A")),
    )


def cinc_scores(
    records: Sequence[Packed], probabilities: NDArray[np.floating], weights: Mapping[str, float] | None = None
) -> dict[str, float]:
    """CinC 2017 F1 of each label and the mean of N, A and O, by the largest (weighted) probability; too short is ``~``."""
    return label_scores(records, grouped(probabilities, RHYTHMS), weights)


def label_scores(
    records: Sequence[Packed], shares: NDArray[np.floating], weights: Mapping[str, float] | None = None
) -> dict[str, float]:
    """`cinc_scores` of the probabilities of the labels themselves, (n, labels)."""
    said = (shares * [(weights or {}).get(label, 1.0) for label in CINC_CLASSES]).argmax(1)
    f1 = _f1(said, np.eye(len(CINC_CLASSES))[_labels(records)])
    named = {label: round(float(x), 4) for label, x in zip(CINC_CLASSES, f1, strict=True)}
    return named | {"mean": round(float(f1[:3].mean()), 4)}


def _labels(records: Sequence[Packed]) -> NDArray[np.int64]:
    return np.array([CINC_CLASSES.index(r.label) for r in records], np.int64)


def _f1(said: NDArray[np.int64], truth: Floats) -> Floats:
    """F1 of each label, with `truth` (n, labels) known or as probabilities: then what is to be expected."""
    claimed = np.eye(len(CINC_CLASSES))[said]
    f1: Floats = 2 * (claimed * truth).sum(0) / np.maximum(claimed.sum(0) + truth.sum(0), 1e-9)
    return f1


def _record_weights(p: Floats) -> dict[str, float]:
    """Weights of the labels' probabilities p (n, labels) for the largest expected mean F1 of N, A and O."""
    tried = itertools.product([1.0], *(np.exp2(np.linspace(-1, 1, n)) for n in STEPS.values()))
    best = max(tried, key=lambda weights: float(_f1((p * weights).argmax(1), p)[:3].mean()))
    return {label: round(float(w), 3) for label, w in zip(CINC_CLASSES, best, strict=True)}


def _best_threshold(p: Floats, truth: NDArray[np.bool_]) -> float:
    """The probability from which on it is best claimed, by F1."""

    def f1(t: float) -> float:
        said = p >= t
        return float(2 * (said & truth).sum() / max(1, said.sum() + truth.sum()))

    return round(float(max(np.linspace(0.3, 0.8, 26), key=f1)), 2)
