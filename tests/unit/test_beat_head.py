"""The beat head: a beat's frame and what is measured of it, in training and as served."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
from safetensors.torch import load_file  # noqa: E402

from drawn_heart import drawn  # noqa: E402
from ecgstream.classifier import Scorer  # noqa: E402
from ecgstream.measurements import one_beat  # noqa: E402
from ecgstream.model_folder import load_model  # noqa: E402
from ecgstream.shipped import shipped_model  # noqa: E402
from ecgstream.training import learn, losses  # noqa: E402
from ecgstream.training.examples import learnt_kinds, measured_beats  # noqa: E402
from ecgstream.training.network import (  # noqa: E402
    BEAT_TREES,
    BEAT_WEIGHT,
    BEATS,
    FIRST,
    S_FOR_N,
    BeatHead,
    Network,
    scaled,
)
from packed import record  # noqa: E402

pytestmark = pytest.mark.torch


def test_a_beat_is_judged_as_served_as_it_is_in_training() -> None:
    model = load_model(shipped_model())
    network = Network(learn.Config(**model.spec.training["config"]).shape())
    network.load_state_dict(load_file(model.folder / "weights.safetensors"))
    wide = 30
    x, peaks = drawn([0.5 + 0.8 * k - 0.25 * (k in (20, wide)) for k in range(36)], wide=(wide,))
    scorer = Scorer(model, 1)
    for i, second in enumerate(x.reshape(30, 1, 128)):
        scorer.step(np.array([0]), second, [peaks[(peaks >= i * 128) & (peaks < (i + 1) * 128)]])
    asked = peaks[(peaks > 21 * 128) & (peaks < 26 * 128)]
    served = scorer.beat_probabilities(0, asked)
    measured = np.empty((len(peaks), len(one_beat.NAMES)))
    one_beat.measure_beats(x, peaks, measured)
    _, field = network.receptive_fields()
    with torch.no_grad():
        _, context = network.eval().encoder(scaled(torch.from_numpy(x)[None])[:, None, None, FIRST:])
        frames = context[0, :, 0, losses.frame_of(asked - FIRST, field).astype(int)].T
        figures = torch.from_numpy(measured[np.isin(peaks, asked)].astype(np.float32))
        logits = network.beat(frames, figures) - torch.log(torch.tensor(BEAT_WEIGHT))
    (trees,) = model.graphs["beat-trees.onnx"].run(None, {"measured": figures.numpy()})
    both = (1 - BEAT_TREES) * torch.log_softmax(logits, 1) + BEAT_TREES * torch.log(torch.from_numpy(trees))
    learnt = torch.softmax(both, 1).numpy()
    n, s, v = (BEATS.index(kind) for kind in "NSV")
    np.testing.assert_allclose(served.sum(1), 1.0, atol=1e-5)
    np.testing.assert_allclose(served[:, v], learnt[:, v], atol=1e-5)
    np.testing.assert_allclose(served[:, s] * learnt[:, n], S_FOR_N * learnt[:, s] * served[:, n], atol=1e-5)
    assert asked[served[:, v].argmax()] == peaks[wide]
    assert served[:, n].min() < 0.5 < np.median(served[:, n])


def test_a_figure_that_is_not_known_says_nothing_but_that() -> None:
    head = BeatHead(8, 3, len(BEATS)).eval()
    head.measure_by([np.array([[1.0, 10.0, np.nan], [3.0, 30.0, 5.0]], np.float32)])
    torch.testing.assert_close(head.mean, torch.tensor([2.0, 20.0, 5.0]))
    torch.testing.assert_close(head.spread, torch.tensor([1.0, 10.0, 0.0]) + 1e-3)
    frames = torch.randn(1, 8)
    unknown, usual = torch.full((1, 3), torch.nan), torch.tensor([[2.0, 20.0, 5.0]])
    assert torch.isfinite(head(frames, unknown)).all()
    assert not torch.equal(head(frames, unknown), head(frames, usual)), "not known isn't as usual"
    far, farther = torch.tensor([[99.0, 20.0, 5.0]]), torch.tensor([[1e6, 20.0, 5.0]])
    assert torch.equal(head(frames, far), head(frames, farther)), "no figure outweighs all others"


def test_some_beats_are_learnt_from_their_frames_alone_and_some_from_their_figures_alone() -> None:
    torch.manual_seed(1)
    frames, measured = losses._partly(torch.ones(4000, 8), torch.ones(4000, 3))
    unseen, unmeasured = (frames == 0).all(1), torch.isnan(measured).all(1)
    assert float(unseen.float().mean()) == pytest.approx(losses.UNSEEN, abs=0.03)
    assert float(unmeasured.float().mean()) == pytest.approx(losses.UNMEASURED, abs=0.03)
    assert not (unseen & unmeasured).any()


def test_an_annotated_beat_is_measured_at_the_r_peak_that_is_found_for_it() -> None:
    x, peaks = drawn([0.5 + 0.8 * k for k in range(36)])
    missed = 20
    packed = record(
        signal=np.rint(x).astype(np.int16), beats=peaks + 5.0, kinds=np.array(["N"] * 36), peaks=np.delete(peaks, missed)
    )  # fmt: skip
    found = measured_beats(packed)
    assert found.shape == (36, len(one_beat.NAMES))
    assert np.isnan(found[missed]).all(), "no R peak was found there"
    assert found[10, one_beat.NAMES.index("qrs_alike")] > 0.95
    assert found[missed + 1, one_beat.NAMES.index("prev_median")] == pytest.approx(np.log(2), abs=0.02)


def test_of_a_supraventricular_run_the_first_ten_seconds_are_learnt() -> None:
    kinds = "NNSNN" + 20 * "S" + "NF" + 3 * "S" + "V"
    beats = 100.0 + 128 * np.arange(len(kinds))
    learnt = learnt_kinds(record(beats=beats, kinds=np.array(list(kinds))))
    assert learnt.tolist() == [*"NNSNN", *11 * "S", *9 * [""], "N", "", *"SSSV"]
