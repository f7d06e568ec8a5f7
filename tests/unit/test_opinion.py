"""What network and trees say, made one opinion; what the trees learn from."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
from scipy.special import log_softmax

from ecgstream.model_folder import CINC_CLASSES
from ecgstream.training import examples
from ecgstream.training.calibrate import MEMBER, Calibration, calibrate, cinc_scores, label_scores
from ecgstream.training.network import RHYTHMS
from ecgstream.training.trees import fit, rows_of
from packed import record

pytestmark = pytest.mark.torch


def test_cinc_scores_by_hand() -> None:
    records = [record(label=label) for label in "NNAO~"]
    p = np.zeros((5, len(RHYTHMS)), np.float32)
    for i, rhythm in enumerate(["sinus", "af", "af", "svt", "noise"]):
        p[i, RHYTHMS.index(rhythm)] = 1.0
    scores = cinc_scores(records, p)
    assert scores == {"N": 0.6667, "A": 0.6667, "O": 1.0, "~": 1.0, "mean": 0.7778}
    p[1, RHYTHMS.index("sinus")] = 0.6
    assert cinc_scores(records, p, {"N": 2.0})["mean"] == 1.0
    p[3] = np.nan
    assert cinc_scores(records, p)["~"] == 0.6667, "too short to say: noise"


def test_an_opinion_takes_back_what_was_weighed_up_and_is_better_than_either() -> None:
    rng = np.random.default_rng(7)
    n = 8000
    truth = rng.choice(4, n)
    own = rng.normal(0, 1, (2, n, 4)) + 2.0 * np.eye(4)[truth]  # two opinions, each noisy in its own way
    too_sure = 2.0 * own[0] + [0.0, 1.5, 0.0, 0.0]
    network = np.zeros((n, len(RHYTHMS)))
    network[:, [RHYTHMS.index(r) for r in ("sinus", "af", "svt", "noise")]] = np.exp(
        log_softmax(too_sure, axis=1)
    )
    trees = np.exp(log_softmax(own[1], axis=1))
    records = [record(label=CINC_CLASSES[k]) for k in truth]
    half = n // 2
    found = calibrate(network[:half], trees[:half], records[:half])
    assert found.trees > 1.5 * found.network, "the network is too sure by a factor of two"
    assert found.offsets[0] == 0.0
    assert found.offsets[1] == pytest.approx(-1.5 * found.network, abs=0.4), "what weighs A up is taken back"
    p = found.of(network[half:], trees[half:])
    np.testing.assert_allclose(p.sum(1), 1.0, atol=1e-6)
    shares = p @ MEMBER
    for k in range(4):
        assert shares[:, k].mean() == pytest.approx((truth[half:] == k).mean(), abs=0.02)
    alone = (
        cinc_scores(records[half:], network[half:])["mean"],
        label_scores(records[half:], trees[half:])["mean"],
    )
    assert cinc_scores(records[half:], p, found.record_weights)["mean"] > max(alone) + 0.03


def test_which_rhythm_of_a_label_it_is_the_network_alone_says() -> None:
    network = np.full((1, len(RHYTHMS)), 1e-3)
    network[0, RHYTHMS.index("svt")], network[0, RHYTHMS.index("sinus")] = 0.3, 0.6
    opinion = Calibration(0.5, 0.5).of(network, np.array([[0.1, 0.1, 0.7, 0.1]]))
    others = [RHYTHMS.index(r) for r in examples.CINC["O"]]
    before = network[0, others] / network[0, others].sum()
    np.testing.assert_allclose(opinion[0, others] / opinion[0, others].sum(), before, atol=1e-6)
    assert opinion[0, others].sum() > opinion[0, RHYTHMS.index("sinus")]
    assert np.isnan(Calibration().of(np.full((1, len(RHYTHMS)), np.nan), np.full((1, 4), 0.25))).all()


def test_trees_learn_labels_from_annotated_windows_where_they_are_sure() -> None:
    n = 128 * 90
    signal = np.random.default_rng(1).normal(0, 100, n).astype(np.int16)
    kinds = np.array(["N"] * 90)
    kinds[35] = "S"  # one ectopic beat in the second window: it could be called either
    spells = record(
        signal=signal, beats=np.arange(64.0, n, 128), kinds=kinds,
        rhythms=[(0, 60 * 128, "N"), (60 * 128, n, "AFIB")],
    )  # fmt: skip
    rows = rows_of([spells], seed=1)
    assert [CINC_CLASSES[k] for k in rows.labels] == ["N", "N", "A", "A"], "each upright and upside down"
    kinds[36] = "V"
    assert [CINC_CLASSES[k] for k in rows_of([spells], seed=1).labels] == ["N", "N", "O", "O", "A", "A"]
    short, long = record(label="A"), record(label="O", signal=signal[: 20 * 128])
    weights = [rows_of([r], seed=1).weights.sum() for r in (short, long)]
    assert weights[0] == pytest.approx(weights[1]), "a long recording weighs no more than a short one"
    with pytest.raises(ValueError, match="N, ~"):
        fit(rows_of([short, long], seed=1), seed=1, n_trees=2)
