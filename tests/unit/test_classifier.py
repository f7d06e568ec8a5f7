"""The served model: checked on loading, the same for a stream whatever shares its batch, and the same as the trained one."""

import hashlib
import json
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from ecgstream.classifier import KEPT_S, Scorer
from ecgstream.measurements import held, one_beat
from ecgstream.model_folder import FORMAT, GRAPHS, Model, ModelError, load_model
from ecgstream.replay import warm_up
from ecgstream.shipped import shipped_model
from ecgstream.whole_record import score_record

N_BLOCKS = 40
NO_PEAKS = np.empty(0)


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(shipped_model())


@pytest.fixture(scope="module")
def blocks() -> np.ndarray:
    """Noise of a patient's size: float32 (blocks, streams, 128), µV."""
    return np.random.default_rng(7).normal(0, 100, (N_BLOCKS, 5, 128)).astype(np.float32)


def test_a_streams_scores_do_not_depend_on_its_batch(model: Model, blocks: np.ndarray) -> None:
    together, alone = Scorer(model, 5), Scorer(model, 3)
    for b in range(N_BLOCKS):
        many = together.step(np.arange(5), blocks[b])
        one = alone.step(np.array([2]), blocks[b, 3:4])
        np.testing.assert_array_equal(many.rhythm[3], one.rhythm[0])
        np.testing.assert_array_equal(many.acute[3], one.acute[0])
    at = np.arange(31.0, 36.0) * 128
    assert not np.isnan(alone.beat_probabilities(2, at)).any()
    np.testing.assert_array_equal(together.beat_probabilities(3, at), alone.beat_probabilities(2, at))


def test_the_trees_are_asked_at_the_same_seconds_of_a_session_wherever_reading_began(
    model: Model, blocks: np.ndarray
) -> None:
    peaks = np.arange(0.5, N_BLOCKS, 0.8) * 128

    def stream(first: int) -> list[np.ndarray]:
        scorer = Scorer(model, 1)
        rows = []
        for b in range(first, N_BLOCKS):
            found = peaks[(peaks >= b * 128) & (peaks < (b + 1) * 128)] - first * 128
            rows.append(scorer.step(np.array([0]), blocks[b, :1], [found], np.array([b])).rhythm[0])
        return rows

    whole, later = stream(0), stream(3)
    for b in range(36, N_BLOCKS):  # by then both hold 30 s, and have been asked since
        np.testing.assert_allclose(whole[b], later[b - 3], atol=1e-6)
    fresh = Scorer(model, 1)
    for b in range(N_BLOCKS):
        without = fresh.step(np.array([0]), blocks[b, :1]).rhythm[0]
    assert not np.allclose(without, whole[-1], atol=1e-3), "where the beats are has a say"


def test_heads_speak_when_warm_and_give_probabilities(model: Model, blocks: np.ndarray) -> None:
    scorer = Scorer(model, 1)
    scores = [scorer.step(np.array([0]), blocks[b, :1]) for b in range(N_BLOCKS)]
    rhythm_known = [not np.isnan(s.rhythm).any() for s in scores]
    acute_known = [not np.isnan(s.acute).any() for s in scores]
    assert rhythm_known == [b >= 9 for b in range(N_BLOCKS)], "the rhythm head needs ten seconds"
    assert acute_known == [b >= 4 for b in range(N_BLOCKS)], "the acute head needs five seconds"
    assert scores[-1].rhythm.sum() == pytest.approx(1.0, abs=1e-5)
    assert scores[-1].acute.sum() == pytest.approx(1.0, abs=1e-5)


def test_beats_are_unknown_before_their_frame_came_and_after_it_went(
    model: Model, blocks: np.ndarray
) -> None:
    scorer = Scorer(model, 1)
    for b in range(N_BLOCKS):
        scorer.step(np.array([0]), blocks[b, :1])
    known = ~np.isnan(scorer.beat_probabilities(0, np.array([1.0, 20.0, 32.0, 36.0, 39.5]) * 128)).any(axis=1)
    assert known.tolist() == [False, False, True, True, False]
    scorer.reset(0)
    assert np.isnan(scorer.beat_probabilities(0, np.array([36.0 * 128]))).all(), "forgotten"


