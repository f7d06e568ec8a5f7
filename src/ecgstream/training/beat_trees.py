"""The second opinion on a beat: gradient-boosted trees on what it is among those around it (`ecgstream.measurements.one_beat`).

They learn the annotated beats of MIT-BIH and SVDB, and those made in CinC 2017's normal recordings (`ecgstream.training.ectopy`), whole
recordings as they are. Of a record with many annotated beats each counts for less.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from tqdm import tqdm

from ecgstream.measurements import one_beat
from ecgstream.training.corpus import Packed
from ecgstream.training.ectopy import lent_beats, with_ectopy
from ecgstream.training.examples import learnt_kinds, measured_beats, measured_peaks
from ecgstream.training.network import BEATS
from ecgstream.training.trees import Rows, grown

CLASS_WEIGHT = (1.0, 1.5, 1.2)
MADE = 0.5  # weight of all made beats, beside that of all annotated ones
AT_THE_END = 2  # beats at either end of a recording that are too near it
NOTHING = Rows(np.empty((0, len(one_beat.NAMES)), np.float32), np.empty(0, np.int64), np.empty(0))


def rows_of(annotated: Sequence[Packed], normal: Sequence[Packed], seed: int) -> Rows:
    """The beats of annotated records' first leads, and beats made in `normal` recordings."""
    first = [r for r in annotated if r.lead == 0]
    told = _together([_annotated(r) for r in tqdm(first, desc="annotated beats", unit="record", leave=False)])
    rng, lent = np.random.default_rng(seed), lent_beats(first)
    made = _together(
        [_made(r, lent, rng) for r in tqdm(normal, desc="made beats", unit="record", leave=False)]
    )
    weight = MADE * told.weights.sum() / max(made.weights.sum(), 1.0)
    return _together([told, made._replace(weights=weight * made.weights)])


def _annotated(record: Packed) -> Rows:
    kinds = learnt_kinds(record)
    known = kinds != ""
    labels = _labels(kinds[known])
    return Rows(
        measured_beats(record)[known], labels, np.array(CLASS_WEIGHT)[labels] / np.sqrt(max(1, labels.size))
    )


def _made(record: Packed, lent: Sequence[NDArray[np.float32]], rng: np.random.Generator) -> Rows:
    ectopic = with_ectopy(record, lent, rng)
    if ectopic is None:
        return NOTHING
    inside = slice(AT_THE_END, len(ectopic.peaks) - AT_THE_END)
    labels = _labels(ectopic.kinds[inside])
    return Rows(measured_peaks(ectopic.signal, ectopic.peaks)[inside], labels, np.ones(labels.size))


def _labels(kinds: NDArray[np.str_]) -> NDArray[np.int64]:
    return np.array([BEATS.index(kind) for kind in kinds], np.int64)


def _together(rows: Sequence[Rows]) -> Rows:
    return Rows(*(np.concatenate(part) for part in zip(*rows, strict=True))) if rows else NOTHING


def fit(rows: Rows, seed: int, n_trees: int) -> HistGradientBoostingClassifier:
    """Trees that learnt `rows`; every class has to be among them."""
    return grown(
        rows,
        BEATS,
        seed,
        n_trees,
        learning_rate=0.15,
        max_leaf_nodes=31,
        min_samples_leaf=50,
        max_features=0.4,
    )


def without_opinion() -> HistGradientBoostingClassifier:
    """Trees to which all beats are alike."""
    same = np.zeros((len(BEATS), len(one_beat.NAMES)), np.float32)
    return fit(Rows(same, np.arange(len(BEATS)), np.ones(len(BEATS))), 0, 1)
