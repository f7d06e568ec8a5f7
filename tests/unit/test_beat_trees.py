"""The trees that have a say on a beat: what they learn from, and that they learn it."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")

from drawn_heart import REGULAR, drawn
from ecgstream.measurements import one_beat
from ecgstream.training import beat_trees
from ecgstream.training.corpus import Packed
from ecgstream.training.network import BEATS
from ecgstream.training.trees import Rows
from packed import record

pytestmark = pytest.mark.torch
N, S, V = (BEATS.index(kind) for kind in "NSV")


def annotated(name: str, early: tuple[int, ...], wide: tuple[int, ...] = (), lead: int = 0) -> Packed:
    """A regular heart whose `early` beats come early and are S, or V where they are `wide`."""
    x, peaks = drawn([0.5 + 0.8 * k - 0.28 * (k in early) for k in range(36)], wide=wide)
    kinds = np.array(["V" if k in wide else "S" if k in early else "N" for k in range(len(peaks))])
    return record(record=name, lead=lead, signal=x.astype(np.int16), beats=peaks, peaks=peaks, kinds=kinds)


HEARTS = [annotated("1", (8, 20, 29)), annotated("2", (6, 15, 24), (6, 15, 24)), annotated("3", ())]


def normal() -> Packed:
    x, peaks = drawn(REGULAR)
    return record(database="cinc2017", label="N", signal=x.astype(np.int16), peaks=peaks)


def test_annotated_and_made_beats_weigh_what_they_should() -> None:
    rows = beat_trees.rows_of(HEARTS, [normal()] * 5, seed=1)
    n_annotated = sum(len(heart.beats) for heart in HEARTS)
    assert len(rows.labels) > n_annotated + 100
    assert (rows.labels[:n_annotated] == S).sum() == 3
    assert rows.measured.shape == (len(rows.labels), len(one_beat.NAMES))
    told, made = rows.weights[:n_annotated], rows.weights[n_annotated:]
    assert made.sum() == pytest.approx(beat_trees.MADE * told.sum())
    assert told[rows.labels[:n_annotated] == S] == pytest.approx(
        beat_trees.CLASS_WEIGHT[S] / len(HEARTS[0].beats) ** 0.5
    )


def test_a_second_lead_and_what_is_not_annotated_are_not_learnt() -> None:
    second = annotated("1", (8,), lead=1)
    unknown = record(kinds=np.array(["Q"] * 60))
    assert len(beat_trees.rows_of([second, unknown], [], seed=1).labels) == 0


def test_trees_tell_early_and_wide_beats_of_a_heart_that_they_never_met() -> None:
    rows = beat_trees.rows_of(HEARTS * 40, [normal()] * 40, seed=1)
    trees = beat_trees.fit(rows, seed=1, n_trees=10)
    other = annotated("4", (11, 21), (21,))
    asked = beat_trees.rows_of([other], [], seed=1)
    said = trees.predict_proba(asked.measured).argmax(1)
    assert said[5:-5].tolist() == asked.labels[5:-5].tolist()


def test_a_class_that_nothing_shows_is_named() -> None:
    rows = Rows(np.zeros((4, len(one_beat.NAMES)), np.float32), np.array([N, N, V, V]), np.ones(4))
    with pytest.raises(ValueError, match="labelled S"):
        beat_trees.fit(rows, seed=1, n_trees=1)


def test_trees_without_an_opinion_find_all_beats_alike() -> None:
    beats = np.random.default_rng(1).normal(0, 1, (5, len(one_beat.NAMES)))
    np.testing.assert_allclose(beat_trees.without_opinion().predict_proba(beats), 1 / len(BEATS), atol=1e-6)
