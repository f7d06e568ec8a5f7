"""What is learnt from a recording: targets, batches, and which stretches the acute head learns as what."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
from ecgstream.training import examples
from ecgstream.training.acute import acute_windows
from ecgstream.training.network import ACUTE, RHYTHMS
from packed import record

pytestmark = pytest.mark.torch


def test_rhythm_targets_share_the_time_and_an_unknown_rhythm_gives_none() -> None:
    two = record(rhythms=[(0, 1000, "N"), (1000, 7680, "AFIB")])
    share = examples.rhythm_share(two, 500, 1500)
    assert share[RHYTHMS.index("sinus")] == pytest.approx(0.5)
    assert share[RHYTHMS.index("af")] == pytest.approx(0.5)
    assert not examples.rhythm_share(record(rhythms=[(0, 7680, "??")]), 500, 1500).any()


def test_a_batch_holds_beats_at_their_peaks_and_all_classes_that_would_be_right() -> None:
    other = record(
        database="cinc2017", record="A1", label="O", beats=np.empty(0), kinds=np.empty(0, "U1"), rhythms=[]
    )
    still = examples.Augmentation(0, (0, 0), 0, 0, 0, 0, 0)
    annotated = examples.Annotated.of(record())
    sampler = examples.Sampler([other] * 4, [annotated], [], still, seed=1)
    [plan] = sampler.epoch(0, n_cinc=4, n_annotated=2)
    batch = sampler.batch(plan)
    assert batch.signal.shape == (6, examples.SPAN)
    assert batch.alone == 4
    assert (batch.length == [examples.CROP] * 4 + [examples.SPAN] * 2).all()
    assert batch.rhythm[0].sum() == len(RHYTHMS) - 3, "neither sinus nor AF nor noise"
    assert batch.share[4, RHYTHMS.index("sinus")] == pytest.approx(1.0)
    assert len(batch.beats) == 72, "36 beats in each of two crops and what is around them"
    assert set(batch.beats[:, 0]) == {4, 5}
    assert (np.diff(batch.beats[:36, 1]) > 100).all()


def test_batches_are_the_same_for_the_same_seed() -> None:
    noise = [np.random.default_rng(0).normal(0, 50, 9000).astype(np.float32)]
    made = []
    for _ in range(2):
        sampler = examples.Sampler(
            [record(label="A")] * 2, [examples.Annotated.of(record())], noise, examples.Augmentation(), seed=4
        )
        made.append(sampler.batch(sampler.epoch(3, 2, 2)[0]))
    np.testing.assert_array_equal(made[0].signal, made[1].signal)
    np.testing.assert_array_equal(made[0].beats, made[1].beats)


def seconds(windows: list[tuple[int, int]], name: str) -> list[float]:
    """When the windows of a class end."""
    return [end / 128 for end, k in windows if k == ACUTE.index(name)]


def test_a_window_is_of_one_annotated_rhythm_throughout() -> None:
    rhythms = [
        (0, 10 * 128, "N"),
        (10 * 128, 17 * 128, "VT"),
        (17 * 128, 20 * 128, "N"),
        (20 * 128, 26 * 128, "VFL"),
    ]
    windows = acute_windows(record(database="vfdb", rhythms=rhythms))
    assert seconds(windows, "organised") == [5, 6, 7, 8, 9, 10]
    assert seconds(windows, "vt") == [15, 16, 17]
    assert seconds(windows, "vf") == [25, 26]


def test_where_beats_alone_are_annotated_all_but_ventricular_runs_is_organised() -> None:
    kinds = np.array(list("N" * 20 + "VFV" + "N" * 15 + "VV" + "N" * 20))  # beat k at k + 0.5 s
    windows = acute_windows(record(database="svdb", rhythms=[], kinds=kinds))
    assert seconds(windows, "organised") == [*range(5, 21), *range(28, 61)]
    assert len(windows) == 49
    assert acute_windows(record(rhythms=[], beats=np.empty(0), kinds=np.empty(0, "U1"))) == []