def test_a_beat_is_judged_by_those_around_it_the_same_wherever_reading_began_and_whoever_shares_its_batch(
    model: Model, blocks: np.ndarray
) -> None:
    peaks = np.arange(0.5, N_BLOCKS, 0.8) * 128

    def judged(first: int, peaks: np.ndarray, streams: int = 1) -> np.ndarray:
        scorer, slots = Scorer(model, streams), np.arange(streams)
        for b in range(first, N_BLOCKS):
            found = peaks[(peaks >= b * 128) & (peaks < (b + 1) * 128)] - first * 128
            scorer.step(slots, np.repeat(blocks[b, :1], streams, axis=0), [found] * streams)
        asked = peaks[(peaks >= 34 * 128) & (peaks < 36 * 128)] - first * 128
        return scorer.beat_probabilities(np.full(len(asked), streams - 1), asked)

    whole = judged(0, peaks)
    np.testing.assert_allclose(judged(4, peaks), whole, atol=1e-6)
    np.testing.assert_array_equal(judged(0, peaks, streams=5), whole)
    early = peaks.copy()
    early[np.searchsorted(peaks, 34 * 128) + 1] -= 30
    assert np.abs(judged(0, early) - whole).max() > 0.01, "what is early has a say"


def test_what_is_around_the_oldest_beat_that_can_be_judged_is_held(model: Model) -> None:
    oldest_s = KEPT_S + model.spec.beat_field_samples / 2 / model.spec.fs_hz
    assert oldest_s + one_beat.BEFORE_S < model.spec.rhythm.window_s
    assert model.spec.beat_field_samples / 2 / model.spec.fs_hz > one_beat.AFTER_S


def test_nothing_is_compiled_while_a_patient_waits(model: Model, blocks: np.ndarray) -> None:
    warm_up()
    kernels = (held._measure_slots, held._measure_beats, held._take)
    compiled = [list(kernel.signatures) for kernel in kernels]
    scorer, peak = Scorer(model, 2), np.array([64.0])
    for b in range(12):
        scorer.step(np.arange(2), blocks[b, :2], [peak + 128 * b] * 2)
    assert not np.isnan(scorer.beat_probabilities(1, peak + 128 * 6)).any()
    assert not np.isnan(scorer.beat_probabilities(np.array([0, 1]), np.repeat(peak + 128 * 7, 2))).any()
    assert [list(kernel.signatures) for kernel in kernels] == compiled
    assert [len(signatures) for signatures in compiled] == [1, 1, 1]


def test_gain_does_not_matter(model: Model, blocks: np.ndarray) -> None:
    plain, loud = Scorer(model, 1), Scorer(model, 1)
    for b in range(N_BLOCKS):
        a, c = plain.step(np.array([0]), blocks[b, :1]), loud.step(np.array([0]), blocks[b, :1] * 8)
    np.testing.assert_allclose(a.rhythm, c.rhythm, atol=1e-4)


def test_an_empty_batch_gives_no_scores(model: Model) -> None:
    scores = Scorer(model, 1).step(np.empty(0, np.int64), np.empty((0, 128), np.float32))
    assert scores.rhythm.shape == (0, len(model.rhythm_classes))
    assert scores.acute.shape == (0, len(model.acute_classes))


def test_a_stream_begins_in_silence_whatever_was_before(model: Model, blocks: np.ndarray) -> None:
    used, fresh = Scorer(model, 2), Scorer(model, 1)
    for b in range(N_BLOCKS):
        used.step(np.array([1]), blocks[b, :1])
    used.reset(1)
    for b in range(12):
        a = used.step(np.array([1]), blocks[b, 1:2])
        c = fresh.step(np.array([0]), blocks[b, 1:2])
    np.testing.assert_array_equal(a.rhythm, c.rhythm)


def test_a_record_too_short_to_read_is_unknown(model: Model) -> None:
    assert np.isnan(score_record(model, np.zeros(5 * 128, np.float32), NO_PEAKS)).all()
    scored = score_record(model, np.zeros(12 * 128 + 17, np.float32), NO_PEAKS)
    assert scored.sum() == pytest.approx(1.0, abs=1e-5)


def broken(tmp_path: Path, change: dict[str, object]) -> Path:
    """A copy of the shipped folder with some of `model.json` changed."""
    folder = tmp_path / "model"
    shutil.copytree(shipped_model(), folder)
    spec = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(spec | change))
    return folder


def test_a_version_is_one_of_every_graph_that_serves() -> None:
    model = load_model(shipped_model())
    for graph in GRAPHS:
        other = msgspec.structs.replace(model.spec, sha256={**model.spec.sha256, graph: "0" * 64})
        assert model._replace(spec=other).name != model.name, graph


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"format": 99}, ["format 99", f"expected {FORMAT}"]),
        ({"format": 99, "surprise": 1}, ["format 99", f"expected {FORMAT}"]),
        ({"fs_hz": 250}, ["250 Hz", "128 Hz"]),
        ({"surprise": 1}, ["surprise"]),
        ({"measurements": ["rr_mean", "mood"]}, ["mood", "rr_sd"]),
        ({"sha256": {}}, ["encoder.onnx"]),
        ({"rhythm_classes": "sinus"}, ["rhythm_classes"]),
        ({"attentions": 7}, ["attentions", "rhythm.onnx"]),
        ({"attentions": 0}, ["attentions", ">= 1"]),
        ({"thresholds": {"af": 30}}, ["thresholds", "<= 1"]),
        ({"thresholds": {"mood": 0.3}}, ["thresholds", "mood"]),
        ({"record_weights": {"N": 1.0, "A": -1.0}}, ["record_weights", ">= 0"]),
        ({"record_weights": {"B": 1.0}}, ["record_weights", "B"]),
        ({"temperatures": {"acute": 0}}, ["temperatures", "> 0"]),
        ({"beat_width": 95}, ["beat_width", "encoder.onnx"]),
        ({"memories": [[1, 13]]}, ["memories", "encoder.onnx"]),
        ({"acute_classes": ["organised", "vt"]}, ["acute_classes", "acute.onnx"]),
        (
            {"acute": {"window_s": 5, "frames": 11, "void_frames": 30, "min_frames": 10, "channels": 192}},
            ["acute.frames"],
        ),
        ({"sha256": {"acute-fold-7.onnx": "0"}}, ["sha256", "acute-fold-7.onnx"]),
    ],
)
def test_a_folder_that_does_not_fit_is_refused(
    tmp_path: Path, change: dict[str, object], names: list[str]
) -> None:
    with pytest.raises(ModelError) as refusal:
        load_model(broken(tmp_path, change))
    assert all(name in str(refusal.value) for name in names)


def test_changed_weights_are_refused(tmp_path: Path) -> None:
    folder = broken(tmp_path, {})
    with (folder / "rhythm.onnx").open("ab") as graph:
        graph.write(b"x")
    with pytest.raises(ModelError, match=r"rhythm\.onnx: sha256 .* expected"):
        load_model(folder)


def test_a_graph_that_is_none_is_refused(tmp_path: Path) -> None:
    known = msgspec.json.decode((shipped_model() / "model.json").read_bytes())["sha256"]
    folder = broken(tmp_path, {"sha256": known | {"beat.onnx": hashlib.sha256(b"x").hexdigest()}})
    (folder / "beat.onnx").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"beat\.onnx: expected a graph"):
        load_model(folder)


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model\.json"):
        load_model(tmp_path)
